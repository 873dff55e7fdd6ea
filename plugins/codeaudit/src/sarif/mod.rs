//! SARIF 2.1.0 of any producer: `{"version", "runs": [{"tool": {…rules…}, "results": […]}]}`.
//!
//! A result often says nothing without its rule: semgrep and gitleaks leave `level` to the rule's
//! default. Yet semgrep, opengrep, ruff, kingfisher, hadolint and zizmor write the results first. A
//! stream cannot be read backwards, so at the first run of that kind the input is rewound and
//! surveyed: one quick walk that skips results and keeps every run's tool, rules, folders and file
//! table (its [`RunHead`]). Then the conversion starts over and passes over the runs that are done.
//! Memory holds the rules, bounded, and never the results.
//!
//! When the platform cannot rewind, results are read with what they carry, and a diagnostic says so.
//!
//! Not here: SARIF 1.0, and results that lie in external property files (told, not fetched).

mod beginning;
mod extras;
mod head;
mod message;
mod own;
mod places;
mod region;
mod result;
mod rules;
mod shapes;

use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::LogLevel;

use crate::formats::Sources;
use head::{RunHead, TextBudget};
use result::ResultReader;
use shapes::{ExternalFiles, Invocation, ResultShape};
use tamiz_sdk::report as record;
use tamiz_sdk::report::{Notes, Session, Stop};

/// The format's name.
pub(crate) const FORMAT: &str = "sarif";

/// Runs that are looked at. Honest files have one to a few dozen.
const RUNS_MAX: usize = 1000;

/// What the walk has seen of a SARIF file.
#[derive(Default)]
pub(crate) struct SarifWalk {
    schema_names_sarif: bool,
    version_is_2: bool,
    runs_seen: bool,
    /// A run with a tool or results was seen.
    run_recognized: bool,
    /// Runs whose findings were emitted before a survey.
    runs_done: usize,
    survey_wanted: bool,
    surveyed: Option<Vec<RunHead>>,
    tool: Option<String>,
    tool_version: Option<String>,
    notes: Notes,
    /// Runs that do not show what their tool looked at, and those that do.
    runs_silent: usize,
    runs_evident: usize,
    /// The last run's, for results that stand outside of the runs.
    last_head: RunHead,
    inline_done: bool,
}

/// How a run's members are read.
struct Run<'walk> {
    index: usize,
    head: RunHead,
    /// The head is from a survey; its members are passed over.
    head_known: bool,
    tool_seen: bool,
    results_seen: bool,
    /// Its tool says that it went well.
    is_successful: bool,
    /// The input could not be rewound when it would have helped.
    rules_missing: bool,
    budget: &'walk mut TextBudget,
}

impl Run<'_> {
    /// Whether the run shows that its tool looked at something: its files, or the tool's word that all went well.
    /// Semgrep and its kin have that word also when there was no file for them.
    fn is_evident(&self) -> bool {
        let always_content = ["semgrep", "opengrep"].contains(&self.head.tool_name());
        self.results_seen && (self.head.knows_files() || self.is_successful && !always_content)
    }
}

impl SarifWalk {
    /// Whether this is a SARIF file, as far as it was read.
    pub(crate) fn is_recognized(&self) -> bool {
        self.runs_seen && (self.run_recognized || self.schema_names_sarif || self.version_is_2)
    }

    /// Whether a survey is what the walk was stopped for.
    pub(crate) fn wants_survey(&self) -> bool {
        self.survey_wanted
    }

    /// The first run's tool and version.
    pub(crate) fn tool(&self) -> (Option<String>, Option<String>) {
        (self.tool.clone(), self.tool_version.clone())
    }

    /// `$schema`, which names the format in its address.
    pub(crate) fn schema(&mut self, address: Option<String>) {
        self.schema_names_sarif |= address.is_some_and(|address| address.to_lowercase().contains("sarif"));
    }

    /// What the version, which may stand at the end, says about the format.
    pub(crate) fn recognize(&mut self, version: Option<&str>) -> Result<(), Stop> {
        let Some(version) = version.filter(|_| self.runs_seen) else {
            return Ok(());
        };
        self.version_is_2 = version.starts_with("2.");
        if self.version_is_2 {
            return Ok(());
        }
        Err(Stop::Unrecognized(format!(
            "its SARIF version is `{version}`, only 2.x is read"
        )))
    }

    /// Tells what waited for the end.
    pub(crate) fn end(&mut self, session: &mut Session<'_>) {
        if self.runs_evident > 0 && self.runs_silent == 0 {
            session.covered();
        }
        self.notes.tell(session);
    }

    /// Keeps every run's head. Whatever is wrong with the document will be found again by the walk.
    pub(crate) fn survey(self, reader: &mut JsonReader<'_>) -> Self {
        let mut heads = Vec::new();
        let mut budget = TextBudget::default();
        // An early end leaves what was seen until then.
        let _ = survey_runs(reader, &mut heads, &mut budget);
        Self {
            surveyed: Some(heads),
            survey_wanted: false,
            runs_done: self.runs_done,
            runs_silent: self.runs_silent,
            runs_evident: self.runs_evident,
            run_recognized: self.run_recognized,
            tool: self.tool,
            tool_version: self.tool_version,
            inline_done: self.inline_done,
            ..Self::default()
        }
    }

    /// `runs` is null: as the standard has it, the tool failed to find out what they are.
    pub(crate) fn no_runs(&mut self) {
        self.runs_seen = true;
        let message = || "the report's runs are null: it says nothing about the target".to_owned();
        self.notes.add_gap("nothing-scanned", message, None);
    }

    /// Results that a run refers to and that stand beside the runs. They are read with the rules of the
    /// last run in front of them.
    pub(crate) fn inline(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        if std::mem::replace(&mut self.inline_done, true) {
            reader.skip()?;
            return Ok(());
        }
        record::objects(
            reader,
            session,
            "inlineExternalProperties",
            |reader, session, name| {
                record::members(reader, session, |reader, session, key, kind| {
                    if (key, kind) != ("results", Kind::Array) {
                        return Ok(false);
                    }
                    let results = ResultReader::new(&self.last_head);
                    let mut sources = Sources::default();
                    record::each(reader, session, &format!("{name}.results"), |session, element| {
                        results.read(session, &element, &mut sources)
                    })?;
                    Ok(true)
                })
            },
        )
    }

    /// Converts all runs.
    pub(crate) fn runs(
        &mut self,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        version: Option<&str>,
    ) -> Result<(), Stop> {
        self.runs_seen = true;
        self.recognize(version)?;
        let mut budget = TextBudget::default();
        reader.enter_array()?;
        let mut index = 0;
        while reader.next_element()? {
            if index < self.runs_done || index >= RUNS_MAX || reader.kind()? != Kind::Object {
                let span = reader.skip()?;
                if index >= self.runs_done {
                    session.partial = true;
                    let message =
                        format!("runs[{index}] is no object, or one more than {RUNS_MAX}; it is passed over");
                    session.tell(LogLevel::Error, "run-unreadable", &message, Some(span));
                }
            } else {
                self.run(index, reader, session, &mut budget)?;
            }
            index += 1;
        }
        if index == 0 {
            let message = || "the report has no runs: it says nothing about the target".to_owned();
            self.notes.add(LogLevel::Warn, "nothing-scanned", message, None);
        }
        Ok(())
    }

    fn run(
        &mut self,
        index: usize,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
        budget: &mut TextBudget,
    ) -> Result<(), Stop> {
        let surveyed = self
            .surveyed
            .as_mut()
            .and_then(|heads| heads.get_mut(index))
            .map(std::mem::take);
        let head_known = surveyed.is_some();
        let head = surveyed.unwrap_or_default();
        let mut run = Run {
            index,
            head,
            head_known,
            tool_seen: head_known,
            results_seen: false,
            is_successful: false,
            rules_missing: false,
            budget,
        };
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            self.run_recognized |= matches!(key.as_str(), "tool" | "results");
            self.run_member(&key, &mut run, reader, session)?;
        }
        self.remember_tool(&run.head);
        if !run.results_seen {
            let message =
                format!("runs[{index}] has no results: the tool did not finish, or was not asked for any");
            session.tell(LogLevel::Warn, "results-absent", &message, None);
        }
        if run.head.cut {
            let message = format!("runs[{index}] has more rules than are kept; later ones are not looked up");
            session.tell(LogLevel::Warn, "rules-limit", &message, None);
        }
        if run.is_evident() {
            self.runs_evident += 1;
        } else {
            self.runs_silent += 1;
        }
        self.notes.tell(session);
        self.last_head = run.head;
        self.runs_done = index + 1;
        Ok(())
    }

    fn remember_tool(&mut self, head: &RunHead) {
        if self.tool.is_none() && !head.tool.is_empty() {
            self.tool = Some(head.tool.clone());
            self.tool_version.clone_from(&head.version);
        }
    }

    fn run_member(
        &mut self,
        key: &str,
        run: &mut Run<'_>,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        match (key, reader.kind()?) {
            ("results", Kind::Array) => {
                run.results_seen = true;
                self.results(run, reader, session)
            }
            // `null` says that the tool did not come so far; anything else hides what it should say.
            ("results", kind) if kind != Kind::Word => {
                run.results_seen = true;
                let start = reader.offset();
                reader.skip()?;
                let message = format!("runs[{}].results is {}, not an array", run.index, kind.noun());
                session.lose("record-unreadable", &message, record::span_since(reader, start));
                Ok(())
            }
            ("invocations", Kind::Array) => self.invocations(run, reader),
            ("externalPropertyFileReferences", Kind::Object) => {
                if record::small_object::<ExternalFiles>(reader)?.is_some_and(|files| files.names_results()) {
                    session.partial = true;
                    let message = format!(
                        "runs[{}] keeps results in other files, which are not read",
                        run.index
                    );
                    session.tell(LogLevel::Error, "results-elsewhere", &message, None);
                }
                Ok(())
            }
            (_, kind) => {
                run.tool_seen |= key == "tool";
                if run.head_known || !run.head.member(key, kind, reader, run.budget)? {
                    reader.skip()?;
                }
                Ok(())
            }
        }
    }

    fn results(
        &mut self,
        run: &mut Run<'_>,
        reader: &mut JsonReader<'_>,
        session: &mut Session<'_>,
    ) -> Result<(), Stop> {
        let needs_files = !run.head.knows_files() && names_files_by_number(reader.ahead(FIRST_RESULT_BYTES)?);
        if (!run.tool_seen || needs_files) && self.surveyed.is_none() {
            if reader.rewind().is_ok() {
                self.survey_wanted = true;
                return Err(Stop::Again);
            }
            run.rules_missing = !run.tool_seen;
            if needs_files {
                let message = format!(
                    "runs[{}] has its file table behind its results, and the input cannot be read twice: places \
                     that only it names are missing",
                    run.index
                );
                session.tell(LogLevel::Warn, "files-after-results", &message, None);
            }
        }
        if run.rules_missing {
            let message = format!(
                "runs[{}] has its rules behind its results, and the input cannot be read twice: severities and \
                 labels that only the rules give are missing",
                run.index
            );
            session.tell(LogLevel::Warn, "rules-after-results", &message, None);
        }
        self.remember_tool(&run.head);
        let array = format!("runs[{}].results", run.index);
        let results = ResultReader::new(&run.head);
        let mut sources = Sources::default();
        record::each(reader, session, &array, |session, element| {
            results.read(session, &element, &mut sources)
        })
    }

    /// What the tool says about its own run. Told when the run's end, or the report's, is reached.
    fn invocations(&mut self, of: &mut Run<'_>, reader: &mut JsonReader<'_>) -> Result<(), Stop> {
        let run = of.index;
        reader.enter_array()?;
        while reader.next_element()? {
            let start = reader.offset();
            let invocation = record::small_object::<Invocation>(reader)?;
            let at = Some(record::span_since(reader, start));
            let Some(invocation) = invocation else {
                let message = || format!("runs[{run}]: one of `invocations` could not be read");
                self.notes.add_gap("tool-error-unreadable", message, at);
                continue;
            };
            of.is_successful |= invocation.succeeded();
            if invocation.failed() {
                let message = || format!("runs[{run}]: the tool says that its run was not successful");
                self.notes.add_gap("tool-failed", message, at);
            }
            for notification in invocation.gaps() {
                self.notes.add_gap("tool-error", || notification.describe(), at);
            }
            for notification in invocation.warnings() {
                self.notes
                    .add(LogLevel::Warn, "tool-error", || notification.describe(), at);
            }
        }
        Ok(())
    }
}

/// How far into the results is looked for the first one.
const FIRST_RESULT_BYTES: usize = 64 * 1024;

/// Whether the first of the results that come next names its file only by its number in the file
/// table, which may stand behind them.
fn names_files_by_number(ahead: &[u8]) -> bool {
    let Some(list) = ahead.trim_ascii_start().strip_prefix(b"[") else {
        return false;
    };
    let mut results = serde_json::Deserializer::from_slice(list).into_iter::<ResultShape<'_>>();
    let Some(Ok(result)) = results.next() else {
        return false;
    };
    let places = result.locations.objects().iter();
    let mut files = places.filter_map(|place| place.physical.object()?.artifact_location.object());
    files.any(|file| file.uri.text().is_empty() && file.index.get().is_some())
}

fn survey_runs(
    reader: &mut JsonReader<'_>,
    heads: &mut Vec<RunHead>,
    budget: &mut TextBudget,
) -> Result<(), Stop> {
    reader.enter_object()?;
    while let Some(key) = reader.next_key()? {
        if key != "runs" || reader.kind()? != Kind::Array {
            reader.skip()?;
            continue;
        }
        reader.enter_array()?;
        while reader.next_element()? {
            // One head per run, in order, whatever the run is: the walk counts the same way.
            heads.push(RunHead::default());
            if reader.kind()? != Kind::Object || heads.len() > RUNS_MAX {
                reader.skip()?;
                continue;
            }
            reader.enter_object()?;
            while let Some(key) = reader.next_key()? {
                let kind = reader.kind()?;
                let known = match heads.last_mut() {
                    Some(head) => head.member(&key, kind, reader, budget)?,
                    None => false,
                };
                if !known {
                    reader.skip()?;
                }
            }
        }
    }
    Ok(())
}
