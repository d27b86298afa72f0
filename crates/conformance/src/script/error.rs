//! What is wrong with a script, or with what happened while it ran, and where.

use core::fmt;

/// A mistake in a script, or a difference between what it expects and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The script's name, a path as a rule.
    pub file: String,
    /// The line of the event, from 1.
    pub line: u32,
    /// What is wrong; the packets compared stand on lines of their own.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl core::error::Error for ScriptError {}
