//! The flags that every command takes: where the configuration comes from.

use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::config::{self, Flag, Loaded};

/// Flags of the configuration; they win over `tamiz.toml` and the environment.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration (see `tamiz config check`)")]
pub struct ConfigFlags {
    /// Read this file instead of `./tamiz.toml`; `TAMIZ_CONFIG` does the same
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep the database, blobs and scratch files here [default: .tamiz]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Use this Postgres instead of the embedded one
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Log as `text` or `json`
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What to log, such as `info,tamiz::worker=debug`
    #[arg(long, global = true, value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Set any configuration key; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigFlags {
    /// Loads the configuration and says its warnings.
    ///
    /// # Errors
    /// [`CliError::Config`] with every mistake, [`CliError::Usage`] for a `--set` without `=`.
    pub fn load(&self, more: Vec<Flag>) -> Result<Loaded, CliError> {
        let flags = self.flags(more)?;
        let loaded = config::load(self.config.clone(), flags)?;
        for warning in &loaded.warnings {
            eprintln!("tamiz: warning: {warning}");
        }
        Ok(loaded)
    }

    /// All values of the command line in the order in which they win.
    pub(super) fn flags(&self, more: Vec<Flag>) -> Result<Vec<Flag>, CliError> {
        let named = [
            ("data_dir", &self.data_dir),
            ("database_url", &self.database_url),
            ("log_format", &self.log_format),
            ("log_filter", &self.log_filter),
        ];
        let mut flags: Vec<Flag> = named
            .iter()
            .filter_map(|(key, value)| Some(flag(key, value.as_ref()?)))
            .collect();
        flags.extend(more);
        for pair in &self.set {
            let Some((key, value)) = pair.split_once('=') else {
                let text = format!("--set {pair}: must be KEY=VALUE, such as --set lease_seconds=1m");
                return Err(CliError::Usage(text));
            };
            let (key, value) = (key.trim().to_owned(), value.to_owned());
            flags.push(Flag {
                flag: format!("--set {key}"),
                key,
                value,
            });
        }
        Ok(flags)
    }
}

/// The flag of a key that has one of its own, `--data-dir` for `data_dir`.
pub fn flag(key: &str, value: &str) -> Flag {
    Flag {
        flag: format!("--{}", key.replace('_', "-")),
        key: key.to_owned(),
        value: value.to_owned(),
    }
}
