//! What a user of the sockets may call has an example, which rustdoc compiles and runs.
//!
//! A public item is one that says `pub` and nothing narrower: what cannot be reached from outside must not say so
//! (rustc's `unreachable_pub`). Methods that macros write count as others do. Modules, re-exports, fields, variants and
//! the methods of traits are shown by what they belong to.

use super::finding::Finding;
use super::source::{Source, Token, TokenKind};

/// The crate that users call.
pub(crate) const SHOWN_CRATE: &str = "netloom";

/// What may stand between `pub` and what kind of item it is.
const QUALIFIERS: &[&str] = &["async", "unsafe", "extern"];

/// Kinds of items that have an example.
const KINDS: &[&str] = &["fn", "struct", "enum", "union", "trait", "type", "const", "static"];

/// Each public item of a file whose docs have no block of code.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if token.text != "pub" || token.in_attribute || source.is_test_at(token.start) {
            continue;
        }
        let Some(name) = item_name(&source.tokens[index + 1..]) else { continue };
        let above = above(&lines[..token.line - 1]);
        let is_hidden = above.iter().any(|line| line.trim_start().starts_with("#[doc(hidden)]"));
        let is_shown = above.iter().any(|line| line.trim_start().starts_with("/// ```"));
        if !is_hidden && !is_shown {
            let message = format!("`{name}` is public and has no example in its docs");
            findings.push(Finding::new(&source.path, token.line, message));
        }
    }
    findings
}

/// The name of the item whose tokens after `pub` these are, if it is one to be shown.
fn item_name(tokens: &[Token]) -> Option<&str> {
    let mut rest = tokens
        .iter()
        .skip_while(|token| QUALIFIERS.contains(&token.text.as_str()) || token.kind == TokenKind::Literal);
    let kind = rest.next().filter(|token| KINDS.contains(&token.text.as_str()))?;
    let name = rest.next()?;
    // A function that can be called at compile time is no constant.
    let name = if kind.text == "const" && name.text == "fn" { rest.next()? } else { name };
    Some(&name.text)
}

/// The docs and attributes at the end of `lines`.
fn above<'a>(lines: &'a [&'a str]) -> &'a [&'a str] {
    let is_other = |line: &&str| {
        let line = line.trim();
        line.is_empty() || !line.starts_with("///") && line.ends_with(['{', '}', ';'])
    };
    let start = lines.iter().rposition(is_other).map_or(0, |position| position + 1);
    &lines[start..]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn flags(code: &str) -> usize {
        let source = Source::parse(Path::new("src/a.rs"), format!("//! Doc.\n{code}"), false).unwrap();
        check(&source).len()
    }

    #[test]
    fn a_public_item_without_an_example_is_flagged() {
        for code in [
            "/// Doc.\npub fn f() {}",
            "/// Doc.\npub const fn f() {}",
            "/// Doc.\n#[must_use]\npub async fn f() {}",
            "/// Doc.\npub struct S;",
            "/// Doc.\npub trait T {}",
            "struct S;\nimpl S {\n    /// Doc.\n    pub fn f(&self) {}\n}",
            "macro_rules! m {\n    ($t:ty) => {\n        impl $t {\n            /// Doc.\n            pub fn f(&self) {}\n        }\n    };\n}",
            // The one before has an example, and this has none.
            "/// ```\n/// f();\n/// ```\npub fn f() {}\n/// Doc.\npub fn g() {}",
        ] {
            assert_eq!(flags(code), 1, "{code}");
        }
    }

    #[test]
    fn an_example_of_any_kind_will_do() {
        for fence in ["```", "```no_run", "```compile_fail"] {
            let code = format!(
                "/// Doc.\n///\n/// {fence}\n#[doc = include_str!(\"a.md\")]\n/// a();\n/// ```\n#[expect(\n    lint,\n    reason = \"none\"\n)]\npub fn f() {{}}"
            );
            assert_eq!(flags(&code), 0, "{code}");
        }
    }

    #[test]
    fn what_is_not_called_from_outside_needs_none() {
        for code in [
            "/// Doc.\npub(crate) fn f() {}",
            "/// Doc.\nfn f() {}",
            "pub mod a;\npub use b::C;",
            "struct S {\n    /// Doc.\n    pub a: u8,\n}",
            "/// Doc.\n#[doc(hidden)]\npub fn f() {}",
            "#[cfg(test)]\nmod tests {\n    pub fn f() {}\n}",
        ] {
            assert_eq!(flags(code), 0, "{code}");
        }
    }
}
