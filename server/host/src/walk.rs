//! A look at a component before it is compiled: refuses what only a bomb would contain.
//!
//! Runs in the compiling child, on hostile bytes. It counts; validity is the compiler's business.
//! The ceilings stand above the largest honest guest (`CPython`: 13,516 functions, a body of 427 KB,
//! 271 locals, 781 blocks in each other, 38 modules).

mod census;

use serde::{Deserialize, Serialize};
use tamiz_core::text;
use wasmparser::{
    CompositeInnerType, DataSectionReader, ElementItems, ElementSectionReader, Encoding, FunctionBody,
    MemorySectionReader, Operator, Parser, Payload, TableSectionReader, TypeSectionReader,
};

use crate::limits::{MEMORY_BYTES_CEILING, TABLE_ELEMENTS_MAX};

pub use census::Census;

/// A component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Functions of all modules together.
const FUNCTIONS_MAX: u64 = 20_000;
/// One function body, in bytes: compile time and memory grow faster than it.
const BODY_BYTES_MAX: u64 = 512 * 1024;
/// Locals of one function.
const LOCALS_MAX: u64 = 1_000;
/// Blocks in each other in one function: compile time grows with the square.
const BLOCKS_DEPTH_MAX: u64 = 5_000;
/// Parameters and results of all function types together: `CPython`'s have 4,096.
const TYPE_VALUES_MAX: u64 = 100_000;
/// Data segments of all modules together; each is compared with every page it may touch. A memory that was
/// written to before the component was made, as `QuickJS`'s was, has 7,000.
const DATA_SEGMENTS_MAX: u64 = 50_000;
/// Entries of all element segments together: `CPython`'s have 5,821.
const ELEMENTS_MAX: u64 = 100_000;
/// What a memory may have from its first moment, in pages of 64 KiB: a run never gets more.
const MEMORY_PAGES_MAX: u64 = (MEMORY_BYTES_CEILING / (64 * 1024)) as u64;
/// Core modules at any depth.
const MODULES_MAX: u64 = 64;
/// Components at any depth.
const COMPONENTS_MAX: u64 = 64;
/// Instances, aliases, types, canonical functions, imports, exports and globals, all together: a
/// component of many empty parts is a bomb, too. `CPython` has fewer than 30,000.
const PARTS_MAX: u64 = 100_000;
/// All that a plugin may import: a namespace, its interfaces (empty for every one), and the versions that
/// link to the one that is here.
const IMPORTS: [(&str, &[&str], Version); 8] = [
    ("tamiz:scanner/", &["types", "host"], Version::Patch("0.1")),
    (
        "tamiz:scanner/",
        &["types", "host", "records"],
        Version::Minor("1"),
    ),
    ("wasi:cli/", &[], Version::Patch("0.2")),
    ("wasi:clocks/", &[], Version::Patch("0.2")),
    ("wasi:filesystem/", &[], Version::Patch("0.2")),
    ("wasi:io/", &[], Version::Patch("0.2")),
    ("wasi:random/", &[], Version::Patch("0.2")),
    ("wasi:sockets/", &[], Version::Patch("0.2")),
];

/// Additions only, so that every later one links.
enum Version {
    /// Followed by `.` and a number.
    Patch(&'static str),
    /// Followed by `.`, a number, `.` and a number.
    Minor(&'static str),
}

impl Version {
    fn matches(&self, version: &str) -> bool {
        let (fixed, free) = match self {
            Self::Patch(fixed) => (fixed, 1),
            Self::Minor(fixed) => (fixed, 2),
        };
        let rest = version
            .strip_prefix(fixed)
            .and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| {
            rest.split('.').count() == free && rest.split('.').all(|part| part.parse::<u32>().is_ok())
        })
    }
}

/// How every wasm file begins (WebAssembly Core Specification, 5.5.16).
const WASM_MAGIC: &[u8] = b"\0asm";

/// Why a component is refused without trying to compile it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum ComponentRefusal {
    /// Not wasm at all, or cut off.
    #[error("it is not readable wasm: {message}")]
    Malformed {
        /// In wasmparser's words.
        message: String,
    },
    /// A core module: it was not linked with `wasm-component-ld`.
    #[error("it is a core wasm module, not a component")]
    CoreModule,
    /// Too much of something.
    #[error("it has {found} {what}, at most {limit} are allowed")]
    TooMuch {
        /// Such as `functions`.
        what: String,
        /// How many.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// It wants something that plugins do not get.
    #[error(
        "it imports `{name}`, plugins may import tamiz:scanner 0.1 or 1 and, of WASI 0.2, \
         cli, clocks, filesystem, io, random and sockets, all of them empty"
    )]
    ForbiddenImport {
        /// The import.
        name: String,
    },
}

/// Passes a component that is worth compiling.
///
/// # Errors
/// [`ComponentRefusal`] names the rule.
pub(crate) fn walk(component: &[u8]) -> Result<(), ComponentRefusal> {
    at_most("bytes", component.len() as u64, COMPONENT_BYTES_MAX as u64)?;
    // the parser's own words for this are a table of bytes over ten lines
    if !component.starts_with(WASM_MAGIC) {
        let message = "it does not begin as wasm does, with `\\0asm`".to_owned();
        return Err(ComponentRefusal::Malformed { message });
    }
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(component) {
        counts.add(payload.map_err(malformed)?)?;
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    /// Open modules and components around the payload.
    depth: usize,
    functions: u64,
    modules: u64,
    components: u64,
    parts: u64,
    type_values: u64,
    data_segments: u64,
    elements: u64,
}

impl Counts {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), ComponentRefusal> {
        match payload {
            Payload::Version { encoding, .. } => {
                if self.depth == 0 && encoding == Encoding::Module {
                    return Err(ComponentRefusal::CoreModule);
                }
                self.depth += 1;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ModuleSection { .. } => {
                self.modules += 1;
                at_most("core modules", self.modules, MODULES_MAX)?;
            }
            Payload::ComponentSection { .. } => {
                self.components += 1;
                at_most("inner components", self.components, COMPONENTS_MAX)?;
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(count);
                at_most("functions", self.functions, FUNCTIONS_MAX)?;
            }
            Payload::CodeSectionEntry(body) => check_body(&body)?,
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                self.add_parts(section.count())?;
                for import in section {
                    check_import(import.map_err(malformed)?.name.name)?;
                }
            }
            Payload::TypeSection(section) => self.add_types(section)?,
            Payload::ImportSection(section) => self.add_parts(section.count())?,
            Payload::TableSection(section) => self.add_tables(section)?,
            Payload::MemorySection(section) => self.add_memories(section)?,
            Payload::GlobalSection(section) => self.add_parts(section.count())?,
            Payload::ExportSection(section) => self.add_parts(section.count())?,
            Payload::ElementSection(section) => self.add_elements(section)?,
            Payload::DataSection(section) => self.add_data(&section)?,
            Payload::InstanceSection(section) => self.add_parts(section.count())?,
            Payload::CoreTypeSection(section) => self.add_parts(section.count())?,
            Payload::ComponentInstanceSection(section) => self.add_parts(section.count())?,
            Payload::ComponentAliasSection(section) => self.add_parts(section.count())?,
            Payload::ComponentTypeSection(section) => self.add_parts(section.count())?,
            Payload::ComponentCanonicalSection(section) => self.add_parts(section.count())?,
            Payload::ComponentImportSection(section) => self.add_parts(section.count())?,
            Payload::ComponentExportSection(section) => self.add_parts(section.count())?,
            _ => {}
        }
        Ok(())
    }

    fn add_parts(&mut self, count: u32) -> Result<(), ComponentRefusal> {
        self.parts += u64::from(count);
        at_most("parts", self.parts, PARTS_MAX)
    }

    fn add_types(&mut self, section: TypeSectionReader<'_>) -> Result<(), ComponentRefusal> {
        self.add_parts(section.count())?;
        for group in section {
            for kind in group.map_err(malformed)?.types() {
                if let CompositeInnerType::Func(function) = &kind.composite_type.inner {
                    let values = function.params().len() + function.results().len();
                    self.type_values += values as u64;
                }
            }
            at_most(
                "parameters and results of types",
                self.type_values,
                TYPE_VALUES_MAX,
            )?;
        }
        Ok(())
    }

    fn add_tables(&mut self, section: TableSectionReader<'_>) -> Result<(), ComponentRefusal> {
        self.add_parts(section.count())?;
        for table in section {
            let elements = table.map_err(malformed)?.ty.initial;
            at_most("elements of one table", elements, TABLE_ELEMENTS_MAX as u64)?;
        }
        Ok(())
    }

    fn add_memories(&mut self, section: MemorySectionReader<'_>) -> Result<(), ComponentRefusal> {
        self.add_parts(section.count())?;
        for memory in section {
            let pages = memory.map_err(malformed)?.initial;
            at_most("pages of one memory", pages, MEMORY_PAGES_MAX)?;
        }
        Ok(())
    }

    fn add_elements(&mut self, section: ElementSectionReader<'_>) -> Result<(), ComponentRefusal> {
        self.add_parts(section.count())?;
        for segment in section {
            self.elements += u64::from(match segment.map_err(malformed)?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            });
            at_most("entries of element segments", self.elements, ELEMENTS_MAX)?;
        }
        Ok(())
    }

    fn add_data(&mut self, section: &DataSectionReader<'_>) -> Result<(), ComponentRefusal> {
        self.add_parts(section.count())?;
        self.data_segments += u64::from(section.count());
        at_most("data segments", self.data_segments, DATA_SEGMENTS_MAX)
    }
}

fn check_body(body: &FunctionBody<'_>) -> Result<(), ComponentRefusal> {
    at_most("bytes in one function", body.range().len() as u64, BODY_BYTES_MAX)?;
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(malformed)? {
        let (count, _) = group.map_err(malformed)?;
        locals += u64::from(count);
        at_most("locals in one function", locals, LOCALS_MAX)?;
    }
    let mut depth: u64 = 0;
    for operator in body.get_operators_reader().map_err(malformed)? {
        match operator.map_err(malformed)? {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                depth += 1;
                at_most("blocks in each other", depth, BLOCKS_DEPTH_MAX)?;
            }
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn check_import(name: &str) -> Result<(), ComponentRefusal> {
    let known = name.split_once('@').is_some_and(|(path, version)| {
        IMPORTS.iter().any(|(namespace, interfaces, versions)| {
            let interface = path.strip_prefix(namespace);
            interface.is_some_and(|it| interfaces.is_empty() || interfaces.contains(&it))
                && versions.matches(version)
        })
    });
    if known {
        Ok(())
    } else {
        let name = text::cut(&text::printable(name), 200).to_owned();
        Err(ComponentRefusal::ForbiddenImport { name })
    }
}

fn at_most(what: &str, found: u64, limit: u64) -> Result<(), ComponentRefusal> {
    if found <= limit {
        return Ok(());
    }
    Err(ComponentRefusal::TooMuch {
        what: what.to_owned(),
        found,
        limit,
    })
}

fn malformed(error: wasmparser::BinaryReaderError) -> ComponentRefusal {
    ComponentRefusal::Malformed {
        message: text::cut(&text::printable(&error.to_string()), 500).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_released_interfaces_of_tamiz_may_be_imported() {
        for known in [
            "tamiz:scanner/host@0.1.0",
            "tamiz:scanner/types@0.1.12",
            "tamiz:scanner/records@1.0.0",
            "tamiz:scanner/host@1.3.1",
            "wasi:cli/environment@0.2.6",
            "wasi:sockets/tcp@0.2.0",
        ] {
            assert_eq!(check_import(known), Ok(()), "{known}");
        }
        for forbidden in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasi:cli/environment",
            "tamiz:scanner/host@0.2.0",
            "tamiz:scanner/host@2.0.0",
            "tamiz:scanner/host@1.0",
            "tamiz:scanner/host",
            "tamiz:scanner/fetch@1.0.0",
            "tamiz:scanner/records@0.1.0",
            "tamiz:scanner/host@0.1.0-evil",
            "env",
        ] {
            assert!(check_import(forbidden).is_err(), "{forbidden}");
        }
    }
}
