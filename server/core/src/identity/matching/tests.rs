//! Each step of the matcher, in both orders of the reports.

use super::*;
use crate::Finding;
use crate::finding::tests::plain;
use crate::identity::Lines;
use crate::location::{Location, Position as At};

/// A file of distinct lines.
fn file(lines: u32) -> Vec<String> {
    (1..=lines).map(|line| format!("line {line}")).collect()
}

fn flaw<Name>(name: Name, path: &str, line: u32, source: Option<&[String]>) -> Candidate<Name> {
    let finding = Finding {
        locations: vec![Location::File {
            path: path.into(),
            start: Some(At { line, column: None }),
            end: None,
            snippet: None,
        }],
        ..plain()
    };
    let source: Option<Vec<&str>> = source.map(|lines| lines.iter().map(String::as_str).collect());
    let lines = source.and_then(|lines| Lines::of_source(&lines, line, line));
    let parts = Parts::of(&finding, lines);
    Candidate {
        name,
        base: parts.base(),
        parts,
        position: (line, 0, [0; 16]),
    }
}

fn check(old: &[Candidate<u32>], new: &[Candidate<char>], want: &[(u32, char, Reason)]) {
    let mut found = pairs(old, new, &Anchors::default());
    found.sort();
    assert_eq!(found, want);
    let (old, new): (Vec<_>, Vec<_>) = (
        old.iter().rev().cloned().collect(),
        new.iter().rev().cloned().collect(),
    );
    let mut turned = pairs(&old, &new, &Anchors::default());
    turned.sort();
    assert_eq!(turned, want, "in another order");
}

#[test]
fn equals_that_became_more_stay_with_the_nearest() {
    let same: Vec<String> = vec!["x = eval(y)".into(); 90];
    let at = |name, line| flaw(name, "a.py", line, Some(&same));
    let new = ['a', 'b', 'c', 'd'].into_iter().zip([13, 23, 33, 43]);
    let new: Vec<_> = new
        .map(|(name, line)| flaw(name, "a.py", line, Some(&same)))
        .collect();
    let equal = Reason::Equal;
    check(
        &[at(1, 20), at(2, 30), at(3, 40)],
        &new,
        &[(1, 'b', equal), (2, 'c', equal), (3, 'd', equal)],
    );
}

#[test]
fn edited_code_between_the_same_neighbours_is_the_same_place() {
    let before = file(30);
    let mut after = before.clone();
    after[9] = "another".into();
    check(
        &[flaw(1, "a.py", 10, Some(&before))],
        &[flaw('a', "a.py", 10, Some(&after))],
        &[(1, 'a', Reason::Neighbours)],
    );
}

#[test]
fn edited_neighbours_leave_the_code_where_it_is() {
    let before = file(30);
    let mut after = before.clone();
    after.insert(9, "inserted".into());
    after[8] = "edited".into();
    check(
        &[flaw(1, "a.py", 10, Some(&before))],
        &[flaw('a', "a.py", 11, Some(&after))],
        &[(1, 'a', Reason::Code)],
    );
}

#[test]
fn other_code_elsewhere_in_the_file_is_new() {
    let lines = file(60);
    check(
        &[flaw(1, "a.py", 10, Some(&lines))],
        &[flaw('a', "a.py", 40, Some(&lines))],
        &[],
    );
}

#[test]
fn a_file_with_another_name_keeps_its_flaws() {
    let lines = file(30);
    let renamed = Reason::Renamed;
    check(
        &[
            flaw(1, "old/a.py", 10, Some(&lines)),
            flaw(2, "old/a.py", 20, Some(&lines)),
        ],
        &[
            flaw('a', "new/b.py", 10, Some(&lines)),
            flaw('b', "new/b.py", 20, Some(&lines)),
        ],
        &[(1, 'a', renamed), (2, 'b', renamed)],
    );
}

#[test]
fn one_of_two_equal_files_that_could_be_the_renamed_one_is_not_guessed() {
    let lines = file(30);
    check(
        &[flaw(1, "a.py", 10, Some(&lines))],
        &[
            flaw('a', "b.py", 10, Some(&lines)),
            flaw('b', "c.py", 10, Some(&lines)),
        ],
        &[],
    );
    // unless one has its name
    check(
        &[flaw(1, "a.py", 10, Some(&lines))],
        &[
            flaw('a', "x/a.py", 10, Some(&lines)),
            flaw('b', "c.py", 10, Some(&lines)),
        ],
        &[(1, 'a', Reason::Renamed)],
    );
}

#[test]
fn without_code_a_renamed_file_must_agree_in_all() {
    let renamed = Reason::Renamed;
    check(
        &[flaw(1, "a.py", 10, None), flaw(2, "a.py", 20, None)],
        &[flaw('a', "b.py", 13, None), flaw('b', "b.py", 23, None)],
        &[(1, 'a', renamed), (2, 'b', renamed)],
    );
    check(
        &[flaw(1, "a.py", 10, None), flaw(2, "a.py", 20, None)],
        &[flaw('a', "b.py", 13, None)],
        &[],
    );
}

#[test]
fn the_tools_id_counts_when_it_stands_for_one() {
    let lines = file(60);
    let with = |id: Option<[u8; 16]>, mut candidate: Candidate<char>| {
        candidate.parts.tool_id = id;
        candidate
    };
    let old = Candidate {
        name: 1,
        ..flaw(1, "a.py", 10, Some(&lines))
    };
    let old = Candidate {
        parts: Parts {
            tool_id: Some([7; 16]),
            ..old.parts.clone()
        },
        ..old
    };
    let a = with(Some([7; 16]), flaw('a', "a.py", 40, Some(&lines)));
    let b = with(Some([7; 16]), flaw('b', "a.py", 50, Some(&lines)));
    check(
        std::slice::from_ref(&old),
        std::slice::from_ref(&a),
        &[(1, 'a', Reason::ToolId)],
    );
    check(&[old], &[a, b], &[]);
}

#[test]
fn lines_that_moved_are_expected_where_their_file_says() {
    let same: Vec<String> = vec!["x = eval(y)".into(); 90];
    let old = [10, 20, 30].map(|line| flaw(line, "a.py", line, Some(&same)));
    let new = [25, 35].map(|line| flaw(line, "a.py", line, Some(&same)));
    let mut anchors = Anchors::default();
    anchors.add("a.py", 5, 20);
    let mut found = pairs(&old, &new, &anchors);
    found.sort();
    assert_eq!(found, [(10, 25, Reason::Equal), (20, 35, Reason::Equal)]);
}
