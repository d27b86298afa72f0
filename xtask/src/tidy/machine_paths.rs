//! No path of somebody's machine stands in the project.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::finding::Finding;

/// First parts of paths that mean something on one machine only; in pieces, so that this file is no finding.
const ROOTS: &[&[&str]] = &[&["/wo", "rk/"], &["/ro", "ot/"]];

/// Directories that are not the project; `.git` is a file where a repository has several trees.
const SKIPPED: &[&str] = &["target", ".git"];

/// Checks every text file below `root`.
pub(crate) fn check_tree(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries =
            fs::read_dir(&directory).with_context(|| format!("{} cannot be listed", directory.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if SKIPPED.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                findings.extend(check(path.strip_prefix(root).unwrap_or(&path), &text));
            }
        }
    }
    Ok(findings)
}

/// Checks one text.
fn check(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for root in ROOTS {
            let root = root.concat();
            if line.match_indices(&root).any(|(start, _)| begins_path(line, start)) {
                let message = format!("`{root}` is a path of one machine");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether the slash at `start` begins a path and is not inside one.
fn begins_path(line: &str, start: usize) -> bool {
    let before = line[..start].chars().next_back();
    before.is_none_or(|before| {
        !(before.is_alphanumeric() || matches!(before, '.' | '_' | '-' | '~' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(line: &str) -> usize {
        check(Path::new("README.md"), line).len()
    }

    #[test]
    fn machine_paths_are_flagged() {
        for root in ROOTS {
            let root = root.concat();
            for line in
                [format!("cd {root}x"), format!("\"{root}x\""), format!("{root}x"), format!("a={root}x")]
            {
                assert_eq!(count(&line), 1, "{line}");
            }
        }
    }

    #[test]
    fn parts_of_other_paths_are_not() {
        for root in ROOTS {
            let root = root.concat();
            for line in [format!("https://example.org{root}x"), format!("./a{root}x"), root.replace('/', " ")]
            {
                assert_eq!(count(&line), 0, "{line}");
            }
        }
    }
}
