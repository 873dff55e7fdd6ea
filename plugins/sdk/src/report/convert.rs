//! From inputs to one outcome.

use super::format::{Format, Recognition, Source};
use super::head::{Head, Problem};
use super::options::Options;
use super::peek::PeekedInput;
use super::session::{Seen, Session, Stop};
use crate::host::{Host, Input};
use crate::json::JsonError;
use crate::model::{self, Completeness, ConvertError, LogLevel, Outcome};

/// What a plugin reads: the driver from inputs to one outcome; see [`crate::report`].
pub struct Converter {
    /// The plugin's name.
    pub plugin: &'static str,
    /// What would have been understood: the end of each message about what was not, such as
    /// `expected a report of bandit or gitleaks`.
    pub expected: &'static str,
    /// What it reads. The order decides between formats that are equally sure.
    pub formats: &'static [&'static dyn Format],
}

/// What a document turned out to be.
struct Report {
    format: &'static str,
    tool: Option<String>,
    tool_version: Option<String>,
    completeness: Completeness,
}

impl Converter {
    /// The formats as [`crate::Scanner::describe`] names them.
    pub fn formats(&self) -> Vec<model::Format> {
        let owned = |format: &&dyn Format| model::Format {
            name: format.name().to_owned(),
            tools: format.tools().iter().map(|&tool| tool.to_owned()).collect(),
        };
        self.formats.iter().map(owned).collect()
    }

    /// Converts reports: all that [`crate::Scanner::convert`] has to do.
    ///
    /// # Errors
    /// [`ConvertError`] when no input is of a known format, or when one breaks off in its envelope.
    pub fn convert(
        &self,
        mut inputs: Vec<Box<dyn Input>>,
        options: Options,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        let total = inputs
            .iter()
            .try_fold(0_u32, |sum, input| sum.checked_add(input.size()?));
        let mut session = Session::new(host, options, total);
        let mut whole: Option<Report> = None;
        let mut failure = None;
        for input in &mut inputs {
            match self.convert_input(input.as_mut(), &mut session) {
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

    fn convert_input(
        &self,
        input: &mut dyn Input,
        session: &mut Session<'_>,
    ) -> Result<Report, ConvertError> {
        let name = input.name();
        let mut peeked = PeekedInput::new(input);
        let mut head = Head::read(&mut peeked).map_err(|error| self.not_a_document(&name, &error))?;
        let mut choice = self.choice(&head);
        let weak = choice.is_none_or(|(sure, _)| sure == Recognition::Fallback);
        if weak && head.may_go_on() && peeked.rewind().is_ok() {
            head.read_on(&mut peeked);
            if peeked.rewind().is_err() {
                let message = format!("`{name}`: the platform read it once and would not again");
                return Err(ConvertError::Corrupt(message));
            }
            choice = self.choice(&head);
        }
        let Some((_, format)) = choice else {
            return Err(self.unrecognized(&name, &head));
        };
        session.seen = Seen {
            format: (!format.confirms()).then_some(format.name()),
            ..Seen::default()
        };
        let source = Source {
            input: &mut peeked,
            head: &head,
        };
        let stop = format.convert(source, session).err();
        session.input_done(peeked.taken());
        self.ending(&name, stop, session)
    }

    /// The format that is the surest, of equals the first.
    fn choice(&self, head: &Head) -> Option<(Recognition, &'static dyn Format)> {
        let mut best = None;
        for format in self.formats {
            let sure = format.recognise(head);
            if sure > best.map_or(Recognition::No, |(best, _)| best) {
                best = Some((sure, *format));
            }
        }
        best
    }

    /// What it means that the walk ended as it did.
    fn ending(
        &self,
        name: &str,
        stop: Option<Stop>,
        session: &mut Session<'_>,
    ) -> Result<Report, ConvertError> {
        let Seen {
            format,
            tool,
            tool_version,
        } = std::mem::take(&mut session.seen);
        let Some(format) = format else {
            let problem = match stop {
                Some(Stop::Unrecognized(problem) | Stop::Broken(problem)) => problem,
                Some(Stop::Ended(problem)) => {
                    let message = format!("`{name}`: {problem}, before its format could be told");
                    return Err(ConvertError::Corrupt(message));
                }
                Some(Stop::Refused(problem)) => {
                    return Err(ConvertError::Corrupt(format!("`{name}`: {problem}")));
                }
                None | Some(Stop::Full(_) | Stop::Again) => "nothing was understood".to_owned(),
            };
            return Err(self.no_report(name, &problem));
        };
        let before = session.records();
        let completeness = match stop {
            None | Some(Stop::Full(_) | Stop::Again) => Completeness::Complete,
            Some(Stop::Unrecognized(problem)) => {
                return Err(ConvertError::Unrecognized(format!("`{name}`: {problem}")));
            }
            Some(Stop::Ended(problem)) => {
                let message = format!("`{name}`: {problem}; {before} records were read before");
                session.tell(LogLevel::Error, "truncated", &message, None);
                Completeness::Truncated
            }
            Some(Stop::Broken(problem) | Stop::Refused(problem)) => {
                let message = format!("`{name}`: {problem}; {before} records were read before");
                session.tell(LogLevel::Error, "envelope-unreadable", &message, None);
                return Err(ConvertError::Corrupt(message));
            }
        };
        Ok(Report {
            format,
            tool,
            tool_version,
            completeness,
        })
    }

    /// No format took it.
    fn unrecognized(&self, name: &str, head: &Head) -> ConvertError {
        match head.problem() {
            Some(Problem::Ended(problem)) => ConvertError::Corrupt(format!(
                "`{name}`: {problem}, before its format could be told; {}",
                self.expected
            )),
            Some(Problem::Refused(problem)) => {
                ConvertError::Corrupt(format!("`{name}`: {problem}; {}", self.expected))
            }
            Some(Problem::Wrong(problem)) => {
                self.no_report(name, &format!("{}, and {problem}", head.describe()))
            }
            None => self.no_report(name, &head.describe()),
        }
    }

    fn no_report(&self, name: &str, problem: &str) -> ConvertError {
        ConvertError::Unrecognized(format!(
            "`{name}` is no report that {} reads: {problem}; {}",
            self.plugin, self.expected
        ))
    }

    /// Nothing in it can be walked.
    fn not_a_document(&self, name: &str, error: &JsonError) -> ConvertError {
        let expected = self.expected;
        match error {
            JsonError::Empty { .. } => ConvertError::Corrupt(format!(
                "`{name}`: {error}; a report without findings has content, so the tool did not finish or wrote elsewhere; \
                 {expected}"
            )),
            JsonError::Foreign { what } => ConvertError::Unrecognized(format!(
                "`{name}` is {what}, no report that {} reads; {expected}",
                self.plugin
            )),
            JsonError::Encoding { .. } => ConvertError::Corrupt(format!("`{name}`: {error}; {expected}")),
            JsonError::Io { .. } => ConvertError::Corrupt(format!("`{name}`: {error}")),
            _ => ConvertError::Unrecognized(format!("`{name}`: {error}")),
        }
    }
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
    if let Err(reason) = flushed {
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
        records: session.records(),
        findings,
        skipped: session.skipped() + refused,
    }
}
