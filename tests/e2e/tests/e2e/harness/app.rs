//! The server under test: a real process with a database, a port and a folder of its own.
//!
//! When it goes it must leave nothing: a test fails if tickets wait in the queue or a process of its
//! folder lives on.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::checkout;
use super::client::Client;
use super::database::{Database, psql, psql_if_up};
use super::process::{Process, kill_stranger, running_with};
use super::tool::Tools;
use super::wait::{SOON, until, until_blocking};

/// Below the ports that the system gives to outgoing connections.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;
/// For the boxes of a killed worker to end.
const BOX_END_PATIENCE: Duration = Duration::from_secs(20);
/// What no server may ever log.
const NEVER_LOGGED: [&str; 3] = [
    "already a transaction in progress",
    "no transaction in progress",
    "a handler panicked",
];
/// Lines of a log that a failing test shows.
const LOG_LINES_SHOWN: usize = 40;

/// How the workers of a test come to their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// They have the database and the blobs.
    Direct,
    /// They ask the server over HTTP, from a folder of their own.
    Remote,
}

/// What a server shall be like.
pub(crate) struct Plan {
    workers: Workers,
    settings: BTreeMap<&'static str, String>,
    is_embedded: bool,
    tools: Tools,
}

impl Plan {
    pub(crate) fn new() -> Self {
        let settings = [
            // a test is one client and sends as fast as it can
            ("rate_requests_per_second", "1000000"),
            ("rate_burst", "1000000"),
            ("graphql_cost_per_minute", "60000000"),
            // the net under notifications must not hide that one was lost
            ("poll_seconds", "2s"),
            ("retry_base_seconds", "100ms"),
            ("retry_max_seconds", "1s"),
            ("worker_slots", "2"),
            ("shutdown_grace_seconds", "10s"),
        ];
        let settings = settings.map(|(key, value)| (key, value.to_owned()));
        Self {
            workers: Workers::Direct,
            settings: settings.into(),
            is_embedded: false,
            tools: Tools::None,
        }
    }

    /// Any configuration key.
    pub(crate) fn set(mut self, key: &'static str, value: impl ToString) -> Self {
        self.settings.insert(key, value.to_string());
        self
    }

    /// All workers are of this kind.
    pub(crate) fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Leaves the work to [`App::worker`].
    pub(crate) fn without_worker(self) -> Self {
        self.set("worker_in_process", false)
    }

    /// A worker that dies is noticed as soon as the configuration allows.
    pub(crate) fn with_short_leases(self) -> Self {
        self.set("lease_seconds", "3s").set("heartbeat_seconds", "1s")
    }

    /// Its own Postgres, which may be killed.
    pub(crate) fn embedded(mut self) -> Self {
        self.is_embedded = true;
        self
    }

    pub(crate) fn tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> App {
        let folder = tempfile::Builder::new()
            .prefix("tamiz-e2e-")
            .tempdir()
            .expect("a folder");
        let database = (!self.is_embedded).then(Database::of_template);
        let mut settings = self.settings;
        self.tools.install(folder.path(), &mut settings);
        settings.insert("plugin_cache_dir", checkout::plugin_cache().display().to_string());
        if database.is_some() {
            settings.insert("migrate_on_start", "false".to_owned());
        }
        let has_worker = settings
            .get("worker_in_process")
            .is_none_or(|value| value != "false");
        let is_remote = self.workers == Workers::Remote;
        if is_remote {
            settings.insert("worker_in_process", "false".to_owned());
        }
        let port = free_port();
        let mut app = App {
            workers: self.workers,
            own_worker: None,
            server: None,
            port,
            settings,
            database,
            folder,
        };
        app.start_server();
        app.is_ready().await;
        if is_remote {
            app.make_worker_token();
            app.own_worker = has_worker.then(|| app.worker("worker"));
        }
        app
    }
}

/// A running server.
pub(crate) struct App {
    workers: Workers,
    /// In place of the one in the server's process.
    own_worker: Option<Process>,
    server: Option<Process>,
    port: u16,
    settings: BTreeMap<&'static str, String>,
    database: Option<Database>,
    // last: the processes go before their folder
    folder: TempDir,
}

impl App {
    /// A server with a worker of its own and no tools: for imports.
    pub(crate) async fn start() -> Self {
        Plan::new().start().await
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `tamiz` with this server's configuration, behind no command yet.
    pub(crate) fn tamiz(&self) -> Command {
        let mut command = self.tamiz_in(&self.data_dir());
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        command
    }

    /// The same with another folder, and without the database.
    fn tamiz_in(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(checkout::tamiz());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TAMIZ_") {
                command.env_remove(name);
            }
        }
        command.env_remove("DATABASE_URL").current_dir(self.folder());
        command
            .args(["--config", "/dev/null", "--data-dir"])
            .arg(data_dir);
        for (key, value) in &self.settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command
    }

    /// Runs a short command.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.tamiz().args(args).output().expect("runs")
    }

    /// Runs a short command that must succeed; answers its stdout.
    pub(crate) fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tamiz {args:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Makes a tenant; answers a client with an admin's token.
    pub(crate) fn tenant(&self, name: &str) -> Client {
        self.says(&["tenant", "create", name]);
        self.token(name, &[])
    }

    /// A client with a new token of a tenant; `flags` are further flags of `token create`.
    pub(crate) fn token(&self, tenant: &str, flags: &[&str]) -> Client {
        let mut args = vec!["token", "create", "--tenant", tenant, "--name", "a-token"];
        args.extend(flags);
        self.client(&self.says(&args))
    }

    pub(crate) fn client(&self, token: &str) -> Client {
        Client::new(&self.address(), token)
    }

    /// A worker in a process of its own.
    pub(crate) fn worker(&self, name: &str) -> Process {
        let mut command = match self.workers {
            Workers::Direct => {
                let mut command = self.tamiz();
                command.env("DATABASE_URL", self.database_url());
                command
            }
            Workers::Remote => self.tamiz_in(&self.worker_dir()),
        };
        command.arg("worker");
        if self.workers == Workers::Remote {
            command.args(["--server", &self.address(), "--token-file"]);
            command.arg(self.worker_token());
        }
        Process::spawn(&mut command, &self.folder().join(format!("{name}.log")))
    }

    /// A worker without the database, with this token.
    pub(crate) fn remote_worker(&self, name: &str, token: &str) -> Process {
        self.remote_worker_with(name, token, &[])
    }

    /// The same with settings of its own.
    pub(crate) fn remote_worker_with(&self, name: &str, token: &str, settings: &[(&str, &str)]) -> Process {
        let mut command = self.tamiz_in(&self.worker_dir());
        for (key, value) in settings {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command.args(["worker", "--server", &self.address()]);
        command.env("TAMIZ_WORKER_TOKEN", token);
        Process::spawn(&mut command, &self.folder().join(format!("{name}.log")))
    }

    /// The folder of workers without the database.
    fn worker_dir(&self) -> PathBuf {
        self.folder().join("worker-data")
    }

    fn worker_token(&self) -> PathBuf {
        self.folder().join("worker-token")
    }

    fn make_worker_token(&self) {
        let token = self.says(&["worker", "token", "create", "--name", "a-rack"]);
        std::fs::write(self.worker_token(), token).expect("a token file");
    }

    pub(crate) fn start_server(&mut self) {
        let mut command = self.tamiz();
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
        self.server = Some(Process::spawn(&mut command, &self.folder().join("server.log")));
    }

    pub(crate) fn server(&mut self) -> &mut Process {
        self.server.as_mut().expect("the server was started")
    }

    pub(crate) async fn is_ready(&mut self) {
        let client = self.client("");
        let server = self.server();
        until("a ready server", SOON, async || {
            assert!(server.is_running(), "the server ended:\n{}", server.log());
            client.is_ready().await.then_some(())
        })
        .await;
    }

    pub(crate) fn log(&self) -> String {
        self.server.as_ref().map(Process::log).unwrap_or_default()
    }

    /// What the superuser reads in the database: for what no client can see.
    pub(crate) fn sql(&self, statement: &str) -> String {
        psql(&self.database_url(), statement)
    }

    /// The same while the database may be down; nothing then.
    pub(crate) fn sql_if_up(&self, statement: &str) -> Option<String> {
        psql_if_up(&self.database_url(), statement).ok()
    }

    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().expect("a database that was cloned")
    }

    fn database_url(&self) -> String {
        self.database.as_ref().map_or_else(
            || {
                format!(
                    "postgres:///tamiz?host={}&user=tamiz_admin",
                    self.cluster().display()
                )
            },
            |database| database.url().to_owned(),
        )
    }

    /// The folder of the embedded cluster.
    fn cluster(&self) -> PathBuf {
        self.data_dir().join("postgres")
    }

    /// The embedded postmaster.
    pub(crate) fn postmaster(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Waits until no attempt has files any more: each worker's folder is empty.
    pub(crate) async fn leaves_no_scratch(&self) {
        let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
        let scratch = [self.data_dir(), self.worker_dir()].map(|folder| folder.join("scratch"));
        until("an empty scratch folder", SOON, async || {
            let mut workers = scratch.iter().flat_map(|folder| entries(folder));
            workers
                .all(|worker| entries(&worker.path()).next().is_none())
                .then_some(())
        })
        .await;
    }

    /// No ticket is left, so no task waits or runs.
    fn check_queue(&self) {
        let left = self.sql("select task_id, state, attempt, run_at from control.ticket");
        assert!(left.is_empty(), "the test leaves tasks in the queue:\n{left}");
    }

    fn check_log(&self) {
        let log = self.log();
        let bad: Vec<&str> = log
            .lines()
            .filter(|line| NEVER_LOGGED.iter().any(|words| line.contains(words)))
            .collect();
        assert!(bad.is_empty(), "the server logged: {bad:#?}");
    }

    fn stop(&mut self) {
        let is_embedded = self.database.is_none();
        if let Some(mut server) = self.server.take() {
            if is_embedded {
                // it takes its Postgres along; dropped, it is killed all the same
                server.terminate();
                until_blocking("the server's end", SOON, || (!server.is_running()).then_some(()));
            }
            server.kill();
        }
    }

    /// Boxes die with their worker, but not in the same instant.
    fn check_processes(&self) {
        let folder = self.folder().display().to_string();
        let deadline = std::time::Instant::now() + BOX_END_PATIENCE;
        while !running_with(&folder).is_empty() && std::time::Instant::now() < deadline {
            std::thread::sleep(super::wait::LOOK_PAUSE);
        }
        let left = running_with(&folder);
        for (pid, _) in &left {
            kill_stranger(*pid);
        }
        assert!(left.is_empty(), "the test leaves processes: {left:#?}");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("the server's last lines:\n{}", last.join("\n"));
            if let Some(pid) = self.database.is_none().then(|| self.postmaster()).flatten() {
                self.server.take();
                kill_stranger(pid);
            }
            return;
        }
        self.check_queue();
        self.check_log();
        self.own_worker.take();
        self.stop();
        self.check_processes();
    }
}

/// A port that nobody has, and that no other test of this run asks for.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 1000).expect("below 1000") * 10;
    loop {
        let port = FIRST_PORT + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST_PORT - FIRST_PORT);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
