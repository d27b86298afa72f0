//! What every manifest takes from the workspace's: version, edition, licence, lints, versions of dependencies.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::finding::Finding;

/// Keys of `[package]` that are `workspace = true`.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifest of a member, whose text is given.
pub(crate) fn check(path: &Path, text: &str) -> Result<Vec<Finding>> {
    let manifest: Table = text.parse().with_context(|| format!("{} is not TOML", path.display()))?;
    let mut findings = Vec::new();
    let mut report =
        |key: &str, message: String| findings.push(Finding::new(path, line_of(text, key), message));
    for key in INHERITED {
        if !is_inherited(manifest.get("package").and_then(|package| package.get(key))) {
            report(key, format!("a crate says `{key}.workspace = true`"));
        }
    }
    if !is_inherited(manifest.get("lints")) {
        report("[lints", "a crate says `[lints] workspace = true`".to_owned());
    }
    for table in DEPENDENCY_TABLES {
        let Some(Value::Table(dependencies)) = manifest.get(*table) else { continue };
        for (name, value) in dependencies {
            if !is_inherited(Some(value)) {
                report(
                    name,
                    format!("the version of `{name}` stands in the workspace: `{name}.workspace = true`"),
                );
            }
        }
    }
    Ok(findings)
}

fn is_inherited(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

/// The first line that begins with `key`, or the first of all.
fn line_of(text: &str, key: &str) -> usize {
    text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        [dependencies]\nlibc.workspace = true\nserde = { workspace = true, features = [\"derive\"] }\n\
        [lints]\nworkspace = true\n";

    fn findings(text: &str) -> Vec<String> {
        check(Path::new("Cargo.toml"), text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_that_inherits_is_in_order() {
        assert_eq!(findings(GOOD), [] as [String; 0]);
    }

    #[test]
    fn what_is_not_inherited_is_flagged() {
        for (from, to, line) in [
            ("version.workspace = true\n", "version = \"1\"\n", 3),
            ("license.workspace = true\n", "", 1),
            ("[lints]\nworkspace = true\n", "", 1),
            ("[lints]\nworkspace = true\n", "[lints.rust]\nmissing_docs = \"allow\"\n", 11),
            ("libc.workspace = true", "libc = \"1\"", 9),
        ] {
            let found = findings(&GOOD.replacen(from, to, 1));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("Cargo.toml:{line}: ")), "{found:?}");
        }
    }
}
