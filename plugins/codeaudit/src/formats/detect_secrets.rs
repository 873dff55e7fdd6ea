//! detect-secrets' baseline (seen: 1.5.0): `{"version", "plugins_used", "results": {FILE: […]}}`.
//!
//! It has the SHA-1 of each secret. Of a password that is as good as the password, so it is treated as a
//! secret: its keyed hash is the identity, and nothing of it is shown.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Text, Whole};
use tamiz_sdk::model::Confidence;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, members, small_text,
};

use super::place::{self, Region};
use super::{secret, walk, wrong};

pub(super) struct DetectSecrets;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Leak<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    filename: Text<'a>,
    #[serde(borrow)]
    hashed_secret: Text<'a>,
    is_verified: Field<bool>,
    /// What an audit by a person came to.
    is_secret: Field<bool>,
    line_number: Whole,
}

impl Format for DetectSecrets {
    fn name(&self) -> &'static str {
        "detect-secrets-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["detect-secrets"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let record = [
            "results.*[].hashed_secret",
            "results.*[].is_verified",
            "results.*[].line_number",
        ];
        let envelope = ["plugins_used", "filters_used", "generated_at", "results"];
        (head.count(&envelope) >= 3 || head.count(&record) >= 2).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("detect-secrets", None);
        walk::object(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("version", _) => {
                    let version = small_text(reader)?;
                    session.tool_is("detect-secrets", version.as_deref());
                }
                ("results", Kind::Object) => members(reader, session, |reader, session, file, kind| {
                    if kind != Kind::Array {
                        let span = reader.skip()?;
                        let message = format!("results[{file:?}] could not be read: it is no list");
                        session.lose("record-unreadable", &message, span);
                        return Ok(true);
                    }
                    let array = format!("results[{file:?}]");
                    each(reader, session, &array, |session, element| {
                        leak(session, &element, file)
                    })?;
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn leak(session: &mut Session<'_>, element: &Element<'_>, file: &str) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(leak; kind, hashed_secret, line_number));
    if leak.kind.text().is_empty() {
        session.lose_record("record-without-rule", element, "names no `type`");
        return Ok(());
    }
    let is_verified = leak.is_verified.get() == Some(&true);
    let severity = if is_verified {
        secret::VERIFIED
    } else {
        secret::FOUND
    };
    let mut finding = FindingBuilder::new("detect-secrets", leak.kind.text())
        .message(leak.kind.text())
        .severity(severity, None)
        .cwe(secret::CWE)
        .category("secret");
    if is_verified {
        finding = finding.confidence(Confidence::High);
    }
    if let Some(is_secret) = leak.is_secret.get() {
        finding = finding.extra_json("audited-as-secret", &is_secret.to_string());
    }
    let hash = leak.hashed_secret.text();
    if !hash.is_empty() {
        let identity = session.host().secret_identity(hash.as_bytes());
        finding = finding.tool_fingerprint(&identity);
    }
    let path = match leak.filename.text() {
        "" => file,
        path => path,
    };
    let region = Region::line(leak.line_number.get().copied());
    let finding = place::at(finding, session, element, path, region, "");
    session.emit(finding, element)
}
