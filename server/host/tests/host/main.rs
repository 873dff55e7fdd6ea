//! The host against real components: honest ones, hostile ones, and bombs for the compiler.
//!
//! Needs `scripts/build-plugins codeaudit hostile reach` (`make test` does it) and the example `compile_child`, which `cargo test -p
//! tamiz-host` builds.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is all test code, clippy only knows functions marked so"
)]

mod bombs;
mod budgets;
mod compiling;
mod converting;
mod hostile;
mod reach;
mod records;
mod services;
mod sink;
mod world;
mod worlds;
