//! Tests that are skipped, waits that are sleeps, code that was to be finished later.

use crate::rust_text::{code_only, line_of, test_blocks, words};
use crate::tree::File;
use crate::{check, exceptions, tree};

#[test]
fn no_test_is_skipped_and_nothing_is_left_for_later() {
    let mut problems = Vec::new();
    for file in tree::rust() {
        let code = code_only(file.text());
        for left in ["#[ignore", "todo!(", "dbg!(", "unimplemented!("] {
            problems.extend(
                code.match_indices(left)
                    .map(|(at, _)| format!("{}:{}: {left}", file.path, line_of(&code, at))),
            );
        }
    }
    check("nothing is skipped or left for later", &problems);
}

#[test]
fn tests_wait_for_conditions() {
    let mut problems = Vec::new();
    let mut sleeping = Vec::new();
    for file in tree::rust() {
        let count = sleeps_in_tests(file).len();
        if count == 0 {
            continue;
        }
        sleeping.push(file.path.as_str());
        match exceptions::SLEEPS.iter().find(|(path, _, _)| *path == file.path) {
            Some((_, allowed, _)) if *allowed == count => {}
            Some((_, allowed, _)) => {
                problems.push(format!("{}: {count} sleeps, {allowed} are excepted", file.path));
            }
            None => problems.extend(
                sleeps_in_tests(file)
                    .into_iter()
                    .map(|line| format!("{}:{line}: a sleep in a test", file.path)),
            ),
        }
    }
    let unneeded = exceptions::SLEEPS
        .iter()
        .filter(|(path, _, _)| !sleeping.contains(path));
    problems.extend(unneeded.map(|(path, _, _)| format!("{path} needs no exception any more")));
    check(
        "a test waits for a condition with a deadline, it does not sleep",
        &problems,
    );
}

/// The lines on which tests of a file sleep.
fn sleeps_in_tests(file: &File) -> Vec<usize> {
    let code = code_only(file.text());
    let all =
        file.path.starts_with("tests/") || file.path.contains("/tests/") || file.name().ends_with("tests.rs");
    let blocks = test_blocks(&code);
    words(&code, "sleep")
        .filter(|at| code[at + "sleep".len()..].starts_with('('))
        .filter(|at| all || blocks.iter().any(|block| block.contains(at)))
        .map(|at| line_of(&code, at))
        .filter(|line| !pauses_before_a_deadline(&code, *line))
        .collect()
}

/// Whether the lines just above look at a deadline: the pause of a loop that waits for a condition.
fn pauses_before_a_deadline(code: &str, line: usize) -> bool {
    const LINES_ABOVE: usize = 6;
    let above = code.lines().take(line).skip(line.saturating_sub(LINES_ABOVE));
    above.into_iter().any(|line| line.contains("deadline"))
}
