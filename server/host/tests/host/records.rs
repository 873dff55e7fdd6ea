//! The record reader, asked by a real guest.

use std::io::Cursor;
use std::time::Duration;

use serde_json::json;
use tamiz_host::{ConvertFailure, ConvertServices, Input, RunLimits};

use crate::world::{Run, reach, request, run, text, tight};

fn read_with(wish: serde_json::Value, input: Input, limits: RunLimits) -> Run {
    let mut options = wish;
    options["do"] = json!("records");
    run(reach(), request(&options.to_string(), vec![input], limits))
}

#[track_caller]
fn check(wish: serde_json::Value, report: &str, log: &[&str]) {
    let run = read_with(wish, text(report), tight());
    assert_eq!(run.kept.log, log, "{:?}", run.outcome);
    run.outcome.unwrap();
}

#[test]
fn a_guest_gets_rows_of_every_layout_and_its_input_back() {
    check(
        json!({ "layout": "json-array", "place": "/results", "fields": ["/id", "/at/line"], "page": 1 }),
        r#"{"results":[{"id":"a","at":{"line":3}},{"id":yes},{"id":null}],"x":1}"#,
        &[
            "true",
            "12+26 a|3",
            "39+10 !",
            "50+11 -|-",
            "Some(Ending::Whole)",
            r#"Ok("{\"result")"#,
        ],
    );
    check(
        json!({ "layout": "json-lines", "page": 9 }),
        "{\"a\":1}\n[2",
        &[
            "true",
            "0+7 {\"a\":1}",
            "Some(Ending::Truncated)",
            r#"Ok("{\"a\":1}\n")"#,
        ],
    );
    check(
        json!({ "layout": "xml-elements", "place": "e", "fields": ["@id", "."], "page": 0 }),
        "<r><e id='1'>x</e></r>",
        &["true", "3+15 1|x", "Some(Ending::Whole)", r#"Ok("<r><e id")"#],
    );
    check(
        json!({ "layout": "csv", "place": ";", "fields": ["b"], "page": u32::MAX }),
        "a;b\n1;2\n",
        &["true", "4+4 2", "Some(Ending::Whole)", r#"Ok("a;b\n1;2\n")"#],
    );
    check(
        json!({ "layout": "json-array", "place": "results", "page": 1 }),
        "[]",
        &["invalid: the JSON Pointer \"results\" does not begin with `/`"],
    );
}

#[test]
fn what_the_reader_reads_is_counted_as_input() {
    let report = "[1,2,3]";
    let run = read_with(
        json!({ "layout": "json-array", "fields": [""], "page": 1 }),
        text(report),
        tight(),
    );
    // once by the reader, and eight bytes at most when the guest has its input back
    assert_eq!(run.counts.input_bytes, 2 * report.len() as u64);
}

#[test]
fn a_guest_that_asks_on_behind_the_end_is_ended() {
    let run = read_with(
        json!({ "layout": "json-lines", "page": 1, "after_end": true }),
        text("1\n"),
        tight(),
    );
    assert!(
        run.kept.log.iter().filter(|line| *line == "closed").count() > 10,
        "{:?}",
        run.kept.log
    );
    assert!(
        matches!(
            run.outcome,
            Err(ConvertFailure::OverLimit {
                what: "reads after the end",
                ..
            })
        ),
        "{:?}",
        run.outcome
    );
}

/// White space without an end.
struct Blank;

impl std::io::Read for Blank {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(b' ');
        Ok(buffer.len())
    }
}

#[test]
fn a_search_for_the_next_record_ends_at_the_deadline_or_the_input_limit() {
    for layout in ["json-array", "json-lines"] {
        let limits = RunLimits {
            deadline: Duration::from_millis(300),
            ..tight()
        };
        let run = read_with(
            json!({ "layout": layout, "page": 1 }),
            Input::once("blank", Blank),
            limits,
        );
        assert!(
            matches!(
                run.outcome,
                Err(ConvertFailure::Deadline { .. } | ConvertFailure::OverLimit { .. })
            ),
            "{:?}",
            run.outcome
        );
    }
}

/// An upload of one file.
struct OneFile;

impl ConvertServices for OneFile {
    fn secret_identity(&mut self, _value: &[u8]) -> String {
        String::new()
    }

    fn open_source(&mut self, path: &str) -> Option<Input> {
        (path == "a.jsonl").then(|| Input::seekable(path, Cursor::new(b"1\n".to_vec())))
    }
}

#[test]
fn only_so_many_readers_are_open_at_a_time() {
    let options = json!({ "do": "records", "layout": "json-lines", "page": 1, "many": "a.jsonl" });
    let mut request = request(&options.to_string(), vec![text("")], tight());
    request.services = Box::new(OneFile);
    let run = run(reach(), request);
    assert_eq!(run.kept.log, ["4"]);
    run.outcome.unwrap();
}
