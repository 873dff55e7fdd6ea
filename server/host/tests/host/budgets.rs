//! Floods: what a guest may keep is bounded, exactly, and the rest is told.

use std::io::Cursor;
use std::time::Duration;

use tamiz_core::Location;
use tamiz_host::{Completeness, ConvertFailure, Input, RunLimits};

use crate::sink::Kept;
use crate::world::{codeaudit, deed, hostile, request, run, text, tight};

fn over(outcome: &Result<tamiz_host::Outcome, ConvertFailure>) -> Option<(&'static str, u64)> {
    match outcome {
        Err(ConvertFailure::OverLimit { what, limit }) => Some((what, *limit)),
        _ => None,
    }
}

#[test]
fn findings_are_kept_up_to_the_limit_and_the_rest_is_told_once() {
    let limits = RunLimits {
        findings_max: 1_000,
        ..tight()
    };
    let run = deed("flood-findings", limits);
    assert_eq!(over(&run.outcome), Some(("findings", 1_000)));
    assert_eq!((run.kept.findings.len(), run.counts.findings), (1_000, 1_000));
    assert_eq!(run.kept.codes(), ["over-limit"]);
}

#[test]
fn the_text_of_findings_is_limited_together() {
    let limits = RunLimits {
        finding_bytes_max: 10_000,
        ..tight()
    };
    let run = deed("flood-findings", limits);
    assert_eq!(over(&run.outcome), Some(("bytes of findings", 10_000)));
    let text: usize = run
        .kept
        .findings
        .iter()
        .map(|finding| finding.message.len() + finding.title.len())
        .sum();
    assert!(text <= 10_000 && run.counts.findings > 0);
}

#[test]
fn log_lines_are_kept_up_to_the_limit() {
    let limits = RunLimits {
        log_lines_max: 10,
        ..tight()
    };
    let run = deed("flood-log", limits);
    assert_eq!(over(&run.outcome), Some(("log lines", 10)));
    assert_eq!(run.kept.log.len(), 10);
    assert!(run.counts.log_lines_dropped > 0);
    assert!(run.kept.log.iter().all(|line| line.len() <= 4096));
}

#[test]
fn a_plugin_that_ends_politely_at_its_limit_has_failed_and_what_it_emitted_is_kept() {
    let result = r#"{"check_id":"r","path":"a.py","start":{"line":1,"col":1},"end":{"line":1,"col":2},
        "extra":{"message":"m","severity":"ERROR","metadata":{}}}"#;
    let report = format!(r#"{{"version":"1.0.0","results":[{result},{result},{result}],"errors":[]}}"#);
    let limits = RunLimits {
        findings_max: 2,
        ..tight()
    };
    let run = run(codeaudit(), request("{}", vec![text(&report)], limits));
    assert_eq!(over(&run.outcome), Some(("findings", 2)));
    assert_eq!(run.kept.findings.len(), 2);
}

#[test]
fn diagnostics_are_kept_up_to_the_limit() {
    let limits = RunLimits {
        deadline: Duration::from_secs(1),
        diagnostics_max: 7,
        ..tight()
    };
    let run = deed("flood-diagnostics", limits);
    assert!(run.outcome.is_err());
    assert_eq!((run.kept.diagnostics.len(), run.counts.diagnostics), (7, 7));
    assert!(run.counts.diagnostics_dropped > 0);
}

#[test]
fn progress_reaches_the_sink_ten_times_a_second() {
    let limits = RunLimits {
        deadline: Duration::from_secs(1),
        ..tight()
    };
    let run = deed("flood-progress", limits);
    assert!(run.outcome.is_err());
    assert!(
        (1..=12).contains(&run.kept.progress.len()),
        "{}",
        run.kept.progress.len()
    );
}

#[test]
fn an_artifact_is_limited_and_forgotten_when_it_oversteps() {
    let limits = RunLimits {
        artifact_bytes_max: 1_000_000,
        ..tight()
    };
    let run = deed("flood-artifact", limits);
    assert_eq!(over(&run.outcome), Some(("bytes of artifacts", 1_000_000)));
    assert!(run.counts.artifact_bytes <= 1_000_000);
    assert_eq!((run.kept.artifacts.len(), run.kept.dropped), (0, 1));
    assert!(run.kept.open.is_empty());
}

#[test]
fn artifacts_are_limited_in_number() {
    let limits = RunLimits {
        artifacts_max: 20,
        ..tight()
    };
    let run = deed("flood-artifacts", limits);
    assert_eq!(over(&run.outcome), Some(("artifacts", 20)));
    assert_eq!(run.kept.dropped, 20);
    assert!(run.kept.open.is_empty());
}

#[test]
fn a_finished_artifact_is_kept_and_one_left_open_is_forgotten() {
    let run = deed("artifact", tight());
    run.outcome.unwrap();
    let (meta, bytes) = &run.kept.artifacts[0];
    assert_eq!(
        (meta.name.as_str(), bytes.as_slice()),
        ("kept.txt", &b"some bytes"[..])
    );
    assert_eq!((run.counts.artifacts, run.kept.dropped), (1, 1));
    assert_eq!(
        run.kept.findings[0].message.len(),
        64,
        "the guest was told the digest"
    );
}

#[test]
fn a_store_that_keeps_other_bytes_than_were_written_fails_the_run() {
    let mut request = request(r#"{"do":"artifact"}"#, vec![], tight());
    request.sink = Box::new(Kept {
        stores_wrong_bytes: true,
        ..Kept::default()
    });
    let run = run(hostile(), request);
    assert!(matches!(run.outcome, Err(ConvertFailure::Sink(_))));
    assert_eq!(run.counts.artifacts, 0);
}

#[test]
fn a_sink_that_fails_is_the_hosts_fault() {
    let mut request = request(r#"{"do":"echo"}"#, vec![text("a\n")], tight());
    request.sink = Box::new(Kept {
        fails_on_findings: true,
        ..Kept::default()
    });
    let run = run(hostile(), request);
    assert!(run.outcome.is_err_and(|error| error.is_the_hosts()));
    assert_eq!(run.counts.findings, 0);
}

#[test]
fn a_reader_that_fails_is_the_hosts_fault() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let input = Input::once("report", Broken);
    let run = run(hostile(), request(r#"{"do":"echo"}"#, vec![input], tight()));
    assert!(
        matches!(&run.outcome, Err(ConvertFailure::Input { name, .. }) if name == "report"),
        "{:?}",
        run.outcome
    );
}

#[test]
fn an_input_that_cannot_go_back_says_so() {
    let input = Input::once("report", Cursor::new(b"a".to_vec()));
    let run = run(
        hostile(),
        request(r#"{"do":"rewind-forever"}"#, vec![input], tight()),
    );
    assert!(over(&run.outcome).is_some_and(|(what, _)| what.starts_with("rewinds")));
}

#[test]
fn an_input_beyond_four_gibibytes_is_refused_before_the_plugin_sees_it() {
    let input = Input::once("report", std::io::empty()).with_size_bytes(1 << 32);
    let run = run(hostile(), request(r#"{"do":"loop"}"#, vec![input], tight()));
    assert_eq!(
        over(&run.outcome),
        Some(("bytes of one input", u64::from(u32::MAX)))
    );
}

#[test]
fn options_beyond_their_limit_are_refused_before_the_plugin_sees_them() {
    let run = run(hostile(), request(&"x".repeat(64 * 1024 + 1), vec![], tight()));
    assert_eq!(over(&run.outcome), Some(("bytes of options", 64 * 1024)));
}

#[test]
fn counts_that_do_not_hold_are_told_and_the_hosts_win() {
    let run = deed("lying-outcome", tight());
    let outcome = run.outcome.unwrap();
    assert_eq!(
        (outcome.findings, outcome.completeness),
        (0, Completeness::Complete)
    );
    assert_eq!(run.kept.codes(), ["count-mismatch"]);
}

#[test]
fn a_finding_against_the_rules_is_made_to_fit() {
    let run = deed("bad-finding", tight());
    assert_eq!(run.outcome.unwrap().findings, 1);
    let finding = &run.kept.findings[0];
    assert_eq!(
        (finding.tool.as_str(), finding.rule_id.as_str()),
        ("nota tool ", "unnamed")
    );
    assert_eq!(finding.title, "two lines");
    assert_eq!((finding.cwe.len(), finding.references.len()), (0, 0));
    assert_eq!(finding.extra["key"], "not json");
    assert!(
        !finding
            .locations
            .iter()
            .any(|place| matches!(place, Location::Flow { .. }))
    );
    assert_eq!(run.kept.codes(), ["field-empty", "field-dropped"]);
}
