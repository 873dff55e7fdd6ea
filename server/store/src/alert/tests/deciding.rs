//! Decisions, expiry and what the counters say afterwards.

use tamiz_core::{AlertId, AlertState, DismissalReason, Severity, SlaDays, TaskId};

use super::field::Field;
use crate::alert::triage::{Decision, projects_of, read, write};
use crate::alert::{count, counts, due, event_pages_of, hold_project, recount, trend};
use crate::page::{PageLimit, Window};
use crate::project;

impl Field {
    /// Decides on the alerts; answers how many changed.
    pub(super) async fn decide(&self, decision: &Decision, alerts: &[AlertId]) -> usize {
        let mut tx = self.begin().await;
        hold_project(&mut tx, self.project).await.unwrap();
        let ids = alerts.iter().copied().collect();
        let (standings, moment) = read(&mut tx, self.project, &ids, "alice").await.unwrap();
        assert_eq!(standings.len(), alerts.len());
        let changes = standings.iter().filter_map(|alert| decision.on(alert, moment));
        let changes: Vec<_> = changes.collect();
        write(&mut tx, self.project, moment, &changes).await.unwrap();
        tx.commit().await.unwrap();
        changes.len()
    }

    async fn drift(&self) -> Vec<recount::Drift> {
        let tenant = self.scope.tenant_id();
        recount::recount(&self.store, tenant, false).await.unwrap()
    }

    async fn promise(&self, sla: SlaDays) {
        let mut tx = self.begin().await;
        project::set_sla(&mut tx, self.project, sla)
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
    }
}

const WEEK: SlaDays = SlaDays {
    critical: Some(7),
    high: Some(30),
    medium: None,
    low: None,
    info: None,
};

fn dismiss() -> Decision {
    Decision::Dismiss {
        reason: DismissalReason::AcceptedRisk,
        comment: Some("until the rewrite".to_owned()),
        until: None,
    }
}

#[tokio::test]
async fn each_decision_moves_the_counters_and_leaves_one_event_per_alert() {
    let mut field = Field::with(200).await;
    let open = field
        .ids("select id from tenant.alert where state = 0 limit 30")
        .await;
    field.promise(WEEK).await;
    for (decision, kind) in [
        (dismiss(), "dismissed"),
        (Decision::Reopen { comment: None }, "reopened"),
        (Decision::SetSeverity(Some(Severity::Critical)), "severity"),
        (Decision::Assign(Some("bob".to_owned())), "assigned"),
        (Decision::SetDue(None), "due"),
        (Decision::Comment("why?".to_owned()), "commented"),
    ] {
        let changed = field.decide(&decision, &open).await;
        let told = format!(
            "select count(*)::text from tenant.alert_event where kind = '{kind}' and actor = 'alice'"
        );
        assert_eq!(field.texts(&told).await, [changed.to_string()], "{decision:?}");
        assert!(changed > 0, "{decision:?}");
        assert_eq!(field.drift().await, [], "{decision:?}");
    }
    // of the thirty every fifth was critical already
    assert_eq!(field.decide(&Decision::SetSeverity(None), &open).await, 24 + 6);
    assert_eq!(field.decide(&Decision::Reopen { comment: None }, &open).await, 0);
    let mut tx = field.begin().await;
    let day = trend(&mut tx, &[field.project], 1).await.unwrap();
    let sum = |of: fn(&crate::alert::AlertDay) -> i32| day.iter().map(|(_, day)| of(day)).sum::<i32>();
    assert_eq!((sum(|day| day.dismissed), sum(|day| day.reopened)), (30, 30));
    let pages = event_pages_of(&mut tx, &open[..2], Window::first(PageLimit::new(3).unwrap()))
        .await
        .unwrap();
    let page = &pages[&open[0]];
    assert_eq!((page.rows.len(), page.has_next), (3, true));
    assert_eq!(page.rows[0].kind, "severity");
    let last = page.rows.last().map(|row| (row.created_at, row.id));
    let rest = event_pages_of(
        &mut tx,
        &open[..1],
        Window::after(last, PageLimit::new(9).unwrap()),
    )
    .await
    .unwrap();
    assert!(!rest[&open[0]].has_next && rest[&open[0]].rows.last().unwrap().kind == "dismissed");
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn an_alert_of_another_tenant_has_no_project_here() {
    let mut field = Field::with(8).await;
    let known = field.ids("select id from tenant.alert limit 1").await[0];
    let (other, _) = crate::database_for_tests::tenant_with_task(&field.store, "globex").await;
    let unknown = AlertId::fresh();
    let mut tx = field.begin().await;
    let found = projects_of(&mut tx, &[known, unknown]).await.unwrap();
    assert_eq!(found, [(known, field.project)]);
    drop(tx);
    let mut tx = field.store.begin(&other).await.unwrap();
    assert_eq!(projects_of(&mut tx, &[known]).await.unwrap(), []);
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn an_accepted_risk_opens_again_when_its_time_is_over_and_is_fixed_if_it_is_gone() {
    let mut field = Field::with(200).await;
    let there = field
        .ids("select id from tenant.alert where state = 0 limit 20")
        .await;
    let gone = field
        .ids("select id from tenant.alert where state = 3 limit 20")
        .await;
    field.promise(WEEK).await;
    let both = [there.clone(), gone.clone()].concat();
    assert_eq!(field.decide(&dismiss(), &both).await, 40);
    assert_eq!(field.store.expire_acceptances().await.unwrap(), 0, "for ever");
    field
        .sql("update tenant.alert set dismissed_until = now() - interval '1 second' where dismissed_reason = 'accepted-risk'")
        .await;
    assert_eq!(field.store.expire_acceptances().await.unwrap(), 40);
    assert_eq!(field.store.expire_acceptances().await.unwrap(), 0);
    assert_eq!(field.drift().await, []);
    let state = "select state::text || ' ' || count(*) from tenant.alert
        where id in (select alert_id from tenant.alert_event where actor = 'expiry') group by state order by state";
    assert_eq!(field.texts(state).await, ["1 20", "3 20"]);
    let due =
        "select count(*)::text from tenant.alert where due_on is not null and (state <> 1 or severity < 3)";
    assert_eq!(field.texts(due).await, ["0"]);
    field.end().await;
}

#[tokio::test]
async fn a_recount_finds_what_differs_and_sets_it_right() {
    let mut field = Field::with(200).await;
    assert_eq!(field.drift().await, []);
    field
        .sql("update tenant.alert_count set alerts = alerts + 2 where state = 0 and severity = 4")
        .await;
    field
        .sql("delete from tenant.alert_count where state = 3 and severity = 0")
        .await;
    field
        .sql("delete from tenant.alert_rule_count where rule_id = 'rule-1'")
        .await;
    field
        .sql("update tenant.alert_rule_count set alerts = alerts - 1 where rule_id = 'rule-7'")
        .await;
    let drift = field.drift().await;
    let told: Vec<_> = drift
        .iter()
        .map(|drift| (drift.of.clone(), drift.counted - drift.actual))
        .collect();
    let of = |state, severity| recount::Counted::Standing { state, severity };
    let rule = |rule: &str| recount::Counted::Rule {
        tool: "semgrep".to_owned(),
        rule: rule.to_owned(),
    };
    let wanted = [
        (of(0, 4), 2),
        (of(3, 0), -drift[1].actual),
        (rule("rule-1"), -drift[2].actual),
        (rule("rule-7"), -1),
    ];
    assert_eq!(told, wanted);
    let tenant = field.scope.tenant_id();
    assert_eq!(recount::recount(&field.store, tenant, true).await.unwrap(), drift);
    assert_eq!(field.drift().await, []);
    let mut tx = field.begin().await;
    let counted = counts(&mut tx, &[field.project]).await.unwrap();
    assert_eq!(counted.iter().map(|(.., alerts)| alerts).sum::<i32>(), 200);
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn a_merge_sets_when_the_alerts_are_due_that_it_changed_and_no_others() {
    let mut field = Field::with(400).await;
    let task = TaskId::fresh();
    field
        .sql(&format!(
            "update tenant.scan_scope set task_id = '{task}' where branch in ('branch-1', 'branch-2')"
        ))
        .await;
    // what a merge does: three alerts change, two with an event of this task, one of a scope that it told nothing of
    let changed = field
        .ids(
            "select a.id from tenant.alert a join tenant.scan_scope s on s.id = a.scope_id
              where a.state = 1 and a.severity = 4 and s.branch = 'branch-1' limit 3",
        )
        .await;
    let elsewhere = field
        .ids(
            "select a.id from tenant.alert a join tenant.scan_scope s on s.id = a.scope_id
              where a.state = 1 and a.severity = 4 and s.branch = 'branch-3' limit 1",
        )
        .await;
    let merge = async |field: &Field| {
        let mut tx = field.begin().await;
        hold_project(&mut tx, field.project).await.unwrap();
        for id in changed.iter().chain(&elsewhere) {
            let touch = "update tenant.alert set content_id = content_id where id = $1";
            sqlx::query(touch)
                .bind(id.uuid())
                .execute(tx.connection())
                .await
                .unwrap();
        }
        for id in changed[..2].iter().chain(&elsewhere) {
            let told = "insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id)
                        values ($1, $2, gen_random_uuid(), 'reopened', $3)";
            let tenant = field.scope.tenant_id().uuid();
            let told = sqlx::query(told).bind(tenant).bind(id.uuid()).bind(task.uuid());
            told.execute(tx.connection()).await.unwrap();
        }
        due::set(&mut tx, field.project, task).await.unwrap();
        tx.commit().await.unwrap();
    };
    let due =
        "select id::text from tenant.alert where due_on = (now() at time zone 'UTC')::date + 7 order by 1";
    merge(&field).await;
    assert_eq!(
        field.texts(due).await,
        <[String; 0]>::default(),
        "nothing is promised"
    );
    field.promise(WEEK).await;
    merge(&field).await;
    let mut wanted: Vec<String> = changed[..2].iter().map(ToString::to_string).collect();
    wanted.sort();
    assert_eq!(field.texts(due).await, wanted);
    field.end().await;
}

#[tokio::test]
async fn counters_never_go_below_nothing() {
    let field = Field::with(8).await;
    let mut tx = field.begin().await;
    let mut changes = count::Changes::default();
    let (open, fixed) = (
        (AlertState::Open, Severity::High),
        (AlertState::Fixed, Severity::High),
    );
    changes.add(Some(open), fixed, 1_000);
    assert!(changes.write(&mut tx, field.project, None).await.is_err());
    drop(tx);
    field.end().await;
}
