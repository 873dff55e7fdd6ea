//! Imports that are killed at any point and done again leave what they leave when nobody disturbs them, row by row.

mod rows;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::harness::process::{Process, kill_stranger};
use crate::harness::wait::{PATIENCE, SOON};
use crate::harness::{App, Client, Plan, Workers, order, text, until, with_both_kinds_of_workers};

/// Enough that converting and merging can be hit, few enough that the suite does not wait.
const FINDINGS: usize = 800;
/// The sequence: as it is, changed, as it was.
const REPORTS: [bool; 3] = [false, true, false];
/// Projects that are imported into at once.
const LANES: usize = 4;
/// Kills of one storm: the most, and as many as there must be.
const KILLS: usize = 24;
const KILLS_MIN: usize = 20;
/// Projects of one storm: where all imports end before enough was killed, as many as before begin.
const LANES_MAX: usize = 10 * LANES;
/// For a moment to come; then the next one is waited for.
const MOMENT_PATIENCE: Duration = Duration::from_secs(1);
/// A kill comes up to so long after its moment.
const DELAY_MS_MAX: u64 = 250;

/// What dies.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Worker,
    /// One connection's process: Postgres ends all others and recovers.
    Backend,
    Server,
}

/// When.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Something waits to be claimed.
    Waiting,
    /// Something is claimed, converted or stored.
    In(&'static str),
    /// A statement that writes alerts or findings runs.
    Merging,
    /// Something has just ended.
    Ended,
}

/// Every kind of death in every moment; the seed says how long after it.
const PLAN: [(Victim, Moment); 12] = [
    (Victim::Worker, Moment::Merging),
    (Victim::Worker, Moment::In("converting")),
    (Victim::Backend, Moment::Merging),
    (Victim::Worker, Moment::In("storing")),
    (Victim::Server, Moment::In("storing")),
    (Victim::Worker, Moment::Waiting),
    (Victim::Backend, Moment::In("converting")),
    (Victim::Worker, Moment::Ended),
    (Victim::Server, Moment::Merging),
    (Victim::Worker, Moment::In("preparing")),
    (Victim::Backend, Moment::In("storing")),
    (Victim::Server, Moment::Ended),
];

/// A report with equals, repeated records and texts of every severity. The changed one has moved lines, a renamed
/// file, edited code, other severities, and findings that went and came.
fn report(is_changed: bool) -> Vec<u8> {
    let mut text = String::from(r#"{"version": "1.182.0", "results": ["#);
    let mut comma = "";
    for number in 0..FINDINGS {
        let (is_here, is_new) = if is_changed {
            (number % 10 != 3, number % 10 == 4)
        } else {
            (number % 10 != 4, false)
        };
        if !is_here {
            continue;
        }
        let (rule, file) = (number % 7, number % 11);
        let place = number / 77;
        let folder = if is_changed && file == 5 { "moved" } else { "src" };
        let line = place * 4 + 1 + if is_changed { 3 } else { 0 };
        // three of a file and rule say the same
        let edit = if is_changed && number % 17 == 0 {
            " # edited"
        } else {
            ""
        };
        let code = format!("call_{}(input){edit}", place / 3);
        let severity =
            ["INFO", "WARNING", "ERROR"][(number + usize::from(is_changed && number % 13 == 0)) % 3];
        let word = if is_new { "new" } else { "known" };
        for _ in 0..=usize::from(number % 29 == 0) {
            write!(
                text,
                r#"{comma}{{"check_id": "rule-{rule}", "path": "{folder}/file{file}.py",
                  "start": {{"line": {line}, "col": 1, "offset": 0}}, "end": {{"line": {line}, "col": 9, "offset": 8}},
                  "extra": {{"message": "{word} number {number}", "severity": "{severity}",
                  "metadata": {{"cwe": ["CWE-89: SQL Injection"]}}, "lines": "{code}", "fingerprint": "requires login"}}}}"#
            )
            .expect("text grows");
            comma = ",";
        }
    }
    text.push_str(r#"], "errors": [], "paths": {"scanned": []}}"#);
    text.into_bytes()
}

/// A project and the imports that are still to come.
struct Lane {
    project: String,
    /// In the order of their imports, the last first.
    waiting: Vec<String>,
    task: Option<String>,
}

impl Lane {
    /// All reports are uploaded before anything dies.
    async fn of(client: &Client, name: &str) -> Self {
        let project = client.project(name).await;
        let mut waiting = Vec::new();
        for is_changed in REPORTS.into_iter().rev() {
            waiting.push(client.upload(&project, "report.json", report(is_changed)).await);
        }
        Self {
            project,
            waiting,
            task: None,
        }
    }

    /// Orders the next import.
    async fn goes_on(&mut self, client: &Client) {
        self.task = None;
        if let Some(upload) = self.waiting.pop() {
            let payload = client.mutate("importReport", order(&self.project, &upload)).await;
            assert_eq!(payload["errors"], json!([]));
            self.task = Some(text(&payload["task"]["id"]));
        }
    }
}

/// A server whose imports are killed.
struct Storm {
    app: App,
    client: Client,
    lanes: Vec<Lane>,
    worker: Process,
    random: StdRng,
    kills: usize,
}

impl Storm {
    /// What the database says; nothing while it is down.
    fn asked(&self, statement: &str) -> Option<String> {
        self.app.sql_if_up(statement)
    }

    /// Waits for the moment; whether it came.
    fn comes(&self, moment: Moment) -> bool {
        let ended = "select count(*) from tenant.task where status = 'completed'";
        let before = self.asked(ended);
        let deadline = Instant::now() + MOMENT_PATIENCE;
        while Instant::now() < deadline {
            let statement = match moment {
                Moment::Waiting => {
                    "select count(*) from tenant.task where status in ('queued', 'retrying')".to_owned()
                }
                Moment::In(phase) => {
                    format!("select count(*) from tenant.task where status = 'running' and phase = '{phase}'")
                }
                Moment::Merging => {
                    "select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()
                                    and query ~ 'tenant[.](alert|finding)'"
                        .to_owned()
                }
                Moment::Ended => ended.to_owned(),
            };
            let now = self.asked(&statement);
            let has_come = match moment {
                Moment::Ended => now != before,
                _ => now.is_some_and(|count| count != "0"),
            };
            if has_come {
                return true;
            }
        }
        false
    }

    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Worker => {
                self.worker.kill();
                self.worker = self.app.worker("worker");
            }
            Victim::Backend => {
                let busiest = "select pid from pg_stat_activity where backend_type = 'client backend'
                               and pid <> pg_backend_pid() order by state = 'idle', query !~ 'alert|finding' limit 1";
                let pid = self.asked(busiest).and_then(|pid| pid.parse().ok());
                kill_stranger(pid.expect("a server has connections"));
            }
            Victim::Server => {
                self.app.server().kill();
                self.app.start_server();
            }
        }
        self.app.is_ready().await;
        self.kills += 1;
    }

    /// Orders what comes next where the import before has ended; whether anything is left to do.
    async fn goes_on(&mut self) -> bool {
        for lane in &mut self.lanes {
            let Some(task) = &lane.task else { continue };
            let status = format!("select status from tenant.task where id = '{task}'");
            match self.app.sql_if_up(&status).as_deref() {
                Some("completed") => lane.goes_on(&self.client).await,
                Some("queued" | "running" | "retrying") | None => {}
                Some(other) => panic!("an import ended as {other}"),
            }
        }
        self.lanes.iter().any(|lane| lane.task.is_some())
    }

    /// More projects, each with its first import ordered.
    async fn begins(&mut self) {
        for _ in 0..LANES {
            let mut lane = Lane::of(&self.client, &format!("lane {}", self.lanes.len())).await;
            lane.goes_on(&self.client).await;
            self.lanes.push(lane);
        }
    }

    async fn rages(&mut self) {
        let mut plan = PLAN.into_iter().cycle();
        while self.kills < KILLS {
            if !self.goes_on().await {
                if self.kills >= KILLS_MIN || self.lanes.len() >= LANES_MAX {
                    break;
                }
                self.begins().await;
            }
            let (victim, moment) = plan.next().expect("it has no end");
            if self.comes(moment) {
                let delay = self.random.random_range(0..DELAY_MS_MAX);
                tokio::time::sleep(Duration::from_millis(delay)).await;
                self.kill(victim).await;
            }
        }
        until("the end of all imports", PATIENCE, async || {
            (!self.goes_on().await).then_some(())
        })
        .await;
    }
}

/// What the same sequence leaves when nobody disturbs it.
async fn left_alone(app: &App, client: &Client) -> String {
    let mut lane = Lane::of(client, "calm").await;
    let worker = app.worker("calm");
    loop {
        lane.goes_on(client).await;
        let Some(task) = &lane.task else { break };
        client.ends_as(task, "COMPLETED").await;
    }
    drop(worker);
    lane.project
}

async fn killed_imports_leave_what_undisturbed_ones_leave(workers: Workers) {
    let plan = Plan::new()
        .embedded()
        .workers(workers)
        .without_worker()
        .with_short_leases();
    let app = plan.set("max_attempts", 100).start().await;
    let calm = left_alone(&app, &app.tenant("calm")).await;
    let client = app.tenant("storm");
    let worker = app.worker("worker");
    let mut storm = Storm {
        app,
        client,
        lanes: Vec::new(),
        worker,
        random: StdRng::seed_from_u64(6),
        kills: 0,
    };
    storm.rages().await;
    let lost = storm
        .app
        .sql("select count(*) from tenant.task_attempt where outcome <> 'completed'");
    println!("{} kills, {lost} attempts were lost", storm.kills);
    assert!(storm.kills >= KILLS_MIN, "{} kills", storm.kills);
    storm.app.says(&["alerts", "check"]);
    for lane in &storm.lanes {
        rows::check_equal(&storm.app, &calm, &lane.project);
    }
    storm.app.leaves_no_scratch().await;
    storm.worker.terminate();
    storm.worker.ends(SOON);
}

with_both_kinds_of_workers! {
    killed_imports_leave_what_undisturbed_ones_leave,
}
