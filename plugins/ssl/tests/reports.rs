//! Every report gives what stands beside it, and every property of the test kit holds.

use tamiz_sdk::model::{ConvertError, Severity};
use tamiz_sdk::test_kit::Kit;

fn kit() -> Kit {
    // A testssl.sh report keeps what is about the client until the first check of a target; what is
    // wrong with a certificate is told together, and its date waits for the date of the scan.
    Kit::new::<tamiz_ssl::Ssl>(env!("CARGO_MANIFEST_DIR")).with_group_max(5)
}

#[test]
fn every_report_gives_what_stands_beside_it() {
    kit().check_cases();
}

#[test]
fn counts_are_those_of_another_program() {
    kit().check_counts();
}

/// The suites are the other program's, whatever else is found.
#[test]
fn suites_are_all_there_and_nothing_else_is_one() {
    for row in kit().count_rows() {
        let Some(suites) = row.detail.get("suites") else {
            continue;
        };
        let answer = kit().convert(&kit().report(&row.name));
        let is_suite = |rule: &str| rule.starts_with("suite/");
        let found = answer
            .host
            .findings
            .iter()
            .filter(|finding| is_suite(&finding.rule_id));
        assert_eq!(found.count(), *suites, "{}", row.name);
    }
}

#[test]
fn a_dead_target_is_refused_by_name() {
    for (name, says) in [
        ("testssl/refused.json", "Can't connect to '127.0.0.1:9'"),
        (
            "sslscan/refused.xml",
            "Could not open a connection to host 127.0.0.1",
        ),
        ("sslyze/refused.json", "Server rejected the connection"),
        ("ssllabs/refused.json", "Unable to connect to the server"),
    ] {
        let answer = kit().convert(&kit().report(name));
        match answer.outcome {
            Err(ConvertError::Corrupt(broken)) => {
                assert!(broken.message.contains(says), "{name}: {broken:?}");
            }
            other => assert!(other.is_err(), "{name}: {other:?}"),
        }
        assert!(answer.host.findings.is_empty(), "{name}");
    }
}

#[test]
fn every_tool_sees_the_expired_certificate_and_the_old_versions() {
    for name in ["sslscan/tls10expired.xml", "sslyze/tls10expired.json"] {
        let answer = kit().convert(&kit().report(name));
        for rule in [
            "protocol-tls1.0",
            "protocol-tls1.1",
            "certificate-expired",
            "certificate-self-signed",
        ] {
            let found = answer
                .host
                .findings
                .iter()
                .find(|finding| finding.rule_id == rule);
            assert!(
                found.is_some_and(|finding| finding.severity > Severity::Info),
                "{name}: {rule}"
            );
        }
    }
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
    kit().check_severities("ssl", tamiz_ssl::SEVERITIES);
}

#[test]
fn what_fuzzing_found_is_answered_soundly() {
    kit().check_fuzzed(&["ssl"]);
}
