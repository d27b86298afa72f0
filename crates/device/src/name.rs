//! What an interface may be called.

use std::fmt;

/// Longest interface name in bytes: Linux' `IFNAMSIZ` without the closing zero.
pub const NAME_MAX_LEN: usize = 15;

/// Why an interface cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It has no character.
    Empty,
    /// It has more than [`NAME_MAX_LEN`] bytes.
    TooLong,
    /// It holds something that a name cannot: a space, a control character, one beyond ASCII, `/`, `:`, or the
    /// `%` of the kernel's templates.
    Character(char),
    /// The kernel uses it for something else: `.`, `..`, `all`, `default`.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "it is empty"),
            Self::TooLong => write!(f, "it is longer than {NAME_MAX_LEN} bytes"),
            Self::Character(character) => write!(f, "it contains {character:?}"),
            Self::Reserved => write!(f, "the kernel reserves it"),
        }
    }
}

impl std::error::Error for NameError {}

/// Checks an interface name before the kernel sees it, which would cut a long one and fill in a template.
///
/// # Errors
///
/// The first reason against it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(character) = name.chars().find(|&character| !is_allowed(character)) {
        return Err(NameError::Character(character));
    }
    if name.len() > NAME_MAX_LEN {
        return Err(NameError::TooLong);
    }
    if [".", "..", "all", "default"].contains(&name) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

const fn is_allowed(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '/' | ':' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_before_the_kernel_sees_them() {
        let table = [
            ("netloom0", Ok(())),
            ("a", Ok(())),
            ("exactly15bytes_", Ok(())),
            ("eth0.100", Ok(())),
            ("-x", Ok(())),
            ("", Err(NameError::Empty)),
            ("sixteen_bytes_at", Err(NameError::TooLong)),
            ("tap%d", Err(NameError::Character('%'))),
            ("a/b", Err(NameError::Character('/'))),
            ("a:0", Err(NameError::Character(':'))),
            ("a b", Err(NameError::Character(' '))),
            ("a\n", Err(NameError::Character('\n'))),
            ("a\0b", Err(NameError::Character('\0'))),
            ("größe", Err(NameError::Character('ö'))),
            (".", Err(NameError::Reserved)),
            ("..", Err(NameError::Reserved)),
            ("all", Err(NameError::Reserved)),
            ("default", Err(NameError::Reserved)),
        ];
        for (name, expected) in table {
            assert_eq!(check_name(name), expected, "{name:?}");
        }
    }
}
