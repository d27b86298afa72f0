//! The trace of a small table against small files.

use std::path::{Path, PathBuf};

use super::marks::Places;
use super::*;

const ROWS: &str = "id\trfc\tsection\tlevel\ttext\tnote\nMUST-1\t9293\t3.1\tMUST\tDo | this.\t\n\
    MUST-2\t9293\t3.1\tMUST NOT\tDo not.\t\nSHLD-1\t9293\t3.1\tSHOULD\tMight.\t\n1122-L001\t1122\t2\tMUST\tDo.\t\n\
    6298-01\t6298\t2\tREQ\tDo.\t\n";

const CODE: &str = "//! Head.\n/// Does. [9293 MUST-1]\nfn f() {}\nfn g() {} // [9293 MUST-2]\n\
    const TEXT: &str = \"[9293 SHLD-1]\";\n#[cfg(test)]\nmod tests {\n    fn t() {} // [9293 MUST-1]\n}\n";

fn marks(files: &[(&str, &str)]) -> Marks {
    let mut marks = Marks::default();
    for (path, text) in files {
        marks.add(Path::new(path), (*text).to_owned());
    }
    marks
}

fn problems(files: &[(&str, &str)], exceptions: &str) -> Vec<String> {
    let (table, findings) = Table::parse(Path::new(TABLE), ROWS);
    assert!(findings.is_empty());
    let (exceptions, mut problems) = Exceptions::parse(exceptions, &|path| path == "docs/decisions/1.md");
    let marks = marks(files);
    problems.extend(Trace::join(&table, &marks, &exceptions).problems(&table, TABLE, &exceptions));
    problems
}

#[test]
fn code_is_told_from_tests() {
    let marks = marks(&[
        ("crates/a/src/f.rs", CODE),
        ("crates/a/src/f/tests.rs", "fn t() {} // [9293 MUST-2]\n"),
        ("crates/a/tests/f.rs", "fn t() {} // [9293 SHLD-1]\n"),
        ("crates/conformance/src/f.rs", "fn t() {} // [9293 SHLD-1]\n"),
        (
            "crates/conformance/scripts/f.pkt",
            "// What it shows.\n// [9293 MUST-1, SHLD-1]\n+0 > S 0:0(0) [9293-u01]\n",
        ),
    ]);
    let check = |id: &str, code: &[&str], tests: &[&str]| {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        assert_eq!(marks.places(id), Places { code: paths(code), tests: paths(tests) }, "{id}");
    };
    check("9293 MUST-1", &["crates/a/src/f.rs"], &["crates/a/src/f.rs", "crates/conformance/scripts/f.pkt"]);
    check("9293 MUST-2", &["crates/a/src/f.rs"], &["crates/a/src/f/tests.rs"]);
    let tests = ["crates/a/tests/f.rs", "crates/conformance/src/f.rs", "crates/conformance/scripts/f.pkt"];
    check("9293 SHLD-1", &[], &tests);
    check("9293-u01", &[], &[]);
}

#[test]
fn a_must_without_code_or_test_is_a_hole() {
    let holes = problems(&[("crates/a/src/f.rs", CODE)], "id\treason\tdecision\n");
    assert_eq!(holes.len(), 1, "neither a SHOULD, nor a REQ, nor an RFC that is not gated: {holes:?}");
    assert!(holes[0].contains("[9293 MUST-2] MUST NOT (section 3.1) is not tested"), "{holes:?}");
    assert_eq!(problems(&[], "id\treason\tdecision\n").len(), 2);
}

#[test]
fn an_exception_with_a_reason_closes_a_hole() {
    let file = ("crates/a/src/f.rs", CODE);
    for (exceptions, count) in [
        ("id\treason\tdecision\n9293 MUST-2\tNo router of today takes such packets.\t\n", 0),
        (
            "id\treason\tdecision\n9293 MUST-2\tNo router of today takes such packets.\tdocs/decisions/1.md\n",
            0,
        ),
        (
            "id\treason\tdecision\n9293 MUST-2\tNo router of today takes such packets.\tdocs/decisions/2.md\n",
            1,
        ),
        ("id\treason\tdecision\n9293 MUST-2\tno\t\n", 1),
        ("id\treason\n9293 MUST-2\tNo router of today takes such packets.\n", 3),
        ("id\treason\tdecision\n9293 MUST-1\tNo router of today takes such packets.\t\n", 2),
        ("id\treason\tdecision\n9293 MUST-9\tNo router of today takes such packets.\t\n", 2),
    ] {
        let found = problems(&[file], exceptions);
        assert_eq!(found.len(), count, "{exceptions}: {found:?}");
    }
}

#[test]
fn the_page_counts_and_links() {
    let (table, _) = Table::parse(Path::new(TABLE), ROWS);
    let reason = "id\treason\tdecision\n9293 SHLD-1\tNobody has ever asked for it.\tdocs/decisions/1.md\n";
    let (exceptions, _) = Exceptions::parse(reason, &|_| true);
    let marks = marks(&[("crates/a/src/f.rs", CODE), ("crates/b/src/f.rs", "fn f() {} // [1122-L001]\n")]);
    let page = report::render(&Trace::join(&table, &marks, &exceptions));
    for line in [
        "| [**9293**](#rfc-9293) | Transmission Control Protocol | 1 |  | 1 |  |  | 1 |  |  | |",
        "| MUST-1 | 3.1 | MUST | Do \\| this. | met | [a/src/f.rs](../crates/a/src/f.rs) | [a/src/f.rs](../crates/a/src/f.rs) |",
        "| MUST-2 | 3.1 | MUST NOT | Do not. | **not tested** | [a/src/f.rs](../crates/a/src/f.rs) |  |",
        "| SHLD-1 | 3.1 | SHOULD | Might. | excepted: Nobody has ever asked for it. ([decision](decisions/1.md)) |  |  |",
        "| 6298-01 | 2 | REQ | Do. | **missing** |  |  |",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}
