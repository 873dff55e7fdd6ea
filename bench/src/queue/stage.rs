//! What a race runs on: one embedded Postgres with a database per runner, and a Redis with its defaults.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::child;
use crate::Outcome;
use crate::stand::{Process, free_port, postgres, program, psql, said};

/// A server on a busy machine takes a while to be ready.
const READY_MAX: Duration = Duration::from_mins(1);
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Limits of each tenant, high enough not to be the measure and there to be checked: running at once, running
/// at once of the one scan type, starts per hour and day.
const RUNNING_MAX: u32 = 64;
const STARTS_MAX: u32 = 100_000_000;

pub(crate) struct Stage {
    _folder: tempfile::TempDir,
    pub(crate) url: String,
    host: String,
    user: String,
    /// `None` where no redis-server is.
    redis: Option<(u16, Process)>,
    // last: it goes after everybody who is connected
    _postgres: Child,
}

impl Stage {
    pub(crate) fn set() -> Outcome<Self> {
        let program = program()?;
        let folder = tempfile::tempdir()?;
        let (postgres, url) = postgres(&program, &folder.path().join("postgres"))?;
        let of = |key: &str| -> Outcome<String> {
            let parsed = reqwest::Url::parse(&url)?;
            let pair = parsed.query_pairs().find(|(name, _)| name == key);
            Ok(pair.ok_or("Postgres has another address")?.1.into_owned())
        };
        let (host, user) = (of("host")?, of("user")?);
        let mut migrate = Command::new(&program);
        migrate.args(["--config", "/dev/null", "migrate"]);
        said("tamiz migrate", migrate.env("DATABASE_URL", &url))?;
        Ok(Self {
            redis: start_redis(folder.path())?,
            _folder: folder,
            url,
            host,
            user,
            _postgres: postgres,
        })
    }

    pub(crate) fn has_redis(&self) -> bool {
        self.redis.is_some()
    }

    /// What a peer's process reads of its surroundings.
    pub(crate) fn environment(&self, database: &str) -> Vec<(&'static str, String)> {
        let port = self.redis.as_ref().map_or(0, |(port, _)| *port);
        vec![
            ("PGHOST", self.host.clone()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", database.to_owned()),
            ("REDIS_PORT", port.to_string()),
            ("NODE_ENV", "production".to_owned()),
        ]
    }

    /// Runs statements as the superuser; answers what they print, fields apart by spaces.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> Outcome<String> {
        let url = self.url.replacen("///tamiz?", &format!("///{database}?"), 1);
        psql(&url, statements)
    }

    /// What the servers are, and that their settings are the defaults that the numbers depend on.
    pub(crate) fn describe(&self) -> Outcome<String> {
        let settings = "select 'Postgres ' || current_setting('server_version')
            || ', fsync ' || current_setting('fsync')
            || ', synchronous_commit ' || current_setting('synchronous_commit')
            || ', shared_buffers ' || current_setting('shared_buffers')";
        self.sql("tamiz", settings)
    }

    /// Tenants with weights and limits, from number 0 on.
    pub(crate) fn make_tenants(&self, count: u64) -> Outcome<()> {
        let first = child::tenant(0);
        let base = first.to_string();
        // its last twelve digits are the number
        let (start, _) = base.split_at(base.len() - 12);
        let running = RUNNING_MAX;
        let scan_type = child::SCAN_TYPE;
        self.sql(
            "tamiz",
            &format!(
                "insert into control.tenant (id, name)
                 select ('{start}' || lpad(to_hex(n), 12, '0'))::uuid, 'bench-' || n from generate_series(0, {count} - 1) n
                 on conflict do nothing;
                 select count(control.set_share(id, 1 + (random() * 3)::int, {running},
                     jsonb_build_object('{scan_type}', {running}), {STARTS_MAX}, {STARTS_MAX}))
                 from control.tenant where name like 'bench-%';
                 analyze control.share; analyze control.tenant;"
            ),
        )?;
        Ok(())
    }

    /// An empty queue, for the next measure; tenants stay.
    pub(crate) fn empty_queue(&self) -> Outcome<()> {
        self.sql(
            "tamiz",
            "truncate control.ticket, control.lane, control.start_count; checkpoint",
        )?;
        Ok(())
    }
}

/// With the defaults of its own: snapshots now and then, no log of appended commands.
fn start_redis(folder: &Path) -> Outcome<Option<(u16, Process)>> {
    let Some(program) = redis_program() else {
        return Ok(None);
    };
    let port = free_port()?;
    let child = Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()?;
    let process = Process::of(child);
    let deadline = Instant::now() + READY_MAX;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            return Err("redis-server did not start".into());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    Ok(Some((port, process)))
}

/// Where `scripts/setup-redis` looks.
fn redis_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("redis-server"));
    let unpacked = PathBuf::from(".tools/redis/redis-server");
    installed.chain([unpacked]).find(|program| program.is_file())
}
