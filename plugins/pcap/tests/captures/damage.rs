//! Captures that are cut, flipped, or come in other pieces.

use std::time::{Duration, Instant};

use tamiz_sdk::memory::MemoryInput;

use crate::cases::captures;
use crate::run::{run, run_inputs};

/// A damaged case takes milliseconds; this is a bound against endless loops, not a measure of speed.
const CASE_DEADLINE: Duration = Duration::from_secs(20);
const FLIPPED_COPIES: u64 = 60;
const FLIPS_PER_COPY: u64 = 30;

#[test]
fn a_capture_cut_anywhere_keeps_the_packets_before_the_cut() {
    for (file, bytes) in captures("captures") {
        let whole = run(&file, &bytes).packets();
        let mut before = 0;
        for twentieth in 0..20 {
            let answer = run(&file, &bytes[..bytes.len() * twentieth / 20]);
            let packets = answer.packets();
            assert!(
                packets >= before && packets < whole,
                "{file} at {twentieth}/20: {packets} of {whole}"
            );
            before = packets;
            let word = answer.word();
            let good = match packets {
                0 => word == "corrupt",
                _ => word == "truncated" || (word == "complete" && answer.diagnostics.is_empty()),
            };
            assert!(good, "{file} at {twentieth}/20: {word}");
        }
    }
}

#[test]
fn flipped_bytes_cost_packets_and_nothing_else() {
    let mut state = 0x5eed_5eed_5eed_5eed_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for folder in ["captures", "hostile"] {
        for (file, bytes) in captures(folder) {
            let copies = FLIPPED_COPIES * 20_000 / (bytes.len() as u64).max(20_000);
            for _ in 0..copies.max(5) {
                let mut damaged = bytes.clone();
                for _ in 0..FLIPS_PER_COPY {
                    let at = random() as usize % damaged.len();
                    damaged[at] = random() as u8;
                }
                let begun = Instant::now();
                let answer = run(&file, &damaged);
                assert!(begun.elapsed() < CASE_DEADLINE, "{file}");
                assert!(answer.packets() <= bytes.len() as u64 / 16);
            }
        }
    }
}

#[test]
fn chunks_of_any_size_give_the_same_answer() {
    for (file, bytes) in captures("captures").into_iter().chain(captures("hostile")) {
        let whole = run(&file, &bytes).to_json();
        for chunk in [1, 17, 4096] {
            if chunk == 1 && bytes.len() > 50_000 {
                continue;
            }
            let input = MemoryInput::new(&file, &bytes[..]).with_chunk_bytes(chunk);
            assert_eq!(
                run_inputs(vec![input]).to_json(),
                whole,
                "{file} in chunks of {chunk}"
            );
        }
    }
}
