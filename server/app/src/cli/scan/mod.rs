//! `tamiz scan`: a folder goes to a server, its findings come back.
//!
//! A client of the public API and of nothing else: it reads no configuration and no database. The
//! order: pack, find or make the project, upload, start, watch, read the findings, print them.
//! Ctrl-C and a passed `--timeout` cancel the task.

mod client;
mod documents;
mod follow;
mod pack;
mod progress;
mod report;
mod sarif;
mod sse;
mod table;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tamiz_core::TaskId;
use tamiz_core::severity::Severity;
use url::Url;

use super::CliError;
use client::Client;
use documents::TaskStart;
use pack::Package;
use progress::Progress;
use report::Report;

/// A cancel that takes longer is left to the server's own lease.
const CANCEL_SECONDS_MAX: u64 = 10;

/// Scan a folder: pack it, send it to the server, watch, and print the findings
#[derive(Debug, Args)]
#[command(after_help = "\
.gitignore is honoured, .git/ and symbolic links are left out. A .zip file is sent as it is.

Examples:
  export TAMIZ_TOKEN=tmz_…
  tamiz scan . --project shop
  tamiz scan . --project shop --fail-on high        exit 1 on a high or critical finding
  tamiz scan src --project shop --format sarif > findings.sarif
  tamiz scan app.zip --project shop --server https://tamiz.example")]
pub struct ScanArgs {
    /// The folder, or a .zip file
    path: PathBuf,
    /// The project it belongs to; made when there is none of that name
    #[arg(long, value_name = "NAME")]
    project: String,
    /// The server
    #[arg(
        long,
        env = "TAMIZ_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8600"
    )]
    server: Url,
    /// The API token; better in the environment than in the shell's history
    #[arg(long, env = "TAMIZ_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the JSON document to this file too
    #[arg(long, value_name = "FILE")]
    json_output: Option<PathBuf>,
    /// Exit 1 when a finding is at least this severe: info, low, medium, high or critical
    #[arg(long, value_name = "LEVEL", value_parser = parse_severity)]
    fail_on: Option<Severity>,
    /// Semgrep rules to use instead of the server's
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Give up after this time and cancel the task, such as 90s, 10m or 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_timeout)]
    timeout: Duration,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// for people
    Table,
    /// for scripts; the document's shape is stable
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    text.parse()
        .map_err(|error: tamiz_core::severity::UnknownWord| error.to_string())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    crate::config::parse_duration(text).map_err(|rule| format!("must be {rule}"))
}

/// The task that has to be cancelled if the scan is given up: from before it is asked for until it has
/// ended.
#[derive(Debug, Default)]
struct Started(Mutex<Option<String>>);

impl Started {
    fn note(&self, task: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }

    fn task(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Scans and prints.
///
/// # Errors
/// [`CliError`], each kind with its exit code.
pub async fn run(args: ScanArgs) -> Result<(), CliError> {
    run_to(args, &mut std::io::stdout()).await
}

async fn run_to(args: ScanArgs, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let Some(token) = args.token.as_deref().filter(|token| !token.is_empty()) else {
        let text = "no API token: set TAMIZ_TOKEN or give --token (`tamiz token create` makes one)";
        return Err(CliError::Usage(text.to_owned()));
    };
    let client = Client::new(args.server.clone(), token)?;
    let started = Started::default();
    let progress = Progress::new(args.quiet);
    let outcome = tokio::select! {
        done = tokio::time::timeout(args.timeout, scan(&args, &client, &started, &progress)) => {
            done.unwrap_or_else(|_| {
                let seconds = args.timeout.as_secs();
                Err(CliError::Failed(format!("the scan was not done after {seconds} s and is cancelled (--timeout)")))
            })
        }
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
    };
    progress.clear();
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            cancel(&client, &started).await;
            return Err(error);
        }
    };
    if let Some(path) = &args.json_output {
        let written = std::fs::write(path, pretty(&report.to_json())?);
        written.map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))?;
    }
    print(&report, args.format, output)?;
    let reached = |level| report.at_least(level);
    match args.fail_on.map(|level| (level, reached(level))) {
        Some((level, count)) if count > 0 => {
            eprintln!(
                "tamiz: {count} of {} findings are {level} or worse (--fail-on)",
                report.findings.len()
            );
            Err(CliError::Findings)
        }
        _ => Ok(()),
    }
}

async fn scan(
    args: &ScanArgs,
    client: &Client,
    started: &Started,
    progress: &Progress,
) -> Result<Report, CliError> {
    progress.say("packing");
    let files_max = documents::archive_entries_max(client).await?;
    let package = pack(&args.path, files_max).await?;
    for warning in &package.warnings {
        progress.warn(warning);
    }
    let project = documents::ensure_project(client, &args.project).await?;
    progress.say(&format!(
        "uploading {} files, {} KiB",
        package.files,
        package.size_bytes.div_ceil(1024)
    ));
    let upload = client
        .upload(&project.id, &package.name, &package.media_type, &package)
        .await?;
    let rules = match &args.rules {
        Some(path) => Some(send_rules(client, &project.id, path).await?),
        None => None,
    };
    let id = TaskId::fresh().to_string();
    let order = TaskStart {
        id: &id,
        project: &project.id,
        upload: &upload,
        rules: rules.as_deref(),
    };
    // Before it is asked for: an answer that is lost may have been a yes.
    started.note(Some(id.clone()));
    let task = documents::start_scan(client, &order).await?;
    follow::to_the_end(client, &task.id, progress).await?;
    started.note(None);
    progress.say("reading findings");
    let report = documents::read_report(client, &task.id, project).await?;
    match report.status.as_str() {
        "completed" => Ok(report),
        status => {
            let why = report.error.as_deref().unwrap_or("no reason was given");
            Err(CliError::Failed(format!(
                "the task {} is {status}: {why}",
                task.id
            )))
        }
    }
}

async fn pack(path: &Path, files_max: u64) -> Result<Package, CliError> {
    let path = path.to_owned();
    let packed = tokio::task::spawn_blocking(move || Package::of(&path, files_max)).await;
    packed
        .map_err(|error| CliError::failed(&error))?
        .map_err(|error| match error {
            pack::PackError::Path { .. }
            | pack::PackError::Empty { .. }
            | pack::PackError::TooMany { .. } => CliError::Usage(super::error::chain(&error)),
            error => CliError::failed(&error),
        })
}

async fn send_rules(client: &Client, project: &str, path: &Path) -> Result<String, CliError> {
    let path = path.to_owned();
    let package = tokio::task::spawn_blocking(move || Package::as_it_is(&path, "application/yaml")).await;
    let package = package.map_err(|error| CliError::failed(&error))?;
    let package = package.map_err(|error| CliError::Usage(super::error::chain(&error)))?;
    client
        .upload(project, &package.name, &package.media_type, &package)
        .await
}

async fn cancel(client: &Client, started: &Started) {
    let Some(task) = started.task() else { return };
    let limit = Duration::from_secs(CANCEL_SECONDS_MAX);
    match tokio::time::timeout(limit, documents::cancel_task(client, &task)).await {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => eprintln!("tamiz: cancelled the task {task}"),
        Ok(Err(error)) => eprintln!("tamiz: the task {task} could not be cancelled: {error}"),
        Err(_) => eprintln!("tamiz: the task {task} could not be cancelled in time"),
    }
}

fn print(report: &Report, format: Format, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let text = match format {
        Format::Table => table::render(report, table::Look::of_stdout()),
        Format::Json => pretty(&report.to_json())?,
        Format::Sarif => pretty(&sarif::render(report))?,
    };
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::Failed(format!("cannot print the findings: {error}"))),
        Ok(()) => Ok(()),
    }
}

fn pretty(document: &serde_json::Value) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(document).map_err(|error| CliError::failed(&error))?;
    Ok(text + "\n")
}
