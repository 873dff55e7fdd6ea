//! Guests written by hand, for what no compiler writes: broken pointers, exports that call back, half a
//! world.
//!
//! A [`Crafted`] is an honest guest of world 1.0 in the text format, each of whose parts can be replaced.
//! It finds nothing, politely. Not here: what the host says to it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tamiz_host::{Plugin, PluginError};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::world::host;

/// Where the honest answers lie in the guest's memory.
pub(crate) const DESCRIPTION: u32 = 1024;
const FORMATS: u32 = 1152;
const PLAN: u32 = 1200;
pub(crate) const OUTCOME: u32 = 1280;
/// Where host calls may answer.
pub(crate) const ANSWER: u32 = 2048;
/// Of the world that is not changed.
pub(crate) const PLUGIN: &str = "tamiz:scanner/plugin@1.0.0";

/// The parts of a guest, in the text format of core wasm.
#[derive(Clone)]
pub(crate) struct Crafted {
    /// Instructions that leave a pointer to a description.
    pub(crate) describe: String,
    /// Instructions that leave a pointer to a plan's result.
    pub(crate) plan: String,
    /// Instructions that leave a pointer to a conversion's result; the handles are a list at `$inputs`.
    pub(crate) convert: String,
    /// Instructions of the allocator of `$size` bytes, that leave a pointer.
    pub(crate) realloc: String,
    /// Instructions after the answer of `convert` was taken.
    pub(crate) after_convert: String,
    /// Its memory, after the word `memory`.
    pub(crate) memory: String,
    /// More imports.
    pub(crate) imports: String,
    /// More fields of the module: data, functions, a start.
    pub(crate) more: String,
    /// What is replaced in the world's text before the guest is built against it.
    pub(crate) world: Vec<(&'static str, &'static str)>,
    /// The export of functions, if not [`PLUGIN`].
    pub(crate) plugin: &'static str,
}

impl Default for Crafted {
    fn default() -> Self {
        Self {
            describe: format!("(i32.const {DESCRIPTION})"),
            plan: format!("(i32.const {PLAN})"),
            convert: format!("(i32.const {OUTCOME})"),
            realloc: "(call $allocate (local.get $size))".to_owned(),
            after_convert: String::new(),
            memory: "4".to_owned(),
            imports: String::new(),
            more: String::new(),
            world: Vec::new(),
            plugin: PLUGIN,
        }
    }
}

/// Data of the text format: 32-bit numbers at an address.
pub(crate) fn numbers(address: u32, numbers: &[u32]) -> String {
    let mut bytes = String::new();
    for byte in numbers.iter().flat_map(|number| number.to_le_bytes()) {
        write!(bytes, "\\{byte:02x}").unwrap();
    }
    format!("(data (i32.const {address}) \"{bytes}\")")
}

impl Crafted {
    /// Changes one of the 32-bit numbers that the guest begins with.
    pub(crate) fn with_number(mut self, address: u32, number: u32) -> Self {
        self.more += &numbers(address, &[number]);
        self
    }

    fn text(&self) -> String {
        let version = self
            .plugin
            .rsplit_once('@')
            .map_or("1.0.0", |(_, version)| version);
        let host = format!("tamiz:scanner/host@{version}");
        let (plugin, memory, imports, more) = (self.plugin, &self.memory, &self.imports, &self.more);
        let (describe, plan, convert) = (&self.describe, &self.plan, &self.convert);
        let (realloc, after_convert) = (&self.realloc, &self.after_convert);
        // name, version, scan type, formats, schema, capabilities; formats: name, tools
        let description = numbers(DESCRIPTION, &[256, 7, 272, 1, 280, 9, FORMATS, 1, 312, 2, 0, 0]);
        let formats = numbers(FORMATS, &[296, 12, 0, 0]);
        let outcome = numbers(OUTCOME, &[0, 0, 296, 12]);
        format!(
            r#"(module
  {imports}
  (import "{host}" "log" (func $log (param i32 i32 i32)))
  (import "{host}" "emit-findings" (func $emit (param i32 i32 i32)))
  (import "{host}" "[method]input.read" (func $read (param i32 i32 i32)))
  (import "{host}" "[resource-drop]input" (func $drop-input (param i32)))
  (import "{host}" "[constructor]artifact" (func $artifact (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "{host}" "[method]artifact.write" (func $write (param i32 i32 i32 i32)))
  (import "{host}" "[method]artifact.finish" (func $finish (param i32 i32)))
  (import "{host}" "[resource-drop]artifact" (func $drop-artifact (param i32)))
  (memory (export "memory") {memory})
  (global $free (mut i32) (i32.const 65536))
  (data (i32.const 256) "crafted")
  (data (i32.const 272) "1")
  (data (i32.const 280) "codeaudit")
  (data (i32.const 296) "crafted-json")
  (data (i32.const 312) "{{}}")
  {description}
  {formats}
  {outcome}
  {more}
  (func $allocate (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "cabi_realloc") (param $old i32) (param i32 i32) (param $size i32) (result i32) {realloc})
  (func (export "{plugin}#describe") (result i32) {describe})
  (func (export "{plugin}#plan") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {plan})
  (func (export "{plugin}#convert")
    (param $inputs i32) (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {convert})
  (func (export "cabi_post_{plugin}#convert") (param i32) {after_convert}))"#
        )
    }

    /// The component's bytes.
    pub(crate) fn component(&self) -> Vec<u8> {
        component(&self.text(), &self.world)
    }

    /// The guest, loaded.
    pub(crate) fn load(&self) -> Result<Plugin, PluginError> {
        Plugin::from_bytes(host(), &self.component())
    }

    /// The guest, which must be loadable.
    pub(crate) fn loaded(&self) -> Plugin {
        self.load().unwrap()
    }
}

/// A component of a core module against the world, whose text is changed before.
pub(crate) fn component(module: &str, world: &[(&str, &str)]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v1/scanner.wit");
    let mut text = fs::read_to_string(path).unwrap();
    for (old, new) in world {
        assert!(text.contains(old), "the world has no {old}");
        text = text.replace(old, new);
    }
    let mut resolve = Resolve::default();
    let package = resolve.push_str("scanner.wit", &text).unwrap();
    let world = resolve.select_world(&[package], Some("scanner")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

#[test]
fn the_honest_guest_is_honest() {
    let plugin = Crafted::default().loaded();
    assert_eq!(plugin.description().name, "crafted");
    let run = crate::world::run(
        &plugin,
        crate::world::request("{}", vec![], crate::world::tight()),
    );
    assert_eq!(run.outcome.unwrap().format, "crafted-json");
}

#[test]
fn a_guest_of_a_later_minor_version_runs_and_says_which() {
    let later = Crafted {
        world: vec![("tamiz:scanner@1.0.0", "tamiz:scanner@1.1.0")],
        plugin: "tamiz:scanner/plugin@1.1.0",
        ..Crafted::default()
    };
    let plugin = later.loaded();
    assert_eq!(plugin.world().to_string(), "1.1");
    let run = crate::world::run(
        &plugin,
        crate::world::request("{}", vec![], crate::world::tight()),
    );
    assert_eq!(run.outcome.unwrap().format, "crafted-json");
    assert_eq!(Crafted::default().loaded().world().to_string(), "1.0");
}
