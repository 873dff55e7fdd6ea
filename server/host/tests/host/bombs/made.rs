//! The bombs: components below every ceiling of the look at them that cost their compiler as much as they
//! can.
//!
//! Each says what it multiplies. What a bomb costs is for the test that runs it; not here.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentSectionId, DataSection, ElementSection, Elements, Function,
    FunctionSection, Instruction, MemArg, MemorySection, MemoryType, Module, ModuleSection,
    NestedComponentSection, RawSection, RefType, TableSection, TableType, TypeSection, ValType,
};

/// Just below what one body may have, in bytes: a margin for its head and end.
const BODY_BYTES: usize = 512 * 1024 - 64;
/// Of one function.
const LOCALS: u32 = 1_000;
/// Of all modules.
pub(crate) const FUNCTIONS: u32 = 20_000;
/// Of one component.
const MODULES: u32 = 64;
/// Just below what a component may have, in bytes.
const COMPONENT_BYTES: usize = 32 * 1024 * 1024 - 64 * 1024;

/// A module of one type and functions of it, whose bodies are all the same.
pub(crate) struct Functions {
    pub(crate) parameters: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    pub(crate) count: u32,
    pub(crate) body: Function,
}

impl Functions {
    pub(crate) fn of(count: u32, body: Function) -> Self {
        Self {
            parameters: vec![],
            results: vec![],
            count,
            body,
        }
    }

    pub(crate) fn module(&self) -> Module {
        let mut types = TypeSection::new();
        types
            .ty()
            .function(self.parameters.iter().copied(), self.results.iter().copied());
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        for _ in 0..self.count {
            functions.function(0);
            code.function(&self.body);
        }
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 10,
            maximum: None,
            shared: false,
        });
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut module = Module::new();
        module
            .section(&types)
            .section(&functions)
            .section(&tables)
            .section(&memories)
            .section(&code);
        module
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        component_of(&[self.module()])
    }
}

pub(crate) fn component_of(modules: &[Module]) -> Vec<u8> {
    let mut component = Component::new();
    for module in modules {
        component.section(&ModuleSection(module));
    }
    component.finish()
}

fn add(function: &mut Function, instructions: &[Instruction<'_>]) {
    for instruction in instructions {
        function.instruction(instruction);
    }
}

/// `unit` as often as fits in a body, then its end.
fn filled(mut function: Function, bytes: usize, mut unit: impl FnMut(&mut Function, u32)) -> Function {
    let mut index = 0;
    while function.byte_len() < bytes {
        unit(&mut function, index);
        index += 1;
    }
    function.instruction(&Instruction::End);
    function
}

fn locals(kind: ValType) -> Function {
    Function::new([(LOCALS, kind)])
}

/// As many functions as allowed, each of which does nothing.
pub(crate) fn tiny_functions() -> Vec<u8> {
    let mut body = Function::new([]);
    body.instruction(&Instruction::End);
    Functions::of(FUNCTIONS, body).component()
}

/// A body of arithmetic over so many locals, which come from memory and go there at the end: nothing of it
/// can be left out.
fn mixing(bytes: usize, locals: u32) -> Function {
    let place = MemArg {
        offset: 0,
        align: 0,
        memory_index: 0,
    };
    let mut function = Function::new([(locals, ValType::I64)]);
    for local in 0..locals {
        let address = Instruction::I32Const(local.cast_signed());
        add(
            &mut function,
            &[address, Instruction::I64Load(place), Instruction::LocalSet(local)],
        );
    }
    let sum_bytes = locals as usize * 9;
    let mut index = 0;
    while function.byte_len() + sum_bytes < bytes {
        let (one, other) = (index * 7 % locals, (index * 13 + 5) % locals);
        let steps = [
            Instruction::LocalGet(one),
            Instruction::LocalGet(other),
            Instruction::I64Mul,
            Instruction::LocalSet((index + 1) % locals),
        ];
        add(&mut function, &steps);
        index += 1;
    }
    for local in 0..locals {
        let address = Instruction::I32Const(local.cast_signed());
        add(
            &mut function,
            &[
                address,
                Instruction::LocalGet(local),
                Instruction::I64Store(place),
            ],
        );
    }
    function.instruction(&Instruction::End);
    function
}

/// As many of the largest bodies as a component can hold.
pub(crate) fn huge_bodies() -> Vec<u8> {
    Functions::of(63, mixing(BODY_BYTES, LOCALS)).component()
}

/// A thousand values live across every call: none of them can stay in a register.
pub(crate) fn locals_across_calls() -> Vec<u8> {
    let sum_bytes = LOCALS as usize * 4;
    let mut body = locals(ValType::I64);
    let mut index = 0;
    while body.byte_len() + sum_bytes < BODY_BYTES {
        let (one, other) = (index % LOCALS, (index * 7 + 3) % LOCALS);
        let steps = [
            Instruction::Call(0),
            Instruction::LocalGet(other),
            Instruction::I64Add,
            Instruction::LocalSet(one),
        ];
        add(&mut body, &steps);
        index += 1;
    }
    body.instruction(&Instruction::I64Const(0));
    for local in 0..LOCALS {
        add(&mut body, &[Instruction::LocalGet(local), Instruction::I64Add]);
    }
    body.instruction(&Instruction::End);
    let bomb = Functions {
        results: vec![ValType::I64],
        ..Functions::of(1, body)
    };
    bomb.component()
}

/// Every loop passes every local on: levels times locals.
pub(crate) fn locals_in_nested_loops(levels: u32) -> Vec<u8> {
    let mut body = locals(ValType::I64);
    for _ in 0..levels {
        body.instruction(&Instruction::Loop(BlockType::Empty));
    }
    for local in 0..LOCALS {
        let steps = [
            Instruction::LocalGet(local),
            Instruction::I64Const(1),
            Instruction::I64Add,
            Instruction::LocalSet(local),
        ];
        add(&mut body, &steps);
    }
    for _ in 0..levels {
        add(
            &mut body,
            &[Instruction::I32Const(1), Instruction::BrIf(0), Instruction::End],
        );
    }
    body.instruction(&Instruction::End);
    Functions::of(1, body).component()
}

/// 1,000 values that two ways reach, one of them 20,000 times.
pub(crate) fn switch_over_live_values() -> Vec<u8> {
    let mut function = Function::new([(LOCALS, ValType::I32)]);
    add(
        &mut function,
        &[
            Instruction::Block(BlockType::Empty),
            Instruction::LocalGet(0),
            Instruction::BrIf(0),
        ],
    );
    for local in 1..=LOCALS {
        add(
            &mut function,
            &[
                Instruction::LocalGet(0),
                Instruction::I32Const(local.cast_signed()),
                Instruction::I32Add,
                Instruction::LocalSet(local),
            ],
        );
    }
    add(
        &mut function,
        &[
            Instruction::LocalGet(0),
            Instruction::BrTable(vec![0; 20_000].into(), 0),
            Instruction::End,
            Instruction::LocalGet(0),
        ],
    );
    for local in 1..=LOCALS {
        add(
            &mut function,
            &[Instruction::LocalGet(local), Instruction::I32Add],
        );
    }
    add(&mut function, &[Instruction::End]);
    let bomb = Functions {
        parameters: vec![ValType::I32],
        results: vec![ValType::I32],
        count: 1,
        body: function,
    };
    bomb.component()
}

/// Blocks in blocks, as deep as a body can be.
pub(crate) fn nested(block: &Instruction<'_>) -> Vec<u8> {
    let mut body = Function::new([]);
    let levels = (BODY_BYTES - 16) / if matches!(block, Instruction::If(_)) { 5 } else { 3 };
    for _ in 0..levels {
        if matches!(block, Instruction::If(_)) {
            body.instruction(&Instruction::I32Const(1));
        }
        body.instruction(block);
    }
    for _ in 0..=levels {
        body.instruction(&Instruction::End);
    }
    Functions::of(1, body).component()
}

/// Every block is left for every outer one: levels times levels.
pub(crate) fn nested_with_a_switch() -> Vec<u8> {
    let levels = 100_000_u32;
    let mut body = Function::new([]);
    for _ in 0..levels {
        body.instruction(&Instruction::Block(BlockType::Empty));
    }
    let targets: Vec<u32> = (0..60_000).collect();
    add(
        &mut body,
        &[Instruction::I32Const(1), Instruction::BrTable(targets.into(), 0)],
    );
    for _ in 0..=levels {
        body.instruction(&Instruction::End);
    }
    Functions::of(1, body).component()
}

/// A call of two bytes moves a thousand values in and a thousand out.
pub(crate) fn wide_calls() -> Vec<u8> {
    let mut body = Function::new([]);
    for parameter in 0..LOCALS {
        body.instruction(&Instruction::LocalGet(parameter));
    }
    let body = filled(body, BODY_BYTES, |function, _| {
        function.instruction(&Instruction::Call(0));
    });
    let bomb = Functions {
        parameters: vec![ValType::I64; LOCALS as usize],
        results: vec![ValType::I64; LOCALS as usize],
        count: 1,
        body,
    };
    bomb.component()
}

/// As many values on the operand stack as a body can push, all alive until the end.
pub(crate) fn tall_stack() -> Vec<u8> {
    let mut body = Function::new([]);
    let count = (BODY_BYTES - 16) / 6;
    for _ in 0..count {
        add(
            &mut body,
            &[
                Instruction::I32Const(8),
                Instruction::I32Load8U(MemArg {
                    offset: 0,
                    align: 0,
                    memory_index: 0,
                }),
            ],
        );
    }
    for _ in 0..count {
        body.instruction(&Instruction::Drop);
    }
    body.instruction(&Instruction::End);
    Functions::of(1, body).component()
}

/// As many types as fit, each of a thousand parameters.
pub(crate) fn many_types() -> Vec<u8> {
    let mut module = Module::new();
    let mut types = TypeSection::new();
    for index in 0..30_000_u32 {
        // all of them differ
        let kinds = (0..1_000).map(|bit| {
            if bit < 15 && index >> bit & 1 == 1 {
                ValType::I32
            } else {
                ValType::I64
            }
        });
        types.ty().function(kinds, []);
    }
    module.section(&types);
    component_of(&[module])
}

/// As many data segments as parts are allowed.
pub(crate) fn many_data_segments() -> Vec<u8> {
    let mut module = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 8_192,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut data = DataSection::new();
    for index in 0..99_000_i32 {
        // 32 KiB apart: each dirties pages of its own
        data.active(
            0,
            &wasm_encoder::ConstExpr::i32_const(index.wrapping_mul(32 * 1024)),
            [1],
        );
    }
    module.section(&memories).section(&data);
    component_of(&[module])
}

/// A table of so many elements, and segments of thirty million.
pub(crate) fn many_elements(minimum: u64) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut tables = TableSection::new();
    tables.table(TableType {
        element_type: RefType::FUNCREF,
        table64: false,
        minimum,
        maximum: None,
        shared: false,
    });
    let entries = vec![0; 9_900_000];
    let mut elements = ElementSection::new();
    for _ in 0..3 {
        elements.active(
            None,
            &wasm_encoder::ConstExpr::i32_const(0),
            Elements::Functions((&entries).into()),
        );
    }
    let mut code = CodeSection::new();
    let mut body = Function::new([]);
    body.instruction(&Instruction::End);
    code.function(&body);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&tables)
        .section(&elements)
        .section(&code);
    component_of(&[module])
}

/// As many modules as allowed, which together are as large as a component may be.
pub(crate) fn many_modules() -> Vec<u8> {
    let module = Functions::of(
        FUNCTIONS / MODULES,
        mixing(COMPONENT_BYTES / FUNCTIONS as usize - 16, 80),
    )
    .module();
    let modules: Vec<Module> = (0..MODULES).map(|_| module.clone()).collect();
    component_of(&modules)
}

/// Each component instantiates the one before it again and again: powers.
pub(crate) fn instances_of_instances() -> Vec<u8> {
    let mut inner = Component::new();
    let mut body = Function::new([]);
    body.instruction(&Instruction::End);
    inner.section(&ModuleSection(&Functions::of(1, body).module()));
    let mut core = wasm_encoder::InstanceSection::new();
    let none: [(&str, wasm_encoder::ModuleArg); 0] = [];
    core.instantiate(0, none);
    inner.section(&core);
    for _ in 0..20 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        let mut instances = wasm_encoder::ComponentInstanceSection::new();
        for _ in 0..10 {
            let none: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];
            instances.instantiate(0, none);
        }
        outer.section(&instances);
        inner = outer;
    }
    inner.finish()
}

/// Components in components, deeper than anybody counts.
pub(crate) fn nested_components(levels: usize) -> Vec<u8> {
    let mut inner = Component::new().finish();
    for _ in 0..levels {
        let mut outer = Component::new();
        outer.section(&RawSection {
            id: ComponentSectionId::Component as u8,
            data: &inner,
        });
        inner = outer.finish();
    }
    inner
}
