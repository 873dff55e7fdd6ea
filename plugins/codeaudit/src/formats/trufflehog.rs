//! `TruffleHog`'s JSON lines of version 3: one object per secret, and between them lines of its log, some
//! of them JSON too (`{"level", "ts", "logger", "msg"}`). The shape is that of its `pkg/output/json.go` and of
//! `source_metadata.proto`: where a secret was found stands under `SourceMetadata.Data.SOURCE`.
//!
//! An array of the same records, as scripts make one, is read too. `Redacted`, `ExtraData`,
//! `StructuredData` and `SecretParts` show too much of some secrets and are not kept, the address of the
//! rotation guide aside. Not here: version 2, see [`super::trufflehog_two`], and where a secret was found,
//! see [`super::trufflehog_place`].

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Members, Object, Text, Whole};
use tamiz_sdk::model::{Confidence, LogLevel};
use tamiz_sdk::report::{Element, Format, Head, Recognition, Session, Source, Stop, json_lines};

use super::trufflehog_place::Found;
use super::{secret, wrong};

pub(super) struct Trufflehog;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Leak<'a> {
    #[serde(borrow)]
    source_metadata: Field<Object<Metadata<'a>>>,
    #[serde(borrow)]
    detector_name: Text<'a>,
    detector_type: Whole,
    #[serde(borrow)]
    detector_description: Text<'a>,
    #[serde(borrow)]
    decoder_name: Text<'a>,
    verified: Field<bool>,
    #[serde(borrow)]
    verification_error: Text<'a>,
    #[serde(borrow)]
    raw: Text<'a>,
    #[serde(borrow)]
    raw_v2: Text<'a>,
    #[serde(borrow)]
    extra_data: Field<Object<Extra<'a>>>,
    /// What a line of the log has.
    #[serde(borrow, rename = "level")]
    level: Text<'a>,
    #[serde(borrow, rename = "msg")]
    log_message: Text<'a>,
    #[serde(borrow, rename = "error")]
    log_error: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Metadata<'a> {
    /// One member: `Git`, `Filesystem`, `Github`, `S3` and three dozen more.
    #[serde(borrow)]
    data: Field<Members<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extra<'a> {
    #[serde(borrow)]
    rotation_guide: Text<'a>,
}

impl Format for Trufflehog {
    fn name(&self) -> &'static str {
        "trufflehog-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["trufflehog"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let keys = [
            "SourceMetadata",
            "DetectorName",
            "DetectorType",
            "Raw",
            "Verified",
            "SourceName",
        ];
        let in_list = keys.map(|key| format!("[].{key}"));
        let listed = in_list.iter().filter(|key| head.has(key)).count();
        let logged = head.text("logger") == Some("trufflehog") && head.has_all(&["level", "msg"]);
        (head.count(&keys) >= 3 || listed >= 3 || logged).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("trufflehog", None);
        json_lines(source, session, |session, element| record(session, &element))
    }
}

fn record(session: &mut Session<'_>, element: &Element<'_>) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(leak) = element.read_or_lose::<Leak<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let is_log = leak.detector_name == Field::Absent && leak.raw == Field::Absent;
    if is_log && !leak.log_message.text().is_empty() {
        log_line(session, element, &leak);
        return Ok(());
    }
    element.tell_wrong(
        session,
        wrong!(leak; source_metadata, detector_name, verified, raw),
    );
    let rule = match (leak.detector_name.text(), leak.detector_type.get()) {
        ("", Some(number)) => format!("detector-{number}"),
        ("", None) => {
            let why = "names no detector in `DetectorName`";
            session.lose_record("record-without-rule", element, why);
            return Ok(());
        }
        (name, _) => name.to_owned(),
    };
    let finding = leak.finding(&rule, session, element);
    session.emit(finding, element)
}

fn log_line(session: &mut Session<'_>, element: &Element<'_>, leak: &Leak<'_>) {
    let message = format!("{} {}", leak.log_message.text(), leak.log_error.text());
    let is_failure = ["error", "fatal", "panic"]
        .iter()
        .any(|level| leak.level.text().starts_with(level));
    if is_failure {
        let message = format!("the tool reports: {}", message.trim());
        session.gap("tool-error", &message, Some(element.span));
    } else {
        session.note(LogLevel::Info, "tool-log", element, message.trim());
    }
}

impl Leak<'_> {
    fn finding(&self, rule: &str, session: &mut Session<'_>, element: &Element<'_>) -> FindingBuilder {
        let is_verified = self.verified.get() == Some(&true);
        let (severity, said) = if is_verified {
            (secret::VERIFIED, "verified")
        } else {
            (secret::FOUND, "not verified")
        };
        let (raw, both) = (self.raw.text(), self.raw_v2.text());
        // `RawV2` often is `Raw` with a second part behind it.
        let second = both.strip_prefix(raw).unwrap_or_default().trim_start_matches(':');
        let secrets = [both, raw, second];
        let mut finding = FindingBuilder::new("trufflehog", rule)
            .title(&format!("{rule} secret, {said}"))
            .message(&secret::without(self.detector_description.text(), &secrets))
            .severity(severity, None)
            .cwe(secret::CWE)
            .category("secret");
        if is_verified {
            finding = finding.confidence(Confidence::High);
        }
        for (key, text) in [
            ("decoder", self.decoder_name.text()),
            ("verification-error", self.verification_error.text()),
        ] {
            if !text.is_empty() && text != "PLAIN" {
                finding = finding.extra_text(key, &secret::without(text, &secrets));
            }
        }
        let guide = self
            .extra_data
            .object()
            .map_or("", |extra| extra.rotation_guide.text());
        if !guide.is_empty() {
            finding = finding
                .remediation(&format!("Rotate the secret: {guide}"))
                .reference(guide);
        }
        let metadata = self.source_metadata.object();
        let source = metadata.and_then(|metadata| metadata.data.members().first());
        let found = source.map(|(kind, raw)| Found::read(kind, raw));
        finding = found.unwrap_or_default().put(finding, session, element, &secrets);
        // Several parts, such as an id and its key, are one secret: `RawV2` has both.
        let value = secrets.into_iter().find(|value| !value.is_empty());
        session.secret(finding, value.unwrap_or_default())
    }
}
