//! A large report end to end, upload to committed, beside its parts and a bare COPY.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::stand::Stand;
use crate::{Outcome, convert, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Results of the generated report; 40,000 make about 50 MB
    #[arg(long, default_value_t = 40_000)]
    results: usize,
    /// The component
    #[arg(long, default_value = "target/plugins/codeaudit.wasm")]
    plugin: PathBuf,
}

const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let report = report::semgrep(args.results, 1);
    let bytes = report.len();
    println!(
        "import of a semgrep report: {:.1} MB, {} results",
        bytes as f64 / 1e6,
        args.results
    );
    let speeds = convert::measure(&report, args.results, &args.plugin, 3)?;

    let stand = Stand::start(&[], &[]).await?;
    let project = stand.client.create_project("import").await?;
    // a fresh server answers before its worker has compiled the plugin
    let small = stand
        .client
        .upload(&project, "small.json", report::semgrep(1, 2))
        .await?;
    let task = stand.client.start("importReport", &project, &small).await?;
    stand.client.wait(&task, PATIENCE).await?;

    let began = Instant::now();
    let upload = stand.client.upload(&project, "semgrep.json", report).await?;
    let uploaded = began.elapsed().as_secs_f64();
    let task = stand.client.start("importReport", &project, &upload).await?;
    let done = stand.client.wait(&task, PATIENCE).await?;
    let whole = began.elapsed().as_secs_f64();
    if done.status != "COMPLETED" || done.findings != args.results as u64 {
        return Err(format!(
            "{} with {} findings: {:?}",
            done.status, done.findings, done.error
        )
        .into());
    }
    let peak = stand.server()?.memory_bytes("VmHWM")?;
    let phases = stand.client.phase_seconds().await?;
    let copy = bare_copy(&stand)?;

    convert::print(&speeds, bytes, args.results);
    let line = |seconds: f64, what: &str| {
        let (speed, findings) = (bytes as f64 / 1e6 / seconds, args.results as f64 / seconds);
        println!("  {speed:>9.1} MB/s {findings:>11.0} findings/s  {what} ({seconds:.2} s)");
    };
    line(uploaded, "upload, hashed and stored");
    for (phase, what) in [
        ("beginning", "beginning, from the claim"),
        ("preparing", "preparing, from the blob store"),
        ("converting", "converting in the worker, spooled"),
        ("storing", "storing, one fenced transaction"),
    ] {
        line(phases.get(phase).copied().unwrap_or(f64::NAN), what);
    }
    line(copy, "bare COPY of the same rows into an equal table");
    line(whole, "END TO END, upload to committed");
    println!(
        "  {:>9.1} MB peak resident of server and worker (bar: under 300)",
        peak as f64 / 1e6
    );
    Ok(())
}

/// The stored rows, copied out to a file and from there into a table with the same columns, checks
/// and indexes but without row-level security.
fn bare_copy(stand: &Stand) -> Outcome<f64> {
    let file = stand.folder.path().join("findings.copy");
    let out = format!("\\copy tenant.finding to '{}' (format binary)", file.display());
    psql(stand, &[&out])?;
    psql(
        stand,
        &["create table public.bare (like tenant.finding including all)"],
    )?;
    let copy = format!("\\copy public.bare from '{}' (format binary)", file.display());
    let began = Instant::now();
    psql(stand, &[&copy])?;
    Ok(began.elapsed().as_secs_f64())
}

fn psql(stand: &Stand, commands: &[&str]) -> Outcome<()> {
    let mut psql = Command::new("psql");
    psql.args(["-qX", "-v", "ON_ERROR_STOP=1", &stand.database_url]);
    for command in commands {
        psql.args(["-c", command]);
    }
    let output = psql.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
