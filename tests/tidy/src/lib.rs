//! The house rules, checked by reading the source tree as text: sizes, names, import directions,
//! tests that are not run, documents that fell behind the code.
//!
//! No dependencies and no build of anything else, so it answers in about a second: `cargo test -p
//! tidy`. What may break a rule stands in [`exceptions`] with the reason; an exception that is no
//! longer needed fails, so that the list only shrinks.
//!
//! Not here: what the compiler, clippy, typos and cargo-deny check (see `.ci/run`).

#![cfg(test)]

mod exceptions;

mod rust_text;
mod tree;

mod documents;
mod fences;
mod imports;
mod manifests;
mod migrations;
mod names;
mod sizes;
mod test_habits;

/// Fails with every problem at once.
#[track_caller]
fn check(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}:\n  {}\n", problems.join("\n  "));
}
