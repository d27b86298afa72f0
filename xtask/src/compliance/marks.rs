//! Where comments cite requirements: `[9293 MUST-12]` in Rust files and packet scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tidy::requirements::{Table, cited};
use crate::tidy::source::Source;

/// Crates of which every line is there to test.
const TEST_CRATES: &[&str] = &["bench", "conformance", "sim"];

/// Files that cite a requirement, from the root of the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) code: BTreeSet<PathBuf>,
    pub(crate) tests: BTreeSet<PathBuf>,
}

/// Every citation, by id.
#[derive(Debug, Default)]
pub(crate) struct Marks(BTreeMap<String, Places>);

impl Marks {
    /// Reads every Rust file and packet script below `crates`, with the citations of what `table` does not know.
    pub(crate) fn collect(root: &Path, table: &Table) -> Result<(Self, Vec<String>)> {
        let mut marks = Self::default();
        for path in files(root, Path::new("crates"))? {
            let text = fs::read_to_string(root.join(&path))
                .with_context(|| format!("{} cannot be read", path.display()))?;
            marks.add(&path, text);
        }
        let mut unknown = Vec::new();
        for (id, places) in &marks.0 {
            if !table.knows(id) {
                let files = places.code.iter().chain(&places.tests);
                unknown
                    .extend(files.map(|path| format!("{}: there is no requirement [{id}]", path.display())));
            }
        }
        Ok((marks, unknown))
    }

    /// The files that cite `id`.
    pub(crate) fn places(&self, id: &str) -> Places {
        self.0.get(id).cloned().unwrap_or_default()
    }

    /// Notes what a file cites. One that does not parse is tidy's to report.
    pub(crate) fn add(&mut self, path: &Path, text: String) {
        if path.extension() == Some(OsStr::new("pkt")) {
            for line in text.lines().filter(|line| line.trim_start().starts_with("//")) {
                self.note(path, line, true);
            }
            return;
        }
        let Ok(source) = Source::parse(path, text, is_test_file(path)) else { return };
        let starts: Vec<usize> = line_starts(&source.text);
        for comment in source.comment_lines() {
            let is_test = starts.get(comment.line - 1).is_some_and(|&start| {
                let end =
                    start + source.text.get(start..).map_or(0, |rest| rest.find('\n').unwrap_or(rest.len()));
                source.is_test_at(start) || source.is_test_at(end)
            });
            self.note(path, comment.text, is_test);
        }
    }

    fn note(&mut self, path: &Path, comment: &str, is_test: bool) {
        for id in cited(comment) {
            let places = self.0.entry(id).or_default();
            let files = if is_test { &mut places.tests } else { &mut places.code };
            files.insert(path.to_owned());
        }
    }
}

/// Whether all of a file is there to test: by its crate, its folder or its name.
fn is_test_file(path: &Path) -> bool {
    let mut parts = path.iter().skip(1);
    let is_test_crate = parts.next().is_some_and(|name| TEST_CRATES.iter().any(|test| name == *test));
    is_test_crate || parts.any(|part| part == "tests" || part == "tests.rs")
}

/// Where each line begins, in bytes.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect()
}

/// Rust files and packet scripts below `directory`, in order.
fn files(root: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "pkt") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
