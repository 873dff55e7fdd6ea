//! Groups of advisory ids that are of one flaw: a union–find over what findings tell.
//!
//! A finding tells that ids are of one flaw when it names at most one of each source ([`told`]). One that names two
//! CVEs speaks of two flaws, and its other ids could be of either; a bulletin of a distribution may speak of several,
//! so it is in no group with others. What is known of one id (EPSS, KEV) is then looked up through all ids of its group
//! when it is read, and nothing is copied into rows.
//!
//! The groups and their representatives do not depend on the order of what was told, as long as there is room.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::advisory::{Advisory, Family};
use crate::finding::Finding;

/// Ids in one set of groups, some 150 bytes each. All sources of packages together have not had as many yet.
pub const IDS_MAX: usize = 1_000_000;

/// There is no room for more ids; what was told last is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {IDS_MAX} ids of advisories")]
pub struct GroupsFull;

/// The ids of a finding's advisories, the best known first, each once: its own list, and its rule's id where that is
/// one.
pub fn named(finding: &Finding) -> Vec<Advisory> {
    named_in(finding.cve.iter().chain([&finding.rule_id]).map(String::as_str))
}

/// Of texts, those that are ids of advisories: the best known first, each once.
pub fn named_in<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Advisory> {
    let mut ids: Vec<Advisory> = texts.filter_map(Advisory::parse).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Of the ids that a finding names, those that it tells to be of one flaw: none, or at least two.
pub fn told(named: &[Advisory]) -> &[Advisory] {
    // sorted, so bulletins are last and ids of one source stand together
    let flaws = named.partition_point(|id| id.family() < Family::Bulletin);
    let flaws = &named[..flaws];
    let is_one_flaw = flaws.windows(2).all(|pair| pair[0].source() != pair[1].source());
    if is_one_flaw && flaws.len() > 1 {
        flaws
    } else {
        &[]
    }
}

#[derive(Debug, Clone)]
struct Node {
    id: Advisory,
    /// Itself, where it is the root of its group.
    parent: u32,
    /// Of a root: how many the group has.
    size: u32,
    /// Of a root: the best known of the group.
    best: u32,
    /// The next one of the group, in a ring.
    next: u32,
}

/// Which ids are of one flaw.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    numbers: HashMap<Advisory, u32>,
    nodes: Vec<Node>,
}

impl Groups {
    /// Puts the ids, and all that were with one of them, into one group.
    ///
    /// # Errors
    /// [`GroupsFull`] when there is no room for all that are not known yet; then none is taken.
    pub fn join(&mut self, ids: &[Advisory]) -> Result<(), GroupsFull> {
        let unknown = ids.iter().filter(|id| !self.numbers.contains_key(*id)).count();
        if self.nodes.len() + unknown > IDS_MAX {
            return Err(GroupsFull);
        }
        let mut ids = ids.iter();
        let Some(first) = ids.next() else {
            return Ok(());
        };
        let first = self.number(first);
        for id in ids {
            let other = self.number(id);
            self.unite(first, other);
        }
        Ok(())
    }

    /// The best known id of an id's group: its CVE, else its GHSA, else the one that comes first as text. An id that is
    /// in no group stands for itself.
    pub fn representative<'a>(&'a self, id: &'a Advisory) -> &'a Advisory {
        self.numbers.get(id).map_or(id, |number| {
            let root = self.root(*number);
            &self.node(self.node(root).best).id
        })
    }

    /// All ids of an id's group with itself, the best known first.
    pub fn members<'a>(&'a self, id: &'a Advisory) -> Vec<&'a Advisory> {
        let Some(start) = self.numbers.get(id) else {
            return vec![id];
        };
        let ring = std::iter::successors(Some(*start), |at| {
            let next = self.node(*at).next;
            (next != *start).then_some(next)
        });
        let mut members: Vec<&Advisory> = ring.map(|at| &self.node(at).id).collect();
        members.sort();
        members
    }

    /// How many ids are in groups.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was told yet.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize]
    }

    /// Of an id, which becomes a group of its own if it is not known.
    fn number(&mut self, id: &Advisory) -> u32 {
        match self.numbers.entry(id.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let number = self.nodes.len() as u32;
                free.insert(number);
                self.nodes.push(Node {
                    id: id.clone(),
                    parent: number,
                    size: 1,
                    best: number,
                    next: number,
                });
                number
            }
        }
    }

    /// The smaller group always goes below the larger one, so the way up has 20 steps at most.
    fn root(&self, mut number: u32) -> u32 {
        loop {
            let parent = self.node(number).parent;
            if parent == number {
                return number;
            }
            number = parent;
        }
    }

    fn unite(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        let (large, small) = if self.node(one).size >= self.node(other).size {
            (one, other)
        } else {
            (other, one)
        };
        let (size, best, next) = {
            let node = self.node(small);
            (node.size, node.best, node.next)
        };
        let is_better = self.node(best).id < self.node(self.node(large).best).id;
        let large_next = self.node(large).next;
        // two rings that exchange their next ones are one
        self.node_mut(small).next = large_next;
        self.node_mut(small).parent = large;
        let large = self.node_mut(large);
        large.next = next;
        large.size += size;
        if is_better {
            large.best = best;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::finding::tests::plain;

    fn id(text: &str) -> Advisory {
        Advisory::parse(text).unwrap()
    }

    fn texts<'a>(ids: impl IntoIterator<Item = &'a Advisory>) -> Vec<&'a str> {
        ids.into_iter().map(Advisory::as_str).collect()
    }

    fn finding(rule: &str, cve: &[&str]) -> Finding {
        Finding {
            rule_id: rule.into(),
            cve: cve.iter().map(|id| (*id).to_owned()).collect(),
            ..plain()
        }
    }

    #[test]
    fn a_chain_of_findings_makes_one_group() {
        let mut groups = Groups::default();
        for found in [
            finding("PYSEC-2021-19", &["GHSA-jfh8-c2jp-5v3q"]),
            finding("some.rule", &["CVE-2021-44228", "ghsa-jfh8-c2jp-5v3q"]),
        ] {
            groups.join(told(&named(&found))).unwrap();
        }
        let pysec = id("PYSEC-2021-19");
        assert_eq!(groups.representative(&pysec).as_str(), "CVE-2021-44228");
        assert_eq!(
            texts(groups.members(&pysec)),
            ["CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q", "PYSEC-2021-19"]
        );
        assert_eq!(groups.len(), 3);
        let stranger = id("GO-2022-0001");
        assert_eq!(groups.representative(&stranger), &stranger);
        assert_eq!(groups.members(&stranger), [&stranger]);
    }

    #[test]
    fn a_finding_that_could_speak_of_several_flaws_joins_none() {
        for (rule, ids) in [
            (
                "rule",
                &["CVE-2021-0001", "CVE-2021-0002", "GHSA-jfh8-c2jp-5v3q"][..],
            ),
            ("GHSA-cfgh-jmpq-rvwx", &["GHSA-jfh8-c2jp-5v3q", "CVE-2021-0001"]),
            ("DSA-5020-1", &["CVE-2021-0001"]),
            ("CVE-2021-0001", &["CVE-2021-0001"]),
            ("rule", &["CWE-79", "CVE-2021-0001"]),
            ("rule", &[]),
        ] {
            let named = named(&finding(rule, ids));
            assert_eq!(texts(told(&named)), Vec::<&str>::new(), "{rule} {ids:?}");
        }
        let with_bulletin = named(&finding("DSA-5020-1", &["GO-2022-0001", "CVE-2021-0001"]));
        assert_eq!(texts(told(&with_bulletin)), ["CVE-2021-0001", "GO-2022-0001"]);
    }

    /// Groups by the slow and plain way.
    fn closure(told: &[Vec<Advisory>]) -> Vec<BTreeSet<Advisory>> {
        let mut sets: Vec<BTreeSet<Advisory>> = Vec::new();
        for ids in told {
            let mut merged: BTreeSet<Advisory> = ids.iter().cloned().collect();
            sets.retain(|set| {
                let apart = set.is_disjoint(&merged);
                if !apart {
                    merged.extend(set.iter().cloned());
                }
                apart
            });
            sets.push(merged);
        }
        sets
    }

    #[test]
    fn groups_do_not_depend_on_the_order_of_what_was_told() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let pool: Vec<Advisory> = (0..random.random_range(2..60))
                .map(|number| match number % 3 {
                    0 => id(&format!("CVE-2021-{:04}", 1000 + number)),
                    1 => id(&format!("GHSA-2222-2222-2{}22", 2 + number % 8)),
                    _ => id(&format!("OSV-2021-{number}")),
                })
                .collect();
            let mut told: Vec<Vec<Advisory>> = (0..random.random_range(1..40))
                .map(|_| {
                    let count = random.random_range(1..4);
                    (0..count)
                        .map(|_| pool[random.random_range(0..pool.len())].clone())
                        .collect()
                })
                .collect();
            let expected = closure(&told);
            for _ in 0..3 {
                told.shuffle(&mut random);
                let mut groups = Groups::default();
                for ids in &told {
                    groups.join(ids).unwrap();
                }
                assert_eq!(groups.len(), expected.iter().map(BTreeSet::len).sum::<usize>());
                for set in &expected {
                    for id in set {
                        assert_eq!(groups.representative(id), set.first().unwrap());
                        assert!(groups.members(id).into_iter().eq(set));
                    }
                }
            }
        }
    }

    #[test]
    fn a_full_set_takes_no_more_and_keeps_what_it_has() {
        let mut groups = Groups::default();
        let many: Vec<Advisory> = (0..IDS_MAX)
            .map(|number| id(&format!("OSV-1-{number}")))
            .collect();
        groups.join(&many).unwrap();
        let (last, more) = (id("OSV-1-999999"), id("CVE-2021-0001"));
        assert_eq!(groups.join(&[last.clone(), more.clone()]), Err(GroupsFull));
        assert_eq!(groups.representative(&last).as_str(), "OSV-1-0");
        assert_eq!(groups.members(&more), [&more]);
        groups.join(&[last, many[0].clone()]).unwrap();
        assert_eq!(groups.len(), IDS_MAX);
    }
}
