//! What a hostile or broken tool can do from inside a real box: shell scripts that try.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

/// For a condition that other processes bring about.
const PATIENCE: Duration = Duration::from_secs(20);

/// A script as a tool of a catalogue, with room for what it writes.
struct Script {
    folder: TempDir,
    tool: Tool,
    cancel: CancellationToken,
}

impl Script {
    /// `changes` are lines of limits that replace the usual ones.
    async fn new(script: &str, changes: &[(&str, u64)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let bin = folder.path().join("install/bin");
        fs::create_dir_all(&bin).expect("bin");
        let text = format!("#!/bin/bash\n[ \"$1\" = --version ] && exec echo script 1.0\n{script}\n");
        fs::write(bin.join("script"), text).expect("script");
        fs::set_permissions(bin.join("script"), fs::Permissions::from_mode(0o755)).expect("mode");
        let mut limits = vec![
            ("wall_seconds", 20),
            ("cpu_seconds", 20),
            ("address_space_bytes", 1 << 30),
            ("memory_bytes", 128 << 20),
            ("stream_bytes", 64 << 10),
            ("file_bytes", 64 << 10),
            ("temporary_bytes", 1 << 20),
            ("open_files", 64),
            ("processes", 24),
        ];
        for (name, value) in &mut limits {
            if let Some((_, change)) = changes.iter().find(|(changed, _)| changed == name) {
                *value = *change;
            }
        }
        let limits: Vec<String> = limits
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let catalogue = format!(
            "[[tool]]\nname = \"script\"\nbinary = \"script\"\ninstall = \"write it\"\nscan_types = [\"test\"]\n\
             version = {{ args = [\"--version\"], after = \"script\" }}\nread_only = [\"${{install}}\"]\n\
             network = \"none\"\nexit_codes = {{ ran = [0], partly = [2] }}\n\
             arguments = {{ values = [\"--text\"], paths = [\"--file\"] }}\n[tool.limits]\n{}",
            limits.join("\n")
        );
        let catalogue = Catalogue::parse("test", &catalogue).expect("catalogue");
        let inventory = catalogue
            .probe(&ToolFolders::new(Some(bin.as_os_str()), &[], None))
            .await;
        let tool = inventory
            .tool("script")
            .unwrap_or_else(|| panic!("{:?}", inventory.missing))
            .clone();
        assert_eq!(tool.version, "1.0");
        fs::create_dir(folder.path().join("target")).expect("target");
        fs::write(folder.path().join("target/file"), "text").expect("file");
        Self {
            folder,
            tool,
            cancel: CancellationToken::new(),
        }
    }

    async fn try_run(&self, args: &[&str], outputs: &[&str]) -> Result<ToolOutcome, ToolError> {
        let scratch = tempfile::tempdir_in(&self.folder).expect("scratch").keep();
        let args: Vec<String> = args.iter().map(|&argument| argument.to_owned()).collect();
        let output = |name: &&str| ToolOutput {
            name: (*name).to_owned(),
            media_type: "text/plain".to_owned(),
        };
        let outputs: Vec<ToolOutput> = outputs.iter().map(output).collect();
        let request = ToolRequest {
            args: &args,
            outputs: &outputs,
            target: Some(&self.folder.path().join("target")),
            rules: None,
            scratch: &scratch,
            cancel: &self.cancel,
        };
        run(&self.tool, request).await
    }

    async fn run(&self) -> ToolOutcome {
        self.try_run(&[], &["report"]).await.expect("a run")
    }
}

/// An outcome with the folder that its files are in.
struct Ran {
    outcome: ToolOutcome,
    _script: Script,
}

impl std::ops::Deref for Ran {
    type Target = ToolOutcome;

    fn deref(&self) -> &ToolOutcome {
        &self.outcome
    }
}

async fn run_script(script: &str, changes: &[(&str, u64)]) -> Ran {
    let script = Script::new(script, changes).await;
    Ran {
        outcome: script.run().await,
        _script: script,
    }
}

fn text(stream: &Captured) -> String {
    fs::read_to_string(&stream.path).expect("stream")
}

/// A number of seconds for `sleep` by which its process is recognised from outside.
fn unique_seconds() -> String {
    let id = uuid::Uuid::now_v7().as_u128() % 1_000_000_000;
    format!("7{id:09}")
}

fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|&byte| byte == 0)
                .any(|word| word == argument.as_bytes())
        })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

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
    assert_eq!(outcome.problem("script").expect("problem").code, "TOOL_TIMEOUT");
    assert_eq!(outcome.verdict, Verdict::Failed);
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
    assert_eq!(
        outcome.problem("script").expect("problem").code,
        "TOOL_LIMIT",
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
async fn a_tool_reaches_no_server_of_the_host() {
    let server = TcpListener::bind("127.0.0.1:0").expect("server");
    server.set_nonblocking(true).expect("server");
    let port = server.local_addr().expect("address").port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo in; cat /proc/net/dev");
    let outcome = run_script(&script, &[]).await;
    let interfaces = text(&outcome.stdout)
        .lines()
        .skip(2)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(
        interfaces.iter().all(|line| line.trim().starts_with("lo:")),
        "{interfaces:?}"
    );
    assert_eq!(
        server.accept().expect_err("nobody").kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_tool_sees_the_system_its_inputs_and_nothing_of_the_host() {
    let home = std::env::var("HOME").expect("home");
    let script = format!(
        "ls -A /; echo --; ls -A /etc; echo --; ls -A {home} /root /home /var /run /sys /work; echo --; \
         cat /etc/shadow /etc/passwd; echo --; env; tr '\\0' '\\n' < /proc/1/environ; echo --; \
         id -u; id -G; hostname; grep CapEff /proc/self/status; ls -d /proc/[0-9]*; pwd; cat file"
    );
    let outcome = run_script(&script, &[]).await;
    let shown = text(&outcome.stdout);
    let sections: Vec<Vec<&str>> = shown
        .split("--\n")
        .map(|section| section.lines().collect::<Vec<_>>())
        .collect();
    let allowed = "bin dev etc lib lib32 lib64 libx32 out proc sbin src tmp usr";
    let allowed: BTreeSet<&str> = allowed.split(' ').collect();
    assert!(
        sections[0].iter().all(|name| allowed.contains(name)),
        "{:?}",
        sections[0]
    );
    let settings = [
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "alternatives",
        "ssl",
        "pki",
    ];
    assert!(
        sections[1].iter().all(|name| settings.contains(name)),
        "{:?}",
        sections[1]
    );
    assert_eq!((&sections[2], &sections[3]), (&vec![], &vec![]));
    let set_here = ["PATH", "HOME", "TMPDIR", "LANG", "PWD", "SHLVL", "_", "OLDPWD"];
    for line in &sections[4] {
        let name = line.split('=').next().unwrap_or_default();
        assert!(set_here.contains(&name) || name.starts_with("XDG_"), "{line}");
    }
    let about = &sections[5];
    assert_eq!(about[..3], ["65534", "65534", "worker"]);
    assert!(about[3].ends_with("0000000000000000"), "{}", about[3]);
    let processes = about.iter().filter(|line| line.starts_with("/proc/")).count();
    assert!(processes <= 4, "{about:?}");
    assert_eq!(about[about.len() - 2..], ["/src", "text"]);
}

#[tokio::test]
async fn a_tool_writes_only_where_it_may_and_no_more_than_it_may() {
    let outcome = run_script(
        "for place in / /dev /src /usr /out /etc \"${0%/*}\"; do touch $place/x && echo $place; done\n\
         echo changed > /src/file && echo file\n\
         for i in $(seq 100); do head -c 60000 /dev/zero > /tmp/$i || break; done 2>/dev/null\n\
         du -sk /tmp | cut -f1; df -k /dev/shm | tail -1 | awk '{print $2}'",
        &[],
    )
    .await;
    let shown = text(&outcome.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    let kilobytes: u64 = lines[0].parse().expect("size of /tmp");
    assert!((900..=1100).contains(&kilobytes), "{kilobytes}");
    assert_eq!(lines[1], "16384");
}

#[tokio::test]
async fn an_output_cannot_become_a_link_a_pipe_or_another_file() {
    let script = "rm -f /out/report; ln -sf /etc/shadow /out/report; mkfifo /out/report; \
                  mv /tmp/home /out/report; echo secret > /out/other; mkdir /out/report";
    let outcome = run_script(script, &[]).await;
    assert_eq!((outcome.outputs.len(), outcome.verdict), (0, Verdict::Failed));
    let out = outcome.stdout.path.parent().expect("scratch").join("out");
    let left: Vec<_> = fs::read_dir(&out).expect("out").flatten().collect();
    assert_eq!(left.len(), 1);
    let metadata = left[0].path().symlink_metadata().expect("report");
    assert!(metadata.is_file() && metadata.len() == 0);
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
async fn arguments_reach_the_tool_as_they_are() {
    let script = Script::new("printf '%s\\n' \"$@\"", &[]).await;
    let odd = "$(id); `id` 'a' \"b\" * ~ ${HOME";
    let refused = script.try_run(&["--text", odd], &[]).await;
    assert!(matches!(refused, Err(ToolError::Arguments { .. })));
    let odd = odd.replace("${", "$");
    let outcome = script
        .try_run(&["--text", &odd, "--file", "${out.a}"], &["a"])
        .await
        .expect("run");
    assert_eq!(text(&outcome.stdout), format!("--text\n{odd}\n--file\n/out/a\n"));
    assert_eq!(outcome.argv[1..], ["--text", &odd, "--file", "/out/a"]);
}

#[tokio::test]
async fn outputs_are_named_by_plain_words_of_their_own() {
    let script = Script::new("exit 0", &[]).await;
    for names in [
        &["../x"][..],
        &["a", "a"],
        &[""],
        &["-x"],
        &["a/b"],
        &["A"],
        &["a"; 17],
    ] {
        let refused = script.try_run(&[], names).await;
        assert!(matches!(refused, Err(ToolError::Outputs { .. })), "{names:?}");
    }
}

#[tokio::test]
async fn a_box_that_cannot_be_made_is_not_a_tool_that_failed() {
    let script = Script::new("exit 0", &[]).await;
    fs::remove_dir_all(script.folder.path().join("target")).expect("target");
    let refused = script.try_run(&[], &["report"]).await.expect_err("no target");
    assert!(
        matches!(&refused, ToolError::Box { complaint, .. } if complaint.contains("target")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_tool_that_is_not_here_is_missing_with_a_reason_that_says_what_to_do() {
    let script = Script::new("exit 0", &[]).await;
    let mut catalogue = Catalogue {
        tools: vec![script.tool.entry.clone(), script.tool.entry.clone()],
    };
    catalogue.tools[0].binary = "tamiz-no-such-program".to_owned();
    catalogue.tools[1].version.after = "no such word".to_owned();
    let bin = script.folder.path().join("install/bin");
    let inventory = catalogue
        .probe(&ToolFolders::new(Some(bin.as_os_str()), &[], None))
        .await;
    assert!(inventory.available.is_empty() && inventory.scan_types().is_empty());
    let reasons: Vec<&str> = inventory
        .missing
        .iter()
        .map(|tool| tool.reason.as_str())
        .collect();
    assert_eq!(reasons[0], "no program tamiz-no-such-program was found; write it");
    assert!(
        reasons[1].contains("holds no version; write it"),
        "{}",
        reasons[1]
    );
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
