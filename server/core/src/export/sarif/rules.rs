//! A run's rules: what the results of each have in common.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::export::package::advisories;
use crate::export::place::is_uri;
use crate::export::{Exported, set};
use crate::severity::{Confidence, Severity};
use crate::text::cut;
use crate::weakness;

/// GitHub's limit on names, in characters; so many bytes are never more.
const NAME_BYTES_MAX: usize = 255;
/// The same on descriptions.
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Help of one rule. A longer one is cut, and stands in full with its results.
pub(super) const HELP_BYTES_MAX: usize = 4096;
/// GitHub refuses a file with a rule of more tags.
const TAGS_MAX: usize = 20;
/// The taxonomy's name, by which results and rules refer to it.
const CWE: &str = "CWE";

/// The rules in the order of their first results.
#[derive(Debug, Default)]
pub(super) struct Rules {
    in_order: Vec<Rule>,
    by_id: HashMap<String, usize>,
    bytes: usize,
}

/// A rule: its first result's words, as far as all others say the same, and the worst severity.
#[derive(Debug)]
pub(super) struct Rule {
    id: String,
    /// The first result's.
    pub(super) name: Option<String>,
    /// The first result's.
    pub(super) help: Option<String>,
    title: Option<String>,
    message: Option<String>,
    references: Vec<String>,
    tags: Vec<String>,
    cwe: Vec<u32>,
    category: Option<String>,
    confidence: Option<Confidence>,
    severity: Severity,
    score: Option<f64>,
}

impl Rules {
    pub(super) fn count(&self) -> usize {
        self.in_order.len()
    }

    /// Text that is kept, roughly what it takes when it is written.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Counts a result in; its rule's index, and the rule.
    pub(super) fn add(&mut self, alert: &Exported) -> (usize, &Rule) {
        let id = &alert.finding.rule_id;
        let known = self.by_id.get(id).copied();
        let index = known.unwrap_or(self.in_order.len());
        if known.is_some() {
            self.in_order[index].share(alert);
        } else {
            let rule = Rule::of(alert);
            self.bytes += rule.bytes();
            self.by_id.insert(id.clone(), index);
            self.in_order.push(rule);
        }
        (index, &self.in_order[index])
    }

    /// In the order of their indices.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.in_order.iter()
    }
}

impl Rule {
    fn of(alert: &Exported) -> Self {
        let finding = &alert.finding;
        Self {
            id: finding.rule_id.clone(),
            name: finding.rule_name.as_deref().map(|name| own(name, NAME_BYTES_MAX)),
            help: finding
                .remediation
                .as_deref()
                .map(|help| own(help, HELP_BYTES_MAX)),
            title: Some(own(&finding.title, DESCRIPTION_BYTES_MAX)),
            message: Some(own(&finding.message, DESCRIPTION_BYTES_MAX)),
            references: finding.references.clone(),
            tags: tags(alert),
            cwe: finding.cwe.clone(),
            category: finding.category.clone(),
            confidence: Some(finding.confidence),
            severity: alert.severity,
            score: rule_score(alert),
        }
    }

    fn bytes(&self) -> usize {
        let texts = [&self.name, &self.help, &self.title, &self.message, &self.category];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let lists = self.references.iter().chain(&self.tags).map(String::len);
        // each is the key of the index, too; and the words around it
        2 * self.id.len() + texts + lists.sum::<usize>() + 4 * self.cwe.len() + size_of::<Self>()
    }

    /// Keeps what this result says, too.
    fn share(&mut self, alert: &Exported) {
        let finding = &alert.finding;
        keep_if(&mut self.title, |title| {
            *title == cut(&finding.title, DESCRIPTION_BYTES_MAX)
        });
        keep_if(&mut self.message, |message| {
            *message == cut(&finding.message, DESCRIPTION_BYTES_MAX)
        });
        keep_if(&mut self.category, |category| {
            Some(category.as_str()) == finding.category.as_deref()
        });
        keep_if(&mut self.confidence, |confidence| {
            *confidence == finding.confidence
        });
        self.references
            .retain(|reference| finding.references.contains(reference));
        if !self.tags.is_empty() {
            let theirs = tags(alert);
            self.tags.retain(|tag| theirs.contains(tag));
        }
        self.cwe.retain(|number| finding.cwe.contains(number));
        self.severity = self.severity.max(alert.severity);
        self.score = match (self.score, rule_score(alert)) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
    }

    /// As SARIF has it.
    pub(super) fn descriptor(&self) -> Value {
        let said = |texts: &[Option<&str>]| -> String {
            let mut texts = texts.iter().flatten().filter(|text| !text.trim().is_empty());
            texts.next().map_or("no description", |text| text).to_owned()
        };
        let (name, id) = (self.name.as_deref(), Some(self.id.as_str()));
        let short = said(&[self.title.as_deref(), name, id]);
        let full = said(&[self.message.as_deref(), Some(&short)]);
        // GitHub wants a help text; who reads it knows a repetition for none
        let help = said(&[self.help.as_deref(), Some(&full)]);
        let mut descriptor = json!({
            "id": self.id,
            "shortDescription": { "text": cut(&short, DESCRIPTION_BYTES_MAX) },
            "fullDescription": { "text": full },
            "help": { "text": help },
            "defaultConfiguration": { "level": level(self.severity) },
        });
        set(&mut descriptor, "name", name.unwrap_or_default());
        let mut addresses = self.references.iter();
        let address = addresses.find(|address| is_uri(address));
        set(&mut descriptor, "helpUri", address.map(String::as_str));
        let relationships = unique(&self.cwe)
            .into_iter()
            .map(|number| json!({ "target": taxon(number), "kinds": ["superset"] }));
        set(
            &mut descriptor,
            "relationships",
            relationships.collect::<Vec<Value>>(),
        );
        let mut properties = json!({});
        let classes = unique(&self.cwe)
            .into_iter()
            .map(|number| format!("external/cwe/cwe-{number}"));
        let tags: Vec<String> = classes.chain(self.tags.clone()).take(TAGS_MAX).collect();
        set(&mut properties, "tags", tags);
        set(
            &mut properties,
            "category",
            self.category.as_deref().unwrap_or_default(),
        );
        set(
            &mut properties,
            "precision",
            self.confidence.map_or("", confidence_word),
        );
        let score = self.score.map(|score| format!("{score:.1}"));
        set(&mut properties, "security-severity", score);
        set(&mut descriptor, "properties", properties);
        descriptor
    }
}

fn own(text: &str, bytes_max: usize) -> String {
    cut(text, bytes_max).to_owned()
}

fn keep_if<T>(kept: &mut Option<T>, is_shared: impl FnOnce(&T) -> bool) {
    if kept.as_ref().is_some_and(|value| !is_shared(value)) {
        *kept = None;
    }
}

/// Each once, in order: SARIF's lists are sets.
pub(super) fn unique<T: PartialEq + Copy>(items: &[T]) -> Vec<T> {
    let mut unique: Vec<T> = Vec::new();
    for item in items {
        if !unique.contains(item) {
            unique.push(*item);
        }
    }
    unique
}

/// A result's tags: its own, and the ids of its advisories, by which other readers know them.
pub(super) fn tags(alert: &Exported) -> Vec<String> {
    let finding = &alert.finding;
    let ids = advisories(finding);
    let own = finding.tags.iter().map(String::as_str);
    let all: Vec<&str> = own.chain(ids).collect();
    unique(&all).into_iter().map(str::to_owned).collect()
}

/// The word of SARIF's producers; empty when the tool does not say.
pub(super) const fn confidence_word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Unknown => "",
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    }
}

pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// What code hosts sort rules by: the CVSS score, unless somebody decided otherwise, or the severity's middle;
/// nothing for what is merely worth knowing.
fn rule_score(alert: &Exported) -> Option<f64> {
    let score = alert.cvss_score.filter(|score| *score > 0.0);
    let score = score.filter(|_| alert.severity == alert.finding.severity);
    score.or_else(|| Some(middle(alert.severity)).filter(|score| *score > 0.0))
}

/// A result's own score, which readers make a severity of: the tool's, or the CVSS score, where it comes to the same
/// one.
pub(super) fn result_score(alert: &Exported) -> String {
    let fits = |score: &f64| band(*score) == alert.severity;
    let raw = alert.finding.severity_raw.as_deref().unwrap_or_default();
    if raw
        .parse()
        .is_ok_and(|score: f64| (0.0..=10.0).contains(&score) && fits(&score))
    {
        return raw.to_owned();
    }
    let score = alert.cvss_score.filter(fits);
    format!("{:.1}", score.unwrap_or_else(|| middle(alert.severity)))
}

/// The severity of a CVSS score (FIRST's table).
fn band(score: f64) -> Severity {
    match score {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        score if score > 0.0 => Severity::Low,
        _ => Severity::Info,
    }
}

/// The middle of a severity's band.
const fn middle(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 9.5,
        Severity::High => 8.0,
        Severity::Medium => 5.5,
        Severity::Low => 2.5,
        Severity::Info => 0.0,
    }
}

/// A reference to a weakness class.
pub(super) fn taxon(number: u32) -> Value {
    json!({ "id": number.to_string(), "toolComponent": taxonomy_reference() })
}

pub(super) fn taxonomy_reference() -> Value {
    json!({ "name": CWE })
}

/// The weakness classes that a run's results speak of.
pub(super) fn taxonomy(numbers: &BTreeSet<u32>) -> Value {
    let taxa = numbers.iter().map(|number| {
        json!({
            "id": number.to_string(),
            "helpUri": weakness::page(*number),
        })
    });
    json!({
        "name": CWE,
        "fullName": "Common Weakness Enumeration",
        "organization": "MITRE",
        "informationUri": "https://cwe.mitre.org/",
        "isComprehensive": false,
        "taxa": taxa.collect::<Vec<Value>>(),
    })
}
