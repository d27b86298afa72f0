//! The modules of a crate, and to which of them a path leads.
//!
//! # Theory of operation
//! [`CrateModules::load`] follows the `mod` declarations from a crate root. [`CrateModules::resolve`] takes a path
//! as it is written in one module and follows it, name by name, through child modules, imports, re-exports and
//! globs, to the module that defines the item, or out of the crate. So `crate::Instant`, re-exported by `lib.rs`,
//! leads to `time.rs`, where it is defined.
//!
//! # Limits
//! Types are not inferred: a method call leads nowhere. Names that a macro makes are taken to be defined where the
//! path ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

use super::finding::Finding;
use super::references::{Collector, Import, Reference};
use super::source::Source;

/// Imports that lead in a circle end here.
const MAX_DEPTH: usize = 32;

/// Gives the text of a file, if there is one at the path.
pub(crate) type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// A crate: its files, and its modules that are not tests.
pub(crate) struct CrateModules {
    sources: Vec<Source>,
    modules: Vec<Module>,
}

/// Index of a module in its crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModuleId(usize);

/// A module, inline or with a file of its own.
pub(crate) struct Module {
    /// The names from the crate root, which itself has none.
    pub(crate) path: Vec<String>,
    /// Index of the file it stands in.
    source: usize,
    parent: Option<ModuleId>,
    children: BTreeMap<String, ModuleId>,
    items: BTreeSet<String>,
    /// What code that is not a test imports.
    pub(crate) imports: Vec<Import>,
    /// What code that is not a test mentions.
    pub(crate) references: Vec<Reference>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To an item that this module defines.
    Item(ModuleId),
    /// To a module.
    Module(ModuleId),
    /// Out of the crate, with every import on the way replaced by what it stands for.
    External(Vec<String>),
}

/// An outcome on the way to a [`Target`].
enum Step {
    Found(Target),
    /// The module knows no such name.
    Unknown,
}

impl CrateModules {
    /// Reads the crate whose root is the file `root`, with what could not be read.
    pub(crate) fn load(root: &Path, read: Read<'_>) -> (Self, Vec<Finding>) {
        let mut this = Self { sources: Vec::new(), modules: Vec::new() };
        let mut findings = Vec::new();
        let directory = root.parent().unwrap_or(Path::new("")).to_owned();
        let start =
            Declaration { file: root.to_owned(), directory, path: Vec::new(), parent: None, is_test: false };
        let mut open = vec![start];
        while let Some(declaration) = open.pop() {
            let Some(text) = read(&declaration.file) else {
                findings.push(Finding::new(
                    &declaration.file,
                    1,
                    "a module is declared, but its file is not here",
                ));
                continue;
            };
            match Source::parse(&declaration.file, text, declaration.is_test) {
                Ok(source) => this.add_file(source, declaration, read, &mut open, &mut findings),
                Err(finding) => findings.push(finding),
            }
        }
        (this, findings)
    }

    /// Every file that the root leads to, tests included.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The modules that are not tests.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.modules.iter().enumerate().map(|(index, module)| (ModuleId(index), module))
    }

    /// The module with this id.
    pub(crate) fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0]
    }

    /// The file that `module` stands in.
    pub(crate) fn file_of(&self, module: ModuleId) -> &Source {
        &self.sources[self.module(module).source]
    }

    /// The module that is the whole of the file that `module` stands in.
    pub(crate) fn file_module(&self, module: ModuleId) -> ModuleId {
        let mut id = module;
        while let Some(parent) = self.module(id).parent {
            if self.module(parent).source != self.module(id).source {
                break;
            }
            id = parent;
        }
        id
    }

    /// Where `reference`, written in `module`, leads.
    pub(crate) fn resolve(&self, module: ModuleId, reference: &Reference) -> Target {
        let names: Vec<&str> = reference.segments.iter().map(|segment| segment.name.as_str()).collect();
        self.resolve_names(module, &names, reference.is_global, 0)
    }

    /// Where an import of `module` leads; its own name is not yet in scope there.
    pub(crate) fn resolve_import(&self, module: ModuleId, import: &Import) -> Target {
        self.resolve_import_at(module, import, 0)
    }

    fn resolve_import_at(&self, module: ModuleId, import: &Import, depth: usize) -> Target {
        let names: Vec<&str> = import.target.segments.iter().map(|segment| segment.name.as_str()).collect();
        let begins_with_itself = import.name.as_deref() == names.first().copied();
        let is_child = names.first().is_some_and(|name| self.module(module).children.contains_key(*name));
        if begins_with_itself && !is_child {
            return Target::External(owned(&names));
        }
        self.resolve_names(module, &names, import.target.is_global, depth)
    }

    fn resolve_names(&self, module: ModuleId, names: &[&str], is_global: bool, depth: usize) -> Target {
        if is_global {
            return Target::External(owned(names));
        }
        let mut base = module;
        let mut rest = names;
        let mut is_anchored = false;
        while let [first, tail @ ..] = rest {
            base = match *first {
                "crate" => ModuleId(0),
                "self" => base,
                "super" => self.module(base).parent.unwrap_or(base),
                _ => break,
            };
            rest = tail;
            is_anchored = true;
        }
        match self.walk(base, rest, depth) {
            Step::Found(target) => target,
            Step::Unknown if is_anchored => Target::Item(base),
            Step::Unknown => Target::External(owned(names)),
        }
    }

    /// Follows `names` from inside `module`.
    fn walk(&self, module: ModuleId, names: &[&str], depth: usize) -> Step {
        let [first, rest @ ..] = names else { return Step::Found(Target::Module(module)) };
        if depth > MAX_DEPTH {
            return Step::Unknown;
        }
        let here = self.module(module);
        // A function may bear the name of a module: only what goes on behind `::` is the module.
        if let Some(&child) = here.children.get(*first).filter(|_| !rest.is_empty()) {
            return Step::Found(self.walk_on(child, rest, depth));
        }
        if let Some(import) = here.imports.iter().find(|import| import.name.as_deref() == Some(first)) {
            return Step::Found(match self.resolve_import_at(module, import, depth + 1) {
                Target::Module(target) => self.walk_on(target, rest, depth),
                Target::External(path) => Target::External([path, owned(rest)].concat()),
                Target::Item(target) => Target::Item(target),
            });
        }
        if here.items.contains(*first) {
            return Step::Found(Target::Item(module));
        }
        if let Some(&child) = here.children.get(*first) {
            return Step::Found(Target::Module(child));
        }
        for import in here.imports.iter().filter(|import| import.is_glob) {
            let Target::Module(target) = self.resolve_import_at(module, import, depth + 1) else { continue };
            if target == module {
                continue;
            }
            if let Step::Found(found) = self.walk(target, names, depth + 1) {
                return Step::Found(found);
            }
        }
        Step::Unknown
    }

    fn walk_on(&self, module: ModuleId, names: &[&str], depth: usize) -> Target {
        match self.walk(module, names, depth + 1) {
            Step::Found(target) => target,
            Step::Unknown => Target::Item(module),
        }
    }

    fn add_file(
        &mut self,
        source: Source,
        declaration: Declaration,
        read: Read<'_>,
        open: &mut Vec<Declaration>,
        findings: &mut Vec<Finding>,
    ) {
        let index = self.sources.len();
        let mut adder = Adder { modules: &mut self.modules, source: &source, index, read, open, findings };
        let Declaration { file: _, directory, path, parent, is_test: _ } = declaration;
        if source.is_test {
            adder.declare_tests(&source.syntax.items, &directory);
        } else {
            adder.add_module(&source.syntax.items, &path, parent, &directory);
        }
        self.sources.push(source);
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A file that is still to be read.
struct Declaration {
    file: PathBuf,
    /// Where the files of its children are.
    directory: PathBuf,
    path: Vec<String>,
    parent: Option<ModuleId>,
    is_test: bool,
}

/// Adds the modules of one file.
struct Adder<'a> {
    modules: &'a mut Vec<Module>,
    source: &'a Source,
    index: usize,
    read: Read<'a>,
    open: &'a mut Vec<Declaration>,
    findings: &'a mut Vec<Finding>,
}

impl Adder<'_> {
    fn add_module(
        &mut self,
        items: &[syn::Item],
        path: &[String],
        parent: Option<ModuleId>,
        directory: &Path,
    ) {
        let id = ModuleId(self.modules.len());
        if let (Some(parent), Some(name)) = (parent, path.last()) {
            self.modules[parent.0].children.insert(name.clone(), id);
        }
        self.modules.push(Module {
            path: path.to_vec(),
            source: self.index,
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            references: Vec::new(),
        });
        let mut collector = Collector::default();
        for item in items {
            if let syn::Item::Mod(module) = item {
                self.add_declared(module, path, id, directory);
                continue;
            }
            if let Some(name) = item_name(item) {
                self.modules[id.0].items.insert(name);
            }
            collector.visit_item(item);
        }
        let Collector { mut imports, mut references } = collector;
        imports.retain(|import| !self.source.is_test_at(import.target.start));
        references.retain(|reference| !self.source.is_test_at(reference.start));
        self.modules[id.0].imports = imports;
        self.modules[id.0].references = references;
    }

    fn add_declared(&mut self, module: &syn::ItemMod, path: &[String], parent: ModuleId, directory: &Path) {
        let name = module.ident.to_string();
        let start = module.ident.span().byte_range().start;
        let path = [path, std::slice::from_ref(&name)].concat();
        match &module.content {
            Some((_, items)) if self.source.is_test_at(start) => {
                self.declare_tests(items, &directory.join(&name));
            }
            Some((_, items)) => self.add_module(items, &path, Some(parent), &directory.join(&name)),
            None => self.declare(module, path, Some(parent), directory),
        }
    }

    /// In a file of tests only the files that it declares matter.
    fn declare_tests(&mut self, items: &[syn::Item], directory: &Path) {
        for item in items {
            let syn::Item::Mod(module) = item else { continue };
            match &module.content {
                Some((_, items)) => self.declare_tests(items, &directory.join(module.ident.to_string())),
                None => self.declare(module, Vec::new(), None, directory),
            }
        }
    }

    fn declare(
        &mut self,
        module: &syn::ItemMod,
        path: Vec<String>,
        parent: Option<ModuleId>,
        directory: &Path,
    ) {
        let span = module.ident.span();
        if module.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            let message = "a module is found by its name: `#[path]` hides where it is";
            self.findings.push(Finding::new(&self.source.path, span.start().line, message));
            return;
        }
        let name = module.ident.to_string();
        let own = directory.join(&name);
        let beside = directory.join(format!("{name}.rs"));
        let nested = own.join("mod.rs");
        let file =
            if (self.read)(&beside).is_none() && (self.read)(&nested).is_some() { nested } else { beside };
        let is_test = self.source.is_test_at(span.byte_range().start);
        self.open.push(Declaration { file, directory: own, path, parent, is_test });
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn may add kinds of items, and those bear no name we know"
)]
fn item_name(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// A crate made of texts, for the tests of the rules.
#[cfg(test)]
pub(crate) fn crate_of(files: &[(&str, &str)]) -> CrateModules {
    let read = |path: &Path| {
        let text = files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| *text);
        text.map(str::to_owned)
    };
    let (modules, findings) = CrateModules::load(Path::new("src/lib.rs"), &read);
    assert_eq!(findings, []);
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first path mentioned in module `from` leads.
    fn leads_to(files: &[(&str, &str)], from: &str) -> String {
        let modules = crate_of(files);
        let (id, module) = modules.modules().find(|(_, module)| module.path.join("::") == from).unwrap();
        match modules.resolve(id, &module.references[0]) {
            Target::Item(id) => format!("item of {}", modules.module(id).path.join("::")),
            Target::Module(id) => format!("module {}", modules.module(id).path.join("::")),
            Target::External(path) => path.join("::"),
        }
    }

    #[test]
    fn paths_are_followed_to_the_defining_module() {
        let a = ("src/a.rs", "pub struct A;");
        for (lib, b, expected) in [
            ("mod a; mod b; pub use a::A;", "fn f() { crate::A }", "item of a"),
            ("mod a; mod b; pub use a::A as C;", "use crate::C as D; fn f() { D::new() }", "item of a"),
            ("mod a; mod b;", "use super::a; fn f() { a::A }", "item of a"),
            ("mod a; mod b; pub use a::*;", "use crate::*; fn f() { A }", "item of a"),
            ("mod a; mod b; struct E;", "use super::*; fn f() { E }", "item of "),
            ("mod a; mod b;", "fn f() { crate::a }", "module a"),
            ("mod a; mod b;", "use std::time; fn f() { time::Instant::now() }", "std::time::Instant::now"),
            ("mod a; mod b; pub use std::fs;", "fn f() { crate::fs::read() }", "std::fs::read"),
            ("mod a; mod b;", "mod a { pub fn a() {} } use a::a; fn f() { a() }", "item of b::a"),
            ("mod a; mod b;", "use tracing::trace; fn f() { trace!(1) }", "tracing::trace"),
            ("mod a; mod b;", "fn f() { ::a::b() }", "a::b"),
            ("mod a; mod b;", "use b::b; fn f() { b() }", "b::b"),
        ] {
            let files = [("src/lib.rs", lib), a, ("src/b.rs", b)];
            assert_eq!(leads_to(&files, "b"), expected, "{b}");
        }
    }

    #[test]
    fn tests_are_read_but_are_no_modules() {
        let modules = crate_of(&[
            ("src/lib.rs", "mod a; #[cfg(test)] mod tests;"),
            ("src/a.rs", "#[cfg(test)] mod tests { mod deep; use crate::x; }"),
            ("src/a/tests/deep.rs", ""),
            ("src/tests.rs", "mod more;"),
            ("src/tests/more.rs", ""),
        ]);
        let paths: Vec<String> = modules.modules().map(|(_, module)| module.path.join("::")).collect();
        assert_eq!(paths, ["", "a"]);
        assert_eq!(modules.sources().iter().filter(|source| source.is_test).count(), 3);
        assert!(modules.modules().all(|(_, module)| module.imports.is_empty()));
    }

    #[test]
    fn what_cannot_be_followed_is_a_finding() {
        for text in ["mod gone;", "#[path = \"x.rs\"] mod a;"] {
            let read = |path: &Path| (path == Path::new("src/lib.rs")).then(|| text.to_owned());
            assert_eq!(CrateModules::load(Path::new("src/lib.rs"), &read).1.len(), 1, "{text}");
        }
    }
}
