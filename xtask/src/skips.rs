//! Tests that passed without proving anything, because the machine lacks something.
//!
//! # Theory of operation
//! A test that cannot run here writes one line that begins with `SKIPPED:` and says why, and returns. The runners
//! hide what a passing test writes, so the lines are taken from where the runner keeps them: nextest's JUnit report,
//! or the output of `cargo test -- --show-output`. They are printed at the end, where nobody can miss them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

const MARK: &str = "SKIPPED:";

/// Reasons, each with the tests that gave it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Skips {
    tests_by_reason: BTreeMap<String, Vec<String>>,
}

impl Skips {
    /// From a JUnit report that keeps the output of the tests that passed.
    pub(crate) fn from_junit(report: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(report).context("the JUnit report is not XML")?;
        let mut skips = Self::default();
        for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
            let suite = case.attribute("classname").unwrap_or_default();
            let test = format!("{suite} {}", case.attribute("name").unwrap_or_default());
            let outputs =
                case.children().filter(|node| matches!(node.tag_name().name(), "system-out" | "system-err"));
            for line in outputs.filter_map(|node| node.text()).flat_map(str::lines) {
                skips.note(line, test.trim());
            }
        }
        Ok(skips)
    }

    /// From what `cargo test -- --show-output` writes: `---- name stdout ----` comes before a test's output.
    pub(crate) fn from_test_output(output: &str) -> Self {
        let mut skips = Self::default();
        let mut test = "a test";
        for line in output.lines() {
            if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
            {
                test = name;
            }
            skips.note(line, test);
        }
        skips
    }

    fn note(&mut self, line: &str, test: &str) {
        let Some(reason) = line.trim_start().strip_prefix(MARK) else { return };
        let tests = self.tests_by_reason.entry(reason.trim().to_owned()).or_default();
        if !tests.iter().any(|known| known == test) {
            tests.push(test.to_owned());
        }
    }

    /// The lines to print; a single one when nothing was skipped.
    pub(crate) fn lines(&self) -> Vec<String> {
        let count: usize = self.tests_by_reason.values().map(Vec::len).sum();
        if count == 0 {
            return vec!["SKIPPED: no test; all that there are were run".to_owned()];
        }
        let tests = if count == 1 { "test proves" } else { "tests prove" };
        let mut lines = vec![format!("SKIPPED: {count} {tests} nothing on this machine:")];
        for (reason, tests) in &self.tests_by_reason {
            lines.push(format!("  {reason}"));
            lines.extend(tests.iter().map(|test| format!("    {test}")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_read_from_a_junit_report() {
        let report = r#"<?xml version="1.0"?><testsuites><testsuite name="device">
            <testcase name="opens" classname="netloom-device"><system-out>SKIPPED:  no &lt;tun&gt;
SKIPPED: no &lt;tun&gt;</system-out><system-err>done</system-err></testcase>
            <testcase name="closes" classname="netloom-device"><system-err>x
SKIPPED: no &lt;tun&gt;
</system-err></testcase>
            <testcase name="other" classname="netloom-device"><system-err>not SKIPPED: at all</system-err></testcase>
            </testsuite></testsuites>"#;
        assert_eq!(
            Skips::from_junit(report).unwrap().lines(),
            [
                "SKIPPED: 2 tests prove nothing on this machine:",
                "  no <tun>",
                "    netloom-device opens",
                "    netloom-device closes"
            ]
        );
    }

    #[test]
    fn skips_are_read_from_the_output_of_cargo_test() {
        let output = "running 1 test\n---- tests::opens stdout ----\nSKIPPED: no privilege\n\nsuccesses:\n    tests::opens\n";
        assert_eq!(Skips::from_test_output(output).lines()[1..], ["  no privilege", "    tests::opens"]);
    }

    #[test]
    fn nothing_skipped_is_said_too() {
        assert_eq!(Skips::from_test_output("test a ... ok\n").lines().len(), 1);
    }
}
