//! Inputs that are no report at all: the answer names the input, what it is, and what was expected.

use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{ConvertError, Corruption};

use crate::answer::convert_input;

const EXPECTED: &str =
    "expected SARIF 2.1.0, semgrep's JSON, or a report of one of the tools that codeaudit lists";

#[track_caller]
fn refusal(name: &str, bytes: &[u8]) -> ConvertError {
    let answer = convert_input(MemoryInput::new(name, bytes), MemoryHost::default());
    assert!(answer.host.findings.is_empty(), "{name}");
    answer.outcome.expect_err(name)
}

#[track_caller]
fn check(name: &str, bytes: &[u8], what: &str) {
    let ConvertError::Unrecognized(message) = refusal(name, bytes) else {
        panic!("{name} is none of this plugin's, and another may read it");
    };
    assert!(message.starts_with(&format!("`{name}` is ")), "{message}");
    assert!(message.contains(what), "{what} is not in {message}");
    assert!(message.ends_with(EXPECTED), "{message}");
}

#[test]
fn other_formats_are_named() {
    check("shop.zip", b"PK\x03\x04\x14\0\0\0\x08\0", "is a zip archive");
    check("empty.zip", b"PK\x05\x06\0\0\0\0\0\0\0\0", "is a zip archive");
    check("report.json.gz", b"\x1f\x8b\x08\0\0\0\0\0", "is gzip-compressed");
    check("report.pdf", b"%PDF-1.7\n", "is a PDF");
    check(
        "nmap.xml",
        b"<?xml version=\"1.0\"?>\n<nmaprun>",
        "XML or HTML, starting with `<?xml",
    );
    check("photo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary data");
    check("blob", b"ab\0cdefgh", "binary data");
}

#[test]
fn text_is_quoted() {
    check(
        "notes.txt",
        b"this is plain text\nand more",
        "starts with `this is plain text`",
    );
    check(
        "log.txt",
        b"2024-05-01 12:00 started",
        "starts with `2024-05-01 12:00 started`",
    );
    check("null.json", b"null", "starts with `null`");
    check("cafe.txt", "é".repeat(100).as_bytes(), "starts with `éé");
    check("escape.txt", b"x\x1b[2J\x1b[31mred", "starts with `xred`");
    check("list.json", b"[{\"check_id\": 1}]", "it is an array");
}

#[test]
fn other_objects_are_told_apart() {
    check(
        "package.json",
        br#"{"name":"shop","version":"1.0.0"}"#,
        "neither `results`",
    );
    check(
        "other.json",
        br#"{"errors":[],"results":[{"test":"B101"}]}"#,
        "no `check_id`",
    );
    check(
        "old.sarif",
        br#"{"version":"1.0.0","runs":[]}"#,
        "its SARIF version is `1.0.0`",
    );
    check("code.js", b"{ return eval(x); }", "expected a key");
}

#[test]
fn nothing_and_what_is_no_utf8_are_corrupt() {
    for (name, bytes) in [
        ("empty.json", &b""[..]),
        ("blank.json", b" \r\n\t"),
        ("bom.json", b"\xef\xbb\xbf"),
        ("wide.json", b"\xff\xfe{\0}\0"),
    ] {
        let ConvertError::Corrupt(Corruption { message, .. }) = refusal(name, bytes) else {
            panic!("{name} has nothing that another plugin could read");
        };
        assert!(message.starts_with(&format!("`{name}`: the input ")), "{message}");
        assert!(message.ends_with(EXPECTED), "{message}");
    }
}
