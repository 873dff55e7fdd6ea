//! One SARIF result into one finding, with the help of its rule.

use std::borrow::Cow;

use serde_json::json;
use tamiz_sdk::limits::{FLOW_STEPS, LIST_ENTRIES, WORD_BYTES};
use tamiz_sdk::model::{LogLevel, Severity};
use tamiz_sdk::{FindingBuilder, hide};

use super::beginning::Beginnings;
use super::extras::{Fix, fingerprint, offender};
use super::head::RunHead;
use super::message::message_text;
use super::own;
use super::places::{flow_step, logical_places, related_place, target};
use super::region::{by_offset, context_lines, lines, offsets, positions};
use super::rules::{Rule, rule_id};
use super::shapes::{Location, Message, Properties, ResultShape};
use crate::formats::{Sources, hidden_snippet, is_secret_scanner, numbered_lines};
use crate::vocabulary::{self, unless_placeholder};
use tamiz_sdk::report::Element;
use tamiz_sdk::report::{Session, Stop};

/// What a result without a rule is filed under.
const NO_RULE_ID: &str = "no-rule-id";

/// Reads a run's results.
pub(super) struct ResultReader<'run> {
    head: &'run RunHead,
    /// Its snippets are secrets.
    quotes_secrets: bool,
    /// Its snippets have each line's number in front of it, and lines around.
    numbers_lines: bool,
    /// The report ends before it names its tool: its snippets may be secrets.
    may_quote_secrets: bool,
    beginnings: Beginnings,
}

impl<'run> ResultReader<'run> {
    pub(super) fn new(head: &'run RunHead) -> Self {
        Self {
            head,
            quotes_secrets: is_secret_scanner(head.tool_name()),
            numbers_lines: head.tool_name() == "gosec",
            may_quote_secrets: head.tool.is_empty(),
            beginnings: Beginnings::default(),
        }
    }

    pub(super) fn read(
        &self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        sources: &mut Sources,
    ) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let result: ResultShape<'_> = match element.read(session, &mut repaired) {
            Ok(result) => result,
            Err(problem) => {
                let message = format!("{} could not be read: {problem}", element.name());
                session.lose("record-unreadable", &message, element.span);
                return Ok(());
            }
        };
        if matches!(result.kind.text(), "pass" | "notApplicable") || result.baseline_state.text() == "absent"
        {
            let message = format!("{} says that there is no problem", element.name());
            session.leave_out("result-without-problem", &message, element.span);
            return Ok(());
        }
        tell_oddities(&result, session, element);
        let finding = match own::of(&result) {
            Some(own) => {
                let rule = self.head.rules.of(&result);
                let id = match rule_id(&result) {
                    "" => NO_RULE_ID,
                    id => id,
                };
                own::finding(own, &result, rule, self.head.tool_name(), id)
            }
            None => self.finding(&result, session, element, sources),
        };
        session.emit(finding, element)
    }

    fn finding(
        &self,
        result: &ResultShape<'_>,
        session: &mut Session<'_>,
        element: &Element<'_>,
        sources: &mut Sources,
    ) -> FindingBuilder {
        let rule = self.head.rules.of(result);
        let tool = self.head.tool_name();
        let raw_id = match (rule_id(result), rule) {
            ("", Some(rule)) if !rule.id.is_empty() => &rule.id,
            ("", _) => NO_RULE_ID,
            (id, _) => id,
        };
        let secret = self.secret(result);
        let mut message = message_text(result, rule, &self.head.rules);
        if !secret.is_empty() {
            message = Cow::Owned(hide(&message, secret));
        }
        let (severity, raw_severity) = severity(result, rule, session, element);
        let mut finding = self
            .beginnings
            .of(tool, raw_id, result, rule)
            .message(&message)
            .severity(severity, raw_severity.as_deref());
        finding = helped(finding, result, rule, &message);
        for (index, location) in result.locations.objects().iter().enumerate() {
            finding = self.place(finding, location, index == 0, offender(result), session, sources);
        }
        if result.locations.objects().is_empty() {
            finding = target(self.head, finding, result, session);
        }
        finding = logical_places(finding, result.locations.objects());
        finding = fingerprint(finding, result);
        // After the report's own fingerprint: a secret's identity is its keyed hash.
        finding = session.secret(finding, secret);
        self.rest(finding, result, session, element)
    }

    fn place(
        &self,
        finding: FindingBuilder,
        location: &Location<'_>,
        is_first: bool,
        offender: &str,
        session: &mut Session<'_>,
        sources: &mut Sources,
    ) -> FindingBuilder {
        let physical = location.physical.object();
        let artifact = physical.and_then(|physical| physical.artifact_location.object());
        let label = artifact.and_then(|artifact| self.head.path(artifact, session.root()));
        let Some(label) = label else { return finding };
        let region = physical.and_then(|physical| physical.region.object());
        let (start, end) = region.map_or((None, None), positions);
        let quoted = region
            .and_then(|region| region.snippet.object())
            .map_or("", |snippet| unless_placeholder(snippet.plain()));
        let around = physical.and_then(|physical| physical.context_region.object());
        let own_lines = match (region, around) {
            (Some(region), _) if self.numbers_lines => numbered_lines(quoted, &lines(region)),
            (Some(region), Some(around)) if quoted.is_empty() => context_lines(region, around),
            _ => String::new(),
        };
        let quoted = if own_lines.is_empty() { quoted } else { &own_lines };
        let is_secret = self.may_quote_secrets || self.quotes_secrets;
        let mut finding = match region {
            Some(region) if is_first && !is_secret => {
                sources.context(finding, session, &label.path, &lines(region))
            }
            _ => finding,
        };
        let (start, snippet) = match (region, start) {
            _ if self.may_quote_secrets => (start, Cow::Borrowed("")),
            _ if self.quotes_secrets => {
                let secret = if offender.is_empty() { quoted } else { offender };
                (start, hidden_snippet(quoted, secret).into())
            }
            (Some(_), Some(_)) if !quoted.is_empty() => (start, Cow::Borrowed(quoted)),
            (Some(region), Some(_)) => {
                let found = sources.lines(session, &label.path, &lines(region));
                (start, found.into())
            }
            (Some(region), None) => {
                finding = offsets(finding, region);
                let (start, found) = by_offset(region, session, sources, &label.path);
                (
                    start,
                    if quoted.is_empty() {
                        found.into()
                    } else {
                        Cow::Borrowed(quoted)
                    },
                )
            }
            (None, _) => (start, Cow::Borrowed("")),
        };
        let finding = finding.file(&label.path, start, end, &snippet);
        match artifact {
            Some(artifact) if label.changed => finding.extra_text("uri", artifact.uri.text()),
            _ => finding,
        }
    }

    /// The secret that a scanner of secrets quotes in its first snippet; empty for other tools.
    fn secret<'shape>(&self, result: &'shape ResultShape<'_>) -> &'shape str {
        if !self.quotes_secrets {
            return "";
        }
        let physical = result
            .locations
            .objects()
            .iter()
            .filter_map(|place| place.physical.object());
        let quoted = physical
            .filter_map(|physical| physical.region.object()?.snippet.object())
            .map(Message::plain);
        let mut said = [offender(result)].into_iter().chain(quoted);
        said.find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// What has no field of its own.
    fn rest(
        &self,
        mut finding: FindingBuilder,
        result: &ResultShape<'_>,
        session: &mut Session<'_>,
        element: &Element<'_>,
    ) -> FindingBuilder {
        for (key, word, usual) in [
            ("kind", result.kind.text(), "fail"),
            ("baseline-state", result.baseline_state.text(), ""),
        ] {
            if !word.is_empty() && word != usual && word.len() <= WORD_BYTES {
                finding = finding.extra_text(key, word);
            }
        }
        if let Some(rank) = result.rank.get() {
            finding = finding.extra_json("rank", &rank.0.to_string());
        }
        if let Some(count) = result.occurrence_count.get().filter(|count| **count > 0) {
            finding = finding.extra_json("occurrence-count", &count.to_string());
        }
        finding = suppressed(finding, result);
        let related = result.related_locations.objects().iter().take(FLOW_STEPS);
        let related: Vec<_> = related
            .map(|location| related_place(self.head, location, session))
            .collect();
        if !related.is_empty() {
            finding = finding.extra_json("related", &json!(related).to_string());
        }
        self.flow(finding, result, session, element)
    }

    /// The first code flow, cut at a limit.
    fn flow(
        &self,
        mut finding: FindingBuilder,
        result: &ResultShape<'_>,
        session: &mut Session<'_>,
        element: &Element<'_>,
    ) -> FindingBuilder {
        let flow = result
            .code_flows
            .objects()
            .first()
            .and_then(|flow| flow.thread_flows.objects().first());
        let Some(locations) = flow.map(|flow| &flow.locations) else {
            return finding;
        };
        let steps = locations.objects().iter().take(FLOW_STEPS);
        for location in steps.filter_map(|step| step.location.object()) {
            finding = flow_step(finding, self.head, location, session);
        }
        if locations.objects().len() > FLOW_STEPS || locations.is_cut() {
            let message = format!(
                "{}: the code flow was cut after {FLOW_STEPS} steps",
                element.name()
            );
            session.tell(LogLevel::Info, "flow-cut", &message, Some(element.span));
        }
        finding
    }
}

fn tell_oddities(result: &ResultShape<'_>, session: &mut Session<'_>, element: &Element<'_>) {
    element.tell_wrong(
        session,
        &[
            ("ruleId", result.rule_id.is_wrong()),
            ("ruleIndex", result.rule_index.is_wrong()),
            ("level", result.level.is_wrong()),
            ("message", result.message.is_wrong()),
            ("locations", result.locations.is_wrong()),
            ("partialFingerprints", result.partial_fingerprints.is_wrong()),
            ("properties", result.properties.is_wrong()),
        ],
    );
    if result.locations.is_cut() {
        let message = format!(
            "{}: only the first {LIST_ENTRIES} places are kept",
            element.name()
        );
        session.tell(LogLevel::Info, "field-cut", &message, Some(element.span));
    }
}

/// A score beats a level; a missing level is the rule's, then the standard's default.
fn severity(
    result: &ResultShape<'_>,
    rule: Option<&Rule>,
    session: &mut Session<'_>,
    element: &Element<'_>,
) -> (Severity, Option<String>) {
    let own_score = result.properties.object().and_then(Properties::score);
    let score = own_score.or_else(|| rule?.security_severity);
    if let Some((score, severity)) = score.and_then(|score| Some((score, vocabulary::score_severity(score)?)))
    {
        return (severity, Some(score.to_string()));
    }
    let level = match (result.level.text(), result.kind.text()) {
        ("", "" | "fail") => rule
            .map(|rule| rule.level.as_str())
            .filter(|level| !level.is_empty()),
        ("", _) => Some("none"),
        (level, _) => Some(level),
    };
    // Nobody said it, so there is no raw word: SARIF 2.1.0, 3.27.10, makes it a warning.
    let Some(level) = level else {
        return (Severity::Medium, None);
    };
    let severity = vocabulary::SARIF.get(level).unwrap_or_else(|| {
        let message = format!(
            "{} has the unknown level `{level}`; it is taken as info",
            element.name()
        );
        session.tell(LogLevel::Warn, "severity-unknown", &message, Some(element.span));
        Severity::Info
    });
    (severity, Some(level.to_owned()))
}

/// What silences the result, and what was only asked for or refused, which silences nothing (SARIF 2.1.0,
/// 3.35.3).
pub(super) fn suppressed(mut finding: FindingBuilder, result: &ResultShape<'_>) -> FindingBuilder {
    let mut not_accepted = Vec::new();
    for entry in result.suppressions.objects() {
        let (kind, justification) = (own::suppression_kind(entry), entry.justification.text());
        match entry.status.text() {
            "" | "accepted" => finding = finding.suppression(kind, justification),
            status => not_accepted.push(json!({
                "kind": kind, "status": status, "justification": justification,
            })),
        }
    }
    if not_accepted.is_empty() {
        finding
    } else {
        finding.extra_json("suppressions-not-accepted", &json!(not_accepted).to_string())
    }
}

/// How to repair it: the result's fix and what it says, or the rule's help as far as it says more than the
/// message.
fn helped(
    finding: FindingBuilder,
    result: &ResultShape<'_>,
    rule: Option<&Rule>,
    message: &str,
) -> FindingBuilder {
    let fixes = || result.fixes.objects().iter();
    let replacement = fixes().map(Fix::replacement).find(|text| !text.is_empty());
    let finding = finding.fix(replacement.unwrap_or_default());
    let advice = fixes().map(Fix::advice).find(|text| !text.is_empty());
    let advice = advice.unwrap_or_default();
    let Some(rule) = rule else {
        return finding.remediation(advice);
    };
    let help = rule.help.trim();
    let help_start = help.lines().next().unwrap_or_default();
    let mut said = [message, &rule.short, &rule.full].into_iter();
    if said.any(|text| text.trim().starts_with(help_start)) {
        return finding.remediation(advice);
    }
    // Dockle's help is an address.
    if help.starts_with("https://") && !help.contains(char::is_whitespace) {
        return finding.remediation(advice).reference(help);
    }
    finding.remediation(if advice.is_empty() { help } else { advice })
}
