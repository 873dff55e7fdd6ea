//! What a conversion keeps while it reads: the counts, the ways out, and what was refused.

use tamiz_sdk::json::{JsonError, JsonReader};
use tamiz_sdk::limits::DIAGNOSTICS_PER_CODE;
use tamiz_sdk::model::{Finding, IoError, LogLevel, Span};
use tamiz_sdk::{Diagnostics, Emitter, FindingBuilder, Host, Progress};

use crate::options::Options;
use crate::record::Element;

/// Why the walk through a document ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The document cannot be read on.
    Json(JsonError),
    /// The platform takes no more findings.
    Full(IoError),
    /// What the results need stands behind them; the input is rewound and ready to be surveyed.
    Survey,
    /// Not one of this plugin's formats after all.
    Unrecognized(String),
}

impl From<JsonError> for Stop {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// One conversion, over all its inputs.
pub(crate) struct Session<'host> {
    emitter: Emitter<'host>,
    diagnostics: Diagnostics,
    progress: Progress,
    /// Bytes of the inputs that are done.
    bytes_done: u64,
    /// Records seen.
    pub(crate) records: u32,
    /// Records without a finding.
    pub(crate) skipped: u32,
    /// Whether something in the middle was not readable, or the tool left something out.
    pub(crate) partial: bool,
    /// As the task says.
    pub(crate) options: Options,
}

impl<'host> Session<'host> {
    pub(crate) fn new(host: &'host mut dyn Host, options: Options, total: Option<u32>) -> Self {
        Self {
            emitter: Emitter::new(host),
            diagnostics: Diagnostics::default(),
            progress: Progress::new(total),
            bytes_done: 0,
            records: 0,
            skipped: 0,
            partial: false,
            options,
        }
    }

    /// Tells a diagnostic.
    pub(crate) fn tell(&mut self, level: LogLevel, code: &'static str, message: &str, at: Option<Span>) {
        self.diagnostics
            .tell(self.emitter.host(), level, code, message, at);
    }

    /// A record became a finding.
    pub(crate) fn emit(&mut self, builder: FindingBuilder, element: &Element<'_>) -> Result<(), Stop> {
        let (finding, cut): (Finding, Vec<&str>) = builder.origin(Some(element.span)).build();
        for field in cut {
            let message = format!(
                "{}: `{field}` was cut, it is longer than the limit",
                element.name()
            );
            self.tell(LogLevel::Info, "field-cut", &message, Some(element.span));
        }
        self.records += 1;
        self.emitter.emit(finding).map_err(Stop::Full)
    }

    /// A record could not become a finding, and something is lost by it.
    pub(crate) fn lose(&mut self, code: &'static str, message: &str, span: Span) {
        self.partial = true;
        self.records += 1;
        self.skipped += 1;
        self.tell(LogLevel::Warn, code, message, Some(span));
    }

    /// A record is rightly no finding.
    pub(crate) fn leave_out(&mut self, code: &'static str, message: &str, span: Span) {
        self.records += 1;
        self.skipped += 1;
        self.tell(LogLevel::Info, code, message, Some(span));
    }

    /// Tells how far the reading has come, now and then.
    pub(crate) fn advance(&mut self, reader: &JsonReader<'_>) {
        self.progress
            .advance(self.bytes_done + reader.offset(), self.emitter.host());
    }

    /// An input is done.
    pub(crate) fn input_done(&mut self, bytes: u64) {
        self.bytes_done += bytes;
    }

    /// Hands over what is left.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.emitter.flush().map_err(Stop::Full)
    }

    /// Findings that the platform took, and those that it did not.
    pub(crate) fn finding_counts(&self) -> (u32, u32) {
        (self.emitter.accepted(), self.emitter.refused())
    }

    /// The end: the counts of what was not told, and the last of the progress.
    pub(crate) fn finish(mut self) {
        let host = self.emitter.host();
        self.diagnostics.finish(host);
        self.progress.finish(self.bytes_done, host);
    }
}

/// Diagnostics that wait until it is certain that they are to be told.
#[derive(Debug, Default)]
pub(crate) struct Notes {
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
    pub(crate) fn add(
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
    pub(crate) fn add_gap(&mut self, code: &'static str, message: impl FnOnce() -> String, at: Option<Span>) {
        self.incomplete = true;
        self.add(LogLevel::Warn, code, message, at);
    }

    /// Tells them, once.
    pub(crate) fn tell(&mut self, session: &mut Session<'_>) {
        let notes = std::mem::take(self);
        session.partial |= notes.incomplete;
        for note in notes.kept {
            session.tell(note.level, note.code, &note.message, note.at);
        }
        for (code, count) in notes.untold {
            session.diagnostics.count_untold(code, count);
        }
    }
}
