//! Semgrep's JSON, which opengrep writes too: `{"version", "results": […], "errors": […], "paths"}`.
//!
//! The report does not name its tool. Both write the same records; what tells them apart, if
//! anything, are keys that stand behind the results.
//!
//! What the tool left out is in [`reach`].

mod dependency;
mod metadata;
mod reach;

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Boxed, Field, Object, Text, Whole};
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::limits::{EXTRA_BYTES, WORD_BYTES};
use tamiz_sdk::model::{LogLevel, Position, position};

use crate::formats::{Region, Sources};
use crate::vocabulary::{self, unless_placeholder};
use dependency::Dependency;
use metadata::{RuleTexts, RuleWords};
use reach::Reach;
use tamiz_sdk::report::path;
use tamiz_sdk::report::{self as record, Element};
use tamiz_sdk::report::{Session, Stop};

/// The format's name.
pub(crate) const FORMAT: &str = "semgrep-json";

/// How far into the results is looked for what tells the tools apart.
const LOOK_AHEAD_BYTES: usize = 64 * 1024;

/// Where semgrep's registry says what a rule's full id is.
const REGISTRY_ADDRESS: &str = "https://semgrep.dev/r/";

/// What the walk has seen of a semgrep report.
#[derive(Default)]
pub(crate) struct SemgrepWalk {
    results_seen: bool,
    version_before_results: bool,
    reach: Reach,
    rules: RuleTexts,
    /// A record with a `check_id` was read.
    record_seen: bool,
    /// `results` is an empty list.
    results_empty: bool,
    surveyed: bool,
    /// The results were read before the walk started over.
    results_done: bool,
    /// Only semgrep writes `engine_requested`.
    engine_requested: bool,
    /// Opengrep writes it, and so did semgrep for some years, beside the other.
    interfile_languages: bool,
}

impl SemgrepWalk {
    /// Whether this is a semgrep report, as far as it was read.
    pub(crate) fn is_recognized(&self) -> bool {
        let envelope = self.version_before_results || self.reach.paths_seen();
        // Older ones write nothing but these two when they found nothing.
        let nothing = self.results_empty && self.reach.errors_seen();
        self.record_seen || (self.results_seen && envelope) || nothing
    }

    /// The tool's name.
    pub(crate) fn tool(&self) -> String {
        let opengrep = self.interfile_languages && !self.engine_requested;
        if opengrep { "opengrep" } else { "semgrep" }.to_owned()
    }

    /// Looks through the document for the keys that stand behind the results. Whatever is wrong with
    /// it will be found again by the walk.
    pub(crate) fn survey(self, reader: &mut JsonReader<'_>) -> Self {
        let mut walk = self.again();
        walk.surveyed = true;
        let mut look = || -> Result<(), Stop> {
            reader.enter_object()?;
            while let Some(key) = reader.next_key()? {
                walk.note_key(&key);
                reader.skip()?;
            }
            Ok(())
        };
        // An early end leaves what was seen until then.
        let _ = look();
        walk
    }

    /// The walk starts over; what was read of results stays read.
    pub(crate) fn again(self) -> Self {
        Self {
            results_done: self.results_seen,
            reach: Reach::default(),
            ..self
        }
    }

    /// Reads a member of the outermost object, if it is one that matters.
    pub(crate) fn member(
        &mut self,
        key: &str,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        version_seen: bool,
    ) -> Result<bool, Stop> {
        self.note_key(key);
        match (key, reader.kind()?) {
            ("results", Kind::Array) if self.results_done => {
                reader.skip()?;
            }
            ("results", Kind::Array) => self.results(reader, session, version_seen)?,
            ("results", kind) => {
                return Err(Stop::Unrecognized(format!(
                    "`results` is {}, not an array",
                    kind.noun()
                )));
            }
            _ => return self.reach.member(key, reader),
        }
        Ok(true)
    }

    /// Tells what waited for the end.
    pub(crate) fn end(&mut self, session: &mut Session<'_>) {
        self.reach.tell(session);
    }

    fn note_key(&mut self, key: &str) {
        self.engine_requested |= key == "engine_requested";
        self.interfile_languages |= key == "interfile_languages_used";
    }

    fn results(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        version_seen: bool,
    ) -> Result<(), Stop> {
        if !self.surveyed && !self.engine_requested && may_be_opengrep(reader.ahead(LOOK_AHEAD_BYTES)?) {
            self.surveyed = true;
            if reader.rewind().is_ok() {
                return Err(Stop::Again);
            }
        }
        if std::mem::replace(&mut self.results_seen, true) {
            session.tell(
                LogLevel::Warn,
                "key-doubled",
                "`results` stands there twice; both are read",
                None,
            );
        }
        self.version_before_results |= version_seen;
        let tool = self.tool();
        let mut sources = Sources::default();
        let before = session.records();
        record::each(reader, session, "results", |session, element| {
            self.result(session, &element, &tool, &mut sources)
        })?;
        self.results_empty = session.records() == before;
        Ok(())
    }

    fn result(
        &mut self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        tool: &str,
        sources: &mut Sources,
    ) -> Result<(), Stop> {
        let mut repaired = Vec::new();
        let Some(record) = element.read_or_lose::<Record<'_>>(session, &mut repaired) else {
            return Ok(());
        };
        let metadata = record.extra.object().and_then(|extra| extra.metadata);
        let Self {
            rules, record_seen, ..
        } = self;
        let rule = match rules.read(metadata, session, element) {
            Ok(rule) => rule,
            Err(problem) => {
                let message = format!("{} could not be read: {problem}", element.name());
                session.lose("record-unreadable", &message, element.span);
                return Ok(());
            }
        };
        if record.check_id == Field::Absent && !*record_seen {
            return Err(Stop::Unrecognized(format!(
                "{} has no `check_id`",
                element.name()
            )));
        }
        if record.check_id.text().trim().is_empty() {
            let message = format!("{} names no rule in `check_id`", element.name());
            session.lose("record-without-rule", &message, element.span);
            return Ok(());
        }
        *record_seen = true;
        record.tell_oddities(session, element, rule);
        let finding = record.finding(session, element, tool, rule, sources);
        session.emit(finding, element)
    }
}

/// Open-source semgrep gives itself away by its placeholder. Without that it may be opengrep, which
/// says whether a result is ignored, or a semgrep that is logged in.
fn may_be_opengrep(ahead: &[u8]) -> bool {
    contains(ahead, b"\"is_ignored\"") && !contains(ahead, b"\"requires login\"")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    check_id: Text<'a>,
    #[serde(borrow, default)]
    path: Text<'a>,
    #[serde(default)]
    start: Field<Object<Place>>,
    #[serde(default)]
    end: Field<Object<Place>>,
    #[serde(borrow, default)]
    extra: Field<Boxed<Extra<'a>>>,
}

#[derive(Default, Deserialize)]
struct Place {
    #[serde(default)]
    line: Whole,
    #[serde(default)]
    col: Whole,
}

#[derive(Default, Deserialize)]
struct Extra<'a> {
    #[serde(borrow, default)]
    message: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    lines: Text<'a>,
    #[serde(borrow, default)]
    fingerprint: Text<'a>,
    #[serde(borrow, default)]
    fix: Text<'a>,
    #[serde(default)]
    is_ignored: Field<bool>,
    #[serde(borrow, default)]
    validation_state: Text<'a>,
    #[serde(borrow, default)]
    engine_kind: Text<'a>,
    #[serde(borrow, default)]
    dataflow_trace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sca_info: Field<Boxed<Dependency<'a>>>,
}

impl Record<'_> {
    fn tell_oddities(&self, session: &mut Session<'_>, element: &Element<'_>, rule: &RuleWords) {
        element.tell_wrong(
            session,
            &[
                ("check_id", self.check_id.is_wrong()),
                ("path", self.path.is_wrong()),
                ("start", self.start.is_wrong()),
                ("end", self.end.is_wrong()),
                ("extra", self.extra.is_wrong()),
            ],
        );
        if let Some(extra) = self.extra.object() {
            element.tell_wrong(
                session,
                &[
                    ("extra.message", extra.message.is_wrong()),
                    ("extra.severity", extra.severity.is_wrong()),
                    ("extra.metadata", rule.is_wrong),
                    ("extra.lines", extra.lines.is_wrong()),
                    ("extra.fingerprint", extra.fingerprint.is_wrong()),
                ],
            );
        }
        for (name, place) in [("start", &self.start), ("end", &self.end)] {
            if place
                .object()
                .is_some_and(|place| place.line != Field::Absent && place.position().is_none())
            {
                let message = format!(
                    "{}: `{name}.line` is no line number, it is left out",
                    element.name()
                );
                session.tell(LogLevel::Info, "line-out-of-range", &message, Some(element.span));
            }
        }
    }

    fn finding(
        &self,
        session: &mut Session<'_>,
        element: &Element<'_>,
        tool: &str,
        rule: &RuleWords,
        sources: &mut Sources,
    ) -> FindingBuilder {
        let no_extra = Extra::default();
        let extra = self.extra.object().unwrap_or(&no_extra);
        let check_id = self.check_id.text();
        let rule_id = rule_id(check_id, &rule.source);

        let mut finding = FindingBuilder::new(tool, rule_id)
            .message(extra.message.text())
            .fix(extra.fix.text())
            .tool_fingerprint(unless_placeholder(extra.fingerprint.text()));
        finding = self.place(finding, session, element, extra, sources);
        let raw_severity = extra.severity.get().map(AsRef::as_ref);
        finding = finding.severity(
            session.severity(&vocabulary::SEMGREP, raw_severity, element),
            raw_severity,
        );
        finding = finding.labels(&rule.labels);
        if rule_id != check_id {
            finding = finding.extra_text("check-id", check_id);
        }
        extra.rest(finding, rule)
    }

    fn place(
        &self,
        finding: FindingBuilder,
        session: &mut Session<'_>,
        element: &Element<'_>,
        extra: &Extra<'_>,
        sources: &mut Sources,
    ) -> FindingBuilder {
        let label = path::label(self.path.text(), session.root());
        if label.path.is_empty() {
            let message = format!("{} names no file", element.name());
            session.tell(LogLevel::Info, "place-missing", &message, Some(element.span));
            return finding;
        }
        let (start, end) = (self.start.object(), self.end.object());
        let quoted = unless_placeholder(extra.lines.text());
        let line = |place: Option<&Place>| place.and_then(|place| place.line.get().copied());
        let region = Region {
            line: line(start),
            end_line: line(end),
            ..Region::default()
        };
        let finding = sources.context(finding, session, &label.path, &region);
        let from_source = if quoted.is_empty() {
            sources.lines(session, &label.path, &region)
        } else {
            String::new()
        };
        let snippet = if quoted.is_empty() { &from_source } else { quoted };
        let place = (start.and_then(Place::position), end.and_then(Place::position));
        let finding = finding.file(&label.path, place.0, place.1, snippet);
        if label.changed {
            finding.extra_text("path", self.path.text())
        } else {
            finding
        }
    }
}

impl Place {
    fn position(&self) -> Option<Position> {
        position(self.line.get().copied(), self.col.get().copied())
    }
}

impl Extra<'_> {
    /// What has no field of its own.
    fn rest(&self, mut finding: FindingBuilder, rule: &RuleWords) -> FindingBuilder {
        let words = [
            ("impact", rule.impact.as_str()),
            ("likelihood", rule.likelihood.as_str()),
            ("engine-kind", self.engine_kind.text()),
            ("validation-state", self.validation_state.text()),
        ];
        for (key, word) in words {
            if !word.is_empty() && word != "NO_VALIDATOR" && word.len() <= WORD_BYTES {
                finding = finding.extra_text(key, word);
            }
        }
        if let Some(dependency) = self.sca_info.object() {
            finding = dependency.put(finding);
        }
        if self.is_ignored.get() == Some(&true) {
            // a comment with `nosem`
            finding = finding.suppression("inSource", "");
        }
        // A trace that is too long is left out without a word: the place it leads to is there.
        match self.dataflow_trace {
            Some(trace) if trace.get().len() <= EXTRA_BYTES => {
                finding.extra_json("dataflow-trace", trace.get())
            }
            _ => finding,
        }
    }
}

/// The rule's id without the folder that its rules file lay in.
///
/// Semgrep puts that folder, dotted, in front of every id, so that the same rule has another id
/// wherever the rules are put. Only the last part is the rule's own, unless it came from semgrep's
/// registry: there the dotted id is the real one, and the metadata's `source` tells it.
pub(crate) fn rule_id<'id>(check_id: &'id str, source: &'id str) -> &'id str {
    if let Some(registered) = source.strip_prefix(REGISTRY_ADDRESS)
        && check_id.ends_with(registered)
        && !registered.is_empty()
    {
        return registered;
    }
    match check_id.rsplit_once('.') {
        Some((_, last)) if !last.is_empty() => last,
        _ => check_id,
    }
}

#[cfg(test)]
mod tests {
    use super::rule_id;

    #[test]
    fn the_rules_folder_is_no_part_of_a_rules_id() {
        for (check_id, source, expected) in [
            ("out.tamiz-x", "", "tamiz-x"),
            ("tmp.ab12.rules.tamiz-x", "", "tamiz-x"),
            ("demo-rule", "", "demo-rule"),
            ("'; DROP TABLE findings; --", "", "'; DROP TABLE findings; --"),
            ("odd.", "", "odd."),
            (
                "python.lang.security.audit.exec.exec",
                "https://semgrep.dev/r/python.lang.security.audit.exec.exec",
                "python.lang.security.audit.exec.exec",
            ),
            ("python.exec", "https://semgrep.dev/r/another.rule", "exec"),
        ] {
            assert_eq!(rule_id(check_id, source), expected);
        }
    }
}
