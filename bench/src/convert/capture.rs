//! Captures of any size, grown from the real ones among the plugin's cases.
//!
//! The captures follow one another again and again, each time later and between other hosts: the
//! timestamps go on, and the middle of every IPv4 address is another. Nothing else changes.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::Outcome;

/// The header of a classic capture file.
const FILE_HEADER_BYTES: usize = 24;
/// The header of a packet in it.
const PACKET_HEADER_BYTES: usize = 16;
/// Where an Ethernet frame says what it carries.
const ETHERTYPE_AT: usize = 12;
/// Where the two addresses stand in a frame with IPv4.
const ADDRESSES_AT: [usize; 2] = [26, 30];

/// What a capture is grown from.
pub(super) struct CaptureSeed {
    header: Vec<u8>,
    packets: Vec<Packet>,
    seconds: u32,
}

struct Packet {
    /// Since the seed's start.
    second: u32,
    /// As it stands in the file, header first.
    bytes: Vec<u8>,
}

impl CaptureSeed {
    /// From whole captures, little-endian and of Ethernet.
    pub(super) fn new(captures: &[Vec<u8>]) -> Outcome<Self> {
        let mut seed = Self {
            header: captures
                .first()
                .and_then(|capture| capture.get(..FILE_HEADER_BYTES))
                .ok_or("no capture")?
                .to_vec(),
            packets: Vec::new(),
            seconds: 0,
        };
        for capture in captures {
            seed.add(capture)?;
        }
        Ok(seed)
    }

    fn add(&mut self, capture: &[u8]) -> Outcome<()> {
        if capture.get(..FILE_HEADER_BYTES) != Some(&self.header) {
            return Err("the captures have different headers".into());
        }
        let mut rest = capture.get(FILE_HEADER_BYTES..).unwrap_or_default();
        let (began, mut last) = (word(rest, 0).unwrap_or_default(), 0);
        while !rest.is_empty() {
            let length = word(rest, 8).ok_or("half a packet")? as usize + PACKET_HEADER_BYTES;
            let (packet, after) = rest.split_at_checked(length).ok_or("half a packet")?;
            last = word(packet, 0).ok_or("half a packet")?.saturating_sub(began);
            self.packets.push(Packet {
                second: self.seconds + last,
                bytes: packet.to_vec(),
            });
            rest = after;
        }
        self.seconds += last + 1;
        Ok(())
    }

    /// Writes a capture of at least `bytes` bytes; answers how many it has and how many packets.
    pub(super) fn write(&self, path: &Path, bytes: u64) -> io::Result<(u64, u64)> {
        /// When the first capture begins, in seconds since 1970.
        const BEGAN: u32 = 1_700_000_000;
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        file.write_all(&self.header)?;
        let (mut written, mut packets) = (self.header.len() as u64, 0_u64);
        let mut copy = Vec::new();
        for round in 0_u32.. {
            for packet in &self.packets {
                copy.clear();
                copy.extend_from_slice(&packet.bytes);
                let second = BEGAN + round * self.seconds + packet.second;
                copy[..4].copy_from_slice(&second.to_le_bytes());
                move_hosts(&mut copy[PACKET_HEADER_BYTES..], round);
                file.write_all(&copy)?;
                written += copy.len() as u64;
                packets += 1;
            }
            if written >= bytes {
                break;
            }
        }
        file.flush()?;
        Ok((written, packets))
    }
}

/// Other hosts in each round, the same within one, so that conversations stay whole.
fn move_hosts(frame: &mut [u8], round: u32) {
    if frame.get(ETHERTYPE_AT..ETHERTYPE_AT + 2) != Some(&[8, 0]) {
        return;
    }
    let [low, middle, ..] = round.to_le_bytes();
    for at in ADDRESSES_AT {
        if let Some([_, second, third, _]) = frame.get_mut(at..at + 4) {
            (*second, *third) = (*second ^ middle, *third ^ low);
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
