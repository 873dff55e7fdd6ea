//! Kingfisher's JSON (seen: 1.112.0 to 2.14.0): `{"findings": [{"rule", "finding"}], "access_map", "audit",
//! "metadata"}`, one such object or one per repository, and its JSON lines, which are the same records with
//! `access_map` and `audit` on lines of their own at the end.
//!
//! `snippet` is the secret itself; `validate_command`, `blast_radius_command`, `validation.response` and
//! `dependent_captures` quote secrets too and are not kept.

use serde::Deserialize;
use serde::de::IgnoredAny;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Field, Members, Object, Text, Whole};
use tamiz_sdk::model::Span;
use tamiz_sdk::redact;
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Source, Stop, each, json_lines, small_object, span_since,
};
use tamiz_sdk::vocabulary::confidence;

use super::place::{self, Region};
use super::{secret, walk, wrong};

pub(super) struct Kingfisher;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    rule: Field<Object<Rule<'a>>>,
    #[serde(borrow)]
    finding: Field<Object<Leak<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Leak<'a> {
    #[serde(borrow)]
    snippet: Text<'a>,
    #[serde(borrow)]
    fingerprint: Text<'a>,
    #[serde(borrow)]
    confidence: Text<'a>,
    #[serde(borrow)]
    validation: Field<Object<Validation<'a>>>,
    line: Whole,
    column_start: Whole,
    column_end: Whole,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    git_metadata: Field<Object<History<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Validation<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    outcome: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct History<'a> {
    #[serde(borrow)]
    repository_url: Text<'a>,
    #[serde(borrow)]
    commit: Field<Object<Commit<'a>>>,
    #[serde(borrow)]
    file: Field<Object<File<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Commit<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    date: Text<'a>,
    #[serde(borrow)]
    committer: Field<Object<Person<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Person<'a> {
    #[serde(borrow)]
    email: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// What stands alone on the last lines: no records.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tail {
    audit: Field<Object<Audit>>,
}

/// How the scan of each repository went.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Audit {
    summary: Field<Object<Summary>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    fetch_failed: Whole,
    scan_partial: Whole,
    scan_failed: Whole,
    pending: Whole,
}

impl Format for Kingfisher {
    fn name(&self) -> &'static str {
        "kingfisher-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["kingfisher"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let has_record = |prefix: &str| {
            let keys = [
                "rule.id",
                "rule.name",
                "finding.snippet",
                "finding.fingerprint",
                "finding.path",
            ];
            let found = keys.iter().filter(|key| head.has(&format!("{prefix}{key}")));
            found.count() >= 3
        };
        let schema = head.text("audit.schema").unwrap_or_default();
        let named = head.has("metadata.kingfisher_version") || schema.starts_with("kingfisher.");
        (named || has_record("findings[].") || has_record("[].") || has_record("")).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("kingfisher", None);
        if !source.head().has_any(&["findings", "metadata"]) {
            return json_lines(source, session, |session, element| line(session, &element));
        }
        walk::objects_in_a_row(source, session, |reader, session, key, kind| {
            match (key, kind) {
                ("findings", Kind::Array) => {
                    each(reader, session, "findings", |session, element| {
                        record(session, &element)
                    })?;
                }
                ("metadata", Kind::Object) => {
                    let metadata = small_object::<serde_json::Value>(reader)?.unwrap_or_default();
                    session.tool_is("kingfisher", Some(walk::text(&metadata, "kingfisher_version")));
                }
                ("audit", Kind::Object) => {
                    let start = reader.offset();
                    let audit = small_object::<Audit>(reader)?.unwrap_or_default();
                    audit.tell(session, span_since(reader, start));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// A line of its JSON lines: a record, or what the run says at its end.
fn line(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let members: Field<Members<IgnoredAny>> = serde_json::from_slice(element.bytes()).unwrap_or_default();
    let mut keys = members.members().iter().map(|(key, _)| key.as_str());
    let is_tail = keys.len() == 1 && keys.all(|key| matches!(key, "audit" | "access_map"));
    if !is_tail {
        return record(session, element);
    }
    let mut repaired = Vec::new();
    if let Ok(Tail {
        audit: Field::Present(Object(audit)),
    }) = element.read(session, &mut repaired)
    {
        audit.tell(session, element.span);
    }
    Ok(())
}

impl Audit {
    /// What it did not look at.
    fn tell(&self, session: &mut Session<'_>, at: Span) {
        let none = Summary::default();
        let summary = self.summary.object().unwrap_or(&none);
        for (said, count) in [
            ("could not be fetched", &summary.fetch_failed),
            ("could not be scanned", &summary.scan_failed),
            ("was scanned in part", &summary.scan_partial),
            ("was not scanned", &summary.pending),
        ] {
            if let Some(count) = count.get().filter(|count| **count > 0) {
                let message = format!("the tool says of {count} repositories: {said}");
                session.gap("tool-failed", &message, Some(at));
            }
        }
    }
}

fn record(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(record) = element.read_or_lose::<Record<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    element.tell_wrong(session, wrong!(record; rule, finding));
    let (no_rule, no_leak) = (Rule::default(), Leak::default());
    let rule = record.rule.object().unwrap_or(&no_rule);
    let leak = record.finding.object().unwrap_or(&no_leak);
    element.tell_wrong(session, wrong!(leak; snippet, confidence, line, path));
    let id = match (rule.id.text(), rule.name.text()) {
        ("", "") => {
            session.lose_record("record-without-rule", element, "names no rule");
            return Ok(());
        }
        ("", name) => name,
        (id, _) => id,
    };
    let unknown = Validation::default();
    let validation = leak.validation.object().unwrap_or(&unknown);
    let works = validation.status.text().eq_ignore_ascii_case("active credential")
        || validation.outcome.text() == "verified_active";
    let value = leak.snippet.text();
    let severity = if works { secret::VERIFIED } else { secret::FOUND };
    let mut finding = FindingBuilder::new("kingfisher", id)
        .rule_name(&secret::without(rule.name.text(), &[value]))
        .message(&secret::without(rule.description.text(), &[value]))
        .severity(severity, None)
        .cwe(secret::CWE)
        .category("secret");
    if let Some(confidence) = confidence(leak.confidence.text()) {
        finding = finding.confidence(confidence);
    }
    for (key, text) in [
        ("validation", validation.status.text()),
        ("kingfisher-fingerprint", leak.fingerprint.text()),
    ] {
        if !text.is_empty() {
            finding = finding.extra_text(key, &secret::without(text, &[value]));
        }
    }
    if let Some(history) = leak.git_metadata.object() {
        finding = history.put(finding, value);
    }
    let region = Region {
        line: leak.line.get().copied(),
        column: leak.column_start.get().copied(),
        ..Region::default()
    };
    let region = Region {
        end_line: region.line,
        end_column: leak.column_end.get().map(|column| column.saturating_add(1)),
        ..region
    };
    let snippet = if value.is_empty() {
        String::new()
    } else {
        redact(value)
    };
    let path = secret::without(leak.path.text(), &[value]);
    let finding = place::at(finding, session, element, &path, region, &snippet);
    let finding = session.secret(finding, value);
    session.emit(finding, element)
}

impl History<'_> {
    /// Writes where in a repository's history a secret was found into a finding.
    fn put(&self, mut finding: FindingBuilder, secret: &str) -> FindingBuilder {
        let none = Commit::default();
        let commit = self.commit.object().unwrap_or(&none);
        let committer = commit.committer.object().map_or("", |person| person.email.text());
        for (key, text) in [
            ("repository", self.repository_url.text()),
            ("commit", commit.id.text()),
            ("date", commit.date.text()),
            ("author", committer),
        ] {
            if !text.is_empty() {
                finding = finding.extra_text(key, &secret::without(text, &[secret]));
            }
        }
        let address = self.file.object().map_or("", |file| file.url.text());
        finding.reference(&secret::without(address, &[secret]))
    }
}
