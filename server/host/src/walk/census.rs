//! How much is in a component, beside how much the walk allows: for its author, before a host refuses it.

use wasmparser::{Parser, Payload};

use super::{
    BODY_BYTES_MAX, COMPONENT_BYTES_MAX, ComponentRefusal, FUNCTIONS_MAX, LOCALS_MAX, MODULES_MAX, malformed,
};

/// What was counted in a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// The component, in bytes.
    pub bytes: u64,
    /// Functions of all modules together.
    pub functions: u64,
    /// Core modules at any depth.
    pub modules: u64,
    /// The largest function, in bytes.
    pub body_bytes: u64,
    /// The most locals of one function.
    pub locals: u64,
}

impl Census {
    /// The most that a host loads of each.
    pub const CEILINGS: Self = Self {
        bytes: COMPONENT_BYTES_MAX as u64,
        functions: FUNCTIONS_MAX,
        modules: MODULES_MAX,
        body_bytes: BODY_BYTES_MAX,
        locals: LOCALS_MAX,
    };

    /// Counts what is in `component`, of any size.
    ///
    /// # Errors
    /// [`ComponentRefusal::Malformed`] when it is not readable wasm.
    pub fn of(component: &[u8]) -> Result<Self, ComponentRefusal> {
        let mut census = Self {
            bytes: component.len() as u64,
            ..Self::default()
        };
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(malformed)? {
                Payload::ModuleSection { .. } => census.modules += 1,
                Payload::CodeSectionStart { count, .. } => census.functions += u64::from(count),
                Payload::CodeSectionEntry(body) => {
                    census.body_bytes = census.body_bytes.max(body.range().len() as u64);
                    let mut locals = 0_u64;
                    for group in body.get_locals_reader().map_err(malformed)? {
                        locals = locals.saturating_add(u64::from(group.map_err(malformed)?.0));
                    }
                    census.locals = census.locals.max(locals);
                }
                _ => {}
            }
        }
        Ok(census)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_wasm_has_no_census() {
        assert!(matches!(
            Census::of(b"not wasm at all"),
            Err(ComponentRefusal::Malformed { .. })
        ));
    }

    #[test]
    fn functions_bodies_and_locals_are_counted() {
        let mut types = wasm_encoder::TypeSection::new();
        types.ty().function([], []);
        let mut functions = wasm_encoder::FunctionSection::new();
        functions.function(0).function(0);
        let mut code = wasm_encoder::CodeSection::new();
        for locals in [3, 40] {
            let mut body = wasm_encoder::Function::new([(locals, wasm_encoder::ValType::I32)]);
            body.instruction(&wasm_encoder::Instruction::End);
            code.function(&body);
        }
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&functions).section(&code);
        let mut component = wasm_encoder::Component::new();
        component.section(&wasm_encoder::ModuleSection(&module));
        let census = Census::of(&component.finish()).unwrap();
        assert_eq!((census.functions, census.modules, census.locals), (2, 1, 40));
        assert!(census.body_bytes > 0 && census.body_bytes < 16);
    }
}
