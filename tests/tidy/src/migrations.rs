//! Migrations go forward only: numbered without gaps, each with a word why.

use std::collections::BTreeMap;

use crate::{check, tree};

#[test]
fn migrations_are_numbered_and_say_what_they_do() {
    let mut sets: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in tree::files() {
        let Some(inner) = file.path.strip_prefix("migrations/") else {
            continue;
        };
        let Some((set, name)) = inner.split_once('/') else {
            problems.push(format!("{} is in no set", file.path));
            continue;
        };
        let number = name.split_once('_').and_then(|(number, words)| {
            let spelled = number.len() == 4 && file.extension() == "sql" && words.len() > ".sql".len();
            spelled.then(|| number.parse().ok()).flatten()
        });
        match number {
            Some(number) => sets.entry(set).or_default().push(number),
            None => problems.push(format!("{} is not named NNNN_words.sql", file.path)),
        }
        if !file.text().starts_with("-- ") {
            problems.push(format!("{} does not open with a comment", file.path));
        }
    }
    for (set, numbers) in &sets {
        let wanted = 1..;
        let gap = numbers
            .iter()
            .zip(wanted)
            .find(|(number, wanted)| **number != *wanted);
        problems.extend(gap.map(|(number, _)| format!("migrations/{set}: {number:04} is out of order")));
    }
    assert_eq!(sets.keys().copied().collect::<Vec<_>>(), ["control", "tenant"]);
    check("migrations are numbered and say what they do", &problems);
}
