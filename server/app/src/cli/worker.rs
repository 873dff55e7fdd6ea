//! `tamiz worker`: a worker in a process of its own.

use std::ffi::OsString;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::flags::flag;
use super::{CliError, ConfigFlags, asked_to_end, open, start_logs};
use crate::config::{Config, Flag};
use crate::platform::Platform;
use crate::telemetry;
use crate::tool::{Catalogue, Inventory, ToolFolders};
use crate::worker::Worker;

/// Run a worker in a process of its own
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the database and the blob store of the server; SIGTERM lets running tasks end first.

Examples:
  DATABASE_URL=postgres://tamiz@db/tamiz TAMIZ_BLOB_URL=s3://bucket/tamiz tamiz worker
  tamiz worker --slots 4")]
pub struct WorkerArgs {
    /// Work on so many tasks at once [default: one per core]
    #[arg(long, value_name = "COUNT")]
    slots: Option<String>,
}

impl WorkerArgs {
    /// What the flags say about the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let named = |slots: &String| Flag {
            key: "worker_slots".to_owned(),
            ..flag("slots", slots)
        };
        self.slots.iter().map(named).collect()
    }
}

pub(super) async fn run(args: WorkerArgs, flags: ConfigFlags) -> Result<(), CliError> {
    let config = Arc::new(flags.load(args.flags())?.config);
    start_logs(&config.log);
    if let Err(error) = telemetry::install_metrics() {
        tracing::warn!(error = &error as &dyn std::error::Error, "no metrics");
    }
    let database = Database::shared(&config).await?;
    let done = work(&config, &database.url).await;
    database.close(config.shutdown_grace).await;
    done
}

async fn work(config: &Arc<Config>, database_url: &str) -> Result<(), CliError> {
    let platform = open::platform(config.clone(), database_url).await?;
    let worker = register(platform.clone()).await?;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(worker.run(shutdown.clone()));
    let signal = asked_to_end().await?;
    tracing::info!(signal, "draining");
    shutdown.cancel();
    running.await.map_err(|error| CliError::failed(&error))?;
    platform.store.close().await;
    Ok(())
}

/// A worker with the tools that this machine has.
pub(super) async fn register(platform: Platform) -> Result<Worker, CliError> {
    let inventory = inventory(&platform.config).await?;
    Worker::register(platform, inventory)
        .await
        .map_err(|error| CliError::failed(&error))
}

async fn inventory(config: &Config) -> Result<Inventory, CliError> {
    let catalogue =
        Catalogue::load(config.worker.tools_file.as_deref()).map_err(|error| CliError::failed(&error))?;
    let configured: Option<OsString> = match config.worker.tool_path.as_slice() {
        [] => None,
        folders => Some(
            std::env::join_paths(folders).map_err(|error| CliError::Usage(format!("tool_path: {error}")))?,
        ),
    };
    let inventory = catalogue
        .probe(&ToolFolders::of_this_process(configured.as_deref()))
        .await;
    for missing in &inventory.missing {
        tracing::warn!(
            tool = missing.name,
            reason = missing.reason,
            scan_types = ?missing.scan_types,
            "a tool is not available: scans that need it wait for another worker"
        );
    }
    Ok(inventory)
}
