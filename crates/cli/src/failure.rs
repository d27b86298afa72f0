//! A failure as the user sees it: one line that says what is wrong and what to type.

use std::fmt;
use std::process::ExitCode;

/// What a command ends with when it cannot do its work.
///
/// The text is one line, without the leading `netloom: ` and without a full stop. Line breaks of a text that came
/// from elsewhere are folded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    text: String,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The machine is not as the command needs it: exit status 1.
    Refused,
    /// The flags or the configuration make no sense: exit status 2.
    Usage,
}

impl Failure {
    /// The machine does not allow it: exit status 1.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self::with_kind(Kind::Refused, text)
    }

    /// What was typed makes no sense: exit status 2.
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::with_kind(Kind::Usage, text)
    }

    fn with_kind(kind: Kind, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Self { kind, text: lines.collect::<Vec<_>>().join("; ") }
    }

    /// The status to exit with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Refused => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_line_breaks_are_folded() {
        assert_eq!(Failure::new("one\n  two\n\nthree\n").to_string(), "one; two; three");
    }
}
