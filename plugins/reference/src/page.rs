//! A world as a page of Markdown: a heading for each interface, type and function, tables for what they hold.
//!
//! Names of types link to their headings, which is why no two may have the same name.

use std::fmt::Write as _;
use std::path::Path;

use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, Resolve, Type, TypeDef, TypeDefKind, WorldItem, WorldKey,
};

const WORLD: &str = "scanner";
/// The order of the page: what a plugin does, what it says, what it may ask.
const ORDER: [&str; 4] = ["plugin", "types", "host", "records"];

/// What the WIT cannot say itself.
const INTRODUCTION: &str = "\
The one contract between Tamiz and its plugins. [plugins.md](plugins.md) teaches it by example; this page says
all of it, and [wit/README.md](../wit/README.md) what may change, and when.

A plugin exports `plugin`, and may import the rest and an empty WASI 0.2.

## Names in each language

| here | Rust (`tamiz_sdk`) | Python (componentize-py) | JavaScript (jco, QuickJS) |
| --- | --- | --- | --- |
| a record such as `flow-step` | `model::FlowStep { location, message }` | `types.FlowStep(location, message)` | `{ location, message }` |
| a field such as `rule-id` | `rule_id` | `rule_id` | `ruleId` |
| an enum's case such as `partial` | `Completeness::Partial` | `plugin.Completeness.PARTIAL` | `\"partial\"` |
| a variant's case such as `file` | `Location::File(…)` | `types.Location_File(…)` | `{ tag: \"file\", val: … }` |
| optional, absent | `None` | `None` | `null` or `undefined` |
| a function such as `emit-findings` | `Host::emit_findings` | `host.emit_findings(…)` | `emitFindings(…)` |
| an error that the platform answers | `Err(…)` | raises `Err(value)` | throws an `Error` whose `payload` is the value |
| an error that the plugin answers | `Err(…)` | `raise Err(value)` | `throw value` |
";

/// The page of the world in a folder.
pub(crate) fn of_world(folder: &Path) -> Result<String, String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(folder)
        .map_err(|error| format!("{}: {error:#}", folder.display()))?;
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .map_err(|error| format!("world {WORLD}: {error:#}"))?;
    let mut page = format!(
        "# Plugin API {}\n\n<!-- Made from wit/v1 by `make plugin-api`: edit wit/v1/scanner.wit instead. -->\n\n\
         {INTRODUCTION}",
        resolve.packages[package].name
    );
    let world = &resolve.worlds[world];
    let exports: Vec<_> = world.exports.iter().map(|item| (item, true)).collect();
    let imports: Vec<_> = world.imports.iter().map(|item| (item, false)).collect();
    let mut interfaces: Vec<_> = exports
        .into_iter()
        .chain(imports)
        .filter_map(|((key, item), is_export)| match (key, item) {
            (WorldKey::Interface(_), WorldItem::Interface { id, .. }) => {
                Some((&resolve.interfaces[*id], is_export))
            }
            _ => None,
        })
        .collect();
    let place = |interface: &Interface| {
        let name = interface.name.as_deref().unwrap_or_default();
        ORDER
            .iter()
            .position(|known| *known == name)
            .unwrap_or(ORDER.len())
    };
    interfaces.sort_by_key(|(interface, _)| place(interface));
    for (interface, is_export) in interfaces {
        Writer {
            resolve: &resolve,
            page: &mut page,
        }
        .interface(interface, is_export);
    }
    Ok(page)
}

struct Writer<'a> {
    resolve: &'a Resolve,
    page: &'a mut String,
}

impl Writer<'_> {
    /// Writing to a `String` cannot fail.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.page, "{text}");
    }

    fn paragraph(&mut self, docs: &Docs) {
        if let Some(text) = &docs.contents {
            let text = text.trim();
            let _ = write!(self.page, "\n{text}\n");
        }
    }

    fn heading(&mut self, level: &str, name: &str) {
        let _ = write!(self.page, "\n{level} {name}\n");
    }

    fn interface(&mut self, interface: &Interface, is_export: bool) {
        let name = interface.name.as_deref().unwrap_or_default();
        self.heading("##", &format!("Interface {name}"));
        let who = if is_export {
            "exported by the plugin"
        } else {
            "imported, if it is used"
        };
        self.line(&format!("\n*{who}*"));
        self.paragraph(&interface.docs);
        for function in interface.functions.values().filter(|_| is_export) {
            self.freestanding(function);
        }
        for id in interface.types.values() {
            self.type_definition(&self.resolve.types[*id], interface);
        }
        for function in interface.functions.values().filter(|_| !is_export) {
            self.freestanding(function);
        }
    }

    fn freestanding(&mut self, function: &Function) {
        if matches!(function.kind, FunctionKind::Freestanding) {
            self.heading("###", &function.name);
            self.line(&format!(
                "\n```wit\n{}\n```",
                self.signature(function, &function.name)
            ));
            self.paragraph(&function.docs);
        }
    }

    fn type_definition(&mut self, definition: &TypeDef, interface: &Interface) {
        // A `use` of another interface's type has its heading there.
        if matches!(definition.kind, TypeDefKind::Type(_)) {
            return;
        }
        let name = definition.name.as_deref().unwrap_or_default();
        self.heading("###", name);
        self.line(&format!("\n*{}*", definition.kind.as_str()));
        self.paragraph(&definition.docs);
        match &definition.kind {
            TypeDefKind::Record(record) => {
                self.line("\n| field | type | |\n| --- | --- | --- |");
                for field in &record.fields {
                    let (words, docs) = (self.words(&field.ty), in_cell(&field.docs));
                    self.line(&format!("| `{}` | {words} | {docs} |", field.name));
                }
            }
            TypeDefKind::Variant(variant) => {
                self.line("\n| case | with | |\n| --- | --- | --- |");
                for case in &variant.cases {
                    let words = case.ty.as_ref().map(|with| self.words(with)).unwrap_or_default();
                    self.line(&format!(
                        "| `{}` | {words} | {} |",
                        case.name,
                        in_cell(&case.docs)
                    ));
                }
            }
            TypeDefKind::Enum(cases) => {
                self.line("\n| case | |\n| --- | --- |");
                for case in &cases.cases {
                    self.line(&format!("| `{}` | {} |", case.name, in_cell(&case.docs)));
                }
            }
            TypeDefKind::Resource => self.methods(name, interface),
            _ => {}
        }
    }

    fn methods(&mut self, resource: &str, interface: &Interface) {
        self.line("\n| method | |\n| --- | --- |");
        for function in interface.functions.values() {
            let (FunctionKind::Method(of) | FunctionKind::Static(of) | FunctionKind::Constructor(of)) =
                function.kind
            else {
                continue;
            };
            if self.resolve.types[of].name.as_deref() == Some(resource) {
                let signature = self.signature(function, function.item_name());
                self.line(&format!("| `{signature}` | {} |", in_cell(&function.docs)));
            }
        }
    }

    /// As the WIT writes it.
    fn signature(&self, function: &Function, name: &str) -> String {
        let is_method = matches!(function.kind, FunctionKind::Method(_));
        let parameters: Vec<_> = function
            .params
            .iter()
            .skip(usize::from(is_method))
            .map(|parameter| format!("{}: {}", parameter.name, self.written(&parameter.ty)))
            .collect();
        let parameters = parameters.join(", ");
        if matches!(function.kind, FunctionKind::Constructor(_)) {
            return format!("constructor({parameters})");
        }
        let word = if matches!(function.kind, FunctionKind::Static(_)) {
            "static func"
        } else {
            "func"
        };
        let result = function.result.as_ref().map(|result| self.written(result));
        let result = result.map(|result| format!(" -> {result}")).unwrap_or_default();
        format!("{name}: {word}({parameters}){result}")
    }

    /// A type in WIT.
    fn written(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else {
            return primitive(ty).to_owned();
        };
        let definition = &self.resolve.types[*id];
        if let Some(name) = &definition.name {
            return name.clone();
        }
        match &definition.kind {
            TypeDefKind::Option(inner) => format!("option<{}>", self.written(inner)),
            TypeDefKind::List(inner) => format!("list<{}>", self.written(inner)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.written(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Result(result) => {
                let part =
                    |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.written(ty));
                format!("result<{}, {}>", part(&result.ok), part(&result.err))
            }
            TypeDefKind::Handle(Handle::Own(of)) => self.written(&Type::Id(*of)),
            TypeDefKind::Handle(Handle::Borrow(of)) => format!("borrow<{}>", self.written(&Type::Id(*of))),
            other => other.as_str().to_owned(),
        }
    }

    /// A type in words, with links.
    fn words(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else {
            return format!("`{}`", primitive(ty));
        };
        let definition = &self.resolve.types[*id];
        if let Some(name) = &definition.name {
            return format!("[`{name}`](#{name})");
        }
        match &definition.kind {
            TypeDefKind::Option(inner) => format!("optional {}", self.words(inner)),
            TypeDefKind::List(inner) => format!("list of {}", self.words(inner)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.words(ty)).collect();
                format!("({})", types.join(", "))
            }
            TypeDefKind::Handle(Handle::Own(of) | Handle::Borrow(of)) => self.words(&Type::Id(*of)),
            _ => format!("`{}`", self.written(ty)),
        }
    }
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "",
    }
}

/// Documentation on one line of a table.
fn in_cell(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
