//! What `/metrics` shows: the recorder's numbers, and of a server also the queue's and the register's.
//!
//! Queue and workers are asked for when somebody looks, and then not again for some seconds: a count
//! at every heartbeat of every worker would cost more than the work. A worker's page has its own
//! numbers only, so that sums over all pages count no ticket twice.

mod queue_text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tamiz_store::worker::WorkerState;
use tamiz_store::{Store, StoreError, queue_view, webhook};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Numbers this old are shown again: scrapers come every 10 seconds or more rarely.
const FRESH: Duration = Duration::from_secs(5);
/// A page without the queue's numbers is better than none when the database is away.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page of one process.
#[derive(Debug)]
pub struct MetricsPage {
    recorder: PrometheusHandle,
    fleet: Option<Fleet>,
}

/// What all processes together are at.
#[derive(Debug)]
struct Fleet {
    store: Store,
    tenants_named_max: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    asked_at: Option<Instant>,
    /// Labels that were shown once: they fall to 0 and do not vanish.
    labels: BTreeSet<(String, &'static str)>,
    /// The queue's lines.
    queue: String,
}

impl MetricsPage {
    /// Of a worker: what this process counts itself.
    pub const fn of_process(recorder: PrometheusHandle) -> Self {
        Self {
            recorder,
            fleet: None,
        }
    }

    /// Of a server: the queue too, with the names of `tenants_named_max` tenants at most, and the register of
    /// workers.
    pub fn with_fleet(recorder: PrometheusHandle, store: Store, tenants_named_max: usize) -> Self {
        let fleet = Fleet {
            store,
            tenants_named_max,
            seen: Mutex::default(),
        };
        Self {
            recorder,
            fleet: Some(fleet),
        }
    }

    /// As Prometheus reads it.
    pub async fn render(&self) -> String {
        let Some(fleet) = &self.fleet else {
            return self.recorder.render();
        };
        let queue = fleet.look().await;
        self.recorder.render() + &queue
    }
}

impl Fleet {
    /// The queue's lines. What cannot be learned stays as it was, and the next look asks again.
    async fn look(&self) -> String {
        let mut seen = self.seen.lock().await;
        if seen.asked_at.is_some_and(|asked_at| asked_at.elapsed() < FRESH) {
            return seen.queue.clone();
        }
        match timeout(PATIENCE, self.ask(&mut seen)).await {
            Ok(Ok(())) => seen.asked_at = Some(Instant::now()),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the queue's numbers are not known"
            ),
            Err(_) => tracing::warn!("the queue's numbers did not come in time"),
        }
        seen.queue.clone()
    }

    async fn ask(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let mut tx = self.store.begin_control().await?;
        let totals = queue_view::totals(&mut tx).await?;
        let named = i64::try_from(self.tenants_named_max).unwrap_or(i64::MAX);
        let tenants = queue_view::busiest(&mut tx, named).await?;
        let refused = queue_view::latest_refused(&mut tx, named).await?;
        let webhooks = webhook::due::waiting(&mut tx).await?;
        drop(tx);
        metrics::gauge!("tamiz_webhooks_waiting").set(webhooks as f64);
        seen.queue = queue_text::lines(&totals, &tenants, named > 0) + &queue_text::refusals(&refused);
        let workers = self.store.workers().await?;
        for state in WorkerState::ALL {
            let of_state = workers.iter().filter(|worker| worker.state == state).count();
            metrics::gauge!("tamiz_worker_states", "state" => state.as_str()).set(of_state as f64);
        }
        let live = workers
            .iter()
            .filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy));
        let counts = by_work(live.map(|worker| &worker.capabilities));
        seen.labels.extend(counts.keys().cloned());
        for label in &seen.labels {
            let count = counts.get(label).copied().unwrap_or(0);
            let (scan_type, work) = label.clone();
            metrics::gauge!("tamiz_workers", "scan_type" => scan_type, "work" => work).set(f64::from(count));
        }
        Ok(())
    }
}

/// How many workers can do what, by what they registered with.
fn by_work<'a>(capabilities: impl Iterator<Item = &'a Value>) -> BTreeMap<(String, &'static str), u32> {
    let mut counts = BTreeMap::new();
    for worker in capabilities {
        for (key, work) in [("scanTypes", "import"), ("scans", "scan")] {
            let types = worker[key].as_array().into_iter().flatten();
            for scan_type in types.filter_map(Value::as_str) {
                *counts.entry((scan_type.to_owned(), work)).or_default() += 1;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workers_are_counted_by_what_they_can_do() {
        let workers = [
            json!({ "scanTypes": ["codeaudit", "web"], "scans": ["web"] }),
            json!({ "scanTypes": ["web"], "scans": ["web"], "tools": [] }),
            json!({ "scanTypes": ["codeaudit"] }),
            json!(null),
        ];
        let counts: Vec<_> = by_work(workers.iter()).into_iter().collect();
        let label = |scan_type: &str, work| (scan_type.to_owned(), work);
        assert_eq!(
            counts,
            [
                (label("codeaudit", "import"), 2),
                (label("web", "import"), 2),
                (label("web", "scan"), 2),
            ]
        );
    }
}
