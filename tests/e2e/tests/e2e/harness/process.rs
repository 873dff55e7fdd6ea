//! Processes of the program: started, watched, killed by their own pid, and never left behind.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::until_blocking;

/// A running process; killed when its value goes.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both streams appended to `log`.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .expect("a log")
        };
        let (stdout, stderr): (File, File) = (open(), open());
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("starts");
        Self {
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// SIGKILL, then reaped.
    pub(crate) fn kill(&mut self) {
        // it may have ended by itself; either way it is gone afterwards
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; does not wait.
    pub(crate) fn terminate(&mut self) {
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).expect("our child");
        }
    }

    /// SIGSTOP: it lives and does nothing, like a machine that sleeps.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("our child");
    }

    /// Wakes it up.
    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("our child");
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self, patience: Duration) -> ExitStatus {
        let child = &mut self.child;
        until_blocking("the end of a process", patience, || {
            child.try_wait().expect("our child")
        })
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a process that is not our child but belongs to a test: a postmaster of its own cluster.
pub(crate) fn kill_stranger(pid: i32) {
    // gone already is as good
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL);
}

/// Processes whose command line holds `text`, this one left out.
pub(crate) fn running_with(text: &str) -> Vec<(i32, String)> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
            line.contains(text).then_some((pid, line))
        })
        .collect()
}
