//! The register of workers: names that outlive starts, counts that do not go back, silence.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tamiz_core::worker_token::WorkerToken;
use tamiz_core::{WorkerId, WorkerTokenId};

use crate::attempt::{self, Begin};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::queue::ClaimRequest;
use crate::worker::{Heartbeat, NewWorker, WorkerRow, WorkerState};
use crate::worker_token::{self, Entered, NewWorkerToken};

const SILENCE: Duration = Duration::from_secs(25);

async fn start(store: &Store, name: &str) -> (WorkerId, u32) {
    let new = NewWorker {
        id: WorkerId::fresh(),
        name,
        host: "build7",
        process_id: 42,
        version: "1.2.3",
        slots: 4,
    };
    (new.id, store.register_worker(&new).await.unwrap())
}

const fn beat(state: WorkerState, done: u64, failed: u64) -> Heartbeat<'static> {
    Heartbeat {
        state,
        free_slots: 3,
        done,
        failed,
        error: None,
    }
}

async fn only(store: &Store) -> WorkerRow {
    let mut rows = store.workers().await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

/// As if nothing had been heard of it for so long.
async fn silence(database: &Database, worker: WorkerId, seconds: u32) {
    let mut admin = database.as_admin().await;
    let say = format!(
        "update control.worker set heartbeat_at = now() - interval '{seconds} seconds' where id = '{worker}'"
    );
    sqlx::raw_sql(AssertSqlSafe(say))
        .execute(&mut admin)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_outlives_its_starts_with_counts_and_restarts() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (first, restarts) = start(&store, "build7-abc").await;
    assert_eq!(restarts, 0);
    assert_eq!(only(&store).await.state, WorkerState::Initializing);
    let capabilities = json!({ "scanTypes": ["web"] });
    assert!(store.worker_ready(first, &capabilities).await.unwrap());
    let row = only(&store).await;
    assert_eq!(
        (row.state, row.free_slots, row.capabilities),
        (WorkerState::Idle, 4, capabilities)
    );
    // a beat that comes late, or twice, takes nothing back
    for (done, failed) in [(3, 0), (5, 1), (5, 1), (3, 0)] {
        let known = store
            .worker_heartbeat(first, &beat(WorkerState::Busy, done, failed))
            .await;
        assert!(known.unwrap());
    }
    let (second, restarts) = start(&store, "build7-abc").await;
    assert_eq!(restarts, 1);
    store
        .worker_heartbeat(first, &beat(WorkerState::Offline, 5, 1))
        .await
        .unwrap();
    store
        .worker_heartbeat(second, &beat(WorkerState::Busy, 2, 2))
        .await
        .unwrap();
    let row = only(&store).await;
    assert_eq!(
        (row.id, row.tasks_done, row.tasks_failed, row.restarts),
        (second, 7, 3, 1)
    );
    assert_eq!(start(&store, "another").await.1, 0);
    assert_eq!(store.workers().await.unwrap().len(), 2);
    let unknown = store
        .worker_heartbeat(WorkerId::fresh(), &beat(WorkerState::Idle, 0, 0))
        .await;
    assert!(!unknown.unwrap());
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn entering_the_same_start_twice_is_one_start() {
    let database = Database::fresh().await;
    let store = database.store().await;
    start(&store, "w").await;
    let new = NewWorker {
        id: WorkerId::fresh(),
        name: "w",
        host: "h",
        process_id: 1,
        version: "1",
        slots: 1,
    };
    for _ in 0..2 {
        assert_eq!(store.register_worker(&new).await.unwrap(), 1);
    }
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_a_worker_could_not_do_is_told_and_stays_told() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (worker, _) = start(&store, "w").await;
    let trouble = Heartbeat {
        error: Some("the scratch folder is full"),
        ..beat(WorkerState::Error, 0, 0)
    };
    store.worker_heartbeat(worker, &trouble).await.unwrap();
    assert_eq!(only(&store).await.state, WorkerState::Error);
    store
        .worker_heartbeat(worker, &beat(WorkerState::Idle, 0, 0))
        .await
        .unwrap();
    let row = only(&store).await;
    assert_eq!(row.state, WorkerState::Idle);
    assert_eq!(row.last_error.as_deref(), Some("the scratch folder is full"));
    assert!(row.last_error_at.unwrap() <= row.heartbeat_at);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_a_silent_worker_held_is_back_at_once_and_its_attempt_is_lost() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, task) = tenant_with_task(&store, "acme").await;
    let (silent, _) = start(&store, "silent").await;
    let (living, _) = start(&store, "living").await;
    let request = |worker| ClaimRequest {
        worker,
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 4,
        lease: Duration::from_secs(30),
    };
    let lease = store.claim(&request(silent)).await.unwrap().remove(0);
    let mut tx = store.begin(&scope).await.unwrap();
    attempt::begin(&mut tx, task, lease.attempt, silent, 5)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    silence(&database, silent, 24).await;
    assert_eq!(store.bury_silent_workers(SILENCE).await.unwrap(), 0);
    silence(&database, silent, 26).await;
    assert_eq!(store.bury_silent_workers(SILENCE).await.unwrap(), 1);
    let rows = store.workers().await.unwrap();
    let state = |id| rows.iter().find(|row| row.id == id).unwrap().state;
    assert_eq!(
        (state(silent), state(living)),
        (WorkerState::Offline, WorkerState::Initializing)
    );

    let again = store.claim(&request(living)).await.unwrap().remove(0);
    assert_eq!((again.task, again.attempt), (task, lease.attempt + 1));
    let mut tx = store.begin(&scope).await.unwrap();
    let begun = attempt::begin(&mut tx, task, again.attempt, living, 5)
        .await
        .unwrap();
    assert!(matches!(begun, Begin::Run(_)), "{begun:?}");
    let attempts = attempt::of_tasks(&mut tx, &[task]).await.unwrap();
    let (_, lost) = &attempts[0];
    assert_eq!((lost.worker_id, lost.outcome.as_deref()), (silent, Some("lost")));
    assert!(
        lost.error_message.as_deref().unwrap().contains("silent"),
        "{lost:?}"
    );
    tx.commit().await.unwrap();
    // it wakes up, says so, and is known again
    let known = store
        .worker_heartbeat(silent, &beat(WorkerState::Idle, 0, 0))
        .await;
    assert!(known.unwrap());
    assert!(
        store
            .renew(silent, &[lease.claim()], Duration::from_secs(30))
            .await
            .unwrap()
            .is_empty()
    );
    store.close().await;
    database.drop().await;
}

async fn token(store: &Store, number: u8) -> WorkerTokenId {
    let mut tx = store.begin_control().await.unwrap();
    let new = NewWorkerToken {
        name: "dmz",
        scan_types: None,
        expires_at: None,
    };
    let token = WorkerToken::from_random([number; 32]);
    let id = worker_token::create(&mut tx, &new, &token)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn names_of_a_token_are_apart_from_those_of_others() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (one, other) = (token(&store, 1).await, token(&store, 2).await);
    let (direct, _) = start(&store, "w").await;
    let of = |id| NewWorker {
        id,
        name: "w",
        host: "h",
        process_id: 1,
        version: "1",
        slots: 2,
    };
    let (first, second) = (WorkerId::fresh(), WorkerId::fresh());
    for (id, token, entered) in [
        (first, one, Entered::Now { restarts: 0 }),
        (first, one, Entered::Now { restarts: 0 }),
        (second, one, Entered::Now { restarts: 1 }),
        (WorkerId::fresh(), other, Entered::Now { restarts: 0 }),
        (first, other, Entered::Foreign),
        (direct, one, Entered::Foreign),
    ] {
        let answer = store.register_remote_worker(&of(id), token).await.unwrap();
        assert_eq!(answer, entered);
    }
    assert_eq!(
        start(&store, "w").await.1,
        1,
        "a token's starts are not counted here"
    );

    let (_, task) = tenant_with_task(&store, "acme").await;
    let request = ClaimRequest {
        worker: second,
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 1,
        lease: Duration::from_secs(30),
    };
    assert_eq!(store.free_slots_of(second).await.unwrap(), 2);
    assert_eq!(store.claim(&request).await.unwrap()[0].task, task);
    assert_eq!(store.free_slots_of(second).await.unwrap(), 1);
    assert_eq!(store.free_slots_of(WorkerId::fresh()).await.unwrap(), 0);
    store.close().await;
    database.drop().await;
}
