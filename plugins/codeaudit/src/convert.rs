//! What codeaudit reads, and the walk that semgrep's JSON and SARIF share.
//!
//! Both are objects whose records stand in the middle, and what tells them apart may stand behind
//! these: they are recognised on the way. A document is walked once. Only when what its results need
//! stands behind them (SARIF as semgrep writes it has the rules last) is the input rewound, surveyed
//! for just that, and walked again; see [`crate::sarif`]. When the input cannot be rewound, results are
//! read with what they carry.

use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::model::{ConvertError, Outcome, ScanRequest};
use tamiz_sdk::report::{Converter, Format, Head, Recognition, Session, Source, Stop, small_text};
use tamiz_sdk::{Host, Input, clean_line};

use crate::formats::FORMATS;
use crate::options;
use crate::sarif::{self, SarifWalk};
use crate::semgrep::{self, SemgrepWalk};

/// What codeaudit reads.
pub(crate) const CONVERTER: Converter = Converter {
    plugin: "codeaudit",
    expected: "expected SARIF 2.1.0, semgrep's JSON, or a report of one of the tools that codeaudit lists",
    formats: FORMATS,
};

/// Content that a message quotes, in bytes.
const QUOTE_BYTES: usize = 40;

/// Converts reports; see [`tamiz_sdk::report`].
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when no input is of a known format, or when one
/// breaks off in its envelope.
pub fn convert(
    inputs: Vec<Box<dyn Input>>,
    request: &ScanRequest,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    let options = options::parse(&request.options).map_err(ConvertError::BadOptions)?;
    CONVERTER.convert(inputs, options, host)
}

/// SARIF 2.1.0 of any producer.
pub(crate) struct Sarif;

impl Format for Sarif {
    fn name(&self) -> &'static str {
        sarif::FORMAT
    }

    fn tools(&self) -> &'static [&'static str] {
        &["any producer of SARIF 2.1.0"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        if head.has("runs") {
            Recognition::Likely
        } else {
            Recognition::No
        }
    }

    fn confirms(&self) -> bool {
        true
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        walk(source, session)
    }
}

/// Semgrep's JSON, and whatever no other format takes: the walk says what it is instead.
pub(crate) struct Semgrep;

impl Format for Semgrep {
    fn name(&self) -> &'static str {
        semgrep::FORMAT
    }

    fn tools(&self) -> &'static [&'static str] {
        &["semgrep", "opengrep"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_semgrep = head.has("results[].check_id") || head.has_all(&["results", "paths"]);
        if is_semgrep {
            Recognition::Likely
        } else {
            Recognition::Fallback
        }
    }

    fn confirms(&self) -> bool {
        true
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        walk(source, session)
    }
}

/// The walk through one document's outermost object.
#[derive(Default)]
struct Walk {
    version: Option<String>,
    semgrep: SemgrepWalk,
    sarif: SarifWalk,
}

fn walk(source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
    let mut reader = source.json()?;
    let mut walk = Walk::default();
    let end = loop {
        match walk.document(&mut reader, session) {
            Err(Stop::Again) => walk = walk.survey(&mut reader)?,
            end => break end,
        }
    };
    if let Some(format) = walk.format() {
        walk.semgrep.end(session);
        walk.sarif.end(session);
        session.recognised(format);
        walk.tell_tool(format, session);
        return end;
    }
    end.and_then(|()| {
        let problem = "it has neither `results` of semgrep's form nor `runs`";
        Err(Stop::Unrecognized(problem.to_owned()))
    })
}

impl Walk {
    fn format(&self) -> Option<&'static str> {
        if self.sarif.is_recognized() {
            Some(sarif::FORMAT)
        } else {
            self.semgrep.is_recognized().then_some(semgrep::FORMAT)
        }
    }

    fn tell_tool(&self, format: &'static str, session: &mut Session<'_>) {
        if format != sarif::FORMAT {
            session.tool_is(&self.semgrep.tool(), self.version.as_deref());
        } else if let (Some(tool), version) = self.sarif.tool() {
            session.tool_is(&tool, version.as_deref());
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
                ("runs", Kind::Word) => {
                    self.sarif.no_runs();
                    reader.skip()?;
                }
                ("inlineExternalProperties", Kind::Array) => self.sarif.inline(reader, session)?,
                _ => {
                    if !self
                        .semgrep
                        .member(&key, reader, session, self.version.is_some())?
                    {
                        reader.skip()?;
                    }
                }
            }
            session.advance(reader.offset());
        }
        self.sarif.recognize(self.version.as_deref())?;
        reader.finish()?;
        Ok(())
    }

    /// Starts over after a survey of what asked for one. The other keeps what it knows, so that a document
    /// that is half of each is not surveyed in turns for ever.
    fn survey(self, reader: &mut JsonReader<'_>) -> Result<Self, Stop> {
        let is_sarif = self.sarif.wants_survey();
        let surveyed = Self {
            semgrep: if is_sarif {
                self.semgrep.again()
            } else {
                self.semgrep.survey(reader)
            },
            sarif: if is_sarif {
                self.sarif.survey(reader)
            } else {
                self.sarif
            },
            version: None,
        };
        reader.rewind()?;
        Ok(surveyed)
    }
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
