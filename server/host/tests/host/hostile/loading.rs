//! Guests that are hostile before they have a task: while they are looked at, linked, started and asked what
//! they are.

use std::time::{Duration, Instant};

use tamiz_host::{CompileError, Plugin, PluginError};
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentImportSection, ComponentTypeRef,
    ComponentTypeSection, InstanceType, PrimitiveValType,
};

use super::crafted::{Crafted, DESCRIPTION, component, numbers};
use crate::world::host;

/// What `describe` may take, and how late its verdict may be on a machine that is busy with other tests.
const DESCRIBE_TIME_MAX: Duration = Duration::from_secs(5 + 5);

/// What became of a component, in words.
fn verdict(loaded: Result<Plugin, PluginError>) -> String {
    match loaded {
        Ok(_) => "loads".to_owned(),
        Err(PluginError::Compile(CompileError::Refused(refusal))) => format!("refused: {refusal}"),
        Err(PluginError::Compile(error)) => format!("not compiled: {error}"),
        Err(PluginError::Describe(failure)) => format!("describe: {failure}"),
        Err(error) => error.to_string(),
    }
}

fn check(name: &str, loaded: Result<Plugin, PluginError>, expected: &str) {
    let verdict = verdict(loaded);
    println!("{name}: {verdict}");
    assert!(verdict.contains(expected), "{name}: {verdict}");
    assert!(
        verdict.len() < 3_000,
        "{name} makes many words: {}",
        verdict.len()
    );
}

fn crafted(name: &str, change: impl FnOnce(&mut Crafted), expected: &str) {
    let mut guest = Crafted::default();
    change(&mut guest);
    let began = Instant::now();
    check(name, guest.load(), expected);
    let took = began.elapsed();
    assert!(took < DESCRIBE_TIME_MAX, "{name}: {took:?}");
}

/// A description of which one number is another.
fn lie(name: &str, at: u32, number: u32, expected: &str) {
    let guest = Crafted::default().with_number(DESCRIPTION + at, number);
    check(name, guest.load(), expected);
}

#[test]
fn a_description_of_broken_values_is_a_verdict_about_its_plugin() {
    lie("a name beyond memory", 0, 0xffff_fff0, "(boundary)");
    lie("a name of 4 GiB", 4, u32::MAX, "(boundary)");
    lie("formats at an odd address", 24, 1153, "(boundary)");
    lie("a thousand million formats", 28, 1 << 30, "(boundary)");
    lie("formats that fill the memory", 28, 10_000, "(boundary)");
    lie("a name that is no UTF-8", 0, 60_000, "the name");
    crafted(
        "a name that is no UTF-8",
        |guest| {
            guest.more = numbers(60_000, &[u32::MAX, u32::MAX]) + &numbers(DESCRIPTION, &[60_000]);
        },
        "(boundary)",
    );
    crafted(
        "a description beyond memory",
        |guest| guest.describe = "(i32.const -16)".to_owned(),
        "(boundary)",
    );
    crafted(
        "a description at an odd address",
        |guest| guest.describe = "(i32.const 1025)".to_owned(),
        "(boundary)",
    );
}

#[test]
fn a_description_that_breaks_the_rules_is_refused_by_the_rule() {
    let text = |address: u32, text: &str| format!("(data (i32.const {address}) \"{text}\")");
    crafted(
        "a path for a name",
        |guest| guest.more = text(256, "../evil"),
        "the name",
    );
    crafted(
        "a version of control characters",
        |guest| guest.more = text(272, "\\00"),
        "the version",
    );
    crafted(
        "a scan type of spaces",
        |guest| guest.more = text(280, "         "),
        "the scan type",
    );
    crafted(
        "a format with a slash",
        |guest| guest.more = text(296, "a/b"),
        "the format",
    );
    crafted(
        "a schema that is no object",
        |guest| guest.more = text(312, "[]"),
        "the options schema",
    );
    crafted(
        "a schema of a hundred thousand brackets",
        |guest| {
            let schema = "[".repeat(60_000);
            guest.more = text(70_000, &schema) + &numbers(DESCRIPTION + 32, &[70_000, 60_000]);
        },
        "the options schema is not a JSON object",
    );
    crafted(
        "a schema of a megabyte",
        |guest| {
            guest.memory = "40".to_owned();
            guest.more = numbers(DESCRIPTION + 32, &[70_000, 1_000_000]);
        },
        "the options schema has 1000000 bytes",
    );
    crafted(
        "a description of eight megabytes",
        |guest| {
            guest.memory = "400".to_owned();
            guest.more = numbers(DESCRIPTION + 32, &[70_000, 8_000_000]);
        },
        "bytes handed over in one call",
    );
    crafted(
        "a made-up capability",
        |guest| {
            guest.more = numbers(1400, &[280, 9]) + &numbers(DESCRIPTION + 40, &[1400, 1]);
        },
        "the capability",
    );
    lie("no formats", 28, 0, "0 formats");
}

#[test]
fn a_plugin_that_does_not_get_to_its_description_is_ended() {
    const FOREVER: &str = "(loop (br 0)) (unreachable)";
    let late = "describe: the plugin did not finish within 5 seconds";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            crafted(
                "describe loops",
                |guest| guest.describe = FOREVER.to_owned(),
                late,
            );
        });
        scope.spawn(|| {
            let start = "(func $begin (loop (br 0))) (start $begin)";
            crafted("its start loops", |guest| guest.more = start.to_owned(), late);
        });
        scope.spawn(|| {
            let log =
                "(loop (call $log (i32.const 0) (i32.const 70000) (i32.const 100000)) (br 0)) (unreachable)";
            crafted(
                "describe logs for ever",
                |guest| guest.describe = log.to_owned(),
                "describe: ",
            );
        });
    });
    crafted(
        "describe traps",
        |guest| guest.describe = "(unreachable)".to_owned(),
        "(unreachable)",
    );
    crafted(
        "its start traps",
        |guest| guest.more = "(func $begin (unreachable)) (start $begin)".to_owned(),
        "(unreachable)",
    );
    crafted(
        "describe recurses",
        |guest| {
            guest.more = "(func $deep (result i32) (i32.add (call $deep) (i32.const 1)))".to_owned();
            guest.describe = "(call $deep)".to_owned();
        },
        "used up its stack",
    );
    crafted(
        "describe eats",
        |guest| {
            guest.describe =
                "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"
                    .to_owned();
        },
        "ran out of its",
    );
    crafted(
        "describe emits findings",
        |guest| {
            guest.describe = "(loop (call $emit (i32.const 4096) (i32.const 1) (i32.const 2048)) (br 0)) \
                              (unreachable)"
                .to_owned();
        },
        "the limit of 0 findings",
    );
}

#[test]
fn what_a_guest_claims_before_it_runs_is_refused_by_name() {
    let memory = |memory: &str| {
        let guest = Crafted {
            memory: memory.to_owned(),
            ..Crafted::default()
        };
        guest.load()
    };
    check("a memory of 4 GiB", memory("65536"), "65536 pages of one memory");
    check("a memory beyond its run's", memory("8000"), "");
    check("a memory that may grow to 4 GiB", memory("4 65536"), "loads");
    crafted(
        "a table of a hundred million",
        |guest| guest.more = "(table 10000000 funcref)".to_owned(),
        "10000000 elements of one table",
    );
    crafted(
        "a thousand tables",
        |guest| guest.more = "(table 1 funcref)".repeat(90),
        "",
    );
}

#[test]
fn another_world_and_half_a_world_do_not_fit() {
    let second = Crafted {
        world: vec![("tamiz:scanner@1.0.0", "tamiz:scanner@2.0.0")],
        plugin: "tamiz:scanner/plugin@2.0.0",
        ..Crafted::default()
    };
    check("world 2.0", second.load(), "it imports `tamiz:scanner/");

    let module = |exports: &str| format!("(module (memory (export \"memory\") 1) {exports})");
    let empty = "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0))";
    let only = [
        ("describe: func() -> description;", "describe: func() -> u32;"),
        (
            "plan: func(request: scan-request) -> result<list<tool-run>, plan-error>;",
            "",
        ),
        (
            "convert: func(inputs: list<input>, request: scan-request) -> result<outcome, convert-error>;",
            "",
        ),
    ];
    let describe = "(func (export \"tamiz:scanner/plugin@1.0.0#describe\") (result i32) (i32.const 1))";
    let mismatched = component(&module(&format!("{empty} {describe}")), &only);
    check(
        "the right name with the wrong type, the other two missing",
        Plugin::from_bytes(host(), &mismatched),
        "does not fit the world",
    );
    let elsewhere: Vec<(&str, &str)> = [("package tamiz:scanner@1.0.0", "package other:scanner@1.0.0")]
        .into_iter()
        .chain(only)
        .collect();
    let describe = "(func (export \"other:scanner/plugin@1.0.0#describe\") (result i32) (i32.const 1))";
    let other = component(&module(&format!("{empty} {describe}")), &elsewhere);
    check(
        "somebody else's world",
        Plugin::from_bytes(host(), &other),
        "it imports `other:scanner/host@1.0.0`",
    );
}

fn importing(name: &str) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(0));
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

#[test]
fn what_no_plugin_may_import_is_refused_by_name() {
    for name in [
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:http/types@0.2.6",
        "wasi:keyvalue/store@0.2.0",
        "wasi:cli/environment@0.3.0",
        "env",
        "tamiz:scanner/database@1.0.0",
        "tamiz:scanner/host@2.0.0",
        "tamiz:scanner/host",
    ] {
        check(
            name,
            Plugin::from_bytes(host(), &importing(name)),
            &format!("it imports `{name}`"),
        );
    }
    let long = format!("a{}", "-a".repeat(1_000_000));
    check(
        "a name of two megabytes",
        Plugin::from_bytes(host(), &importing(&long)),
        "string size out of bounds",
    );
}

#[test]
fn thousands_of_exports_are_no_plugin() {
    for (count, expected) in [
        (10_000, "does not fit the world"),
        (120_000, "parts, at most 100000"),
    ] {
        let mut types = ComponentTypeSection::new();
        types.defined_type().primitive(PrimitiveValType::U32);
        let mut exports = ComponentExportSection::new();
        for index in 0..count {
            exports.export(format!("e{index}"), ComponentExportKind::Type, 0, None);
        }
        let mut component = Component::new();
        component.section(&types).section(&exports);
        let loaded = Plugin::from_bytes(host(), &component.finish());
        check(&format!("{count} exports"), loaded, expected);
    }
}
