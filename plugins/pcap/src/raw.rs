//! Raw captures as formats of the report kit.
//!
//! What the end of a reading means:
//! - a link type that does not exist: `unrecognized`;
//! - it ends or breaks before its first packet, except that a head alone is an empty capture: `corrupt`;
//! - it ends inside a later record: `truncated`, with the packets before;
//! - a later record contradicts itself, so that no further one can be found: `partial`, likewise.
//!
//! An outcome's records are the findings and the record that could not be read, if there was one: what
//! is found in packets is what a report would have listed. Packets are counted in the session (see
//! [`crate::session`]).

use tamiz_sdk::model::{LogLevel, Span};
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop};

use crate::analysis::{Analysis, Ended};
use crate::capture::{Capture, Damage, MAGIC_BYTES, Oddities, PCAP_MAGICS, PCAPNG_MAGIC, Window};
use crate::findings::Found;
use crate::rules::TOOL;

/// Packets between two looks at the progress.
const PACKETS_PER_LOOK: u64 = 1024;

/// Classic pcap.
pub(crate) struct Pcap;

impl Format for Pcap {
    fn name(&self) -> &'static str {
        "pcap"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["tcpdump", "wireshark", "any writer of pcap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        PCAP_MAGICS
            .iter()
            .any(|magic| head.starts_with(&magic.to_le_bytes()))
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        read(source, session)
    }
}

/// pcapng.
pub(crate) struct Pcapng;

impl Format for Pcapng {
    fn name(&self) -> &'static str {
        "pcapng"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["wireshark", "dumpcap", "any writer of pcapng"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.starts_with(&PCAPNG_MAGIC.to_le_bytes()).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        read(source, session)
    }
}

fn read(source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
    session.tool_is(TOOL, Some(env!("CARGO_PKG_VERSION")));
    let reader = source.bytes();
    let name = reader.name();
    let mut window = Window::new(reader);
    window.need(MAGIC_BYTES)?;
    let mut capture = Capture::open(&mut window).map_err(|damage| before_the_first(&damage, 0))?;
    if let Capture::Pcap(reader) = &capture
        && !reader.link().is_assigned()
    {
        let message = format!("its link type {} is unknown", reader.link().0);
        return Err(Stop::Unrecognized(message));
    }
    let mut analysis = Analysis::new();
    let (mut full, damage) = packets(&mut capture, &mut window, &mut analysis, session)?;
    let offset = window.offset();
    if let Some(damage) = &damage
        && analysis.packets() == 0
    {
        return Err(before_the_first(damage, offset));
    }
    tell_oddities(capture.oddities(), session);
    for (link, count) in analysis.undecoded() {
        let message = format!("{count} packets of link type {link} were counted and not looked into");
        session.unread("link-type-not-decoded", &message, None);
    }
    let mut stop = None;
    let packets = analysis.packets();
    if let Some(damage) = damage {
        let message = format!(
            "damaged at packet {}, byte {offset}: {damage}; {packets} packets were read before",
            packets + 1
        );
        match damage {
            Damage::CutShort(_) => stop = Some(Stop::Ended(message)),
            Damage::Io(_) => stop = Some(Stop::Refused(message)),
            Damage::Broken(_) => {
                let offset = u32::try_from(offset).unwrap_or(u32::MAX);
                session.lose("record-unreadable", &message, Span::new(offset, 0));
            }
        }
    }
    let completeness = match &stop {
        Some(_) => "truncated",
        None if session.is_partial() => "partial",
        None => "complete",
    };
    let ended = analysis.finish(session.host());
    full |= end(&name, (capture.format(), completeness), ended, session);
    match stop {
        Some(stop) => Err(stop),
        // What the platform refused is told where the outcome is made.
        None if full => Err(Stop::Full(tamiz_sdk::model::IoError::OverLimit)),
        None => Ok(()),
    }
}

fn before_the_first(damage: &Damage, offset: u64) -> Stop {
    let message = format!("{damage}, at byte {offset}, before its first packet");
    match damage {
        Damage::Io(_) => Stop::Refused(message),
        Damage::CutShort(_) | Damage::Broken(_) => Stop::Broken(message),
    }
}

/// Reads packets until the end or damage; also tells whether the platform takes no more findings.
fn packets(
    capture: &mut Capture,
    window: &mut Window<'_>,
    analysis: &mut Analysis,
    session: &mut Session<'_>,
) -> Result<(bool, Option<Damage>), Stop> {
    let mut full = false;
    loop {
        let record = match capture.next(window) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok((full, None)),
            Err(damage) => return Ok((full, Some(damage))),
        };
        let end = record.data_start + record.data_bytes;
        let data = window.bytes().get(record.data_start..end).unwrap_or_default();
        analysis.packet(&record, data, window.offset(), session.host());
        window.consume(record.whole_bytes);
        if analysis.packets().is_multiple_of(PACKETS_PER_LOOK) {
            full |= emit(analysis.take_full(), session);
            session.advance(window.offset());
        }
    }
}

/// Hands findings over; true when the platform takes no more.
fn emit(findings: Vec<Found>, session: &mut Session<'_>) -> bool {
    let mut full = false;
    for found in findings {
        full |= session.emit(found.builder, &found.first).is_err();
    }
    full
}

/// Tells what was put right; none of it lost a packet.
fn tell_oddities(oddities: &Oddities, session: &mut Session<'_>) {
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
            session.tell(LogLevel::Info, code, &format!("{count} {what}"), None);
        }
    }
    if let Some((major, minor)) = oddities.version {
        let message = format!("it claims version {major}.{minor} of the format and was read as 2.4");
        session.tell(LogLevel::Warn, "version-unknown", &message, None);
    }
}

/// Hands over findings, bounds that were reached, and the session; true when the platform is full.
fn end(
    name: &str,
    (format, completeness): (&'static str, &'static str),
    ended: Ended,
    session: &mut Session<'_>,
) -> bool {
    if ended.malformed > 0 {
        let message = format!(
            "{} packets have a header that is cut short or lies about its length; what was readable of them was read",
            ended.malformed
        );
        session.tell(LogLevel::Info, "packet-malformed", &message, None);
    }
    for (code, message) in &ended.bounds {
        session.tell(LogLevel::Warn, code, message, None);
    }
    let full = emit(ended.findings, session);
    let mut kept = ended.session;
    kept.is_of(name, format, completeness);
    kept.keep(session);
    full
}
