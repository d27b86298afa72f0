//! The order of the crates: who may depend on whom, and on what from outside.

use std::path::Path;

use cargo_metadata::DependencyKind;

use super::finding::Finding;

/// Every crate with the ones right below it; it may depend on all that those may depend on, too.
///
/// Siblings never depend on each other: what one needs of another, `stack` carries as a value.
const LAYERS: &[(&str, &[&str])] = &[
    ("netloom-base", &[]),
    ("netloom-wire", &["netloom-base"]),
    ("netloom-l2-link", &["netloom-wire"]),
    ("netloom-l3-internet", &["netloom-wire"]),
    ("netloom-l4-transport", &["netloom-wire"]),
    ("netloom-stack", &["netloom-l2-link", "netloom-l3-internet", "netloom-l4-transport"]),
    ("netloom-device", &["netloom-base"]),
    ("netloom-impair", &["netloom-base"]),
    ("netloom", &["netloom-stack", "netloom-device", "netloom-impair"]),
    ("netloom-l7-app", &["netloom"]),
    ("netloom-cli", &["netloom-l7-app"]),
    ("netloom-sim", &["netloom-stack", "netloom-impair"]),
    ("xtask", &[]),
];

/// Crates that are only tests: they may depend on anything, and nothing on them.
const TESTS_ONLY: &[&str] = &["netloom-conformance", "netloom-ecosystem", "netloom-bench"];

/// The crates that do no IO.
const CORE: &[&str] = &[
    "netloom-base",
    "netloom-impair",
    "netloom-wire",
    "netloom-l2-link",
    "netloom-l3-internet",
    "netloom-l4-transport",
    "netloom-stack",
];

/// All that the core takes from outside.
const CORE_TAKES: &[&str] = &["etherparse", "rand_chacha", "rand_core", "siphasher", "tracing"];

/// What a core crate does not take even for its tests: they run in virtual time.
const CORE_TESTS_REFUSE: &[&str] = &["tokio"];

/// A dependency as the manifest declares it.
pub(crate) struct Dependency<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: DependencyKind,
}

/// Whether the crate is one of those that do no IO.
pub(crate) fn is_core(package: &str) -> bool {
    CORE.contains(&package)
}

/// Compares what `package` depends on with the order of the layers; `text` is its manifest, at `path`.
pub(crate) fn check(path: &Path, text: &str, package: &str, dependencies: &[Dependency<'_>]) -> Vec<Finding> {
    if TESTS_ONLY.contains(&package) {
        return Vec::new();
    }
    if below(package).is_none() {
        let message =
            format!("`{package}` has no place in the order of the layers (xtask/src/tidy/layers.rs)");
        return vec![Finding::new(path, 1, message)];
    }
    let problem = |dependency: &Dependency<'_>| {
        let message = problem(package, dependency)?;
        Some(Finding::new(path, line_of(text, dependency), message))
    };
    dependencies.iter().filter_map(problem).collect()
}

fn problem(package: &str, dependency: &Dependency<'_>) -> Option<String> {
    let name = dependency.name;
    if dependency.kind == DependencyKind::Development {
        let is_refused = is_core(package) && CORE_TESTS_REFUSE.contains(&name);
        return is_refused.then(|| format!("`{package}` tests in virtual time, not with `{name}`"));
    }
    if TESTS_ONLY.contains(&name) {
        return Some(format!("`{name}` is for tests only, so `{package}` may not depend on it"));
    }
    let is_ours = below(name).is_some();
    if is_ours && !reaches(package, name) {
        return Some(format!(
            "`{package}` may not depend on `{name}`: it does not lie below it in the layers"
        ));
    }
    if !is_ours && is_core(package) && !CORE_TAKES.contains(&name) {
        return Some(format!(
            "`{package}` is of the core, which takes only {}, not `{name}`",
            CORE_TAKES.join(", ")
        ));
    }
    None
}

fn below(package: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(name, _)| *name == package).map(|(_, below)| *below)
}

/// Whether `lower` lies below `upper`.
fn reaches(upper: &str, lower: &str) -> bool {
    let mut open = below(upper).unwrap_or_default().to_vec();
    while let Some(name) = open.pop() {
        if name == lower {
            return true;
        }
        open.extend(below(name).unwrap_or_default());
    }
    false
}

/// The line of the manifest that declares the dependency, in the table of its kind.
fn line_of(text: &str, dependency: &Dependency<'_>) -> usize {
    let is_development = dependency.kind == DependencyKind::Development;
    let mut in_table = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            in_table = line.contains("dependencies") && line.contains("dev-dependencies") == is_development;
            if in_table && line.trim_end_matches(']').ends_with(&format!(".{}", dependency.name)) {
                return index + 1;
            }
        }
        let declares =
            line.strip_prefix(dependency.name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
        if in_table && declares {
            return index + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(package: &str, name: &str, kind: DependencyKind) -> Vec<String> {
        let text = format!(
            "[package]\n[dependencies]\n{name}.workspace = true\n[dev-dependencies]\n{name} = \"1\"\n"
        );
        let found = check(Path::new("Cargo.toml"), &text, package, &[Dependency { name, kind }]);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn upward_and_sideways_are_flagged() {
        for (package, name) in [
            ("netloom-base", "netloom-wire"),
            ("netloom-l4-transport", "netloom-l3-internet"),
            ("netloom-l2-link", "netloom-l4-transport"),
            ("netloom-device", "netloom-wire"),
            ("netloom-stack", "netloom-device"),
            ("netloom-l7-app", "netloom-cli"),
            ("netloom-stack", "netloom-sim"),
            ("netloom-impair", "netloom-wire"),
            ("netloom", "netloom-conformance"),
            ("netloom-stack", "tokio"),
            ("netloom-wire", "libc"),
            ("xtask", "netloom-base"),
        ] {
            assert_eq!(findings(package, name, DependencyKind::Normal).len(), 1, "{package} -> {name}");
            assert_eq!(findings(package, name, DependencyKind::Build).len(), 1, "{package} -> {name}");
        }
    }

    #[test]
    fn downward_and_tests_are_not() {
        for (package, name) in [
            ("netloom-stack", "netloom-base"),
            ("netloom-cli", "netloom-device"),
            ("netloom-sim", "netloom-l4-transport"),
            ("netloom-conformance", "netloom-cli"),
            ("netloom-l4-transport", "siphasher"),
            ("netloom", "tokio"),
        ] {
            assert_eq!(
                findings(package, name, DependencyKind::Normal),
                [] as [String; 0],
                "{package} -> {name}"
            );
        }
        assert!(findings("netloom-wire", "proptest", DependencyKind::Development).is_empty());
    }

    #[test]
    fn the_line_is_the_one_of_the_declaration() {
        let normal = findings("netloom-stack", "tokio", DependencyKind::Normal);
        assert!(normal[0].starts_with("Cargo.toml:3: "), "{normal:?}");
        let development = findings("netloom-stack", "tokio", DependencyKind::Development);
        assert!(development[0].starts_with("Cargo.toml:5: "), "{development:?}");
    }

    #[test]
    fn a_crate_without_a_place_is_flagged() {
        assert_eq!(check(Path::new("Cargo.toml"), "", "netloom-l5-session", &[]).len(), 1);
    }
}
