//! A tool's rules, as much of them as findings need.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use tamiz_sdk::limits::{MESSAGE_BYTES, WORD_BYTES};
use tamiz_sdk::{FindingBuilder, clean_text};

use super::shapes::{ComponentReference, Message, Properties, Reference, ResultShape, RuleShape};
use crate::vocabulary::{self, Label};

/// Descriptions and help of one rule that are kept.
const DESCRIPTION_BYTES: usize = 4096;

/// A rule.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) short: String,
    pub(super) full: String,
    pub(super) help: String,
    pub(super) help_uri: String,
    pub(super) level: String,
    pub(super) precision: String,
    pub(super) category: String,
    pub(super) security_severity: Option<f64>,
    /// A CVSS vector.
    pub(super) vector: String,
    /// Tags, CWE texts, and the taxonomy's entries that it is related to.
    pub(super) labels: Vec<Label>,
    /// Texts that results refer to by id.
    pub(super) messages: Vec<(String, String)>,
    /// What its findings begin with; see [`super::beginning`].
    pub(super) begun: OnceCell<FindingBuilder>,
}

impl Rule {
    pub(super) fn from_shape(shape: &RuleShape<'_>) -> Self {
        let word = |text: &str| clean_text(text, WORD_BYTES).text;
        let description = |text: &str| clean_text(text, DESCRIPTION_BYTES).text;
        let properties = shape.properties.object();
        let mut labels: Vec<Label> = properties.map(Properties::labels).unwrap_or_default();
        let targets = shape
            .relationships
            .objects()
            .iter()
            .filter_map(|relationship| relationship.target.object());
        labels.extend(targets.map(Reference::label));
        let aliases = shape
            .deprecated_ids
            .texts()
            .filter(|id| vocabulary::is_advisory(id));
        labels.extend(aliases.map(|id| Label::Cve(word(id))));
        // flawfinder, gcc and others name the class by its address only.
        let help_uri = shape.help_uri.text();
        if help_uri.contains("cwe.mitre.org") {
            labels.extend(vocabulary::weaknesses(help_uri).into_iter().map(Label::Cwe));
        }
        let messages = shape
            .message_strings
            .members()
            .iter()
            .filter_map(|(id, message)| {
                Some((
                    word(id),
                    clean_text(message.object()?.plain(), MESSAGE_BYTES).text,
                ))
            });
        Self {
            id: word(shape.id.text()),
            name: word(shape.name.text()),
            short: description(shape.short_description.object().map_or("", |text| text.plain())),
            full: description(shape.full_description.object().map_or("", |text| text.plain())),
            help: description(shape.help.object().map_or("", |text| text.plain())),
            help_uri: word(shape.help_uri.text()),
            level: word(
                shape
                    .default_configuration
                    .object()
                    .map_or("", |configuration| configuration.level.text()),
            ),
            precision: word(properties.map_or("", |properties| properties.precision.text())),
            category: word(properties.map_or("", |properties| properties.category.text())),
            security_severity: properties.and_then(Properties::score),
            vector: word(properties.map_or("", Properties::vector)),
            labels,
            messages: messages.collect(),
            begun: OnceCell::new(),
        }
    }

    /// What it costs to keep.
    pub(super) fn text_bytes(&self) -> usize {
        let words = [
            &self.id,
            &self.name,
            &self.short,
            &self.full,
            &self.help,
            &self.help_uri,
            &self.level,
        ];
        let labels = self
            .labels
            .iter()
            .map(|label| label.text_bytes() + size_of::<Label>());
        let messages = self
            .messages
            .iter()
            .map(|(id, text)| id.len() + text.len() + 2 * size_of::<String>());
        words.iter().map(|word| word.len()).sum::<usize>()
            + self.precision.len()
            + self.category.len()
            + self.vector.len()
            + labels.sum::<usize>()
            + messages.sum::<usize>()
    }

    /// The text of a message that results refer to by id.
    pub(super) fn message(&self, id: &str) -> Option<&str> {
        self.messages
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, text)| text.as_str())
    }
}

/// The driver or an extension.
#[derive(Debug, Default)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) guid: String,
    pub(super) rules: Vec<Rule>,
    /// `globalMessageStrings`: texts that any result may refer to by id.
    pub(super) messages: Vec<(String, String)>,
    by_id: BTreeMap<String, usize>,
}

impl Component {
    pub(super) fn add(&mut self, rule: Rule) {
        if !rule.id.is_empty() {
            self.by_id.entry(rule.id.clone()).or_insert(self.rules.len());
        }
        self.rules.push(rule);
    }

    fn by_index(&self, index: Option<i64>) -> Option<&Rule> {
        self.rules.get(usize::try_from(index?).ok()?)
    }

    /// By id, then by the ids above it: `CA1000/2` is a sub-rule of `CA1000`.
    fn by_id(&self, id: &str) -> Option<&Rule> {
        let mut id = id;
        loop {
            if let Some(&index) = self.by_id.get(id) {
                return self.rules.get(index);
            }
            (id, _) = id.rsplit_once('/')?;
        }
    }
}

/// All rules of a run.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) driver: Component,
    pub(super) extensions: Vec<Component>,
}

impl Rules {
    /// A result's rule. An index that does not fit the id beside it is not believed.
    pub(super) fn of(&self, result: &ResultShape<'_>) -> Option<&Rule> {
        let reference = result.rule.object();
        let id = rule_id(result);
        let index = result
            .rule_index
            .get()
            .or_else(|| reference.and_then(|rule| rule.index.get()))
            .copied();
        let named = reference
            .and_then(|rule| rule.tool_component.object())
            .and_then(|named| self.component(named));
        let indexed = named.unwrap_or(&self.driver).by_index(index);
        match indexed {
            Some(rule) if id.is_empty() || is_or_is_above(&rule.id, id) => Some(rule),
            _ if id.is_empty() => self.named_by(result.message.object().map_or("", Message::plain)),
            _ => {
                let mut all = named.into_iter().chain([&self.driver]).chain(&self.extensions);
                all.find_map(|component| component.by_id(id))
            }
        }
    }

    /// gitleaks before version 8 names a result's rule in its message only.
    fn named_by(&self, message: &str) -> Option<&Rule> {
        self.driver.by_id(message.strip_suffix(" secret detected")?)
    }

    /// A text that results of any rule refer to by id.
    pub(super) fn message(&self, id: &str) -> Option<&str> {
        let components = [&self.driver].into_iter().chain(&self.extensions);
        let mut messages = components.flat_map(|component| &component.messages);
        messages
            .find(|(known, _)| known == id)
            .map(|(_, text)| text.as_str())
    }

    fn component(&self, named: &ComponentReference<'_>) -> Option<&Component> {
        if let Some(&index) = named.index.get() {
            return self.extensions.get(usize::try_from(index).ok()?);
        }
        let same = |own: &str, wanted: &str| !wanted.is_empty() && own == wanted;
        [&self.driver]
            .into_iter()
            .chain(&self.extensions)
            .find(|component| {
                same(&component.guid, named.guid.text()) || same(&component.name, named.name.text())
            })
    }
}

/// The id that a result gives, in either of its two places.
pub(super) fn rule_id<'shape>(result: &'shape ResultShape<'_>) -> &'shape str {
    match result.rule_id.text() {
        "" => result.rule.object().map_or("", |rule| rule.id.text()),
        id => id,
    }
}

fn is_or_is_above(rule: &str, id: &str) -> bool {
    id.strip_prefix(rule)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{Component, Rule, Rules};
    use crate::sarif::shapes::ResultShape;

    fn rules() -> Rules {
        let component = |name: &str, ids: &[&str]| {
            let mut component = Component {
                name: name.to_owned(),
                ..Component::default()
            };
            for &id in ids {
                component.add(Rule {
                    id: id.to_owned(),
                    name: format!("{name}/{id}"),
                    ..Rule::default()
                });
            }
            component
        };
        Rules {
            driver: component("driver", &["A", "B", "CA1000"]),
            extensions: vec![component("first", &["A", "X"]), component("second", &["Y"])],
        }
    }

    #[track_caller]
    fn check(result: &str, expected: Option<&str>) {
        let result: ResultShape<'_> = serde_json::from_str(result).expect("a result");
        assert_eq!(rules().of(&result).map(|rule| rule.name.as_str()), expected);
    }

    #[test]
    fn a_rule_is_found_by_index_id_hierarchy_and_component() {
        check(r#"{"ruleId":"B","ruleIndex":1}"#, Some("driver/B"));
        check(r#"{"ruleIndex":0}"#, Some("driver/A"));
        check(r#"{"ruleId":"CA1000/1","ruleIndex":2}"#, Some("driver/CA1000"));
        check(r#"{"ruleId":"CA1000/1/b"}"#, Some("driver/CA1000"));
        check(r#"{"ruleId":"Y"}"#, Some("second/Y"));
        check(
            r#"{"rule":{"id":"A","toolComponent":{"index":0}}}"#,
            Some("first/A"),
        );
        check(
            r#"{"rule":{"index":1,"toolComponent":{"name":"first"}}}"#,
            Some("first/X"),
        );
    }

    #[test]
    fn an_index_that_does_not_fit_is_not_believed() {
        check(r#"{"ruleId":"A","ruleIndex":99}"#, Some("driver/A"));
        check(r#"{"ruleId":"A","ruleIndex":-7}"#, Some("driver/A"));
        check(r#"{"ruleId":"A","ruleIndex":1}"#, Some("driver/A"));
        check(r#"{"ruleId":"nobody","ruleIndex":1}"#, None);
        check(r#"{"ruleIndex":99}"#, None);
        check("{}", None);
    }
}
