//! What every Rust file owes its reader: docs, a bearable length, finished code, and unsafe where it belongs.

use std::path::PathBuf;

use super::finding::Finding;
use super::modules::CrateModules;
use super::source::{Source, Token, TokenKind};

/// The one crate that may hold unsafe code, in one file.
pub(crate) const UNSAFE_CRATE: &str = "netloom-device";

/// Lines of a file that are not tests.
const MAX_LINE_COUNT: usize = 650;

/// Macros that stand for code that is not there, or that were left over from debugging.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// Openings of a file's docs that say nothing.
const EMPTY_OPENINGS: &[&str] = &["this module", "this file", "this crate", "the module ", "a module that"];

/// Checks one file of `package`.
pub(crate) fn check_file(package: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, message: String| findings.push(Finding::new(&source.path, line, message));
    if source.path.file_name().is_some_and(|name| name == "mod.rs") {
        report(1, "a module with children is foo.rs beside foo/, not foo/mod.rs".to_owned());
    }
    if let Some(message) = docs_problem(source) {
        report(1, message);
    }
    let line_count = source.code_line_count();
    if !source.is_test && line_count > MAX_LINE_COUNT {
        report(1, format!("{line_count} lines without tests: past {MAX_LINE_COUNT} a file is two"));
    }
    for (index, token) in source.tokens.iter().enumerate() {
        if token.kind != TokenKind::Ident {
            continue;
        }
        if let Some(message) = word_problem(token, &source.tokens[index + 1..]) {
            report(token.line, message);
        }
        if token.text == "expect" && token.in_attribute && !has_reason(&source.tokens[index + 1..]) {
            report(
                token.line,
                "an expected lint gives its reason: #[expect(lint, reason = \"...\")]".to_owned(),
            );
        }
        if token.text == "unsafe" && package != UNSAFE_CRATE {
            report(token.line, format!("unsafe code lives in {UNSAFE_CRATE} only"));
        }
    }
    findings
}

/// Checks that the root of a crate shuts unsafe code out.
pub(crate) fn check_root(package: &str, modules: &CrateModules) -> Vec<Finding> {
    let Some(root) = modules.sources().first() else { return Vec::new() };
    let shuts_out = |level: &str| {
        let names: Vec<&str> = root.tokens.iter().map(|token| token.text.as_str()).collect();
        names.windows(4).any(|window| window == [level, "(", "unsafe_code", ")"])
    };
    if shuts_out("forbid") || package == UNSAFE_CRATE && shuts_out("deny") {
        return Vec::new();
    }
    let wanted = if package == UNSAFE_CRATE { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
    vec![Finding::new(&root.path, 1, format!("the root of a crate says {wanted}"))]
}

/// Whether the file holds unsafe code.
pub(crate) fn has_unsafe(source: &Source) -> bool {
    source.tokens.iter().any(|token| token.kind == TokenKind::Ident && token.text == "unsafe")
}

/// Checks that no more than one file of [`UNSAFE_CRATE`] holds unsafe code.
pub(crate) fn check_unsafe_files(files: &[PathBuf]) -> Vec<Finding> {
    if files.len() < 2 {
        return Vec::new();
    }
    files
        .iter()
        .map(|path| Finding::new(path, 1, "unsafe code lives in one file, and here is another"))
        .collect()
}

fn word_problem(token: &Token, rest: &[Token]) -> Option<String> {
    let next_is = |text: &str| rest.first().is_some_and(|next| next.text == text);
    let name = token.text.as_str();
    let opens = rest.get(1).is_some_and(|second| second.kind == TokenKind::Open);
    if UNFINISHED.contains(&name) && next_is("!") && opens {
        return Some(format!("`{name}!` stands for code that is not there"));
    }
    if name == "ignore" && token.in_attribute && (next_is("]") || next_is("=") || next_is(")")) {
        return Some(
            "an ignored test proves nothing: run it, or skip it loudly where it cannot run".to_owned(),
        );
    }
    if name == "allow" && token.in_attribute && next_is("(") {
        return Some(
            "a lint is expected with a reason, not allowed: #[expect(lint, reason = \"...\")]".to_owned(),
        );
    }
    None
}

/// Whether the parentheses that open here hold `reason =`.
fn has_reason(tokens: &[Token]) -> bool {
    tokens.iter().take_while(|token| token.text != "]").any(|token| token.text == "reason")
}

fn docs_problem(source: &Source) -> Option<String> {
    let first = source.syntax.attrs.iter().find_map(inner_doc);
    let Some(first) = first.filter(|text| !text.trim().is_empty()) else {
        return Some("a file begins with `//!` and a sentence that says what it is".to_owned());
    };
    let opening = first.trim().to_lowercase();
    EMPTY_OPENINGS
        .iter()
        .any(|empty| opening.starts_with(empty))
        .then(|| "the first sentence says what the file is, not that it is a module".to_owned())
}

/// The text of an attribute that is an inner doc comment.
fn inner_doc(attribute: &syn::Attribute) -> Option<String> {
    let is_inner = matches!(attribute.style, syn::AttrStyle::Inner(_));
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    (is_inner && pair.path.is_ident("doc")).then(|| text.value())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tidy::modules::crate_of;

    fn flags(package: &str, path: &str, text: &str) -> usize {
        let source = Source::parse(Path::new(path), text.to_owned(), false).unwrap();
        check_file(package, &source).len()
    }

    fn flags_code(code: &str) -> usize {
        flags("netloom-wire", "src/a.rs", &format!("//! Doc.\n{code}"))
    }

    #[test]
    fn a_file_says_what_it_is() {
        for text in
            ["fn f() {}", "// Doc.\nfn f() {}", "/// Doc.\nfn f() {}", "//!\nfn f() {}", "//! This module is"]
        {
            assert_eq!(flags("x", "src/a.rs", text), 1, "{text}");
        }
        for text in ["//! Doc.", "// Licence.\n\n//! Doc.\n#![forbid(unsafe_code)]", "/*! Doc. */"] {
            assert_eq!(flags("x", "src/a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_module_is_not_called_mod() {
        assert_eq!(flags("x", "src/a/mod.rs", "//! Doc."), 1);
        assert_eq!(flags("x", "src/modern.rs", "//! Doc."), 0);
    }

    #[test]
    fn a_file_past_the_bound_is_flagged_and_its_tests_do_not_count() {
        let long = "const A: u8 = 1;\n".repeat(MAX_LINE_COUNT);
        assert_eq!(flags_code(&long), 1);
        assert_eq!(flags_code(&format!("#[cfg(test)]\nmod tests {{\n{long}}}")), 0);
    }

    /// One sample a line: in this file a search for what was left behind would find them.
    const UNFINISHED: &str = include_str!("hygiene/unfinished.txt");
    const WORDS: &str = include_str!("hygiene/words.txt");

    #[test]
    fn unfinished_code_is_flagged() {
        assert_eq!(UNFINISHED.lines().count(), 11);
        for code in UNFINISHED.lines() {
            assert_eq!(flags_code(code), 1, "{code}");
        }
    }

    #[test]
    fn words_in_comments_strings_and_names_are_not() {
        assert_eq!(WORDS.lines().count(), 5);
        for code in WORDS.lines() {
            assert_eq!(flags_code(code), 0, "{code}");
        }
    }

    #[test]
    fn unsafe_is_at_home_in_one_file_of_one_crate() {
        let code = UNFINISHED.lines().last().unwrap();
        assert_eq!(flags("netloom-wire", "src/a.rs", &format!("//! Doc.\n{code}")), 1);
        assert_eq!(flags(UNSAFE_CRATE, "src/ioctl.rs", &format!("//! Doc.\n{code}")), 0);
        assert_eq!(check_unsafe_files(&["src/ioctl.rs".into()]).len(), 0);
        assert_eq!(check_unsafe_files(&["src/ioctl.rs".into(), "src/lib.rs".into()]).len(), 2);
    }

    #[test]
    fn the_root_shuts_unsafe_out() {
        for (package, text, count) in [
            ("netloom-wire", "#![forbid(unsafe_code)]", 0),
            ("netloom-wire", "#![deny(unsafe_code)]", 1),
            ("netloom-wire", "// #![forbid(unsafe_code)]", 1),
            (UNSAFE_CRATE, "#![deny(unsafe_code)]", 0),
            (UNSAFE_CRATE, "", 1),
        ] {
            assert_eq!(
                check_root(package, &crate_of(&[("src/lib.rs", text)])).len(),
                count,
                "{package} {text}"
            );
        }
    }
}
