//! The names that a piece of syntax imports and mentions.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path in code, as it is written.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) segments: Vec<Segment>,
    /// It begins with `::` and so names another crate.
    pub(crate) is_global: bool,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Offset in bytes.
    pub(crate) start: usize,
}

/// One name of a path.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    /// How many types stand in its angle brackets.
    pub(crate) type_count: usize,
}

/// One name that a `use` brings into scope.
#[derive(Debug)]
pub(crate) struct Import {
    /// The name in scope; none for a glob and for `as _`.
    pub(crate) name: Option<String>,
    pub(crate) target: Reference,
    /// It is a re-export: `pub`, `pub(crate)` and the like.
    pub(crate) is_public: bool,
    pub(crate) is_glob: bool,
}

/// Collects what an item imports and mentions, function bodies and the inside of macros included.
///
/// A macro's content is not syntax until it is expanded, so there every path of two names or more is taken, and
/// a single name when it begins with a capital.
#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) imports: Vec<Import>,
    pub(crate) references: Vec<Reference>,
}

impl Collector {
    /// Adds every name that `item` brings into scope.
    pub(crate) fn add_use(&mut self, item: &syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        let mut prefix = Vec::new();
        self.add_tree(&item.tree, &mut prefix, item.leading_colon.is_some(), is_public);
    }

    fn add_tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, is_global: bool, is_public: bool) {
        let mut add = |target: Vec<String>, name: Option<String>, span: Span| {
            let is_glob = name.is_none();
            let name = name.filter(|name| name != "_");
            let segments = target.into_iter().map(Segment::plain).collect();
            let target = Reference::at(segments, is_global, span);
            self.imports.push(Import { name, target, is_public, is_glob });
        };
        let with = |prefix: &[String], last: &syn::Ident| [prefix, &[last.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_tree(&path.tree, prefix, is_global, is_public);
                prefix.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                add(prefix.clone(), prefix.last().cloned(), name.ident.span());
            }
            syn::UseTree::Name(name) => {
                add(with(prefix, &name.ident), Some(name.ident.to_string()), name.ident.span());
            }
            syn::UseTree::Rename(rename) => {
                let target =
                    if rename.ident == "self" { prefix.clone() } else { with(prefix, &rename.ident) };
                add(target, Some(rename.rename.to_string()), rename.ident.span());
            }
            syn::UseTree::Glob(glob) => add(prefix.clone(), None, glob.star_token.spans[0]),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, prefix, is_global, is_public);
                }
            }
        }
    }

    /// Takes the paths from the inside of a macro.
    pub(crate) fn scan_stream(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        self.scan(&trees);
    }

    fn scan(&mut self, trees: &[TokenTree]) {
        let mut index = 0;
        let mut after_dot = false;
        while let Some(tree) = trees.get(index) {
            let next = match tree {
                TokenTree::Ident(ident) if !after_dot => {
                    let (segments, next) = path_at(trees, index);
                    let starts_upper = ident.to_string().starts_with(char::is_uppercase);
                    if segments.len() > 1 || starts_upper {
                        self.references.push(Reference::at(segments, false, ident.span()));
                    }
                    next
                }
                TokenTree::Group(group) => {
                    self.scan_stream(group.stream());
                    index + 1
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => index + 1,
            };
            after_dot = matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '.');
            index = next;
        }
    }
}

/// The names joined by `::` from `start` on, and the index after them.
fn path_at(trees: &[TokenTree], start: usize) -> (Vec<Segment>, usize) {
    let is_colon =
        |index: usize| matches!(trees.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let mut segments = Vec::new();
    let mut index = start;
    while let Some(TokenTree::Ident(ident)) = trees.get(index) {
        segments.push(Segment::plain(ident.to_string()));
        index += 1;
        if !(is_colon(index)
            && is_colon(index + 1)
            && matches!(trees.get(index + 2), Some(TokenTree::Ident(_))))
        {
            break;
        }
        index += 2;
    }
    (segments, index)
}

impl Segment {
    fn plain(name: String) -> Self {
        Self { name, type_count: 0 }
    }
}

impl Reference {
    fn at(segments: Vec<Segment>, is_global: bool, span: Span) -> Self {
        Self { segments, is_global, line: span.start().line, start: span.byte_range().start }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_attribute(&mut self, _attribute: &'ast syn::Attribute) {}

    fn visit_visibility(&mut self, _visibility: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(item);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.visit_path(&node.path);
        self.scan_stream(node.tokens.clone());
    }

    fn visit_token_stream(&mut self, stream: &'ast TokenStream) {
        self.scan_stream(stream.clone());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<Segment> = path.segments.iter().map(segment).collect();
        if let Some(first) = path.segments.first() {
            self.references.push(Reference::at(segments, path.leading_colon.is_some(), first.ident.span()));
        }
        visit::visit_path(self, path);
    }
}

fn segment(segment: &syn::PathSegment) -> Segment {
    let type_count = match &segment.arguments {
        syn::PathArguments::AngleBracketed(list) => {
            list.args.iter().filter(|argument| matches!(argument, syn::GenericArgument::Type(_))).count()
        }
        syn::PathArguments::None | syn::PathArguments::Parenthesized(_) => 0,
    };
    Segment { name: segment.ident.to_string(), type_count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(text: &str) -> Collector {
        let mut collector = Collector::default();
        collector.visit_file(&syn::parse_file(text).unwrap());
        collector
    }

    fn path(reference: &Reference) -> String {
        let names: Vec<&str> = reference.segments.iter().map(|segment| segment.name.as_str()).collect();
        names.join("::")
    }

    #[test]
    fn imports_are_flattened() {
        let collector = collect("pub use a::{self, b::*, C as D, e::F as _};");
        let imports: Vec<(String, Option<&str>, bool)> = collector
            .imports
            .iter()
            .map(|import| (path(&import.target), import.name.as_deref(), import.is_glob))
            .collect();
        assert_eq!(
            imports,
            [
                ("a".to_owned(), Some("a"), false),
                ("a::b".to_owned(), None, true),
                ("a::C".to_owned(), Some("D"), false),
                ("a::e::F".to_owned(), None, false),
            ]
        );
        assert!(collector.imports.iter().all(|import| import.is_public));
    }

    #[test]
    fn paths_are_found_in_bodies_types_and_macros() {
        let collector = collect("fn f(a: x::A<u8, u16>) { y::g(); trace!(b = z::B::c, D, e.F, \"s::T\"); }");
        let paths: Vec<String> = collector.references.iter().map(path).collect();
        assert_eq!(paths, ["x::A", "u8", "u16", "y::g", "trace", "z::B::c", "D"]);
        assert_eq!(collector.references[0].segments[1].type_count, 2);
    }

    #[test]
    fn visibility_and_attributes_are_no_mentions() {
        assert!(collect("#[derive(a::B)] pub(in crate::c) struct D;").references.is_empty());
    }
}
