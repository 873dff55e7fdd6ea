//! Every report gives what stands beside it, and every property of the test kit holds.

use tamiz_sdk::model::{Completeness, ConvertError, Severity};
use tamiz_sdk::test_kit::Kit;

/// The breaches of an address in h8mail's report are read together, and a cut in one takes those before.
const GROUP_MAX: usize = 6;

fn kit() -> Kit {
    Kit::new::<tamiz_osint::Osint>(env!("CARGO_MANIFEST_DIR")).with_group_max(GROUP_MAX)
}

#[test]
fn every_report_gives_what_stands_beside_it() {
    kit().check_cases();
}

#[test]
fn counts_are_those_of_another_program() {
    kit().check_counts();
}

#[test]
fn what_can_be_used_against_its_owner_weighs_more() {
    for (name, rule, severity) in [
        ("dnsrecon/axfr.json", "zone-transfer", Severity::High),
        ("dnsrecon/std.json", "open-resolver", Severity::Medium),
        ("dnstwist/shop.test.json", "lookalike-domain", Severity::Low),
        ("h8mail/with-passwords.json", "leaked-password", Severity::High),
        ("shodan/host.json", "CVE-2021-23017", Severity::High),
    ] {
        let answer = kit().convert(&kit().report(name));
        let found = answer
            .host
            .findings
            .iter()
            .find(|finding| finding.rule_id == rule);
        assert_eq!(
            found.map(|finding| finding.severity),
            Some(severity),
            "{name}: {rule}"
        );
    }
}

#[test]
fn no_leaked_password_comes_through() {
    let answer = kit().convert(&kit().report("h8mail/with-passwords.json"));
    let text = format!("{:?}", answer.host.findings);
    for secret in ["Tr0ub4dor-and-3-more", "5f4dcc3b5aa765d61d8327deb882cf99"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let identities: Vec<_> = answer
        .host
        .findings
        .iter()
        .map(|finding| &finding.tool_fingerprint)
        .collect();
    assert!(
        identities.iter().filter(|identity| identity.is_some()).count() >= 2,
        "{identities:?}"
    );
}

#[test]
fn a_report_that_proves_no_answer_is_refused() {
    for (text, says) in [
        (
            r#"[{"arguments":"dnsrecon -d a.example -t std","date":"2026","type":"ScanInfo"}]"#,
            "no name server",
        ),
        (
            "<?xml version='1.0'?><magictree><testdata></testdata></magictree>",
            "no name server",
        ),
        ("[]", "empty list"),
    ] {
        match kit().convert(text.as_bytes()).outcome {
            Err(ConvertError::Corrupt(broken)) => {
                assert!(broken.message.contains(says), "{text}: {broken:?}");
            }
            other => assert!(other.is_err(), "{text}: {other:?}"),
        }
    }
}

#[test]
fn lines_of_ffuf_are_not_taken_for_httpx() {
    let line = br#"{"input":{"FUZZ":"YQ=="},"position":1,"status":200,"length":2,"words":3,"lines":1,"content-type":"","redirectlocation":"","url":"http://shop.test/a","resultfile":"","scheme":"http"}"#;
    let outcome = kit().convert(line).outcome;
    assert!(
        matches!(outcome, Err(ConvertError::Unrecognized(_))),
        "{outcome:?}"
    );
}

#[test]
fn a_name_without_accounts_is_a_complete_answer() {
    let text = "username,name,url_main,url_user,exists,http_status,response_time_s\n";
    let outcome = kit().convert(text.as_bytes()).outcome;
    let whole =
        outcome.is_ok_and(|outcome| outcome.completeness == Completeness::Complete && outcome.records == 0);
    assert!(whole);
}

#[test]
fn chunks_and_repetition_change_nothing() {
    kit().check_chunks();
}

#[test]
fn a_cut_keeps_what_stands_before_it() {
    kit().check_cuts();
}

#[test]
fn a_flipped_byte_keeps_what_stands_before_it() {
    kit().check_flips();
}

#[test]
fn a_fault_in_a_field_costs_at_most_its_record() {
    kit().check_faults();
}

#[test]
fn the_documented_severities_are_the_real_ones() {
    kit().check_severities("osint", tamiz_osint::SEVERITIES);
}

#[test]
fn what_fuzzing_found_is_answered_soundly() {
    kit().check_fuzzed(&["osint"]);
}
