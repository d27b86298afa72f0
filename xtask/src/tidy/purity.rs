//! What the crates that do no IO must not mention: clocks, threads, files, sockets, the environment, random seeds.
//!
//! Clippy's `disallowed-*` lists (crates/base/clippy.toml) name single functions and types; here whole modules of
//! std are closed, re-exports and aliases included, and hash tables without a hasher of ours are found by their type.

use super::finding::Finding;
use super::modules::{CrateModules, Target};
use super::references::Reference;
use super::source::{Source, TokenKind};

/// Paths of std that are closed to the core with all below them, and why. `core` and `alloc` count as `std`.
const CLOSED: &[(&[&str], &str)] = &[
    (&["std", "time", "Instant"], "it reads a clock: time is an argument (netloom_base::Instant)"),
    (&["std", "time", "SystemTime"], "it reads a clock: time is an argument (netloom_base::Instant)"),
    (&["std", "time", "UNIX_EPOCH"], "it belongs to a clock: time is an argument (netloom_base::Instant)"),
    (&["std", "thread"], "the core runs on its caller's thread"),
    (&["std", "thread_local"], "the core keeps its state in Stack"),
    (&["std", "fs"], "the core opens no file"),
    (&["std", "os"], "the core does not know the operating system"),
    (&["std", "env"], "the core is told by its config"),
    (&["std", "process"], "the core does not know its process"),
    (&["std", "io", "stdin"], "the core reads no file"),
    (&["std", "io", "stdout"], "the core tells by tracing and counters"),
    (&["std", "io", "stderr"], "the core tells by tracing and counters"),
    (&["std", "net", "TcpStream"], "the core is the socket"),
    (&["std", "net", "TcpListener"], "the core is the socket"),
    (&["std", "net", "UdpSocket"], "the core is the socket"),
    (&["std", "net", "ToSocketAddrs"], "it asks a name server: take a SocketAddr"),
    (&["std", "hash", "RandomState"], "it seeds itself: use netloom_base::HashKey"),
    (&["std", "hash", "DefaultHasher"], "its keys are known to all: use netloom_base::HashKey"),
    (&["std", "collections", "hash_map", "RandomState"], "it seeds itself: use netloom_base::HashKey"),
    (
        &["std", "collections", "hash_map", "DefaultHasher"],
        "its keys are known to all: use netloom_base::HashKey",
    ),
    (&["std", "sync"], "a shard owns all that it touches: nothing is shared below netloom"),
    (&["std", "rc"], "a shard owns all that it touches: nothing is shared below netloom"),
    (&["std", "cell", "RefCell"], "a shard owns all that it touches: borrow it with &mut"),
    (&["rand_core", "OsRng"], "it asks the system for a seed: take a netloom_base::Rng"),
    (&["rand_core", "SysRng"], "it asks the system for a seed: take a netloom_base::Rng"),
    (&["getrandom"], "it asks the system for a seed: take a netloom_base::Rng"),
];

/// Names of macros that write to a file of the process.
const CLOSED_MACROS: &[&str] = &["print", "println", "eprint", "eprintln"];

/// Hash tables of std, the module of std they are in, and how many types name one with a hasher.
const TABLES: &[(&str, &str, usize)] = &[("HashMap", "hash_map", 3), ("HashSet", "hash_set", 2)];

/// Constructors that seed a table by themselves.
const SEEDING: &[&str] = &["new", "with_capacity", "from", "from_iter", "default"];

/// What the code of the crate, tests aside, mentions and must not.
pub(crate) fn check(modules: &CrateModules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, module) in modules.modules() {
        let source = modules.file_of(id);
        let imports =
            module.imports.iter().map(|import| (&import.target, modules.resolve_import(id, import)));
        let mentions = module.references.iter().map(|reference| (reference, modules.resolve(id, reference)));
        for (reference, target) in imports.chain(mentions) {
            let Target::External(path) = target else { continue };
            if let Some(reason) = breach(&normalize(path), reference) {
                findings.push(Finding::new(&source.path, reference.line, reason));
            }
        }
    }
    for source in modules.sources() {
        findings.extend(closed_macros(source));
    }
    findings
}

fn closed_macros(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for triple in source.tokens.windows(3) {
        let [name, bang, open] = triple else { continue };
        let is_call = bang.text == "!" && open.kind == TokenKind::Open;
        let is_closed = is_call && CLOSED_MACROS.contains(&name.text.as_str());
        if is_closed && !source.is_test_at(name.start) {
            let message = format!("`{}!` in the core: it tells by tracing and counters", name.text);
            findings.push(Finding::new(&source.path, name.line, message));
        }
    }
    findings
}

fn normalize(mut path: Vec<String>) -> Vec<String> {
    if let Some(first) = path.first_mut().filter(|first| matches!(first.as_str(), "core" | "alloc")) {
        "std".clone_into(first);
    }
    path
}

fn breach(path: &[String], reference: &Reference) -> Option<String> {
    let begins_with =
        |closed: &[&str]| path.len() >= closed.len() && path.iter().zip(closed).all(|(a, b)| a == b);
    if let Some((closed, reason)) = CLOSED.iter().find(|(closed, _)| begins_with(closed)) {
        return Some(format!("`{}` in the core: {reason}", closed.join("::")));
    }
    seeded_table(path, reference)
}

/// A hash table whose hasher is std's own, be it by its constructor or by its type.
fn seeded_table(path: &[String], reference: &Reference) -> Option<String> {
    let [std, collections, rest @ ..] = path else { return None };
    if std != "std" || collections != "collections" {
        return None;
    }
    let (table, tail, type_count) = TABLES.iter().find_map(|&(table, module, type_count)| match rest {
        [name, tail @ ..] if name == table => Some((table, tail, type_count)),
        [inner, name, tail @ ..] if inner == module && name == table => Some((table, tail, type_count)),
        _ => None,
    })?;
    let is_seeded = match tail {
        [] => {
            let given = reference.segments.last().map_or(0, |segment| segment.type_count);
            given > 0 && given < type_count
        }
        [function, ..] => SEEDING.contains(&function.as_str()),
    };
    is_seeded.then(|| {
        format!(
            "a `{table}` that seeds itself in the core: use KeyedMap or KeyedSet::with_hasher(rng.hash_key())"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::modules::crate_of;

    fn count(text: &str) -> usize {
        check(&crate_of(&[("src/lib.rs", text)])).len()
    }

    #[test]
    fn clocks_threads_files_and_seeds_are_flagged() {
        for text in [
            "use std::time::Instant;",
            "fn f() { std::time::SystemTime::now(); }",
            "use std::{time::{self as t}}; fn f() { t::Instant::now(); }",
            "fn f() { std::thread::sleep(d); }",
            "use std::fs::File;",
            "use std::env;",
            "fn f() { std::process::exit(1) }",
            "use std::net::TcpStream;",
            "use std::hash::RandomState;",
            "use std::collections::HashMap; fn f() { HashMap::new() }",
            "use std::collections::HashMap; struct A { b: HashMap<u8, u8> }",
            "use std::collections::hash_map::HashMap as M; fn f() { x.collect::<M<_, _>>() }",
            "use std::collections; fn f() { collections::HashSet::<u8>::default() }",
            "use std::cell::RefCell;",
            "use std::sync::Arc;",
            "fn f() { println!(\"{a}\") }",
            "fn f() { g!(std::env::var(\"A\")) }",
            "#[cfg(not(test))] use std::fs::File;",
        ] {
            assert_eq!(count(text), 1, "{text}");
        }
    }

    #[test]
    fn values_of_time_addresses_and_keyed_tables_are_not() {
        for text in [
            "use core::time::Duration; use std::net::{IpAddr, SocketAddr};",
            "// std::thread::spawn\nconst A: &str = \"std::fs::File\";",
            "use std::collections::HashMap; struct A { b: HashMap<u8, u8, H> } fn f() { HashMap::with_hasher(h) }",
            "use std::collections::{BTreeMap, HashSet}; type B<K> = HashSet<K, H>; fn f() { BTreeMap::new() }",
            "struct Instant; fn f() { Instant::now() }",
            "#[cfg(test)] mod tests { use std::fs::File; fn f() { println!() } }",
            "use std::cell::Cell; use std::io;",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }

    #[test]
    fn a_reexport_is_followed() {
        let modules = crate_of(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "pub use std::time;"),
            ("src/b.rs", "use crate::a::time::Instant;"),
        ]);
        assert_eq!(check(&modules).len(), 1);
    }
}
