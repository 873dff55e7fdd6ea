//! The cluster on disk: where it lies, how it is made, with which settings it runs.
//!
//! A root-owned checkout may lie below folders the Postgres user cannot enter (`/root` is 0700). So
//! Postgres is never told the path: it gets the open folder as its standard input and is pointed to
//! `/proc/self/fd/0`; from there on it works with relative names, the socket too. The user needs
//! rights on the cluster folder alone, and nothing of ours lies outside the data folder.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::EmbeddedError;
use super::account::{self, Account};
use super::binaries::{self, Binaries};
use super::memory;

/// The superuser of the cluster.
pub(super) const SUPERUSER: &str = "tamiz_admin";
/// The database everything lies in.
pub(super) const DATABASE: &str = "tamiz";
/// The cluster's folder in the data folder.
pub(super) const CLUSTER_DIR: &str = "postgres";
/// What Postgres makes in the socket folder.
pub(super) const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// `sun_path` of a Unix socket address, without its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// `initdb` takes a second; a disk that needs minutes for 40 MB is broken.
const CREATE_SECONDS_MAX: u64 = 300;

/// Asking Postgres for a setting takes milliseconds.
const ASK_SECONDS_MAX: u64 = 10;
/// Of `wal_compression`.
const LZ4: &str = "lz4";
/// Of `wal_compression`; every Postgres has it.
const PGLZ: &str = "pglz";

/// Passed as flags, which win over the cluster's own file, so that an operator can add settings
/// there but cannot turn these off by accident.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    // Worker slots, API requests and tests share one small machine.
    ("max_connections", "100"),
    // Our queries are short; compiling them costs more than running them.
    ("jit", "off"),
    // What was acknowledged survives a power cut.
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    // A crash start opens every file otherwise: minutes with many databases.
    ("recovery_init_sync_method", "syncfs"),
    ("min_wal_size", "80MB"),
    // A large import writes some hundred megabytes; after each checkpoint every page is logged whole once more.
    ("max_wal_size", "2GB"),
    // Parallel workers need /dev/shm, which containers keep at 64 MB.
    ("max_parallel_workers_per_gather", "0"),
    ("max_parallel_maintenance_workers", "0"),
    // The log is a file of ours; neither statements nor row values of tenants belong in it.
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] "),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
    ("log_checkpoints", "off"),
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_min_duration_statement", "-1"),
    ("log_statement", "none"),
];

/// A cluster that exists on disk.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) dir: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket_dir: PathBuf,
    binaries: Binaries,
    account: Option<Account>,
    /// How pages in the log of changes are packed: see [`Cluster::choose_packing`].
    packing: &'static str,
}

impl Cluster {
    /// Opens the cluster of a data folder, making it first when there is none.
    ///
    /// The caller holds the folder's lock.
    pub(super) async fn open(data_dir: &Path) -> Result<Cluster, EmbeddedError> {
        let dir = data_dir.join(CLUSTER_DIR);
        let made_by = made_by(&dir)?;
        let binaries = binaries::find(made_by).await?;
        let account = account::choose(&dir)?;
        let socket_dir = socket_dir(&dir);
        let log = data_dir.join("postgres.log");
        let mut cluster = Cluster {
            dir,
            log,
            socket_dir,
            binaries,
            account,
            packing: PGLZ,
        };
        if made_by.is_none() {
            cluster.create(data_dir).await?;
        }
        cluster.choose_packing().await?;
        cluster.make_socket_dir()?;
        Ok(cluster)
    }

    /// LZ4 where Postgres was built with it: an import touches pages all over its indexes, and pglz takes as long for a
    /// page as the rows on it.
    async fn choose_packing(&mut self) -> Result<(), EmbeddedError> {
        let mut command = self.postgres()?;
        command
            .args(["-C", "wal_compression", "-c"])
            .arg(format!("wal_compression={LZ4}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let asked = tokio::time::timeout(Duration::from_secs(ASK_SECONDS_MAX), command.status()).await;
        if matches!(asked, Ok(Ok(status)) if status.success()) {
            self.packing = LZ4;
        }
        Ok(())
    }

    /// How clients reach the database as its superuser.
    pub(super) fn url(&self) -> String {
        url_of(&self.socket_dir)
    }

    /// The server, ready to be spawned, with its output in the log.
    pub(super) fn server(&self) -> Result<Command, EmbeddedError> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(EmbeddedError::file("open the log", &self.log))?;
        let second = log
            .try_clone()
            .map_err(EmbeddedError::file("open the log", &self.log))?;
        let mut command = self.postgres()?;
        command.stdout(log).stderr(second);
        for (name, value) in SETTINGS {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("wal_compression={}", self.packing));
        command
            .arg("-c")
            .arg(format!("shared_buffers={}MB", memory::buffers_mib()));
        let socket_dir = if self.socket_dir == self.dir {
            Path::new(".")
        } else {
            &self.socket_dir
        };
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={}", socket_dir.display()));
        // A Ctrl-C in the terminal is for us; Postgres ends after the last result is written.
        command.process_group(0);
        Ok(command)
    }

    /// Postgres on the cluster's folder, which it gets open.
    fn postgres(&self) -> Result<Command, EmbeddedError> {
        let folder = File::open(&self.dir).map_err(EmbeddedError::file("open the folder", &self.dir))?;
        let mut command = self.command("postgres");
        command.args(["-D", "/proc/self/fd/0"]).stdin(folder);
        Ok(command)
    }

    /// A program of Postgres as the right user, with nothing of our environment but what it needs
    /// to be loaded: our variables may hold secrets.
    fn command(&self, name: &'static str) -> Command {
        let mut command = Command::new(self.binaries.program(name));
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        for kept in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        if let Some(account) = self.account {
            // With a user id, the standard library drops root's supplementary groups too.
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Makes the cluster beside its place and moves it there whole, so that a crash in between
    /// leaves nothing half-made behind.
    async fn create(&self, data_dir: &Path) -> Result<(), EmbeddedError> {
        let fresh = data_dir.join("postgres.new");
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh).map_err(EmbeddedError::file("remove", &fresh))?;
        }
        self.make_private_dir(&fresh)?;
        tracing::info!(folder = %self.dir.display(), major = self.binaries.major, "creating the database cluster");
        // C collation sorts by bytes and uses indexes well; C.UTF-8 also knows what a letter is, but
        // not every system has it.
        if let Err(error) = self.initdb(&fresh, "C.UTF-8").await {
            tracing::debug!(%error, "initdb with C.UTF-8 failed, trying C");
            std::fs::remove_dir_all(&fresh).map_err(EmbeddedError::file("remove", &fresh))?;
            self.make_private_dir(&fresh)?;
            self.initdb(&fresh, "C").await?;
        }
        self.create_database(&fresh).await?;
        sync_everything(&fresh).await?;
        std::fs::rename(&fresh, &self.dir).map_err(EmbeddedError::file("rename to", &self.dir))?;
        let parent = File::open(data_dir).and_then(|folder| folder.sync_all());
        parent.map_err(EmbeddedError::file("sync", data_dir))
    }

    async fn initdb(&self, fresh: &Path, ctype: &str) -> Result<(), EmbeddedError> {
        let mut command = self.command("initdb");
        command.args([
            "--username",
            SUPERUSER,
            "--encoding",
            "UTF8",
            "--lc-collate",
            "C",
            "--lc-messages",
            "C",
        ]);
        command.args([
            "--lc-ctype",
            ctype,
            "--data-checksums",
            "--auth-local=trust",
            "--auth-host=reject",
            "--no-sync",
        ]);
        run_inside(command, "initdb", fresh, "").await.map(|_| ())
    }

    /// Single-user mode needs no client program and no socket.
    async fn create_database(&self, fresh: &Path) -> Result<(), EmbeddedError> {
        let mut command = self.command("postgres");
        command.args(["--single", "-F"]);
        let statement = format!("CREATE DATABASE {DATABASE}\n");
        let output = run_inside(command, "postgres --single", fresh, &statement).await?;
        match output
            .lines()
            .find(|line| line.contains("ERROR:") || line.contains("FATAL:"))
        {
            None => Ok(()),
            Some(line) => Err(EmbeddedError::Program {
                program: "postgres --single",
                reason: line.to_owned(),
            }),
        }
    }

    fn make_private_dir(&self, dir: &Path) -> Result<(), EmbeddedError> {
        let made = std::fs::DirBuilder::new().mode(0o700).create(dir);
        made.map_err(EmbeddedError::file("create the folder", dir))?;
        if let Some(account) = self.account {
            let owned = std::os::unix::fs::chown(dir, Some(account.uid), Some(account.gid));
            owned.map_err(EmbeddedError::file("change the owner of", dir))?;
        }
        Ok(())
    }

    /// The folder of the socket when it cannot be the cluster itself. Its name can be guessed, so one
    /// that is not ours alone is refused.
    fn make_socket_dir(&self) -> Result<(), EmbeddedError> {
        let dir = &self.socket_dir;
        if *dir == self.dir {
            return Ok(());
        }
        if std::fs::symlink_metadata(dir).is_err() {
            self.make_private_dir(dir)?;
        }
        let metadata = std::fs::symlink_metadata(dir).map_err(EmbeddedError::file("read", dir))?;
        let owner = self
            .account
            .map_or(rustix::process::geteuid().as_raw(), |account| account.uid);
        let private = metadata.is_dir() && metadata.permissions().mode() & 0o777 == 0o700;
        if private && metadata.uid() == owner {
            return Ok(());
        }
        let reason = io::Error::other("it belongs to somebody else; remove it");
        Err(EmbeddedError::file("use the socket folder", dir)(reason))
    }
}

/// One call for the whole file system instead of one per file: a fifth of the time for a thousand
/// small files. Nothing of a new cluster is synced before.
async fn sync_everything(dir: &Path) -> Result<(), EmbeddedError> {
    let folder = File::open(dir).map_err(EmbeddedError::file("open the folder", dir))?;
    let synced = tokio::task::spawn_blocking(move || rustix::fs::syncfs(folder)).await;
    let synced = synced
        .map_err(io::Error::other)
        .and_then(|done| done.map_err(io::Error::from));
    synced.map_err(EmbeddedError::file("sync", dir))
}

/// The release that made an existing cluster.
fn made_by(dir: &Path) -> Result<Option<u32>, EmbeddedError> {
    let file = dir.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::file("read", file)(error)),
    }
}

/// The address of the server that listens in a folder, for its superuser.
pub(super) fn url_of(socket_dir: &Path) -> String {
    let host: String =
        url::form_urlencoded::byte_serialize(socket_dir.as_os_str().as_encoded_bytes()).collect();
    // A space is `+` only in forms; a URL that is read by libpq needs %20.
    format!(
        "postgres:///{DATABASE}?host={}&user={SUPERUSER}",
        host.replace('+', "%20")
    )
}

/// The cluster folder when the socket's path fits there, else a short one named after it.
pub(super) fn socket_dir(dir: &Path) -> PathBuf {
    let longest = dir.join(SOCKET_NAME);
    if longest.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return dir.to_owned();
    }
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    PathBuf::from("/tmp").join(format!("tamiz-pg-{}", hex::encode(&digest[..8])))
}

/// Runs a program on a cluster folder it may have no path to, and returns what it wrote.
///
/// Its children read other standard inputs, so the folder is passed as an inherited descriptor; the
/// moment in which another child of ours could inherit it too is before any other work is started.
async fn run_inside(
    mut command: Command,
    program: &'static str,
    dir: &Path,
    input: &str,
) -> Result<String, EmbeddedError> {
    let folder = File::open(dir).map_err(EmbeddedError::file("open the folder", dir))?;
    rustix::io::fcntl_setfd(&folder, rustix::io::FdFlags::empty())
        .map_err(|error| EmbeddedError::file("open the folder", dir)(error.into()))?;
    command
        .arg("-D")
        .arg(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    if program.ends_with("--single") {
        command.arg("postgres");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let failed = |reason: String| EmbeddedError::Program { program, reason };
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    drop(folder);
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .await
            .map_err(|error| failed(error.to_string()))?;
    }
    let output =
        tokio::time::timeout(Duration::from_secs(CREATE_SECONDS_MAX), child.wait_with_output()).await;
    let output = output
        .map_err(|_| failed(format!("not done after {CREATE_SECONDS_MAX} s")))?
        .map_err(|error| failed(error.to_string()))?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let last = words
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no message");
        return Err(failed(format!("{} ({})", last.trim(), output.status)));
    }
    Ok(words)
}

/// Starts the log anew when the old one has grown.
pub(super) fn rotate_log(log: &Path) {
    /// A healthy server writes a few lines per start; ten megabytes are years, or a crash loop.
    const LOG_BYTES_MAX: u64 = 10 << 20;
    let grown = std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX);
    if grown && let Err(error) = std::fs::rename(log, log.with_extension("log.1")) {
        tracing::warn!(%error, log = %log.display(), "cannot rotate the log of Postgres");
    }
}

/// The file whose lock says that a process runs the cluster of a data folder.
const LOCK_FILE: &str = "postgres.lock";

/// How long a lock that is held is tried again: a command that only looks lets go at once.
const LOCK_MILLISECONDS_MAX: u64 = 500;

/// Makes the data folder private to us and takes its lock; the lock lives as long as the file.
pub(super) async fn lock(data_dir: &Path) -> Result<File, EmbeddedError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir);
    made.map_err(EmbeddedError::file("create the data folder", data_dir))?;
    let path = data_dir.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path);
    let mut file = file.map_err(EmbeddedError::file("open", &path))?;
    let deadline = Instant::now() + Duration::from_millis(LOCK_MILLISECONDS_MAX);
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::WouldBlock if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            TryLockError::WouldBlock => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.trim().is_empty() {
                    "?".to_owned()
                } else {
                    holder.trim().to_owned()
                };
                return Err(EmbeddedError::InUse {
                    data_dir: data_dir.to_owned(),
                    holder,
                });
            }
            TryLockError::Error(error) => return Err(EmbeddedError::file("lock", &path)(error)),
        }
    }
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(EmbeddedError::file("write", &path))?;
    Ok(file)
}

/// Whether another process holds the lock of a data folder.
pub(super) fn is_locked(data_dir: &Path) -> Result<bool, EmbeddedError> {
    let path = data_dir.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(EmbeddedError::file("open", &path)(error)),
    };
    // A shared lock, so that two who look at the same time do not take each other for the owner.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(EmbeddedError::file("lock", &path)(error)),
    }
}
