//! From inputs to one outcome: recognises each input by its content.
//!
//! What the end of a reading means:
//! - no capture at all, or one of a link type that does not exist: `unrecognized`;
//! - it ends or breaks before its first packet, except that a head alone is an empty capture: `corrupt`;
//! - it ends inside a later record: `truncated`, with the packets before;
//! - a later record contradicts itself, so that no further one can be found: `partial`, likewise.
//!
//! An outcome's `records` are the findings and the records that could not be read; packets are not
//! records of a report, and their number stands in the session (see [`crate::session`]).

use tamiz_sdk::model::{ArtifactMeta, Completeness, ConvertError, LogLevel, Outcome, Span};
use tamiz_sdk::{Diagnostics, Emitter, Host, Input, InputReader, Progress};

use crate::analysis::{Analysis, Ended};
use crate::capture::{Capture, Damage, MAGIC_BYTES, Oddities, Window};
use crate::options;
use crate::rules::TOOL;

/// What would have been understood: the end of each message about what was not.
const EXPECTED: &str = "expected a capture, pcap or pcapng";
/// Packets between two looks at the progress.
const PACKETS_PER_LOOK: u64 = 1024;

/// Converts captures; see the module's description.
///
/// # Errors
/// [`ConvertError`] when the options do not fit, when an input is no capture, or when one breaks off
/// before its first packet.
pub fn convert(
    mut inputs: Vec<Box<dyn Input>>,
    options: &str,
    host: &mut dyn Host,
) -> Result<Outcome, ConvertError> {
    options::parse(options).map_err(ConvertError::BadOptions)?;
    let total = inputs
        .iter()
        .try_fold(0_u32, |sum, input| sum.checked_add(input.size()?));
    let mut conversion = Conversion {
        emitter: Emitter::new(host),
        diagnostics: Diagnostics::default(),
        progress: Progress::new(total),
        bytes_done: 0,
        sessions: 0,
        skipped: 0,
        full: false,
    };
    let mut whole: Option<(&'static str, Completeness)> = None;
    let mut failure = None;
    for input in &mut inputs {
        match conversion.input(input.as_mut()) {
            Ok(read) => whole = Some(whole.map_or(read, |first| (first.0, worse(first.1, read.1)))),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let answer = match (whole, failure) {
        (Some((format, _)), Some(ConvertError::Unrecognized(problem))) => {
            conversion.tell(LogLevel::Warn, "input-unrecognized", &problem, None);
            Ok((format, Completeness::Partial))
        }
        (_, Some(error)) => Err(error),
        (Some(read), None) => Ok(read),
        (None, None) => Err(ConvertError::Unrecognized("no input was given".to_owned())),
    };
    let answer = answer.map(|(format, completeness)| conversion.outcome(format, completeness));
    conversion.finish();
    answer
}

fn worse(one: Completeness, other: Completeness) -> Completeness {
    match (one, other) {
        (Completeness::Truncated, _) | (_, Completeness::Truncated) => Completeness::Truncated,
        (Completeness::Partial, _) | (_, Completeness::Partial) => Completeness::Partial,
        _ => Completeness::Complete,
    }
}

struct Conversion<'host> {
    emitter: Emitter<'host>,
    diagnostics: Diagnostics,
    progress: Progress,
    bytes_done: u64,
    sessions: u32,
    skipped: u32,
    /// The platform takes no more findings.
    full: bool,
}

impl Conversion<'_> {
    fn tell(&mut self, level: LogLevel, code: &'static str, message: &str, at: Option<Span>) {
        self.diagnostics
            .tell(self.emitter.host(), level, code, message, at);
    }

    fn input(&mut self, input: &mut dyn Input) -> Result<(&'static str, Completeness), ConvertError> {
        let name = input.name();
        let mut window = Window::new(InputReader::new(input));
        let corrupt = |damage: &Damage| ConvertError::Corrupt(format!("`{name}`: {damage}; {EXPECTED}"));
        let whole = window.need(MAGIC_BYTES).map_err(|error| corrupt(&error.into()))?;
        if window.bytes().is_empty() {
            return Err(ConvertError::Corrupt(format!("`{name}` is empty; {EXPECTED}")));
        }
        if !whole || !Capture::recognizes(window.bytes()) {
            let what = foreign(window.bytes());
            return Err(ConvertError::Unrecognized(format!(
                "`{name}` is {what}; {EXPECTED}"
            )));
        }
        let mut capture = Capture::open(&mut window).map_err(|damage| corrupt(&damage))?;
        if let Capture::Pcap(reader) = &capture
            && !reader.link().is_assigned()
        {
            let message = format!("`{name}` has the unknown link type {}", reader.link().0);
            return Err(ConvertError::Unrecognized(message));
        }
        let mut analysis = Analysis::new();
        let damage = self.packets(&mut capture, &mut window, &mut analysis);
        let completeness = match damage {
            None => Completeness::Complete,
            Some(damage) => self.damaged(&name, &damage, &window, &analysis)?,
        };
        self.bytes_done += window.offset();
        let odd = self.oddities(&name, capture.oddities());
        let undecoded = self.undecoded(&name, &analysis);
        let completeness = if odd || undecoded {
            worse(completeness, Completeness::Partial)
        } else {
            completeness
        };
        self.end(&name, capture.format(), completeness, analysis.finish());
        Ok((capture.format(), completeness))
    }

    /// Reads packets until the end or damage.
    fn packets(
        &mut self,
        capture: &mut Capture,
        window: &mut Window<'_>,
        analysis: &mut Analysis,
    ) -> Option<Damage> {
        loop {
            let record = match capture.next(window) {
                Ok(Some(record)) => record,
                Ok(None) => return None,
                Err(damage) => return Some(damage),
            };
            let data = window
                .bytes()
                .get(record.data_start..record.data_start + record.data_bytes);
            analysis.packet(&record, data.unwrap_or_default());
            window.consume(record.whole_bytes);
            if analysis.packets().is_multiple_of(PACKETS_PER_LOOK) {
                self.emit(analysis.take_full());
                self.progress
                    .advance(self.bytes_done + window.offset(), self.emitter.host());
            }
        }
    }

    /// What the damage means: the packets before it are kept, if there are any.
    fn damaged(
        &mut self,
        name: &str,
        damage: &Damage,
        window: &Window<'_>,
        analysis: &Analysis,
    ) -> Result<Completeness, ConvertError> {
        let packets = analysis.packets();
        let offset = window.offset();
        if packets == 0 {
            let message = format!("`{name}`: {damage}, at byte {offset}, before its first packet");
            return Err(ConvertError::Corrupt(message));
        }
        let message = format!(
            "`{name}`: damaged at packet {}, byte {offset}: {damage}; {packets} packets were read before",
            packets + 1
        );
        self.skipped += 1;
        let at = u32::try_from(offset)
            .ok()
            .map(|offset| Span { offset, length: 0 });
        let (code, completeness) = match damage {
            Damage::CutShort(_) => ("truncated", Completeness::Truncated),
            Damage::Broken(_) | Damage::Io(_) => ("record-unreadable", Completeness::Partial),
        };
        self.tell(LogLevel::Error, code, &message, at);
        Ok(completeness)
    }

    /// Tells what was put right; none of it lost a packet.
    fn oddities(&mut self, name: &str, oddities: &Oddities) -> bool {
        let counted = [
            (
                oddities.times_clamped,
                "time-clamped",
                "times that do not exist were clamped",
            ),
            (
                oddities.over_snap_length,
                "over-snap-length",
                "packets are longer than the capture's own limit",
            ),
            (
                oddities.over_original,
                "over-original-length",
                "packets have more captured bytes than they had on the wire",
            ),
        ];
        for (count, code, what) in counted {
            if count > 0 {
                self.tell(LogLevel::Info, code, &format!("`{name}`: {count} {what}"), None);
            }
        }
        if let Some((major, minor)) = oddities.version {
            let message =
                format!("`{name}` claims version {major}.{minor} of the format; it was read as 2.4");
            self.tell(LogLevel::Warn, "version-unknown", &message, None);
        }
        false
    }

    /// Tells which packets were counted and not taken apart.
    fn undecoded(&mut self, name: &str, analysis: &Analysis) -> bool {
        let undecoded = analysis.undecoded();
        for (link, count) in &undecoded {
            let message =
                format!("`{name}`: {count} packets of link type {link} were counted and not looked into");
            self.tell(LogLevel::Warn, "link-type-not-decoded", &message, None);
        }
        !undecoded.is_empty()
    }

    fn end(&mut self, name: &str, format: &'static str, completeness: Completeness, ended: Ended) {
        if ended.malformed > 0 {
            let message = format!(
                "`{name}`: {} packets have a header that is cut short or lies about its length; what was readable of \
                 them was read",
                ended.malformed
            );
            self.tell(LogLevel::Info, "packet-malformed", &message, None);
        }
        for (code, message) in &ended.bounds {
            self.tell(LogLevel::Warn, code, &format!("`{name}`: {message}"), None);
        }
        self.emit(ended.findings);
        let mut session = ended.session;
        session.capture = tamiz_sdk::clean_line(name, tamiz_sdk::limits::PATH_BYTES).text;
        session.format = format;
        session.completeness = match completeness {
            Completeness::Complete => "complete",
            Completeness::Truncated => "truncated",
            Completeness::Partial => "partial",
        };
        self.sessions += 1;
        let meta = ArtifactMeta {
            name: match self.sessions {
                1 => "pcap-session.json".to_owned(),
                number => format!("pcap-session-{number}.json"),
            },
            media_type: "application/json".to_owned(),
            kind: "pcap-session".to_owned(),
        };
        let json = serde_json::to_vec(&session).unwrap_or_default();
        let mut artifact = self.emitter.host().artifact(&meta);
        let kept = artifact.write(&json).and_then(|()| artifact.finish().map(drop));
        if let Err(error) = kept {
            let message = format!(
                "`{name}`: the platform did not keep the session ({})",
                error.name()
            );
            self.tell(LogLevel::Error, "session-not-kept", &message, None);
        }
    }

    fn emit(&mut self, findings: Vec<tamiz_sdk::model::Finding>) {
        for finding in findings {
            self.full |= self.emitter.emit(finding).is_err();
        }
    }

    fn outcome(&mut self, format: &str, mut completeness: Completeness) -> Outcome {
        self.full |= self.emitter.flush().is_err();
        let findings = self.emitter.accepted();
        if self.full {
            let message = format!(
                "the platform takes no more findings: {findings} were kept, {} were refused",
                self.emitter.refused()
            );
            self.skipped += self.emitter.refused();
            self.tell(LogLevel::Error, "findings-limit", &message, None);
            completeness = worse(completeness, Completeness::Partial);
        }
        Outcome {
            completeness,
            format: format.to_owned(),
            tool: Some(TOOL.to_owned()),
            tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            records: findings + self.skipped,
            findings,
            skipped: self.skipped,
        }
    }

    fn finish(mut self) {
        let host = self.emitter.host();
        self.diagnostics.finish(host);
        self.progress.finish(self.bytes_done, host);
    }
}

/// What an input is that is no capture.
fn foreign(start: &[u8]) -> &'static str {
    match start {
        [0x1f, 0x8b, ..] => "compressed with gzip, unpack it first",
        [b'P', b'K', 3, 4, ..] => "a zip archive, unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "compressed with zstd, unpack it first",
        [b'{' | b'[', ..] => "JSON",
        [b'<', ..] => "XML or HTML",
        _ if start.is_ascii() => "text",
        _ => "binary data of another format",
    }
}
