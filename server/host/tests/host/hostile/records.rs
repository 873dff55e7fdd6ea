//! Guests that misuse the record reader: field lists without end, reading after the end, readers that are
//! not theirs, and reports that never end a record.

use std::io::{Read, repeat};
use std::time::{Duration, Instant};

use tamiz_host::{ConvertFailure, Input, Outcome, RunLimits};

use super::crafted::{ANSWER, Crafted, OUTCOME};
use crate::world::{request, run, text, tight};

const DEADLINE: Duration = Duration::from_secs(1);
/// How late a verdict may be on a machine that is busy with other tests.
const LATE_MAX: Duration = Duration::from_secs(5);
/// The first input.
const FIRST: &str = "(i32.load (local.get $inputs))";
/// The reader that [`open`] left.
const READER: &str = "(i32.load (i32.const 2052))";

/// Opens the first input as JSON lines with so many fields, all of them empty texts.
fn open(fields: u32) -> String {
    format!(
        "(call $open {FIRST} (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65536) \
         (i32.const {fields}) (i32.const {ANSWER}))"
    )
}

fn next() -> String {
    format!("(call $next {READER} (i32.const 1000) (i32.const {ANSWER}))")
}

fn reading(instructions: &str, inputs: Vec<Input>) -> Result<Outcome, ConvertFailure> {
    let records = "tamiz:scanner/records@1.0.0";
    let guest = Crafted {
        convert: format!("(local $reader i32) {instructions} (i32.const {OUTCOME})"),
        memory: "700".to_owned(),
        imports: format!(
            r#"(import "{records}" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
  (import "{records}" "[method]reader.next" (func $next (param i32 i32 i32)))
  (import "{records}" "[method]reader.ending" (func $ending (param i32 i32)))
  (import "{records}" "[static]reader.release" (func $release (param i32) (result i32)))
  (import "{records}" "[resource-drop]reader" (func $drop-reader (param i32)))"#
        ),
        // what is read is forgotten, so that only the host's memory may grow
        realloc: "(if (i32.gt_u (global.get $free) (i32.const 20000000)) (then (global.set $free (i32.const \
                  131072)))) (call $allocate (local.get $size))"
            .to_owned(),
        ..Crafted::default()
    };
    let limits = RunLimits {
        deadline: DEADLINE,
        ..tight()
    };
    let plugin = guest.loaded();
    let began = Instant::now();
    let run = run(&plugin, request("{}", inputs, limits));
    let took = began.elapsed();
    assert!(took < DEADLINE + LATE_MAX, "{took:?}");
    run.outcome
}

fn ends(name: &str, instructions: &str, expected: &str) {
    let inputs = vec![text("{\"a\":1}\n{\"a\":2}\n"), text("{}")];
    let verdict = reading(instructions, inputs).unwrap_err().to_string();
    println!("{name}: {verdict}");
    assert!(verdict.contains(expected), "{name}: {verdict}");
}

#[test]
fn a_reader_that_is_misused_is_the_plugins_fault() {
    let (open, next) = (open(0), next());
    ends(
        "a million fields",
        &self::open(1_000_000),
        "bytes handed over in one call",
    );
    ends(
        "it reads after the end for ever",
        &format!(
            "{open} (local.set $reader {READER}) (loop (call $next (local.get $reader) (i32.const 9) \
                  (i32.const 4096)) (br 0))"
        ),
        "reads after the end",
    );
    ends(
        "it reads an input that it gave away",
        &format!("{open} (call $read {FIRST} (i32.const 1) (i32.const 4096))"),
        "(boundary)",
    );
    ends("it opens an input twice", &open.repeat(2), "(boundary)");
    let release = format!("(drop (call $release {READER}))");
    ends(
        "it releases a reader twice",
        &(open.clone() + &release.repeat(2)),
        "(boundary)",
    );
    ends(
        "it reads on after the release",
        &format!("{open} {release} {next}"),
        "(boundary)",
    );
    let dropped = format!("(call $drop-reader {READER})");
    ends(
        "it drops a reader twice",
        &(open.clone() + &dropped.repeat(2)),
        "(boundary)",
    );
    ends(
        "it drops and releases a reader",
        &(open.clone() + &dropped + &release),
        "(boundary)",
    );
    ends(
        "it wants rows beyond memory",
        &format!("{open} (call $next {READER} (i32.const 9) (i32.const -8))"),
        "(boundary)",
    );
    let layout = format!(
        "(call $open {FIRST} (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) \
         (i32.const {ANSWER}))"
    );
    ends("a layout that there is not", &layout, "(boundary)");
}

/// The host reads for the guest, where no epoch ticks.
#[test]
fn a_record_without_end_ends_with_the_run() {
    for (name, byte) in [
        ("blank lines", b'\n'),
        ("one line", b'a'),
        ("brackets", b'['),
        ("spaces", b' '),
    ] {
        let endless = Input::once("endless", repeat(byte).take(1 << 40));
        let reading_on = format!(
            "{} (local.set $reader {READER}) (loop (call $next (local.get $reader) (i32.const 9) (i32.const 4096)) (br 0))",
            open(0)
        );
        let verdict = reading(&reading_on, vec![endless]).unwrap_err().to_string();
        println!("{name}: {verdict}");
        assert!(
            [
                "did not finish within 1 seconds",
                "bytes of one input",
                "reads after the end"
            ]
            .iter()
            .any(|it| verdict.contains(it)),
            "{name}: {verdict}"
        );
    }
}
