//! A place in a script's words, and the small steps that every part of the parser takes from it.

use core::time::Duration;

use super::error::ScriptError;
use super::lexer::{Placed, Token};

/// Where the parser stands.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    file: &'a str,
    tokens: &'a [Placed],
    place: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(file: &'a str, tokens: &'a [Placed]) -> Self {
        Self { file, tokens, place: 0 }
    }

    /// The line of the next word, or of the last.
    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.place).or(self.tokens.last()).map_or(1, |placed| placed.line)
    }

    /// A mistake at the next word.
    pub(super) fn error(&self, message: impl Into<String>) -> ScriptError {
        ScriptError { file: self.file.to_owned(), line: self.line(), message: message.into() }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.place).map(|placed| &placed.token)
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.place += 1;
        token
    }

    /// Takes `sign` if it comes next.
    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let comes = self.peek() == Some(&Token::Sign(sign));
        self.place += usize::from(comes);
        comes
    }

    /// Takes `word` if it comes next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let comes = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.place += usize::from(comes);
        comes
    }

    pub(super) fn take_ellipsis(&mut self) -> bool {
        let comes = self.peek() == Some(&Token::Ellipsis);
        self.place += usize::from(comes);
        comes
    }

    pub(super) fn expect_sign(&mut self, sign: char) -> Result<(), ScriptError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.error(format!("`{sign}` is missing here"))) }
    }

    /// Any word.
    pub(super) fn expect_word(&mut self) -> Result<&'a str, ScriptError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.place += 1;
                Ok(word)
            }
            Some(_) | None => Err(self.error("a word is missing here")),
        }
    }

    pub(super) fn expect_integer(&mut self) -> Result<i64, ScriptError> {
        match self.peek() {
            Some(Token::Integer(value)) => {
                self.place += 1;
                Ok(*value)
            }
            Some(_) | None => Err(self.error("a number is missing here")),
        }
    }

    /// A number that fits `T`.
    pub(super) fn expect_number<T: TryFrom<i64>>(&mut self) -> Result<T, ScriptError> {
        let value = self.expect_integer()?;
        T::try_from(value).map_err(|_| self.error(format!("{value} is out of range")))
    }

    /// Seconds, with or without a fraction.
    pub(super) fn expect_time(&mut self) -> Result<Duration, ScriptError> {
        match self.peek() {
            Some(Token::Integer(seconds)) => {
                let time = u64::try_from(*seconds).map(Duration::from_secs);
                self.place += 1;
                time.map_err(|_| self.error("a time cannot be negative"))
            }
            Some(Token::Decimal(text)) => {
                self.place += 1;
                decimal_seconds(text).ok_or_else(|| self.error(format!("{text} is no time")))
            }
            Some(_) | None => Err(self.error("a time is missing here")),
        }
    }
}

/// `text` in seconds, exactly, down to the nanosecond.
fn decimal_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.')?;
    let seconds = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Duration::new(seconds, nanos))
}
