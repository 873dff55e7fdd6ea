//! Numbers of project events under concurrency: nothing lost, nothing twice, and never a smaller one later.

use std::collections::BTreeMap;
use std::time::Duration;

use tamiz_core::{ProjectId, Severity};
use tokio::time::sleep;

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::page::{PageLimit, Window};
use crate::project;
use crate::project_event::{self, Kind};
use crate::scope::TenantScope;

async fn project_of(store: &Store, scope: &TenantScope) -> ProjectId {
    let mut tx = store.begin(scope).await.unwrap();
    let window = Window::first(PageLimit::new(1).unwrap());
    project::page(&mut tx, None, window).await.unwrap().rows[0].id
}

/// Writes `events` events, each in a transaction that stays open for a while.
async fn write(store: &Store, scope: &TenantScope, project: ProjectId, writer: u64, events: u64) {
    for event in 0..events {
        let mut tx = store.begin(scope).await.unwrap();
        let opened = BTreeMap::from([(
            Severity::High,
            [i32::try_from(writer * 1_000 + event).unwrap(), 0, 0, 0],
        )]);
        project_event::append_alerts(&mut tx, project, None, &opened)
            .await
            .unwrap();
        sleep(Duration::from_millis((writer * 7 + event * 3) % 11)).await;
        tx.commit().await.unwrap();
    }
}

/// Reads on until `wanted` events were seen; numbers and what they say.
async fn follow(store: &Store, scope: &TenantScope, project: ProjectId, wanted: usize) -> Vec<(i64, i32)> {
    let mut seen: Vec<(i64, i32)> = Vec::new();
    for _ in 0..5_000 {
        store.number_project_events(scope, project).await.unwrap();
        let last = seen.last().map_or(0, |(seq, _)| *seq);
        let mut tx = store.begin(scope).await.unwrap();
        let rows = project_event::after(&mut tx, project, Kind::Alerts, last, 3)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        seen.extend(rows.iter().map(|row| (row.seq, row.alerts[0].opened)));
        if seen.len() >= wanted {
            return seen;
        }
    }
    panic!("only {} of {wanted} events came", seen.len());
}

#[tokio::test]
async fn readers_see_each_event_once_in_one_order_however_transactions_overlap() {
    const WRITERS: u64 = 6;
    const EVENTS: u64 = 20;
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    let project = project_of(&store, &scope).await;
    let wanted = usize::try_from(WRITERS * EVENTS).unwrap();
    let writers = (0..WRITERS).map(|writer| write(&store, &scope, project, writer, EVENTS));
    let writers = futures_util::future::join_all(writers);
    let (_, one, other) = tokio::join!(
        writers,
        follow(&store, &scope, project, wanted),
        follow(&store, &scope, project, wanted)
    );
    assert_eq!(one, other);
    let mut told: Vec<i32> = one.iter().map(|(_, opened)| *opened).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), wanted, "each of them once");
    assert!(one.windows(2).all(|pair| pair[0].0 < pair[1].0));
    database.drop().await;
}

#[tokio::test]
async fn what_went_before_anybody_numbered_it_leaves_a_gap_behind_the_last_cursor() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    let project = project_of(&store, &scope).await;
    let cursor = store.number_project_events(&scope, project).await.unwrap();
    let mut tx = store.begin(&scope).await.unwrap();
    let opened = BTreeMap::from([(Severity::High, [1, 0, 0, 0])]);
    project_event::append_alerts(&mut tx, project, None, &opened)
        .await
        .unwrap();
    sqlx::query("update tenant.project_event set created_at = created_at - interval '8 days'")
        .execute(tx.connection())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.delete_old_project_events().await.unwrap(), 2);
    let head = store.number_project_events(&scope, project).await.unwrap();
    assert_eq!(head, cursor + 1, "the cursor is not the head any more");
    write(&store, &scope, project, 0, 1).await;
    let head = store.number_project_events(&scope, project).await.unwrap();
    let mut tx = store.begin(&scope).await.unwrap();
    let oldest = project_event::oldest(&mut tx, project).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((head, oldest), (cursor + 2, Some(cursor + 2)));
    database.drop().await;
}

#[tokio::test]
async fn a_new_state_of_a_task_is_told_once_and_to_its_tenant_alone() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, task) = tenant_with_task(&store, "acme").await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    let project = project_of(&store, &acme).await;
    let last = store.number_project_events(&acme, project).await.unwrap();
    assert_eq!(store.number_project_events(&acme, project).await.unwrap(), last);
    let mut tx = store.begin(&acme).await.unwrap();
    let rows = project_event::after(&mut tx, project, Kind::Task, 0, 100)
        .await
        .unwrap();
    drop(tx);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].task, Some(task));
    assert_eq!(rows[0].seq, last);
    assert_eq!(store.number_project_events(&globex, project).await.unwrap(), 0);
    let mut tx = store.begin(&globex).await.unwrap();
    let foreign = project_event::after(&mut tx, project, Kind::Task, 0, 100)
        .await
        .unwrap();
    assert!(foreign.is_empty());
    drop(tx);
    database.drop().await;
}
