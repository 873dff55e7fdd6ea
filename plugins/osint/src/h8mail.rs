//! h8mail's JSON (2.x): mail addresses and the breaches that they are in.
//!
//! Each breach of an address is a record: a group of `KEY:value` in `data`, or one such text where a
//! service tells them one by one. `pwn_num` counts the texts, and also what it found in local files, which
//! it does not write; those are records, too. Passwords and hashes are secrets. Shape: <https://github.com/khast3x/h8mail>, `utils/print_json.py`.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Text, Texts, Whole};
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, each, members};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{FindingBuilder, redact};

use crate::found;

const TOOL: &str = "h8mail";

/// Breaches without details that are listed of one address; a larger number is no count of anything.
const UNTOLD_MAX: i64 = 1000;

/// What is known of an address; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "h8mail",
    words: &[
        ("password", Severity::High),
        ("breach", Severity::Medium),
        ("related", Severity::Info),
    ],
};

/// Parts of the keys of what must not be shown.
const SECRET_KEYS: [&str; 8] = [
    "PASS",
    "PWD",
    "HASH",
    "SALT",
    "CRED",
    "LOCALSEARCH",
    "BC_",
    "INTELX",
];

/// Beginnings of the keys of services that tell one thing at a time, without a source behind it.
const ALONE: [&str; 10] = [
    "HIBP",
    "EMAILREP",
    "HUNTER",
    "LEAKLOOKUP_PUB",
    "WLI_PUB",
    "WLI_TOTAL",
    "BREACHDR_EXTSRC",
    "INTELX",
    "LOCALSEARCH",
    "PSBDMP",
];

/// Parts of the keys of what is no breach.
const RELATED: [&str; 7] = [
    "RELATED",
    "HUNTER_PUB",
    "TOTAL",
    "EMAILREP_INFO",
    "EMAILREP_SOCIAL",
    "EMAILREP_1ST",
    "EMAILREP_LAST",
];

pub(crate) struct H8mail;

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow, default, rename = "target")]
    address: Text<'a>,
    #[serde(default)]
    pwn_num: Whole,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl Format for H8mail {
    fn name(&self) -> &'static str {
        "h8mail-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["h8mail"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.count(&["targets[].target", "targets[].pwn_num", "targets[].data"]) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            if key != "targets" || kind != Kind::Array {
                return Ok(false);
            }
            each(reader, session, key, |session, element| target(session, &element))?;
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

fn target(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(target) = element.read_or_lose::<Target<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let fields = [
        ("target", target.address.is_wrong()),
        ("pwn_num", target.pwn_num.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    let groups = target
        .data
        .map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()));
    let groups = match groups {
        Some(Ok(groups)) => groups,
        None => Vec::new(),
        Some(Err(_)) => {
            session.tell_wrong(element, &[("data", true)]);
            Vec::new()
        }
    };
    let address = target.address.text();
    let mut told = 0_i64;
    for (index, raw) in groups.iter().enumerate() {
        let name = format!("{}.data[{index}]", element.name());
        let part = element.part(&name, raw);
        match serde_json::from_str::<Texts<'_>>(raw.get()) {
            Ok(group) if group.get().is_some() => {
                told = told.saturating_add(leaks(session, address, &group, &part)?);
            }
            _ => session.lose_record("record-unreadable", &part, "is no list of what leaked"),
        }
    }
    // Lines that it found in local files are counted, and not told.
    let untold = target.pwn_num.get().copied().unwrap_or_default();
    let untold = untold.saturating_sub(told);
    if untold > UNTOLD_MAX {
        let message = format!(
            "{}: `pwn_num` is {untold} more than it tells of; {UNTOLD_MAX} are listed",
            element.name()
        );
        session.unread("count-too-large", &message, Some(element.span));
    }
    for _ in 0..untold.clamp(0, UNTOLD_MAX) {
        let finding = FindingBuilder::new(TOOL, "breached-address")
            .title(&format!("{address} is in a breach"))
            .message(&format!(
                "{address} is in a breach; the report does not say which"
            ))
            .severity(SEVERITIES.get("breach").unwrap_or(Severity::Info), None)
            .confidence(Confidence::Low)
            .category("breach")
            .remediation("change the passwords of the account, and use a second factor");
        session.emit(found::mail(finding, address), element)?;
    }
    Ok(())
}

/// What is known of an address up to the next word on its source: what services tell one by one, each of
/// which is a record, and what one breach has. Answers how many of `pwn_num` it tells.
fn leaks(
    session: &mut Session<'_>,
    address: &str,
    group: &Texts<'_>,
    element: &Element<'_>,
) -> Result<i64, Stop> {
    let mut rest = Vec::new();
    let mut told = 0_i64;
    for text in group.texts() {
        let (key, value) = text.split_once(':').unwrap_or(("", text));
        let references = value.split_whitespace().next().and_then(|word| word.parse().ok());
        told = told.saturating_add(match key {
            "EMAILREP_LEAKS" => references.unwrap_or(1),
            _ => 1,
        });
        if ALONE.iter().any(|word| key.starts_with(word)) {
            leak(session, address, &[(key, value)], element)?;
        } else {
            rest.push((key, value));
        }
    }
    if !rest.is_empty() {
        leak(session, address, &rest, element)?;
    }
    Ok(told)
}

fn leak(
    session: &mut Session<'_>,
    address: &str,
    pairs: &[(&str, &str)],
    element: &Element<'_>,
) -> Result<(), Stop> {
    let source = pairs
        .iter()
        .find(|(key, _)| key.contains("SOURCE") || key.starts_with("HIBP"));
    let source = source.map_or_else(
        || {
            pairs
                .iter()
                .map(|(key, _)| *key)
                .find(|key| !is_secret(key))
                .unwrap_or("a breach")
        },
        |(_, value)| *value,
    );
    let secret = pairs.iter().find(|(key, _)| is_secret(key));
    let related = pairs
        .iter()
        .all(|(key, _)| RELATED.iter().any(|word| key.contains(word)));
    let (rule, word) = match (secret, related) {
        (Some(_), _) => ("leaked-password", "password"),
        (None, true) => ("related-address", "related"),
        (None, false) => ("breached-address", "breach"),
    };
    let shown: Vec<String> = pairs
        .iter()
        .map(|(key, value)| {
            if is_secret(key) {
                format!("{key}: {}", redact(value))
            } else {
                format!("{key}: {value}")
            }
        })
        .collect();
    let mut finding = FindingBuilder::new(TOOL, rule)
        .title(&format!("{address}: {word} in {source}"))
        .message(&shown.join("\n"))
        .severity(SEVERITIES.get(word).unwrap_or(Severity::Info), None)
        .category("breach");
    if let Some((_, value)) = secret {
        finding = session
            .secret(finding, value)
            .cwe(522)
            .remediation("change the password wherever it is used, and use a second factor");
    }
    session.emit(found::mail(finding, address), element)
}

/// Whether what stands behind a key must not be shown. What has no key of h8mail's is a line of a breach.
fn is_secret(key: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let own = !key.is_empty() && key.bytes().all(is_letter);
    !own || SECRET_KEYS.iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn lines_of_breaches_are_secrets_as_passwords_are() {
        for key in [
            "SCYLLA_PASSWORD",
            "LEAKLOOKUP_HASH",
            "LEAKLOOKUP_PWD",
            "LOCALSEARCH",
            "BC_PASS",
            "",
            "alice@shop.example",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["HIBP3", "HUNTER_RELATED", "SCYLLA_SOURCE", "EMAILREP_INFO"] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
