//! Lines of `cargo clippy --message-format=json` into findings.
//!
//! Here is what is about the report as a whole; what one message becomes is in [`message`], and what each
//! field becomes stands in `../README.md`.

mod message;

use tamiz_sdk::json::{Line, each_line, repair};
use tamiz_sdk::model::{
    Completeness, ConvertError, Coverage, Description, Format, LogLevel, Outcome, PlanError, ScanRequest,
    Span, ToolRun,
};
use tamiz_sdk::{Diagnostics, Emitter, Host, Input, InputReader, Scanner};

use message::{CargoLine, Meaning};

/// What cargo says a line is about.
const REASONS: [&str; 5] = [
    "compiler-message",
    "compiler-artifact",
    "build-script-executed",
    "build-finished",
    "timing-info",
];

/// The plugin.
pub struct Clippy;

// The exports are a module of their own: hence `super`.
tamiz_sdk::export_scanner!(super::Clippy);

impl Scanner for Clippy {
    fn describe() -> Description {
        Description {
            name: "clippy-rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "codeaudit".to_owned(),
            formats: vec![Format {
                name: "clippy-json".to_owned(),
                tools: vec!["clippy".to_owned()],
            }],
            options_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
            capabilities: Vec::new(),
        }
    }

    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        let kind = &request.target_kind;
        Err(PlanError::Unsupported(format!(
            "clippy-rust only reads reports, it scans no target of kind `{kind}`"
        )))
    }

    fn convert(
        mut inputs: Vec<Box<dyn Input>>,
        _request: &ScanRequest,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        let mut report = Report::new(host);
        for (index, input) in inputs.iter_mut().enumerate() {
            report.read(index as u32, input.as_mut())?;
        }
        report.outcome()
    }
}

/// What one conversion has read so far.
struct Report<'host> {
    emitter: Emitter<'host>,
    diagnostics: Diagnostics,
    records: u32,
    skipped: u32,
    tool_version: Option<String>,
    completeness: Completeness,
    coverage: Coverage,
}

impl<'host> Report<'host> {
    fn new(host: &'host mut dyn Host) -> Self {
        Self {
            emitter: Emitter::new(host),
            diagnostics: Diagnostics::default(),
            records: 0,
            skipped: 0,
            tool_version: None,
            completeness: Completeness::Complete,
            coverage: Coverage::Unknown,
        }
    }

    fn read(&mut self, index: u32, input: &mut dyn Input) -> Result<(), ConvertError> {
        let name = input.name();
        let (mut recognised, mut success, mut cut_off) = (false, None, false);
        let read = each_line(&mut InputReader::new(input), |line| {
            let at = place_of(&line, index);
            let repaired;
            let mut parsed = serde_json::from_slice::<CargoLine<'_>>(line.bytes);
            // Half characters and wrong bytes: a record with them is still readable.
            if parsed.is_err()
                && let Some(bytes) = repair(line.bytes)
            {
                repaired = bytes;
                parsed = serde_json::from_slice(&repaired);
            }
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(error) if error.is_eof() && !has_its_end(&line) => {
                    cut_off = true;
                    return;
                }
                Err(_) => {
                    self.skip("cannot be read", at);
                    return;
                }
            };
            let reason = parsed.reason();
            recognised |= REASONS.contains(&reason);
            match reason {
                "compiler-message" => self.message(&parsed, at),
                "build-finished" => success = Some(parsed.is_success()),
                _ => {}
            }
        });
        if let Err(error) = read {
            return Err(ConvertError::corrupt(
                format!("`{name}`: {error}"),
                self.outcome()?,
            ));
        }
        if cut_off {
            self.truncate(&format!(
                "`{name}` ends too early; what stands before its end was read"
            ));
        }
        if !recognised {
            return Err(ConvertError::Unrecognized(format!(
                "`{name}` is no output of `cargo clippy --message-format=json`: no line of it has a `reason` \
                 that cargo knows"
            )));
        }
        match success {
            None => {
                self.truncate("the report has no `build-finished`: cargo was stopped, or the report is cut");
            }
            Some(true) => self.coverage = Coverage::Whole,
            Some(false) => {
                self.coverage = Coverage::Partial;
                let message = "the build failed: what needs a crate with errors was not looked at";
                self.tell(LogLevel::Warn, "build-failed", message, None);
            }
        }
        Ok(())
    }

    /// One message of the compiler; cargo's own summaries are left out.
    fn message(&mut self, line: &CargoLine<'_>, at: Span) {
        match line.meaning() {
            Meaning::Summary => {}
            Meaning::Nothing => self.skip("has no message", at),
            Meaning::Finding {
                finding,
                version,
                unknown_level,
            } => {
                self.records += 1;
                if let Some(level) = unknown_level {
                    let message = format!("the severity `{level}` is not known");
                    self.tell(LogLevel::Warn, "severity-unknown", &message, Some(at));
                }
                self.tool_version = self.tool_version.take().or(version);
                let (finding, _cut) = finding.origin(Some(at)).build();
                // A refusal is answered again by `flush`.
                let _ = self.emitter.emit(finding);
            }
        }
    }

    fn skip(&mut self, why: &str, at: Span) {
        self.records += 1;
        self.skipped += 1;
        let message = format!("record {} {why}", self.records);
        self.tell(LogLevel::Warn, "record-unreadable", &message, Some(at));
    }

    fn truncate(&mut self, message: &str) {
        self.completeness = Completeness::Truncated;
        self.tell(LogLevel::Warn, "truncated", message, None);
    }

    fn tell(&mut self, level: LogLevel, code: &'static str, message: &str, at: Option<Span>) {
        self.diagnostics
            .tell(self.emitter.host(), level, code, message, at);
    }

    fn outcome(&mut self) -> Result<Outcome, ConvertError> {
        let flushed = self.emitter.flush();
        let findings = self.emitter.accepted();
        std::mem::take(&mut self.diagnostics).finish(self.emitter.host());
        let completeness = match self.completeness {
            Completeness::Complete if self.skipped > 0 => Completeness::Partial,
            other => other,
        };
        let outcome = Outcome {
            completeness,
            coverage: self.coverage,
            format: "clippy-json".to_owned(),
            tool: Some("clippy".to_owned()),
            tool_version: self.tool_version.clone(),
            records: findings + self.skipped,
            findings,
            skipped: self.skipped,
        };
        match flushed {
            Ok(()) => Ok(outcome),
            Err(error) => Err(ConvertError::corrupt(
                format!("findings were refused: {error}"),
                outcome,
            )),
        }
    }
}

/// Where the line's record stands, without the blanks around it.
fn place_of(line: &Line<'_>, input: u32) -> Span {
    let blanks = line.bytes.len() - line.bytes.trim_ascii_start().len();
    Span {
        input,
        offset: line.span.offset.saturating_add(blanks as u32),
        length: (line.bytes.len() - blanks) as u32,
    }
}

/// Whether a line is whole, so that what is wrong with it is not that it was cut off.
fn has_its_end(line: &Line<'_>) -> bool {
    line.bytes.len() < line.span.length as usize
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::Scanner;
    use tamiz_sdk::memory::{MemoryHost, MemoryInput};
    use tamiz_sdk::model::{Completeness, Coverage, ScanRequest, Severity};

    use super::Clippy;

    /// Natively, without the platform: quick to run while you write. `tamiz plugin test` runs all of `cases`.
    #[test]
    fn a_report_with_errors_is_whole_and_covers_a_part() {
        let report = include_bytes!("../../cases/lints.jsonl");
        let mut host = MemoryHost::default();
        let input = MemoryInput::new("lints.jsonl", &report[..]);
        let outcome = Clippy::convert(vec![Box::new(input)], &ScanRequest::report("{}"), &mut host);
        let outcome = outcome.expect("a report of clippy");
        assert_eq!(outcome.completeness, Completeness::Complete);
        assert_eq!(outcome.coverage, Coverage::Partial);
        assert_eq!((outcome.records, outcome.findings, outcome.skipped), (26, 26, 0));
        assert_eq!(outcome.tool_version.as_deref(), Some("1.95.0"));
        let errors = host
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::High);
        assert_eq!(errors.count(), 7);
    }
}
