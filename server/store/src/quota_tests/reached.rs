//! What a waiting task is told of the limits that hold it back.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tamiz_core::quota::ReachedLimit;
use tamiz_core::{ScanType, WorkerId};

use super::{as_admin, limit, tenant_with};
use crate::connect::Store;
use crate::database_for_tests::{Database, enqueue_tickets};
use crate::queue::{Claim, ClaimRequest, Lease};
use crate::queue_view;
use crate::scope::TenantScope;

/// All that limits let through.
async fn claim(store: &Store) -> Vec<Claim> {
    let request = ClaimRequest {
        worker: WorkerId::fresh(),
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 20,
        lease: Duration::from_mins(10),
    };
    let mut claims = Vec::new();
    loop {
        let leases = store.claim(&request).await.unwrap();
        if leases.is_empty() {
            return claims;
        }
        claims.extend(leases.iter().map(Lease::claim));
    }
}

async fn told(store: &Store, scope: &TenantScope, scan_type: &str) -> Option<ReachedLimit> {
    let mut tx = store.begin(scope).await.unwrap();
    let mut reached = queue_view::reached(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    if let Some(max) = reached.starts_in_question() {
        reached.tell_starts(store.starts_reached(scope, max).await.unwrap());
    }
    reached.of(&ScanType::parse(scan_type).unwrap()).cloned()
}

/// Its name, value, and what is used.
async fn words(store: &Store, scope: &TenantScope, scan_type: &str) -> Option<(String, u64, u64)> {
    let limit = told(store, scope, scan_type).await?;
    Some((limit.name, limit.value, limit.used))
}

fn said(name: &str, value: u64, used: u64) -> (String, u64, u64) {
    (name.to_owned(), value, used)
}

#[tokio::test]
async fn running_tasks_at_their_limit_are_told_of_all_and_of_their_type() {
    let database = Database::fresh().await;
    let store = database.store().await;
    // with one ticket of codeaudit each
    let acme = tenant_with(&store, "acme", &[("tasks-running", 3), ("tasks-running.web", 1)]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    enqueue_tickets(&store, acme.tenant_id(), "web", 3).await;
    assert_eq!(words(&store, &acme, "web").await, None);
    assert_eq!(claim(&store).await.len(), 3);
    assert_eq!(
        words(&store, &acme, "web").await,
        Some(said("tasks-running.web", 1, 1))
    );
    assert_eq!(words(&store, &acme, "codeaudit").await, None);
    enqueue_tickets(&store, acme.tenant_id(), "codeaudit", 3).await;
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 1);
    for scan_type in ["web", "codeaudit"] {
        assert_eq!(
            words(&store, &acme, scan_type).await,
            Some(said("tasks-running", 3, 3))
        );
        assert_eq!(words(&store, &globex, scan_type).await, None);
    }
    assert_eq!(told(&store, &acme, "web").await.unwrap().room_at, None);
    // lowered below what runs
    limit(&store, acme.tenant_id(), &[("tasks-running", 2)]).await;
    assert_eq!(
        words(&store, &acme, "web").await,
        Some(said("tasks-running", 2, 3))
    );
    store.finish_tickets(&claims).await.unwrap();
    limit(&store, acme.tenant_id(), &[("tasks-running", 3)]).await;
    assert_eq!(words(&store, &acme, "codeaudit").await, None);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn starts_at_their_limit_are_told_with_when_there_is_room() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[("tasks-per-hour", 2), ("tasks-per-day", 3)]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    enqueue_tickets(&store, acme.tenant_id(), "codeaudit", 5).await;
    let claims = claim(&store).await;
    // two of acme, one of globex
    assert_eq!(claims.len(), 3);
    assert_eq!(
        words(&store, &acme, "codeaudit").await,
        Some(said("tasks-per-hour", 2, 2))
    );
    assert_eq!(words(&store, &globex, "codeaudit").await, None);
    store.finish_tickets(&claims).await.unwrap();
    // nothing runs, but no claim finds room either
    assert_eq!(claim(&store).await.len(), 0);
    let limit_told = told(&store, &acme, "codeaudit").await.unwrap();
    let minutes = (limit_told.room_at.unwrap() - Utc::now()).num_minutes();
    assert!((59..=65).contains(&minutes), "{limit_told:?}");

    let hour_later = "update control.start_count set bucket = bucket - interval '66 minutes'";
    as_admin(&database, hour_later).await;
    store.tick_queue().await.unwrap();
    assert_eq!(words(&store, &acme, "codeaudit").await, None);
    assert_eq!(claim(&store).await.len(), 1);
    assert_eq!(
        words(&store, &acme, "codeaudit").await,
        Some(said("tasks-per-day", 3, 3))
    );
    let room_at = told(&store, &acme, "codeaudit").await.unwrap().room_at.unwrap();
    let wait = room_at - Utc::now();
    // when the first two of the day are past
    assert!(
        wait > TimeDelta::hours(22) && wait < TimeDelta::hours(24),
        "{room_at}"
    );
    // lowered: when the third is past, too
    limit(
        &store,
        acme.tenant_id(),
        &[("tasks-per-hour", 9), ("tasks-per-day", 1)],
    )
    .await;
    assert_eq!(claim(&store).await.len(), 0);
    let lowered = told(&store, &acme, "codeaudit").await.unwrap();
    assert_eq!((lowered.value, lowered.used), (1, 3));
    assert!(
        lowered.room_at.unwrap() > room_at + TimeDelta::hours(1),
        "{lowered:?}"
    );
    limit(&store, acme.tenant_id(), &[("tasks-per-hour", 0)]).await;
    assert_eq!(claim(&store).await.len(), 0);
    let none = told(&store, &acme, "codeaudit").await.unwrap();
    assert_eq!(
        (none.name.as_str(), none.value, none.room_at),
        ("tasks-per-hour", 0, None)
    );
    store.close().await;
    database.drop().await;
}
