//! Webhooks in the database: what is told, once, and what becomes of a delivery.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tamiz_core::webhook::{DeliveryState, DisabledReason, ENDPOINTS_MAX, EventType};
use tamiz_core::{ProjectId, TenantId, WebhookEndpointId};

use super::delivery::{self, Sent};
use super::due::{DueDelivery, Room};
use super::endpoint::{self, Endpoint, Wish};
use super::{deliveries, replay};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::page::{PageLimit, Window};
use crate::scope::TenantScope;
use crate::task;

const HOLD: Duration = Duration::from_mins(1);

struct Field {
    database: Database,
    store: Store,
    scope: TenantScope,
    task: tamiz_core::TaskId,
}

impl Field {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, task) = tenant_with_task(&store, "acme").await;
        Self {
            database,
            store,
            scope,
            task,
        }
    }

    async fn endpoint(&self, events: &[EventType], projects: Option<Vec<ProjectId>>) -> Option<Endpoint> {
        let wish = Wish {
            url: "https://hooks.example/".to_owned(),
            events: events.to_vec(),
            projects,
        };
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let id = WebhookEndpointId::fresh();
        let made = endpoint::create(&mut tx, id, &wish, &[1; 32]).await.unwrap();
        tx.commit().await.unwrap();
        made
    }

    async fn cancel(&self, commits: bool) {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        task::cancel(&mut tx, self.task).await.unwrap();
        if commits {
            tx.commit().await.unwrap();
        }
    }

    async fn due(&self) -> Vec<DueDelivery> {
        let running = HashMap::new();
        let room = Room {
            whole: 10,
            of_one_tenant: 3,
            running: &running,
        };
        self.store.due_webhooks(&room, HOLD).await.unwrap()
    }

    async fn sent(&self, due: DueDelivery, status: u16) -> DeliveryState {
        let sent = Sent {
            started_at: Utc::now(),
            duration: Duration::from_millis(7),
            status_code: Some(status),
            error: (status >= 300).then(|| format!("status {status}")),
            answer: None,
            retry_after: None,
        };
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let state = delivery::note(&mut tx, due.endpoint, due.message, &sent).await;
        tx.commit().await.unwrap();
        state.unwrap()
    }

    async fn sql(&self, statement: &str) -> i64 {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let mut admin = self.database.as_admin().await;
        sqlx::query_scalar(statement).fetch_one(&mut admin).await.unwrap()
    }

    async fn end(self) {
        self.store.close().await;
        self.database.drop().await;
    }
}

#[tokio::test]
async fn what_is_committed_is_told_once_and_what_is_rolled_back_never() {
    let field = Field::new().await;
    field.endpoint(&[EventType::TaskFinished], None).await.unwrap();
    field.endpoint(&[EventType::AlertOpened], None).await.unwrap();
    let strange = vec![ProjectId::fresh()];
    field
        .endpoint(&[EventType::TaskFinished], Some(strange))
        .await
        .unwrap();
    field.cancel(false).await;
    assert!(field.due().await.is_empty());
    field.cancel(true).await;
    let due = field.due().await;
    assert_eq!(due.len(), 1, "one endpoint of three wants it");
    assert!(field.due().await.is_empty(), "it is taken");
    let mut tx = field.store.begin(&field.scope).await.unwrap();
    let parcel = delivery::open(&mut tx, due[0].endpoint, due[0].message)
        .await
        .unwrap()
        .unwrap();
    tx.commit().await.unwrap();
    let body: Value = serde_json::from_str(&parcel.body).unwrap();
    assert_eq!(
        (&body["type"], &body["data"]["task"]["status"]),
        (&"task.finished".into(), &"cancelled".into())
    );
    assert_eq!((parcel.tenant_name.as_str(), parcel.secrets.len()), ("acme", 1));
    assert_eq!(field.sent(due[0], 204).await, DeliveryState::Delivered);
    assert_eq!(field.sql("select count(*) from control.webhook_due").await, 0);
    field.end().await;
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_written() {
    let field = Field::new().await;
    field.cancel(true).await;
    assert_eq!(field.sql("select count(*) from tenant.webhook_message").await, 0);
    field.end().await;
}

#[tokio::test]
async fn a_tenant_gets_its_share_of_what_is_sent_and_its_limit_of_endpoints() {
    let field = Field::new().await;
    let endpoint = field.endpoint(&[EventType::AlertFixed], None).await.unwrap();
    for _ in 0..5 {
        let mut tx = field.store.begin(&field.scope).await.unwrap();
        replay::test(&mut tx, endpoint.id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(field.due().await.len(), 3);
    let tenant: TenantId = field.scope.tenant_id();
    let running = HashMap::from([(tenant, 2)]);
    let room = Room {
        whole: 10,
        of_one_tenant: 3,
        running: &running,
    };
    assert_eq!(field.store.due_webhooks(&room, HOLD).await.unwrap().len(), 1);
    for _ in 1..ENDPOINTS_MAX {
        assert!(field.endpoint(&[EventType::AlertFixed], None).await.is_some());
    }
    assert_eq!(field.endpoint(&[EventType::AlertFixed], None).await, None);
    field.end().await;
}

#[tokio::test]
async fn a_delivery_is_tried_ten_times_and_then_it_has_failed_and_may_be_replayed() {
    let field = Field::new().await;
    let endpoint = field.endpoint(&[EventType::TaskFinished], None).await.unwrap();
    field.cancel(true).await;
    let due = field.due().await[0];
    for _ in 1..10 {
        assert_eq!(field.sent(due, 500).await, DeliveryState::Waiting);
    }
    assert_eq!(field.sent(due, 500).await, DeliveryState::Failed);
    let mut tx = field.store.begin(&field.scope).await.unwrap();
    let long_ago = Utc::now() - chrono::TimeDelta::hours(1);
    assert_eq!(
        replay::failed_since(&mut tx, endpoint.id, Utc::now() + chrono::TimeDelta::hours(1))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        replay::failed_since(&mut tx, endpoint.id, long_ago)
            .await
            .unwrap(),
        1
    );
    tx.commit().await.unwrap();
    let again = field.due().await;
    assert_eq!(again.len(), 1);
    assert_eq!(field.sent(again[0], 200).await, DeliveryState::Delivered);
    // whoever sends it at the same time and fails takes nothing back
    assert_eq!(field.sent(again[0], 500).await, DeliveryState::Delivered);
    let mut tx = field.store.begin(&field.scope).await.unwrap();
    let page = deliveries(
        &mut tx,
        endpoint.id,
        None,
        Window::first(PageLimit::new(5).unwrap()),
    );
    let row = page.await.unwrap().rows.remove(0);
    assert_eq!(
        (row.state, row.attempts, row.next_at),
        (DeliveryState::Delivered, 12, None)
    );
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn an_endpoint_is_disabled_when_it_is_gone_or_fails_for_days() {
    let field = Field::new().await;
    let gone = field.endpoint(&[EventType::TaskFinished], None).await.unwrap();
    let failing = field.endpoint(&[EventType::TaskFinished], None).await.unwrap();
    field.cancel(true).await;
    let due = field.due().await;
    let of = |id| *due.iter().find(|one| one.endpoint == id).unwrap();
    assert_eq!(field.sent(of(gone.id), 410).await, DeliveryState::Failed);
    field.sent(of(failing.id), 500).await;
    let state = async |id| {
        let mut tx = field.store.begin(&field.scope).await.unwrap();
        let found = endpoint::get(&mut tx, id).await.unwrap().unwrap();
        found.disabled.map(|(_, reason)| reason)
    };
    assert_eq!(state(gone.id).await, Some(DisabledReason::Gone));
    assert_eq!(state(failing.id).await, None);
    field
        .sql("with e as (update tenant.webhook_endpoint set failing_since = now() - interval '6 days' returning 1)
              select count(*) from e")
        .await;
    field.sent(of(failing.id), 500).await;
    assert_eq!(state(failing.id).await, Some(DisabledReason::Failing));
    // what waits for it is given up when it is due
    let mut tx = field.store.begin(&field.scope).await.unwrap();
    let one = of(failing.id);
    assert!(
        delivery::open(&mut tx, one.endpoint, one.message)
            .await
            .unwrap()
            .is_none()
    );
    tx.commit().await.unwrap();
    assert_eq!(field.sql("select count(*) from control.webhook_due").await, 0);
    field.end().await;
}

#[tokio::test]
async fn old_messages_go_with_all_that_became_of_them() {
    let field = Field::new().await;
    field.endpoint(&[EventType::TaskFinished], None).await.unwrap();
    field.cancel(true).await;
    let due = field.due().await[0];
    field.sent(due, 500).await;
    assert_eq!(field.store.delete_old_webhooks().await.unwrap(), 0);
    for table in [
        "tenant.webhook_message set id",
        "tenant.webhook_delivery set message_id",
        "tenant.webhook_attempt set message_id",
        "control.webhook_due set message_id",
    ] {
        // of the year 2020
        let old = format!(
            "with e as (update {table} = '016f5e66-e800-7000-8000-000000000000' returning 1)
                           select count(*) from e"
        );
        assert_eq!(field.sql(&old).await, 1, "{table}");
    }
    assert_eq!(field.store.delete_old_webhooks().await.unwrap(), 1);
    let left = "select (select count(*) from tenant.webhook_message) + (select count(*) from tenant.webhook_delivery)
        + (select count(*) from tenant.webhook_attempt) + (select count(*) from control.webhook_due)";
    assert_eq!(field.sql(left).await, 0);
    field.end().await;
}
