//! A thousand random edits of a source tree with planted flaws, against a model that knows which flaw is which.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::Finding;
use crate::finding::tests::plain;
use crate::identity::Lines;
use crate::location::{Location, Position as At};

const EDITS: u32 = 1_000;
const FILES: usize = 12;
const LINES: usize = 80;
const RULES: usize = 4;

/// A line of the model; a flaw keeps its number whatever happens to its text.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    flaw: Option<(u32, usize)>,
}

struct Tree {
    files: BTreeMap<String, Vec<Line>>,
    random: StdRng,
    flaws: u32,
    names: u32,
}

impl Tree {
    fn grown(seed: u64) -> Self {
        let mut tree = Self {
            files: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
            flaws: 0,
            names: 0,
        };
        for file in 0..FILES {
            let lines = (0..LINES).map(|_| {
                if tree.random.random_ratio(1, 8) {
                    tree.flaw()
                } else {
                    tree.harmless()
                }
            });
            let lines = lines.collect();
            tree.files.insert(format!("src/module_{file}.py"), lines);
        }
        tree
    }

    /// Lines as programs have them: some are everywhere.
    fn harmless(&mut self) -> Line {
        let text = match self.random.random_range(0..10) {
            0 => String::new(),
            1 => "    }".to_owned(),
            2 => "    return result".to_owned(),
            _ => {
                self.names += 1;
                format!("    value_{} = load({})", self.names, self.names * 7)
            }
        };
        Line { text, flaw: None }
    }

    /// Few texts for many flaws, so that there are equals.
    fn flaw(&mut self) -> Line {
        self.flaws += 1;
        let rule = self.random.random_range(0..RULES);
        let text = format!("    danger_{rule}(input_{})", self.random.random_range(0..6));
        Line {
            text,
            flaw: Some((self.flaws, rule)),
        }
    }

    fn any_file(&mut self) -> String {
        let at = self.random.random_range(0..self.files.len());
        self.files.keys().nth(at).cloned().unwrap_or_default()
    }

    /// A line that is a flaw, or one that is not.
    fn any_line(&mut self, path: &str, is_flaw: bool) -> Option<usize> {
        let lines = &self.files[path];
        let fitting = (0..lines.len()).filter(|at| lines[*at].flaw.is_some() == is_flaw);
        let fitting: Vec<usize> = fitting.collect();
        let at = self.random.random_range(0..fitting.len().max(1));
        fitting.get(at).copied()
    }

    /// One edit, as people make them; what it was.
    fn edit(&mut self) -> &'static str {
        let path = self.any_file();
        let kind = self.random.random_range(0..11);
        let (harmless, flaw) = (self.any_line(&path, false), self.any_line(&path, true));
        let (new_line, new_flaw) = (self.harmless(), self.flaw());
        let many: Vec<Line> = (0..self.random.random_range(1..20))
            .map(|_| self.harmless())
            .collect();
        let at = self.random.random_range(0..=self.files[&path].len());
        self.names += 1;
        let names = self.names;
        let lines = self.files.get_mut(&path).unwrap();
        match (kind, harmless, flaw) {
            (0, ..) => {
                lines.splice(at..at, many);
                "lines are inserted"
            }
            (1, Some(line), _) => {
                lines.remove(line);
                "a line is deleted"
            }
            (2, Some(line), _) => {
                lines[line] = new_line;
                "a line is edited"
            }
            (3, _, Some(line)) => {
                lines[line].text = format!("{} # {names}", lines[line].text);
                "a flaw's line is edited"
            }
            (4, ..) => {
                for line in lines.iter_mut() {
                    line.text = format!("  {}", line.text);
                }
                "a file is indented"
            }
            (5, ..) => {
                let lines = self.files.remove(&path).unwrap();
                self.files.insert(format!("src/renamed_{names}.py"), lines);
                "a file is renamed"
            }
            (6, ..) => {
                let lines = self.files.remove(&path).unwrap();
                let name = path.rsplit('/').next().unwrap();
                self.files.insert(format!("lib_{names}/{name}"), lines);
                "a file is moved"
            }
            (7, ..) => {
                lines.insert(at, new_flaw);
                "a flaw is added"
            }
            (8, _, Some(line)) => {
                lines.remove(line);
                "a flaw is mended"
            }
            (9, _, Some(line)) => {
                let mut copy = lines[line].clone();
                copy.flaw = copy
                    .flaw
                    .zip(new_flaw.flaw)
                    .map(|((_, rule), (new, _))| (new, rule));
                lines.insert(at, copy);
                "a flaw is copied elsewhere"
            }
            _ => {
                let length = lines.len();
                lines.rotate_left(at % length.max(1));
                "a file's halves change places"
            }
        }
    }

    /// What a tool reports of the tree.
    fn scan(&self) -> Vec<Candidate<u32>> {
        let mut found = Vec::new();
        for (path, lines) in &self.files {
            let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            for (number, line) in (1..).zip(lines) {
                let Some((name, rule)) = line.flaw else {
                    continue;
                };
                let finding = Finding {
                    rule_id: format!("rule-{rule}"),
                    locations: vec![Location::File {
                        path: path.clone(),
                        start: Some(At {
                            line: number,
                            column: Some(5),
                        }),
                        end: None,
                        snippet: Some(line.text.clone()),
                    }],
                    ..plain()
                };
                let parts = Parts::of(&finding, Lines::of_source(&texts, number, number));
                found.push(Candidate {
                    name,
                    base: parts.base(),
                    position: (number, 5, [0; 16]),
                    parts,
                });
            }
        }
        found
    }
}

#[test]
fn of_a_thousand_edits_nearly_all_are_tracked_rightly() {
    let mut tree = Tree::grown(11);
    let mut right = 0;
    let mut wrong: BTreeMap<&str, u32> = BTreeMap::new();
    let mut before = tree.scan();
    for _ in 0..EDITS {
        let edit = tree.edit();
        let after = tree.scan();
        let there: BTreeSet<u32> = after.iter().map(|one| one.name).collect();
        let kept = before
            .iter()
            .map(|one| one.name)
            .filter(|name| there.contains(name));
        let expected: BTreeSet<(u32, u32)> = kept.map(|name| (name, name)).collect();
        let found = pairs(&before, &after, &Anchors::default());
        let found: BTreeSet<(u32, u32)> = found.into_iter().map(|(old, new, _)| (old, new)).collect();
        if found == expected {
            right += 1;
        } else {
            *wrong.entry(edit).or_default() += 1;
        }
        before = after;
    }
    println!("{right} of {EDITS} edits were tracked rightly; the others: {wrong:?}");
    assert!(right >= EDITS * 99 / 100, "{right}: {wrong:?}");
}
