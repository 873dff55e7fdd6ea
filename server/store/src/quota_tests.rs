//! Limits against Postgres, with many at once.

mod reached;
mod refusals;
mod retention;
mod storage;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;
use tamiz_core::TenantId;
use tamiz_core::quota::{QuotaRefusal, QuotaSet};

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::quota::{Meter, QuotaError, ask_tasks, ask_tokens, limits};
use crate::scope::TenantScope;
use crate::usage::{self, Bucket};
use crate::{plan, tenant};

/// A tenant with one queued task, which nobody asked for, and these limits.
async fn tenant_with(store: &Store, name: &str, pairs: &[(&str, u64)]) -> TenantScope {
    let (scope, _) = tenant_with_task(store, name).await;
    limit(store, scope.tenant_id(), pairs).await;
    scope
}

async fn limit(store: &Store, tenant: TenantId, pairs: &[(&str, u64)]) {
    let mut tx = store.begin_control().await.unwrap();
    limits::say_for_tenant(&mut tx, tenant, &set(pairs))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn set(pairs: &[(&str, u64)]) -> QuotaSet {
    let mut set = QuotaSet::default();
    for (name, value) in pairs {
        set.say(name.parse().unwrap(), Some(*value));
    }
    set
}

/// Asks in a transaction of its own.
async fn ask(store: &Store, scope: &TenantScope, tasks: u32, priority: i16) -> Result<(), QuotaRefusal> {
    let mut tx = store.begin(scope).await.unwrap();
    told(ask_tasks(&mut tx, tasks, priority).await)?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn ask_at(
    store: &Store,
    scope: &TenantScope,
    tasks: u32,
    now: DateTime<Utc>,
) -> Result<(), QuotaRefusal> {
    let mut tx = store.begin(scope).await.unwrap();
    let meter = Meter::lock_at(&mut tx, now).await.unwrap();
    told(meter.ask(&mut tx, tasks, 0).await)?;
    tx.commit().await.unwrap();
    Ok(())
}

fn told<T>(outcome: Result<T, QuotaError>) -> Result<T, QuotaRefusal> {
    outcome.map_err(|error| match error {
        QuotaError::Refused(refused) => refused,
        QuotaError::Store(error) => panic!("{error:?}"),
    })
}

async fn as_admin(database: &Database, statement: &str) {
    let mut admin = database.as_admin().await;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut admin)
        .await
        .unwrap();
}

async fn number(database: &Database, question: &str) -> i64 {
    let mut admin = database.as_admin().await;
    sqlx::query_scalar(AssertSqlSafe(question.to_owned()))
        .fetch_one(&mut admin)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_asks_at_once_never_pass_the_hour_or_the_day() {
    let database = Database::fresh().await;
    let store = database.store().await;
    for (name, limits, most) in [
        ("hourly", [("tasks-per-hour", 23), ("tasks-per-day", 1000)], 23),
        ("daily", [("tasks-per-hour", 1000), ("tasks-per-day", 17)], 17),
    ] {
        let scope = tenant_with(&store, name, &limits).await;
        let asks = (0..60).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { ask(&store, &scope, 1, 0).await })
        });
        let mut taken = 0;
        for ask in futures_util::future::join_all(asks).await {
            match ask.unwrap() {
                Ok(()) => taken += 1,
                Err(refused) => {
                    assert_eq!((refused.value, refused.used), (most, most), "{name}");
                    assert!(refused.room_at.is_some_and(|at| at > Utc::now()), "{name}");
                }
            }
        }
        assert_eq!(taken, most, "{name}");
    }
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_hour_slides_in_steps_of_five_minutes_and_the_promised_moment_holds() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("tasks-per-hour", 10)]).await;
    let start = Bucket::Hour.start_of(Utc::now());
    let at = |minute| start + TimeDelta::minutes(minute);
    ask_at(&store, &scope, 6, at(4)).await.unwrap();
    ask_at(&store, &scope, 4, at(30)).await.unwrap();
    let refused = ask_at(&store, &scope, 1, at(60)).await.unwrap_err();
    assert_eq!(refused.name.to_string(), "tasks-per-hour");
    assert_eq!((refused.value, refused.used, refused.asked), (10, 10, 1));
    let room_at = refused.room_at.unwrap();
    assert_eq!(room_at, at(65));
    ask_at(&store, &scope, 1, room_at - TimeDelta::milliseconds(1))
        .await
        .unwrap_err();
    ask_at(&store, &scope, 6, room_at).await.unwrap();
    ask_at(&store, &scope, 11, room_at).await.unwrap_err();
    // a transaction that began earlier and comes later counts what came before it
    ask_at(&store, &scope, 1, at(64)).await.unwrap_err();
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_refused_or_dropped_ask_counts_nothing() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("tasks-per-hour", 5)]).await;
    ask(&store, &scope, 6, 0).await.unwrap_err();
    let mut tx = store.begin(&scope).await.unwrap();
    ask_tasks(&mut tx, 5, 0).await.unwrap();
    drop(tx);
    ask(&store, &scope, 5, 0).await.unwrap();
    ask(&store, &scope, 1, 0).await.unwrap_err();
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_waits_and_the_priority_are_limited() {
    let database = Database::fresh().await;
    let store = database.store().await;
    // one waits already
    let scope = tenant_with(&store, "acme", &[("tasks-queued", 3), ("priority-max", 50)]).await;
    ask(&store, &scope, 2, 50).await.unwrap();
    let refused = ask(&store, &scope, 3, 0).await.unwrap_err();
    assert_eq!(refused.name.to_string(), "tasks-queued");
    assert_eq!((refused.value, refused.used, refused.room_at), (3, 1, None));
    let refused = ask(&store, &scope, 1, 51).await.unwrap_err();
    assert_eq!(refused.name.to_string(), "priority-max");
    // tickets of the same transaction are not counted twice
    let mut tx = store.begin(&scope).await.unwrap();
    let meter = Meter::lock(&mut tx).await.unwrap();
    limit(&store, scope.tenant_id(), &[("tasks-queued", 1)]).await;
    meter.ask_written(&mut tx, 1, 0).await.unwrap();
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn claims_obey_what_plan_and_tenant_say_at_once() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[]).await.tenant_id();
    let globex = tenant_with(&store, "globex", &[]).await.tenant_id();
    let share = async |tenant: TenantId| {
        let mut admin = database.as_admin().await;
        let row: (f32, Option<i32>, serde_json::Value, Option<i32>) = sqlx::query_as(
            "select weight, running_max, type_max, starts_hour_max from control.share where tenant_id = $1",
        )
        .bind(tenant.uuid())
        .fetch_one(&mut admin)
        .await
        .unwrap();
        row
    };
    assert_eq!(
        share(acme).await,
        (1.0, Some(64), serde_json::json!({}), Some(10_000))
    );
    let said = set(&[("tasks-running", 4), ("tasks-running.web", 2), ("weight", 50)]);
    let mut tx = store.begin_control().await.unwrap();
    limits::say_for_plan(&mut tx, plan::STANDARD, &said)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    limits::hold_plan(&store, plan::STANDARD).await.unwrap();
    limit(&store, globex, &[("tasks-running", 9), ("tasks-per-hour", 7)]).await;
    let types = serde_json::json!({ "web": 2 });
    assert_eq!(share(acme).await, (0.5, Some(4), types.clone(), Some(10_000)));
    assert_eq!(share(globex).await, (0.5, Some(9), types, Some(7)));
    let mut tx = store.begin_control().await.unwrap();
    let other = plan::Plan {
        name: "other".to_owned(),
        limits: tamiz_core::plugin::LimitSet::NONE,
    };
    plan::put(&mut tx, &other).await.unwrap();
    assert!(plan::assign(&mut tx, acme, "other").await.unwrap());
    assert!(!plan::assign(&mut tx, acme, "none").await.unwrap());
    let made = tenant::create(&mut tx, "initech", Some(5))
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(share(acme).await.1, Some(64));
    let mut tx = store.begin_control().await.unwrap();
    let (_, own) = limits::of_tenant(&mut tx, made).await.unwrap();
    assert_eq!(own, set(&[("upload-bytes", 5)]));
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn tokens_are_limited_by_day_and_month() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let limits = [("tokens-per-day", 100), ("tokens-per-month", 120)];
    let scope = tenant_with(&store, "acme", &limits).await;
    let ask = async |tokens| {
        let mut tx = store.begin(&scope).await.unwrap();
        told(ask_tokens(&mut tx, tokens).await)?;
        tx.commit().await.unwrap();
        Ok::<(), QuotaRefusal>(())
    };
    ask(90).await.unwrap();
    assert_eq!(ask(20).await.unwrap_err().name.to_string(), "tokens-per-day");
    let earlier = "update control.quota_usage set window_start = window_start - interval '2 days',
                   window_end = window_end - interval '2 days'";
    as_admin(&database, earlier).await;
    ask(20).await.unwrap();
    assert_eq!(ask(20).await.unwrap_err().name.to_string(), "tokens-per-month");
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn usage_adds_up_over_writers_and_windows_and_is_the_tenants_own() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    let now = Utc::now();
    let hour_ago = now - TimeDelta::hours(1);
    let counts = vec![
        (globex.tenant_id(), now, 1),
        (acme.tenant_id(), now, 2),
        (acme.tenant_id(), now, 3),
        (acme.tenant_id(), hour_ago, 4),
    ];
    let writers = (0..8).map(|writer| {
        let (store, mut counts) = (store.clone(), counts.clone());
        // in another order each: they must not wait in a ring
        counts.rotate_left(writer % 4);
        tokio::spawn(async move { usage::add_requests(&store, &counts).await })
    });
    for writer in futures_util::future::join_all(writers).await {
        writer.unwrap().unwrap();
    }
    ask(&store, &acme, 3, 0).await.unwrap();
    let mut tx = store.begin(&acme).await.unwrap();
    let used = usage::between(&mut tx, hour_ago, now, Bucket::FiveMinutes)
        .await
        .unwrap();
    let requests: Vec<i64> = used.values().map(|used| used.requests).collect();
    assert_eq!(requests, [32, 40]);
    let day = usage::between(&mut tx, now - TimeDelta::days(1), now, Bucket::Day)
        .await
        .unwrap();
    let total = day
        .values()
        .fold(usage::Used::default(), |sum, used| sum.plus(*used));
    assert_eq!((total.requests, total.tasks), (72, 3));
    let foreign = sqlx::query_scalar::<_, i64>("select count(distinct tenant_id) from control.quota_usage")
        .fetch_one(tx.connection())
        .await
        .unwrap();
    assert_eq!(foreign, 1);
    drop(tx);
    as_admin(
        &database,
        "update control.quota_usage set window_start = window_start - interval '2 years'",
    )
    .await;
    assert_eq!(usage::delete_old(&store).await.unwrap(), 4);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_recount_finds_what_differs_and_sets_it_right() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[]).await;
    let recount = async |repair| usage::recount(&store, scope.tenant_id(), repair).await.unwrap();
    // the queued task of this tenant was made without asking
    let drifts = recount(false).await;
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    assert_eq!(
        (drifts[0].what, drifts[0].counted, drifts[0].actual),
        ("tasks", 0, 1)
    );
    assert_eq!(recount(true).await.len(), 1);
    assert_eq!(recount(false).await, []);
    as_admin(
        &database,
        "update control.storage set stored_bytes = 5, reserved_bytes = 6",
    )
    .await;
    let drifts = recount(true).await;
    let words: Vec<&str> = drifts.iter().map(|drift| drift.what).collect();
    assert_eq!(words, ["stored-bytes", "reserved-bytes"]);
    assert_eq!(recount(false).await, []);
    assert_eq!(
        number(&database, "select stored_bytes from control.storage").await,
        0
    );
    store.close().await;
    database.drop().await;
}
