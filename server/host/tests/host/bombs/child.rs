//! Bombs that no count finds: the compiling child dies of them, by its limits, and nobody else notices.
//!
//! So that the tests end soon, the child of this host has three seconds of processor time instead of sixty;
//! its memory is what it is in production. Each test prints what its bomb cost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use tamiz_host::{CompileError, Host, HostConfig, Plugin, PluginError, RunLimits};
use tempfile::TempDir;

use super::made;
use crate::world::{compile_child, hostile, request, run, text};

/// Of the child, in seconds: as the kernel warns it, and as it ends it.
const CPU_SECONDS: (u32, u32) = (3, 5);
/// Three seconds of processor time on a machine that is busy with everything else.
const TIME_MAX: Duration = Duration::from_mins(5);
/// What this process may grow by, in kB: other tests of it run guests of 200 MB at the same time.
const GROWTH_KILOBYTES_MAX: u64 = 800 * 1024;
/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A host whose compiling program has less time, and says who it is.
struct Short {
    host: Host,
    folder: TempDir,
    /// One bomb at a time, so that the child that is seen is its own.
    turn: Mutex<()>,
}

static SHORT: LazyLock<Short> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let compiler = folder.path().join("compiler");
    let script = format!(
        "#!/bin/sh\necho $$ > {}\nulimit -H -t {}\nulimit -S -t {}\nexec {} \"$@\"\n",
        folder.path().join("pid").display(),
        CPU_SECONDS.1,
        CPU_SECONDS.0,
        compile_child().display()
    );
    fs::write(&compiler, script).unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o700)).unwrap();
    let host = Host::start(HostConfig {
        concurrency: 2,
        compiler,
        cache_folder: folder.path().join("cache"),
    })
    .unwrap();
    Short {
        host,
        folder,
        turn: Mutex::new(()),
    }
});

/// A number of kB that the system tells about a process that lives.
fn kilobytes(process: &str, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .ok()
}

/// The most that the child had until somebody says that it ended.
fn watch(pid: &Path, ended: Receiver<()>) -> u64 {
    let mut peak = 0;
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let pid = fs::read_to_string(pid).unwrap_or_default();
        if !pid.trim().is_empty() {
            peak = peak.max(kilobytes(pid.trim(), "VmHWM").unwrap_or(0));
        }
    }
    peak
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Loads the bomb while a plugin converts beside it; prints the costs and gives the error.
fn blast(name: &str, bomb: &[u8]) -> PluginError {
    let short = &*SHORT;
    let _turn = short.turn.lock().unwrap();
    let pid = short.folder.path().join("pid");
    let _ = fs::remove_file(&pid);
    hostile();
    let before = kilobytes("self", "VmRSS").unwrap();
    let began = Instant::now();
    let ended = AtomicBool::new(false);
    let (says_ended, is_ended) = channel();
    let (loaded, peak, conversions) = std::thread::scope(|scope| {
        let peak = scope.spawn({
            let pid = &pid;
            move || watch(pid, is_ended)
        });
        let beside = scope.spawn(|| {
            let mut conversions = 0;
            while !ended.load(Ordering::Relaxed) {
                let good = request(r#"{"do":"echo"}"#, vec![text("a\nb\n")], RunLimits::default());
                assert_eq!(run(hostile(), good).outcome.unwrap().findings, 2);
                conversions += 1;
                // it shows that others go on; it need not take a core from the bomb
                std::thread::park_timeout(LOOK);
            }
            conversions
        });
        let loaded = Plugin::from_bytes(&short.host, bomb);
        ended.store(true, Ordering::Relaxed);
        says_ended.send(()).unwrap();
        (loaded, peak.join().unwrap(), beside.join().unwrap())
    });
    let took = began.elapsed();
    let grown = kilobytes("self", "VmRSS").unwrap().saturating_sub(before);
    let error = loaded.expect_err(name);
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    println!(
        "{name}: {} bytes, {:.1} s, child {} MiB, this process +{} MiB, {conversions} conversions beside it; {error}: {cause}",
        bomb.len(),
        took.as_secs_f64(),
        peak / 1024,
        grown / 1024
    );
    assert!(took < TIME_MAX, "{name}: {took:?}");
    assert!(grown < GROWTH_KILOBYTES_MAX, "{name}: {grown} kB");
    assert!(conversions > 0, "{name}: nobody converted");
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(
        kilobytes(pid.trim(), "VmRSS").is_none(),
        "{name}: the child lives"
    );
    let left = files(&short.folder.path().join("cache"));
    assert!(left.iter().all(|path| path.is_file()), "{name} leaves {left:?}");
    error
}

fn used_up(name: &str, bomb: &[u8], expected: &str) {
    let error = blast(name, bomb);
    let PluginError::Compile(error @ CompileError::UsedUp { .. }) = &error else {
        panic!("{name}: {error:?}");
    };
    assert!(error.to_string().contains(expected), "{name}: {error}");
}

const TIME: &str = "seconds of processor time";
const MEMORY: &str = "2048 MiB of memory";

#[test]
fn values_that_are_all_alive_use_up_what_the_child_may_have() {
    let switch = made::switch_over_live_values();
    assert!(switch.len() < 40_000);
    used_up("1,000 live values, a switch of 20,000", &switch, "");
    used_up("calls of 1,000 values", &made::wide_calls(), MEMORY);
    used_up(
        "1,000 live values across 60,000 calls",
        &made::locals_across_calls(),
        TIME,
    );
}

#[test]
fn as_much_code_as_a_component_can_hold_uses_up_what_time_the_child_has() {
    used_up("63 of the largest bodies", &made::huge_bodies(), TIME);
    used_up("64 modules at the ceiling", &made::many_modules(), TIME);
}

#[test]
fn components_that_multiply_use_it_up_as_well() {
    let bomb = made::instances_of_instances();
    assert!(bomb.len() < 2_000);
    let error = blast("ten instances of ten, twenty times", &bomb);
    assert!(
        matches!(error, PluginError::Compile(CompileError::UsedUp { .. })),
        "{error:?}"
    );
}

#[test]
fn tiny_functions_and_deep_components_are_merely_no_plugins() {
    for (name, bomb) in [
        ("20,000 tiny functions", made::tiny_functions()),
        ("60 components in each other", made::nested_components(60)),
        ("a tall stack of values", made::tall_stack()),
    ] {
        let error = blast(name, &bomb);
        assert!(
            matches!(error, PluginError::WrongWorld { .. }),
            "{name}: {error:?}"
        );
    }
}
