//! Words into steps: the grammar of a script.
//!
//! ```text
//! script:  option* command? event+
//! option:  --name[=value]
//! event:   time action
//! time:    S | +S | S~S | +S~+S | *
//! action:  < packet | > packet | < icmp | call | %{ assert ... }%
//! ```

use core::time::Duration;

use super::ast::{Action, Assertion, Comparison, Event, EventTime, InfoField};
use super::cursor::Cursor;
use super::error::ScriptError;
use super::lexer::{Token, tokenize};
use super::settings::Settings;

mod call;
mod packet;

/// A script's settings and steps.
pub(super) fn parse(file: &str, text: &str) -> Result<(Settings, Vec<Event>), ScriptError> {
    let tokens = tokenize(file, text)?;
    let mut cursor = Cursor::new(file, &tokens);
    let mut settings = Settings::default();
    while let Some(Token::Option(name)) = cursor.peek() {
        cursor.next();
        let value = if cursor.take_sign('=') { Some(option_value(&mut cursor)?) } else { None };
        settings.set_option(name, value.as_deref()).map_err(|message| cursor.error(message))?;
    }
    if let Some(Token::Command(commands)) = cursor.peek() {
        settings.run_commands(commands).map_err(|message| cursor.error(message))?;
        cursor.next();
    }
    let mut events = Vec::new();
    while cursor.peek().is_some() {
        events.push(parse_event(&mut cursor)?);
    }
    match events.first() {
        Some(Event { time: EventTime::Absolute(Duration::ZERO), .. }) => Ok((settings, events)),
        Some(_) | None => Err(ScriptError {
            file: file.to_owned(),
            line: events.first().map_or(1, |event| event.line),
            message: "the first step is at time 0".to_owned(),
        }),
    }
}

fn option_value(cursor: &mut Cursor<'_>) -> Result<String, ScriptError> {
    match cursor.next() {
        Some(Token::Word(word) | Token::Text(word)) => Ok(word.clone()),
        Some(Token::Integer(value)) => Ok(value.to_string()),
        Some(_) | None => Err(cursor.error("an option's value is missing here")),
    }
}

fn parse_event(cursor: &mut Cursor<'_>) -> Result<Event, ScriptError> {
    let line = cursor.line();
    let time = parse_time(cursor)?;
    let action = parse_action(cursor)?;
    let is_plain = matches!(time, EventTime::Absolute(_) | EventTime::Relative(_));
    if !is_plain && !matches!(action, Action::Outbound(_)) {
        return Err(cursor.error("only what the host sends may have a range of time, or any"));
    }
    Ok(Event { line, time, action })
}

fn parse_time(cursor: &mut Cursor<'_>) -> Result<EventTime, ScriptError> {
    if cursor.take_sign('*') {
        return Ok(EventTime::Any);
    }
    let is_relative = cursor.take_sign('+');
    let start = cursor.expect_time()?;
    if !cursor.take_sign('~') {
        return Ok(if is_relative { EventTime::Relative(start) } else { EventTime::Absolute(start) });
    }
    if is_relative {
        cursor.expect_sign('+')?;
    }
    let end = cursor.expect_time()?;
    if end < start {
        return Err(cursor.error("the range of time ends before it begins"));
    }
    Ok(if is_relative { EventTime::RelativeRange(start, end) } else { EventTime::AbsoluteRange(start, end) })
}

fn parse_action(cursor: &mut Cursor<'_>) -> Result<Action, ScriptError> {
    if cursor.take_sign('<') {
        return packet::parse_inbound(cursor);
    }
    if cursor.take_sign('>') {
        return packet::parse_outbound(cursor);
    }
    match cursor.peek() {
        Some(Token::Code(code)) => {
            let assertions = parse_assertions(cursor, code)?;
            cursor.next();
            Ok(Action::Assert(assertions))
        }
        Some(Token::Word(_) | Token::Ellipsis) => Ok(Action::Call(call::parse(cursor)?)),
        Some(Token::Command(_)) => Err(cursor.error("commands come before the first step")),
        Some(Token::Option(_) | Token::Decimal(_) | Token::Integer(_) | Token::Text(_) | Token::Sign(_))
        | None => Err(cursor.error("a packet, a system call or an assertion is missing here")),
    }
}

fn parse_assertions(cursor: &Cursor<'_>, code: &str) -> Result<Vec<Assertion>, ScriptError> {
    let statements = code.split(['\n', ';']).map(str::trim).filter(|statement| !statement.is_empty());
    statements
        .map(|statement| {
            let bad = || cursor.error(format!("`{statement}` is not `assert tcpi_... == number`"));
            let claim = statement.strip_prefix("assert ").ok_or_else(bad)?;
            // What follows a comma is what Python prints when the claim is false.
            let text = claim.split(',').next().unwrap_or(claim).trim();
            let (sign, comparison) =
                Comparison::SIGNS.into_iter().find(|(sign, _)| text.contains(sign)).ok_or_else(bad)?;
            let (field, value) = text.split_once(sign).ok_or_else(bad)?;
            let field = InfoField::from_name(field.trim()).ok_or_else(bad)?;
            let value = state_number(value.trim()).or_else(|| value.trim().parse().ok()).ok_or_else(bad)?;
            Ok(Assertion { field, comparison, value, text: text.to_owned() })
        })
        .collect()
}

/// Linux' numbers of the states.
fn state_number(name: &str) -> Option<i64> {
    const NAMES: [&str; 11] = [
        "TCP_ESTABLISHED",
        "TCP_SYN_SENT",
        "TCP_SYN_RECV",
        "TCP_FIN_WAIT1",
        "TCP_FIN_WAIT2",
        "TCP_TIME_WAIT",
        "TCP_CLOSE",
        "TCP_CLOSE_WAIT",
        "TCP_LAST_ACK",
        "TCP_LISTEN",
        "TCP_CLOSING",
    ];
    NAMES.iter().position(|known| *known == name).and_then(|place| i64::try_from(place + 1).ok())
}

#[cfg(test)]
mod tests;
