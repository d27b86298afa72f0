//! System calls: `setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0`.

use core::time::Duration;

use crate::script::ast::{Call, Errno, Fd, Outcome, Shutdown, SocketOption, TimedCall};
use crate::script::cursor::Cursor;
use crate::script::error::ScriptError;
use crate::script::lexer::Token;
use crate::script::settings::congestion_control;

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    /// `...`
    Any,
    Number(i64),
    /// Names, joined by `|` as written.
    Names(Vec<String>),
    /// `[value]`
    Array(Box<Argument>),
    /// `{name=value, name=value}`
    Fields(Vec<(String, i64)>),
    /// `"text"`
    Text(String),
}

/// `name(arguments) = result [errno (words)]`, for a call that blocks behind `...time`.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<TimedCall, ScriptError> {
    let returns_at = if cursor.take_ellipsis() { Some(cursor.expect_time()?) } else { None };
    let name = cursor.expect_word()?;
    let arguments = parse_arguments(cursor)?;
    cursor.expect_sign('=')?;
    let outcome = parse_outcome(cursor)?;
    let call = understand(name, &arguments).map_err(|message| cursor.error(format!("{name}: {message}")))?;
    Ok(TimedCall { call, outcome, returns_at })
}

fn parse_outcome(cursor: &mut Cursor<'_>) -> Result<Outcome, ScriptError> {
    let value = cursor.expect_integer()?;
    let outcome = match (value, cursor.peek()) {
        (-1, Some(Token::Word(name))) => {
            let errno =
                Errno::from_name(name).ok_or_else(|| cursor.error(format!("{name} is not in the subset")))?;
            cursor.next();
            Outcome::Errno(errno)
        }
        (-1, _) => return Err(cursor.error("-1 needs its errno")),
        (value, _) => {
            // `fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)`
            Outcome::Value(value)
        }
    };
    if cursor.take_sign('(') {
        while !cursor.take_sign(')') {
            cursor.expect_word()?;
        }
    }
    Ok(outcome)
}

fn parse_arguments(cursor: &mut Cursor<'_>) -> Result<Vec<Argument>, ScriptError> {
    let mut arguments = Vec::new();
    cursor.expect_sign('(')?;
    if cursor.take_sign(')') {
        return Ok(arguments);
    }
    loop {
        arguments.push(parse_argument(cursor)?);
        if cursor.take_sign(')') {
            return Ok(arguments);
        }
        cursor.expect_sign(',')?;
    }
}

fn parse_argument(cursor: &mut Cursor<'_>) -> Result<Argument, ScriptError> {
    if cursor.take_ellipsis() {
        return Ok(Argument::Any);
    }
    if cursor.take_sign('[') {
        let value = parse_plain(cursor)?;
        cursor.expect_sign(']')?;
        return Ok(Argument::Array(Box::new(value)));
    }
    if cursor.take_sign('{') {
        let mut fields = Vec::new();
        loop {
            let name = cursor.expect_word()?.to_owned();
            cursor.expect_sign('=')?;
            fields.push((name, cursor.expect_integer()?));
            if cursor.take_sign('}') {
                return Ok(Argument::Fields(fields));
            }
            cursor.expect_sign(',')?;
        }
    }
    parse_plain(cursor)
}

fn parse_plain(cursor: &mut Cursor<'_>) -> Result<Argument, ScriptError> {
    if let Some(Token::Integer(_)) = cursor.peek() {
        return cursor.expect_integer().map(Argument::Number);
    }
    if let Some(Token::Text(text)) = cursor.peek() {
        cursor.next();
        return Ok(Argument::Text(text.clone()));
    }
    let mut names = vec![cursor.expect_word()?.to_owned()];
    while cursor.take_sign('|') {
        names.push(cursor.expect_word()?.to_owned());
    }
    Ok(Argument::Names(names))
}

type Understood<T> = Result<T, String>;

/// What a call with these arguments means.
fn understand(name: &str, arguments: &[Argument]) -> Understood<Call> {
    use Argument::{Any, Names, Number};
    let wrong = || Err("these arguments are not in the subset".to_owned());
    let size = |len: i64| usize::try_from(len).map_err(|_| format!("{len} is no size"));
    Ok(match (name, arguments) {
        ("socket", [Any, Names(kind), Names(protocol)])
            if *kind == ["SOCK_STREAM"] && *protocol == ["IPPROTO_TCP"] =>
        {
            Call::Socket
        }
        ("bind", [Number(fd), Any, Any]) => Call::Bind { fd: *fd },
        ("listen", [Number(fd), Number(backlog)]) => Call::Listen { fd: *fd, backlog: size(*backlog)? },
        ("accept", [Number(fd), Any, Any]) => Call::Accept { fd: *fd },
        ("connect", [Number(fd), Any, Any]) => Call::Connect { fd: *fd },
        ("fcntl", [Number(fd), Names(command)]) if *command == ["F_GETFL"] => Call::GetFlags { fd: *fd },
        ("fcntl", [Number(fd), Names(command), Names(flags)]) if *command == ["F_SETFL"] => {
            Call::SetFlags { fd: *fd, is_nonblocking: flags.iter().any(|flag| flag == "O_NONBLOCK") }
        }
        ("setsockopt", [Number(fd), Names(level), Names(option), value, Number(_)]) => {
            Call::SetOption { fd: *fd, option: socket_option(level, option, value)? }
        }
        (
            "getsockopt",
            [Number(fd), Names(level), Names(option), Argument::Array(value), Argument::Array(_)],
        ) => get_option(*fd, level, option, value)?,
        ("read", [Number(fd), Any, Number(len)]) | ("recv", [Number(fd), Any, Number(len), Number(0)]) => {
            Call::Read { fd: *fd, len: size(*len)? }
        }
        ("write", [Number(fd), Any, Number(len)]) | ("send", [Number(fd), Any, Number(len), Number(0)]) => {
            Call::Write { fd: *fd, len: size(*len)?, is_urgent: false }
        }
        ("send", [Number(fd), Any, Number(len), Names(flags)]) if *flags == ["MSG_OOB"] => {
            Call::Write { fd: *fd, len: size(*len)?, is_urgent: true }
        }
        ("shutdown", [Number(fd), Names(how)]) => Call::Shutdown { fd: *fd, how: shutdown_half(how)? },
        ("close", [Number(fd)]) => Call::Close { fd: *fd },
        (
            "socket" | "bind" | "listen" | "accept" | "connect" | "fcntl" | "setsockopt" | "getsockopt"
            | "read" | "recv" | "write" | "send" | "shutdown" | "close",
            _,
        ) => return wrong(),
        _ => return Err("this system call is not in the subset".to_owned()),
    })
}

fn shutdown_half(how: &[String]) -> Understood<Shutdown> {
    match how.first().map(String::as_str) {
        Some("SHUT_RD") => Ok(Shutdown::Read),
        Some("SHUT_WR") => Ok(Shutdown::Write),
        Some("SHUT_RDWR") => Ok(Shutdown::Both),
        Some(_) | None => Err("SHUT_RD, SHUT_WR or SHUT_RDWR".to_owned()),
    }
}

/// A level and an option as one name; both names of TCP's level are the same.
fn option_name<'a>(level: &[String], option: &'a [String]) -> Understood<(bool, &'a str)> {
    let is_tcp = match level.first().map(String::as_str) {
        Some("SOL_TCP" | "IPPROTO_TCP") => true,
        Some("SOL_SOCKET") => false,
        Some(_) | None => return Err("the level is SOL_SOCKET or SOL_TCP".to_owned()),
    };
    Ok((is_tcp, option.first().map_or("", String::as_str)))
}

fn socket_option(level: &[String], option: &[String], value: &Argument) -> Understood<SocketOption> {
    if let Argument::Fields(fields) = value {
        let is_zero_linger = *fields == [("onoff".to_owned(), 1), ("linger".to_owned(), 0)];
        return match option_name(level, option)? {
            (false, "SO_LINGER") if is_zero_linger => Ok(SocketOption::LingerZero),
            _ => Err("only SO_LINGER {onoff=1, linger=0} is in the subset".to_owned()),
        };
    }
    if let Argument::Text(name) = value {
        return match option_name(level, option)? {
            (true, "TCP_CONGESTION") => {
                let congestion = congestion_control(name);
                congestion.map(SocketOption::Congestion).ok_or_else(|| format!("{name} is not in the subset"))
            }
            _ => Err("only TCP_CONGESTION is a name".to_owned()),
        };
    }
    let number = match value {
        Argument::Array(value) => match **value {
            Argument::Number(value) => value,
            Argument::Any
            | Argument::Names(_)
            | Argument::Array(_)
            | Argument::Fields(_)
            | Argument::Text(_) => {
                return Err("the value is a number in brackets".to_owned());
            }
        },
        Argument::Any
        | Argument::Number(_)
        | Argument::Names(_)
        | Argument::Fields(_)
        | Argument::Text(_) => {
            return Err("the value is a number in brackets".to_owned());
        }
    };
    let value = u32::try_from(number).map_err(|_| format!("{number} is out of range"))?;
    Ok(match option_name(level, option)? {
        (false, "SO_REUSEADDR") => SocketOption::ReuseAddress,
        (false, "SO_OOBINLINE") => SocketOption::UrgentInline,
        (false, "SO_KEEPALIVE") => SocketOption::Keepalive(value != 0),
        (false, "SO_SNDBUF") => SocketOption::SendBuffer(value),
        (false, "SO_RCVBUF") => SocketOption::ReceiveBuffer(value),
        (true, "TCP_FASTOPEN") => SocketOption::FastOpen(value),
        (true, "TCP_FASTOPEN_CONNECT") => SocketOption::FastOpenConnect(value != 0),
        (true, "TCP_NODELAY") => SocketOption::NoDelay(value != 0),
        (true, "TCP_KEEPIDLE") => SocketOption::KeepaliveIdle(Duration::from_secs(value.into())),
        (true, "TCP_KEEPINTVL") => SocketOption::KeepaliveInterval(Duration::from_secs(value.into())),
        (true, "TCP_KEEPCNT") => SocketOption::KeepaliveProbes(
            u8::try_from(value).map_err(|_| format!("{value} is out of range"))?,
        ),
        (true, "TCP_USER_TIMEOUT") => SocketOption::UserTimeout(Duration::from_millis(value.into())),
        (_, other) => return Err(format!("{other} is not in the subset")),
    })
}

fn get_option(fd: Fd, level: &[String], option: &[String], value: &Argument) -> Understood<Call> {
    Ok(match (option_name(level, option)?, value) {
        ((false, "SO_ERROR"), Argument::Number(0)) => Call::GetError { fd, expected: None },
        ((false, "SO_ERROR"), Argument::Names(names)) => {
            let errno = names.first().and_then(|name| Errno::from_name(name));
            Call::GetError { fd, expected: Some(errno.ok_or("this errno is not in the subset")?) }
        }
        ((true, "TCP_MAXSEG"), Argument::Number(value)) => Call::GetMaxSegment {
            fd,
            expected: u32::try_from(*value).map_err(|_| "this is no segment size")?,
        },
        ((_, other), _) => return Err(format!("{other} is not in the subset")),
    })
}
