//! What a component imports and exports at its outside, by name, without compiling or running it.
//!
//! Not here: whether it may ([`crate::Plugin`] knows).

use wasmparser::{Encoding, Parser, Payload};

use crate::walk::ComponentRefusal;

/// The names on the outside of a component, in its own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Such as `tamiz:scanner/host@1.0.0`.
    pub imports: Vec<String>,
    /// Such as `tamiz:scanner/plugin@1.0.0`.
    pub exports: Vec<String>,
}

impl Surface {
    /// Reads the names of `component`'s outermost level.
    ///
    /// # Errors
    /// [`ComponentRefusal`] when it is no component.
    pub fn of(component: &[u8]) -> Result<Self, ComponentRefusal> {
        let malformed = |error: wasmparser::BinaryReaderError| ComponentRefusal::Malformed {
            message: error.message().to_owned(),
        };
        let mut surface = Surface {
            imports: Vec::new(),
            exports: Vec::new(),
        };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding, .. } if depth == 0 && encoding == Encoding::Module => {
                    return Err(ComponentRefusal::CoreModule);
                }
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        surface
                            .imports
                            .push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        surface
                            .exports
                            .push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, ComponentTypeSection, InstanceType};

    use super::*;

    #[test]
    fn names_are_those_of_the_outside_only() {
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        let mut imports = wasm_encoder::ComponentImportSection::new();
        imports.import(
            "tamiz:scanner/host@0.1.0",
            wasm_encoder::ComponentTypeRef::Instance(0),
        );
        let mut exports = wasm_encoder::ComponentExportSection::new();
        exports.export(
            "tamiz:scanner/plugin@0.1.0",
            wasm_encoder::ComponentExportKind::Instance,
            0,
            None,
        );
        let mut inner = Component::new();
        inner.section(&types).section(&imports);
        let mut outer = Component::new();
        outer
            .section(&types)
            .section(&imports)
            .section(&exports)
            .section(&wasm_encoder::NestedComponentSection(&inner));

        let surface = Surface::of(&outer.finish()).unwrap();
        assert_eq!(surface.imports, ["tamiz:scanner/host@0.1.0"]);
        assert_eq!(surface.exports, ["tamiz:scanner/plugin@0.1.0"]);
    }

    #[test]
    fn a_core_module_has_no_surface() {
        let module = wasm_encoder::Module::new().finish();
        assert_eq!(Surface::of(&module), Err(ComponentRefusal::CoreModule));
        assert!(matches!(
            Surface::of(b"no wasm"),
            Err(ComponentRefusal::Malformed { .. })
        ));
    }
}
