//! Counters of open alerts by rule equal a full count, whatever happened to the alerts.

use tamiz_core::{AlertId, DismissalReason};
use uuid::Uuid;

use super::field::Field;
use crate::alert::merge::tests::World;
use crate::alert::recount::recount;
use crate::alert::triage::Decision;
use crate::alert::{RuleCount, top_rules, top_rules_of_tenant};
use crate::database_for_tests::tenant_with_task;

impl Field {
    /// All rules of the project with open alerts, as the counters have them.
    async fn rules(&self) -> Vec<RuleCount> {
        let mut tx = self.begin().await;
        let top = top_rules(&mut tx, &[self.project], 100).await.unwrap();
        top.into_iter().map(|(_, count)| count).collect()
    }

    /// The same, counted.
    async fn rules_counted(&mut self) -> Vec<String> {
        self.texts(
            "select c.rule_id || ' ' || count(*) from tenant.alert a join tenant.finding_content c on c.id = a.content_id
             where a.state in (0, 1) group by c.rule_id order by count(*) desc, c.rule_id",
        )
        .await
    }

    async fn counts_right(&mut self) {
        let rules = self.rules().await;
        let told: Vec<String> = rules
            .iter()
            .map(|count| format!("{} {}", count.rule, count.alerts))
            .collect();
        assert_eq!(told, self.rules_counted().await);
    }
}

fn dismiss() -> Decision {
    Decision::Dismiss {
        reason: DismissalReason::WontFix,
        comment: None,
        until: None,
    }
}

#[tokio::test]
async fn decisions_move_the_counters_of_rules() {
    let mut field = Field::with(400).await;
    field.counts_right().await;
    let before = field.rules().await;
    let of_rule = "select a.id from tenant.alert a join tenant.finding_content c on c.id = a.content_id
                   where c.rule_id = 'rule-3' and a.state in (0, 1)";
    let some: Vec<AlertId> = field.ids(of_rule).await;
    assert!(!some.is_empty());
    assert_eq!(field.decide(&dismiss(), &some).await, some.len());
    assert!(field.rules().await.iter().all(|count| count.rule != "rule-3"));
    field.counts_right().await;
    let reopen = Decision::Reopen { comment: None };
    assert_eq!(field.decide(&reopen, &some).await, some.len());
    assert_eq!(field.rules().await, before);
    // what is gone is fixed when it is reopened, and not open
    let gone = field
        .ids("select id from tenant.alert where state = 3 limit 9")
        .await;
    field.decide(&dismiss(), &gone).await;
    field.decide(&reopen, &gone).await;
    assert_eq!(field.rules().await, before);
    field.end().await;
}

#[tokio::test]
async fn alerts_that_show_another_rule_count_for_that() {
    let mut field = Field::with(200).await;
    let content = |number: u32| -> Uuid {
        format!("00000000-0000-7000-9000-0000000000{number:02}")
            .parse()
            .unwrap()
    };
    let alerts = |rules: &[RuleCount], name: &str| {
        rules
            .iter()
            .find(|count| count.rule == name)
            .map_or(0, |count| count.alerts)
    };
    let before = field.rules().await;
    let mut tx = field.begin().await;
    tx.rule_counts
        .moved(field.project, (content(1), true), (content(2), true), 1);
    tx.rule_counts
        .moved(field.project, (content(7), false), (content(7), true), 3);
    tx.commit().await.unwrap();
    let after = field.rules().await;
    for (name, more) in [("rule-1", -1), ("rule-2", 1), ("rule-7", 3), ("rule-9", 0)] {
        assert_eq!(alerts(&after, name), alerts(&before, name) + more, "{name}");
    }
    // never below nothing, and what cannot be counted is not committed
    let mut tx = field.begin().await;
    tx.rule_counts.add(field.project, content(1), -1_000);
    assert!(tx.commit().await.is_err());
    assert_eq!(field.rules().await, after);
    let drift = recount(&field.store, field.scope.tenant_id(), true)
        .await
        .unwrap();
    assert_eq!(drift.len(), 3);
    field.counts_right().await;
    field.end().await;
}

#[tokio::test]
async fn another_tenant_sees_no_rule() {
    let field = Field::with(200).await;
    let mut tx = field.begin().await;
    let own = top_rules_of_tenant(&mut tx, 3).await.unwrap();
    assert_eq!(own, field.rules().await[..3]);
    drop(tx);
    let (other, _) = tenant_with_task(&field.store, "globex").await;
    let mut tx = field.store.begin(&other).await.unwrap();
    assert_eq!(top_rules_of_tenant(&mut tx, 100).await.unwrap(), []);
    assert_eq!(top_rules(&mut tx, &[field.project], 100).await.unwrap(), []);
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn scans_open_close_and_open_again_what_the_counters_of_rules_say() {
    let world = World::made().await;
    let open = async || {
        let mut tx = world.store.begin(&world.scope).await.unwrap();
        let top = top_rules_of_tenant(&mut tx, 10).await.unwrap();
        world.is_sound().await;
        top.first().map_or(0, |count| count.alerts)
    };
    let said = [
        ("a.py", 1, "eval(x)"),
        ("b.py", 2, "eval(y)"),
        ("c.py", 3, "eval(z)"),
    ];
    world.scan("main", true, &said).await;
    assert_eq!(open().await, 3);
    world.scan("main", true, &said[..1]).await;
    assert_eq!(open().await, 1);
    world.scan("next", false, &said[1..]).await;
    assert_eq!(open().await, 3);
    world.scan("main", true, &said).await;
    assert_eq!(open().await, 3);
    // findings go with their task, alerts and what counts them stay
    let mut admin = world.database.as_admin().await;
    sqlx::query("delete from tenant.finding")
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(open().await, 3);
    drop(admin);
    world.end().await;
}
