//! Packets that were cut in transit, put together again.
//!
//! A packet whose pieces are all there goes on as if it had come whole. One that stays incomplete goes on
//! with its beginning, if that is there, when the capture ends or the table is full: its ports and its
//! first bytes are worth reading. Where pieces overlap, the first that came counts.

use crate::detect::Moment;
use crate::packet::{Address, Network, Packet};
use crate::statistics::Amount;
use crate::table::Table;

/// Packets in pieces at once; a busy router sees dozens.
const WAITING_MAX: usize = 512;
/// Pieces of one packet: the largest packet in pieces of the smallest usual size.
const PIECES_MAX: usize = 128;
/// Bytes of one packet, by the standards.
const PACKET_BYTES_MAX: usize = 65_535;
/// Bytes of all pieces that wait.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Where a piece belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) identification: u32,
    /// In bytes.
    pub(crate) offset: u16,
    /// What the whole packet carries, as IP numbers it.
    pub(crate) protocol: u8,
    pub(crate) more: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    protocol: u8,
}

struct Waiting {
    network: Network,
    first: Moment,
    amount: Amount,
    pieces: Vec<(usize, Vec<u8>)>,
    /// The whole's length, once the last piece was seen.
    length: Option<usize>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// What is there without a gap from the beginning on.
    fn beginning(&self) -> Vec<u8> {
        let mut pieces: Vec<&(usize, Vec<u8>)> = self.pieces.iter().collect();
        pieces.sort_by_key(|(offset, _)| *offset);
        let mut whole = Vec::new();
        for (offset, bytes) in pieces {
            let Some(known) = whole.len().checked_sub(*offset) else {
                break;
            };
            whole.extend_from_slice(bytes.get(known..).unwrap_or_default());
        }
        whole
    }
}

/// A packet that was put together, or as much of it as there is.
pub(crate) struct Joined {
    pub(crate) network: Network,
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) protocol: u8,
    pub(crate) bytes: Vec<u8>,
    /// Of all its pieces, on the wire.
    pub(crate) amount: Amount,
    pub(crate) first: Moment,
}

/// See the module's description.
pub(crate) struct Fragments {
    waiting: Table<Key, Option<Waiting>>,
    bytes: usize,
    /// Packets of which something is missing.
    pub(crate) incomplete: u64,
    /// Pieces that were not kept, because too many waited.
    pub(crate) refused: u64,
}

impl Fragments {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Table::new(WAITING_MAX),
            bytes: 0,
            incomplete: 0,
            refused: 0,
        }
    }

    /// Takes a piece; answers what can go on because of it.
    pub(crate) fn take(&mut self, packet: &Packet<'_>, bytes: u64, moment: Moment) -> Vec<Joined> {
        let mut joined = Vec::new();
        let piece = packet.piece;
        let key = Key {
            source: packet.source.address,
            destination: packet.destination.address,
            identification: piece.identification,
            protocol: piece.protocol,
        };
        let found = self.waiting.find(key, moment.packet, || None);
        let slot = found.slot;
        if let Some((key, Some(forgotten))) = found.evicted {
            self.bytes -= forgotten.bytes();
            joined.extend(self.incomplete(key, &forgotten));
        }
        let waiting = self.waiting.at(slot).get_or_insert_with(|| Waiting {
            network: packet.network,
            first: moment,
            amount: Amount::default(),
            pieces: Vec::new(),
            length: None,
        });
        waiting.amount.add(1, bytes);
        let offset = usize::from(piece.offset);
        let end = offset + packet.payload.len();
        let fits = end <= PACKET_BYTES_MAX && waiting.pieces.len() < PIECES_MAX;
        if !fits || self.bytes + packet.payload.len() > WAITING_BYTES {
            self.refused += 1;
            return joined;
        }
        if !piece.more {
            waiting.length.get_or_insert(end);
        }
        waiting.pieces.push((offset, packet.payload.to_vec()));
        self.bytes += packet.payload.len();
        // Putting together what is obviously not all there would cost much for many small pieces.
        let is_enough = waiting.length.is_some_and(|length| waiting.bytes() >= length);
        if is_enough && Some(waiting.beginning().len()) >= waiting.length {
            let slot = self.waiting.at(slot);
            if let Some(whole) = slot.take() {
                self.bytes -= whole.bytes();
                joined.push(join(key, &whole));
            }
        }
        joined
    }

    fn incomplete(&mut self, key: Key, waiting: &Waiting) -> Option<Joined> {
        self.incomplete += 1;
        let joined = join(key, waiting);
        (!joined.bytes.is_empty()).then_some(joined)
    }

    /// The capture is over: the beginnings of what stays incomplete.
    pub(crate) fn finish(&mut self) -> Vec<Joined> {
        let waiting = std::mem::replace(&mut self.waiting, Table::new(1));
        let mut joined = Vec::new();
        for (key, waiting) in waiting.into_entries() {
            if let Some(waiting) = waiting {
                joined.extend(self.incomplete(key, &waiting));
            }
        }
        joined
    }
}

fn join(key: Key, waiting: &Waiting) -> Joined {
    Joined {
        network: waiting.network,
        source: key.source,
        destination: key.destination,
        protocol: key.protocol,
        bytes: waiting.beginning(),
        amount: waiting.amount,
        first: waiting.first,
    }
}
