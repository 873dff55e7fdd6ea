//! Refusals in the audit log.

use tamiz_core::TokenId;
use tamiz_core::quota::ReachedLimit;

use super::{as_admin, number, tenant_with};
use crate::database_for_tests::Database;

fn reached(name: &str) -> ReachedLimit {
    ReachedLimit {
        name: name.to_owned(),
        value: 5,
        used: 5,
        room_at: None,
    }
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_trickle_in_the_audit_log_and_none_is_lost() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[]).await;
    let token = TokenId::fresh();
    let flood = (0..40).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let reached = reached("tasks-queued");
            store.note_refusal(&scope, Some(token), &reached).await
        })
    });
    for noted in futures_util::future::join_all(flood).await {
        noted.unwrap().unwrap();
    }
    store
        .note_refusal(&scope, None, &reached("stored-bytes"))
        .await
        .unwrap();
    let rows = "select count(*) from tenant.audit_log where action = 'quota.refused'";
    assert_eq!(number(&database, rows).await, 2);
    as_admin(
        &database,
        "update control.quota_refusal set audited_at = now() - interval '1 minute'",
    )
    .await;
    store
        .note_refusal(&scope, Some(token), &reached("tasks-queued"))
        .await
        .unwrap();
    let told = "select sum((metadata ->> 'refusals')::bigint)::bigint from tenant.audit_log
                where resource_id = 'tasks-queued'";
    assert_eq!(number(&database, told).await, 41);
    assert_eq!(
        number(
            &database,
            "select sum(refused_count)::bigint from control.quota_refusal"
        )
        .await,
        42
    );
    // the last ones of a flood, which no other follows
    for _ in 0..3 {
        let reached = reached("tasks-queued");
        store.note_refusal(&scope, None, &reached).await.unwrap();
    }
    assert_eq!(store.tell_late_refusals().await.unwrap(), 0);
    as_admin(
        &database,
        "update control.quota_refusal set audited_at = now() - interval '1 minute'",
    )
    .await;
    assert_eq!(store.tell_late_refusals().await.unwrap(), 1);
    assert_eq!(store.tell_late_refusals().await.unwrap(), 0);
    assert_eq!(number(&database, told).await, 44);
    let by_token = format!("select count(*) from tenant.audit_log where user_id = '{token}'");
    assert_eq!(number(&database, &by_token).await, 2);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_audit_log_is_only_added_to_and_is_the_tenants_own() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    store
        .note_refusal(&acme, None, &reached("tasks-queued"))
        .await
        .unwrap();
    for statement in [
        "update tenant.audit_log set action = 'nothing'",
        "delete from tenant.audit_log",
    ] {
        let mut tx = store.begin(&acme).await.unwrap();
        let error = sqlx::raw_sql(statement)
            .execute(tx.connection())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
    let mut tx = store.begin(&globex).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from tenant.audit_log")
        .fetch_one(tx.connection())
        .await
        .unwrap();
    assert_eq!(seen, 0);
    drop(tx);
    store.close().await;
    database.drop().await;
}
