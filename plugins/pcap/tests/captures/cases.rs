//! Every case against its expected answer, and the counts of capinfos.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::run::{Answer, places, run};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(name)
}

/// Every capture of a folder by its name, unpacked.
pub(crate) fn captures(name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder(name)).expect("the cases are in the repository") {
        let path = entry.expect("readable").path();
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("plain names")
            .to_owned();
        if path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        let bytes = fs::read(&path).expect("readable");
        if let Some(file) = file.strip_suffix(".gz") {
            let mut unpacked = Vec::new();
            GzDecoder::new(&bytes[..])
                .read_to_end(&mut unpacked)
                .expect("sound gzip");
            found.insert(file.to_owned(), unpacked);
        } else {
            found.insert(file, bytes);
        }
    }
    assert!(!found.is_empty(), "no case in {name}");
    found
}

pub(crate) fn capture(name: &str) -> Vec<u8> {
    captures("captures").remove(name).expect("a case of that name")
}

fn check_folder(name: &str) {
    let bless = std::env::var_os("BLESS").is_some();
    for (file, bytes) in captures(name) {
        let answer = run(&file, &bytes);
        let path = folder(name).join(format!("{file}.expected.json"));
        let text = serde_json::to_string_pretty(&answer.to_json()).expect("JSON") + "\n";
        if bless {
            fs::write(&path, &text).expect("writable");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            text,
            expected,
            "{file} gives another answer than {}",
            path.display()
        );
    }
}

#[test]
fn every_capture_gives_its_expected_answer() {
    check_folder("captures");
}

#[test]
fn every_hostile_file_gives_its_expected_answer() {
    check_folder("hostile");
}

#[test]
fn packets_are_as_many_as_another_program_counts() {
    let counts = fs::read_to_string(folder("counts.tsv")).expect("the counts");
    let captures = captures("captures");
    assert_eq!(counts.lines().count(), captures.len());
    for line in counts.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let answer = run(fields[0], &captures[fields[0]]);
        assert_eq!(answer.packets().to_string(), fields[2], "{}", fields[0]);
        let stats = &answer.sessions[0]["protocol_stats"];
        let sum = |names: &[&str]| {
            let packets = names
                .iter()
                .map(|name| stats[*name]["packets"].as_u64().unwrap_or(0));
            packets.sum::<u64>()
        };
        assert_eq!(sum(&["ipv4", "ipv6", "arp", "other-network"]), answer.packets());
    }
}

/// The answers that the samples' authors wrote down, in the words of an outcome.
#[test]
fn hostile_files_get_the_good_answer() {
    let expected = [
        ("bad-magic.pcap", "unrecognized", 0),
        ("caplen-huge.pcap", "partial", 1),
        ("caplen-over-snaplen.pcap", "complete", 3),
        ("caplen-past-end.pcap", "truncated", 1),
        ("good-3-packets.pcap", "complete", 3),
        ("header-only-10-bytes.pcap", "corrupt", 0),
        ("ip-header-length-lies.pcap", "complete", 3),
        ("ip-length-lies.pcap", "complete", 3),
        ("link-type-unknown.pcap", "unrecognized", 0),
        ("orig-less-than-caplen.pcap", "complete", 3),
        ("pcapng-block-length-huge.pcapng", "corrupt", 0),
        ("pcapng-block-length-zero.pcapng", "corrupt", 0),
        ("pcapng-good.pcapng", "complete", 2),
        ("pcapng-no-interface.pcapng", "corrupt", 0),
        ("pcapng-trailer-mismatch.pcapng", "corrupt", 0),
        ("snaplen-4g.pcap", "complete", 2),
        ("snaplen-zero.pcap", "complete", 2),
        ("text-not-pcap.pcap", "unrecognized", 0),
        ("timestamps-odd.pcap", "complete", 3),
        ("truncated-mid-packet.pcap", "truncated", 2),
        ("version-99.pcap", "complete", 1),
    ];
    let files = captures("hostile");
    assert_eq!(files.len(), expected.len());
    for (file, word, packets) in expected {
        let answer = run(file, &files[file]);
        assert_eq!(
            (answer.word().as_str(), answer.packets()),
            (word, packets),
            "{file}"
        );
    }
}

#[track_caller]
fn check(file: &str, expected: &[(&str, &str, &[&str])]) -> Answer {
    let answer = run(file, &capture(file));
    let found: Vec<(&str, &str, Vec<String>)> = answer
        .findings
        .iter()
        .map(|finding| (finding.rule_id.as_str(), finding.title.as_str(), places(finding)))
        .collect();
    let expected: Vec<(&str, &str, Vec<String>)> = expected
        .iter()
        .map(|(rule, title, places)| {
            (
                *rule,
                *title,
                places.iter().map(|&place| place.to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(found, expected, "{file}");
    answer
}

#[test]
fn logins_in_clear_text_are_found_where_other_tools_see_them() {
    // tshark lists passwords in packets 9, 66 and 83; suricata alerts on the same.
    check(
        "ftp-login.pcap",
        &[
            (
                "cleartext-credentials-ftp",
                "FTP password sent in clear text: alice",
                &["127.0.0.1:56700 > 127.0.0.1:21, 9"],
            ),
            // Another password, which the server refuses.
            (
                "cleartext-credentials-ftp",
                "FTP password sent in clear text: alice",
                &["127.0.0.1:56708 > 127.0.0.1:21, 66"],
            ),
            (
                "cleartext-credentials-ftp",
                "FTP password sent in clear text: bob",
                &["127.0.0.1:58430 > 127.0.0.1:21, 83"],
            ),
        ],
    );
    check(
        "smtp-auth-plain.pcap",
        &[(
            "cleartext-credentials-smtp",
            "Mail password sent in clear text (SMTP): alice@shop.test",
            &["127.0.0.1:35436 > 127.0.0.1:25, 14"],
        )],
    );
    check(
        "telnet-login.pcap",
        &[(
            "cleartext-credentials-telnet",
            "Telnet password sent in clear text: alice",
            &["127.0.0.1:46860 > 127.0.0.1:23, 12"],
        )],
    );
    check(
        "http-basic-auth-attacks.pcap",
        &[
            (
                "cleartext-credentials-http-basic",
                "HTTP Basic credentials sent in clear text: admin",
                &["127.0.0.1:37132 > 127.0.0.1:80, 4"],
            ),
            // Another password.
            (
                "cleartext-credentials-http-basic",
                "HTTP Basic credentials sent in clear text: admin",
                &["127.0.0.1:37144 > 127.0.0.1:80, 14"],
            ),
            (
                "cleartext-credentials-http-form",
                "Login form sent in clear text: http://127.0.0.1/login",
                &["127.0.0.1:37146 > 127.0.0.1:80, 24"],
            ),
        ],
    );
}

#[test]
fn a_scan_is_one_finding() {
    let answer = check(
        "nmap-syn-scan.pcap",
        &[("port-scan", "Port scan of a host", &["127.0.0.1 > 127.0.0.1, 1"])],
    );
    let message = &answer.findings[0].message;
    assert!(
        message.contains("1024 ports") && message.contains("SYN scan"),
        "{message}"
    );
    assert!(message.contains("5 answered, 1019 refused"), "{message}");
}

#[test]
fn dns_is_watched_for_transfers_smuggling_and_floods() {
    let answer = run("dns", &capture("dns-axfr-and-exfil.pcap"));
    let rules: Vec<&str> = answer.titles().into_iter().map(|(rule, _)| rule).collect();
    let expected = [
        "dns-nxdomain-flood",
        "dns-zone-transfer-request",
        "dns-zone-transfer",
        "dns-tunnel",
    ];
    assert_eq!(rules, expected);
    // suricata's first alert on a long label is packet 19.
    assert_eq!(
        places(answer.of("dns-tunnel")[0]),
        ["127.0.0.1:41661 > 127.0.0.2:53, 19"]
    );
}

#[test]
fn handshakes_show_versions_and_certificates() {
    let answer = run("tls", &capture("tls10-expired-cert.pcap"));
    let rules: Vec<(&str, &str)> = answer.titles();
    assert_eq!(
        rules,
        [
            (
                "tls-certificate-expired",
                "TLS certificate was expired: CN=old.shop.test"
            ),
            (
                "tls-certificate-self-signed",
                "Self-signed TLS certificate: CN=old.shop.test"
            ),
            (
                "tls-certificate-weak-key",
                "TLS certificate with a weak key: CN=old.shop.test"
            ),
            ("tls-obsolete-version", "Obsolete TLS version negotiated: TLS 1.0"),
            ("tls-obsolete-version", "Obsolete TLS version negotiated: TLS 1.1"),
        ]
    );
    // Three connections, as suricata's three tls events.
    assert_eq!(answer.findings[0].locations.len(), 3);
}

/// The passwords of the captures, as they stand there and as they were sent.
#[test]
fn no_password_reaches_anything_that_is_kept() {
    let mut sent = 0;
    for (file, bytes) in captures("captures") {
        let kept = run(&file, &bytes).to_json().to_string();
        for secret in secrets(&bytes) {
            assert!(!kept.contains(&secret), "`{secret}` of {file} is kept");
            sent += 1;
        }
    }
    assert!(sent >= 5, "{sent} secrets are in the captures");
}

/// What stands behind `PASS `, `Basic `, `AUTH PLAIN ` and `password=`, up to the line's end.
fn secrets(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for word in ["PASS ", "Basic ", "AUTH PLAIN ", "password="] {
        for (at, _) in text.match_indices(word) {
            let rest = &text[at + word.len()..];
            let secret: String = rest.chars().take_while(char::is_ascii_graphic).collect();
            if secret.len() > 3 {
                found.push(secret);
            }
        }
    }
    found
}
