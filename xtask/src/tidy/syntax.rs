//! What the rules need to know of a Rust file, read once: a flat list of facts, each with its line and whether it
//! stands in a test.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, Ident, Item, Meta, Signature, Token, UseTree};

#[derive(Debug)]
pub struct Fact {
    /// From 1.
    pub line: usize,
    pub in_test: bool,
    pub kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    /// A path of two or more segments, or one that is imported; `store::Change` is `["store", "Change"]`.
    Path(Vec<String>),
    Function {
        name: String,
        lines: usize,
        arguments: usize,
    },
    Type(String),
    Module(String),
    /// `mod name;`: the module is another file, at `path` where that is said.
    ModuleFile {
        name: String,
        path: Option<String>,
        inside: Vec<String>,
    },
    Macro(String),
    MethodCall(String),
    Float,
    /// `>` or `>=`.
    Backwards,
    Text(String),
    Ignored,
}

#[derive(Debug)]
pub struct Syntax {
    pub facts: Vec<Fact>,
    /// Whether the file says, before anything else, what it is for.
    pub opens_with_its_purpose: bool,
    /// Lines that are not within an item that is compiled for tests only.
    pub product_lines: usize,
}

#[derive(Debug)]
pub struct Unparsed {
    pub line: usize,
    pub reason: String,
}

pub fn read(text: &str, is_test: bool) -> Result<Syntax, Unparsed> {
    let file = syn::parse_file(text)
        .map_err(|error| Unparsed { line: error.span().start().line, reason: error.to_string() })?;
    let mut reader = Reader { facts: Vec::new(), in_test: is_test, test_lines: 0, inside: Vec::new() };
    reader.visit_file(&file);
    Ok(Syntax {
        facts: reader.facts,
        opens_with_its_purpose: file.attrs.first().is_some_and(|first| first.path().is_ident("doc")),
        product_lines: text.lines().count() - reader.test_lines,
    })
}

struct Reader {
    facts: Vec<Fact>,
    in_test: bool,
    test_lines: usize,
    /// Names of the inline modules around.
    inside: Vec<String>,
}

impl Reader {
    fn note(&mut self, span: Span, kind: Kind) {
        self.facts.push(Fact { line: span.start().line, in_test: self.in_test, kind });
    }

    fn note_function(&mut self, signature: &Signature, body: &Block) {
        let first = signature.span().start().line;
        let last = body.span().end().line;
        let (name, arguments) = (signature.ident.to_string(), signature.inputs.len());
        self.note(signature.ident.span(), Kind::Function { name, lines: last - first + 1, arguments });
    }

    fn note_type(&mut self, name: &Ident) {
        self.note(name.span(), Kind::Type(name.to_string()));
    }

    fn note_imports(&mut self, tree: &UseTree, before: &[String]) {
        let mut path = before.to_vec();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.note_imports(&part.tree, &path);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_imports(item, before)),
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.note(name.span(), Kind::Path(path));
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.note(rename.span(), Kind::Path(path));
            }
            UseTree::Glob(glob) => self.note(glob.span(), Kind::Path(path)),
        }
    }

    /// Visits what stands inside as a test when the attributes say so.
    fn within(&mut self, attributes: &[Attribute], span: Span, visit: impl FnOnce(&mut Self)) {
        let outer = self.in_test;
        self.in_test |= attributes.iter().any(is_of_tests);
        if self.in_test && !outer {
            self.test_lines += span.end().line - span.start().line + 1;
        }
        visit(self);
        self.in_test = outer;
    }
}

/// `#[test]`, `#[tokio::test]` and the like, and any `cfg` that speaks of `test` without a `not`.
fn is_of_tests(attribute: &Attribute) -> bool {
    let is_test = attribute.path().segments.last().is_some_and(|last| last.ident == "test");
    let Meta::List(list) = &attribute.meta else { return is_test };
    let condition = list.tokens.to_string();
    let mut words = condition.split(|c: char| !c.is_alphanumeric());
    is_test || (list.path.is_ident("cfg") && words.any(|word| word == "test") && !condition.contains("not"))
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(attributes(item), item.span(), |reader| visit::visit_item(reader, item));
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = module.ident.to_string();
        self.note(module.ident.span(), Kind::Module(name.clone()));
        if module.content.is_none() {
            let path = module.attrs.iter().find_map(path_of_file);
            let inside = self.inside.clone();
            self.note(module.ident.span(), Kind::ModuleFile { name, path, inside });
            return;
        }
        self.inside.push(name);
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note_attributes(&function.attrs);
        self.note_function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.within(&function.attrs, function.span(), |reader| {
            reader.note_function(&function.sig, &function.block);
            visit::visit_impl_item_fn(reader, function);
        });
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.note_function(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note_type(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note_type(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note_type(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note_type(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_imports(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.note(item.span(), Kind::Path(vec![item.ident.to_string()]));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.is_ident("f32") || path.is_ident("f64") {
            self.note(path.span(), Kind::Float);
        }
        if 1 < path.segments.len() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note(path.span(), Kind::Path(segments));
        }
        visit::visit_path(self, path);
    }

    /// What a macro is given is read when it looks like expressions, as in `assert!`, `format!` and `vec!`.
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        self.note(called.path.span(), Kind::Macro(name));
        let given = called.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        for expression in given.iter().flatten() {
            self.visit_expr(expression);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.note(call.method.span(), Kind::MethodCall(call.method.to_string()));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        if matches!(binary.op, BinOp::Gt(_) | BinOp::Ge(_)) {
            self.note(binary.op.span(), Kind::Backwards);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_lit_float(&mut self, literal: &'ast syn::LitFloat) {
        self.note(literal.span(), Kind::Float);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.note(literal.span(), Kind::Text(literal.value()));
    }

    /// Nothing in attributes is code, least of all doc comments.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

impl Reader {
    fn note_attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("ignore")) {
            self.note(attribute.span(), Kind::Ignored);
        }
    }
}

/// `#[path = "…"]`.
fn path_of_file(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
    pair.path.is_ident("path").then(|| path.value())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
