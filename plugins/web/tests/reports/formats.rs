//! What single formats must say, beyond their snapshots.

use tamiz_sdk::model::{Confidence, ConvertError, Coverage, Location, Severity};
use tamiz_sdk::test_kit::Answer;

use crate::properties::kit;

fn read(name: &str) -> Answer {
    let kit = kit();
    kit.convert(&kit.report(name))
}

#[track_caller]
fn refused(name: &str, words: &str) {
    let answer = read(name);
    let is_refused = match &answer.outcome {
        Err(ConvertError::Corrupt(broken)) => broken.message.contains(words),
        _ => false,
    };
    assert!(is_refused, "{name}: {:?}", answer.outcome);
    assert!(answer.host.findings.is_empty(), "{name}");
}

#[test]
fn a_dead_target_is_no_clean_one() {
    refused("wapiti/refused-3.2.3.json", "did not answer");
    refused("wapiti/dead-3.2.xml", "did not answer");
    refused("whatweb/refused.json", "without a target that answered");
    refused("hostile/nikto-2.1.5-refused.xml", "reached no target");
    refused("sqlmap/dead-api.json", "a target that answered");
    refused("wpscan/aborted.json", "seems to be down");
    refused("arachni/dead.json", "did not answer");
    refused("zap/no-site.json", "reached none");
    refused("zap/no-site.xml", "reached none");
    refused("nmap/nobody-answers.xml", "dead or filtered");
    refused("nikto/unresolvable-2.1.6.json", "reached no target");
    refused("nikto/no-server-2.1.6.json", "reached no target");
}

#[test]
fn a_report_that_lists_nothing_and_shows_no_contact_is_a_partial_one() {
    for name in [
        "ffuf/refused.json",
        "dirsearch/nothing.json",
        "burp/without-issues.xml",
        "wapiti/nothing-2.3.xml",
        "sqlmap/nothing-1.10.json",
    ] {
        let answer = read(name);
        let outcome = answer.outcome.as_ref().expect(name);
        assert_eq!(outcome.coverage, Coverage::Partial, "{name}");
        assert_eq!((outcome.records, outcome.findings), (0, 0), "{name}");
        assert_eq!(answer.told("no-contact-shown").len(), 1, "{name}");
    }
}

#[test]
fn a_text_that_begins_with_a_bracket_is_no_json() {
    for name in ["gobuster/fuzz-3.8.txt", "sqlmap/two-points.txt"] {
        let outcome = read(name).outcome.expect(name);
        assert_eq!((outcome.records, outcome.findings), (2, 2), "{name}");
    }
}

#[test]
fn a_living_target_without_findings_is_clean() {
    for name in [
        "zap/clean-site.xml",
        "arachni/clean.json",
        "nmap/closed-port.xml",
        "sqlmap/login-none-api.json",
    ] {
        let outcome = read(name).outcome.expect(name);
        assert!(outcome.is_whole(), "{name}");
        assert_eq!((outcome.records, outcome.findings), (0, 0), "{name}");
    }
}

#[test]
fn zaps_two_formats_agree_and_lose_no_place() {
    let (json, xml) = (read("zap/shop-2.15.json"), read("zap/shop-2.15.xml"));
    let without_origin = |answer: &Answer| {
        let mut findings = answer.host.findings.clone();
        for finding in &mut findings {
            finding.origin = None;
        }
        findings
    };
    assert_eq!(
        without_origin(&json).len(),
        6,
        "five alerts, one of them with 70 places"
    );
    assert!(without_origin(&json) == without_origin(&xml));
    let places: usize = json
        .host
        .findings
        .iter()
        .map(|finding| finding.locations.len())
        .sum();
    assert_eq!(places, 74);
    let first = &json.host.findings[0];
    assert_eq!(
        (first.severity, first.confidence),
        (Severity::High, Confidence::Medium)
    );
    assert!(
        first.tags.contains(&"owasp:A03:2021".to_owned()),
        "{:?}",
        first.tags
    );
}

#[test]
fn nucleis_two_layouts_agree() {
    let (lines, list) = (read("nuclei/shop-3.jsonl"), read("nuclei/shop-3-export.json"));
    for (line, entry) in lines.host.findings.iter().zip(&list.host.findings) {
        let mut line = line.clone();
        line.origin = entry.origin;
        assert!(line == *entry, "{} {}", line.rule_id, entry.rule_id);
    }
    assert_eq!((lines.host.findings.len(), list.host.findings.len()), (6, 5));
    assert_eq!(lines.told("not-matched").len(), 1);
    assert_eq!(lines.told("severity-unknown").len(), 1);
}

#[test]
fn secrets_are_redacted_and_known_by_their_hash() {
    for (name, secret) in [
        ("nuclei/shop-3.jsonl", "tok_live_0123456789abcdefghij"),
        ("wpscan/blog-3.8.json", "correct horse battery staple"),
        ("zap/shop-2.15.json", "hunter2"),
        ("wapiti/vulnweb-3.2.3.json", "session=0001"),
        ("burp/shop-2024.xml", "UE9TVCAvbG9naW4"),
        ("wfuzz/requests.json", "hunter2"),
        ("wapiti/shop-2.3.xml", "a=secret"),
        ("wpscan/themes-3.8.json", "correct horse"),
    ] {
        let answer = read(name);
        let text = format!("{:?}{:?}", answer.host.findings, answer.host.diagnostics);
        assert!(!text.contains(secret), "{name}");
    }
    let findings = read("nuclei/shop-3.jsonl").host.findings;
    let secret = findings
        .iter()
        .find(|finding| finding.rule_id == "exposed-api-token");
    let secret = secret.expect("the token");
    assert_eq!(secret.category.as_deref(), Some("secret"));
    assert!(secret.tool_fingerprint.is_some());
}

#[test]
fn niktos_csv_has_a_finding_per_item_and_tells_of_its_other_rows() {
    let answer = read("nikto/nginx-1.22.csv");
    let outcome = answer.outcome.as_ref().expect("a report");
    assert_eq!((outcome.records, outcome.findings, outcome.skipped), (27, 24, 3));
    assert_eq!(answer.told("row-without-item").len(), 3);
    let Some(Location::Url(place)) = answer.host.findings[0].locations.first() else {
        panic!("no address");
    };
    assert_eq!(place.url, "http://localhost:8082/");
}

#[test]
fn nikto_2_1_writes_commas_behind_last_entries_and_zeros_in_front_of_numbers() {
    let answer = read("nikto/old-2.1.6.json");
    let outcome = answer.outcome.as_ref().expect("a report");
    assert_eq!((outcome.records, outcome.findings), (3, 3));
    assert_eq!(answer.host.findings[1].rule_id, "001805");
    assert_eq!(answer.host.findings[2].cve, ["CVE-2004-2320"]);
}

#[test]
fn nikto_2_1_forgets_ends_and_commas_between_targets() {
    for (name, records, lost, last) in [
        (
            "nikto/targets-2.1.6-first.json",
            3,
            1,
            "https://other.example.test:8443/icons/README",
        ),
        (
            "nikto/targets-2.1.6-second.json",
            3,
            0,
            "http://other.example.test:80/b",
        ),
        (
            "nikto/pretty-2.6.json",
            2,
            0,
            "http://shop.example.test:8080/x.ico",
        ),
    ] {
        let answer = read(name);
        let outcome = answer.outcome.as_ref().expect(name);
        assert_eq!((outcome.records, outcome.skipped), (records, lost), "{name}");
        let finding = answer.host.findings.last().expect(name);
        let Some(Location::Url(place)) = finding.locations.first() else {
            panic!("{name} has no address");
        };
        assert_eq!(place.url, last, "{name}");
    }
}

#[test]
fn zap_2_3_has_the_places_of_an_alert_in_the_alert() {
    let finding = &read("zap/several-places-2.3.xml").host.findings[0];
    assert_eq!(
        (finding.locations.len(), finding.confidence),
        (2, Confidence::Medium)
    );
}

#[test]
fn what_a_template_extracts_tells_equal_places_apart() {
    let answer = read("nuclei/places.jsonl");
    let findings = &answer.host.findings;
    assert_eq!(findings[0].references.len(), 2);
    assert_eq!(findings[1].locations, findings[2].locations);
    assert!(findings[1].extra != findings[2].extra);
    assert_eq!(findings[1].cwe, [200, 522]);
    assert!(matches!(&findings[3].locations[..], [Location::File(place)] if place.path == "src/app.js"));
}

#[test]
fn a_template_that_was_read_before_says_the_same_and_one_that_changed_does_not() {
    let kit = kit();
    let once = kit.report("nuclei/shop-3.jsonl");
    let changed =
        br#"{"template-id": "spf-record", "info": {"name": "Other", "severity": "high"}, "host": "a.test"}"#;
    let twice = [once.as_slice(), changed, b"\n", &once].concat();
    let mut findings = kit.convert(&twice).host.findings;
    for finding in &mut findings {
        finding.origin = None;
    }
    let (first, rest) = findings.split_at(6);
    assert!(first == &rest[1..]);
    assert_eq!(
        (rest[0].title.as_str(), rest[0].severity),
        ("Other", Severity::High)
    );
}

#[test]
fn vulnerabilities_in_the_text_of_nmaps_scripts_are_records() {
    let answer = read("nmap/scripts-of-all-kinds.xml");
    let of = |script: &str| {
        let findings = answer.host.findings.iter();
        findings
            .filter(|finding| finding.rule_name.as_deref() == Some(script))
            .count()
    };
    assert_eq!((of("vulners"), of("vulscan")), (4, 2));
}

#[test]
fn vulnerabilities_that_nmaps_scripts_name_are_records() {
    let answer = read("nmap/vulnerable-scripts.xml");
    let outcome = answer.outcome.as_ref().expect("a report");
    assert_eq!(
        outcome.coverage,
        Coverage::Partial,
        "nmap says that it was stopped"
    );
    let rules: Vec<_> = answer
        .host
        .findings
        .iter()
        .map(|finding| finding.rule_id.as_str())
        .collect();
    assert_eq!(
        rules,
        [
            "broadcast-ping",
            "open-port",
            "http-vuln-cve2021-41773",
            "http-slowloris-check",
            "CVE-2021-42013",
            "EDB-ID:50383",
            "open-port",
            "smb-vuln-ms10-054"
        ]
    );
    let severities: Vec<_> = answer.host.findings[2..6]
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert_eq!(
        severities,
        [
            Severity::Critical,
            Severity::Medium,
            Severity::Critical,
            Severity::High
        ]
    );
}
