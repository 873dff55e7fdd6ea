//! Reports about captures: Suricata's EVE, Zeek's logs and tshark's JSON, with the checks that all plugins
//! share.
//!
//! Suricata's and tshark's are real; Zeek's are written here after its documentation, with the captures'
//! own data.

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

/// `alert` and `anomaly` events of the counts are findings of their own.
#[test]
fn every_alert_and_every_anomaly_is_a_finding() {
    let kit = kit();
    for row in kit
        .count_rows()
        .iter()
        .filter(|row| row.name.starts_with("eve/") && !row.detail.contains_key("drop"))
    {
        let answer = kit.convert(&kit.report(&row.name));
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &answer.host.findings {
            // A signature is `gid:sid`; other events keep the rule that a raw capture would break.
            let kind = match finding.rule_id.split_once(':') {
                Some(("anomaly", _)) => "anomaly",
                Some(_) => "alert",
                None => "weak",
            };
            *found.entry(kind).or_default() += 1;
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

/// Rule and severity of each finding, in order.
fn rules(report: &str) -> Vec<String> {
    let kit = kit();
    let answer = kit.convert(&kit.report(report));
    let findings = answer.host.findings.iter();
    findings.map(|finding| finding.rule_id.clone()).collect()
}

#[test]
fn what_is_weak_in_other_events_is_found_under_the_rules_of_raw_captures() {
    assert_eq!(
        rules("zeek/weak-protocols.json.log"),
        [
            "tls-obsolete-version",
            "tls-certificate-untrusted",
            "tls-certificate-expired",
            "cleartext-credentials-ftp",
            "ftp-anonymous-login",
            "cleartext-credentials-http-basic",
            "snmp-default-community",
            "ssh-obsolete-version",
            "cleartext-credentials-socks",
            "kerberos-weak-encryption",
            "vnc-without-authentication",
            "intel:domain",
            "signature:shop-php-upload",
        ]
    );
    assert_eq!(
        rules("zeek/rotated.log"),
        [
            "cleartext-credentials-ftp",
            "cleartext-credentials-ftp",
            "tls-certificate-weak-signature",
        ]
    );
    let eve = rules("eve/weak-protocols.eve.jsonl");
    for rule in [
        "cleartext-credentials-ftp",
        "cleartext-credentials-mqtt",
        "cleartext-credentials-postgresql",
        "cleartext-community-snmp",
        "snmp-default-community",
        "ssh-obsolete-version",
        "smb-obsolete-version",
        "vnc-without-authentication",
        "kerberos-weak-encryption",
        "1:9000100",
    ] {
        assert!(eve.iter().any(|known| known == rule), "{rule} is not in {eve:?}");
    }
}

#[test]
fn tshark_adds_passwords_of_protocols_that_are_not_read_otherwise() {
    assert_eq!(
        rules("tshark/fields.json"),
        [
            "cleartext-credentials-ldap",
            "cleartext-credentials-mqtt",
            "cleartext-credentials-postgresql",
            "cleartext-credentials-socks",
            "cleartext-credentials-irc",
        ]
    );
    assert_eq!(rules("tshark/whole.json"), ["cleartext-credentials-ldap"]);
    assert!(rules("tshark/nothing.json").is_empty());
}

/// The passwords of the cases stand in them, and in nothing that is made of them.
#[test]
fn no_password_of_a_report_is_kept() {
    let kit = kit();
    for row in kit.count_rows() {
        let answer = kit.convert(&kit.report(&row.name));
        let kept = format!("{:?} {:?}", answer.host.findings, answer.host.diagnostics);
        for secret in ["hunter2", "s3cr3t", "wonderland"] {
            assert!(!kept.contains(secret), "`{secret}` of {} is kept", row.name);
        }
    }
}

#[test]
fn what_fuzzing_found_is_answered_soundly() {
    kit().check_fuzzed(&["capture", "capture_logs"]);
}
