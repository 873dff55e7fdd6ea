//! A TCP connection's bytes in order, within bounds.
//!
//! What comes in order goes to the dialogue as it lies in the capture; only what the dialogue leaves
//! and what comes too early is kept. A gap that does not close is leaped over, where the dialogue can go on
//! behind it. A direction that has said enough, or would need more memory than there is, is not followed
//! any further.

use crate::dialogue::{Dialogue, Fed, Scene, Side};
use crate::statistics::Protocol;

/// Bytes of a direction that are looked at: logins and handshakes stand at the beginning.
pub(crate) const STREAM_KIB: usize = 256;
const STREAM_BYTES: usize = STREAM_KIB * 1024;
/// Bytes that a dialogue may leave for later; the largest is a TLS record.
const PENDING_BYTES: usize = 32 * 1024;
/// Segments that wait for one before them, and their bytes.
const EARLY_SEGMENTS: usize = 16;
const EARLY_BYTES: usize = 32 * 1024;
/// Bytes kept for all connections together, far below a component's memory.
const BUFFERED_BYTES: usize = 24 * 1024 * 1024;

/// What all connections keep, and what was given up.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    buffered: usize,
    /// Directions that were not followed because of [`BUFFERED_BYTES`].
    pub(crate) refused: u64,
    /// Gaps that did not close.
    pub(crate) gaps: u64,
    /// Directions that had more to say than is looked at.
    pub(crate) long: u64,
}

#[derive(Default)]
struct Direction {
    next: Option<u32>,
    taken: usize,
    pending: Vec<u8>,
    early: Vec<(u32, Vec<u8>)>,
    over: bool,
}

impl Direction {
    fn early_bytes(&self) -> usize {
        self.early.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn kept(&self) -> usize {
        self.pending.len() + self.early_bytes()
    }

    fn close(&mut self) {
        self.over = true;
        self.pending = Vec::new();
        self.early = Vec::new();
    }
}

/// See the module's description.
pub(crate) struct Conversation {
    directions: [Direction; 2],
    dialogue: Dialogue,
    pub(crate) protocol: Protocol,
}

impl Conversation {
    /// A connection whose next sequence numbers are known if its start was seen.
    pub(crate) fn new(next: [Option<u32>; 2]) -> Self {
        Self {
            directions: next.map(|next| Direction {
                next,
                ..Direction::default()
            }),
            dialogue: Dialogue::new(),
            protocol: Protocol::Unknown,
        }
    }

    /// Whether nothing is looked at any more.
    pub(crate) fn is_over(&self) -> bool {
        self.directions.iter().all(|direction| direction.over)
    }

    /// Takes a segment of a side.
    pub(crate) fn segment(
        &mut self,
        side: Side,
        (sequence, payload): (u32, &[u8]),
        scene: &mut Scene<'_>,
        budget: &mut Budget,
    ) {
        if self.directions[side as usize].over {
            return;
        }
        budget.buffered -= self.kept();
        self.ordered(side, (sequence, payload), scene, budget);
        budget.buffered += self.kept();
        if budget.buffered > BUFFERED_BYTES {
            budget.buffered -= self.kept();
            budget.refused += 1;
            self.directions.iter_mut().for_each(Direction::close);
        }
    }

    fn kept(&self) -> usize {
        self.directions.iter().map(Direction::kept).sum()
    }

    fn ordered(
        &mut self,
        side: Side,
        (sequence, payload): (u32, &[u8]),
        scene: &mut Scene<'_>,
        budget: &mut Budget,
    ) {
        let direction = &mut self.directions[side as usize];
        let next = *direction.next.get_or_insert(sequence);
        // Sequence numbers wrap; what is less than half the circle ahead is ahead.
        let ahead = sequence.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            direction.early.push((sequence, payload.to_vec()));
            if direction.early.len() > EARLY_SEGMENTS || direction.early_bytes() > EARLY_BYTES {
                self.leap(side, scene, budget);
            }
            return;
        }
        self.deliver(side, (sequence, payload), scene, budget);
        self.catch_up(side, scene, budget);
    }

    /// Goes on behind a gap that does not close, with what has waited, if the dialogue can.
    fn leap(&mut self, side: Side, scene: &mut Scene<'_>, budget: &mut Budget) {
        budget.gaps += 1;
        let direction = &mut self.directions[side as usize];
        let next = direction.next.unwrap_or_default();
        let nearest = direction
            .early
            .iter()
            .map(|(sequence, _)| *sequence)
            .min_by_key(|sequence| sequence.wrapping_sub(next));
        if !self.dialogue.leap(side) {
            direction.close();
            return;
        }
        direction.pending.clear();
        direction.next = nearest.or(direction.next);
        self.catch_up(side, scene, budget);
    }

    /// Delivers what has waited and is not too early any more.
    fn catch_up(&mut self, side: Side, scene: &mut Scene<'_>, budget: &mut Budget) {
        loop {
            let direction = &mut self.directions[side as usize];
            let Some(next) = direction.next else { return };
            let ready = |(sequence, _): &(u32, Vec<u8>)| sequence.wrapping_sub(next).cast_signed() <= 0;
            let Some(index) = direction.early.iter().position(ready) else {
                return;
            };
            let (sequence, payload) = direction.early.swap_remove(index);
            self.deliver(side, (sequence, &payload), scene, budget);
        }
    }

    /// Delivers a segment that begins at or before the next byte.
    fn deliver(
        &mut self,
        side: Side,
        (sequence, payload): (u32, &[u8]),
        scene: &mut Scene<'_>,
        budget: &mut Budget,
    ) {
        let direction = &mut self.directions[side as usize];
        if direction.over {
            return;
        }
        let next = direction.next.unwrap_or(sequence);
        let known = next.wrapping_sub(sequence) as usize;
        let Some(fresh) = payload.get(known..).filter(|fresh| !fresh.is_empty()) else {
            return;
        };
        direction.next = Some(next.wrapping_add(fresh.len() as u32));
        direction.taken += fresh.len();
        let (fed, protocol) = if direction.pending.is_empty() {
            let (fed, protocol) = self.dialogue.feed(side, fresh, scene);
            if let Fed::Took(taken) = fed {
                direction
                    .pending
                    .extend_from_slice(fresh.get(taken..).unwrap_or_default());
            }
            (fed, protocol)
        } else {
            direction.pending.extend_from_slice(fresh);
            let (fed, protocol) = self.dialogue.feed(side, &direction.pending, scene);
            if let Fed::Took(taken) = fed {
                direction.pending.drain(..taken.min(direction.pending.len()));
            }
            (fed, protocol)
        };
        if let Some(protocol) = protocol
            && self.protocol == Protocol::Unknown
        {
            self.protocol = protocol;
        }
        match fed {
            Fed::Took(_) => {
                if direction.taken > STREAM_BYTES || direction.pending.len() > PENDING_BYTES {
                    budget.long += 1;
                    direction.close();
                }
            }
            Fed::SideOver => direction.close(),
            Fed::Over => {
                self.dialogue = Dialogue::Over;
                self.directions.iter_mut().for_each(Direction::close);
            }
            Fed::Upgraded => {
                self.dialogue = Dialogue::new();
                self.directions
                    .iter_mut()
                    .for_each(|direction| direction.pending.clear());
            }
        }
    }

    /// The connection is over, or has to be forgotten.
    pub(crate) fn finish(&mut self, scene: &mut Scene<'_>, budget: &mut Budget) {
        budget.buffered -= self.kept();
        for side in [Side::Client, Side::Server] {
            // Each leap delivers at least one of the few that wait.
            while !self.directions[side as usize].early.is_empty() {
                self.leap(side, scene, budget);
            }
        }
        self.dialogue.finish(scene);
        self.directions.iter_mut().for_each(Direction::close);
    }
}
