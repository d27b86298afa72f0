//! The rules of the house that neither the compiler nor clippy checks.
//!
//! # Theory of operation
//! `cargo metadata` names the crates. Of each, the manifest is read as TOML and every Rust file as tokens and
//! syntax ([`source`]), so that nothing in a comment or a string is mistaken for code. From the crate's roots
//! (`lib.rs`, `main.rs`) the `mod` declarations are followed ([`modules`]), which tells code from tests:
//! what stands under `#[cfg(test)]` or in `tests/` is a test. Each rule is a function from what was read to
//! [`Finding`]s, and has a unit test on a small source that it flags and on one that it does not.
//!
//! # Rules
//! | file | rule |
//! |---|---|
//! | [`layers`] | dependencies follow the layers; the core takes only its five crates from outside |
//! | [`manifest`] | every manifest inherits version, edition, licence, lints and dependency versions |
//! | [`cycles`] | no circle between the modules of a crate |
//! | [`purity`] | no clock, thread, file, socket, environment, random seed or shared state in the core |
//! | [`ip_version`] | no V4/V6 token in `l4-transport` |
//! | [`examples`] | every public item of `netloom` has an example |
//! | [`hygiene`] | file docs, file length, `unsafe`, unfinished code, ignored tests, bare allows |
//! | [`machine_paths`] | no path of somebody's machine in any text file |
//! | [`requirements`] | the table of requirements is well formed, and every id cited in a comment is in it |
//!
//! # Not here
//! What a lint of clippy or rustc can say; see `[workspace.lints]` and `crates/base/clippy.toml`.

mod cycles;
mod examples;
pub(crate) mod finding;
mod hygiene;
mod ip_version;
mod layers;
mod machine_paths;
mod manifest;
mod modules;
mod purity;
mod references;
pub(crate) mod requirements;
pub(crate) mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package, TargetKind};

use finding::Finding;
use modules::CrateModules;
use source::Source;

/// Runs every rule on the workspace and prints what they found; true if that is nothing.
pub(crate) fn run() -> Result<bool> {
    let mut findings = check_workspace()?;
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: the house is in order"),
        count => println!("tidy: {count} findings"),
    }
    Ok(findings.is_empty())
}

fn check_workspace() -> Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .context("cargo metadata does not read the workspace")?;
    let root = metadata.workspace_root.as_std_path();
    let table_path = Path::new("specs/requirements.tsv");
    let table_text = fs::read_to_string(root.join(table_path))
        .with_context(|| format!("{} cannot be read", table_path.display()))?;
    let (table, mut findings) = requirements::Table::parse(table_path, &table_text);
    findings.extend(machine_paths::check_tree(root)?);
    for package in &metadata.packages {
        let reader = Reader { root };
        findings.extend(check_manifest(&reader, package)?);
        findings.extend(check_package(&reader, package, &table)?);
    }
    Ok(findings)
}

fn check_manifest(reader: &Reader<'_>, package: &Package) -> Result<Vec<Finding>> {
    let path = reader.relative(package.manifest_path.as_std_path());
    let text = reader.read(&path).context("a manifest cannot be read")?;
    let dependencies: Vec<_> = package
        .dependencies
        .iter()
        .map(|dependency| layers::Dependency { name: &dependency.name, kind: dependency.kind })
        .collect();
    let mut findings = layers::check(&path, &text, &package.name, &dependencies);
    findings.extend(manifest::check(&path, &text)?);
    if layers::is_core(&package.name) {
        let lints = path.with_file_name("clippy.toml");
        let shared = reader.read(Path::new("crates/base/clippy.toml"));
        if shared.is_none() || reader.read(&lints) != shared {
            findings.push(Finding::new(&path, 1, "a crate of the core links clippy.toml to base's"));
        }
    }
    Ok(findings)
}

fn check_package(
    reader: &Reader<'_>,
    package: &Package,
    table: &requirements::Table,
) -> Result<Vec<Finding>> {
    let name = package.name.as_str();
    let directory = reader.relative(package.manifest_path.as_std_path());
    let directory = directory.parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    let mut reached = BTreeSet::new();
    let mut unsafe_files = Vec::new();
    for target in &package.targets {
        let is_product = target
            .kind
            .iter()
            .any(|kind| matches!(kind, TargetKind::Lib | TargetKind::Bin | TargetKind::ProcMacro));
        if !is_product {
            continue;
        }
        let root = reader.relative(target.src_path.as_std_path());
        let (modules, problems) = CrateModules::load(&root, &|path| reader.read(path));
        findings.extend(problems);
        findings.extend(cycles::check(&modules));
        findings.extend(hygiene::check_root(name, &modules));
        if layers::is_core(name) {
            findings.extend(purity::check(&modules));
        }
        for source in modules.sources() {
            findings.extend(check_source(name, source, table));
            reached.insert(source.path.clone());
            if name == hygiene::UNSAFE_CRATE && hygiene::has_unsafe(source) {
                unsafe_files.push(source.path.clone());
            }
        }
    }
    findings.extend(hygiene::check_unsafe_files(&unsafe_files));
    for path in rust_files(reader, directory)? {
        if reached.contains(&path) {
            continue;
        }
        let in_src = path.starts_with(directory.join("src"));
        if in_src {
            findings.push(Finding::new(&path, 1, "no crate root declares this file as a module"));
        }
        let text = reader.read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        match Source::parse(&path, text, !in_src) {
            Ok(source) => findings.extend(check_source(name, &source, table)),
            Err(finding) => findings.push(finding),
        }
    }
    Ok(findings)
}

fn check_source(package: &str, source: &Source, table: &requirements::Table) -> Vec<Finding> {
    let mut findings = hygiene::check_file(package, source);
    findings.extend(table.check(source));
    if package == examples::SHOWN_CRATE {
        findings.extend(examples::check(source));
    }
    if package == ip_version::BLIND_CRATE {
        findings.extend(ip_version::check(source));
    }
    findings
}

/// Every Rust file below `directory`, relative to the workspace.
fn rust_files(reader: &Reader<'_>, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(reader.root.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "target" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads files by their path from the root of the workspace, the form in which they are reported.
struct Reader<'a> {
    root: &'a Path,
}

impl Reader<'_> {
    fn read(&self, path: &Path) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }
}
