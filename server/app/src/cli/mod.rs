//! The command line: what can be said, and who does it.
//!
//! Answers go to standard output, everything else to standard error. Errors are one or two lines that
//! say what to do; exit codes are in [`error::EXIT_CODES`] and in `--help`.
//!
//! Not here: the work itself. A command loads the configuration, sets up telemetry and calls a module.

pub mod alerts;
mod answer;
pub mod compile_component;
pub mod config;
pub mod database;
mod door;
pub mod enrich;
mod error;
pub mod fingerprints;
pub mod flags;
mod limits;
pub mod migrate;
mod open;
mod operator;
pub mod operator_token;
mod outage;
pub mod plan;
pub mod plugin;
pub mod postgres;
pub mod queue;
mod quotas;
mod remote_worker;
pub mod scan;
pub mod schema;
pub mod serve;
pub mod tenant;
pub mod token;
mod unpacked;
pub mod usage;
pub mod worker;
mod worker_token;
mod workers;

pub use error::CliError;
pub use flags::ConfigFlags;

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Parser, Subcommand};
use tamiz_core::severity::UnknownWord;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::LogSettings;
use crate::telemetry;

const EXAMPLES: &str = "\
Examples:
  tamiz serve                                  the whole server on an embedded Postgres
  tamiz tenant create acme                     a first tenant
  tamiz token create --tenant acme --name ci   a token for it
  tamiz scan . --project shop --fail-on high   scan the current folder
";

/// A self-hosted security-scanning platform: scans run as queued tasks, converters in a sandbox.
#[derive(Debug, Parser)]
#[command(name = "tamiz", version, max_term_width = 100, after_help = format!("{EXAMPLES}\n{}", error::EXIT_CODES))]
pub struct Cli {
    #[command(flatten)]
    flags: ConfigFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Worker(worker::WorkerArgs),
    Migrate(migrate::MigrateArgs),
    Schema(schema::SchemaArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Write, publish and install plugins, and say what they may do
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Manage plans: what their tenants and the plugins of their tenants may use up
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Import what is known of advisories: how likely they are exploited (EPSS), and which ones are (KEV)
    #[command(subcommand)]
    Enrich(enrich::EnrichCommand),
    /// See what tenants have used, and count it again
    #[command(subcommand)]
    Usage(usage::UsageCommand),
    /// Watch the queue, check it, hold it back, send back what ended badly
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Check the counters of alerts
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// Know alerts again as this version does
    #[command(subcommand)]
    Fingerprints(fingerprints::FingerprintsCommand),
    /// Manage what operators reach over HTTP
    #[command(subcommand)]
    Operator(operator_token::OperatorCommand),
    Scan(scan::ScanArgs),
    Import(scan::ImportArgs),
    Export(scan::ExportArgs),
    /// Read decisions from VEX documents
    #[command(subcommand)]
    Vex(scan::VexCommand),
    #[command(hide = true)]
    Postgres(postgres::PostgresArgs),
    #[command(hide = true)]
    CompileComponent(compile_component::CompileComponentArgs),
    /// The inner end of a tool's door; started by the worker, never by a person
    #[command(hide = true)]
    Door,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers (0), everything else is a mistake (2). When standard output
            // is closed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if matches!(cli.command, Command::Door) {
        return door::run();
    }
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn execute(cli: Cli) -> Result<(), CliError> {
    let Cli { flags, command } = cli;
    match command {
        // This process limits itself for good and must have no threads.
        Command::CompileComponent(args) => compile_component::run(&args),
        // Answered above: it ends with another program's exit code.
        Command::Door => Ok(()),
        Command::Schema(args) => schema::run(&args),
        Command::Config(command) => config::run(&command, &flags),
        Command::Serve(args) => block_on(serve::run(args, flags)),
        Command::Worker(args) => block_on(worker::run(args, flags)),
        Command::Migrate(args) => block_on(migrate::run(args, flags)),
        Command::Tenant(command) => block_on(tenant::run(command, flags)),
        Command::Token(command) => block_on(token::run(command, flags)),
        Command::Plugin(command) => plugin::run(command, &flags),
        Command::Plan(command) => block_on(plan::run(command, flags)),
        Command::Alerts(command) => block_on(alerts::run(command, flags)),
        Command::Fingerprints(command) => block_on(fingerprints::run(command, flags)),
        Command::Enrich(command) => block_on(enrich::run(command, flags)),
        Command::Usage(command) => block_on(usage::run(command, flags)),
        Command::Queue(command) => block_on(queue::run(command, flags)),
        Command::Operator(command) => block_on(operator_token::run(command, flags)),
        Command::Scan(args) => block_on(scan::run(args)),
        Command::Import(args) => block_on(scan::run_import(args)),
        Command::Export(args) => block_on(scan::run_export(args)),
        Command::Vex(command) => block_on(scan::run_vex(command)),
        Command::Postgres(args) => block_on(postgres::run(args, flags)),
    }
}

fn block_on(work: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::Failed(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(work);
    // A blocking call that hangs must not keep a finished command.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Logs as configured. A process without logs is better than none.
pub(crate) fn start_logs(settings: &LogSettings) {
    if let Err(error) = telemetry::install(settings) {
        eprintln!("tamiz: warning: {}", error::chain(&error));
    }
}

/// Resolves when the process is asked to end: SIGTERM, or Ctrl-C.
///
/// # Errors
/// [`CliError::Failed`] when signals cannot be heard.
pub(crate) async fn asked_to_end() -> Result<&'static str, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let deaf = |error| CliError::Failed(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// Cancels `hurry` when the process is asked to end once more, as long as the answer lives.
pub(crate) fn hurry_when_asked_again(hurry: CancellationToken) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        if let Ok(signal) = asked_to_end().await {
            tracing::warn!(signal, "asked to end once more: not waiting for what runs");
            hurry.cancel();
        }
    }))
}

/// A word of a list that is known, for clap.
fn parse_word<Word: FromStr<Err = UnknownWord>>(text: &str) -> Result<Word, String> {
    text.parse().map_err(|error: UnknownWord| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_visible_command_shows_an_example() {
        fn look(command: &clap::Command) {
            for inner in command
                .get_subcommands()
                .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
            {
                assert!(
                    inner.get_about().is_some(),
                    "{} has no description",
                    inner.get_name()
                );
                if inner.has_subcommands() {
                    look(inner);
                    continue;
                }
                let after = inner
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(after.contains("tamiz "), "{} has no example", inner.get_name());
            }
        }
        let command = Cli::command();
        command.clone().debug_assert();
        look(&command);
    }
}
