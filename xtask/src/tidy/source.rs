//! A Rust file as tokens, syntax and comments.

use std::ops::Range;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::finding::Finding;

/// A file that was read and parsed.
pub(crate) struct Source {
    /// Relative to the root of the workspace.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
    /// Every token in the order of the text, doc comments left out.
    pub(crate) tokens: Vec<Token>,
    /// The whole file is test code.
    pub(crate) is_test: bool,
    /// Where the items are, in bytes, that exist only in tests.
    test_ranges: Vec<Range<usize>>,
}

/// A token that has no parts.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) kind: TokenKind,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Offset in bytes.
    pub(crate) start: usize,
    /// Inside the brackets of an attribute.
    pub(crate) in_attribute: bool,
}

/// What a token is, as far as a rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Ident,
    Punct,
    Literal,
    Open,
    Close,
}

/// A line of a comment.
pub(crate) struct CommentLine<'a> {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: &'a str,
}

impl Source {
    /// Parses `text`; `is_test` says that all of it is test code, whatever it says itself.
    pub(crate) fn parse(path: &Path, text: String, is_test: bool) -> Result<Self, Finding> {
        let stream: TokenStream =
            text.parse().map_err(|error| Finding::new(path, 1, format!("not lexed as Rust: {error}")))?;
        let syntax: syn::File = syn::parse2(stream.clone()).map_err(|error| {
            Finding::new(path, error.span().start().line, format!("not parsed as Rust: {error}"))
        })?;
        let mut reader = TokenReader::default();
        reader.read(stream, false);
        let is_test = is_test || reader.whole_is_test;
        Ok(Self {
            path: path.to_owned(),
            text,
            syntax,
            tokens: reader.tokens,
            is_test,
            test_ranges: reader.test_ranges,
        })
    }

    /// Whether what stands at `offset` exists only in tests.
    pub(crate) fn is_test_at(&self, offset: usize) -> bool {
        self.is_test || self.test_ranges.iter().any(|range| range.contains(&offset))
    }

    /// The tokens that are not test code.
    pub(crate) fn code_tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !self.is_test_at(token.start))
    }

    /// The number of lines outside inline test modules.
    pub(crate) fn code_line_count(&self) -> usize {
        let tests: usize = self
            .test_ranges
            .iter()
            .filter_map(|range| self.text.get(range.clone()))
            .map(|text| text.lines().count())
            .sum();
        self.text.lines().count().saturating_sub(tests)
    }

    /// Every line that holds a comment, with what is not comment blanked out; doc comments are comments.
    pub(crate) fn comment_lines(&self) -> Vec<CommentLine<'_>> {
        let mut lines = Vec::new();
        let mut gap_start = 0;
        for end in self.tokens.iter().map(|token| token.start).chain([self.text.len()]) {
            self.push_comment_lines(gap_start..end, &mut lines);
            gap_start = end + self.token_len_at(end);
        }
        lines
    }

    /// Splits the text between two tokens, which is white space and comments, into lines.
    fn push_comment_lines<'a>(&'a self, gap: Range<usize>, lines: &mut Vec<CommentLine<'a>>) {
        let Some(text) = self.text.get(gap.clone()) else { return };
        if text.trim().is_empty() {
            return;
        }
        let before = self.text.get(..gap.start).unwrap_or_default();
        let first = before.matches('\n').count() + 1;
        for (index, text) in text.split('\n').enumerate() {
            if !text.trim().is_empty() {
                lines.push(CommentLine { line: first + index, text });
            }
        }
    }

    /// The length of the token that starts at `start`, or 0 if none does.
    fn token_len_at(&self, start: usize) -> usize {
        match self.tokens.binary_search_by_key(&start, |token| token.start) {
            Ok(index) => self.tokens.get(index).map_or(0, |token| token.text.len()),
            Err(_) => 0,
        }
    }
}

/// Walks token trees into [`Token`]s and finds the items that are tests.
#[derive(Default)]
struct TokenReader {
    tokens: Vec<Token>,
    test_ranges: Vec<Range<usize>>,
    whole_is_test: bool,
}

impl TokenReader {
    fn read(&mut self, stream: TokenStream, in_attribute: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        self.find_test_items(&trees);
        let mut after_pound = false;
        for tree in trees {
            let is_doc_comment = is_doc_comment(&tree);
            let is_attribute = after_pound
                && matches!(&tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket);
            after_pound = match &tree {
                TokenTree::Punct(punct) => {
                    punct.as_char() == '#'
                        || after_pound && punct.as_char() == '!' && punct.spacing() == Spacing::Alone
                }
                TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => false,
            };
            if !is_doc_comment {
                self.read_tree(tree, in_attribute || is_attribute);
            }
        }
    }

    fn read_tree(&mut self, tree: TokenTree, in_attribute: bool) {
        let mut push = |text: String, kind, span: proc_macro2::Span| {
            let start = span.byte_range().start;
            self.tokens.push(Token { text, kind, line: span.start().line, start, in_attribute });
        };
        match tree {
            TokenTree::Ident(ident) => push(ident.to_string(), TokenKind::Ident, ident.span()),
            TokenTree::Punct(punct) => push(punct.to_string(), TokenKind::Punct, punct.span()),
            TokenTree::Literal(literal) => {
                let text = literal.span().source_text().unwrap_or_else(|| literal.to_string());
                push(text, TokenKind::Literal, literal.span());
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), TokenKind::Open, group.span_open());
                self.read(group.stream(), in_attribute);
                let span = group.span_close();
                let (start, line) = (span.byte_range().start, span.start().line);
                self.tokens.push(Token {
                    text: close.to_owned(),
                    kind: TokenKind::Close,
                    line,
                    start,
                    in_attribute,
                });
            }
        }
    }

    /// Notes each item of this level that an attribute makes a test, from the attribute to the item's end.
    fn find_test_items(&mut self, trees: &[TokenTree]) {
        let mut index = 0;
        while index < trees.len() {
            match attribute_at(trees, index) {
                Some((attribute, next)) if makes_test(attribute.stream()) => {
                    if next - index == 3 {
                        self.whole_is_test = true;
                        return;
                    }
                    let end = item_end(trees, next);
                    let start = trees.get(index).map_or(0, |tree| tree.span().byte_range().start);
                    let stop = trees.get(end - 1).map_or(start, |tree| tree.span().byte_range().end);
                    self.test_ranges.push(start..stop);
                    index = end;
                }
                Some((_, next)) => index = next,
                None => index += 1,
            }
        }
    }
}

/// The attribute that begins at `index`, and the index after it: 2 trees for `#[..]`, 3 for `#![..]`.
fn attribute_at(trees: &[TokenTree], index: usize) -> Option<(&proc_macro2::Group, usize)> {
    let is_punct = |index: usize, wanted: char| matches!(trees.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted);
    if !is_punct(index, '#') {
        return None;
    }
    let group_index = if is_punct(index + 1, '!') { index + 2 } else { index + 1 };
    match trees.get(group_index) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some((group, group_index + 1))
        }
        _ => None,
    }
}

/// Whether the content of an attribute is `test`, `some::test` or a `cfg` that holds only in tests.
fn makes_test(attribute: TokenStream) -> bool {
    let trees: Vec<TokenTree> = attribute.into_iter().collect();
    match trees.as_slice() {
        [TokenTree::Ident(name), TokenTree::Group(condition)] if name == "cfg" => {
            arguments(condition.stream()).iter().any(|argument| implies_test(argument))
        }
        [.., TokenTree::Ident(name)] | [.., TokenTree::Ident(name), TokenTree::Group(_)] => name == "test",
        _ => false,
    }
}

/// Whether a `cfg` predicate can only hold when tests are compiled.
fn implies_test(predicate: &[TokenTree]) -> bool {
    match predicate {
        [TokenTree::Ident(name)] => name == "test",
        [TokenTree::Ident(name), TokenTree::Group(group)] if name == "all" => {
            arguments(group.stream()).iter().any(|argument| implies_test(argument))
        }
        [TokenTree::Ident(name), TokenTree::Group(group)] if name == "any" => {
            arguments(group.stream()).iter().all(|argument| implies_test(argument))
        }
        _ => false,
    }
}

/// A list of tokens cut at its commas.
fn arguments(stream: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut list = vec![Vec::new()];
    for tree in stream {
        match (&tree, list.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => list.push(Vec::new()),
            (_, Some(last)) => last.push(tree),
            (_, None) => {}
        }
    }
    list.retain(|argument| !argument.is_empty());
    list
}

/// The index after the item, field or arm that begins at `start`: it ends with a semicolon, a block, or, unless
/// it is an item, a comma.
fn item_end(trees: &[TokenTree], start: usize) -> usize {
    const ITEMS: &[&str] = &[
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "unsafe",
        "use",
    ];
    let mut is_item = false;
    for (index, tree) in trees.iter().enumerate().skip(start) {
        match tree {
            TokenTree::Ident(ident) => is_item |= ITEMS.contains(&ident.to_string().as_str()),
            TokenTree::Punct(punct) if punct.as_char() == ';' || punct.as_char() == ',' && !is_item => {
                return index + 1;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return index + 1,
            TokenTree::Punct(_) | TokenTree::Group(_) | TokenTree::Literal(_) => {}
        }
    }
    trees.len()
}

/// Whether the tree was made from a doc comment: its text then begins as a comment does.
fn is_doc_comment(tree: &TokenTree) -> bool {
    tree.span().source_text().is_some_and(|text| text.starts_with("//") || text.starts_with("/*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse(Path::new("src/lib.rs"), text.to_owned(), false).unwrap()
    }

    fn code_words(text: &str) -> String {
        let source = parse(text);
        let words: Vec<&str> = source.code_tokens().map(|token| token.text.as_str()).collect();
        words.join(" ")
    }

    #[test]
    fn comments_and_docs_are_no_tokens() {
        assert_eq!(
            code_words("//! Head.\n/// Doc.\n// Why.\nconst A: u8 = 1; /* b */"),
            "const A : u8 = 1 ;"
        );
    }

    #[test]
    fn comment_lines_carry_their_line() {
        let source =
            parse("//! Head.\nconst A: &str = \"// no\"; // yes\n/* two\nlines */\n/// Doc.\nfn f() {}\n");
        let lines: Vec<(usize, &str)> =
            source.comment_lines().iter().map(|comment| (comment.line, comment.text.trim())).collect();
        assert_eq!(lines, [(1, "//! Head."), (2, "// yes"), (3, "/* two"), (4, "lines */"), (5, "/// Doc.")]);
    }

    #[test]
    fn test_items_are_told_from_code() {
        for (text, code) in [
            ("#[cfg(test)] mod tests { fn f() {} } struct A;", "struct A ;"),
            ("#[cfg(test)] mod tests; struct A;", "struct A ;"),
            ("#[test] #[should_panic] fn f() -> [u8; 2] { [0; 2] } struct A;", "struct A ;"),
            ("#[tokio::test(flavor = \"x\")] async fn f() {} struct A;", "struct A ;"),
            ("struct A { #[cfg(test)] a: u8, b: u8 }", "struct A { b : u8 }"),
            ("#[cfg(all(test, unix))] fn f() {} struct A;", "struct A ;"),
            ("#![cfg(test)] struct A;", ""),
        ] {
            assert_eq!(code_words(text), code, "{text}");
        }
        for text in
            ["#[cfg(not(test))] fn f() {}", "#[cfg(any(test, unix))] fn f() {}", "#[inline] fn test() {}"]
        {
            assert!(code_words(text).contains("fn"), "{text}");
        }
    }

    #[test]
    fn lines_of_tests_are_not_counted() {
        assert_eq!(parse("fn f() {}\n#[cfg(test)]\nmod tests {\n}\n").code_line_count(), 1);
    }

    #[test]
    fn a_file_that_does_not_parse_is_a_finding() {
        let finding = Source::parse(Path::new("a.rs"), "fn f( {".to_owned(), false).err().unwrap();
        assert!(finding.to_string().starts_with("a.rs:1: not lexed as Rust"), "{finding}");
    }
}
