//! What a conversion keeps while it reads: the counts, the ways out, and what was refused.

use crate::host::Input;
use crate::json::JsonError;
use crate::limits::DIAGNOSTICS_PER_CODE;
use crate::model::{Coverage, Finding, IoError, LogLevel, Severity, Span};
use crate::report::{Options, Record};
use crate::vocabulary::SeverityTable;
use crate::{Diagnostics, Emitter, FindingBuilder, Host, Progress, redact};

/// Why the walk through a document ends before its end. `?` makes one of every reader's error.
#[derive(Debug)]
pub enum Stop {
    /// The input ends inside the document: what was read is kept, the answer is `truncated`.
    Ended(String),
    /// The envelope cannot be read on: what was emitted is kept, the answer is `corrupt`.
    Broken(String),
    /// The platform stopped the reading; the answer is `corrupt`.
    Refused(String),
    /// The platform takes no more findings; the answer is `partial`.
    Full(IoError),
    /// Not this format after all; the answer is `unrecognized`. Only before anything was emitted.
    Unrecognized(String),
    /// The format wants to walk the rewound input once more: its own business, never the driver's.
    Again,
}

impl From<JsonError> for Stop {
    fn from(error: JsonError) -> Self {
        let message = error.to_string();
        match error {
            JsonError::Ended { .. } => Self::Ended(message),
            JsonError::Io { .. } => Self::Refused(message),
            _ => Self::Broken(message),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(format!("the platform stopped the reading: {error}"))
    }
}

impl From<IoError> for Stop {
    fn from(error: IoError) -> Self {
        Self::Refused(format!("the platform stopped the reading: {error}"))
    }
}

/// One conversion, over all its inputs.
pub struct Session<'host> {
    emitter: Emitter<'host>,
    diagnostics: Diagnostics,
    progress: Progress,
    /// Bytes of the inputs that are done.
    bytes_done: u64,
    records: u32,
    skipped: u32,
    options: Options,
    /// What the input that is being read turned out to be.
    pub(super) seen: Seen,
    /// Which of the inputs is being read, from 0: the places of its records are in it.
    pub(super) input: u32,
    /// Whether something in the middle of the report was not readable: completeness `partial`.
    pub partial: bool,
    /// Whether the tool, by its own report, left something of the target out: coverage `partial`.
    has_gap: bool,
}

/// What is known about the document that is being read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) format: Option<&'static str>,
    pub(super) tool: Option<String>,
    pub(super) tool_version: Option<String>,
    /// It shows what its tool looked at.
    pub(super) covered: bool,
}

impl<'host> Session<'host> {
    /// Nothing is read yet; `total` is the bytes of all inputs, when known.
    pub fn new(host: &'host mut dyn Host, options: Options, total: Option<u32>) -> Self {
        Self {
            emitter: Emitter::new(host),
            diagnostics: Diagnostics::default(),
            progress: Progress::new(total),
            bytes_done: 0,
            records: 0,
            skipped: 0,
            options,
            seen: Seen::default(),
            input: 0,
            partial: false,
            has_gap: false,
        }
    }

    /// The task's options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The folder that the report's absolute paths start with: the option `root`.
    pub fn root(&self) -> Option<&str> {
        self.options.text("root")
    }

    /// Records seen so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Records without a finding so far.
    pub fn skipped(&self) -> u32 {
        self.skipped
    }

    /// The producing tool, lower case, and its version as the report tells; nothing overwrites nothing.
    pub fn tool_is(&mut self, tool: &str, version: Option<&str>) {
        self.seen.tool = Some(tool.to_owned());
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            self.seen.tool_version = Some(version.to_owned());
        }
    }

    /// What the report is about, if its findings' places do not say it, or if it has none: an image, a package, a host
    /// with its port, an address. Alerts of other targets are then nothing that this report can close. Told as the
    /// diagnostic `scan-target`, whose message is the name alone. Never the path of a file: it differs from machine to
    /// machine.
    pub fn target_is(&mut self, name: &str) {
        let name = name.trim();
        if name.is_empty() {
            return;
        }
        // of an address the origin is enough, and a password in it goes nowhere
        let origin = name.split_once("://").map(|(scheme, rest)| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}")
        });
        let target = origin.as_deref().unwrap_or(name);
        self.tell(LogLevel::Info, "scan-target", target, None);
    }

    /// For a format that [confirms](crate::report::Format::confirms) by itself: it is this one.
    pub fn recognised(&mut self, format: &'static str) {
        self.seen.format = Some(format);
    }

    /// Tells a diagnostic.
    pub fn tell(&mut self, level: LogLevel, code: &'static str, message: &str, at: Option<Span>) {
        let at = at.map(|span| self.here(span));
        self.diagnostics
            .tell(self.emitter.host(), level, code, message, at);
    }

    /// Tells something odd about a record that is kept: `results[3]: message`.
    pub fn note(&mut self, level: LogLevel, code: &'static str, record: &dyn Record, message: &str) {
        let message = format!("{}: {message}", record.name());
        self.tell(level, code, &message, Some(record.span()));
    }

    /// A place in the input that is being read: readers know offsets, and not which input is theirs.
    fn here(&self, span: Span) -> Span {
        Span {
            input: self.input,
            ..span
        }
    }

    /// Tells that the tool, by its own report, did not look at a part of the target: coverage `partial`.
    pub fn gap(&mut self, code: &'static str, message: &str, at: Option<Span>) {
        self.has_gap = true;
        self.tell(LogLevel::Warn, code, message, at);
    }

    /// The report shows that the tool looked at something, such as a list of the files that it scanned, and would
    /// say what it could not look at: coverage `whole`, unless something does speak of a gap. An empty report with
    /// it says that all is well; without it, an empty report says nothing.
    pub fn covered(&mut self) {
        self.seen.covered = true;
    }

    /// A record that is no finding but says that something was not looked at: as [`Session::gap`], with the
    /// record's name put in front and the record counted.
    pub fn gap_record(&mut self, code: &'static str, record: &dyn Record, why: &str) {
        self.records += 1;
        self.skipped += 1;
        let message = format!("{} {why}", record.name());
        self.gap(code, &message, Some(record.span()));
    }

    /// Tells that a part of the report that is no record could not be read: completeness `partial`.
    pub fn unread(&mut self, code: &'static str, message: &str, at: Option<Span>) {
        self.partial = true;
        self.tell(LogLevel::Warn, code, message, at);
    }

    /// Whether something is missing so far, in the report or in what its tool looked at.
    pub fn is_partial(&self) -> bool {
        self.partial || self.has_gap
    }

    /// A record became a finding. Once per record.
    ///
    /// # Errors
    /// [`Stop::Full`] once the platform takes no more.
    pub fn emit(&mut self, builder: FindingBuilder, record: &dyn Record) -> Result<(), Stop> {
        let (finding, cut): (Finding, Vec<&str>) = builder.origin(Some(self.here(record.span()))).build();
        for field in cut {
            let message = format!(
                "{}: `{field}` was cut, it is longer than the limit",
                record.name()
            );
            self.tell(LogLevel::Info, "field-cut", &message, Some(record.span()));
        }
        self.records += 1;
        self.emitter.emit(finding).map_err(Stop::Full)
    }

    /// A record could not become a finding, and something is lost by it. The message names the record.
    pub fn lose(&mut self, code: &'static str, message: &str, span: Span) {
        self.partial = true;
        self.records += 1;
        self.skipped += 1;
        self.tell(LogLevel::Warn, code, message, Some(span));
    }

    /// As [`Session::lose`], with the record's name put in front: `results[3] names no rule`.
    pub fn lose_record(&mut self, code: &'static str, record: &dyn Record, why: &str) {
        let message = format!("{} {why}", record.name());
        self.lose(code, &message, record.span());
    }

    /// A record is rightly no finding. The message names the record.
    pub fn leave_out(&mut self, code: &'static str, message: &str, span: Span) {
        self.records += 1;
        self.skipped += 1;
        self.tell(LogLevel::Info, code, message, Some(span));
    }

    /// As [`Session::leave_out`], with the record's name put in front.
    pub fn leave_out_record(&mut self, code: &'static str, record: &dyn Record, why: &str) {
        let message = format!("{} {why}", record.name());
        self.leave_out(code, &message, record.span());
    }

    /// Tells which fields of a record have another type than they should.
    pub fn tell_wrong(&mut self, record: &dyn Record, fields: &[(&str, bool)]) {
        for (field, _) in fields.iter().filter(|(_, is_wrong)| *is_wrong) {
            let message = format!("{}: `{field}` has another type than expected", record.name());
            self.tell(LogLevel::Warn, "field-unreadable", &message, Some(record.span()));
        }
    }

    /// A tool's word for a severity in the platform's; an unknown one, or none, is `info` and told.
    pub fn severity(&mut self, table: &SeverityTable, raw: Option<&str>, record: &dyn Record) -> Severity {
        if let Some(severity) = raw.and_then(|word| table.get(word)) {
            return severity;
        }
        let said = raw.map_or("has no severity".to_owned(), |word| {
            format!("has the unknown severity `{word}`")
        });
        let message = format!("{} {said}; it is taken as info", record.name());
        self.tell(LogLevel::Warn, "severity-unknown", &message, Some(record.span()));
        Severity::Info
    }

    /// Gives a finding about a secret its identity (a keyed hash, as `tool_fingerprint`) and the
    /// redacted value (as `extra.secret`). The raw value must go nowhere else: see
    /// [`crate::hide`] for messages and snippets that quote it.
    #[must_use]
    pub fn secret(&mut self, builder: FindingBuilder, value: &str) -> FindingBuilder {
        if value.is_empty() {
            return builder;
        }
        let identity = self.emitter.host().secret_identity(value.as_bytes());
        builder
            .category("secret")
            .tool_fingerprint(&identity)
            .extra_text("secret", &redact(value))
    }

    /// Opens a file of the scanned upload by its relative path; nothing when the platform has no tree
    /// or no such file.
    pub fn open_source(&mut self, path: &str) -> Option<Box<dyn Input>> {
        self.emitter.host().open_source(path)
    }

    /// The platform, for artifacts and the log.
    pub fn host(&mut self) -> &mut dyn Host {
        self.emitter.host()
    }

    /// Tells how far the reading of this input has come, now and then.
    pub fn advance(&mut self, offset: u64) {
        self.progress
            .advance(self.bytes_done + offset, self.emitter.host());
    }

    /// An input is done.
    pub(super) fn input_done(&mut self, bytes: u64) {
        self.bytes_done += bytes;
    }

    /// How much of the target was looked at; `covered` when every input said that it was everything.
    pub(super) fn coverage(&self, covered: bool) -> Coverage {
        match (self.has_gap, covered) {
            (true, _) => Coverage::Partial,
            (false, true) => Coverage::Whole,
            (false, false) => Coverage::Unknown,
        }
    }

    /// Hands over what is left.
    pub(super) fn flush(&mut self) -> Result<(), IoError> {
        self.emitter.flush()
    }

    /// Findings that the platform took, and those that it did not.
    pub(super) fn finding_counts(&self) -> (u32, u32) {
        (self.emitter.accepted(), self.emitter.refused())
    }

    /// The end: the counts of what was not told, and the last of the progress.
    pub(super) fn finish(mut self) {
        let host = self.emitter.host();
        self.diagnostics.finish(host);
        self.progress.finish(self.bytes_done, host);
    }
}

/// Diagnostics that wait until it is certain that they are to be told.
#[derive(Debug, Default)]
pub struct Notes {
    kept: Vec<Note>,
    /// Beyond those that are kept, by code.
    untold: Vec<(&'static str, u32)>,
    incomplete: bool,
}

#[derive(Debug)]
struct Note {
    level: LogLevel,
    code: &'static str,
    message: String,
    at: Option<Span>,
}

impl Notes {
    /// Keeps one, or counts it when as many of its code are kept as a session tells.
    pub fn add(
        &mut self,
        level: LogLevel,
        code: &'static str,
        message: impl FnOnce() -> String,
        at: Option<Span>,
    ) {
        let kept = self.kept.iter().filter(|note| note.code == code).count();
        if kept < DIAGNOSTICS_PER_CODE as usize {
            let message = message();
            self.kept.push(Note {
                level,
                code,
                message,
                at,
            });
            return;
        }
        match self.untold.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.untold.push((code, 1)),
        }
    }

    /// Keeps one that says that something of the target was not looked at: its silence is no news.
    pub fn add_gap(&mut self, code: &'static str, message: impl FnOnce() -> String, at: Option<Span>) {
        self.incomplete = true;
        self.add(LogLevel::Warn, code, message, at);
    }

    /// Tells them, once.
    pub fn tell(&mut self, session: &mut Session<'_>) {
        let notes = std::mem::take(self);
        session.has_gap |= notes.incomplete;
        for note in notes.kept {
            session.tell(note.level, note.code, &note.message, note.at);
        }
        for (code, count) in notes.untold {
            session.diagnostics.count_untold(code, count);
        }
    }
}
