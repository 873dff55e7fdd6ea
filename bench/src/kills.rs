//! Random SIGKILLs of workers and the server while tasks run.
//!
//! Every task must end once with all its findings, none twice. The seed is printed and can be given
//! again. Uploads and task orders are retried with the same task id, as a careful client does, so that
//! a kill between a commit and its answer makes no second task.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::stand::{Process, Stand, psql};
use crate::{Outcome, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks to run
    #[arg(long, default_value_t = 200)]
    tasks: usize,
    /// Kills to make while they run
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// Findings of each task's report
    #[arg(long, default_value_t = 1_500)]
    findings: usize,
    /// The run's seed; a fresh one if not given
    #[arg(long)]
    seed: Option<u64>,
}

const WORKERS: usize = 3;
const PATIENCE: Duration = Duration::from_mins(15);
/// Between two kills, drawn evenly.
const KILL_PAUSE_MS: std::ops::Range<u64> = 50..900;

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!(
        "kills: seed {seed}, {} tasks, {} kills, {} findings each",
        args.tasks, args.kills, args.findings
    );
    let settings = [
        "lease_seconds=3s",
        "heartbeat_seconds=1s",
        "poll_seconds=300ms",
        "max_attempts=100",
        "worker_slots=1",
    ];
    let mut stand = Stand::start(&settings, &["--no-worker"]).await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(stand.spawn("worker", &[])?);
    }
    let project = stand.client.create_project("kills").await?;
    let ordering = tokio::spawn(order_all(
        stand.client.clone(),
        project,
        args.tasks,
        args.findings,
    ));
    let began = Instant::now();
    let killed = kill_all(&mut stand, &mut workers, args.kills, seed, began).await?;
    let ids = ordering.await??;
    let tally = settle(&stand, &ids, args.findings as u64).await?;
    let (lost_attempts, doubled) = look_at_rows(&stand)?;
    println!(
        "  {} of {} tasks completed, {} wrong, {doubled} doubled findings, {} kills ({} of the server), \
         {lost_attempts} attempts lost to them, {:.0} s",
        tally.completed,
        ids.len(),
        tally.wrong.len(),
        killed.workers + killed.servers,
        killed.servers,
        began.elapsed().as_secs_f64()
    );
    for wrong in &tally.wrong {
        println!("  WRONG {wrong}");
    }
    if tally.wrong.is_empty() && doubled == 0 && tally.completed == ids.len() {
        println!("  every task ended once (bar met)");
        Ok(())
    } else {
        Err(format!("the bar is not met; repeat with --seed {seed}").into())
    }
}

struct Killed {
    workers: usize,
    servers: usize,
}

async fn kill_all(
    stand: &mut Stand,
    workers: &mut [Process],
    kills: usize,
    seed: u64,
    began: Instant,
) -> Outcome<Killed> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut killed = Killed {
        workers: 0,
        servers: 0,
    };
    while killed.workers + killed.servers < kills {
        if began.elapsed() > PATIENCE {
            return Err("the kills took too long".into());
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(KILL_PAUSE_MS))).await;
        let victim = random.random_range(0..=workers.len() * 3);
        if victim == workers.len() * 3 {
            if let Some(server) = &mut stand.server {
                server.kill();
            }
            stand.serve(&["--no-worker"]).await?;
            killed.servers += 1;
        } else if let Some(worker) = workers.get_mut(victim / 3) {
            worker.kill();
            *worker = stand.spawn("worker", &[])?;
            killed.workers += 1;
        }
    }
    Ok(killed)
}

/// Orders all tasks, each until it is acknowledged.
async fn order_all(client: Client, project: String, tasks: usize, findings: usize) -> Outcome<Vec<String>> {
    let mut ids = Vec::new();
    for index in 0..tasks {
        let id = Uuid::now_v7().to_string();
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = order(&client, &project, &id, report::semgrep(findings, index)).await {
            if Instant::now() > deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ids.push(id);
    }
    Ok(ids)
}

async fn order(client: &Client, project: &str, id: &str, report: Vec<u8>) -> Outcome<()> {
    let upload = client.upload(project, "semgrep.json", report).await?;
    let input = json!({ "id": id, "projectId": project, "scanType": "codeaudit", "uploadId": upload });
    let data = client
        .graphql(
            "mutation($input:ImportReportInput!){importReport(input:$input){task{id} errors{code message}}}",
            json!({ "input": input }),
        )
        .await?;
    let answer = &data["importReport"];
    let taken = answer["errors"][0]["code"] == "ALREADY_EXISTS";
    if answer["task"]["id"].is_string() || taken {
        Ok(())
    } else {
        Err(format!("importReport: {answer}").into())
    }
}

struct Tally {
    completed: usize,
    wrong: Vec<String>,
}

async fn settle(stand: &Stand, ids: &[String], findings: u64) -> Outcome<Tally> {
    let mut tally = Tally {
        completed: 0,
        wrong: Vec::new(),
    };
    for id in ids {
        let done = stand.client.wait(id, PATIENCE).await?;
        let ends = final_events(&stand.client, id).await?;
        if done.status == "COMPLETED" && done.findings == findings && ends == 1 {
            tally.completed += 1;
        } else {
            let (status, found, error) = (done.status, done.findings, done.error);
            tally.wrong.push(format!(
                "{}: {status}, {found} findings, {ends} ends, {error:?}",
                done.id
            ));
        }
    }
    Ok(tally)
}

/// How many events of the task tell its completion.
async fn final_events(client: &Client, id: &str) -> Outcome<usize> {
    let data = client
        .graphql(
            "query($id:ID!){task(id:$id){events(first:100){status}}}",
            json!({ "id": id }),
        )
        .await?;
    let events = data["task"]["events"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(events
        .iter()
        .filter(|event| event["status"] == "COMPLETED")
        .count())
}

/// What no client can see: attempts that were lost, and findings that are there twice.
fn look_at_rows(stand: &Stand) -> Outcome<(u64, u64)> {
    let query = "select (select count(*) from tenant.task_attempt where outcome = 'lost'),
        (select count(*) from (select 1 from tenant.finding group by task_id, content_id having count(*) > 1) d)
        + (select count(*) from control.ticket)";
    let text = psql(&stand.database_url, query)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(lost)), Some(Ok(doubled))) => Ok((lost, doubled)),
        _ => Err(format!("psql: {text}").into()),
    }
}
