//! What a template says about itself, `info`, which nuclei repeats in every result of the template: read
//! once for each text.
//!
//! It is half of a report. What is kept is bounded, and a text that is not the same byte for byte is read
//! anew, so that nobody sees the difference.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Decimal, Field, Object, Text, Texts};
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{Element, Session};
use tamiz_sdk::vocabulary::{Label, cvss_vector, cwes, is_advisory, label};

use super::{SEVERITIES, TOOL};
use crate::words::split_list;

/// Templates that are kept; then all are forgotten. A run reports some hundred, host by host.
const TEMPLATES_MAX: usize = 256;

/// A longer text is read each time; honest ones have some kilobytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Tags of templates that extract secrets.
const SECRET_TAGS: [&str; 8] = [
    "token",
    "tokens",
    "key",
    "keys",
    "secret",
    "secrets",
    "credential",
    "credentials",
];

#[derive(Default, Deserialize)]
struct Info<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    description: Text<'a>,
    #[serde(borrow, default)]
    impact: Text<'a>,
    #[serde(borrow, default)]
    remediation: Text<'a>,
    #[serde(borrow, default)]
    reference: Texts<'a>,
    #[serde(borrow, default)]
    tags: Texts<'a>,
    #[serde(borrow, default)]
    classification: Field<Object<Classification<'a>>>,
}

#[derive(Deserialize)]
struct Classification<'a> {
    #[serde(borrow, default, rename = "cve-id")]
    cve: Texts<'a>,
    #[serde(borrow, default, rename = "cwe-id")]
    cwe: Texts<'a>,
    #[serde(borrow, default, rename = "cvss-metrics")]
    cvss: Text<'a>,
    #[serde(default, rename = "cvss-score")]
    score: Field<Decimal>,
    #[serde(default, rename = "epss-score")]
    epss: Field<Decimal>,
}

/// What findings take from their template.
pub(super) struct Template {
    text: String,
    /// Its name, or its id without one; empty when it has neither.
    pub(super) name: String,
    /// Whether its texts say something: then they are the finding's message.
    pub(super) has_message: bool,
    /// The word for its severity, when it is none of the table's; empty when there is no word.
    pub(super) severity_unknown: Option<String>,
    /// What it extracts is secret.
    pub(super) is_secret: bool,
    /// `info` is something else than an object.
    pub(super) is_wrong: bool,
    /// All that its findings have in common.
    pub(super) finding: FindingBuilder,
}

/// The templates that were read.
#[derive(Default)]
pub(super) struct Templates {
    /// By id, where among `kept`.
    known: BTreeMap<String, usize>,
    kept: Vec<Template>,
    /// What is not kept.
    last: Option<Template>,
}

impl Templates {
    /// Reads a result's template, or finds what was read of the same text.
    ///
    /// # Errors
    /// Why the result cannot be read.
    pub(super) fn read(
        &mut self,
        id: &str,
        info: Option<&RawValue>,
        session: &mut Session<'_>,
        result: &Element<'_>,
    ) -> Result<&Template, String> {
        let text = info.map_or("", RawValue::get);
        let known = self.known.get(id).copied();
        if let Some(index) = known.filter(|index| self.kept[*index].text == text) {
            return Ok(&self.kept[index]);
        }
        let mut repaired = Vec::new();
        let template = template(id, text, session, result, &mut repaired)?;
        // A repair is told of every result.
        if known.is_some() || text.len() + id.len() > TEXT_BYTES_MAX || !repaired.is_empty() {
            return Ok(self.last.insert(template));
        }
        if self.kept.len() >= TEMPLATES_MAX {
            self.known.clear();
            self.kept.clear();
        }
        let index = self.kept.len();
        self.known.insert(id.to_owned(), index);
        self.kept.push(template);
        Ok(&self.kept[index])
    }
}

fn template(
    id: &str,
    text: &str,
    session: &mut Session<'_>,
    result: &Element<'_>,
    repaired: &mut Vec<u8>,
) -> Result<Template, String> {
    let place = result.name();
    let element = Element::named(&place, text.as_bytes(), result.span);
    let info = if text.starts_with('{') {
        element.read::<Info<'_>>(session, repaired)?
    } else {
        Info::default()
    };
    let name = match info.name.text() {
        "" => id,
        name => name,
    };
    let raw = Some(info.severity.text()).filter(|word| !word.is_empty());
    let severity = raw.and_then(|word| SEVERITIES.get(word));
    let message = [info.description.text(), info.impact.text()]
        .map(str::trim)
        .join("\n\n");
    let message = message.trim();
    let finding = FindingBuilder::new(TOOL, if id.is_empty() { name } else { id })
        .rule_name(name)
        .title(name)
        .message(message)
        .severity(severity.unwrap_or(Severity::Info), raw)
        .confidence(Confidence::Unknown)
        .category("security")
        .remediation(info.remediation.text());
    Ok(Template {
        text: text.to_owned(),
        name: name.to_owned(),
        has_message: !message.is_empty(),
        severity_unknown: severity.is_none().then(|| raw.unwrap_or_default().to_owned()),
        is_secret: split_list(info.tags.texts()).any(|tag| SECRET_TAGS.contains(&tag)),
        is_wrong: !matches!(text.as_bytes().first(), None | Some(b'{')),
        finding: classified(finding, &info),
    })
}

fn classified(mut finding: FindingBuilder, info: &Info<'_>) -> FindingBuilder {
    // 2.x writes a list of YAML as one text, with dashes in front.
    let lines = info.reference.texts().flat_map(str::lines);
    for address in split_list(lines) {
        finding = finding.reference(address.trim_start_matches("- "));
    }
    for tag in split_list(info.tags.texts()) {
        finding = match label(tag) {
            Label::Cwe(number) => finding.cwe(number),
            Label::Cve(id) => finding.cve(&id),
            Label::Owasp(tag) | Label::Tag(tag) => finding.tag(&tag),
            Label::Confidence(_) => finding,
        };
    }
    let Some(class) = info.classification.object() else {
        return finding;
    };
    for cwe in class.cwe.texts().flat_map(cwes) {
        finding = finding.cwe(cwe);
    }
    for id in split_list(class.cve.texts()) {
        let id = id.to_uppercase();
        if is_advisory(&id) {
            finding = finding.cve(&id);
        }
    }
    if let Some(vector) = cvss_vector(class.cvss.text()) {
        finding = finding.cvss_vector(vector);
    }
    for (key, number) in [("cvss-score", &class.score), ("epss", &class.epss)] {
        if let Some(Decimal(number)) = number.get() {
            finding = finding.extra_json(key, &number.to_string());
        }
    }
    finding
}
