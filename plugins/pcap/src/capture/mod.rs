//! The two file formats of captures, as a stream of packet records.
//!
//! Heads and pcapng's blocks are read by the `pcap-parser` crate, the four numbers in front of a pcap
//! packet here. The crate's own readers are not used, because they buffer by a fixed capacity and cannot
//! tell a record that is cut short from one that lies about its length. Lengths are looked at before anything is asked of the window, so that a length of four
//! gigabytes costs nothing.
//!
//! Not here: what is inside a packet (see [`crate::packet`]).

mod pcap;
mod pcapng;
mod window;

use tamiz_sdk::model::IoError;

pub(crate) use pcap::MAGICS as PCAP_MAGICS;
pub(crate) use pcapng::MAGIC as PCAPNG_MAGIC;
pub(crate) use window::Window;

/// The largest packet that is believed. libpcap captures at most 256 KiB of one; a length beyond this
/// is damage, after which no further record can be found.
pub(crate) const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Link types assigned so far end below this; beyond it the number itself is damage.
const LINK_TYPES: u32 = 512;

const NANOSECONDS: i64 = 1_000_000_000;

/// How a packet begins, as <https://www.tcpdump.org/linktypes.html> numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkType(pub(crate) u32);

impl LinkType {
    /// Whether anybody uses the number.
    pub(crate) fn is_assigned(self) -> bool {
        self.0 < LINK_TYPES
    }
}

/// One packet's place in the window and what its record says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) link: LinkType,
    /// Nanoseconds since 1970; the record's own, or none.
    pub(crate) time: Option<i64>,
    /// On the wire.
    pub(crate) original_bytes: u32,
    /// Of the captured bytes, from the window's place.
    pub(crate) data_start: usize,
    /// Captured.
    pub(crate) data_bytes: usize,
    /// Of the whole record.
    pub(crate) whole_bytes: usize,
}

/// Why no further record can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("the input ends inside {0}")]
    CutShort(&'static str),
    #[error("{0}")]
    Broken(String),
    #[error("it cannot be read on: {}", .0.name())]
    Io(IoError),
}

impl From<IoError> for Damage {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

/// A capture that is being read.
pub(crate) enum Capture {
    Pcap(pcap::Reader),
    Pcapng(pcapng::Reader),
}

/// Bytes that tell the format.
pub(crate) const MAGIC_BYTES: usize = 4;

impl Capture {
    /// Reads the head of a capture.
    ///
    /// # Errors
    /// [`Damage`] when the head cannot be read.
    pub(crate) fn open(window: &mut Window<'_>) -> Result<Self, Damage> {
        if pcapng::is_magic(window.bytes()) {
            return Ok(Self::Pcapng(pcapng::Reader::default()));
        }
        pcap::Reader::open(window).map(Self::Pcap)
    }

    /// The format's name in the outcome.
    pub(crate) fn format(&self) -> &'static str {
        match self {
            Self::Pcap(_) => "pcap",
            Self::Pcapng(_) => "pcapng",
        }
    }

    /// The next packet; its bytes stay in the window until the caller consumes `whole_bytes`.
    ///
    /// # Errors
    /// [`Damage`] when there is something, and it is no whole record.
    #[inline]
    pub(crate) fn next(&mut self, window: &mut Window<'_>) -> Result<Option<Record>, Damage> {
        match self {
            Self::Pcap(reader) => reader.next(window),
            Self::Pcapng(reader) => reader.next(window),
        }
    }

    /// What the reader had to put right so far, for diagnostics.
    pub(crate) fn oddities(&self) -> &Oddities {
        match self {
            Self::Pcap(reader) => &reader.oddities,
            Self::Pcapng(reader) => &reader.oddities,
        }
    }
}

/// What a reader put right without losing a packet.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    /// Times that do not exist, such as a second with two million microseconds.
    pub(crate) times_clamped: u64,
    /// Records with more bytes than the capture's own limit.
    pub(crate) over_snap_length: u64,
    /// Records with more bytes than the packet had.
    pub(crate) over_original: u64,
    /// Of a version that nobody wrote.
    pub(crate) version: Option<(u16, u16)>,
}

/// Seconds and a part of one as nanoseconds; the part is clamped into its second.
#[inline]
fn nanoseconds(seconds: i64, part_nanoseconds: i64, oddities: &mut Oddities) -> i64 {
    let part = if (0..NANOSECONDS).contains(&part_nanoseconds) {
        part_nanoseconds
    } else {
        oddities.times_clamped += 1;
        NANOSECONDS - 1
    };
    seconds.saturating_mul(NANOSECONDS).saturating_add(part)
}
