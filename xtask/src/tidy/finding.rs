//! A breach of a rule, and where it is.

use std::fmt;
use std::path::{Path, PathBuf};

/// A breach of a rule; shown as `file:line: sentence`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the root of the workspace.
    path: PathBuf,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Finding {
    pub(crate) fn new(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}
