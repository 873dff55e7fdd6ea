//! The parts of SARIF's objects that are read. Every field may be missing or of another type.

use serde::Deserialize;
use tamiz_sdk::clean_line;
use tamiz_sdk::json::lenient::{Boxed, Decimal, Field, Members, Object, Objects, Text, Texts, Whole};
use tamiz_sdk::limits::WORD_BYTES;

use super::extras::{Fix, Print, WebRequest};
use super::own::{Own, OwnBag};
use crate::vocabulary::{self, Label};
use crate::weaknesses::Weaknesses;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultShape<'a> {
    #[serde(borrow, default)]
    pub(super) rule_id: Text<'a>,
    #[serde(default)]
    pub(super) rule_index: Whole,
    #[serde(borrow, default)]
    pub(super) rule: Field<Boxed<RuleReference<'a>>>,
    #[serde(borrow, default)]
    pub(super) level: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) baseline_state: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Field<Boxed<Message<'a>>>,
    #[serde(borrow, default)]
    pub(super) locations: Field<Objects<Location<'a>>>,
    #[serde(borrow, default)]
    pub(super) related_locations: Field<Objects<Location<'a>>>,
    #[serde(borrow, default)]
    pub(super) analysis_target: Field<Boxed<ArtifactLocation<'a>>>,
    #[serde(borrow, default)]
    pub(super) web_request: Field<Boxed<WebRequest<'a>>>,
    #[serde(borrow, default)]
    pub(super) fingerprints: Field<Members<Field<Print<'a>>>>,
    #[serde(borrow, default)]
    pub(super) partial_fingerprints: Field<Members<Field<Print<'a>>>>,
    #[serde(borrow, default)]
    pub(super) suppressions: Field<Objects<Suppression<'a>>>,
    #[serde(borrow, default)]
    pub(super) code_flows: Field<Objects<CodeFlow<'a>>>,
    #[serde(borrow, default)]
    pub(super) taxa: Field<Objects<Reference<'a>>>,
    #[serde(borrow, default)]
    pub(super) fixes: Field<Objects<Fix<'a>>>,
    #[serde(default)]
    pub(super) rank: Field<Decimal>,
    #[serde(default)]
    pub(super) occurrence_count: Whole,
    #[serde(borrow, default)]
    pub(super) properties: Field<Boxed<Properties<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleReference<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(default)]
    pub(super) index: Whole,
    #[serde(borrow, default)]
    pub(super) tool_component: Field<Boxed<ComponentReference<'a>>>,
}

#[derive(Default, Deserialize)]
pub(super) struct ComponentReference<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(default)]
    pub(super) index: Whole,
    #[serde(borrow, default)]
    pub(super) guid: Text<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) markdown: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Texts<'a>,
}

impl Message<'_> {
    /// The text, or the markdown when there is only that.
    pub(super) fn plain(&self) -> &str {
        let text = self.text.text();
        if text.is_empty() {
            self.markdown.text()
        } else {
            text
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Location<'a> {
    #[serde(borrow, default, rename = "physicalLocation")]
    pub(super) physical: Field<Boxed<PhysicalLocation<'a>>>,
    #[serde(borrow, default, rename = "logicalLocations")]
    pub(super) logical: Field<Objects<LogicalLocation<'a>>>,
    #[serde(borrow, default)]
    pub(super) message: Field<Boxed<Message<'a>>>,
    #[serde(default)]
    pub(super) properties: Field<Boxed<OwnBag>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhysicalLocation<'a> {
    #[serde(borrow, default)]
    pub(super) artifact_location: Field<Boxed<ArtifactLocation<'a>>>,
    #[serde(borrow, default)]
    pub(super) region: Field<Boxed<Region<'a>>>,
    #[serde(borrow, default)]
    pub(super) context_region: Field<Boxed<Region<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogicalLocation<'a> {
    #[serde(borrow, default)]
    pub(super) fully_qualified_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArtifactLocation<'a> {
    #[serde(borrow, default)]
    pub(super) uri: Text<'a>,
    #[serde(borrow, default)]
    pub(super) uri_base_id: Text<'a>,
    #[serde(default)]
    pub(super) index: Whole,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Region<'a> {
    #[serde(default)]
    pub(super) start_line: Whole,
    #[serde(default)]
    pub(super) start_column: Whole,
    #[serde(default)]
    pub(super) end_line: Whole,
    #[serde(default)]
    pub(super) end_column: Whole,
    #[serde(default)]
    pub(super) char_offset: Whole,
    #[serde(default)]
    pub(super) char_length: Whole,
    #[serde(default)]
    pub(super) byte_offset: Whole,
    #[serde(default)]
    pub(super) byte_length: Whole,
    #[serde(borrow, default)]
    pub(super) snippet: Field<Boxed<Message<'a>>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Suppression<'a> {
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) status: Text<'a>,
    #[serde(borrow, default)]
    pub(super) justification: Text<'a>,
    #[serde(default)]
    pub(super) properties: Field<Boxed<OwnBag>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeFlow<'a> {
    #[serde(borrow, default)]
    pub(super) thread_flows: Field<Objects<ThreadFlow<'a>>>,
}

#[derive(Default, Deserialize)]
pub(super) struct ThreadFlow<'a> {
    #[serde(borrow, default)]
    pub(super) locations: Field<Objects<FlowStep<'a>>>,
}

#[derive(Default, Deserialize)]
pub(super) struct FlowStep<'a> {
    #[serde(borrow, default)]
    pub(super) location: Field<Object<Location<'a>>>,
}

/// A reference to a taxonomy's entry.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) tool_component: Field<Boxed<ComponentReference<'a>>>,
}

impl Reference<'_> {
    /// What it says. In the taxonomy of that name CWEs are bare numbers (gcc, KICS, the standard itself).
    pub(super) fn label(&self) -> Label {
        let id = clean_line(self.id.text(), WORD_BYTES).text;
        let taxonomy = self.tool_component.object().map_or("", |named| named.name.text());
        let is_cwe = taxonomy
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("cwe"));
        match vocabulary::weaknesses(&id).first() {
            Some(number) if is_cwe => Label::Cwe(*number),
            _ => vocabulary::label(&id),
        }
    }
}

/// The property bag of a result or a rule: the keys that several tools agree on.
#[derive(Default, Deserialize)]
pub(super) struct Properties<'a> {
    #[serde(borrow, default)]
    pub(super) tags: Texts<'a>,
    #[serde(default)]
    pub(super) cwe: Field<Weaknesses>,
    #[serde(default)]
    pub(super) cwes: Field<Weaknesses>,
    #[serde(default, rename = "cweIds")]
    pub(super) cwe_ids: Field<Weaknesses>,
    #[serde(borrow, default)]
    pub(super) owasp: Texts<'a>,
    #[serde(borrow, default, rename = "owasp-web")]
    pub(super) owasp_web: Texts<'a>,
    #[serde(borrow, default, rename = "owasp-mobile")]
    pub(super) owasp_mobile: Texts<'a>,
    /// Addresses to read more.
    #[serde(borrow, default)]
    pub(super) reference: Texts<'a>,
    #[serde(borrow, default)]
    pub(super) references: Texts<'a>,
    #[serde(borrow, default)]
    pub(super) category: Text<'a>,
    #[serde(borrow, default)]
    pub(super) precision: Text<'a>,
    #[serde(borrow, default)]
    pub(super) confidence: Text<'a>,
    /// The secret itself, as gitleaks before version 8 has it beside the line.
    #[serde(borrow, default)]
    pub(super) offender: Text<'a>,
    /// Bandit's, beside the rule's precision.
    #[serde(borrow, default)]
    pub(super) issue_confidence: Text<'a>,
    #[serde(default, rename = "security-severity")]
    security_severity: Field<Decimal>,
    /// Snyk's, for its packages.
    #[serde(default, rename = "cvssv3_baseScore")]
    cvss_base_score: Field<Decimal>,
    #[serde(borrow, default, rename = "cvssVector")]
    cvss_vector: Text<'a>,
    #[serde(borrow, default)]
    cvss: Text<'a>,
    /// The platform's own, of a result that it exported.
    #[serde(default)]
    pub(super) tamiz: Field<Boxed<Own>>,
}

impl Properties<'_> {
    /// What its tags and taxonomy texts say.
    pub(super) fn labels(&self) -> Vec<Label> {
        let label = |text: &str| vocabulary::label(&clean_line(text, WORD_BYTES).text);
        let owasp = |text: &str| vocabulary::owasp(text).map_or_else(|| label(text), Label::Owasp);
        let named = [&self.cwe, &self.cwes, &self.cwe_ids];
        let mut labels = Vec::new();
        for weaknesses in named.into_iter().filter_map(Field::get) {
            labels.extend(weaknesses.numbers.iter().map(|number| Label::Cwe(*number)));
            labels.extend(weaknesses.words.iter().map(|word| label(word)));
        }
        labels.extend(self.tags.texts().map(label));
        let lists = [&self.owasp, &self.owasp_web, &self.owasp_mobile];
        labels.extend(lists.into_iter().flat_map(Texts::texts).map(owasp));
        labels
    }

    /// Its score from 0 to 10.
    pub(super) fn score(&self) -> Option<f64> {
        let said = self.security_severity.get().or(self.cvss_base_score.get());
        said.map(|score| score.0)
    }

    /// Its CVSS vector; empty when it has none.
    pub(super) fn vector(&self) -> &str {
        let said = [&self.cvss_vector, &self.cvss].into_iter();
        said.map(Text::text)
            .find_map(vocabulary::cvss_vector)
            .unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleShape<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) short_description: Field<Boxed<Message<'a>>>,
    #[serde(borrow, default)]
    pub(super) full_description: Field<Boxed<Message<'a>>>,
    #[serde(borrow, default)]
    pub(super) help: Field<Boxed<Message<'a>>>,
    #[serde(borrow, default)]
    pub(super) help_uri: Text<'a>,
    #[serde(borrow, default)]
    pub(super) default_configuration: Field<Object<Configuration<'a>>>,
    #[serde(borrow, default)]
    pub(super) message_strings: Field<Members<Field<Boxed<Message<'a>>>>>,
    #[serde(borrow, default)]
    pub(super) relationships: Field<Objects<Relationship<'a>>>,
    /// osv-scanner lists an advisory's other ids here.
    #[serde(borrow, default)]
    pub(super) deprecated_ids: Texts<'a>,
    #[serde(borrow, default)]
    pub(super) properties: Field<Boxed<Properties<'a>>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Configuration<'a> {
    #[serde(borrow, default)]
    pub(super) level: Text<'a>,
}

#[derive(Default, Deserialize)]
pub(super) struct Relationship<'a> {
    #[serde(borrow, default)]
    pub(super) target: Field<Object<Reference<'a>>>,
}

/// An entry of a run's file table.
#[derive(Default, Deserialize)]
pub(super) struct Artifact<'a> {
    #[serde(borrow, default)]
    pub(super) location: Field<Boxed<ArtifactLocation<'a>>>,
}

/// An entry of `originalUriBaseIds`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UriBase {
    #[serde(default)]
    pub(super) uri: Option<String>,
    #[serde(default)]
    pub(super) uri_base_id: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct ExternalFiles {
    #[serde(default)]
    results: Option<serde_json::Value>,
}

impl ExternalFiles {
    pub(super) fn names_results(&self) -> bool {
        self.results
            .as_ref()
            .and_then(serde_json::Value::as_array)
            // One without a location stands in this document.
            .is_some_and(|files| files.iter().any(|file| file.get("location").is_some()))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invocation {
    #[serde(default)]
    execution_successful: Field<bool>,
    #[serde(default)]
    tool_execution_notifications: Field<Objects<Notification>>,
    #[serde(default)]
    tool_configuration_notifications: Field<Objects<Notification>>,
}

impl Invocation {
    pub(super) fn failed(&self) -> bool {
        self.execution_successful.get() == Some(&false)
    }

    pub(super) fn succeeded(&self) -> bool {
        self.execution_successful.get() == Some(&true)
    }

    /// What went wrong while it ran (semgrep's time-outs are warnings), and settings that it could
    /// not use.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &Notification> {
        let execution = self.tool_execution_notifications.objects().iter();
        let settings = self.tool_configuration_notifications.objects().iter();
        execution
            .filter(|notification| !notification.is_note())
            .chain(settings.filter(|notification| notification.is_error()))
    }

    /// What it says about its settings and could work with.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &Notification> {
        let settings = self.tool_configuration_notifications.objects().iter();
        settings.filter(|notification| !notification.is_note() && !notification.is_error())
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Notification {
    #[serde(default)]
    level: Option<serde_json::Value>,
    #[serde(default)]
    descriptor: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    locations: Option<serde_json::Value>,
}

impl Notification {
    /// Whether it is said for the record only.
    fn is_note(&self) -> bool {
        matches!(self.level(), "note" | "none")
    }

    fn is_error(&self) -> bool {
        self.level() == "error"
    }

    /// As the standard has it, a warning when nothing is said.
    fn level(&self) -> &str {
        let level = self.level.as_ref().and_then(serde_json::Value::as_str);
        level.unwrap_or("warning")
    }

    /// In one text.
    pub(super) fn describe(&self) -> String {
        let word = |value: Option<&serde_json::Value>, key: &str| {
            let text = value
                .and_then(|value| value.get(key))
                .and_then(serde_json::Value::as_str);
            text.unwrap_or_default().trim().to_owned()
        };
        let level = self.level();
        let (id, mut text) = (
            word(self.descriptor.as_ref(), "id"),
            word(self.message.as_ref(), "text"),
        );
        // A message may be the name of one, which stands among the tool's notifications.
        if text.is_empty() {
            text = word(self.message.as_ref(), "id");
            let arguments = self.message.as_ref().and_then(|message| message.get("arguments"));
            let arguments = arguments
                .and_then(serde_json::Value::as_array)
                .into_iter()
                .flatten();
            for argument in arguments.filter_map(serde_json::Value::as_str) {
                text = format!("{text} `{argument}`");
            }
        }
        let place = self.locations.as_ref();
        let place = place.and_then(|places| places.pointer("/0/physicalLocation/artifactLocation"));
        match word(place, "uri") {
            uri if uri.is_empty() || text.contains(&uri) => {}
            uri => text = format!("{text} ({uri})"),
        }
        let separator = if id.is_empty() || text.is_empty() {
            ""
        } else {
            ": "
        };
        format!("the tool reports {level}: {id}{separator}{text}")
    }
}
