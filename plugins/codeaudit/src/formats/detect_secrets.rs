//! detect-secrets' baseline (seen: 0.12 to 1.5.0): `{"version", "plugins_used", "results": {FILE: […]}}`, and the
//! report of its audit: `{"results": [{"category", "filename", "lines", "secrets", "types"}]}`.
//!
//! A baseline has the SHA-1 of each secret. Of a password that is as good as the password, so it is treated
//! as a secret: its keyed hash is the identity, and nothing of it is shown. The audit's report has the
//! secrets, and the `lines` that quote them, which are not kept.

use serde::Deserialize;
use serde::de::IgnoredAny;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Members, Text, Texts, Whole};
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

/// One secret of one file, of the audit's report.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Audited<'a> {
    /// `UNVERIFIED`, `VERIFIED_TRUE`, `VERIFIED_FALSE`.
    #[serde(borrow)]
    category: Text<'a>,
    #[serde(borrow)]
    filename: Text<'a>,
    /// Its keys are the numbers of the lines.
    lines: Field<Members<IgnoredAny>>,
    #[serde(borrow)]
    secrets: Text<'a>,
    #[serde(borrow)]
    types: Texts<'a>,
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
        let audited = [
            "results[].category",
            "results[].types",
            "results[].lines",
            "results[].filename",
        ];
        (head.count(&envelope) >= 3 || head.count(&record) >= 2 || head.count(&audited) >= 3).into()
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
                ("results", Kind::Array) => {
                    each(reader, session, "results", |session, element| {
                        audited(session, &element)
                    })?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

fn audited(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Audited<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(leak; category, filename, lines, secrets, types));
    let Some(kind) = leak.types.texts().next() else {
        session.lose_record("record-without-rule", element, "names no `types`");
        return Ok(());
    };
    let mut finding = FindingBuilder::new("detect-secrets", kind)
        .message(kind)
        .severity(secret::FOUND, None)
        .cwe(secret::CWE)
        .category("secret");
    for other in leak.types.texts().skip(1) {
        finding = finding.tag(&other.to_lowercase());
    }
    let audited = match leak.category.text() {
        "VERIFIED_TRUE" => Some("true"),
        "VERIFIED_FALSE" => Some("false"),
        _ => None,
    };
    if let Some(is_secret) = audited {
        finding = finding.extra_json("audited-as-secret", is_secret);
        if is_secret == "false" {
            finding = finding.suppression("external", "audited as no secret");
        }
    }
    let path = secret::without(leak.filename.text(), &[leak.secrets.text()]);
    let lines = leak.lines.members().iter().map(|(line, _)| line.parse().ok());
    let lines: Vec<Option<i64>> = lines.collect();
    for line in lines.iter().copied().chain(lines.is_empty().then_some(None)) {
        finding = place::at(finding, session, element, &path, Region::line(line), "");
    }
    let finding = session.secret(finding, leak.secrets.text());
    session.emit(finding, element)
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
        if !is_secret {
            finding = finding.suppression("external", "audited as no secret");
        }
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
