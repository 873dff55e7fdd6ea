//! The processes of one box, seen from outside: how many, how much memory, and when all are gone.
//!
//! Below bubblewrap, or below the door and its bubblewrap, one process is the first of the box's pid
//! namespace: the first that `/proc` shows with one more number of its own. The kernel ends every
//! process of the namespace with it and reports its end only after theirs, however they hid from
//! their parents (`setsid`, double fork). A pid file descriptor names it safely even if its number
//! is used again.
//!
//! Memory and processor time are samples of `/proc`: what a process uses between two looks and its
//! end is not seen. Without `CONFIG_PROC_CHILDREN` only the first process is seen.
//!
//! Not here: what is done when a limit is passed (`run`).

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Clock ticks in a second as `/proc` counts them, on every architecture that Rust runs tools on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processes between the one that was started and the first of the box: the shell's second process,
/// the door, the box's bubblewrap.
const SHELLS_MAX: usize = 4;

/// The pid namespace of a box.
#[derive(Debug)]
pub(super) struct Tree {
    first: Arc<OwnedFd>,
    pid: i32,
}

/// One look at a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) processes: u64,
    pub(super) memory_bytes: u64,
    pub(super) cpu_seconds: f64,
}

impl Tree {
    /// The tree under the process `outer`, once it has made one.
    pub(super) fn find(outer: u32) -> Option<Self> {
        let outer = i32::try_from(outer).ok()?;
        let depth = namespaces(outer)? + 1;
        let mut pending = vec![(outer, 0)];
        while let Some((parent, above)) = pending.pop() {
            for pid in children(parent) {
                if namespaces(pid) != Some(depth) {
                    if above < SHELLS_MAX {
                        pending.push((pid, above + 1));
                    }
                    continue;
                }
                let first = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
                // Had the number been used again before it was opened, its parent would be another.
                if stat(pid)?.parent != parent {
                    return None;
                }
                let first = Arc::new(first);
                return Some(Self { first, pid });
            }
        }
        None
    }

    /// Ends every process of the box.
    pub(super) fn kill(&self) {
        // The only likely failure is that it is gone already.
        let _ = pidfd_send_signal(&self.first, Signal::KILL);
    }

    /// Waits until no process of the box is left, at most `seconds_max`, and says whether that is so.
    pub(super) async fn ended(&self, seconds_max: i64) -> bool {
        let first = Arc::clone(&self.first);
        let wait = move || {
            let limit = Timespec {
                tv_sec: seconds_max,
                tv_nsec: 0,
            };
            // A child that ends sends a signal, which may interrupt just this wait.
            retry_on_intr(|| poll(&mut [PollFd::new(&*first, PollFlags::IN)], Some(&limit)))
        };
        // A process file descriptor is readable from its process's end on.
        tokio::task::spawn_blocking(wait)
            .await
            .is_ok_and(|ready| ready.is_ok_and(|count| count > 0))
    }

    /// Counts the box's processes and what they use; stops at more than `processes_max`.
    pub(super) fn sample(&self, processes_max: u64) -> Sample {
        let mut sample = Sample::default();
        let mut pending = vec![self.pid];
        while let Some(pid) = pending.pop() {
            let Some(stat) = stat(pid) else { continue };
            sample.processes += 1;
            sample.cpu_seconds += stat.ticks as f64 / TICKS_PER_SECOND;
            sample.memory_bytes += resident_bytes(pid).unwrap_or(0);
            if sample.processes > processes_max {
                break;
            }
            pending.extend(children(pid));
        }
        sample
    }
}

struct Stat {
    parent: i32,
    /// Of itself and of the children that it has waited for.
    ticks: u64,
}

/// Fields of `/proc/PID/stat`, counted after the name, which may hold spaces and parentheses.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: (11..=14).filter_map(number).sum(),
    })
}

/// In how many pid namespaces the process has a number, as far as this one shows.
fn namespaces(pid: i32) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(line.split_ascii_whitespace().count())
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Children are listed under the thread that made them.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}
