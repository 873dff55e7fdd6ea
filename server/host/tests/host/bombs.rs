//! Components made to hurt the compiler, and files that are no components: each is refused by name. What gets
//! past the look at it is in [`made`], and what becomes of it in [`child`].

mod child;
mod made;

use tamiz_host::{CompileError, ComponentRefusal, Plugin, PluginError};
use wasm_encoder::{
    CodeSection, Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, Function,
    FunctionSection, Instruction, Module, ModuleSection, TypeSection, ValType,
};

use crate::world::host;

fn refusal(bytes: &[u8]) -> ComponentRefusal {
    match Plugin::from_bytes(host(), bytes) {
        Err(PluginError::Compile(CompileError::Refused(refusal))) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A module of `count` functions with these locals and so many bytes of `nop`.
fn module(count: u32, locals: &[(u32, ValType)], nops: usize) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for _ in 0..count {
        functions.function(0);
        let mut function = Function::new(locals.iter().copied());
        function.raw(std::iter::repeat_n(0x01, nops));
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

fn component_of(modules: &[Module]) -> Vec<u8> {
    let mut component = Component::new();
    for module in modules {
        component.section(&ModuleSection(module));
    }
    component.finish()
}

fn importing(name: &str) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.instance(&wasm_encoder::InstanceType::new());
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(0));
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

fn too_much(bytes: &[u8]) -> String {
    match refusal(bytes) {
        ComponentRefusal::TooMuch { what, found, limit } => {
            assert!(found > limit);
            what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_much_of_anything_is_refused_before_it_is_compiled() {
    assert_eq!(too_much(&component_of(&[module(20_001, &[], 0)])), "functions");
    assert_eq!(
        too_much(&component_of(&[module(10_001, &[], 0), module(10_000, &[], 0)])),
        "functions"
    );
    assert_eq!(
        too_much(&component_of(&[module(1, &[], 512 * 1024)])),
        "bytes in one function"
    );
    let locals = [(600, ValType::I64), (401, ValType::I32)];
    assert_eq!(
        too_much(&component_of(&[module(1, &locals, 0)])),
        "locals in one function"
    );
    let modules: Vec<Module> = (0..65).map(|_| Module::new()).collect();
    assert_eq!(too_much(&component_of(&modules)), "core modules");
    assert_eq!(too_much(&vec![0; 32 * 1024 * 1024 + 1]), "bytes");
}

/// Each of these compiled for up to a minute, or took the child's memory, before it was counted.
#[test]
fn what_costs_the_square_of_its_size_is_refused_before_it_is_compiled() {
    use wasm_encoder::{BlockType, Instruction};
    for block in [
        Instruction::Block(BlockType::Empty),
        Instruction::Loop(BlockType::Empty),
        Instruction::If(BlockType::Empty),
    ] {
        assert_eq!(
            too_much(&made::nested(&block)),
            "blocks in each other",
            "{block:?}"
        );
    }
    assert_eq!(too_much(&made::nested_with_a_switch()), "blocks in each other");
    assert_eq!(
        too_much(&made::locals_in_nested_loops(70_000)),
        "blocks in each other"
    );
    assert_eq!(too_much(&made::many_types()), "parameters and results of types");
    assert_eq!(too_much(&made::many_data_segments()), "data segments");
    assert_eq!(
        too_much(&made::many_elements(10_000_000)),
        "elements of one table"
    );
    assert_eq!(too_much(&made::many_elements(1)), "entries of element segments");
    assert_eq!(too_much(&made::nested_components(65)), "inner components");
}

#[test]
fn what_is_no_component_is_refused_by_name() {
    assert_eq!(refusal(&module(1, &[], 0).finish()), ComponentRefusal::CoreModule);
    for bytes in [&b""[..], b"\0asm", b"not wasm", b"PK\x03\x04"] {
        assert!(
            matches!(refusal(bytes), ComponentRefusal::Malformed { .. }),
            "{bytes:?}"
        );
    }
    let whole = component_of(&[module(3, &[], 10)]);
    for length in 1..whole.len() {
        if let Ok(plugin) = Plugin::from_bytes(host(), &whole[..length]) {
            panic!("{plugin:?} of {length} bytes");
        }
        if length > 40 {
            break;
        }
    }
}

#[test]
fn an_import_that_plugins_do_not_get_is_refused_by_name() {
    for name in ["wasi:http/types@0.2.0", "tamiz:scanner/host@0.2.0", "env"] {
        assert_eq!(
            refusal(&importing(name)),
            ComponentRefusal::ForbiddenImport {
                name: name.to_owned()
            }
        );
    }
}

#[test]
fn a_component_that_is_not_our_world_is_refused_after_it_was_compiled() {
    let empty = Plugin::from_bytes(host(), &component_of(&[]));
    assert!(matches!(empty, Err(PluginError::WrongWorld { .. })), "{empty:?}");
    let invalid = {
        // the function's type is not there
        let mut functions = FunctionSection::new();
        functions.function(7);
        let mut code = CodeSection::new();
        let mut function = Function::new([]);
        function.instruction(&Instruction::End);
        code.function(&function);
        let mut module = Module::new();
        module.section(&functions).section(&code);
        component_of(&[module])
    };
    let refused = Plugin::from_bytes(host(), &invalid);
    assert!(
        matches!(refused, Err(PluginError::Compile(CompileError::Invalid { .. }))),
        "{refused:?}"
    );
}
