//! Packets: `S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>`, and ICMP errors.

use netloom_wire::TcpFlags;

use crate::script::ast::{Action, Icmp, IcmpKind, Packet};
use crate::script::cursor::Cursor;
use crate::script::error::ScriptError;
use crate::script::lexer::Token;
use crate::script::option::TcpOption;
use crate::script::segment::{FLAG_LETTERS, Segment};

/// After `<`.
pub(super) fn parse_inbound(cursor: &mut Cursor<'_>) -> Result<Action, ScriptError> {
    if cursor.take_word("icmp") {
        return parse_icmp(cursor).map(Action::Icmp);
    }
    let packet = parse_packet(cursor)?;
    if packet.segment.window.is_none() {
        return Err(cursor.error("what arrives needs its window: `win N`"));
    }
    if packet.segment.options.is_none() {
        return Err(cursor.error("what arrives cannot have any options: write them, not `<...>`"));
    }
    Ok(Action::Inbound(packet))
}

/// After `>`.
pub(super) fn parse_outbound(cursor: &mut Cursor<'_>) -> Result<Action, ScriptError> {
    if cursor.take_word("icmp") {
        return Err(cursor.error("only ICMP that arrives is in the subset"));
    }
    parse_packet(cursor).map(Action::Outbound)
}

fn parse_packet(cursor: &mut Cursor<'_>) -> Result<Packet, ScriptError> {
    let ecn = parse_ecn(cursor)?;
    let ports = if let Some(Token::Integer(_)) = cursor.peek() {
        let source = cursor.expect_number()?;
        cursor.expect_sign('>')?;
        Some((source, cursor.expect_number()?))
    } else {
        None
    };
    let flags = parse_flags(cursor)?;
    let (start, len) = parse_range(cursor)?;
    let has_ack = flags.contains(TcpFlags::ACK);
    let ack = match (cursor.take_word("ack"), has_ack) {
        (true, true) => cursor.expect_number()?,
        (false, false) => 0,
        (true, false) => return Err(cursor.error("`ack` needs the flag `.`")),
        (false, true) => return Err(cursor.error("the flag `.` needs `ack N`")),
    };
    let window = if cursor.take_word("win") { Some(cursor.expect_number()?) } else { None };
    let urgent = if cursor.take_word("urg") { cursor.expect_number()? } else { 0 };
    let options = parse_options(cursor)?;
    let segment = Segment { ecn, flags, start, len: u32::from(len), ack, window, urgent, options };
    Ok(Packet { ports, segment })
}

/// `[ect0]` and the like; also in parentheses.
fn parse_ecn(cursor: &mut Cursor<'_>) -> Result<Option<u8>, ScriptError> {
    let end = match cursor.peek() {
        Some(Token::Sign('[')) => ']',
        Some(Token::Sign('(')) => ')',
        Some(_) | None => return Ok(None),
    };
    cursor.next();
    let ecn = match cursor.expect_word()? {
        "noecn" => 0,
        "ect1" => 1,
        "ect0" => 2,
        "ce" => 3,
        other => return Err(cursor.error(format!("`{other}` is not in the subset: noecn, ect0, ect1, ce"))),
    };
    cursor.expect_sign(end)?;
    Ok(Some(ecn))
}

fn parse_flags(cursor: &mut Cursor<'_>) -> Result<TcpFlags, ScriptError> {
    if cursor.take_sign('-') {
        return Ok(TcpFlags::NONE);
    }
    if cursor.take_sign('.') {
        return Ok(TcpFlags::ACK);
    }
    let word = cursor.expect_word()?;
    let mut flags = if cursor.take_sign('.') { TcpFlags::ACK } else { TcpFlags::NONE };
    for letter in word.chars() {
        let Some((_, flag)) = FLAG_LETTERS.iter().find(|(known, _)| *known == letter) else {
            return Err(cursor.error(format!("`{letter}` in `{word}` is no TCP flag: F S R P U E W .")));
        };
        flags = flags | *flag;
    }
    Ok(flags)
}

/// `start:end(len)`.
fn parse_range(cursor: &mut Cursor<'_>) -> Result<(u32, u16), ScriptError> {
    let start: u32 = cursor.expect_number()?;
    cursor.expect_sign(':')?;
    let end: u32 = cursor.expect_number()?;
    cursor.expect_sign('(')?;
    let len: u16 = cursor.expect_number()?;
    cursor.expect_sign(')')?;
    if start.wrapping_add(len.into()) != end {
        return Err(cursor.error(format!("{start}:{end} are not {len} bytes")));
    }
    Ok((start, len))
}

fn parse_options(cursor: &mut Cursor<'_>) -> Result<Option<Vec<TcpOption>>, ScriptError> {
    let mut options = Vec::new();
    if !cursor.take_sign('<') {
        return Ok(Some(options));
    }
    if cursor.take_ellipsis() {
        cursor.expect_sign('>')?;
        return Ok(None);
    }
    loop {
        options.push(parse_option(cursor)?);
        if !cursor.take_sign(',') {
            break;
        }
    }
    cursor.expect_sign('>')?;
    let len = TcpOption::emit_all(&options).len();
    if !len.is_multiple_of(4) || len > 40 {
        return Err(cursor.error(format!("options of {len} bytes: they are at most 40, and a multiple of 4")));
    }
    Ok(Some(options))
}

fn parse_option(cursor: &mut Cursor<'_>) -> Result<TcpOption, ScriptError> {
    Ok(match cursor.expect_word()? {
        "nop" => TcpOption::NoOperation,
        "eol" => TcpOption::EndOfList,
        "mss" => TcpOption::MaxSegmentSize(cursor.expect_number()?),
        "wscale" => TcpOption::WindowScale(cursor.expect_number()?),
        "sackOK" => TcpOption::SackPermitted,
        "sack" => {
            let mut blocks = Vec::new();
            while let Some(Token::Integer(_)) = cursor.peek() {
                let start = cursor.expect_number()?;
                cursor.expect_sign(':')?;
                blocks.push((start, cursor.expect_number()?));
            }
            TcpOption::Sack(blocks)
        }
        "TS" => {
            let mut field = |name: &str| {
                if cursor.take_word(name) {
                    cursor.expect_number()
                } else {
                    Err(cursor.error("a timestamp is written `TS val N ecr N`"))
                }
            };
            TcpOption::Timestamps { value: field("val")?, echo: field("ecr")? }
        }
        "FO" => TcpOption::FastOpen(parse_cookie(cursor)?),
        other => return Err(cursor.error(format!("the option `{other}` is not in the subset"))),
    })
}

/// The digits of a cookie, with a letter among them; none ask for one.
fn parse_cookie(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, ScriptError> {
    let Some(Token::Word(digits)) = cursor.peek().cloned() else { return Ok(Vec::new()) };
    cursor.next();
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = core::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
        pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    pairs
        .collect::<Option<_>>()
        .ok_or_else(|| cursor.error(format!("`{digits}` is no cookie: hexadecimal digits")))
}

/// `unreachable frag_needed mtu 1200 [1:1461(1460)]`.
fn parse_icmp(cursor: &mut Cursor<'_>) -> Result<Icmp, ScriptError> {
    let mut words = vec![cursor.expect_word()?.to_owned()];
    while let Some(Token::Word(word)) = cursor.peek()
        && word != "mtu"
    {
        words.push(word.clone());
        cursor.next();
    }
    let Some(kind) = IcmpKind::from_words(&words) else {
        return Err(cursor.error(format!("ICMP `{}` is not in the subset", words.join(" "))));
    };
    let mtu = if cursor.take_word("mtu") { cursor.expect_number()? } else { 0 };
    cursor.expect_sign('[')?;
    let (start, len) = parse_range(cursor)?;
    cursor.expect_sign(']')?;
    Ok(Icmp { kind, mtu, start, len })
}
