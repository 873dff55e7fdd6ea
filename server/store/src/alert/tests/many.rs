//! Decisions about very many alerts.

use std::collections::HashSet;

use tamiz_core::{AlertState, DismissalReason};

use super::field::Field;
use crate::alert::triage::{Decision, MATCHED_MAX, read, write};
use crate::alert::{AlertFilter, hold_project, ids_under, recount};
use crate::tenant_tx::TenantTx;

/// Statements of one decision, whatever the number of alerts: held, chosen, read, told the time and the promise, written,
/// told as events, counted, counted by day.
const STATEMENTS_MAX: i64 = 12;

/// Statements that the transaction's connection has carried out; each execution has a plan, whether made or kept.
async fn statements(tx: &mut TenantTx) -> i64 {
    let executed =
        "select coalesce(sum(generic_plans + custom_plans), 0)::bigint from pg_prepared_statements";
    sqlx::query_scalar(executed)
        .fetch_one(tx.connection())
        .await
        .unwrap()
}

#[tokio::test]
async fn ten_thousand_alerts_take_as_many_statements_as_one() {
    let field = Field::with(40_000).await;
    let open = AlertFilter {
        states: vec![AlertState::Open],
        ..AlertFilter::default()
    };
    let decision = Decision::Dismiss {
        reason: DismissalReason::WontFix,
        comment: None,
        until: None,
    };
    let mut tx = field.begin().await;
    let before = statements(&mut tx).await;
    hold_project(&mut tx, field.project).await.unwrap();
    let most = i64::try_from(MATCHED_MAX).unwrap();
    let found = ids_under(&mut tx, field.project, &open, most + 1).await.unwrap();
    assert_eq!(found.len(), MATCHED_MAX);
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), MATCHED_MAX);
    let ids = found.into_iter().collect();
    let (standings, moment) = read(&mut tx, field.project, &ids, "alice").await.unwrap();
    let changes: Vec<_> = standings
        .iter()
        .filter_map(|alert| decision.on(alert, moment))
        .collect();
    assert_eq!(changes.len(), MATCHED_MAX);
    write(&mut tx, field.project, moment, &changes).await.unwrap();
    let executed = statements(&mut tx).await - before;
    assert!((5..=STATEMENTS_MAX).contains(&executed), "{executed} statements");
    tx.commit().await.unwrap();
    let tenant = field.scope.tenant_id();
    let drift = recount::recount(&field.store, tenant, false).await.unwrap();
    assert_eq!(drift, [], "the counters know");
    field.end().await;
}
