//! Every configuration key: its name, its default and what it is for.
//!
//! The name is the key in `tamiz.toml`; in upper case behind `TAMIZ_` it is the environment variable;
//! `--set name=value` sets it on the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One configuration key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) fallback: Fallback,
    pub(super) secrecy: Secrecy,
}

/// What holds when no layer says anything.
#[derive(Debug)]
pub(super) enum Fallback {
    /// this text
    Text(&'static str),
    /// made of the values of keys that stand earlier in [`KEYS`]
    Computed(Compute),
    /// nothing
    Unset,
}

/// Makes a default out of the values of other keys, which it asks for by name.
pub(super) type Compute = fn(&dyn Fn(&str) -> String) -> String;

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    Plain,
    /// a URL whose password is masked
    Url,
}

const fn plain(name: &'static str, text: &'static str) -> Key {
    Key {
        name,
        fallback: Fallback::Text(text),
        secrecy: Secrecy::Plain,
    }
}

const fn unset(name: &'static str) -> Key {
    Key {
        name,
        fallback: Fallback::Unset,
        secrecy: Secrecy::Plain,
    }
}

const fn computed(name: &'static str, compute: Compute) -> Key {
    Key {
        name,
        fallback: Fallback::Computed(compute),
        secrecy: Secrecy::Plain,
    }
}

/// All keys, in the order in which `config check` prints them.
pub(super) const KEYS: &[Key] = &[
    // Where the server is and where its data lies.
    plain("listen", "127.0.0.1:8600"),
    computed("public_url", public_url),
    Key {
        name: "database_url",
        fallback: Fallback::Unset,
        secrecy: Secrecy::Url,
    },
    Key {
        name: "redis_url",
        fallback: Fallback::Unset,
        secrecy: Secrecy::Url,
    },
    plain("data_dir", ".tamiz"),
    Key {
        name: "blob_url",
        fallback: Fallback::Computed(blob_url),
        secrecy: Secrecy::Url,
    },
    computed("scratch_dir", |value| under_data_dir(value, "scratch")),
    plain("migrate_on_start", "true"),
    plain("shutdown_grace_seconds", "20s"),
    // The queue.
    plain("lease_seconds", "30s"),
    plain("heartbeat_seconds", "10s"),
    plain("poll_seconds", "5s"),
    plain("max_attempts", "5"),
    plain("retry_base_seconds", "2s"),
    plain("retry_max_seconds", "5m"),
    plain("task_timeout_seconds", "4h"),
    unset("task_timeouts"),
    plain("log_retention_days", "90"),
    // The worker and its tools.
    plain("worker_in_process", "true"),
    unset("worker_name"),
    unset("worker_scan_types"),
    computed("worker_slots", |_| cores().to_string()),
    unset("tool_path"),
    unset("tools_file"),
    unset("rules_path"),
    // What scans may reach.
    unset("target_networks_allowed"),
    computed("target_resolvers", |_| system_resolvers()),
    // What webhooks may reach, and over plain HTTP.
    unset("webhook_networks_allowed"),
    // Plugins.
    computed("plugin_dir", |_| plugin_dir()),
    computed("plugin_cache_dir", |value| under_data_dir(value, "plugin-cache")),
    plain("plugin_memory_bytes_max", "256MiB"),
    plain("plugin_deadline_seconds", "5m"),
    // A port for the metrics of `worker`; `serve` has them beside the API.
    unset("metrics_listen"),
    // Uploaded archives.
    plain("archive_entries_max", "10000"),
    plain("archive_file_bytes_max", "64MiB"),
    plain("archive_bytes_max", "512MiB"),
    // The API.
    plain("upload_bytes_max", "512MiB"),
    plain("rate_requests_per_second", "50"),
    plain("rate_burst", "200"),
    unset("trusted_proxies"),
    unset("cors_origins"),
    plain("connections_max", "10000"),
    computed("connections_per_address_max", |value| {
        quarter(&value("connections_max"))
    }),
    plain("streams_max", "4096"),
    plain("streams_per_tenant_max", "256"),
    plain("graphql_depth_max", "20"),
    plain("graphql_complexity_max", "20000"),
    plain("graphql_page_max", "100"),
    // all that queries of one tenant may cost: a tenth of a core at a microsecond a value would be 6,000,000
    plain("graphql_cost_per_minute", "2000000"),
    plain("graphql_timeout_seconds", "30s"),
    plain("graphql_introspection", "true"),
    plain("graphql_batch_max", "0"),
    unset("trusted_documents"),
    plain("trusted_documents_only", "false"),
    // Telemetry.
    plain("metrics_tenants_max", "0"),
    plain("log_format", "text"),
    plain("log_filter", "info"),
];

/// Variables that start with `TAMIZ_` and are read elsewhere: by the command line, by the embedded
/// Postgres, by the scripts of the checkout.
pub(super) const OTHER_VARIABLES: &[&str] = &[
    "TAMIZ_CONFIG",
    "TAMIZ_SERVER",
    "TAMIZ_TOKEN",
    "TAMIZ_WORKER_TOKEN",
    "TAMIZ_PG_BINDIR",
    "TAMIZ_REGISTRY_PASSWORD",
    "TAMIZ_COMPONENTIZE_PY",
    "TAMIZ_JCO",
    "TAMIZ_PLUGIN_TOOLCHAIN",
];

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The environment variable that sets a key.
pub(super) fn variable(name: &str) -> String {
    format!("TAMIZ_{}", name.to_ascii_uppercase())
}

fn public_url(value: &dyn Fn(&str) -> String) -> String {
    let listen = value("listen");
    match listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        _ => format!("http://{listen}"),
    }
}

fn under_data_dir(value: &dyn Fn(&str) -> String, folder: &str) -> String {
    Path::new(&value("data_dir")).join(folder).display().to_string()
}

fn blob_url(value: &dyn Fn(&str) -> String) -> String {
    let folder = PathBuf::from(under_data_dir(value, "blobs"));
    let absolute = std::path::absolute(&folder).unwrap_or(folder);
    url::Url::from_directory_path(&absolute).map_or_else(|()| absolute.display().to_string(), String::from)
}

/// A quarter of a count, and at least one; what is no count is told where it stands.
fn quarter(count: &str) -> String {
    count
        .parse::<u64>()
        .map_or_else(|_| count.to_owned(), |count| (count / 4).max(1).to_string())
}

/// The name servers of this machine; nothing where it has none.
fn system_resolvers() -> String {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    // a scope, as in fe80::1%eth0, is of no use to anybody else
    let servers = servers
        .map(str::trim)
        .filter(|server| server.parse::<std::net::IpAddr>().is_ok());
    servers.collect::<Vec<_>>().join(",")
}

fn cores() -> usize {
    let most = usize::try_from(super::reader::SLOTS_MAX).unwrap_or(usize::MAX);
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(most))
}

/// `plugins` beside the binary, else beside its folder (`target/plugins` for `target/debug/tamiz`),
/// else `target/plugins` here; the first that exists.
fn plugin_dir() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let folders = exe
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join("plugins"));
    let mut candidates: Vec<PathBuf> = folders.collect();
    candidates.push(PathBuf::from("target/plugins"));
    let found = candidates
        .iter()
        .find(|folder| folder.is_dir())
        .or(candidates.first());
    found
        .map(|folder| folder.display().to_string())
        .unwrap_or_default()
}
