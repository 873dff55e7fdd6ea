//! Everything of WASI but sockets.

use wasip2::cli::{environment, stderr, stdin, stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::preopens;
use wasip2::random::{insecure, insecure_seed, random};

/// In nanoseconds.
const HOUR: u64 = 3_600 * 1_000_000_000;

pub(crate) fn sleep() {
    monotonic_clock::subscribe_duration(HOUR).block();
}

pub(crate) fn clock(say: fn(&str)) {
    let now = wall_clock::now();
    say(&format!("{}.{:09}", now.seconds, now.nanoseconds));
    let before = monotonic_clock::now();
    monotonic_clock::subscribe_duration(5_000_000).block();
    say(&format!("{}", monotonic_clock::now() - before));
}

pub(crate) fn random(say: fn(&str)) {
    say(&format!("{:?}", random::get_random_bytes(16)));
    say(&format!("{:?}", insecure::get_insecure_random_bytes(16)));
    say(&format!("{:?}", insecure_seed::insecure_seed()));
}

pub(crate) fn surroundings(say: fn(&str)) {
    say(&format!("{} folders", preopens::get_directories().len()));
    say(&format!("{} variables", environment::get_environment().len()));
    say(&format!("{} arguments", environment::get_arguments().len()));
    say(&format!("{:?}", environment::initial_cwd()));
    say(&format!(
        "{:?}",
        stdin::get_stdin().blocking_read(16).map(|bytes| bytes.len())
    ));
}

pub(crate) fn print() {
    let out = stdout::get_stdout();
    for piece in [&b"hello "[..], b"world\nnext", b" line\n\nlast"] {
        // what is not taken is seen in the test
        let _ = out.blocking_write_and_flush(piece);
    }
    let _ = stderr::get_stderr().blocking_write_and_flush(b"an error\n");
}

pub(crate) fn shout() {
    for _ in 0..100 {
        // the test logs none of them
        let _ = stdout::get_stdout().blocking_write_and_flush(b"hey\n");
    }
}
