//! The one hand-written statement that says the same, through pgbench: no server, no GraphQL, prepared once.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::Size;
use super::contender::{Question, address_of_role};
use super::fill::{Filled, Tenant};
use super::meter::Cpu;
use super::row::{self, Row};
use crate::Outcome;
use crate::stand::{Stand, psql, said};

pub(super) const NAME: &str = "one SQL statement";

/// A connection's process is over some time after its client, and counts once Postgres has reaped it.
const REAPED: Duration = Duration::from_millis(500);

fn text(question: Question, tenant: &Tenant, task: &str) -> String {
    let text = match question {
        Question::Page => include_str!("page.sql"),
        Question::Node => include_str!("node.sql"),
    };
    // pgbench reads one statement as one line or up to its semicolon
    text.replace("{tenant}", &tenant.id).replace("{task}", task)
}

/// What it answers to that request, as the application's role in the tenant's setting.
pub(super) fn answer(question: Question, number: usize, stand: &Stand, filled: &Filled) -> Outcome<String> {
    let (tenant, task) = filled.of(number);
    let statement = format!(
        "set tamiz.tenant_id = '{}'; {}",
        tenant.id,
        text(question, tenant, task)
    );
    psql(&address_of_role(stand)?, &statement)
}

/// The tenants' statements in turn, by so many connections; the tenant is set before each.
pub(super) fn measure(
    question: Question,
    at_once: usize,
    stand: &Stand,
    filled: &Filled,
    size: Size,
) -> Outcome<Row> {
    let folder = tempfile::tempdir()?;
    let mut scripts = Vec::new();
    for (number, tenant) in filled.tenants.iter().enumerate() {
        let script = folder.path().join(format!("{number}.sql"));
        let task = tenant.tasks.first().ok_or("a tenant without tasks")?;
        let mut statements = format!("select set_config('tamiz.tenant_id', '{}', false);\n", tenant.id);
        write!(statements, "{}", text(question, tenant, task))?;
        std::fs::write(&script, statements)?;
        scripts.push(script);
    }
    let address = address_of_role(stand)?;
    let run = |whole: Duration, log: Option<&str>| -> Outcome<String> {
        let mut command = Command::new(pgbench());
        command.current_dir(folder.path()).args([
            "-n",
            "-M",
            "prepared",
            "-c",
            &at_once.to_string(),
            "-T",
            &whole.as_secs().to_string(),
        ]);
        for script in &scripts {
            command.arg("-f").arg(script);
        }
        if let Some(prefix) = log {
            command.args(["-l", "--log-prefix", prefix]);
        }
        said("pgbench", command.arg(&address))
    };
    run(size.warm_up, None)?;
    std::thread::sleep(REAPED);
    let before = Cpu::now(None, stand)?;
    run(size.measured, Some("latency"))?;
    std::thread::sleep(REAPED);
    let cpu = Cpu::now(None, stand)?.since(before);
    let mut latency = Vec::new();
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("latency"))
        {
            latency.extend(times_ms(&std::fs::read_to_string(path)?)?);
        }
    }
    latency.sort_by(f64::total_cmp);
    let requests = latency.len() as f64;
    Ok(Row {
        name: NAME,
        at_once,
        per_second: requests / size.measured.as_secs_f64(),
        p50_ms: row::percentile(&latency, 500),
        p99_ms: row::percentile(&latency, 990),
        cpu_ms: cpu.postgres * 1e3 / requests,
        cpu_of_server_ms: 0.0,
        statements: 1.0,
        control: 1.0,
        peak_mb: 0.0,
        pss_mb: 0.0,
    })
}

/// The third column of each line: the transaction's time in microseconds.
fn times_ms(log: &str) -> Outcome<Vec<f64>> {
    let times = log.lines().filter_map(|line| line.split_whitespace().nth(2));
    Ok(times
        .map(|time| time.parse::<f64>().map(|time| time / 1e3))
        .collect::<Result<_, _>>()?)
}

/// Beside the server's own programs on Debian, where it is not on the path of everybody.
fn pgbench() -> PathBuf {
    let said = Command::new("pg_config").arg("--bindir").output();
    let beside = said.ok().and_then(|said| String::from_utf8(said.stdout).ok());
    let beside = beside.map(|folder| PathBuf::from(folder.trim()).join("pgbench"));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| "pgbench".into())
}
