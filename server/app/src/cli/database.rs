//! The database of a command: the configured one, or the embedded one.

use std::time::Duration;

use super::CliError;
use crate::config::Config;
use crate::embedded::EmbeddedPostgres;

/// A database to work on.
#[derive(Debug)]
pub struct Database {
    /// its address, for the user that migrates
    pub url: String,
    /// the cluster, when this process runs it
    pub embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// For a server: the configured database, or the embedded one, which then is this process's own.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] when the embedded one cannot be started or is somebody else's.
    pub async fn own(config: &Config) -> Result<Database, CliError> {
        if let Some(url) = &config.database_url {
            return Ok(Database {
                url: url.expose().to_owned(),
                embedded: None,
            });
        }
        let started = EmbeddedPostgres::start(&config.data_dir).await;
        let embedded = started.map_err(|error| CliError::unavailable(&error))?;
        Ok(Database {
            url: embedded.url().to_owned(),
            embedded: Some(embedded),
        })
    }

    /// For a command beside a server: as [`Database::own`], but the embedded one is shared with the
    /// process that runs it, if one does.
    ///
    /// # Errors
    /// [`CliError::Unavailable`] when it can be neither reached nor started.
    pub async fn shared(config: &Config) -> Result<Database, CliError> {
        if config.database_url.is_none() {
            let running = EmbeddedPostgres::running(&config.data_dir).await;
            if let Some(url) = running.map_err(|error| CliError::unavailable(&error))? {
                return Ok(Database { url, embedded: None });
            }
        }
        Database::own(config).await
    }

    /// Ends the embedded database, if it is ours.
    pub async fn close(self, grace: Duration) {
        if let Some(embedded) = self.embedded {
            embedded.stop(grace).await;
        }
    }
}
