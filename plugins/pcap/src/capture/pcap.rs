//! Classic pcap: one head, then records. Both byte orders, micro- and nanoseconds, and Kuznetzov's
//! modified form with its longer record heads.

use pcap_parser::{PcapHeader, parse_pcap_header};

use super::{Damage, LinkType, Oddities, PACKET_BYTES_MAX, Record, Window, nanoseconds};

const HEAD_BYTES: usize = 24;
const RECORD_HEAD_BYTES: usize = 16;
/// The modified form adds interface, protocol and packet type.
const MODIFIED_HEAD_BYTES: usize = 24;
/// The upper bits of the link-type field hold the length of a frame check sequence.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// How files begin, as little-endian numbers: micro- and nanoseconds in both byte orders, and the
/// modified form.
pub(crate) const MAGICS: [u32; 5] = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34, 0xd4c3_b2a1, 0x4d3c_b2a1];

pub(crate) struct Reader {
    link: LinkType,
    snap_bytes: u32,
    big_endian: bool,
    part_nanoseconds: i64,
    head_bytes: usize,
    pub(super) oddities: Oddities,
}

impl Reader {
    pub(super) fn open(window: &mut Window<'_>) -> Result<Self, Damage> {
        if !window.need(HEAD_BYTES)? {
            return Err(Damage::CutShort("the file's head"));
        }
        let head: PcapHeader = match parse_pcap_header(window.bytes()) {
            Ok((_, head)) => head,
            Err(_) => return Err(Damage::Broken("the file's head is none".to_owned())),
        };
        window.consume(HEAD_BYTES);
        let mut oddities = Oddities::default();
        if head.version_major != 2 {
            oddities.version = Some((head.version_major, head.version_minor));
        }
        Ok(Self {
            link: LinkType(head.network.0.cast_unsigned() & LINK_TYPE_MASK),
            snap_bytes: head.snaplen,
            big_endian: head.is_bigendian(),
            part_nanoseconds: if head.is_nanosecond_precision() { 1 } else { 1000 },
            head_bytes: if head.is_modified_format() {
                MODIFIED_HEAD_BYTES
            } else {
                RECORD_HEAD_BYTES
            },
            oddities,
        })
    }

    /// The whole capture's link type.
    pub(crate) fn link(&self) -> LinkType {
        self.link
    }

    #[inline]
    pub(super) fn next(&mut self, window: &mut Window<'_>) -> Result<Option<Record>, Damage> {
        if !window.need(self.head_bytes)? {
            return if window.bytes().is_empty() {
                Ok(None)
            } else {
                Err(Damage::CutShort("a record's head"))
            };
        }
        let Some(head) = window.bytes().first_chunk::<RECORD_HEAD_BYTES>() else {
            return Err(Damage::CutShort("a record's head"));
        };
        let (numbers, _) = head.as_chunks::<4>();
        let number = |index: usize| numbers.get(index).map_or(0, |bytes| self.number(*bytes));
        let (seconds, part, captured, original) = (number(0), number(1), number(2), number(3));
        if captured as usize > PACKET_BYTES_MAX {
            return Err(Damage::Broken(format!("a record claims {captured} bytes")));
        }
        let record_bytes = self.head_bytes + captured as usize;
        if !window.need(record_bytes)? {
            return Err(Damage::CutShort("a packet"));
        }
        let part = i64::from(part) * self.part_nanoseconds;
        if self.snap_bytes > 0 && captured > self.snap_bytes {
            self.oddities.over_snap_length += 1;
        }
        if captured > original {
            self.oddities.over_original += 1;
        }
        Ok(Some(Record {
            link: self.link,
            time: Some(nanoseconds(i64::from(seconds), part, &mut self.oddities)),
            original_bytes: original.max(captured),
            data_start: self.head_bytes,
            data_bytes: captured as usize,
            whole_bytes: record_bytes,
        }))
    }

    fn number(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}
