//! Reports about captures: Suricata's EVE and Zeek's logs, with the checks that all plugins share.
//!
//! Suricata's are real; Zeek's are written here after its documentation, with the captures' own data.

use std::collections::BTreeMap;

use tamiz_sdk::model::Location;
use tamiz_sdk::test_kit::Kit;

fn kit() -> Kit {
    Kit::new::<tamiz_pcap::Pcap>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports"))
}

#[test]
fn every_report_gives_what_stands_beside_it() {
    kit().check_cases();
}

#[test]
fn counts_are_those_of_another_program() {
    let kit = kit();
    for row in kit.count_rows() {
        let bytes = kit.report(&row.name);
        assert_eq!(bytes.len(), row.bytes, "{}", row.name);
        let outcome = kit.convert(&bytes).outcome.expect(&row.name);
        assert_eq!(outcome.records as usize, row.records, "{}", row.name);
        assert_eq!(
            outcome.findings + outcome.skipped,
            outcome.records,
            "{}",
            row.name
        );
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
    Kit::new::<tamiz_pcap::Pcap>(env!("CARGO_MANIFEST_DIR")).check_severities("pcap", tamiz_pcap::SEVERITIES);
}

/// `alert` and `anomaly` events of the counts are findings, and no other.
#[test]
fn alerts_and_anomalies_are_findings_and_nothing_else() {
    let kit = kit();
    for row in kit.count_rows().iter().filter(|row| row.name.starts_with("eve/")) {
        let answer = kit.convert(&kit.report(&row.name));
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &answer.host.findings {
            let anomaly = finding.rule_id.starts_with("anomaly:");
            *found
                .entry(if anomaly { "anomaly" } else { "alert" })
                .or_default() += 1;
        }
        for kind in ["alert", "anomaly"] {
            let counted = row.detail.get(kind).copied().unwrap_or(0);
            assert_eq!(
                found.get(kind).copied().unwrap_or(0),
                counted,
                "{} {kind}",
                row.name
            );
        }
    }
}

#[test]
fn an_alert_keeps_its_rule_its_packet_and_its_weakness() {
    let kit = kit();
    let answer = kit.convert(&kit.report("eve/ftp-login.eve.jsonl"));
    let alert = answer
        .host
        .findings
        .iter()
        .find(|finding| finding.rule_id == "1:9000001");
    let alert = alert.expect("the rule on FTP passwords");
    assert_eq!(alert.title, "TAMIZ FTP password in clear");
    assert_eq!(alert.cwe, [319]);
    let Some(Location::Flow(flow)) = alert.locations.first() else {
        unreachable!("an alert has its conversation")
    };
    assert_eq!((flow.packet, flow.destination.port), (Some(9), Some(21)));
    assert_eq!(flow.destination.protocol.as_deref(), Some("tcp/ftp"));
}

#[test]
fn notices_tell_what_they_are_about() {
    let kit = kit();
    for name in ["zeek/notice.log", "zeek/notice.json.log"] {
        let answer = kit.convert(&kit.report(name));
        let cwe: Vec<_> = answer
            .host
            .findings
            .iter()
            .map(|finding| finding.cwe.clone())
            .collect();
        assert_eq!(cwe, [vec![295], vec![298], vec![200], vec![89], vec![]], "{name}");
    }
}
