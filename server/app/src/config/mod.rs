//! Configuration: where every value comes from, and the typed [`Config`] the rest of the code reads.
//!
//! Layers, later wins: built-in defaults, the environment (`TAMIZ_*`, `DATABASE_URL`, `REDIS_URL`), `tamiz.toml`,
//! command-line flags. Every value remembers its origin and what it overrode, so that
//! `tamiz config check` can say so; all mistakes are reported at once, not one per start.
//!
//! Not here: what a value does. Each part of [`Config`] is read by the module it is named after.

mod check;
mod keys;
mod layers;
mod nearest;
mod reader;
mod target;
mod timeouts;
mod typed;
mod value;

pub use check::render;
pub use layers::{ConfigError, Flag, Loaded, Problem, Sources};
pub use reader::{LOADS_AT_ONCE, PLANS_AT_ONCE};
pub use target::{NetworkAllowance, TargetSettings};
pub use timeouts::{TASK_TIMEOUT_SECONDS_MAX, TaskTimeouts};
pub use typed::{
    ApiSettings, ArchiveSettings, Config, GraphqlSettings, LogFormat, LogSettings, Places, PluginSettings,
    QueueSettings, RateLimit, WorkerSettings,
};
pub use value::{DatabaseUrl, Network, Origin, RedisUrl, duration as parse_duration};
pub(crate) use value::{count as parse_count, show_size, size as parse_size};

use std::path::PathBuf;

/// The file that is read when no other is named.
const FILE_NAME: &str = "tamiz.toml";

/// Reads every layer of the running process and makes a [`Config`] of it.
///
/// `file` is what `--config` named; without it `TAMIZ_CONFIG` is asked, then `tamiz.toml` in the
/// current directory, which alone may be absent.
///
/// # Errors
/// [`ConfigError`] with every mistake found, and what could be resolved in spite of them.
pub fn load(file: Option<PathBuf>, flags: Vec<Flag>) -> Result<Loaded, Box<ConfigError>> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let named = file.or_else(|| {
        let named = environment
            .iter()
            .find(|(name, value)| name == "TAMIZ_CONFIG" && !value.is_empty());
        named.map(|(_, value)| PathBuf::from(value))
    });
    let (path, required) = match named {
        Some(path) => (path, true),
        None => (PathBuf::from(FILE_NAME), false),
    };
    let mut sources = Sources {
        environment,
        flags,
        ..Sources::default()
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => sources.file = Some((path, text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {}
        Err(error) => sources.unreadable = Some((path, error.to_string())),
    }
    layers::resolve(sources)
}
