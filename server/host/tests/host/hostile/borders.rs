//! Guests that are hostile at the border, where values and handles go to and fro: broken answers of `plan`
//! and `convert`, calls out of turn, handles that are not theirs.

use std::time::{Duration, Instant};

use tamiz_host::{ConvertFailure, PlanError, Plugin, RunLimits, ScanRequest};

use super::crafted::{ANSWER, Crafted, OUTCOME, numbers};
use crate::world::{request, run, text, tight};

/// A guest's time, which those that do not end by themselves use up.
const DEADLINE: Duration = Duration::from_secs(1);
/// How late a verdict may be on a machine that is busy with other tests.
const LATE_MAX: Duration = Duration::from_secs(5);

fn failure(plugin: &Plugin) -> ConvertFailure {
    let limits = RunLimits {
        deadline: DEADLINE,
        ..tight()
    };
    let began = Instant::now();
    let run = run(plugin, request("{}", vec![text("one"), text("two")], limits));
    let took = began.elapsed();
    assert!(took < DEADLINE + LATE_MAX, "{took:?}");
    run.outcome.unwrap_err()
}

fn ends(name: &str, change: impl FnOnce(&mut Crafted), expected: &str) {
    let mut guest = Crafted::default();
    change(&mut guest);
    let verdict = failure(&guest.loaded()).to_string();
    println!("{name}: {verdict}");
    assert!(verdict.contains(expected), "{name}: {verdict}");
}

/// An outcome of which one number is another.
fn lie(name: &str, at: u32, number: u32, expected: &str) {
    ends(
        name,
        |guest| *guest = guest.clone().with_number(OUTCOME + at, number),
        expected,
    );
}

#[test]
fn a_broken_answer_of_convert_is_the_plugins_fault() {
    lie("a result that is neither", 0, 7, "(boundary)");
    lie("a completeness that there is not", 4, 9, "(boundary)");
    lie("a format beyond memory", 8, 0xffff_fff0, "(boundary)");
    lie("a format of 4 GiB", 12, u32::MAX, "(boundary)");
    lie("an option that is neither", 16, 2, "(boundary)");
    ends(
        "an answer beyond memory",
        |guest| guest.convert = "(i32.const -4)".to_owned(),
        "(boundary)",
    );
    ends(
        "an answer at an odd address",
        |guest| guest.convert = "(i32.const 1281)".to_owned(),
        "(boundary)",
    );
    ends(
        "a format of eight megabytes",
        |guest| {
            guest.memory = "400".to_owned();
            guest.more = numbers(OUTCOME + 12, &[8_000_000]);
        },
        "bytes handed over in one call",
    );
    ends(
        "an error of eight megabytes",
        |guest| {
            guest.memory = "400".to_owned();
            guest.more = numbers(OUTCOME, &[1, 0, 0, 8_000_000]);
        },
        "bytes handed over in one call",
    );
}

#[test]
fn a_call_out_of_turn_is_the_plugins_fault() {
    const LOG: &str = "(call $log (i32.const 0) (i32.const 0) (i32.const 1))";
    ends(
        "its allocator calls the host",
        |guest| guest.realloc = format!("{LOG} (call $allocate (local.get $size))"),
        "(boundary)",
    );
    ends(
        "it calls the host after its answer",
        |guest| guest.after_convert = LOG.to_owned(),
        "(boundary)",
    );
    ends(
        "its allocator drops what it is given",
        |guest| guest.realloc = "(call $drop-input (i32.const 1)) (i32.const 4096)".to_owned(),
        "(boundary)",
    );
    let late = "did not finish within 1 seconds";
    ends(
        "its allocator loops",
        |guest| guest.realloc = "(loop (br 0)) (unreachable)".to_owned(),
        late,
    );
    ends(
        "it loops after its answer",
        |guest| guest.after_convert = "(loop (br 0))".to_owned(),
        late,
    );
    ends(
        "its allocator traps",
        |guest| guest.realloc = "(unreachable)".to_owned(),
        "(unreachable)",
    );
    ends(
        "it traps after its answer",
        |guest| guest.after_convert = "(unreachable)".to_owned(),
        "(unreachable)",
    );
    ends(
        "its allocator lies",
        |guest| guest.realloc = "(i32.const -4)".to_owned(),
        "(boundary)",
    );
    ends(
        "its allocator gives odd addresses",
        |guest| guest.realloc = "(i32.const 65537)".to_owned(),
        "(boundary)",
    );
}

fn convert(name: &str, instructions: &str, expected: &str) {
    ends(
        name,
        |guest| guest.convert = format!("{instructions} (i32.const {OUTCOME})"),
        expected,
    );
}

/// Host calls with what they need not to be refused for another reason.
fn write(artifact: &str) -> String {
    format!("(call $write {artifact} (i32.const 256) (i32.const 7) (i32.const {ANSWER}))")
}

#[test]
fn a_handle_that_is_not_there_is_the_plugins_fault() {
    const FIRST: &str = "(i32.load (local.get $inputs))";
    let artifact = "(call $artifact (i32.const 256) (i32.const 7) (i32.const 256) (i32.const 7) (i32.const 256) \
                    (i32.const 7))";
    let drop = format!("(call $drop-input {FIRST})");
    convert("it drops an input twice", &drop.repeat(2), "(boundary)");
    let read = format!("{drop} (call $read {FIRST} (i32.const 9) (i32.const {ANSWER}))");
    convert("it reads a dropped input", &read, "(boundary)");
    let read = format!("(call $read (i32.const 1234567) (i32.const 9) (i32.const {ANSWER}))");
    convert("it reads an input that it made up", &read, "(boundary)");
    convert("it takes an input for an artifact", &write(FIRST), "(boundary)");
    let kept = format!("(i32.store (i32.const 4000) {artifact})");
    let kept_artifact = "(i32.load (i32.const 4000))";
    convert(
        "it drops an artifact twice",
        &(kept.clone() + &format!("(call $drop-artifact {kept_artifact})").repeat(2)),
        "(boundary)",
    );
    let finish = format!("(call $finish {kept_artifact} (i32.const {ANSWER}))");
    let after_end = format!("(loop {} (br 0))", write(kept_artifact));
    convert(
        "it writes to a finished artifact for ever",
        &format!("{kept} {finish} {after_end}"),
        "the limit of 64 writes after the end",
    );
    convert(
        "it finishes an artifact for ever",
        &format!("{kept} (loop {finish} (br 0))"),
        "the limit of 64 writes after the end",
    );
    let answer = "(call $read (i32.load (local.get $inputs)) (i32.const 9) (i32.const -8))";
    convert("it wants its answer beyond memory", answer, "(boundary)");
    let emit = format!("(call $emit (i32.const 0) (i32.const -1) (i32.const {ANSWER}))");
    convert("it emits four thousand million findings", &emit, "(boundary)");
    let log = "(call $log (i32.const 9) (i32.const 0) (i32.const 1))";
    convert("it logs at a level that there is not", log, "(boundary)");
}

fn planned(change: impl FnOnce(&mut Crafted)) -> String {
    let mut guest = Crafted::default();
    change(&mut guest);
    let plugin = guest.loaded();
    let planned = plugin.plan(
        &ScanRequest {
            target_kind: "tree".to_owned(),
            target: String::new(),
            options: "{}".to_owned(),
        },
        &RunLimits::default(),
    );
    match planned {
        Err(PlanError::Failed(failure)) => failure.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_that_is_none_is_the_plugins_fault() {
    let cases: [(&str, &str, &str); 7] = [
        ("it traps", "(unreachable)", "(unreachable)"),
        ("beyond memory", "(i32.const -4)", "(boundary)"),
        ("at an odd address", "(i32.const 1201)", "(boundary)"),
        ("runs beyond memory", "(i32.const 3000)", "(boundary)"),
        (
            "a million runs",
            "(i32.const 3100)",
            "bytes handed over in one call",
        ),
        (
            "it emits",
            "(loop (call $emit (i32.const 4096) (i32.const 1) (i32.const 2048)) (br 0)) (unreachable)",
            "the limit of 0 findings",
        ),
        (
            "it eats",
            "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            "ran out of its",
        ),
    ];
    for (name, plan, expected) in cases {
        let verdict = planned(|guest| {
            guest.plan = plan.to_owned();
            guest.memory = "700".to_owned();
            guest.more = numbers(3000, &[0, 0xffff_fff0, 9]) + &numbers(3100, &[0, 65536, 1_000_000]);
        });
        println!("{name}: {verdict}");
        assert!(verdict.contains(expected), "{name}: {verdict}");
    }
}

#[test]
fn an_endless_plan_ends_within_seconds() {
    let verdict = planned(|guest| guest.plan = "(loop (br 0)) (unreachable)".to_owned());
    assert!(verdict.contains("did not finish within 5 seconds"), "{verdict}");
}
