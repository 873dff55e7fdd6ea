//! Values that are at or over the edge of what a type takes.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

/// Characters of a long text.
const LONG: usize = 12_000;
/// Nested arrays of a deep value.
const DEPTH: usize = 40;

const TEXTS: [&str; 24] = [
    "",
    " ",
    "%",
    "_",
    "'",
    "' or 1=1 --",
    "\\",
    "\"",
    "\u{0}",
    "a\u{0}b",
    "\u{feff}",
    "\u{202e}txt.exe",
    "e\u{301}\u{301}\u{301}",
    "🦀🦀🦀",
    "\u{10ffff}",
    "\r\n",
    "${x}",
    "{{x}}",
    "../../etc/passwd",
    "**/**/**/**/[a-",
    "((((((((((a+)+)+)+)+$",
    "NULL",
    "-1",
    "0",
];

const IDS: [&str; 12] = [
    "",
    "x",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "Task_00000000-0000-0000-0000-000000000000",
    "Task_",
    "_",
    "Tenant_x",
    "Nonsense_00000000-0000-0000-0000-000000000000",
    "Task_Task_00000000-0000-0000-0000-000000000000",
    "urn:uuid:00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
];

const TIMES: [&str; 13] = [
    "2026-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "+262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:00Z",
    "-4713-11-24T00:00:00Z",
    "+294276-12-31T23:59:59Z",
    "+294277-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00+23:59",
    "2026-01-01",
    "now",
];

const DAYS: [&str; 8] = [
    "2026-01-01",
    "0000-01-01",
    "9999-12-31",
    "+262142-12-31",
    "-262143-01-01",
    "+5874898-01-01",
    "2026-02-30",
    "today",
];

const URLS: [&str; 9] = [
    "http://127.0.0.1:9/",
    "https://x.invalid/",
    "http://[::1]:9/",
    "http://[::1",
    "http://0x7f.1/",
    "ftp://127.0.0.1/",
    "javascript:1",
    "http://a:b@127.0.0.1:9/",
    "//",
];

const DURATIONS: [&str; 6] = ["PT1S", "P1Y", "PT-1S", "P99999999999D", "PT0.0000000001S", "1s"];

const CURSORS: [&str; 10] = [
    r#"{"v":1,"o":"tasks","k":[]}"#,
    r#"{"v":2,"o":"tasks","k":[1]}"#,
    r#"{"v":1,"o":"findings","k":[9223372036854775807,"x"]}"#,
    r#"{"v":1,"o":"project-events","k":["00000000-0000-0000-0000-000000000000",-1]}"#,
    r#"{"v":1,"o":null,"k":null}"#,
    r#"{"v":1}"#,
    "[]",
    "null",
    "",
    "\u{0}",
];

fn pick(random: &mut StdRng, texts: &[&str]) -> Value {
    json!(texts[random.random_range(0..texts.len())])
}

/// Something that no cursor should be, before it is encoded.
pub(super) fn cursor(random: &mut StdRng) -> String {
    CURSORS[random.random_range(0..CURSORS.len())].to_owned()
}

/// A value for a scalar, near its edges, and sometimes of another type.
pub(super) fn value(random: &mut StdRng, scalar: &str, may_misfit: bool) -> Value {
    if may_misfit && random.random_ratio(1, 4) {
        return misfit(random);
    }
    match scalar {
        "Int" if !may_misfit => {
            json!([0, -1, 1, 99, 100, 101, 1_001, i32::MIN, i32::MAX][random.random_range(0..9)])
        }
        "Int" | "BigInt" | "Float" => number(random),
        "Boolean" => json!(random.random::<bool>()),
        "ID" | "UUID" => pick(random, &IDS),
        "DateTime" => pick(random, &TIMES),
        "Date" => pick(random, &DAYS),
        "Duration" => pick(random, &DURATIONS),
        "URL" => pick(random, &URLS),
        "JSON" => nested(random),
        _ => text(random),
    }
}

fn text(random: &mut StdRng) -> Value {
    match random.random_range(0..8) {
        0 => json!("é".repeat(random.random_range(1..LONG))),
        1 => json!("x".repeat(random.random_range(190..210))),
        2 => pick(random, &URLS),
        _ => pick(random, &TEXTS),
    }
}

fn number(random: &mut StdRng) -> Value {
    let numbers = [
        json!(0),
        json!(-1),
        json!(1),
        json!(99),
        json!(100),
        json!(101),
        json!(1_001),
        json!(i32::MIN),
        json!(i32::MAX),
        json!(i64::from(i32::MAX) + 1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5),
        json!(1e300),
        json!("9223372036854775807"),
        json!("99999999999999999999"),
    ];
    numbers[random.random_range(0..numbers.len())].clone()
}

fn nested(random: &mut StdRng) -> Value {
    match random.random_range(0..6) {
        0 => json!({}),
        1 => json!([]),
        2 => json!({ "a": { "b": [1, null, "\u{0}"] } }),
        3 => (0..random.random_range(1..DEPTH)).fold(json!(1), |inner, _| json!([inner])),
        4 => json!({ "profile": "x", "rules": "y", "timeout": -1 }),
        _ => json!(1e308),
    }
}

/// Of no type that one would expect.
fn misfit(random: &mut StdRng) -> Value {
    let misfits = [
        Value::Null,
        json!(true),
        json!([]),
        json!([[null]]),
        json!({}),
        json!({ "x": 1 }),
        json!(-0.0),
        json!("NOT_A_WORD"),
    ];
    misfits[random.random_range(0..misfits.len())].clone()
}
