//! A rule's `metadata`, which semgrep repeats in every result of the rule: read once for each text.
//!
//! It is nearly half of a report. What is kept is bounded, and a text that is not the same byte for byte
//! is read anew, so that nobody sees the difference.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Text, Texts};
use tamiz_sdk::model::Labels;
use tamiz_sdk::report::{Element, Session};

use crate::vocabulary::{self, Label};
use crate::weaknesses::Weaknesses;

/// Texts that are kept; then all are forgotten. A run has some hundred rules, and reports their results
/// file by file.
const TEXTS_MAX: usize = 256;

/// A longer text is read each time; honest ones have a few kilobytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(default)]
    cwe: Field<Weaknesses>,
    #[serde(borrow, default)]
    owasp: Texts<'a>,
    #[serde(borrow, default)]
    cve: Texts<'a>,
    /// Of a rule about a package.
    #[serde(borrow, default, rename = "sca-vuln-database-identifier")]
    advisory: Texts<'a>,
    #[serde(borrow, default)]
    confidence: Text<'a>,
    #[serde(borrow, default)]
    impact: Text<'a>,
    #[serde(borrow, default)]
    likelihood: Text<'a>,
    #[serde(borrow, default)]
    references: Texts<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    technology: Texts<'a>,
    #[serde(borrow, default)]
    vulnerability_class: Texts<'a>,
}

/// What findings take from a rule's metadata.
#[derive(Default)]
pub(super) struct RuleWords {
    /// Where semgrep's registry has the rule.
    pub(super) source: String,
    pub(super) impact: String,
    pub(super) likelihood: String,
    pub(super) labels: Labels,
    /// It is something else than an object.
    pub(super) is_wrong: bool,
}

/// The metadata that was read.
#[derive(Default)]
pub(super) struct RuleTexts {
    /// By text, where among `words`.
    known: BTreeMap<String, usize>,
    words: Vec<RuleWords>,
    /// What is not kept.
    last: RuleWords,
}

impl RuleTexts {
    /// Reads a result's metadata, or finds what was read of the same text.
    ///
    /// # Errors
    /// Why the result cannot be read.
    pub(super) fn read(
        &mut self,
        metadata: Option<&RawValue>,
        session: &mut Session<'_>,
        result: &Element<'_>,
    ) -> Result<&RuleWords, String> {
        let text = metadata.map_or("", RawValue::get);
        if let Some(&index) = self.known.get(text) {
            return Ok(self.words.get(index).unwrap_or(&self.last));
        }
        let mut repaired = Vec::new();
        let words = words(text, session, result, &mut repaired)?;
        // A repair is told of every result.
        if text.len() > TEXT_BYTES_MAX || !repaired.is_empty() {
            self.last = words;
            return Ok(&self.last);
        }
        if self.words.len() >= TEXTS_MAX {
            self.known.clear();
            self.words.clear();
        }
        self.known.insert(text.to_owned(), self.words.len());
        self.words.push(words);
        Ok(self.words.last().unwrap_or(&self.last))
    }
}

fn words(
    text: &str,
    session: &mut Session<'_>,
    result: &Element<'_>,
    repaired: &mut Vec<u8>,
) -> Result<RuleWords, String> {
    if !text.starts_with('{') {
        return Ok(RuleWords {
            is_wrong: !text.is_empty(),
            ..RuleWords::default()
        });
    }
    let name = result.name();
    let element = Element::named(&name, text.as_bytes(), result.span);
    let metadata: Metadata<'_> = element.read(session, repaired)?;
    let mut labels = FindingBuilder::new("", "").category(metadata.category.text());
    if let Some(confidence) = vocabulary::confidence(metadata.confidence.text()) {
        labels = labels.confidence(confidence);
    }
    Ok(RuleWords {
        source: metadata.source.text().to_owned(),
        impact: metadata.impact.text().to_owned(),
        likelihood: metadata.likelihood.text().to_owned(),
        labels: metadata.labels(labels).into_labels(),
        is_wrong: false,
    })
}

impl Metadata<'_> {
    fn labels(&self, mut finding: FindingBuilder) -> FindingBuilder {
        if let Some(weaknesses) = self.cwe.get() {
            for &number in &weaknesses.numbers {
                finding = finding.cwe(number);
            }
            for word in &weaknesses.words {
                finding = finding.tag(word);
            }
        }
        for text in self.owasp.texts() {
            finding = finding.tag(vocabulary::owasp(text).as_deref().unwrap_or(text));
        }
        for text in self.cve.texts().chain(self.advisory.texts()) {
            for id in vocabulary::advisories(text) {
                finding = finding.cve(id);
            }
        }
        for text in self.technology.texts().chain(self.vulnerability_class.texts()) {
            finding = match vocabulary::label(text) {
                Label::Tag(tag) => finding.tag(&tag),
                _ => finding.tag(text),
            };
        }
        for address in self
            .references
            .texts()
            .chain(self.source.get().map(AsRef::as_ref))
        {
            finding = finding.reference(address);
        }
        finding
    }
}
