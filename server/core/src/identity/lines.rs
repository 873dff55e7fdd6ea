//! The lines of a place in a file, each as a short hash: what its code is known by.
//!
//! White space is left aside and empty lines are skipped, so that re-indented code and reformatted gaps stay
//! themselves. The hashes are stored with an alert's place, for matching and for better rules later.

use serde::{Deserialize, Serialize};

use super::{PartHash, normal, part_hash};

/// Lines that are not empty kept on each side.
pub const AROUND: usize = 5;
/// Of which belong to the context that the fingerprint holds.
const CONTEXT: usize = 2;
/// Lines of the place itself; a longer one is known by its first ones.
pub const OWN_MAX: usize = 20;
/// Lines that are looked at on each side for ones that are not empty.
const LOOK_MAX: usize = 50;

/// Hashes of lines that are not empty: before the place, of it, after it, each in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lines {
    before: Vec<u32>,
    own: Vec<u32>,
    after: Vec<u32>,
}

impl Lines {
    /// Of the lines `first` to `last` (from 1, both in) of a file; `None` when it has no such line.
    pub fn of_source(file: &[impl AsRef<str>], first: u32, last: u32) -> Option<Self> {
        let from = usize::try_from(first).ok()?.checked_sub(1)?;
        let to = usize::try_from(last.max(first)).ok()?.min(file.len());
        let own: Vec<u32> = file
            .get(from..to)?
            .iter()
            .filter_map(|line| hash(line.as_ref()))
            .take(OWN_MAX)
            .collect();
        if own.is_empty() {
            return None;
        }
        let before = file[..from]
            .iter()
            .rev()
            .take(LOOK_MAX)
            .filter_map(|line| hash(line.as_ref()));
        let mut before: Vec<u32> = before.take(AROUND).collect();
        before.reverse();
        let after = file[to..]
            .iter()
            .take(LOOK_MAX)
            .filter_map(|line| hash(line.as_ref()));
        let after = after.take(AROUND).collect();
        Some(Self { before, own, after })
    }

    /// Of a snippet alone, as a tool reports it; `None` for an empty one.
    pub fn of_snippet(snippet: &str) -> Option<Self> {
        let own: Vec<u32> = snippet.lines().filter_map(hash).take(OWN_MAX).collect();
        (!own.is_empty()).then(|| Self {
            own,
            ..Self::default()
        })
    }

    /// What the place's own lines and their nearest neighbours come to.
    pub(super) fn in_context(&self) -> PartHash {
        let before = &self.before[self.before.len().saturating_sub(CONTEXT)..];
        let after = &self.after[..self.after.len().min(CONTEXT)];
        joined(&[before, &self.own, after])
    }

    /// What the place's own lines come to.
    pub(super) fn code(&self) -> PartHash {
        joined(&[&self.own])
    }

    /// How much of the neighbourhood is the same: of all neighbours of both, the part that both have, from 0 to 1;
    /// 0 where there are none.
    pub(super) fn neighbours_shared(&self, other: &Self) -> f64 {
        let shared = common_end(&self.before, &other.before) + common_start(&self.after, &other.after);
        let longer = |one: &[u32], two: &[u32]| one.len().max(two.len());
        let all = longer(&self.before, &other.before) + longer(&self.after, &other.after);
        if all == 0 {
            return 0.0;
        }
        f64::from(u32::try_from(shared).unwrap_or(0)) / f64::from(u32::try_from(all).unwrap_or(u32::MAX))
    }

    /// As stored: three counts of a byte each, then the hashes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts = [&self.before, &self.own, &self.after];
        let counts = parts.map(|part| u8::try_from(part.len()).unwrap_or(u8::MAX));
        let hashes = parts.into_iter().flatten().flat_map(|hash| hash.to_le_bytes());
        counts.into_iter().chain(hashes).collect()
    }

    /// What [`Lines::to_bytes`] wrote; `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (counts, rest) = bytes.split_first_chunk::<3>()?;
        let (hashes, []) = rest.as_chunks::<4>() else {
            return None;
        };
        let mut hashes = hashes.iter().map(|hash| u32::from_le_bytes(*hash));
        let mut part = |count: u8| {
            let part: Vec<u32> = hashes.by_ref().take(count.into()).collect();
            (part.len() == usize::from(count)).then_some(part)
        };
        let lines = Self {
            before: part(counts[0])?,
            own: part(counts[1])?,
            after: part(counts[2])?,
        };
        hashes.next().is_none().then_some(lines)
    }
}

/// Equal lines next to the place, before it. A line more or less on the way is stepped over.
fn common_end(one: &[u32], other: &[u32]) -> usize {
    let (one, other): (Vec<u32>, Vec<u32>) = (
        one.iter().rev().copied().collect(),
        other.iter().rev().copied().collect(),
    );
    common_start(&one, &other)
}

/// The longest common subsequence of two short lists.
fn common_start(one: &[u32], other: &[u32]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for left in one {
        let mut diagonal = 0;
        for (index, right) in other.iter().enumerate() {
            let above = row[index + 1];
            row[index + 1] = if left == right {
                diagonal + 1
            } else {
                above.max(row[index])
            };
            diagonal = above;
        }
    }
    row[other.len()]
}

fn joined(parts: &[&[u32]]) -> PartHash {
    let texts = parts.iter().map(|part| {
        let words: Vec<String> = part.iter().map(u32::to_string).collect();
        words.join(",")
    });
    let texts: Vec<String> = texts.collect();
    part_hash(texts.iter().map(String::as_str))
}

fn hash(line: &str) -> Option<u32> {
    let line = normal::squeezed(line);
    if line.is_empty() {
        return None;
    }
    let hash = part_hash([line.as_str()]);
    Some(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]))
}
