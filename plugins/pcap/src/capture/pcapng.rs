//! pcapng: sections of blocks; packets refer to the interfaces that their section has described.
//!
//! Blocks that are neither heads nor packets (names, statistics, secrets, custom ones) are skipped
//! unread. The obsolete Packet Block is read as what it became, the Enhanced Packet Block.

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, EPB_MAGIC, IDB_MAGIC, SHB_MAGIC, SPB_MAGIC, parse_block_be, parse_block_le};

use super::{Damage, LinkType, NANOSECONDS, Oddities, PACKET_BYTES_MAX, Record, Window};

/// Type, length, and the length again.
const BLOCK_BYTES_MIN: u32 = 12;
/// A packet, its head and its options.
const BLOCK_BYTES_MAX: usize = PACKET_BYTES_MAX + 64 * 1024;
/// Interfaces of one section; a machine has dozens.
const INTERFACES_MAX: usize = 4096;
/// Where a section's byte order stands, and how much of a block is looked at first.
const ORDER_AT: usize = 8;
const HEAD_BYTES: usize = 12;
const PACKET_HEAD_BYTES: usize = 28;
const SIMPLE_HEAD_BYTES: usize = 12;

/// How files begin: a section's block type is the same in both byte orders.
pub(crate) const MAGIC: u32 = SHB_MAGIC;

pub(super) fn is_magic(start: &[u8]) -> bool {
    start.starts_with(&MAGIC.to_le_bytes())
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: LinkType,
    snap_bytes: u32,
    /// Ticks per second.
    resolution: u64,
    offset_seconds: i64,
}

#[derive(Default)]
pub(crate) struct Reader {
    big_endian: bool,
    interfaces: Vec<Interface>,
    pub(super) oddities: Oddities,
}

impl Reader {
    pub(super) fn next(&mut self, window: &mut Window<'_>) -> Result<Option<Record>, Damage> {
        loop {
            if !window.need(HEAD_BYTES)? {
                return if window.bytes().is_empty() {
                    Ok(None)
                } else {
                    Err(Damage::CutShort("a block's head"))
                };
            }
            let (kind, length) = self.head(window.bytes())?;
            let read = [SHB_MAGIC, IDB_MAGIC, EPB_MAGIC, SPB_MAGIC].contains(&kind);
            if !read {
                self.skip(window, kind, length)?;
                continue;
            }
            let block_bytes = length as usize;
            if block_bytes > BLOCK_BYTES_MAX {
                return Err(Damage::Broken(format!("a block claims {length} bytes")));
            }
            if !window.need(block_bytes)? {
                return Err(Damage::CutShort("a block"));
            }
            if let Some(record) = self.block(window.bytes().get(..block_bytes).unwrap_or_default())? {
                return Ok(Some(record));
            }
            window.consume(block_bytes);
        }
    }

    /// Type and length; a section's head also tells the byte order of both.
    fn head(&mut self, start: &[u8]) -> Result<(u32, u32), Damage> {
        if is_magic(start) {
            let order = start.get(ORDER_AT..).and_then(|rest| rest.first_chunk());
            self.big_endian = match order.map(|bytes| u32::from_le_bytes(*bytes)) {
                Some(0x1a2b_3c4d) => false,
                Some(0x4d3c_2b1a) => true,
                _ => return Err(Damage::Broken("a section has no byte order".to_owned())),
            };
        }
        let number = |at: usize| {
            let bytes = start.get(at..).and_then(|rest| rest.first_chunk()).copied();
            let bytes = bytes.unwrap_or_default();
            if self.big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        let (kind, length) = (number(0), number(4));
        if length < BLOCK_BYTES_MIN || !length.is_multiple_of(4) {
            return Err(Damage::Broken(format!(
                "a block of type {kind:#x} claims {length} bytes"
            )));
        }
        Ok((kind, length))
    }

    fn skip(&self, window: &mut Window<'_>, kind: u32, length: u32) -> Result<(), Damage> {
        let body = u64::from(length) - 4;
        if !window.skip(body)? || !window.need(4)? {
            return Err(Damage::CutShort("a block"));
        }
        let end = window.bytes().first_chunk().copied().unwrap_or_default();
        let end = if self.big_endian {
            u32::from_be_bytes(end)
        } else {
            u32::from_le_bytes(end)
        };
        if end != length {
            return Err(Damage::Broken(format!(
                "a block of type {kind:#x} begins with a length of {length} and ends with {end}"
            )));
        }
        window.consume(4);
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<Option<Record>, Damage> {
        let parsed = if self.big_endian {
            parse_block_be(bytes)
        } else {
            parse_block_le(bytes)
        };
        let Ok((_, block)) = parsed else {
            return Err(Damage::Broken("a block contradicts its own length".to_owned()));
        };
        match block {
            Block::SectionHeader(_) => {
                self.interfaces.clear();
                Ok(None)
            }
            Block::InterfaceDescription(interface) => {
                if self.interfaces.len() >= INTERFACES_MAX {
                    let message = format!("a section describes more than {INTERFACES_MAX} interfaces");
                    return Err(Damage::Broken(message));
                }
                self.interfaces.push(Interface {
                    link: LinkType(interface.linktype.0.cast_unsigned()),
                    snap_bytes: interface.snaplen,
                    // A resolution that does not fit is taken for the usual one.
                    resolution: interface
                        .ts_resolution()
                        .filter(|ticks| *ticks > 0)
                        .unwrap_or(1_000_000),
                    offset_seconds: interface.ts_offset(),
                });
                Ok(None)
            }
            Block::EnhancedPacket(packet) => {
                let interface = self.interface(packet.if_id)?;
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let time = self.time(ticks, &interface);
                let captured = packet.packet_data().len().min(packet.caplen as usize);
                Ok(Some(self.record(
                    &interface,
                    Some(time),
                    (packet.origlen, captured),
                    (PACKET_HEAD_BYTES, bytes.len()),
                )))
            }
            Block::SimplePacket(packet) => {
                let interface = self.interface(0)?;
                let captured = packet.packet_data().len().min(packet.origlen as usize);
                Ok(Some(self.record(
                    &interface,
                    None,
                    (packet.origlen, captured),
                    (SIMPLE_HEAD_BYTES, bytes.len()),
                )))
            }
            _ => Ok(None),
        }
    }

    fn interface(&self, index: u32) -> Result<Interface, Damage> {
        self.interfaces.get(index as usize).copied().ok_or_else(|| {
            let known = self.interfaces.len();
            Damage::Broken(format!(
                "a packet of interface {index}, where {known} are described"
            ))
        })
    }

    fn time(&mut self, ticks: u64, interface: &Interface) -> i64 {
        let nanoseconds =
            u128::from(ticks) * u128::from(NANOSECONDS.unsigned_abs()) / u128::from(interface.resolution);
        let time = i128::try_from(nanoseconds).unwrap_or(i128::MAX)
            + i128::from(interface.offset_seconds) * i128::from(NANOSECONDS);
        i64::try_from(time).unwrap_or_else(|_| {
            self.oddities.times_clamped += 1;
            if time < 0 { i64::MIN } else { i64::MAX }
        })
    }

    fn record(
        &mut self,
        interface: &Interface,
        time: Option<i64>,
        (original_bytes, data_bytes): (u32, usize),
        (data_start, record_bytes): (usize, usize),
    ) -> Record {
        if interface.snap_bytes > 0 && data_bytes > interface.snap_bytes as usize {
            self.oddities.over_snap_length += 1;
        }
        if data_bytes > original_bytes as usize {
            self.oddities.over_original += 1;
        }
        Record {
            link: interface.link,
            time,
            original_bytes: original_bytes.max(u32::try_from(data_bytes).unwrap_or(u32::MAX)),
            data_start,
            data_bytes,
            whole_bytes: record_bytes,
        }
    }
}
