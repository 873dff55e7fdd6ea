//! Numbers among equals, by place: the order of a report's records has no say in them.

use std::collections::HashMap;

use super::{Fingerprint, PartHash};

/// What equals are ordered by: line and column first, then what the finding says.
pub type Position = (u32, u32, PartHash);

/// The findings of one report whose equals are several flaws.
///
/// Memory: 60 bytes per finding.
#[derive(Debug, Default)]
pub struct Ordinals {
    /// Base, position, the finding's index in the report.
    seen: Vec<(Fingerprint, Position, u32)>,
}

impl Ordinals {
    /// Adds the finding with this index in the report.
    pub fn add(&mut self, base: Fingerprint, position: Position, index: u32) {
        self.seen.push((base, position, index));
    }

    /// The numbers that are not 0, by the finding's index.
    pub fn numbers(mut self) -> HashMap<u32, u32> {
        self.seen.sort_unstable();
        let mut numbers = HashMap::new();
        let mut last = None;
        let mut number = 0;
        for (base, _, index) in self.seen {
            number = if last == Some(base) { number + 1 } else { 0 };
            last = Some(base);
            if number > 0 {
                numbers.insert(index, number);
            }
        }
        numbers
    }
}
