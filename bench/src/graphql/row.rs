//! One line of the table: a contender, a question, so many at once.

use super::Size;
use super::contender::{Contender, Question};
use super::load;
use super::meter::{Cpu, Log, memory_mb};
use super::statement;
use crate::Outcome;
use crate::stand::Stand;

/// Requests whose statements are counted.
const COUNTED: usize = 20;

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) at_once: usize,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Of server and Postgres, per request.
    pub(super) cpu_ms: f64,
    pub(super) cpu_of_server_ms: f64,
    /// Per request.
    pub(super) statements: f64,
    pub(super) control: f64,
    pub(super) peak_mb: f64,
    pub(super) pss_mb: f64,
}

pub(super) fn percentile(sorted: &[f64], permille: usize) -> f64 {
    let index = sorted.len() * permille / 1_000;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

pub(super) async fn measure(
    contender: &Contender,
    question: Question,
    at_once: usize,
    stand: &Stand,
    size: Size,
) -> Outcome<Row> {
    let pid = contender.pid(stand)?;
    load::run(contender, question, at_once, size.warm_up).await?;
    let before = Cpu::now(Some(pid), stand)?;
    let ran = load::run(contender, question, at_once, size.measured).await?;
    let cpu = Cpu::now(Some(pid), stand)?.since(before);
    let (peak_mb, pss_mb) = memory_mb(pid)?;
    let (statements, control) = statements(contender, question, stand).await?;
    let requests = ran.latency_ms.len() as f64;
    Ok(Row {
        name: contender.name,
        at_once,
        per_second: requests / ran.seconds,
        p50_ms: percentile(&ran.latency_ms, 500),
        p99_ms: percentile(&ran.latency_ms, 990),
        cpu_ms: (cpu.server + cpu.postgres) * 1e3 / requests,
        cpu_of_server_ms: cpu.server * 1e3 / requests,
        statements,
        control,
        peak_mb,
        pss_mb,
    })
}

/// Those of one request, as Postgres logs them.
async fn statements(contender: &Contender, question: Question, stand: &Stand) -> Outcome<(f64, f64)> {
    let log = Log::start(stand)?;
    // connections that went are noticed and made again by these
    load::some(contender, question, COUNTED).await?;
    let before = log.so_far()?;
    load::some(contender, question, COUNTED).await?;
    let after = log.so_far()?;
    log.end()?;
    load::some(contender, question, COUNTED).await?;
    let each = |after: usize, before: usize| (after - before) as f64 / COUNTED as f64;
    Ok((each(after.read, before.read), each(after.control, before.control)))
}

pub(super) fn print(question: Question, rows: &[Row]) {
    println!(
        "\n  {:<24}{:>3}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>12}{:>9}{:>8}{:>8}{:>8}",
        question.name(),
        "x",
        "per s",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "server",
        "Postgres",
        "statements",
        "peak MB",
        "PSS MB",
        "/ SQL",
        "/ PGr"
    );
    for row in rows {
        let over = |name: &str| {
            let other = rows
                .iter()
                .find(|other| other.name == name && other.at_once == row.at_once);
            other.map_or_else(
                || "-".to_owned(),
                |other| format!("{:.2}", row.cpu_ms / other.cpu_ms),
            )
        };
        println!(
            "  {:<24}{:>3}{:>9.1}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>12}{:>9.0}{:>8.0}{:>8}{:>8}",
            row.name,
            row.at_once,
            row.per_second,
            row.p50_ms,
            row.p99_ms,
            row.cpu_ms,
            row.cpu_of_server_ms,
            row.cpu_ms - row.cpu_of_server_ms,
            format!("{:.1} ({:.1})", row.statements, row.control),
            row.peak_mb,
            row.pss_mb,
            over(statement::NAME),
            over("PostGraphile")
        );
    }
}
