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
