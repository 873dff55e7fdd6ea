//! What a good system answers to each hostile XML file: an error that says why, never a silent
//! `complete`, in bounded time.

use std::time::{Duration, Instant};

use tamiz_sdk::model::{Completeness, ConvertError};

use crate::properties::kit;

/// One file; the machine may be busy.
const SECONDS_MAX: Duration = Duration::from_secs(20);

#[track_caller]
fn check(name: &str, findings: usize, words: &str) {
    let kit = kit();
    let bytes = kit.report(&format!("hostile/{name}"));
    let start = Instant::now();
    let answer = kit.convert(&bytes);
    assert!(start.elapsed() < SECONDS_MAX, "{name}");
    let problem = answer.outcome.as_ref().err().map(ConvertError::message);
    let is_refused = problem.is_some_and(|problem| problem.contains(words));
    assert!(is_refused, "{name}: {:?}", answer.outcome);
    assert_eq!(answer.host.findings.len(), findings, "{name}");
}

#[test]
fn every_hostile_file_is_refused_with_a_reason() {
    check("attributes-50k.xml", 0, "no report that web reads");
    check("billion-laughs.xml", 0, "entit");
    check("control-chars.xml", 0, "reached no target");
    check("declared-utf8-is-latin1.xml", 0, "not UTF-8");
    check("deep-100k.xml", 0, "no report that web reads");
    check("external-entity-file.xml", 0, "entit");
    check("external-entity-http.xml", 0, "reached no target");
    check("parameter-entity.xml", 0, "entit");
    check("quadratic-blowup.xml", 0, "entit");
    check("two-roots.xml", 0, "reached no target");
    check("utf16.xml", 0, "UTF-16");
    // nikto appended: the first document is kept, and the second is told.
    check("nikto-2.1.5-same-output-file-twice.xml", 10, "root");
}

#[test]
fn a_cut_report_says_so() {
    let kit = kit();
    let answer = kit.convert(&kit.report("hostile/truncated.xml"));
    let outcome = answer.outcome.as_ref().expect("what is there is kept");
    assert_eq!(outcome.completeness, Completeness::Truncated);
    assert_eq!(answer.told("truncated").len(), 1);
}
