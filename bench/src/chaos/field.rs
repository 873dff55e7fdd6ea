//! Two servers and three workers on one Postgres, as real processes, and what can be done to them.
//!
//! They reach the database through a breaking line and share a folder for blobs. The second server works,
//! too. The last worker has no database: it asks the servers, through a breaking line of its own. Everything
//! ends with the value.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use super::clock::{self, Clock};
use super::postgres::Postgres;
use super::proxy::{Proxy, Upstream};
use super::tool;
use crate::client::Client;
use crate::stand::{Process, free_port, program, said};
use crate::{Outcome, report};

pub(crate) const SERVERS: usize = 2;
pub(crate) const WORKERS: usize = 3;
/// The one without a database.
const REMOTE_WORKER: usize = 2;
/// As short as the configuration allows: what is lost is noticed soon.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// A debug server on a busy machine takes a while to be ready.
const READY_SECONDS_MAX: u64 = 300;
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Of all processes.
const SETTINGS: [&str; 14] = [
    "lease_seconds=3s",
    "heartbeat_seconds=1s",
    "poll_seconds=500ms",
    "retry_base_seconds=100ms",
    "retry_max_seconds=2s",
    // more than one task can be unlucky; used up, it is a violation
    "max_attempts=50",
    "worker_slots=2",
    "rate_requests_per_second=100000",
    "rate_burst=100000",
    "graphql_cost_per_minute=60000000",
    "shutdown_grace_seconds=5s",
    "log_format=text",
    "log_filter=info",
    "upload_bytes_max=4MiB",
];

/// Which of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Server(usize),
    Worker(usize),
}

/// A place for a process, which may be stopped or gone.
#[derive(Default)]
struct Post {
    process: Option<Process>,
    wakes_at: Option<Instant>,
}

/// The whole.
pub(crate) struct Field {
    // first: they go before what they are connected to
    servers: Vec<Post>,
    workers: Vec<Post>,
    clocks: Vec<Clock>,
    pub(crate) ports: Vec<u16>,
    /// libfaketime, if it is here.
    pub(crate) faketime: Option<PathBuf>,
    random: StdRng,
    program: PathBuf,
    /// To Postgres.
    pub(crate) proxy: Proxy,
    /// To the servers.
    pub(crate) door: Proxy,
    worker_token: String,
    pub(crate) postgres: Postgres,
    // last: the processes go before their folder
    pub(crate) folder: tempfile::TempDir,
}

impl Field {
    /// Postgres, the line and the tables; no server or worker yet.
    pub(crate) async fn lay_out(seed: u64) -> Outcome<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("tamiz-chaos-").tempdir()?;
        tool::install(folder.path(), &report::semgrep(tool::FINDINGS, 0))?;
        let postgres = Postgres::start(&program, &folder.path().join("database"))?;
        let proxy = Proxy::start(Upstream::Socket(postgres.socket()), seed).await?;
        let ports = (0..SERVERS).map(|_| free_port()).collect::<Outcome<Vec<u16>>>()?;
        let door = Proxy::start(Upstream::Ports(ports.clone()), seed.wrapping_add(4)).await?;
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut field = Self {
            servers: (0..SERVERS).map(|_| Post::default()).collect(),
            workers: (0..WORKERS).map(|_| Post::default()).collect(),
            clocks: vec![Clock::Right; WORKERS],
            ports,
            faketime: clock::library(&checkout),
            random: StdRng::seed_from_u64(seed.wrapping_add(1)),
            program,
            proxy,
            door,
            worker_token: String::new(),
            postgres,
            folder,
        };
        field.command(&["migrate"])?;
        field.worker_token = field.command(&["worker", "token", "create", "--name", "chaos"])?;
        Ok(field)
    }

    /// Starts all and waits until the servers are ready.
    pub(crate) async fn start_all(&mut self) -> Outcome<()> {
        for member in members() {
            self.start(member)?;
        }
        for port in self.ports.clone() {
            let client = Client::new(port, String::new())?;
            client.becomes_ready(READY_SECONDS_MAX).await?;
        }
        Ok(())
    }

    /// Starts a process in its place; does not wait for it.
    pub(crate) fn start(&mut self, member: Member) -> Outcome<()> {
        let (mut command, name) = match member {
            Member::Server(index) => {
                let mut command = self.prepared(&["serve"]);
                let port = self.ports.get(index).ok_or("no such server")?;
                command.args(["--listen", &format!("127.0.0.1:{port}")]);
                if index == 0 {
                    command.arg("--no-worker");
                }
                (command, format!("server-{index}"))
            }
            Member::Worker(index) => {
                let mut command = self.prepared(&["worker"]);
                if index == REMOTE_WORKER {
                    let address = format!("http://127.0.0.1:{}", self.door.port);
                    command
                        .args(["--server", &address])
                        .env("TAMIZ_WORKER_TOKEN", &self.worker_token)
                        .env_remove("DATABASE_URL");
                }
                if let Some(library) = &self.faketime {
                    let file = self.folder.path().join(format!("clock-{index}"));
                    let clock = Clock::draw(&mut self.random, &file);
                    clock.wear(&mut command, library, &mut self.random)?;
                    self.clocks[index] = clock;
                }
                (command, format!("worker-{index}"))
            }
        };
        let path = self.folder.path().join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let process = Process::of(command.spawn()?);
        *self.post(member)? = Post {
            process: Some(process),
            wakes_at: None,
        };
        Ok(())
    }

    /// SIGKILL; the place stays empty.
    pub(crate) fn kill(&mut self, member: Member) -> Outcome<()> {
        // killed and reaped when it is dropped
        self.post(member)?.process = None;
        Ok(())
    }

    /// SIGTERM to all, then the end of those that do not heed it.
    pub(crate) fn end_all(&mut self) -> Outcome<()> {
        for member in members() {
            if let Some(process) = &self.post(member)?.process {
                process.signal(Signal::CONT);
                process.signal(Signal::TERM);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        for member in members() {
            if let Some(mut process) = self.post(member)?.process.take() {
                while process.is_running() && Instant::now() < deadline {
                    std::thread::sleep(LOOK_PAUSE);
                }
            }
        }
        Ok(())
    }

    /// SIGSTOP for `pause`; [`Field::wake`] ends it.
    pub(crate) fn stop(&mut self, member: Member, pause: Duration) -> Outcome<()> {
        let post = self.post(member)?;
        if let Some(process) = &post.process {
            process.signal(Signal::STOP);
            post.wakes_at = Some(Instant::now() + pause);
        }
        Ok(())
    }

    /// SIGCONT to those whose pause is over, or to all.
    pub(crate) fn wake(&mut self, all: bool) {
        for post in self.servers.iter_mut().chain(&mut self.workers) {
            if post.wakes_at.is_some_and(|at| all || at <= Instant::now()) {
                post.wakes_at = None;
                if let Some(process) = &post.process {
                    process.signal(Signal::CONT);
                }
            }
        }
    }

    /// Starts those again that ended by themselves; answers how many.
    pub(crate) fn revive(&mut self) -> Outcome<usize> {
        let mut revived = 0;
        for member in members() {
            let post = self.post(member)?;
            if post.process.as_mut().is_some_and(|process| !process.is_running()) {
                self.start(member)?;
                revived += 1;
            }
        }
        Ok(revived)
    }

    /// Moves a worker's clock; answers whether it can be moved.
    pub(crate) fn move_clock(&mut self, worker: usize) -> Outcome<bool> {
        let clock = self.clocks.get(worker).ok_or("no such worker")?.clone();
        Ok(clock.jump(&mut self.random)?)
    }

    /// Some moment of the next seconds, drawn from the run's seed.
    pub(crate) fn draw_ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    fn post(&mut self, member: Member) -> Outcome<&mut Post> {
        let post = match member {
            Member::Server(index) => self.servers.get_mut(index),
            Member::Worker(index) => self.workers.get_mut(index),
        };
        Ok(post.ok_or("no such process")?)
    }

    /// Runs a short command of the program, past the breaking line; answers what it printed.
    pub(crate) fn command(&self, args: &[&str]) -> Outcome<String> {
        let mut command = self.prepared(args);
        let name = format!("tamiz {}", args.join(" "));
        said(&name, command.env("DATABASE_URL", &self.postgres.url))
    }

    fn prepared(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let folder = self.folder.path();
        command
            .args(words)
            .args(["--config", "/dev/null", "--data-dir"])
            .arg(folder.join("data"))
            .env(
                "DATABASE_URL",
                format!(
                    "postgres://tamiz_admin@127.0.0.1:{}/tamiz?sslmode=disable",
                    self.proxy.port
                ),
            )
            .env("RUST_BACKTRACE", "1");
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        // compiled once, not by every start: those are too many
        let cache = concat!(
            "plugin_cache_dir=",
            env!("CARGO_MANIFEST_DIR"),
            "/../target/test-plugin-cache"
        );
        command.args(["--set", cache]);
        for (key, value) in tool::settings(folder) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    /// How often these words stand in the logs of all processes.
    pub(crate) fn logged(&self, words: &str) -> usize {
        let logs = std::fs::read_dir(self.folder.path())
            .into_iter()
            .flatten()
            .flatten();
        logs.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"))
            .filter_map(|entry| std::fs::read(entry.path()).ok())
            .map(|log| String::from_utf8_lossy(&log).matches(words).count())
            .sum()
    }

    /// Processes that name the folder and are none of ours: what a dead worker's tools left.
    pub(crate) fn orphans(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
            let ours = pid == std::process::id() || line.contains(" postgres ");
            (line.contains(&folder) && !ours).then(|| format!("{pid} {line}"))
        })
        .collect()
    }
}

/// All places.
pub(crate) fn members() -> impl Iterator<Item = Member> {
    let servers = (0..SERVERS).map(Member::Server);
    servers.chain((0..WORKERS).map(Member::Worker))
}
