//! What the measuring commands share: medians, words about the machine, parts of a page that a command writes, and room for
//! the files of one run.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The middle one, or of two middle ones the lower; 0 of none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// The machine, as far as it says something about figures: `2 CPUs (AMD EPYC), Linux 6.18`.
pub(crate) fn machine() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a distribution adds to the version says more about the machine than about what was measured.
    let version: Vec<&str> = release.trim().split('.').take(2).collect();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let described = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = described
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(String::new, |(_, name)| format!(" ({})", name.trim()));
    format!("{processors} CPUs{model}, Linux {}", version.join("."))
}

/// A directory below `target` that no other run uses, and that goes with the value.
pub(crate) fn scratch(target: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("xtask-")
        .tempdir_in(target)
        .with_context(|| format!("no directory can be made in {}", target.display()))
}

/// Puts `text` between the markers that `command` has in the file.
pub(crate) fn write_part(path: &Path, command: &str, text: &str) -> Result<()> {
    let shown = path.display();
    let (begin, end) = markers(command);
    let old = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let new = replace(&old, command, text)
        .with_context(|| format!("{shown} has no line `{begin}` with `{end}` after it"))?;
    std::fs::write(path, new).with_context(|| format!("{shown} cannot be written"))
}

fn markers(command: &str) -> (String, String) {
    (format!("<!-- {command}: written by cargo xtask {command} -->"), format!("<!-- {command}: end -->"))
}

fn replace(old: &str, command: &str, text: &str) -> Option<String> {
    let (begin, end) = markers(command);
    let (before, rest) = old.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_written() {
        let (begin, end) = markers("measure");
        let old = format!("before\n{begin}\nold\n{end}\nafter\n");
        assert_eq!(replace(&old, "measure", "new\n"), Some(format!("before\n{begin}\nnew\n{end}\nafter\n")));
        assert_eq!(replace(&old, "other", "new"), None);
        assert_eq!(replace("no markers", "measure", "new"), None);
    }

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.0).abs() < 1e-9);
        assert!(median([]).abs() < 1e-9);
    }
}
