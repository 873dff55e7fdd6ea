//! Guests that want to harm: each ends with its own verdict, in bounded time, alone.

mod borders;
mod crafted;
mod loading;
mod records;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tamiz_host::{ConvertFailure, PlanError, RunLimits, ScanRequest, TrapKind};

use crate::sink::Kept;
use crate::world::{deed, hostile, request, run, text, tight};

/// How late a verdict may be on a machine that is busy with other tests.
const LATE_MAX: Duration = Duration::from_secs(2);

fn limits(deadline: Duration) -> RunLimits {
    RunLimits { deadline, ..tight() }
}

#[test]
fn a_loop_ends_at_its_deadline() {
    hostile();
    let started = Instant::now();
    let run = deed("loop", limits(Duration::from_secs(1)));
    assert!(matches!(
        run.outcome,
        Err(ConvertFailure::Deadline { seconds: 1 })
    ));
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(1) + LATE_MAX,
        "{took:?}"
    );
}

#[test]
fn a_guest_ends_soon_after_it_is_cancelled() {
    let mut request = request(r#"{"do":"flood-progress"}"#, vec![], tight());
    let cancel = request.cancel.clone();
    let (begun, has_begun) = channel();
    request.sink = Box::new(Kept {
        begun: Some(begun),
        ..Kept::default()
    });
    let guest = std::thread::spawn(|| run(hostile(), request));
    has_begun.recv_timeout(tight().deadline).unwrap();
    cancel.cancel();
    let cancelled = Instant::now();
    let run = guest.join().unwrap();
    assert!(matches!(run.outcome, Err(ConvertFailure::Cancelled)));
    assert!(cancelled.elapsed() < LATE_MAX);
}

#[test]
fn a_run_that_was_cancelled_before_it_began_ends_at_once() {
    let request = request(r#"{"do":"loop"}"#, vec![], tight());
    request.cancel.cancel();
    assert!(matches!(
        run(hostile(), request).outcome,
        Err(ConvertFailure::Cancelled)
    ));
}

#[test]
fn a_guest_that_takes_all_memory_is_told_so() {
    let run = deed("grow", tight());
    let limit = tight().memory_bytes as u64;
    assert!(
        matches!(run.outcome, Err(ConvertFailure::OutOfMemory { limit_bytes }) if limit_bytes == limit),
        "{:?}",
        run.outcome
    );
}

#[test]
fn endless_recursion_ends_with_the_stack() {
    let run = deed("recurse", tight());
    assert!(
        matches!(
            run.outcome,
            Err(ConvertFailure::StackOverflow
                | ConvertFailure::Trap {
                    kind: TrapKind::MemoryOutOfBounds,
                    ..
                })
        ),
        "{:?}",
        run.outcome
    );
}

#[test]
fn of_a_million_findings_of_one_byte_as_many_are_kept_as_a_task_may_have() {
    let run = deed("million-findings", RunLimits::default());
    let limit = u64::from(RunLimits::default().findings_max);
    assert!(
        matches!(run.outcome, Err(ConvertFailure::OverLimit { what: "findings", limit: it }) if it == limit),
        "{:?}",
        run.outcome
    );
    assert_eq!(run.kept.findings.len() as u64, limit);
    assert_eq!(run.kept.codes(), ["over-limit"]);
}

#[test]
fn a_crash_keeps_what_was_emitted_before() {
    let run = deed("emit-then-trap", tight());
    assert!(
        matches!(
            run.outcome,
            Err(ConvertFailure::Trap {
                kind: TrapKind::Unreachable,
                ..
            })
        ),
        "{:?}",
        run.outcome
    );
    assert_eq!((run.kept.findings.len(), run.counts.findings), (15, 15));
}

#[test]
fn a_polite_failure_keeps_what_was_emitted_before() {
    let run = deed("emit-then-fail", tight());
    assert!(
        matches!(&run.outcome, Err(ConvertFailure::Corrupt { message, .. }) if message == "failed as asked")
    );
    assert_eq!(run.counts.findings, 15);
}

#[test]
fn more_text_than_one_call_may_hand_over_is_refused_before_it_is_copied() {
    let run = deed(
        "huge-strings",
        RunLimits {
            memory_bytes: 256 * 1024 * 1024,
            ..tight()
        },
    );
    assert!(
        matches!(
            run.outcome,
            Err(ConvertFailure::OverLimit {
                what: "bytes handed over in one call",
                ..
            })
        ),
        "{:?}",
        run.outcome
    );
    assert_eq!(run.counts.findings, 0);
}

#[test]
fn reading_after_the_end_is_answered_with_closed() {
    let run = deed("read-after-end", tight());
    assert!(
        matches!(
            run.outcome,
            Err(ConvertFailure::Corrupt { .. } | ConvertFailure::OverLimit { .. })
        ),
        "{:?}",
        run.outcome
    );
}

#[test]
fn rewinding_for_ever_ends_at_the_deadline() {
    let run = deed("rewind-forever", limits(Duration::from_millis(300)));
    assert!(matches!(run.outcome, Err(ConvertFailure::Deadline { .. })));
}

#[test]
fn a_plan_with_a_shell_is_a_wrong_answer() {
    let planned = hostile().plan(
        &ScanRequest {
            target_kind: "tree".to_owned(),
            target: String::new(),
            options: "{}".to_owned(),
        },
        &RunLimits::default(),
    );
    assert!(
        matches!(
            &planned,
            Err(PlanError::Failed(ConvertFailure::WrongAnswer { message })) if message.contains("/bin/sh")
        ),
        "{planned:?}"
    );
}

#[test]
fn a_plan_that_never_ends_is_ended_by_the_limits_of_its_plugin() {
    let request = ScanRequest {
        target_kind: "tree".to_owned(),
        target: String::new(),
        options: r#"{"do":"loop-in-plan"}"#.to_owned(),
    };
    let planned = hostile().plan(&request, &limits(Duration::from_secs(1)));
    assert!(
        matches!(
            planned,
            Err(PlanError::Failed(ConvertFailure::Deadline { seconds: 1 }))
        ),
        "{planned:?}"
    );
}

/// Nothing of a bad run reaches a good one, and its memory comes back.
#[test]
fn a_good_run_beside_every_bad_one_does_not_notice() {
    let good = || {
        let run = run(
            hostile(),
            request(r#"{"do":"echo"}"#, vec![text("a\nb\nc\n")], RunLimits::default()),
        );
        assert_eq!(run.outcome.unwrap().findings, 3);
        assert_eq!(run.kept.findings[2].message, "c");
    };
    good();
    let ended = AtomicBool::new(false);
    let good_runs = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut runs = 0;
            while !ended.load(Ordering::Relaxed) {
                good();
                runs += 1;
            }
            runs
        });
        for name in [
            "loop",
            "grow",
            "recurse",
            "trap",
            "flood-findings",
            "huge-strings",
        ] {
            assert!(
                deed(name, limits(Duration::from_millis(300))).outcome.is_err(),
                "{name}"
            );
        }
        ended.store(true, Ordering::Relaxed);
        beside.join().unwrap()
    });
    assert!(good_runs > 0);
}

fn resident_kilobytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    resident.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Ten guests that took 200 MB each would leave 2 GB; other tests of this process take far less.
#[test]
fn the_memory_of_a_guest_comes_back() {
    let before = resident_kilobytes();
    for _ in 0..10 {
        let run = deed(
            "grow",
            RunLimits {
                memory_bytes: 200 * 1024 * 1024,
                ..tight()
            },
        );
        assert_eq!(run.outcome.unwrap_err().code(), "plugin-out-of-memory");
    }
    let left = resident_kilobytes().saturating_sub(before);
    assert!(left < 500 * 1024, "{left} kB");
}
