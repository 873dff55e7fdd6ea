//! What scanners of secrets quote must not be in anything that is said about it: no text, place, extra or
//! diagnostic.

use serde_json::Value;

use crate::answer::{convert, reports};

/// Formats of scanners of secrets.
const FORMATS: [&str; 7] = [
    "betterleaks/",
    "detect-secrets/",
    "gitleaks/",
    "kingfisher/",
    "trufflehog/",
    "trufflehog2/",
    "trufflehog3/",
];

/// Members that are the secret itself, or texts and objects of secrets.
const MEMBERS: [&str; 11] = [
    "Raw",
    "RawV2",
    "Secret",
    "dependent_captures",
    "hashed_secret",
    "offender",
    "secret",
    "secrets",
    "snippet",
    "stringsFound",
    "value",
];

/// Shorter ones are words that stand in any text.
const BYTES_MIN: usize = 6;

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(entries) => entries.iter().for_each(|entry| texts(entry, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

fn secrets(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(entries) => entries.iter().for_each(|entry| secrets(entry, found)),
        Value::Object(members) => {
            for (name, member) in members {
                if MEMBERS.contains(&name.as_str()) {
                    texts(member, found);
                } else {
                    secrets(member, found);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn no_secret_is_in_what_is_said_about_it() {
    let mut checked = 0;
    for (name, bytes) in reports() {
        if !FORMATS.iter().any(|format| name.starts_with(format)) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut raw = Vec::new();
        for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            match document {
                Ok(document) => secrets(&document, &mut raw),
                Err(_) => break,
            }
        }
        for line in text.lines() {
            if let Ok(document) = serde_json::from_str::<Value>(line) {
                secrets(&document, &mut raw);
            }
        }
        raw.retain(|secret| secret.len() >= BYTES_MIN);
        let answer = convert(&bytes);
        let said = format!("{:?} {:?}", answer.host.findings, answer.host.diagnostics);
        for secret in raw {
            let quoted = format!("{secret:?}");
            assert!(
                !said.contains(&secret) && !said.contains(quoted.trim_matches('"')),
                "{name} shows {secret}"
            );
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} secrets were looked for");
}

#[test]
fn a_secret_is_hidden_in_whatever_text_repeats_it() {
    const SECRET: &str = "AKIAZZZZTESTKEY00002";
    let second = "tail-of-0123456789abcdef";
    for report in [
        format!(
            r#"[{{"RuleID":"key","Description":"has {SECRET}","Secret":"{SECRET}","Match":"k={SECRET}","File":"a","StartLine":1,"Author":"{SECRET}","Tags":["{SECRET}"],"Fingerprint":"{SECRET}:1"}}]"#
        ),
        format!(
            r#"{{"SourceMetadata":{{"Data":{{"Git":{{"file":"a","repository":"https://ann:hunter2@git.test/a.git","link":"https://git.test/{second}"}}}}}},"DetectorName":"AWS","DetectorDescription":"has {SECRET}","Verified":false,"VerificationError":"{second}","Raw":"{SECRET}","RawV2":"{SECRET}:{second}"}}"#
        ),
        format!(
            r#"{{"branch":"{SECRET}","commit":"c","commitHash":"h","diff":"x","path":"a","printDiff":"x","reason":"key","stringsFound":["{SECRET}"]}}"#
        ),
        format!(
            r#"[{{"rule":{{"name":"has {SECRET}","id":"key"}},"finding":{{"snippet":"{SECRET}","fingerprint":"1","confidence":"medium","validation":{{"status":"has {SECRET}"}},"line":1,"path":"a"}}}}]"#
        ),
    ] {
        let answer = convert(report.as_bytes());
        assert_eq!(answer.host.findings.len(), 1, "{report}");
        let said = format!("{:?} {:?}", answer.host.findings, answer.host.diagnostics);
        for secret in [SECRET, second, "hunter2"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}
