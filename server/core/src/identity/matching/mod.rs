//! What moved, was renamed or was edited around: the findings that a scan and the one before do not share by their
//! fingerprints.
//!
//! Both sides are what is left over, and of equals whose number changed all of them. Nothing here is guessed: two
//! findings are the same when something that only they have in common says so, else the new one stays new. The
//! steps, the surest first, each with what the earlier ones left:
//!
//! 1. the same parts in the order of their lines, with as little moving as possible: equals that became more or fewer;
//! 2. the same code in the same file, likewise;
//! 3. the same neighbourhood in the same file, where the code itself was edited;
//! 4. the tool's own id, where it stands for one result only;
//! 5. a renamed file: what is gone from one path is there at one other;
//! 6. in the same file, where nothing is known of the code: the order of the lines.
//!
//! Other kinds have no lines, and know the first step and the tool's id only.

mod nearest;
mod renamed;
mod sides;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tracking;

use std::collections::HashMap;

use super::ordinals::Position;
use super::{Fingerprint, Kind, Parts};
use sides::{Rule, Sides};

/// One finding of either side.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<Name> {
    /// What the caller calls it.
    pub name: Name,
    /// What it is known by.
    pub parts: Parts,
    /// The hash of its parts.
    pub base: Fingerprint,
    /// Where it stands among its equals.
    pub position: Position,
}

/// Why two findings are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The same parts, at another line.
    Equal,
    /// The same code.
    Code,
    /// The same neighbourhood.
    Neighbours,
    /// The tool says so.
    ToolId,
    /// The file has another name.
    Renamed,
    /// The order of the lines, when nothing else is known.
    Order,
}

/// Lines of findings that both scans have by their fingerprints, per file: how far the code around them moved.
#[derive(Debug, Default)]
pub struct Anchors {
    of_file: HashMap<String, Vec<(u32, u32)>>,
}

impl Anchors {
    /// In this file, what was on line `old` is on line `new`.
    pub fn add(&mut self, file: &str, old: u32, new: u32) {
        if let Some(lines) = self.of_file.get_mut(file) {
            lines.push((old, new));
        } else {
            self.of_file.insert(file.to_owned(), vec![(old, new)]);
        }
    }

    /// Where a line is to be expected: moved as the nearest known one. `None` where none is known.
    fn expected(&self, file: &str, line: u32) -> Option<i64> {
        let lines = self.of_file.get(file)?;
        let (old, new) = lines
            .iter()
            .min_by_key(|(old, new)| (old.abs_diff(line), *old, *new))?;
        Some(i64::from(line) + i64::from(*new) - i64::from(*old))
    }
}

/// Pairs the findings of the scan before with those of this one: old name, new name, why.
pub fn pairs<Old: Copy + Ord, New: Copy + Ord>(
    old: &[Candidate<Old>],
    new: &[Candidate<New>],
    anchors: &Anchors,
) -> Vec<(Old, New, Reason)> {
    let mut sides = Sides::of(old, new, anchors);
    sides.in_order(Reason::Equal, |one| Some(one.base));
    sides.in_order(Reason::Code, |one| {
        Some((Rule::of(one.parts), &one.parts.target, one.parts.code?))
    });
    sides.by_neighbours();
    sides.only_one(Reason::ToolId, |one| {
        Some((Rule::of(one.parts), one.parts.tool_id?))
    });
    renamed::pair(&mut sides);
    sides.in_order(Reason::Order, |one| {
        let is_unknown = one.parts.kind == Kind::Code && one.parts.code.is_none();
        is_unknown.then_some((Rule::of(one.parts), &one.parts.target))
    });
    let named = |(one, other, why): (usize, usize, Reason)| (old[one].name, new[other].name, why);
    sides.pairs.into_iter().map(named).collect()
}
