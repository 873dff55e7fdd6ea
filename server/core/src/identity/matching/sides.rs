//! Both sides of a comparison, and the steps that pair within a bucket of equal keys.

use std::collections::{BTreeMap, HashSet};

use super::{Anchors, Candidate, Reason, nearest};
use crate::identity::ordinals::Position;
use crate::identity::{Fingerprint, Kind, Parts};

/// Neighbours that both must share at least, to be one place whose code was edited.
const SHARED_MIN: f64 = 0.5;
/// Comparisons of neighbourhoods in one bucket; a larger one has no answer that anybody could check.
const COMPARED_MAX: usize = 250_000;

/// Kind, tool and rule: no step crosses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rule<'a>(Kind, &'a str, &'a str);

impl<'a> Rule<'a> {
    pub(super) fn of(parts: &'a Parts) -> Self {
        Self(parts.kind, &parts.tool, &parts.rule)
    }
}

/// One finding that waits for its partner.
#[derive(Debug, Clone, Copy)]
pub(super) struct One<'a> {
    pub(super) parts: &'a Parts,
    pub(super) base: Fingerprint,
    pub(super) position: Position,
    /// Its index in the caller's list.
    pub(super) index: usize,
}

/// Both sides, each in an order that no report has a say in, and the pairs so far by their indices.
pub(super) struct Sides<'a> {
    pub(super) old: Vec<One<'a>>,
    pub(super) new: Vec<One<'a>>,
    pub(super) pairs: Vec<(usize, usize, Reason)>,
    anchors: &'a Anchors,
}

impl<'a> Sides<'a> {
    pub(super) fn of<Old: Ord, New: Ord>(
        old: &'a [Candidate<Old>],
        new: &'a [Candidate<New>],
        anchors: &'a Anchors,
    ) -> Self {
        Self {
            old: sorted(old),
            new: sorted(new),
            pairs: Vec::new(),
            anchors,
        }
    }

    /// Pairs those with equal keys in the order of their lines.
    pub(super) fn in_order<Key: Ord>(&mut self, why: Reason, key: impl Fn(&One<'a>) -> Option<Key>) {
        for (old, new) in self.buckets(&key) {
            self.pair_in_order(why, &old, &new);
        }
        self.keep_unpaired();
    }

    /// Pairs those whose key nobody else has, on either side.
    pub(super) fn only_one<Key: Ord>(&mut self, why: Reason, key: impl Fn(&One<'a>) -> Option<Key>) {
        for (old, new) in self.buckets(&key) {
            if let ([one], [other]) = (&old[..], &new[..]) {
                self.pairs.push((one.index, other.index, why));
            }
        }
        self.keep_unpaired();
    }

    /// Pairs places of one file and rule whose neighbours are the same and whose code is not: each must be the
    /// other's best.
    pub(super) fn by_neighbours(&mut self) {
        let key = |one: &One<'a>| {
            let is_known = one.parts.lines.is_some();
            is_known.then_some((Rule::of(one.parts), &one.parts.target))
        };
        for (old, new) in self.buckets(&key) {
            if old.len().saturating_mul(new.len()) > COMPARED_MAX {
                continue;
            }
            let shared = |one: &One<'_>, other: &One<'_>| match (&one.parts.lines, &other.parts.lines) {
                (Some(one), Some(other)) => one.neighbours_shared(other),
                _ => 0.0,
            };
            for one in &old {
                let Some(other) = only_best(new.iter().map(|other| shared(one, other))) else {
                    continue;
                };
                let back = only_best(old.iter().map(|back| shared(back, &new[other])));
                if back.is_some_and(|back| old[back].index == one.index) {
                    self.pairs.push((one.index, new[other].index, Reason::Neighbours));
                }
            }
        }
        self.keep_unpaired();
    }

    pub(super) fn pair_in_order(&mut self, why: Reason, old: &[One<'a>], new: &[One<'a>]) {
        let expected = |one: &One<'_>| self.anchors.expected(&one.parts.target, one.parts.line);
        let known: Option<Vec<i64>> = old.iter().map(expected).collect();
        let is_expected = known.is_some();
        let lines = |side: &[One<'_>]| side.iter().map(|one| i64::from(one.parts.line)).collect();
        let old_lines = known.unwrap_or_else(|| lines(old));
        let new_lines: Vec<i64> = lines(new);
        let paired = nearest::pair(&old_lines, &new_lines, is_expected);
        let paired = paired.into_iter();
        let named = paired.map(|(one, other)| (old[one].index, new[other].index, why));
        self.pairs.extend(named);
    }

    /// Those with a key, by key; buckets that both sides have something in.
    pub(super) fn buckets<Key: Ord>(
        &self,
        key: &impl Fn(&One<'a>) -> Option<Key>,
    ) -> Vec<(Vec<One<'a>>, Vec<One<'a>>)> {
        let mut buckets: BTreeMap<Key, (Vec<One<'a>>, Vec<One<'a>>)> = BTreeMap::new();
        for one in &self.old {
            if let Some(key) = key(one) {
                buckets.entry(key).or_default().0.push(*one);
            }
        }
        for one in &self.new {
            // what only one side has needs no bucket
            if let Some(bucket) = key(one).and_then(|key| buckets.get_mut(&key)) {
                bucket.1.push(*one);
            }
        }
        buckets.into_values().filter(|(_, new)| !new.is_empty()).collect()
    }

    pub(super) fn keep_unpaired(&mut self) {
        let (old, new): (HashSet<usize>, HashSet<usize>) =
            self.pairs.iter().map(|(one, other, _)| (*one, *other)).unzip();
        self.old.retain(|one| !old.contains(&one.index));
        self.new.retain(|one| !new.contains(&one.index));
    }
}

fn sorted<Name: Ord>(side: &[Candidate<Name>]) -> Vec<One<'_>> {
    let ones = side.iter().enumerate().map(|(index, candidate)| One {
        parts: &candidate.parts,
        base: candidate.base,
        position: candidate.position,
        index,
    });
    let mut ones: Vec<One<'_>> = ones.collect();
    ones.sort_by(|one, other| {
        let place = |one: &One<'_>| (one.parts.line, one.position, one.base);
        place(one)
            .cmp(&place(other))
            .then_with(|| side[one.index].name.cmp(&side[other.index].name))
    });
    ones
}

/// The index of the largest, if it is large enough and the only one.
fn only_best(shared: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best = None;
    let mut most = SHARED_MIN;
    for (index, shared) in shared.enumerate() {
        if shared > most || (best.is_none() && shared >= most) {
            (best, most) = (Some(Some(index)), shared);
        } else if best.is_some() && shared >= most {
            best = Some(None);
        }
    }
    best.flatten()
}
