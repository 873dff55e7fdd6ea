//! How a tool ends: by itself, by its limits, or because nobody wants it any more.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::*;

#[tokio::test]
async fn a_tool_that_writes_its_report_ran() {
    let script = Script::new("printf abc > /out/report; echo out; echo err >&2", &[]).await;
    let outcome = script.run().await;
    assert_eq!(
        (&outcome.end, outcome.verdict),
        (&ToolEnd::Exited(0), Verdict::Ran)
    );
    assert_eq!(outcome.problem("script"), None);
    assert_eq!(
        (text(&outcome.stdout), text(&outcome.stderr)),
        ("out\n".to_owned(), "err\n".to_owned())
    );
    assert_eq!(
        fs::read_to_string(&outcome.outputs[0].path).expect("report"),
        "abc"
    );
    assert_eq!(outcome.outputs[0].bytes, 3);
    assert!(outcome.started_at <= outcome.finished_at);
}

#[tokio::test]
async fn a_tool_that_writes_no_report_did_not_run_whatever_it_says() {
    let outcome = run_script("exit 0", &[]).await;
    assert_eq!(
        (&outcome.end, outcome.verdict),
        (&ToolEnd::Exited(0), Verdict::Failed)
    );
    let problem = outcome.problem("script").expect("problem");
    assert_eq!(problem.code, "TOOL_FAILED");
    assert!(problem.message.contains("did not write its report"), "{problem}");
}

#[tokio::test]
async fn a_tool_that_hangs_is_ended_at_its_deadline() {
    let start = Instant::now();
    let outcome = run_script("echo part > /out/report; exec sleep 1000", &[("wall_seconds", 1)]).await;
    assert_eq!(outcome.end, ToolEnd::TimedOut { limit_seconds: 1 });
    let problem = outcome.problem("script").expect("problem");
    assert_eq!(problem.code, "TOOL_TIMEOUT");
    assert!(problem.message.contains("only a part"), "{problem}");
    assert_eq!(outcome.verdict, Verdict::RanPartly);
    let nothing = run_script("exec sleep 1000", &[("wall_seconds", 1)]).await;
    assert_eq!(nothing.verdict, Verdict::Failed);
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_tool_that_ignores_polite_signals_is_ended_all_the_same() {
    let script = "trap '' TERM INT HUP; while :; do :; done";
    let outcome = run_script(script, &[("wall_seconds", 1)]).await;
    assert_eq!(outcome.end, ToolEnd::TimedOut { limit_seconds: 1 });
    assert!(outcome.cpu_seconds > 0.1, "{}", outcome.cpu_seconds);
    assert!(outcome.memory_bytes_peak > 0);
}

#[tokio::test]
async fn a_flood_is_stopped_and_what_fitted_is_kept() {
    for (script, part) in [
        ("exec yes", OutputPart::Stdout),
        ("exec yes >&2", OutputPart::Stderr),
    ] {
        let outcome = run_script(script, &[]).await;
        let limit_bytes = 64 << 10;
        assert_eq!(
            outcome.end,
            ToolEnd::OutputLimit {
                part: part.clone(),
                limit_bytes
            }
        );
        let stream = if part == OutputPart::Stdout {
            &outcome.stdout
        } else {
            &outcome.stderr
        };
        assert_eq!((stream.bytes, stream.truncated), (limit_bytes, true));
        assert_eq!(fs::metadata(&stream.path).expect("stream").len(), limit_bytes);
        assert_eq!(outcome.problem("script").expect("problem").code, "TOOL_LIMIT");
    }
}

#[tokio::test]
async fn children_that_leave_their_session_die_with_the_tool() {
    let seconds = unique_seconds();
    let child = format!(
        "(setsid sleep {seconds} >/dev/null 2>&1 </dev/null &); until pgrep -f {seconds}; do :; done"
    );
    for (end, changes) in [("exit 0", 20), ("exec sleep 1000", 1), ("kill -KILL $$", 20)] {
        let outcome = run_script(&format!("{child}\n{end}"), &[("wall_seconds", changes)]).await;
        assert!(outcome.stdout.bytes > 0, "the child was there");
        assert!(!is_running(&seconds), "a child outlived {end}");
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_takes_its_tree_with_it() {
    let seconds = unique_seconds();
    let script = Script::new(&format!("setsid sleep {seconds} & wait"), &[]).await;
    let running = tokio::spawn(async move { script.run().await });
    until("the tool runs", || is_running(&seconds)).await;
    running.abort();
    until("the tool is gone", || !is_running(&seconds)).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_at_once() {
    let seconds = unique_seconds();
    let script = Script::new(&format!("exec sleep {seconds}"), &[]).await;
    let cancel = script.cancel.clone();
    let running = tokio::spawn(async move { script.run().await });
    until("the tool runs", || is_running(&seconds)).await;
    cancel.cancel();
    assert_eq!(running.await.expect("outcome").end, ToolEnd::Cancelled);
    assert!(!is_running(&seconds));
}

#[tokio::test]
async fn a_tool_that_forks_without_end_is_stopped() {
    let outcome = run_script("while :; do sleep 1000 & done", &[]).await;
    // As root the count of processes ends it; for others the kernel refuses to fork before that.
    let refused = text(&outcome.stderr).contains("fork");
    assert!(
        refused || matches!(outcome.end, ToolEnd::ProcessLimit { .. }),
        "{:?}",
        outcome.end
    );
}

#[tokio::test]
async fn a_tool_that_eats_memory_is_stopped_in_one_process_or_in_many() {
    let hog = "head -c 200M /dev/zero | tail";
    let outcome = run_script(hog, &[]).await;
    assert_eq!(
        outcome.end,
        ToolEnd::MemoryLimit {
            limit_bytes: 128 << 20
        }
    );
    let many = "for i in 1 2 3 4 5 6 7 8; do (head -c 30M /dev/zero; sleep 1000) | tail & done; wait";
    let outcome = run_script(many, &[("processes", 64)]).await;
    assert_eq!(
        outcome.end,
        ToolEnd::MemoryLimit {
            limit_bytes: 128 << 20
        }
    );
    let outcome = run_script(hog, &[("address_space_bytes", 100 << 20)]).await;
    assert_eq!(outcome.end, ToolEnd::Exited(1));
    assert!(
        text(&outcome.stderr).contains("memory"),
        "{}",
        text(&outcome.stderr)
    );
}

#[tokio::test]
async fn a_tool_that_dies_is_told_from_one_that_ends() {
    assert_eq!(run_script("kill -SEGV $$", &[]).await.end, ToolEnd::Killed(11));
    assert_eq!(
        run_script("while :; do :; done", &[("cpu_seconds", 1)]).await.end,
        ToolEnd::Killed(9)
    );
    assert_eq!(run_script("exit 200", &[]).await.end, ToolEnd::Exited(200));
    assert_eq!(
        run_script("exec /nonexistent", &[]).await.end,
        ToolEnd::Exited(127)
    );
    let outcome = run_script("echo part > /out/report; exit 2", &[]).await;
    assert_eq!(outcome.verdict, Verdict::RanPartly);
    assert!(
        outcome
            .problem("script")
            .expect("problem")
            .message
            .contains("exit code 2")
    );
}

#[tokio::test]
async fn an_output_over_the_limit_is_cut_and_told() {
    let outcome = run_script("head -c 200000 /dev/zero > /out/report; exit 0", &[]).await;
    let part = OutputPart::File("report".to_owned());
    let limit_bytes = 64 << 10;
    assert_eq!(outcome.end, ToolEnd::OutputLimit { part, limit_bytes });
    assert_eq!(outcome.verdict, Verdict::Failed);
    assert_eq!(outcome.outputs[0].bytes, limit_bytes);
}

#[tokio::test]
async fn many_tools_run_side_by_side() {
    let script = Script::new("printf x > /out/report; sleep 0.2", &[]).await;
    let start = Instant::now();
    let runs = futures_util::future::join_all((0..16).map(|_| script.run())).await;
    assert!(runs.iter().all(|outcome| outcome.verdict == Verdict::Ran));
    assert!(start.elapsed() < PATIENCE);
    assert!(Path::new("/proc/self").exists());
}
