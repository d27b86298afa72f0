//! The table of requirements, and the ids by which comments cite it.
//!
//! # Forms of an id
//! A requirement whose RFC names it is cited by both: `9293 MUST-12`. One that we numbered carries the RFC in its
//! id: `7323-02`, `1122-L003`, `9293-u01`. In a comment it stands in square brackets, several with commas between
//! them: `9293 MUST-12, MUST-13` inherits the RFC of the one before.

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::Finding;
use super::source::Source;

const HEADER: &str = "id\trfc\tsection\tlevel\ttext\tnote";

const LEVELS: &[&str] = &["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "REQ"];

/// Every requirement of specs/requirements.tsv, in its order.
pub(crate) struct Table {
    pub(crate) rows: Vec<Requirement>,
    ids: BTreeSet<String>,
}

/// One row of the table.
pub(crate) struct Requirement {
    /// As it is cited.
    pub(crate) id: String,
    pub(crate) rfc: String,
    pub(crate) section: String,
    pub(crate) level: String,
    /// What is required, in our words.
    pub(crate) text: String,
}

impl Table {
    /// Reads the table, with what is wrong in it.
    pub(crate) fn parse(path: &Path, text: &str) -> (Self, Vec<Finding>) {
        let mut rows = Vec::new();
        let mut ids = BTreeSet::new();
        let mut findings = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut report = |message: String| findings.push(Finding::new(path, index + 1, message));
            if index == 0 {
                if line != HEADER {
                    report(
                        "the first line names the columns: id, rfc, section, level, text, note".to_owned(),
                    );
                }
                continue;
            }
            let [id, rfc, section, level, text, _] = line.split('\t').collect::<Vec<_>>()[..] else {
                report("a row has six columns with a tab between them".to_owned());
                continue;
            };
            if !LEVELS.contains(&level) {
                report(format!("`{level}` is no level: it is one of {}", LEVELS.join(", ")));
            }
            if text.is_empty() {
                report("a row says what is required".to_owned());
            }
            let id = if carries_rfc(id) { id.to_owned() } else { format!("{rfc} {id}") };
            if !id.starts_with(rfc) {
                report(format!("`{id}` does not begin with its RFC, {rfc}"));
            }
            if !ids.insert(id.clone()) {
                report(format!("`{id}` stands here a second time"));
            }
            let [rfc, section, level, text] = [rfc, section, level, text].map(str::to_owned);
            rows.push(Requirement { id, rfc, section, level, text });
        }
        (Self { rows, ids }, findings)
    }

    /// Whether there is a requirement with this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Every id in the comments of `source` that the table does not know.
    pub(crate) fn check(&self, source: &Source) -> Vec<Finding> {
        let mut findings = Vec::new();
        for comment in source.comment_lines() {
            for id in cited(comment.text) {
                if !self.knows(&id) {
                    let message = format!("specs/requirements.tsv has no requirement `{id}`");
                    findings.push(Finding::new(&source.path, comment.line, message));
                }
            }
        }
        findings
    }
}

/// Every id in a comment, with its RFC.
pub(crate) fn cited(comment: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for piece in comment.split('[').skip(1) {
        let Some((content, _)) = piece.split_once(']') else { continue };
        let mut rfc = None;
        for word in content.split(',').map(str::trim) {
            if carries_rfc(word) {
                ids.push(word.to_owned());
                rfc = word.split('-').next();
            } else if let Some((number, name)) =
                word.split_once(' ').filter(|(n, name)| is_rfc(n) && is_named(name))
            {
                ids.push(format!("{number} {name}"));
                rfc = Some(number);
            } else if let Some(rfc) = rfc.filter(|_| is_named(word)) {
                ids.push(format!("{rfc} {word}"));
            } else {
                break;
            }
        }
    }
    ids
}

/// `793`, `9293`.
fn is_rfc(word: &str) -> bool {
    matches!(word.len(), 3 | 4) && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `MUST-12`.
fn is_named(word: &str) -> bool {
    word.split_once('-').is_some_and(|(kind, number)| {
        kind.len() >= 3 && kind.bytes().all(|b| b.is_ascii_uppercase()) && is_number(number, 1..=3)
    })
}

/// `7323-02`, `1122-L003`, `9293-u01`, `1122-TN-01`; not a range of numbers such as `1000-2000`.
fn carries_rfc(word: &str) -> bool {
    let Some((rfc, rest)) = word.split_once('-') else { return false };
    let number = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-');
    let widths = if number.len() == rest.len() { 2..=2 } else { 1..=4 };
    is_rfc(rfc) && is_number(number, widths)
}

fn is_number(word: &str, widths: std::ops::RangeInclusive<usize>) -> bool {
    widths.contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "id\trfc\tsection\tlevel\ttext\tnote\nMUST-12\t9293\t3.5\tMUST\tDo.\t\nMUST-13\t9293\t3.5\tMUST\tDo.\t\n\
        7323-02\t7323\t2.2\tSHOULD NOT\tDo not.\t\n1122-L003\t1122\t2.3\tREQ\tDo.\tnote\n9293-u01\t9293\t3\tMAY\tDo.\t\n";

    fn table() -> Table {
        let (table, findings) = Table::parse(Path::new("requirements.tsv"), ROWS);
        assert_eq!(findings, []);
        table
    }

    fn unknown(comment: &str) -> usize {
        let source = Source::parse(Path::new("a.rs"), format!("{comment}\nstruct A;"), false).unwrap();
        table().check(&source).len()
    }

    #[test]
    fn ids_that_exist_are_in_order() {
        for comment in [
            "// [9293 MUST-12]",
            "/// Reads [7323-02], then [1122-L003].",
            "// [9293 MUST-12, MUST-13, 7323-02]",
            "// [9293-u01] why",
        ] {
            assert!(!cited(comment).is_empty(), "{comment}");
            assert_eq!(unknown(comment), 0, "{comment}");
        }
    }

    #[test]
    fn ids_that_do_not_exist_are_flagged() {
        for comment in [
            "// [9293 MUST-99]",
            "/* [7323-77] */",
            "fn f() {} // [1122 MUST-12]",
            "//! [9293 MUST-12, SHLD-1]",
        ] {
            assert_eq!(unknown(comment), 1, "{comment}");
        }
    }

    #[test]
    fn other_brackets_and_code_are_no_ids() {
        for text in [
            "// bytes [0..4], [1280 bytes], [1000-2000], [576-1500], [`Rng`], [RFC 9293]",
            "const A: &str = \"[9293 MUST-99]\";",
            "/// See [the figure](x).",
        ] {
            assert_eq!(unknown(text), 0, "{text}");
        }
    }

    #[test]
    fn a_wrong_row_is_flagged() {
        for (row, count) in [
            ("MUST-1\t9293\t3.5\tMUST\tDo.", 1),
            ("MUST-1\t9293\t3.5\tSHALL\tDo.\t", 1),
            ("MUST-1\t9293\t3.5\tMUST\t\t", 1),
            ("7323-01\t9293\t3.5\tMUST\tDo.\t", 1),
            ("MUST-12\t9293\t3.5\tMUST\tDo.\t", 1),
            ("MUST-1\t9293\t3.5\tMUST\tDo.\t", 0),
        ] {
            let (_, findings) = Table::parse(Path::new("requirements.tsv"), &format!("{ROWS}{row}\n"));
            assert_eq!(findings.len(), count, "{row}");
        }
        assert_eq!(Table::parse(Path::new("requirements.tsv"), "id\n").1.len(), 1);
    }
}
