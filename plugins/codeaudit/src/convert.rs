//! From inputs to one outcome: recognises each input's format by its content and lets the right
//! reader walk it.
//!
//! A document is walked once. Only when what its results need stands behind them (SARIF as semgrep
//! writes it has the rules last) is the input rewound, surveyed for just that, and walked again; see
//! [`crate::sarif`]. When the input cannot be rewound, results are read with what they carry.
//!
//! What the end of a reading means:
//! - nothing understood: `unrecognized`, or `corrupt` when it is no content or no UTF-8 at all;
//! - the input ends early: `truncated`, with what was readable;
//! - the envelope breaks: `corrupt`, and what was emitted before is kept;
//! - records were lost in the middle, or the report names something that its tool left out: `partial`.

use tamiz_sdk::json::{JsonError, JsonReader, Kind};
use tamiz_sdk::model::{Completeness, ConvertError, LogLevel, Outcome};
use tamiz_sdk::{Host, Input, clean_line};

use crate::options;
use crate::record::small_text;
use crate::sarif::{self, SarifWalk};
use crate::semgrep::{self, SemgrepWalk};
use crate::session::{Session, Stop};

/// What would have been understood: the end of each message about what was not.
const EXPECTED: &str = "expected a JSON object, either semgrep's with `results` or SARIF 2.1.0's with `runs`";

/// Content that a message quotes, in bytes.
const QUOTE_BYTES: usize = 40;

/// Converts reports; see the module's description.
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when no input is of a known format, or when one
/// breaks off in its envelope.
pub fn convert(
    mut inputs: Vec<Box<dyn Input>>,
    options: &str,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    let options = options::parse(options).map_err(ConvertError::BadOptions)?;
    let total = inputs
        .iter()
        .try_fold(0_u32, |sum, input| sum.checked_add(input.size()?));
    let mut session = Session::new(host, options, total);
    let mut whole: Option<Report> = None;
    let mut failure = None;
    for input in &mut inputs {
        match convert_input(input.as_mut(), &mut session) {
            Ok(report) => whole = Some(merge(whole, report)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let answer = match (whole, failure) {
        // Beside one that was understood, an input of no known format is something unreadable.
        (Some(report), Some(ConvertError::Unrecognized(problem))) => {
            session.tell(LogLevel::Warn, "input-unrecognized", &problem, None);
            session.partial = true;
            Ok(report)
        }
        (_, Some(error)) => Err(error),
        (Some(report), None) => Ok(report),
        (None, None) => Err(ConvertError::Unrecognized("no input was given".to_owned())),
    };
    let answer = answer.map(|report| outcome(report, &mut session));
    session.finish();
    answer
}

/// What a document turned out to be.
pub(crate) struct Report {
    format: &'static str,
    tool: Option<String>,
    tool_version: Option<String>,
    completeness: Completeness,
}

fn merge(first: Option<Report>, second: Report) -> Report {
    let Some(first) = first else { return second };
    let truncated = [first.completeness, second.completeness].contains(&Completeness::Truncated);
    let completeness = if truncated {
        Completeness::Truncated
    } else {
        first.completeness
    };
    Report {
        completeness,
        tool: first.tool.or(second.tool),
        ..first
    }
}

fn outcome(report: Report, session: &mut Session<'_>) -> Outcome {
    let flushed = session.flush();
    let (findings, refused) = session.finding_counts();
    if let Err(Stop::Full(reason)) = flushed {
        let message = format!(
            "the platform takes no more findings ({}): {findings} were kept, {refused} were read and refused, the \
             rest was not read",
            reason.name()
        );
        session.tell(LogLevel::Error, "findings-limit", &message, None);
        session.partial = true;
    }
    let completeness = match report.completeness {
        Completeness::Complete if session.partial => Completeness::Partial,
        other => other,
    };
    Outcome {
        completeness,
        format: report.format.to_owned(),
        tool: report.tool,
        tool_version: report.tool_version,
        records: session.records,
        findings,
        skipped: session.skipped + refused,
    }
}

/// The walk through one document's outermost object.
#[derive(Default)]
struct Walk {
    version: Option<String>,
    semgrep: SemgrepWalk,
    sarif: SarifWalk,
}

impl Walk {
    fn format(&self) -> Option<&'static str> {
        if self.sarif.is_recognized() {
            Some(sarif::FORMAT)
        } else {
            self.semgrep.is_recognized().then_some(semgrep::FORMAT)
        }
    }

    fn report(&self, format: &'static str, completeness: Completeness) -> Report {
        let (tool, tool_version) = match format {
            sarif::FORMAT => self.sarif.tool(),
            _ => (Some(self.semgrep.tool()), self.version.clone()),
        };
        Report {
            format,
            tool,
            tool_version,
            completeness,
        }
    }

    fn document(&mut self, reader: &mut JsonReader<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let start = reader.ahead(QUOTE_BYTES)?;
        if start.first() != Some(&b'{') {
            return Err(Stop::Unrecognized(beginning(start)));
        }
        reader.enter_object()?;
        while let Some(key) = reader.next_key()? {
            match (key.as_str(), reader.kind()?) {
                ("version", _) => self.version = small_text(reader)?,
                ("$schema", _) => self.sarif.schema(small_text(reader)?),
                ("runs", Kind::Array) => self.sarif.runs(reader, session, self.version.as_deref())?,
                _ => {
                    if !self
                        .semgrep
                        .member(&key, reader, session, self.version.is_some())?
                    {
                        reader.skip()?;
                    }
                }
            }
            session.advance(reader);
        }
        self.sarif.recognize(self.version.as_deref())?;
        reader.finish()?;
        Ok(())
    }

    /// Starts over after a survey; what was told and emitted stays told and emitted.
    fn survey(self, reader: &mut JsonReader<'_>) -> Result<Self, JsonError> {
        let surveyed = if self.sarif.wants_survey() {
            Self {
                sarif: self.sarif.survey(reader),
                ..Self::default()
            }
        } else {
            Self {
                semgrep: SemgrepWalk::survey(reader),
                ..Self::default()
            }
        };
        reader.rewind()?;
        Ok(surveyed)
    }
}

fn convert_input(input: &mut dyn Input, session: &mut Session<'_>) -> Result<Report, ConvertError> {
    let name = input.name();
    let mut reader = JsonReader::open(input).map_err(|error| not_a_document(&name, &error))?;
    let mut walk = Walk::default();
    let stop = loop {
        match walk.document(&mut reader, session) {
            Ok(()) => break None,
            Err(Stop::Survey) => match walk.survey(&mut reader) {
                Ok(surveyed) => walk = surveyed,
                Err(error) => return Err(ConvertError::Corrupt(format!("`{name}`: {error}"))),
            },
            Err(stop) => break Some(stop),
        }
    };
    if walk.format().is_some() {
        walk.semgrep.end(session);
        walk.sarif.end(session);
    }
    session.input_done(reader.offset());
    ending(&name, &walk, stop, session)
}

/// What it means that the walk ended as it did.
fn ending(
    name: &str,
    walk: &Walk,
    stop: Option<Stop>,
    session: &mut Session<'_>,
) -> Result<Report, ConvertError> {
    let Some(format) = walk.format() else {
        let problem = match stop {
            None => "it has neither `results` of semgrep's form nor `runs`".to_owned(),
            Some(Stop::Unrecognized(problem)) => problem,
            Some(Stop::Json(error @ JsonError::Ended { .. })) => {
                return Err(ConvertError::Corrupt(format!(
                    "`{name}`: {error}, before its format could be told"
                )));
            }
            Some(Stop::Json(error @ JsonError::Io { .. })) => {
                return Err(ConvertError::Corrupt(format!("`{name}`: {error}")));
            }
            Some(Stop::Json(error)) => error.to_string(),
            Some(Stop::Full(_) | Stop::Survey) => "nothing was understood".to_owned(),
        };
        return Err(ConvertError::Unrecognized(format!(
            "`{name}` is no report that codeaudit reads: {problem}; {EXPECTED}"
        )));
    };
    let completeness = match stop {
        None | Some(Stop::Full(_) | Stop::Survey) => Completeness::Complete,
        Some(Stop::Unrecognized(problem)) => {
            return Err(ConvertError::Unrecognized(format!("`{name}`: {problem}")));
        }
        Some(Stop::Json(error @ JsonError::Ended { .. })) => {
            let message = format!("`{name}`: {error}; {} records were read before", session.records);
            session.tell(LogLevel::Error, "truncated", &message, None);
            Completeness::Truncated
        }
        Some(Stop::Json(error)) => {
            let message = format!("`{name}`: {error}; {} records were read before", session.records);
            session.tell(LogLevel::Error, "envelope-unreadable", &message, None);
            return Err(ConvertError::Corrupt(message));
        }
    };
    Ok(walk.report(format, completeness))
}

/// What a document is that is no object.
fn beginning(start: &[u8]) -> String {
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        // The look ahead may end inside a character.
        Err(error) => str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default(),
    };
    let line = clean_line(text.lines().next().unwrap_or_default(), QUOTE_BYTES).text;
    match start.first() {
        Some(b'[') => "it is an array, not an object".to_owned(),
        Some(b'<') => format!("it is XML or HTML, starting with `{line}`"),
        _ if line.is_empty() || text.contains('\0') => "it is binary data".to_owned(),
        _ => format!("it starts with `{line}`, not with an object"),
    }
}

/// Nothing in it can be walked.
fn not_a_document(name: &str, error: &JsonError) -> ConvertError {
    match error {
        JsonError::Empty { .. } => ConvertError::Corrupt(format!(
            "`{name}`: {error}; a report without findings has content, so the tool did not finish or wrote elsewhere; \
             {EXPECTED}"
        )),
        JsonError::Foreign { what } => ConvertError::Unrecognized(format!(
            "`{name}` is {what}, no report that codeaudit reads; {EXPECTED}"
        )),
        JsonError::Encoding { .. } => ConvertError::Corrupt(format!("`{name}`: {error}; {EXPECTED}")),
        JsonError::Io { .. } => ConvertError::Corrupt(format!("`{name}`: {error}")),
        _ => ConvertError::Unrecognized(format!("`{name}`: {error}")),
    }
}
