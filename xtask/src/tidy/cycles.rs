//! Circles between the modules of a crate.
//!
//! # What an edge is
//! A node is a file; an inline module belongs to its file. There is an edge from file A to file B when code in A
//! that is not a test imports or mentions an item that B defines, whatever re-exports the path goes through.
//!
//! No edge are: the declaration `mod b;`; a path that ends at a module and not at an item; the re-export of a
//! descendant's item (`pub use b::B` in the parent of `b`, which is how a parent shows its children), unless the
//! parent's own code uses the name. A parent that uses its child's items while the child uses the parent's is a
//! circle: what both need belongs in a third file below them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::finding::Finding;
use super::modules::{CrateModules, Module, ModuleId, Target};

/// From each file's module to the ones it needs, with the line that says so.
type Graph = BTreeMap<ModuleId, BTreeMap<ModuleId, usize>>;

/// One finding for each circle, the shortest of those that share a module.
pub(crate) fn check(modules: &CrateModules) -> Vec<Finding> {
    let graph = graph(modules);
    let mut circles: Vec<Vec<ModuleId>> =
        graph.keys().filter_map(|&id| shortest_circle(&graph, id)).collect();
    circles.sort_by_key(|circle| (circle.len(), &modules.module(circle[0]).path));
    let mut covered = BTreeSet::new();
    let mut findings = Vec::new();
    for circle in circles {
        if circle.iter().any(|id| covered.contains(id)) {
            continue;
        }
        findings.push(report(modules, &graph, &circle));
        covered.extend(circle);
    }
    findings
}

fn graph(modules: &CrateModules) -> Graph {
    let mut graph = Graph::new();
    for (id, module) in modules.modules() {
        let from = modules.file_module(id);
        let mut add = |target: Target, line: usize| {
            let Target::Item(target) = target else { return };
            let to = modules.file_module(target);
            if to != from {
                graph.entry(from).or_default().entry(to).or_insert(line);
            }
        };
        for import in module.imports.iter().filter(|import| !import.is_glob) {
            let target = modules.resolve_import(id, import);
            if !(import.is_public && is_descendant(modules, module, &target)) {
                add(target, import.target.line);
            }
        }
        for reference in &module.references {
            add(modules.resolve(id, reference), reference.line);
        }
    }
    graph
}

fn is_descendant(modules: &CrateModules, parent: &Module, target: &Target) -> bool {
    match target {
        Target::Item(id) | Target::Module(id) => modules.module(*id).path.starts_with(&parent.path),
        Target::External(_) => false,
    }
}

/// The shortest way from `start` back to itself, by breadth first search; `start` is named once.
fn shortest_circle(graph: &Graph, start: ModuleId) -> Option<Vec<ModuleId>> {
    let mut came_from: BTreeMap<ModuleId, ModuleId> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        for &next in graph.get(&id).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let mut circle = vec![id];
                while let Some(&previous) = circle.last().and_then(|last| came_from.get(last)) {
                    circle.push(previous);
                }
                circle.reverse();
                return Some(circle);
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(id);
                queue.push_back(next);
            }
        }
    }
    None
}

fn report(modules: &CrateModules, graph: &Graph, circle: &[ModuleId]) -> Finding {
    let name = |id: ModuleId| {
        let path = &modules.module(id).path;
        if path.is_empty() { "crate".to_owned() } else { path.join("::") }
    };
    let line = |from: ModuleId, to: ModuleId| {
        graph.get(&from).and_then(|edges| edges.get(&to)).copied().unwrap_or(1)
    };
    let mut way = name(circle[0]);
    for (index, &from) in circle.iter().enumerate() {
        let to = circle[(index + 1) % circle.len()];
        way.push_str(&format!(" -> (line {}) {}", line(from, to), name(to)));
    }
    let first_line = line(circle[0], circle[1 % circle.len()]);
    Finding::new(
        &modules.file_of(circle[0]).path,
        first_line,
        format!("modules use each other in a circle: {way}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::modules::crate_of;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        check(&crate_of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_is_reported_as_a_path() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            ("src/a.rs", "\nuse crate::b::B; pub struct A(B);"),
            ("src/b.rs", "pub struct B(super::c::C);"),
            ("src/c.rs", "\n\npub fn f() { crate::A::new() } pub struct C;"),
        ]);
        assert_eq!(
            found,
            ["src/a.rs:2: modules use each other in a circle: a -> (line 2) b -> (line 1) c -> (line 3) a"]
        );
    }

    #[test]
    fn a_parent_and_its_child_can_be_a_circle() {
        let found = circles(&[
            ("src/lib.rs", "mod a;"),
            ("src/a.rs", "mod b; use b::B; pub struct A(B);"),
            ("src/a/b.rs", "use super::A; pub struct B; fn f(a: A) {}"),
        ]);
        assert_eq!(found.len(), 1);
        let found = circles(&[
            ("src/lib.rs", "mod a; pub use a::A; pub struct C(A);"),
            ("src/a.rs", "pub struct A; fn f() { crate::C }"),
        ]);
        assert_eq!(found.len(), 1, "a re-exported name that the parent uses is an edge");
    }

    #[test]
    fn each_circle_is_reported_once() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("src/a.rs", "use crate::b::B; pub struct A(B);"),
            ("src/b.rs", "use crate::a::A; pub struct B(A);"),
            ("src/c.rs", "use crate::d::D; pub struct C(D);"),
            ("src/d.rs", "use crate::c::C; pub struct D(C);"),
        ]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_parent_that_shows_its_children_is_no_circle() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b; pub use a::A; pub use b::{B, f}; pub(crate) use a::inner;"),
            ("src/a.rs", "pub(crate) mod inner; pub use inner::I; pub struct A;"),
            ("src/a/inner.rs", "pub struct I;"),
            ("src/b.rs", "use crate::{A, inner::I}; pub struct B(A, I); pub fn f() { crate::a::I }"),
        ]);
        assert_eq!(found, [] as [String; 0]);
    }

    #[test]
    fn tests_and_inline_modules_are_no_circle() {
        let found = circles(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"),
            (
                "src/b.rs",
                "use crate::a::A; pub struct B(A); mod inner { use super::B; fn f(b: B) {} } use inner::f;",
            ),
        ]);
        assert_eq!(found, [] as [String; 0]);
    }
}
