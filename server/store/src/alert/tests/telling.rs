//! What webhooks are told of alerts: once, with the worst first, and nothing that nobody wants.

use serde_json::Value;
use tamiz_core::{DismissalReason, Severity, TenantId};

use super::field::Field;
use crate::alert::triage::Decision;

impl Field {
    async fn endpoint(&mut self, events: &str) {
        let tenant = TenantId::uuid(self.scope.tenant_id());
        self.sql(&format!(
            "insert into tenant.webhook_endpoint (tenant_id, id, url, events, secret)
             values ('{tenant}', gen_random_uuid(), 'https://hooks.example/', '{{{events}}}', sha256('x'))"
        ))
        .await;
    }

    async fn told(&mut self) -> Vec<Value> {
        let bodies = self
            .texts("select body from tenant.webhook_message order by id")
            .await;
        bodies
            .iter()
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn the_end_of_an_acceptance_is_told_once_until_it_is_another() {
    let mut field = Field::with(400).await;
    field
        .sql("update tenant.alert set dismissed_reason = 'accepted-risk', dismissed_until = now() + interval '3 days' where state = 2")
        .await;
    assert_eq!(
        field.store.tell_expiring_acceptances().await.unwrap(),
        0,
        "nobody wants it"
    );
    field.endpoint("acceptance.expiring").await;
    field
        .sql("update tenant.alert set dismissed_until = now() + interval '8 days' where state = 2 and severity = 4")
        .await;
    assert_eq!(field.store.tell_expiring_acceptances().await.unwrap(), 80);
    assert_eq!(field.store.tell_expiring_acceptances().await.unwrap(), 0);
    let told = field.told().await;
    let data = &told[0]["data"];
    assert_eq!((told.len(), &data["count"]), (1, &Value::from(80)));
    assert_eq!(data["alerts"][0]["severity"], "high");
    assert_eq!(data["alerts"][0]["dismissal"]["reason"], "accepted-risk");
    assert!(data["alerts"][0]["dismissal"]["until"].is_string());
    field
        .sql("update tenant.alert set dismissed_until = now() + interval '2 days' where state = 2 and severity = 0")
        .await;
    assert_eq!(field.store.tell_expiring_acceptances().await.unwrap(), 20);
    field.end().await;
}

#[tokio::test]
async fn a_decision_tells_of_the_worst_and_of_what_is_wanted_alone() {
    let mut field = Field::with(800).await;
    let open = field
        .ids("select id from tenant.alert where state < 2 order by id")
        .await;
    let dismiss = Decision::Dismiss {
        reason: DismissalReason::WontFix,
        comment: None,
        until: None,
    };
    field.decide(&dismiss, &open[..10]).await;
    assert_eq!(field.told().await.len(), 0);
    field.endpoint("alert.dismissed").await;
    field.decide(&dismiss, &open).await;
    field.decide(&dismiss, &open).await;
    field.decide(&Decision::Reopen { comment: None }, &open).await;
    let told = field.told().await;
    assert_eq!(
        told.len(),
        1,
        "one message for all, and none for what is not wanted"
    );
    let data = &told[0]["data"];
    assert_eq!(
        (&data["count"], &data["actor"]),
        (&Value::from(390), &Value::from("alice"))
    );
    let alerts = data["alerts"].as_array().unwrap();
    let ranks = alerts
        .iter()
        .map(|alert| alert["severity"].as_str().unwrap().parse::<Severity>().unwrap());
    let ranks: Vec<Severity> = ranks.collect();
    assert!(
        ranks.len() == 100 && ranks.windows(2).all(|two| two[0] >= two[1]),
        "{ranks:?}"
    );
    assert!(
        data["rest"]
            .as_str()
            .unwrap()
            .ends_with("alerts.csv?state=dismissed")
    );
    assert_eq!(
        field
            .texts("select count(*)::text from control.webhook_due")
            .await,
        ["1"]
    );
    field.end().await;
}
