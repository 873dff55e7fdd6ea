//! What the run asks for: tenants with limits, and tasks of several kinds, each asked for until it is
//! acknowledged.
//!
//! An answer that is lost is asked for again with the same task id, of another server, as a careful client
//! does; so every task is there once, whatever was killed meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::tool;
use crate::client::Client;
use crate::{Outcome, report};

/// Who asks at the same time.
const HANDS: usize = 4;
/// One order may meet so much trouble.
const PATIENCE: Duration = Duration::from_mins(10);
/// Before an order is repeated, or allowed.
const PAUSE: Duration = Duration::from_millis(100);
/// A report's findings, drawn evenly.
const FINDINGS: std::ops::Range<usize> = 1..40;
/// After its acknowledgement a task is cancelled within this time.
const CANCEL_MS: std::ops::Range<u64> = 0..1500;

/// Tenants with their limits, in the words of `tamiz tenant limit`; low enough that they are reached, as the
/// workers have eight slots.
pub(crate) const TENANTS: [(&str, &[&str]); 5] = [
    ("one-at-a-time", &["tasks-running=1"]),
    ("two-at-a-time", &["tasks-running=2"]),
    (
        "by-type",
        &[
            "weight=200",
            "tasks-running=3",
            "tasks-running.codeaudit=2",
            "tasks-running.web=1",
        ],
    ),
    (
        "one-web",
        &["weight=50", "tasks-running.web=1", "tasks-queued=10"],
    ),
    ("unlimited", &["weight=400"]),
];

/// What a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A report of semgrep.
    Import,
    /// One of nuclei, another scan type.
    Web,
    /// A tree and a tool.
    Scan,
    /// The same, and not before its time.
    Later,
    /// A report that is cut off.
    Corrupt,
    /// A report, and nobody wants it any more.
    Cancelled,
}

/// One task.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) tenant: usize,
    pub(crate) kind: Kind,
    pub(crate) findings: usize,
    priority: u8,
    seed: u64,
}

/// Draws `tasks` orders.
pub(crate) fn plan(tasks: usize, seed: u64) -> Vec<Order> {
    let mut random = StdRng::seed_from_u64(seed.wrapping_add(2));
    (0..tasks)
        .map(|_| {
            let kind = match random.random_range(0..20) {
                0..=8 => Kind::Import,
                9..=13 => Kind::Web,
                14 => Kind::Scan,
                15 => Kind::Later,
                16..=17 => Kind::Corrupt,
                _ => Kind::Cancelled,
            };
            let findings = match kind {
                Kind::Scan | Kind::Later => tool::FINDINGS,
                _ => random.random_range(FINDINGS),
            };
            Order {
                id: Uuid::now_v7(),
                tenant: random.random_range(0..TENANTS.len()),
                kind,
                findings,
                priority: random.random_range(0..=2) * 5,
                seed: random.random(),
            }
        })
        .collect()
}

/// One tenant's way in: a client for each server.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) clients: Vec<Client>,
    pub(crate) project: String,
}

/// The orders on their way.
pub(crate) struct Orders {
    pub(crate) all: Vec<Order>,
    tenants: Vec<Tenant>,
    archive: Vec<u8>,
    next: AtomicUsize,
    /// How many may be asked for by now.
    allowed: AtomicUsize,
    acknowledged: AtomicUsize,
    begins: Mutex<HashMap<Uuid, DateTime<Utc>>>,
    /// Asks whose answer was lost or bad.
    pub(crate) repeats: AtomicU64,
    /// Asks that were refused for a limit.
    pub(crate) refusals: AtomicU64,
}

impl Orders {
    pub(crate) fn new(all: Vec<Order>, tenants: Vec<Tenant>, archive: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            all,
            tenants,
            archive,
            next: AtomicUsize::new(0),
            allowed: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            begins: Mutex::default(),
            repeats: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        })
    }

    /// Lets so many of them be asked for.
    pub(crate) fn allow(&self, orders: usize) {
        self.allowed.fetch_max(orders, Ordering::Relaxed);
    }

    /// How many are there for certain.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Asks for all, as they are allowed, until each is acknowledged.
    pub(crate) async fn place_all(self: Arc<Self>) -> Outcome<()> {
        let mut hands = tokio::task::JoinSet::new();
        for _ in 0..HANDS {
            let orders = self.clone();
            hands.spawn(async move { orders.place_some().await });
        }
        while let Some(placed) = hands.join_next().await {
            placed??;
        }
        Ok(())
    }

    async fn place_some(self: Arc<Self>) -> Outcome<()> {
        let mut cancels = tokio::task::JoinSet::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(order) = self.all.get(index) else {
                break;
            };
            while index >= self.allowed.load(Ordering::Relaxed) {
                tokio::time::sleep(PAUSE).await;
            }
            self.place(order).await?;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            if order.kind == Kind::Cancelled {
                let (orders, order) = (self.clone(), order.clone());
                cancels.spawn(async move { orders.cancel(&order).await });
            }
        }
        while let Some(cancelled) = cancels.join_next().await {
            cancelled??;
        }
        Ok(())
    }

    fn tenant(&self, order: &Order) -> Outcome<&Tenant> {
        Ok(self.tenants.get(order.tenant).ok_or("no such tenant")?)
    }

    /// Until it is acknowledged.
    async fn place(&self, order: &Order) -> Outcome<()> {
        let tenant = self.tenant(order)?;
        let deadline = Instant::now() + PATIENCE;
        let mut upload = None;
        for client in tenant.clients.iter().cycle().skip(order.seed as usize % 2) {
            let failed = match self.attempt(client, &tenant.project, order, &mut upload).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.repeats.fetch_add(1, Ordering::Relaxed);
            if Instant::now() > deadline {
                return Err(format!("{} could not be ordered: {failed}", order.id).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The time of a task that has one: some seconds after it was first asked for.
    fn time_of(&self, order: &Order) -> DateTime<Utc> {
        let mut begins = self.begins.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = TimeDelta::milliseconds(500 + i64::from(order.seed as u16 % 8_000));
        *begins.entry(order.id).or_insert_with(|| Utc::now() + ahead)
    }

    /// The times of the tasks that have one.
    pub(crate) fn begins(&self) -> HashMap<Uuid, DateTime<Utc>> {
        self.begins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn attempt(
        &self,
        client: &Client,
        project: &str,
        order: &Order,
        upload: &mut Option<String>,
    ) -> Outcome<()> {
        let upload = if let Some(upload) = upload {
            upload.clone()
        } else {
            let (name, bytes) = self.file(order);
            upload.insert(client.upload(project, name, bytes).await?).clone()
        };
        let (verb, kind) = match order.kind {
            Kind::Scan | Kind::Later => ("startScan", "StartScanInput"),
            _ => ("importReport", "ImportReportInput"),
        };
        let scan_type = if order.kind == Kind::Web {
            "web"
        } else {
            "codeaudit"
        };
        let mut input = json!({ "id": order.id, "projectId": project, "scanType": scan_type, "uploadId": upload,
            "priority": order.priority });
        if order.kind == Kind::Later {
            input["runAt"] = json!(self.time_of(order));
        }
        let query =
            format!("mutation($input:{kind}!){{{verb}(input:$input){{task{{id}} errors{{code message}}}}}}");
        let data = client.graphql(&query, json!({ "input": input })).await?;
        let answer = &data[verb];
        let code = answer["errors"][0]["code"].as_str();
        if answer["task"]["id"].is_string() || code == Some("ALREADY_EXISTS") {
            return Ok(());
        }
        if code.is_some_and(|code| code.contains("LIMIT") || code.contains("QUOTA")) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        Err(format!("{verb}: {answer}").into())
    }

    fn file(&self, order: &Order) -> (&'static str, Vec<u8>) {
        let seed = order.seed as usize % 1_000_000;
        match order.kind {
            Kind::Scan | Kind::Later => ("tree.zip", self.archive.clone()),
            Kind::Web => ("nuclei.jsonl", nuclei(order.findings, seed)),
            Kind::Import | Kind::Cancelled => ("semgrep.json", report::semgrep(order.findings, seed)),
            Kind::Corrupt => {
                let mut report = report::semgrep(order.findings, seed);
                report.truncate(report.len() / 2);
                ("semgrep.json", report)
            }
        }
    }

    /// Until somebody answers; that it is over already is an answer.
    async fn cancel(&self, order: &Order) -> Outcome<()> {
        let mut random = StdRng::seed_from_u64(order.seed);
        tokio::time::sleep(Duration::from_millis(random.random_range(CANCEL_MS))).await;
        let tenant = self.tenant(order)?;
        let deadline = Instant::now() + PATIENCE;
        for client in tenant.clients.iter().cycle() {
            let query =
                "mutation($id:ID!){cancelTask(input:{taskId:$id}){task{status} errors{code message}}}";
            let answer: Outcome<Value> = client.graphql(query, json!({ "id": order.id })).await;
            let Err(error) = answer else {
                return Ok(());
            };
            self.repeats.fetch_add(1, Ordering::Relaxed);
            if Instant::now() > deadline {
                return Err(format!("{} could not be cancelled: {error}", order.id).into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// A report of nuclei with `findings` lines, every one of a place of its own.
fn nuclei(findings: usize, seed: usize) -> Vec<u8> {
    let line = |index: usize| {
        let record = json!({
            "template-id": format!("chaos-{}", index % 7), "type": "http", "host": "shop.example.test",
            "info": { "name": "A place of its own", "author": ["a"], "tags": ["chaos"], "severity": "medium" },
            "matched-at": format!("https://shop.example.test/{seed}/{index}"),
            "timestamp": "2026-11-21T10:00:00Z", "matcher-status": true,
        });
        format!("{record}\n")
    };
    (0..findings).map(line).collect::<String>().into_bytes()
}
