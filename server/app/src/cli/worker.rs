//! `tamiz worker`: a worker in a process of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use clap::{Args, Subcommand};
use metrics_exporter_prometheus::PrometheusHandle;
use tamiz_store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::flags::flag;
use super::outage::outwait;
use super::remote_worker::{self, ServerFlags};
use super::worker_token::{self, WorkerTokenCommand};
use super::{CliError, ConfigFlags, answer, asked_to_end, hurry_when_asked_again, open, start_logs, workers};
use crate::api::health;
use crate::api::listen::{self, Limits};
use crate::blob::BlobStore;
use crate::config::{Config, Flag};
use crate::metrics_page::MetricsPage;
use crate::platform::Platform;
use crate::plugins::Plugins;
use crate::telemetry;
use crate::tool::{Catalogue, Inventory, ToolFolders, rules};
use crate::upkeep;
use crate::worker::{Arrival, Worker, WorkerError};

/// Connections to a worker's health and metrics: a scraper or two, and somebody who looks.
const WATCHERS_MAX: usize = 32;

/// Run a worker in a process of its own
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the database and the blob store of the server, or with --server and --token that server alone. SIGTERM lets running tasks end first, a second one does not
wait for them.

Examples:
  DATABASE_URL=postgres://tamiz@db/tamiz TAMIZ_BLOB_URL=s3://bucket/tamiz tamiz worker
  TAMIZ_WORKER_TOKEN=tmw_… tamiz worker --server https://tamiz.example
  tamiz worker --slots 4 --metrics-listen 127.0.0.1:8601
  tamiz worker --name scanner-1 --scan-types web,ssl
  tamiz worker --check")]
pub struct WorkerArgs {
    #[command(subcommand)]
    command: Option<WorkerCommand>,
    #[command(flatten)]
    server: ServerFlags,
    /// What the register calls it, at every start [default: the host and a few digits]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Work on tasks of these types alone, such as web,ssl [default: all]
    #[arg(long, value_name = "TYPES")]
    scan_types: Option<String>,
    /// Work on so many tasks at once [default: one per core]
    #[arg(long, value_name = "COUNT")]
    slots: Option<String>,
    /// Only tell which tools are here, what the others want, and which scans this machine can serve;
    /// needs no server. Fails when it can serve none
    #[arg(long)]
    check: bool,
    /// Answer /healthz and /metrics here, without a token [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
}

/// What can be done with workers beside being one.
#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// List the workers: what they do, what they did, why they cannot work
    #[command(after_help = "\
Examples:
  tamiz worker list")]
    List,
    /// Manage the tokens of workers that do not have the database
    #[command(subcommand)]
    Token(WorkerTokenCommand),
}

impl WorkerArgs {
    /// A flag of the worker itself that was said, though what comes after it is no worker.
    ///
    /// clap could refuse them, but then refuses the flags that every command takes along with them.
    fn out_of_place(&self) -> Option<CliError> {
        self.command.as_ref()?;
        let of_worker = [
            ("--name", self.name.is_some()),
            ("--scan-types", self.scan_types.is_some()),
            ("--slots", self.slots.is_some()),
            ("--check", self.check),
            ("--metrics-listen", self.metrics_listen.is_some()),
        ];
        let mut all = of_worker.into_iter().chain(self.server.said());
        let (flag, _) = all.find(|(_, is_said)| *is_said)?;
        Some(CliError::Usage(format!(
            "{flag} before a command of `tamiz worker` is for a worker that starts: leave it out, or say it after \
             the command if it is the command's own"
        )))
    }

    /// What the flags say about the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let of_worker = [
            ("slots", &self.slots),
            ("name", &self.name),
            ("scan_types", &self.scan_types),
        ];
        let of_worker = of_worker.into_iter().filter_map(|(name, value)| {
            let said = flag(name, value.as_deref()?);
            let key = format!("worker_{name}");
            Some(Flag { key, ..said })
        });
        let metrics = self.metrics_listen.iter();
        let metrics = metrics.map(|address| flag("metrics_listen", address));
        of_worker.chain(metrics).collect()
    }
}

pub(super) async fn run(args: WorkerArgs, flags: ConfigFlags) -> Result<(), CliError> {
    if let Some(mistake) = args.out_of_place() {
        return Err(mistake);
    }
    match args.command {
        Some(WorkerCommand::List) => return workers::list(flags).await,
        Some(WorkerCommand::Token(command)) => return worker_token::run(command, flags).await,
        None => {}
    }
    let client = args.server.client()?;
    let config = Arc::new(flags.load(args.flags())?.config);
    if args.check {
        return check(&config).await;
    }
    start_logs(&config.log);
    let recorder = telemetry::install_metrics()
        .inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "no metrics"));
    let watching = watch(&config, recorder.ok()).await?;
    let done = if let Some(client) = client {
        remote_worker::work(&config, client).await
    } else {
        let database = Database::shared(&config).await?;
        let done = work(&config, &database.url).await;
        database.close(config.shutdown_grace).await;
        done
    };
    if let Some(watching) = watching {
        watching.abort();
    }
    done
}

/// Answers those who watch this process, if configured, for as long as it lives.
async fn watch(
    config: &Config,
    recorder: Option<PrometheusHandle>,
) -> Result<Option<JoinHandle<()>>, CliError> {
    let Some(address) = config.worker.metrics_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CliError::Unavailable(format!(
            "cannot listen on {address}: {error}; choose another with --metrics-listen"
        ))
    })?;
    tracing::info!(%address, "answering /healthz and /metrics");
    let router = health::of_worker(recorder.map(MetricsPage::of_process));
    let limits = Limits {
        connections: WATCHERS_MAX,
        of_one_address: WATCHERS_MAX,
        ..Limits::of_process(config.api.places)
    };
    let never = CancellationToken::new();
    let watching = async move { listen::serve(listener, router, &[], limits, never).await };
    Ok(Some(tokio::spawn(watching)))
}

async fn work(config: &Arc<Config>, database_url: &str) -> Result<(), CliError> {
    let equipment = Equipment::of(config)?;
    let (store, blobs) = open::seams(config, database_url).await?;
    // announced before what takes long
    let arrival = announced(&store, &blobs, config).await?;
    let platform = match open::with_plugins(config.clone(), store, blobs).await {
        Ok(platform) => platform,
        Err(error) => {
            arrival.failed(error.to_string()).await;
            return Err(error);
        }
    };
    let worker = equipment.arrive(arrival, platform.plugins.clone()).await?;
    let ended = CancellationToken::new();
    let upkeep = tokio::spawn(upkeep::all(platform.clone(), ended.clone()));
    let done = until_asked_to_end(worker).await;
    ended.cancel();
    upkeep.await.map_err(|error| CliError::failed(&error))?;
    platform.store.close().await;
    done
}

/// A worker that the register has.
async fn announced(store: &Store, blobs: &BlobStore, config: &Arc<Config>) -> Result<Arrival, CliError> {
    let announcing = || Arrival::of_seams(store, blobs, config.clone());
    let arrival = outwait(WorkerError::is_outage, announcing).await;
    arrival.map_err(|error| CliError::failed(&error))
}

/// Runs the worker until a signal, then lets it drain; a worker that cannot go on ends by itself.
pub(super) async fn until_asked_to_end(worker: Worker) -> Result<(), CliError> {
    let (shutdown, hurry) = (CancellationToken::new(), CancellationToken::new());
    let mut running = tokio::spawn(worker.run(shutdown.clone(), hurry.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        signal = asked_to_end() => {
            tracing::info!(signal = signal?, "draining");
            shutdown.cancel();
            let _impatient = hurry_when_asked_again(hurry);
            running.await
        }
    };
    let ended = ended.map_err(|error| CliError::failed(&error))?;
    ended.map_err(|error| CliError::failed(&error))
}

/// Prints what this machine can do.
async fn check(config: &Config) -> Result<(), CliError> {
    let inventory = Equipment::of(config)?.probe().await;
    let serving = serving(&inventory);
    answer::print(&format!(
        "{}\n{}\n{}",
        tools_table(&inventory),
        serving_table(&serving),
        what_next(&inventory)
    ))?;
    if serving.values().any(|tools| !tools.is_empty()) {
        return Ok(());
    }
    Err(CliError::Failed(
        "no scan of a folder or target can be served here; reports and captures can be imported".to_owned(),
    ))
}

/// Each scan type of the catalogue with the tools that are here for it.
fn serving(inventory: &Inventory) -> BTreeMap<&str, Vec<&str>> {
    let mut serving: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for missing in inventory.missing.iter().flat_map(|tool| &tool.scan_types) {
        serving.entry(missing).or_default();
    }
    for tool in &inventory.available {
        for scan_type in &tool.entry.scan_types {
            serving.entry(scan_type).or_default().push(&tool.entry.name);
        }
    }
    serving
}

/// By scan type, and within one what is here first.
fn tools_table(inventory: &Inventory) -> String {
    let here = inventory.available.iter().map(|tool| {
        let entry = &tool.entry;
        let place = tool.binary.display().to_string();
        let version = tool.version.clone().unwrap_or_else(|| "(untold)".to_owned());
        (entry.scan_types.join(","), 0, &entry.name, version, place)
    });
    let missing = inventory.missing.iter().map(|tool| {
        let types = tool.scan_types.join(",");
        (types, 1, &tool.name, "missing".to_owned(), tool.reason.clone())
    });
    let mut rows: Vec<_> = here.chain(missing).collect();
    rows.sort();
    let head = "SCANS      TOOL         VERSION    WHERE IT IS, OR WHAT IT WANTS\n";
    let line = |(types, _, name, version, place)| format!("{types:<10} {name:<12} {version:<10} {place}\n");
    std::iter::once(head.to_owned())
        .chain(rows.into_iter().map(line))
        .collect()
}

fn serving_table(serving: &BTreeMap<&str, Vec<&str>>) -> String {
    let line = |(scan_type, tools): (&&str, &Vec<&str>)| {
        let with = if tools.is_empty() {
            "nothing: finished reports can be imported, nothing can be scanned".to_owned()
        } else {
            tools.join(", ")
        };
        format!("{scan_type:<10} {with}\n")
    };
    let head = "SCANS      ARE SERVED WITH\n".to_owned();
    std::iter::once(head).chain(serving.iter().map(line)).collect()
}

fn what_next(inventory: &Inventory) -> String {
    let (here, missing) = (inventory.available.len(), inventory.missing.len());
    let of_all = format!("{here} of {} tools work here", here + missing);
    if missing == 0 {
        return format!("{of_all}.\n");
    }
    format!(
        "{of_all}. A scan runs those of its profile that do, and says what it did without.\n\
         In a checkout, `make tools` installs what the platform's registries offer.\n"
    )
}

/// What a worker needs and its configuration may have wrong; looked at before anything is served.
pub(super) struct Equipment {
    catalogue: Catalogue,
    folders: ToolFolders,
}

impl Equipment {
    pub(super) fn of(config: &Config) -> Result<Self, CliError> {
        let worker = &config.worker;
        let catalogue =
            Catalogue::load(worker.tools_file.as_deref()).map_err(|error| CliError::failed(&error))?;
        let configured: Option<OsString> = match worker.tool_path.as_slice() {
            [] => None,
            folders => Some(
                std::env::join_paths(folders)
                    .map_err(|error| CliError::Usage(format!("tool_path: {error}")))?,
            ),
        };
        rules::of_worker(worker.rules_path.as_deref(), &config.data_dir).map_err(|error| {
            let which = worker.rules_path.as_ref().map_or_else(
                || "the bundled rules".to_owned(),
                |path| format!("rules_path {}", path.display()),
            );
            CliError::Failed(format!("{which}: {error}"))
        })?;
        Ok(Self {
            catalogue,
            folders: ToolFolders::of_this_process(configured.as_deref()),
        })
    }

    /// A worker with the tools that this machine has.
    pub(super) async fn register(self, platform: Platform) -> Result<Worker, CliError> {
        let arrival = announced(&platform.store, &platform.blobs, &platform.config).await?;
        self.arrive(arrival, platform.plugins).await
    }

    /// The same for a worker that was announced.
    pub(super) async fn arrive(self, arrival: Arrival, plugins: Plugins) -> Result<Worker, CliError> {
        let inventory = self.probe().await;
        let worker = arrival.ready(plugins, inventory).await;
        worker.map_err(|error| CliError::failed(&error))
    }

    async fn probe(&self) -> Inventory {
        let inventory = self.catalogue.probe(&self.folders).await;
        for missing in &inventory.missing {
            tracing::warn!(
                tool = missing.name,
                reason = missing.reason,
                scan_types = ?missing.scan_types,
                "a tool is not available: scans that need it wait for another worker"
            );
        }
        inventory
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::tool::MissingTool;

    /// The command line of a worker, with the flags that every command takes.
    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ConfigFlags,
        #[command(flatten)]
        args: WorkerArgs,
    }

    #[test]
    fn flags_of_every_command_stand_before_a_command_of_workers_or_after_it() {
        for words in [
            ["--data-dir", "x", "token", "create", "--name", "rack"],
            ["token", "--data-dir", "x", "create", "--name", "rack"],
            ["token", "create", "--data-dir", "x", "--name", "rack"],
            ["token", "create", "--name", "rack", "--data-dir", "x"],
        ] {
            let line = Line::try_parse_from([&["worker"][..], &words].concat()).unwrap();
            assert_eq!(line.flags.data_dir.as_deref(), Some("x"), "{words:?}");
            assert!(line.args.out_of_place().is_none(), "{words:?}");
            assert!(
                matches!(&line.args.command, Some(WorkerCommand::Token(WorkerTokenCommand::Create { name, .. })) if name == "rack"),
                "{words:?}"
            );
        }
    }

    #[test]
    fn flags_of_a_worker_that_starts_are_refused_by_name_before_a_command() {
        for (words, flag) in [
            (&["--name", "x", "token", "create", "--name", "y"][..], "--name"),
            (&["--check", "list"], "--check"),
            (&["--server", "http://127.0.0.1:1", "list"], "--server"),
        ] {
            let line = Line::try_parse_from([&["worker"][..], words].concat()).unwrap();
            let refused = line.args.out_of_place().unwrap();
            assert!(matches!(refused, CliError::Usage(_)));
            assert!(refused.to_string().starts_with(flag), "{refused}");
        }
        let line = Line::try_parse_from(["worker", "--name", "x", "--slots", "2"]).unwrap();
        assert!(line.args.out_of_place().is_none());
    }

    #[test]
    fn what_is_missing_is_told_with_what_to_do_and_what_cannot_be_scanned() {
        let inventory = Inventory {
            available: Vec::new(),
            missing: vec![MissingTool {
                name: "sslscan".to_owned(),
                scan_types: vec!["ssl".to_owned()],
                reason: "no program sslscan was found; run scripts/tools sslscan".to_owned(),
            }],
        };
        let table = tools_table(&inventory);
        assert!(
            table.contains("ssl        sslscan      missing    no program"),
            "{table}"
        );
        let serving = serving(&inventory);
        assert_eq!(serving["ssl"], [""; 0]);
        assert!(serving_table(&serving).contains("ssl        nothing: "));
        assert!(what_next(&inventory).starts_with("0 of 1 tools work here. "));
    }
}
