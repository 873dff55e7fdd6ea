//! Which tickets a worker is given.

mod cost;
mod fairness;
mod field;
mod order;
mod races;
mod simulator;

use std::time::Duration;

use tamiz_core::WorkerId;

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task_for};
use crate::queue::ClaimRequest;

async fn claimed(store: &Store, tools: &[&str]) -> usize {
    let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
    let request = ClaimRequest {
        worker: WorkerId::fresh(),
        scan_types: &[],
        worlds: &[],
        tools: &tools,
        slots: 8,
        lease: Duration::from_mins(10),
    };
    store.claim(&request).await.unwrap().len()
}

#[tokio::test]
async fn a_worker_is_given_only_what_it_has_a_tool_for() {
    let database = Database::fresh().await;
    let store = database.store().await;
    for (tenant, tools) in [
        ("acme", &[][..]),
        ("globex", &["semgrep"]),
        ("initech", &["semgrep", "trivy"]),
    ] {
        tenant_with_task_for(&store, tenant, tools).await;
    }
    assert_eq!(claimed(&store, &[]).await, 1, "the import");
    assert_eq!(claimed(&store, &["nmap"]).await, 0);
    assert_eq!(claimed(&store, &["trivy"]).await, 1, "one of two tools will do");
    assert_eq!(claimed(&store, &["nmap", "semgrep"]).await, 1);
    store.close().await;
    database.drop().await;
}
