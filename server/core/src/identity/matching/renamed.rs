//! Files that have another name: what is gone from one path is there at one other.
//!
//! How much two paths share is the number of findings with equal rule and code in context; where the tool tells no
//! code, of those with equal rule, and then all must agree. Each must be the other's only best; of equally good
//! ones, one with the same file name.

use std::collections::{BTreeMap, HashMap};

use super::Reason;
use super::sides::{One, Rule, Sides};
use crate::identity::{Kind, PartHash};

/// Paths that may share one key: what is in more files says nothing about any.
const PATHS_MAX: usize = 64;

/// What findings of two files are compared by.
type Key<'a> = (Rule<'a>, Option<PartHash>);

pub(super) fn pair(sides: &mut Sides<'_>) {
    let (old, new) = (by_path(&sides.old), by_path(&sides.new));
    for (from, to) in renames(sides) {
        let mut buckets: BTreeMap<Key<'_>, (Vec<One<'_>>, Vec<One<'_>>)> = BTreeMap::new();
        for one in &old[from] {
            buckets.entry(key(*one)).or_default().0.push(*one);
        }
        for one in &new[to] {
            buckets.entry(key(*one)).or_default().1.push(*one);
        }
        for (old, new) in buckets.into_values() {
            sides.pair_in_order(Reason::Renamed, &old, &new);
        }
    }
    sides.keep_unpaired();
}

fn by_path<'a>(side: &[One<'a>]) -> HashMap<&'a str, Vec<One<'a>>> {
    let mut files: HashMap<&str, Vec<One<'_>>> = HashMap::new();
    for one in side.iter().filter(|one| is_file(one)) {
        files.entry(&one.parts.target).or_default().push(*one);
    }
    files
}

fn is_file(one: &One<'_>) -> bool {
    one.parts.kind == Kind::Code
}

fn key(one: One<'_>) -> Key<'_> {
    (Rule::of(one.parts), one.parts.code)
}

/// Paths and what they were renamed to.
fn renames<'a>(sides: &Sides<'a>) -> Vec<(&'a str, &'a str)> {
    let mut paths: BTreeMap<Key<'_>, [BTreeMap<&str, u32>; 2]> = BTreeMap::new();
    let mut totals: [HashMap<&str, u32>; 2] = [HashMap::new(), HashMap::new()];
    for (side, ones) in [&sides.old, &sides.new].into_iter().enumerate() {
        for one in ones.iter().filter(|one| is_file(one)) {
            let path = one.parts.target.as_str();
            *paths.entry(key(*one)).or_default()[side].entry(path).or_default() += 1;
            *totals[side].entry(path).or_default() += 1;
        }
    }
    // of two paths: how many findings they share, and whether one of them says what its code is
    let mut shared: BTreeMap<(&str, &str), (u32, bool)> = BTreeMap::new();
    for ((_, code), [old, new]) in &paths {
        if old.len() > PATHS_MAX || new.len() > PATHS_MAX {
            continue;
        }
        for (from, gone) in old {
            for (to, come) in new.iter().filter(|(to, _)| to != &from) {
                let both = shared.entry((from, to)).or_default();
                both.0 += gone.min(come);
                both.1 |= code.is_some();
            }
        }
    }
    let mut best: [HashMap<&str, Vec<(u32, &str)>>; 2] = [HashMap::new(), HashMap::new()];
    for ((from, to), (count, is_known)) in shared {
        let is_all = totals[0].get(from) == Some(&count) && totals[1].get(to) == Some(&count);
        if is_known || is_all {
            let weight = 2 * count + u32::from(file_name(from) == file_name(to));
            best[0].entry(from).or_default().push((weight, to));
            best[1].entry(to).or_default().push((weight, from));
        }
    }
    let mut renames: Vec<(&str, &str)> = Vec::new();
    for (from, candidates) in &best[0] {
        let Some(to) = only_best(candidates) else {
            continue;
        };
        if best[1].get(to).and_then(|back| only_best(back)) == Some(from) {
            renames.push((from, to));
        }
    }
    renames.sort_unstable();
    renames
}

fn only_best<'a>(candidates: &[(u32, &'a str)]) -> Option<&'a str> {
    let most = candidates.iter().map(|(weight, _)| *weight).max()?;
    let mut best = candidates.iter().filter(|(weight, _)| *weight == most);
    match (best.next(), best.next()) {
        (Some((_, only)), None) => Some(only),
        _ => None,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
