//! What the findings of a rule have in common: made once for a rule, and anew only for a result that says
//! more about it than its rule does.
//!
//! A report has some hundred rules and some hundred thousand results. Not here: the message, its severity
//! and its places, which are the result's own.

use std::cell::Cell;

use tamiz_sdk::FindingBuilder;

use super::rules::Rule;
use super::shapes::{Properties, Reference, ResultShape};
use crate::semgrep;
use crate::vocabulary::{self, Label};

/// Rules whose findings are begun once; those of more are begun anew. It bounds what is kept.
const RULES_MAX: usize = 1024;

/// Begins findings.
#[derive(Default)]
pub(super) struct Beginnings {
    kept: Cell<usize>,
}

/// What a result says itself of what its rule says for all.
struct Own<'shape> {
    properties: Option<&'shape Properties<'shape>>,
    labels: Vec<Label>,
    vector: &'shape str,
}

impl Beginnings {
    /// A finding with all that its rule says of it, or the result in the rule's place.
    pub(super) fn of(
        &self,
        tool: &str,
        raw_id: &str,
        result: &ResultShape<'_>,
        rule: Option<&Rule>,
    ) -> FindingBuilder {
        let own = Own::of(result);
        let finding = match rule.filter(|rule| own.is_empty() && rule.id == raw_id) {
            Some(rule) => self.usual(tool, rule, &own),
            None => begin(tool, raw_id, &own, rule),
        };
        own.words(finding)
    }

    fn usual(&self, tool: &str, rule: &Rule, own: &Own<'_>) -> FindingBuilder {
        if let Some(begun) = rule.begun.get() {
            return begun.clone();
        }
        let finding = begin(tool, &rule.id, own, Some(rule));
        if self.kept.get() < RULES_MAX && rule.begun.set(finding.clone()).is_ok() {
            self.kept.set(self.kept.get() + 1);
        }
        finding
    }
}

impl<'shape> Own<'shape> {
    fn of(result: &'shape ResultShape<'shape>) -> Self {
        let properties = result.properties.object();
        let mut labels = properties.map(Properties::labels).unwrap_or_default();
        labels.extend(result.taxa.objects().iter().map(Reference::label));
        Self {
            properties,
            labels,
            vector: properties.map_or("", Properties::vector),
        }
    }

    fn references(&self) -> impl Iterator<Item = &str> {
        let properties = self.properties.into_iter();
        properties.flat_map(|own| own.reference.texts().chain(own.references.texts()))
    }

    /// Whether the rule speaks for it, but for words that stand in the rule's place.
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.vector.is_empty() && self.references().next().is_none()
    }

    /// Puts its words about confidence and category in place of the rule's. A word about confidence goes
    /// before one about precision, which semgrep sets to `very-high` for everything.
    fn words(&self, mut finding: FindingBuilder) -> FindingBuilder {
        let Some(own) = self.properties else {
            return finding;
        };
        let mut words = [&own.confidence, &own.issue_confidence, &own.precision].into_iter();
        if let Some(word) = words.find_map(|word| vocabulary::confidence(word.text())) {
            finding = finding.confidence(word);
        }
        match own.category.text() {
            "" => finding,
            category => finding.category(category),
        }
    }
}

fn begin(tool: &str, raw_id: &str, own: &Own<'_>, rule: Option<&Rule>) -> FindingBuilder {
    let own_id = if matches!(tool, "semgrep" | "opengrep") {
        semgrep::rule_id(raw_id, "")
    } else {
        raw_id
    };
    let mut finding = FindingBuilder::new(tool, own_id).cvss_vector(own.vector);
    if own_id != raw_id {
        finding = finding.extra_text("check-id", raw_id);
    }
    for id in vocabulary::advisories(raw_id) {
        finding = finding.cve(id);
    }
    for address in own.references() {
        finding = finding.reference(address);
    }
    if let Some(rule) = rule {
        if own.vector.is_empty() {
            finding = finding.cvss_vector(&rule.vector);
        }
        // Snyk has the CVE of its own id there: `(CVE-2019-10744) lodash@4.17.4`.
        if rule.full.starts_with('(') {
            for id in vocabulary::advisories(rule.full.split(')').next().unwrap_or_default()) {
                finding = finding.cve(id);
            }
        }
        if rule.name != raw_id {
            finding = finding.rule_name(&rule.name);
        }
        finding = finding.reference(&rule.help_uri);
    }
    labelled(finding, own, rule)
}

/// With the result's labels before the rule's, and what these say about confidence and category.
fn labelled(mut finding: FindingBuilder, own: &Own<'_>, rule: Option<&Rule>) -> FindingBuilder {
    let rule_labels = rule.map_or(&[][..], |rule| rule.labels.as_slice());
    let mut tagged = None;
    let mut is_security = false;
    for label in own.labels.iter().chain(rule_labels) {
        finding = match label {
            Label::Cwe(number) => finding.cwe(*number),
            Label::Cve(id) => finding.cve(id),
            Label::Owasp(tag) | Label::Tag(tag) => finding.tag(tag),
            Label::Confidence(word) => {
                tagged = tagged.or(Some(*word));
                finding
            }
        };
        is_security |= matches!(label, Label::Tag(tag) if tag == "security");
    }
    let rule_word = rule.and_then(|rule| vocabulary::confidence(&rule.precision));
    if let Some(word) = tagged.or(rule_word) {
        finding = finding.confidence(word);
    }
    let category = rule.map_or("", |rule| rule.category.as_str());
    finding.category(if category.is_empty() && is_security {
        "security"
    } else {
        category
    })
}
