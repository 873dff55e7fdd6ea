//! A Postgres of the run's own that can be restarted at once, as by `pg_ctl restart -m immediate`.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::stand::{postgres, psql};

/// A postmaster told to end at once needs no longer, even on a busy machine.
const END_SECONDS_MAX: u64 = 30;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// The cluster and the process that runs it; both end with the value.
pub(crate) struct Postgres {
    program: PathBuf,
    data_dir: PathBuf,
    runner: Child,
    /// For its superuser, past the breaking line.
    pub(crate) url: String,
}

impl Postgres {
    /// Makes and starts a cluster below `data_dir`.
    pub(crate) fn start(program: &Path, data_dir: &Path) -> Outcome<Self> {
        let (runner, url) = postgres(program, data_dir)?;
        Ok(Self {
            program: program.to_owned(),
            data_dir: data_dir.to_owned(),
            runner,
            url,
        })
    }

    /// What clients connect to.
    pub(crate) fn socket(&self) -> PathBuf {
        self.cluster().join(".s.PGSQL.5432")
    }

    fn cluster(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// What the superuser reads there, past the breaking line.
    pub(crate) fn ask(&self, statement: &str) -> Outcome<String> {
        psql(&self.url, statement)
    }

    /// Ends it without a checkpoint, as a power cut does, and starts it again: what was not flushed is gone.
    pub(crate) fn restart_at_once(&mut self) -> Outcome<()> {
        let postmaster = self.postmaster()?;
        // first the one that would start it again
        self.runner.kill()?;
        self.runner.wait()?;
        kill_process(postmaster, Signal::QUIT)?;
        let deadline = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
        let process = PathBuf::from(format!("/proc/{}", postmaster.as_raw_nonzero()));
        while process.exists() {
            if Instant::now() > deadline {
                return Err("Postgres did not end at once".into());
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        (self.runner, self.url) = postgres(&self.program, &self.data_dir)?;
        Ok(())
    }

    /// From the pid file of our own cluster.
    fn postmaster(&self) -> Outcome<Pid> {
        let text = std::fs::read_to_string(self.cluster().join("postmaster.pid"))?;
        let number = text.lines().next().unwrap_or_default().trim().parse()?;
        Ok(Pid::from_raw(number).ok_or("no pid")?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // it stops its cluster and ends
        if kill_process(Pid::from_child(&self.runner), Signal::TERM).is_ok() {
            let _ = self.runner.wait();
        }
    }
}
