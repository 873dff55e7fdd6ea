//! The log of workers: fenced, bounded, apart per tenant, kept by month.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tamiz_core::{TaskId, WorkerId};

use crate::attempt;
use crate::connect::{APP_ROLE, DISPATCH_ROLE, Store, role_options};
use crate::credential::LeaseRight;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::page::{PageLimit, Window};
use crate::queue::ClaimRequest;
use crate::scope::TenantScope;
use crate::worker_log::{
    self, BYTES_OF_TASK_MAX, LINE_BYTES_MAX, LINES_AT_ONCE_MAX, LINES_OF_TASK_MAX, LineLevel, LogLine,
    NewLine, Written,
};

fn line(message: &str) -> NewLine {
    NewLine {
        level: LineLevel::Info,
        message: message.to_owned(),
        age: Duration::from_secs(2),
    }
}

/// Claims and begins the one task that waits.
async fn begun(store: &Store, scope: &TenantScope) -> LeaseRight {
    let worker = WorkerId::fresh();
    let request = ClaimRequest {
        worker,
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 1,
        lease: Duration::from_millis(1),
    };
    let lease = store.claim(&request).await.unwrap().remove(0);
    let mut tx = store.begin(scope).await.unwrap();
    attempt::begin(&mut tx, lease.task, lease.attempt, worker, 9)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    LeaseRight::of(&lease, worker)
}

async fn append(store: &Store, right: &LeaseRight, lines: &[NewLine]) -> Written {
    let mut tx = store.begin(&right.scope).await.unwrap();
    let written = worker_log::append(&mut tx, right, lines).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn read(
    store: &Store,
    scope: &TenantScope,
    task: TaskId,
    after: i32,
    rows: u32,
) -> (Vec<LogLine>, bool) {
    let mut tx = store.begin(scope).await.unwrap();
    let limit = PageLimit::new(rows).unwrap();
    let mut pages = worker_log::of_tasks(&mut tx, &[task], None, Window::after(Some(after), limit))
        .await
        .unwrap();
    pages
        .remove(&task)
        .map_or((Vec::new(), false), |page| (page.rows, page.has_next))
}

async fn expire(store: &Store) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while store.expire_leases().await.unwrap() == 0 {
        assert!(std::time::Instant::now() < deadline, "the lease does not run out");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lines_are_numbered_over_attempts_and_a_late_worker_adds_none() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, task) = tenant_with_task(&store, "acme").await;
    let first = begun(&store, &acme).await;
    assert_eq!(
        append(&store, &first, &[line("one"), line("t\u{1b}w\0o")]).await,
        Written::All
    );
    expire(&store).await;
    let second = begun(&store, &acme).await;
    assert_eq!(append(&store, &first, &[line("late")]).await, Written::Late);
    let stranger = LeaseRight {
        worker: WorkerId::fresh(),
        ..second
    };
    assert_eq!(append(&store, &stranger, &[line("forged")]).await, Written::Late);
    assert_eq!(append(&store, &second, &[line("three")]).await, Written::All);

    let (lines, more) = read(&store, &acme, task, 0, 2).await;
    assert!(more);
    let told = |lines: &[LogLine]| -> Vec<(i32, i32, String)> {
        lines
            .iter()
            .map(|line| (line.seq, line.attempt, line.message.clone()))
            .collect()
    };
    assert_eq!(
        told(&lines),
        [(1, first.attempt, "one".into()), (2, first.attempt, "two".into())]
    );
    let (lines, more) = read(&store, &acme, task, 2, 2).await;
    assert!(!more);
    assert_eq!(told(&lines), [(3, second.attempt, "three".into())]);
    let mut tx = store.begin(&acme).await.unwrap();
    let of_first = worker_log::counts(&mut tx, &[task], Some(first.attempt))
        .await
        .unwrap();
    assert_eq!(of_first, [(task, 2)]);
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_log_ends_with_its_task_s_share_of_lines_and_bytes() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let many = vec![line("a step"); LINES_AT_ONCE_MAX];
    let long = vec![line(&"x".repeat(2 * LINE_BYTES_MAX)); LINES_AT_ONCE_MAX];
    let batches_max = usize::try_from(LINES_OF_TASK_MAX).unwrap() / LINES_AT_ONCE_MAX;
    for (name, batch, lines_max) in [
        ("lines", &many, i64::from(LINES_OF_TASK_MAX)),
        ("bytes", &long, 256),
    ] {
        let (scope, task) = tenant_with_task(&store, name).await;
        let right = begun(&store, &scope).await;
        let mut ends = Vec::new();
        for _ in 0..=batches_max {
            ends.push(append(&store, &right, batch).await);
        }
        assert_eq!(ends.last(), Some(&Written::Full), "{name}: {ends:?}");
        assert_eq!(append(&store, &right, &[line("more")]).await, Written::Full);
        let mut tx = store.begin(&scope).await.unwrap();
        assert_eq!(
            worker_log::counts(&mut tx, &[task], None).await.unwrap(),
            [(task, lines_max)],
            "{name}"
        );
        drop(tx);
        let after = i32::try_from(lines_max).unwrap() - 1;
        let (last, _) = read(&store, &scope, task, after, 10).await;
        assert_eq!(last.len(), 1);
        assert!(last[0].message.contains("full"), "{last:?}");
        let mut admin = database.as_admin().await;
        let bytes =
            format!("select sum(octet_length(message)) from tenant.worker_log where task_id = '{task}'");
        let bytes: i64 = sqlx::query_scalar(AssertSqlSafe(bytes))
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert!(bytes <= BYTES_OF_TASK_MAX, "{name}: {bytes}");
    }
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn lines_of_one_tenant_are_not_there_for_another_nor_by_a_partition_s_name() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, task) = tenant_with_task(&store, "acme").await;
    let right = begun(&store, &acme).await;
    append(&store, &right, &[line("one")]).await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    assert!(read(&store, &globex, task, 0, 10).await.0.is_empty());
    let mut tx = store.begin(&globex).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from tenant.worker_log")
        .fetch_one(tx.connection())
        .await
        .unwrap();
    assert_eq!(seen, 0, "a query that forgot its where");
    drop(tx);
    for role in [APP_ROLE, DISPATCH_ROLE] {
        let mut connection = role_options(&database.url, role)
            .unwrap()
            .connect()
            .await
            .unwrap();
        for part in parts(&mut database.as_admin().await).await {
            let error = sqlx::raw_sql(AssertSqlSafe(format!("select * from tenant.{part}")))
                .execute(&mut connection)
                .await
                .unwrap_err();
            assert!(
                error.to_string().contains("permission denied"),
                "{role} {part}: {error}"
            );
        }
        connection.close().await.unwrap();
    }
    store.close().await;
    database.drop().await;
}

async fn parts(admin: &mut PgConnection) -> Vec<String> {
    let parts = "select inhrelid::regclass::text from pg_inherits
                 where inhparent = 'tenant.worker_log'::regclass order by 1";
    let parts: Vec<String> = sqlx::query_scalar(parts).fetch_all(admin).await.unwrap();
    parts
        .into_iter()
        .map(|part| part.replace("tenant.", ""))
        .collect()
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_when_they_are_old_and_nobody_else_may() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let mut admin = database.as_admin().await;
    let before = parts(&mut admin).await;
    assert_eq!(before.len(), 3, "this month and two ahead: {before:?}");
    assert_eq!(
        store.keep_worker_log(90).await.unwrap(),
        0,
        "there is nothing to do"
    );
    // the last month that is kept for 90 days, and the last one that is not, as the owner would have made them
    let old = "set role tamiz_owner;
        create table tenant.worker_log_2020_01 partition of tenant.worker_log
            for values from ('2020-01-01 00:00+00') to ('2020-02-01 00:00+00');
        do $$ declare month timestamptz := date_trunc('month', now() - interval '70 days'); begin
            execute format('create table tenant.worker_log_%s partition of tenant.worker_log for values from (%L) to (%L)',
                to_char(month, 'YYYY_MM'), month, month + interval '1 month');
        end $$;
        reset role";
    sqlx::raw_sql(AssertSqlSafe(format!("set timezone = 'UTC'; {old}")))
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(parts(&mut admin).await.len(), 5);
    assert_eq!(store.keep_worker_log(90).await.unwrap(), 1);
    let after = parts(&mut admin).await;
    assert!(
        after.len() == 4 && !after.iter().any(|part| part.contains("2020")),
        "{after:?}"
    );
    for days in [0, 4_000] {
        assert!(store.keep_worker_log(days).await.is_err(), "{days}");
    }
    for role in [APP_ROLE, DISPATCH_ROLE] {
        let mut connection = role_options(&database.url, role)
            .unwrap()
            .connect()
            .await
            .unwrap();
        let error = sqlx::raw_sql("select tenant.keep_worker_log(1, 1)")
            .execute(&mut connection)
            .await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{role}: {error}");
        connection.close().await.unwrap();
    }
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn lines_go_with_a_task_that_its_tenant_no_longer_keeps() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, task) = tenant_with_task(&store, "acme").await;
    let right = begun(&store, &acme).await;
    append(&store, &right, &[line("one")]).await;
    let mut tx = store.begin(&acme).await.unwrap();
    let ending = attempt::Ending::cancelled("not wanted");
    attempt::end(&mut tx, task, right.attempt, &ending).await.unwrap();
    tx.commit().await.unwrap();
    let mut admin = database.as_admin().await;
    let old = format!(
        "update tenant.task set finished_at = now() - interval '3 days';
         insert into control.tenant_quota (tenant_id, name, value) values ('{}', 'retention-days', 1)",
        acme.tenant_id()
    );
    sqlx::raw_sql(AssertSqlSafe(old))
        .execute(&mut admin)
        .await
        .unwrap();
    assert!(store.delete_expired_tasks().await.unwrap() > 0);
    let left: i64 = sqlx::query_scalar("select count(*) from tenant.worker_log")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(left, 0);
    store.close().await;
    database.drop().await;
}
