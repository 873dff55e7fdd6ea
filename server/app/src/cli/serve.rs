//! `tamiz serve`: the whole server.

use std::sync::Arc;

use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use tamiz_store::request_rate::RequestRates;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::flags::flag;
use super::outage::outwait;
use super::worker::Equipment;
use super::{CliError, ConfigFlags, asked_to_end, hurry_when_asked_again, open, start_logs};
use crate::api::listen::{self, Limits};
use crate::api::transport::{Documents, TrustedDocuments};
use crate::api::workers::RemoteWorkers;
use crate::api::{self, ApiState};
use crate::config::{Config, Flag};
use crate::flow::FlowError;
use crate::flow::bundle_plugins::bundle_plugins;
use crate::limiter::{Limiter, Rates, RedisRates};
use crate::metrics_page::MetricsPage;
use crate::platform::Platform;
use crate::plugins::limits;
use crate::telemetry;
use crate::upkeep;

/// Run the server: API, queue and, unless told otherwise, a worker
#[derive(Debug, Args)]
#[command(after_help = "\
Without DATABASE_URL an embedded Postgres is started below the data folder and ends with the server.

Examples:
  tamiz serve
  tamiz serve --listen 0.0.0.0:8600 --data-dir /var/lib/tamiz
  DATABASE_URL=postgres://tamiz@db/tamiz tamiz serve --no-worker")]
pub struct ServeArgs {
    /// Listen here [default: 127.0.0.1:8600]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Leave the work to `tamiz worker` processes
    #[arg(long)]
    no_worker: bool,
    /// Run no GraphQL document but those of the manifest `trusted_documents`
    #[arg(long)]
    trusted_documents_only: bool,
}

impl ServeArgs {
    /// What the flags say about the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags: Vec<Flag> = self.listen.iter().map(|listen| flag("listen", listen)).collect();
        if self.no_worker {
            flags.push(Flag {
                flag: "--no-worker".to_owned(),
                key: "worker_in_process".to_owned(),
                value: "false".to_owned(),
            });
        }
        if self.trusted_documents_only {
            flags.push(Flag {
                flag: "--trusted-documents-only".to_owned(),
                key: "trusted_documents_only".to_owned(),
                value: "true".to_owned(),
            });
        }
        flags
    }
}

pub(super) async fn run(args: ServeArgs, flags: ConfigFlags) -> Result<(), CliError> {
    let config = Arc::new(flags.load(args.flags())?.config);
    start_logs(&config.log);
    let metrics = match telemetry::install_metrics() {
        Ok(handle) => Some(handle),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "no metrics");
            None
        }
    };
    // first of all: a taken port is the most common mistake and should be told at once
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let address = config.listen;
        CliError::Unavailable(format!(
            "cannot listen on {address}: {error}; choose another with --listen"
        ))
    })?;
    let mut database = Database::own(&config).await?;
    let done = serve(&config, listener, &mut database, metrics).await;
    database.close(config.shutdown_grace).await;
    done
}

async fn serve(
    config: &Arc<Config>,
    listener: TcpListener,
    database: &mut Database,
    metrics: Option<PrometheusHandle>,
) -> Result<(), CliError> {
    let in_process = config.worker.in_process;
    let equipment = in_process.then(|| Equipment::of(config)).transpose()?;
    let platform = open::platform(config.clone(), &database.url).await?;
    let (store, blobs) = (&platform.store, &platform.blobs);
    let is_outage = |error: &FlowError| matches!(error, FlowError::Store(error) if error.is_outage());
    let bundling = || bundle_plugins(store, blobs, platform.plugins.folder());
    let bundled = outwait(is_outage, bundling).await;
    bundled.map_err(|error| CliError::unavailable(&error))?;
    let address = listener.local_addr().map_err(|error| CliError::failed(&error))?;
    let (draining, drained) = watch::channel(false);
    let limiter = limiter(config, &database.url)?;
    let documents = documents(config)?;
    let api = api::build(state_of(&platform, documents, limiter.clone(), metrics), drained);
    let sweeping = tokio::spawn(api.rates.sweep());
    let shutdown = CancellationToken::new();
    let stopped = shutdown.clone();
    let proxies = config.api.trusted_proxies.clone();
    let limits = Limits::of_process(config.api.places);
    let serving =
        tokio::spawn(async move { listen::serve(listener, api.router, &proxies, limits, stopped).await });
    // it goes on while the server drains
    let finished = CancellationToken::new();
    let hurry = CancellationToken::new();
    let counting = tokio::spawn(
        limiter
            .usage()
            .clone()
            .run(platform.store.clone(), finished.clone()),
    );
    let upkeep = tokio::spawn(upkeep::all(platform.clone(), finished.clone()));
    let mut working = tokio::spawn(work(platform.clone(), equipment, shutdown.clone(), hurry.clone()));
    tracing::info!(%address, "serving");
    eprintln!("tamiz serves on http://{address}/ (GraphiQL); stop it with Ctrl-C");
    let ended = tokio::select! {
        signal = asked_to_end() => signal.map(|signal| tracing::info!(signal, "draining")),
        error = gone(database) => Err(error),
        Err(error) = failed(&mut working) => Err(error),
    };
    // the other end of the channel is the router, which lives on; either way the streams end
    let _ = draining.send(true);
    shutdown.cancel();
    let _impatient = hurry_when_asked_again(hurry);
    if !working.is_finished()
        && let Err(error) = failed(&mut working).await
    {
        tracing::error!(%error, "the worker ended badly");
    }
    if timeout(config.shutdown_grace, serving).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    sweeping.abort();
    finished.cancel();
    if let Err(error) = upkeep.await {
        tracing::error!(%error, "the upkeep ended badly");
    }
    if let Err(error) = counting.await {
        tracing::error!(%error, "counting requests ended badly");
    }
    platform.store.close().await;
    ended
}

/// What the API needs of this process.
fn state_of(
    platform: &Platform,
    documents: Documents,
    limiter: Limiter,
    metrics: Option<PrometheusHandle>,
) -> ApiState {
    let config = &platform.config;
    let store = &platform.store;
    ApiState {
        limiter,
        documents,
        store: store.clone(),
        blobs: platform.blobs.clone(),
        plugins: platform.plugins.clone(),
        plugin_limits: limits::of_platform(&config.plugin),
        targets: config.target.clone(),
        webhooks: config.webhook.clone(),
        remote_workers: RemoteWorkers {
            queue: config.queue.clone(),
            scratch_dir: config.scratch_dir.clone(),
        },
        settings: config.api.clone(),
        metrics: metrics
            .map(|recorder| MetricsPage::with_fleet(recorder, store.clone(), config.metrics_tenants_max)),
    }
}

/// The documents of the manifest, if there is one.
fn documents(config: &Config) -> Result<Documents, CliError> {
    let settings = &config.api.graphql;
    let trusted = settings.trusted_documents.as_deref();
    let trusted = trusted.map(TrustedDocuments::load).transpose();
    let trusted = trusted
        .map_err(|error| CliError::failed(&error))?
        .unwrap_or_default();
    if settings.trusted_documents.is_some() {
        tracing::info!(documents = trusted.count(), "trusted documents are read");
    }
    Ok(Documents::new(Arc::new(trusted), settings.trusted_documents_only))
}

/// Counts tenants' requests in Redis, if there is one, else in Postgres.
fn limiter(config: &Config, database_url: &str) -> Result<Limiter, CliError> {
    let postgres = RequestRates::open(database_url).map_err(|error| CliError::failed(&error))?;
    let redis = config
        .redis_url
        .as_ref()
        .map(|url| RedisRates::open(url.expose()));
    let redis = redis.transpose().map_err(|error| CliError::failed(&error))?;
    Ok(Limiter::new(Rates::new(postgres, redis)))
}

/// The worker in this process, if configured, until `shutdown`. Looking for tools takes seconds, so the
/// API is up first; a worker that cannot start ends the server, which would only look healthy.
async fn work(
    platform: Platform,
    equipment: Option<Equipment>,
    shutdown: CancellationToken,
    hurry: CancellationToken,
) -> Result<(), CliError> {
    let Some(equipment) = equipment else {
        shutdown.cancelled().await;
        return Ok(());
    };
    let worker = equipment.register(platform).await?;
    let done = worker.run(shutdown, hurry).await;
    done.map_err(|error| CliError::failed(&error))
}

/// How the worker's task ended.
async fn failed(working: &mut JoinHandle<Result<(), CliError>>) -> Result<(), CliError> {
    working
        .await
        .unwrap_or_else(|panic| Err(CliError::failed(&panic)))
}

/// Resolves when the embedded database is given up.
async fn gone(database: &mut Database) -> CliError {
    match &mut database.embedded {
        Some(embedded) => CliError::unavailable(&embedded.failed().await),
        None => std::future::pending().await,
    }
}
