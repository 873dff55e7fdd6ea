//! From inputs to one outcome.

use super::format::{Format, Recognition, Source};
use super::head::{Head, Problem};
use super::options::Options;
use super::peek::PeekedInput;
use super::session::{Seen, Session, Stop};
use crate::host::{Host, Input};
use crate::json::JsonError;
use crate::model::{self, Completeness, ConvertError, LogLevel, Outcome};

/// Why an input gives no report.
enum Failure {
    Unrecognized(String),
    Corrupt(Break),
}

/// An input that breaks off in its envelope.
struct Break {
    message: String,
    /// Empty before it could be told.
    format: &'static str,
    tool: Option<String>,
    tool_version: Option<String>,
}

impl Failure {
    /// Before anything of the report was known.
    fn corrupt(message: String) -> Self {
        Self::Corrupt(Break {
            message,
            format: "",
            tool: None,
            tool_version: None,
        })
    }
}

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
    covered: bool,
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
        for (index, input) in inputs.iter_mut().enumerate() {
            session.input = index as u32;
            match self.convert_input(input.as_mut(), &mut session) {
                Ok(report) => whole = Some(merge(whole, report)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let answer = match (whole, failure) {
            // Beside one that was understood, an input of no known format is something unreadable.
            (Some(report), Some(Failure::Unrecognized(problem))) => {
                session.unread("input-unrecognized", &problem, None);
                Ok(outcome(report, &mut session))
            }
            (_, Some(Failure::Unrecognized(problem))) => Err(ConvertError::Unrecognized(problem)),
            (_, Some(Failure::Corrupt(broken))) => Err(corrupt(broken, &mut session)),
            (Some(report), None) => Ok(outcome(report, &mut session)),
            (None, None) => Err(ConvertError::Unrecognized("no input was given".to_owned())),
        };
        session.finish();
        answer
    }

    fn convert_input(&self, input: &mut dyn Input, session: &mut Session<'_>) -> Result<Report, Failure> {
        let name = input.name();
        let mut peeked = PeekedInput::new(input);
        let mut head = Head::read(&mut peeked).map_err(|error| self.not_a_document(&name, &error))?;
        let mut choice = self.choice(&head);
        let weak = choice.is_none_or(|(sure, _)| sure == Recognition::Fallback);
        if weak && head.may_go_on() && peeked.rewind().is_ok() {
            head.read_on(&mut peeked);
            if peeked.rewind().is_err() {
                let message = format!("`{name}`: the platform read it once and would not again");
                return Err(Failure::corrupt(message));
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
    fn ending(&self, name: &str, stop: Option<Stop>, session: &mut Session<'_>) -> Result<Report, Failure> {
        let Seen {
            format,
            tool,
            tool_version,
            covered,
        } = std::mem::take(&mut session.seen);
        let Some(format) = format else {
            let problem = match stop {
                Some(Stop::Unrecognized(problem) | Stop::Broken(problem)) => problem,
                Some(Stop::Ended(problem)) => {
                    let message = format!("`{name}`: {problem}, before its format could be told");
                    return Err(Failure::corrupt(message));
                }
                Some(Stop::Refused(problem)) => {
                    return Err(Failure::corrupt(format!("`{name}`: {problem}")));
                }
                None | Some(Stop::Full(_) | Stop::Again) => "nothing was understood".to_owned(),
            };
            return Err(self.no_report(name, &problem));
        };
        let before = session.records();
        let completeness = match stop {
            None | Some(Stop::Full(_) | Stop::Again) => Completeness::Complete,
            Some(Stop::Unrecognized(problem)) => {
                return Err(Failure::Unrecognized(format!("`{name}`: {problem}")));
            }
            Some(Stop::Ended(problem)) => {
                let message = format!("`{name}`: {problem}; {before} records were read before");
                session.tell(LogLevel::Error, "truncated", &message, None);
                Completeness::Truncated
            }
            Some(Stop::Broken(problem) | Stop::Refused(problem)) => {
                let message = format!("`{name}`: {problem}; {before} records were read before");
                session.tell(LogLevel::Error, "envelope-unreadable", &message, None);
                return Err(Failure::Corrupt(Break {
                    message,
                    format,
                    tool,
                    tool_version,
                }));
            }
        };
        Ok(Report {
            format,
            tool,
            tool_version,
            completeness,
            covered: covered && completeness == Completeness::Complete,
        })
    }

    /// No format took it.
    fn unrecognized(&self, name: &str, head: &Head) -> Failure {
        match head.problem() {
            Some(Problem::Ended(problem)) => Failure::corrupt(format!(
                "`{name}`: {problem}, before its format could be told; {}",
                self.expected
            )),
            Some(Problem::Refused(problem)) => {
                Failure::corrupt(format!("`{name}`: {problem}; {}", self.expected))
            }
            Some(Problem::Wrong(problem)) => {
                self.no_report(name, &format!("{}, and {problem}", head.describe()))
            }
            None => self.no_report(name, &head.describe()),
        }
    }

    fn no_report(&self, name: &str, problem: &str) -> Failure {
        Failure::Unrecognized(format!(
            "`{name}` is no report that {} reads: {problem}; {}",
            self.plugin, self.expected
        ))
    }

    /// Nothing in it can be walked.
    fn not_a_document(&self, name: &str, error: &JsonError) -> Failure {
        let expected = self.expected;
        match error {
            JsonError::Empty { .. } => Failure::corrupt(format!(
                "`{name}`: {error}; a report without findings has content, so the tool did not finish or wrote elsewhere; \
                 {expected}"
            )),
            JsonError::Foreign { what } => Failure::Unrecognized(format!(
                "`{name}` is {what}, no report that {} reads; {expected}",
                self.plugin
            )),
            JsonError::Encoding { .. } => Failure::corrupt(format!("`{name}`: {error}; {expected}")),
            JsonError::Io { .. } => Failure::corrupt(format!("`{name}`: {error}")),
            _ => Failure::Unrecognized(format!("`{name}`: {error}")),
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
        covered: first.covered && second.covered,
        tool: first.tool.or(second.tool),
        ..first
    }
}

/// What was read before an envelope broke. Something of it is not there, so it is never `complete`.
fn corrupt(broken: Break, session: &mut Session<'_>) -> ConvertError {
    session.partial = true;
    let so_far = Report {
        format: broken.format,
        tool: broken.tool,
        tool_version: broken.tool_version,
        completeness: Completeness::Partial,
        covered: false,
    };
    ConvertError::corrupt(broken.message, outcome(so_far, session))
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
        coverage: session.coverage(report.covered),
        format: report.format.to_owned(),
        tool: report.tool,
        tool_version: report.tool_version,
        records: session.records(),
        findings,
        skipped: session.skipped() + refused,
    }
}
