//! A server to measure: an embedded Postgres, `tamiz serve`, a tenant and its token. What other runs build
//! from is here, too: the processes and what they are asked.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;
use crate::client::Client;

/// A debug server on a busy machine takes a while to be ready.
const READY_SECONDS_MAX: u64 = 120;

/// A child that is killed when its value goes, by the id we started.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn of(child: Child) -> Self {
        Self { child }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Sends a signal to this process alone; one that is over needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        // not reaped before its value goes, so the id is its own
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, then reaped.
    pub(crate) fn kill(&mut self) {
        // it may have ended by itself; either way it is gone afterwards
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// From `/proc/PID/status`, in bytes: `VmRSS` now, `VmHWM` at its peak.
    pub(crate) fn memory_bytes(&self, field: &str) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .ok_or("no such field")?;
        let kilobytes = line.split_whitespace().nth(1).ok_or("no number")?;
        Ok(kilobytes.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything that a bench needs, gone with its value.
pub(crate) struct Stand {
    pub(crate) program: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database_url: String,
    pub(crate) port: u16,
    pub(crate) settings: Vec<String>,
    pub(crate) server: Option<Process>,
    pub(crate) client: Client,
    // last: the server goes before its database
    _postgres: Child,
}

impl Stand {
    /// Starts Postgres and the server; `settings` are `key=value` of the configuration.
    pub(crate) async fn start(settings: &[&str], serve_flags: &[&str]) -> Outcome<Self> {
        let program = program()?;
        let folder = tempfile::tempdir()?;
        let (postgres, database_url) = postgres(&program, &folder.path().join("postgres"))?;
        let port = free_port()?;
        let mut stand = Self {
            program,
            folder,
            database_url,
            port,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            server: None,
            client: Client::new(port, String::new())?,
            _postgres: postgres,
        };
        // a bench is one client and sends as fast as it can
        stand.command("plan", &["set", "standard", "requests-per-minute=10000000"])?;
        stand.command("tenant", &["create", "bench"])?;
        let token = stand.command("token", &["create", "--tenant", "bench", "--name", "bench"])?;
        stand.client = Client::new(port, token)?;
        stand.serve(serve_flags).await?;
        Ok(stand)
    }

    /// (Re)starts the server and waits until it is ready.
    pub(crate) async fn serve(&mut self, flags: &[&str]) -> Outcome<()> {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut args = vec!["--listen", &listen];
        args.extend(flags);
        self.server = Some(self.spawn("serve", &args)?);
        self.client.becomes_ready(READY_SECONDS_MAX).await
    }

    pub(crate) fn server(&self) -> Outcome<&Process> {
        Ok(self.server.as_ref().ok_or("no server")?)
    }

    /// Starts a long-running command of the program.
    pub(crate) fn spawn(&self, name: &str, args: &[&str]) -> Outcome<Process> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")))?;
        let mut command = self.prepared(name);
        let child = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Process { child })
    }

    /// Runs a short command of the program; answers what it printed.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Outcome<String> {
        said(&format!("tamiz {name}"), self.prepared(name).args(args))
    }

    fn prepared(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(name)
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .args([
                "--set",
                "rate_requests_per_second=100000",
                "--set",
                "rate_burst=100000",
                "--set",
                "graphql_cost_per_minute=60000000",
            ])
            .env("DATABASE_URL", &self.database_url)
            .env("RUST_BACKTRACE", "1");
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command
    }
}

/// The `tamiz` beside this program: the same build.
pub(crate) fn program() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    let program = here.parent().unwrap_or(Path::new(".")).join("tamiz");
    if program.exists() {
        Ok(program)
    } else {
        Err(format!(
            "{} is missing: build it first, or run scripts/bench",
            program.display()
        )
        .into())
    }
}

/// Starts an embedded Postgres; answers when it takes connections, with its superuser's address. It ends when
/// its standard input does.
pub(crate) fn postgres(program: &Path, data_dir: &Path) -> Outcome<(Child, String)> {
    let mut runner = Command::new(program)
        .args(["postgres", "--config", "/dev/null", "--data-dir"])
        .arg(data_dir)
        .env_remove("DATABASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut url = String::new();
    let out = runner.stdout.take().ok_or("no stdout")?;
    BufReader::new(out).read_line(&mut url)?;
    let url = url.trim().to_owned();
    if url.is_empty() {
        runner.wait()?;
        return Err("the embedded Postgres did not start; run `make setup`".into());
    }
    Ok((runner, url))
}

/// What statements print at that address, fields apart by spaces.
pub(crate) fn psql(url: &str, statements: &str) -> Outcome<String> {
    let options = ["-qXtA", "-F", " ", "-v", "ON_ERROR_STOP=1"];
    let mut command = Command::new("psql");
    said("psql", command.args(options).args([url, "-c", statements]))
}

/// What a short command printed; when it fails, why, behind its name.
pub(crate) fn said(name: &str, command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
