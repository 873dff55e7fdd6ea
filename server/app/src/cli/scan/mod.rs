//! `tamiz scan` and `tamiz import`: a folder, a capture, a target or a report goes to a server, its
//! findings come back. `tamiz export`: alerts come back as files.
//!
//! A client of the public API and of nothing else: it reads no configuration and no database. The
//! order: pack, find or make the project, upload, start, watch, read the findings, print them.
//! Ctrl-C and a passed `--timeout` cancel the task.

mod client;
pub(super) mod documents;
mod export;
mod follow;
mod gate;
mod notes;
mod pack;
mod progress;
pub(super) mod report;
pub(super) mod sarif;
mod scope;
mod sse;
pub(super) mod table;
mod target;
#[cfg(test)]
mod tests;
mod vex;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use clap::{Args, ValueEnum};
use tamiz_core::gate::FailOn;
use tamiz_core::{ScanType, TaskId};
use url::Url;

use super::{CliError, parse_word};
use client::Client;
use documents::{Subject, TaskStart};
pub use export::{ExportArgs, run as run_export};
use pack::Package;
use progress::Progress;
use report::Report;
use scope::ScopeArgs;
pub use vex::{VexCommand, run as run_vex};

/// The type of scan that needs no saying, and whose files are packed.
const CODEAUDIT: &str = "codeaudit";
/// A cancel that takes longer is left to the server's own lease.
const CANCEL_SECONDS_MAX: u64 = 10;

/// Scan a folder, a capture or a target: send it to the server, watch, and print the findings
#[derive(Debug, Args)]
#[command(after_help = "\
.gitignore is honoured, .git/ and symbolic links are left out. A file is sent as it is.
Targets that are not public must be allowed by the operator (target_networks_allowed).

Examples:
  export TAMIZ_TOKEN=tmz_…
  tamiz scan . --project shop
  tamiz scan . --project shop --fail-on high        exit 1 on a high or critical finding
  tamiz scan src --project shop --format sarif > findings.sarif
  tamiz scan app.zip --project shop --server https://tamiz.example
  tamiz scan --type web --target https://shop.example --project shop --profile quick
  tamiz scan --type ssl --target shop.example:443 --project shop
  tamiz scan --type osint --target shop.example --project shop      or a mail address, or a user name
  tamiz scan traffic.pcap --type pcap --project shop")]
pub struct ScanArgs {
    /// The folder, a .zip file, or the file that this type of scan takes
    #[arg(required_unless_present = "target")]
    path: Option<PathBuf>,
    /// The type of scan: codeaudit, web, ssl, osint, pcap or a plugin's word
    #[arg(long = "type", value_name = "TYPE", default_value = CODEAUDIT)]
    scan_type: String,
    /// What to scan over the network instead of a folder
    #[arg(long, value_name = "TARGET", conflicts_with = "path")]
    target: Option<String>,
    /// How thoroughly
    #[arg(long, value_enum)]
    profile: Option<Thoroughness>,
    /// Semgrep rules to use instead of the server's
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

/// Import a finished report of a scanner: send it to the server and print the findings
#[derive(Debug, Args)]
#[command(after_help = "\
The format is recognised by the report's content; gzip is unpacked.

Examples:
  tamiz import zap.xml --type web --project shop
  tamiz import testssl.json --type ssl --project shop --fail-on high
  tamiz import findings.sarif --project shop
  tamiz import osv.json --project shop --branch main --category backend")]
pub struct ImportArgs {
    /// The report
    path: PathBuf,
    /// The type of scan that made it: codeaudit, web, ssl, osint, pcap or a plugin's word
    #[arg(long = "type", value_name = "TYPE", default_value = CODEAUDIT)]
    scan_type: String,
    #[command(flatten)]
    how: HowArgs,
}

/// Where to, and how the findings are told.
#[derive(Debug, Args)]
struct HowArgs {
    /// The project it belongs to; made when there is none of that name
    #[arg(long, value_name = "NAME")]
    project: String,
    #[command(flatten)]
    server: ServerArgs,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the JSON document to this file too
    #[arg(long, value_name = "FILE")]
    json_output: Option<PathBuf>,
    /// Exit 1 when a finding is at least this severe: info, low, medium, high or critical; with `new-` before it,
    /// when an alert is that this scan opened or brought back; never
    #[arg(long, value_name = "LEVEL", value_parser = parse_word::<FailOn>)]
    fail_on: Option<FailOn>,
    /// Give up after this time and cancel the task, such as 90s, 10m or 1h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_timeout)]
    timeout: Duration,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Where to, and by what right.
#[derive(Debug, Args)]
struct ServerArgs {
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
}

impl ServerArgs {
    fn client(&self) -> Result<Client, CliError> {
        let said = self.token.as_deref().filter(|token| !token.is_empty());
        let token = said.ok_or_else(|| {
            let text = "no API token: set TAMIZ_TOKEN or give --token (`tamiz token create` makes one)";
            CliError::Usage(text.to_owned())
        })?;
        Client::new(self.server.clone(), token)
    }
}

/// What is to be done, whichever command said it.
#[derive(Debug)]
struct Job {
    scan_type: String,
    what: What,
    rules: Option<PathBuf>,
    profile: Option<Thoroughness>,
    how: HowArgs,
}

#[derive(Debug)]
enum What {
    Scan(PathBuf),
    Import(PathBuf),
    Target(String),
}

/// How thorough a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Thoroughness {
    /// minutes
    Quick,
    /// what is worth it
    Standard,
    /// everything
    Deep,
}

impl Thoroughness {
    const fn word(self) -> &'static str {
        match self {
            Self::Quick => "QUICK",
            Self::Standard => "STANDARD",
            Self::Deep => "DEEP",
        }
    }
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
    let what = match (args.target, args.path) {
        (Some(target), _) => What::Target(target),
        (None, Some(path)) => What::Scan(path),
        (None, None) => {
            return Err(CliError::Usage(
                "nothing to scan: give a path or --target".to_owned(),
            ));
        }
    };
    let job = Job {
        scan_type: args.scan_type,
        what,
        rules: args.rules,
        profile: args.profile,
        how: args.how,
    };
    run_to(job, &mut std::io::stdout()).await
}

/// Imports and prints.
///
/// # Errors
/// [`CliError`], each kind with its exit code.
pub async fn run_import(args: ImportArgs) -> Result<(), CliError> {
    let job = Job {
        scan_type: args.scan_type,
        what: What::Import(args.path),
        rules: None,
        profile: None,
        how: args.how,
    };
    run_to(job, &mut std::io::stdout()).await
}

async fn run_to(job: Job, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let args = &job.how;
    let client = args.server.client()?;
    let started = Started::default();
    let progress = Progress::new(args.quiet);
    let outcome = tokio::select! {
        done = tokio::time::timeout(args.timeout, scan(&job, &client, &started, &progress)) => {
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
    let verdict = gate::verdict(&client, args.fail_on.unwrap_or_default(), &report).await?;
    if verdict.passed {
        return Ok(());
    }
    eprintln!("tamiz: {} (--fail-on)", verdict.reason);
    Err(CliError::Findings)
}

async fn scan(
    job: &Job,
    client: &Client,
    started: &Started,
    progress: &Progress,
) -> Result<Report, CliError> {
    let args = &job.how;
    let scan_type = ScanType::parse(&job.scan_type).map_err(|error| CliError::Usage(error.to_string()))?;
    let package = match &job.what {
        What::Target(_) => None,
        What::Scan(path) => Some(pack(client, path, &job.scan_type, progress).await?),
        What::Import(path) => Some(as_it_is(path, "application/octet-stream").await?),
    };
    let project = documents::ensure_project(client, &args.project).await?;
    let subject = match (&job.what, package) {
        (What::Target(text), _) => Subject::Target(target::input(&job.scan_type, text)?),
        (what, Some(package)) => {
            let id = send(client, &project.id, &package, progress).await?;
            match what {
                What::Import(_) => Subject::Report(id),
                What::Scan(_) | What::Target(_) => Subject::Upload(id),
            }
        }
        (_, None) => return Err(CliError::Usage("nothing to scan".to_owned())),
    };
    let rules = match &job.rules {
        Some(path) => Some(send_rules(client, &project.id, path).await?),
        None => None,
    };
    let id = TaskId::fresh().to_string();
    let order = TaskStart {
        id: &id,
        project: &project.id,
        scan_type: &job.scan_type,
        subject,
        rules: rules.as_deref(),
        profile: job.profile.map(Thoroughness::word),
        scope: &args.scope,
    };
    // Before it is asked for: an answer that is lost may have been a yes.
    started.note(Some(id.clone()));
    let task = documents::start(client, order).await?;
    follow::to_the_end(client, &task.id, progress).await?;
    started.note(None);
    progress.say("reading findings");
    let is_sarif = args.format == Format::Sarif;
    let report = Report::new(&task.id, scan_type, project);
    let mut report = documents::read_report(client, report, is_sarif).await?;
    if let Some(notes) = notes::read(client, &task.id).await? {
        notes.tell(progress);
        report.completeness = Some(notes.completeness());
    }
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

/// A folder as an archive; a file as it is, which for code must be an archive already.
async fn pack(
    client: &Client,
    path: &Path,
    scan_type: &str,
    progress: &Progress,
) -> Result<Package, CliError> {
    if scan_type != CODEAUDIT && !path.is_dir() {
        return as_it_is(path, "application/octet-stream").await;
    }
    progress.say("packing");
    let files_max = documents::archive_entries_max(client).await?;
    let path = path.to_owned();
    let packed = tokio::task::spawn_blocking(move || Package::of(&path, files_max)).await;
    let package = packed
        .map_err(|error| CliError::failed(&error))?
        .map_err(|error| match error {
            pack::PackError::Path { .. }
            | pack::PackError::Empty { .. }
            | pack::PackError::TooMany { .. } => CliError::Usage(super::error::chain(&error)),
            error => CliError::failed(&error),
        })?;
    for warning in &package.warnings {
        progress.warn(warning);
    }
    Ok(package)
}

async fn as_it_is(path: &Path, media_type: &'static str) -> Result<Package, CliError> {
    let path = path.to_owned();
    let package = tokio::task::spawn_blocking(move || Package::as_it_is(&path, media_type)).await;
    let package = package.map_err(|error| CliError::failed(&error))?;
    package.map_err(|error| CliError::Usage(super::error::chain(&error)))
}

async fn send(
    client: &Client,
    project: &str,
    package: &Package,
    progress: &Progress,
) -> Result<String, CliError> {
    progress.say(&format!(
        "uploading {} files, {} KiB",
        package.files,
        package.size_bytes.div_ceil(1024)
    ));
    client
        .upload(project, &package.name, &package.media_type, package)
        .await
}

async fn send_rules(client: &Client, project: &str, path: &Path) -> Result<String, CliError> {
    let package = as_it_is(path, "application/yaml").await?;
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
        Format::Sarif => sarif::render(report, Utc::now()),
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
