//! Turns of schedules: made once, noted, paused.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tamiz_core::cron::{CatchUp, Overlap, task_of_turn};
use tamiz_core::{ProjectId, Refusal, RefusalCode, ScanType, ScheduleId, TokenId};

use super::Stage;
use crate::database_for_tests::tenant_with_task;
use crate::schedule::{self, DueSchedule, Plan, Saved, Turned};
use crate::task::{self, Made, NewTask, Terms};
use crate::token::Role;

fn plan(project: ProjectId, name: &str) -> Plan {
    Plan {
        name: name.to_owned(),
        cron: "0 3 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        overlap: Overlap::Forbid,
        catch_up: CatchUp::One,
        project_id: project,
        scan_type: ScanType::parse("codeaudit").unwrap(),
        order: serde_json::json!({}),
        token: TokenId::fresh(),
        role: Role::Analyst,
    }
}

impl Stage {
    async fn schedule(&self, name: &str, due_at: DateTime<Utc>) -> ScheduleId {
        let id = ScheduleId::fresh();
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let plan = plan(self.project, name);
        let saved = schedule::create(&mut tx, id, &plan, Some(due_at)).await.unwrap();
        assert!(matches!(saved, Saved::Saved(_)), "{saved:?}");
        let again = schedule::create(&mut tx, ScheduleId::fresh(), &plan, None).await;
        assert_eq!(again.unwrap(), Saved::NameTaken);
        tx.commit().await.unwrap();
        id
    }

    async fn due(&self) -> Vec<DueSchedule> {
        self.store
            .due_schedules(10, 2, Duration::from_mins(2))
            .await
            .unwrap()
    }

    /// As a sweep does it: only whoever finds the turn still to be made makes it.
    async fn fire(&self, due: &DueSchedule) -> bool {
        let mut tx = self.store.begin(&due.scope).await.unwrap();
        if !schedule::lock_due(&mut tx, due.id, due.due_at).await.unwrap() {
            return false;
        }
        let terms = Terms {
            schedule: Some(due.id),
            ..Terms::default()
        };
        let new = NewTask {
            id: task_of_turn(due.id, due.due_at),
            ..self.new_task(terms)
        };
        let fired = Turned::Fired(new.id, due.due_at);
        let next = Some(due.due_at + TimeDelta::days(1));
        schedule::turn(&mut tx, due.id, fired, next).await.unwrap();
        assert!(matches!(task::create(&mut tx, &new).await.unwrap(), Made::New(_)));
        tx.commit().await.unwrap();
        true
    }
}

#[tokio::test]
async fn a_turn_is_made_once_however_many_sweeps_take_it() {
    let mut stage = Stage::set().await;
    let id = stage
        .schedule("nightly", Utc::now() - TimeDelta::minutes(1))
        .await;
    stage.schedule("later", Utc::now() + TimeDelta::hours(1)).await;
    let taken = futures_util::future::join_all((0..8).map(|_| stage.due())).await;
    let taken: Vec<DueSchedule> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1, "it is one sweep's for a while");
    // that sweep is slow: another one takes over, and both go on
    stage
        .sql("update control.schedule set firing_until = now() - interval '1 second' where firing_until is not null")
        .await;
    let second = stage.due().await.pop().unwrap();
    let made = futures_util::future::join(stage.fire(&taken[0]), stage.fire(&second)).await;
    assert!(made.0 != made.1, "{made:?}");
    assert!(stage.due().await.is_empty());

    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let task = task_of_turn(id, second.due_at);
    assert_eq!(schedule::unfinished_tasks(&mut tx, id).await.unwrap(), [task]);
    let read = schedule::by_ids(&mut tx, &[id]).await.unwrap().pop().unwrap();
    assert_eq!(
        (read.last_task, read.last_due_at),
        (Some(task), Some(second.due_at))
    );
    drop(tx);
    stage.cancel(task).await;
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    assert!(schedule::unfinished_tasks(&mut tx, id).await.unwrap().is_empty());
    drop(tx);
    stage.strike().await;
}

#[tokio::test]
async fn a_tenant_with_many_due_schedules_does_not_keep_another_waiting() {
    let stage = Stage::set().await;
    let minutes = |ago| Utc::now() - TimeDelta::minutes(ago);
    for number in 0..5 {
        stage
            .schedule(&format!("each minute {number}"), minutes(60))
            .await;
    }
    let (scope, first) = tenant_with_task(&stage.store, "globex").await;
    let mut tx = stage.store.begin(&scope).await.unwrap();
    let project = task::get(&mut tx, first).await.unwrap().unwrap().project_id;
    let nightly = ScheduleId::fresh();
    let saved = schedule::create(&mut tx, nightly, &plan(project, "nightly"), Some(minutes(1))).await;
    assert!(matches!(saved.unwrap(), Saved::Saved(_)));
    tx.commit().await.unwrap();
    let taken = stage.due().await;
    assert_eq!(taken.len(), 3, "two of one, the only one of the other");
    assert!(taken.iter().any(|due| due.id == nightly));
    assert_eq!(stage.due().await.len(), 2);
    assert_eq!(stage.due().await.len(), 1);
    stage.strike().await;
}

#[tokio::test]
async fn a_downtime_is_told_from_a_look_that_took_long() {
    let mut stage = Stage::set().await;
    let id = stage.schedule("nightly", Utc::now() - TimeDelta::hours(1)).await;
    let again = "update control.schedule set firing_until = null";
    let swept = |ago: &str| format!("update control.schedule_sweep set swept_at = now() - interval '{ago}'");
    stage
        .sql("update control.schedule_sweep set since = now() - interval '1 day'")
        .await;
    let mut watched = Vec::new();
    for ago in ["80 seconds", "100 seconds", "0 seconds"] {
        stage.sql(&swept(ago)).await;
        stage.sql(again).await;
        let due = stage.due().await.pop().unwrap();
        assert_eq!(due.id, id);
        watched.push(due.now - due.watched_since < TimeDelta::minutes(10));
    }
    assert_eq!(
        watched,
        [false, true, true],
        "a new watch begins after the second"
    );
    stage.strike().await;
}

#[tokio::test]
async fn makers_of_schedules_do_not_pass_the_limit_together() {
    let mut stage = Stage::set().await;
    stage.schedule("first", Utc::now() + TimeDelta::days(1)).await;
    stage
        .sql(
            "insert into control.schedule (tenant_id, id, project_id, name, cron, time_zone, overlap, catch_up,
                                           scan_type, task_order, token_id, role, due_at)
             select tenant_id, gen_random_uuid(), project_id, 'copy ' || number, cron, time_zone, overlap, catch_up,
                    scan_type, task_order, token_id, role, due_at
             from control.schedule, generate_series(2, 999) number",
        )
        .await;
    let makers = (0..4).map(|number| {
        let stage = &stage;
        async move {
            let mut tx = stage.store.begin(&stage.scope).await.unwrap();
            let plan = plan(stage.project, &format!("last {number}"));
            let saved = schedule::create(&mut tx, ScheduleId::fresh(), &plan, None).await;
            tx.commit().await.unwrap();
            matches!(saved.unwrap(), Saved::Saved(_))
        }
    });
    let made = futures_util::future::join_all(makers).await;
    assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
    stage.strike().await;
}

#[tokio::test]
async fn a_paused_or_changed_schedule_does_not_make_the_turn_that_was_taken() {
    let stage = Stage::set().await;
    let id = stage
        .schedule("nightly", Utc::now() - TimeDelta::minutes(1))
        .await;
    let taken = stage.due().await.pop().unwrap();
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let saved = schedule::set_paused(&mut tx, id, true, Some(taken.due_at))
        .await
        .unwrap();
    assert!(matches!(saved, Saved::Saved(schedule) if schedule.paused_at.is_some()));
    tx.commit().await.unwrap();
    assert!(!stage.fire(&taken).await);
    assert!(stage.due().await.is_empty());
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let changed = Plan {
        name: "weekly".to_owned(),
        ..plan(stage.project, "")
    };
    let next = Some(Utc::now() + TimeDelta::days(1));
    let saved = schedule::update(&mut tx, id, &changed, next).await.unwrap();
    assert!(matches!(saved, Saved::Saved(schedule) if schedule.plan.name == "weekly"));
    tx.commit().await.unwrap();
    assert!(!stage.fire(&taken).await);
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    assert!(schedule::delete(&mut tx, id).await.unwrap());
    assert!(!schedule::delete(&mut tx, id).await.unwrap());
    tx.commit().await.unwrap();
    stage.strike().await;
}

#[tokio::test]
async fn a_refused_turn_is_noted_and_forgotten_when_one_is_made() {
    let mut stage = Stage::set().await;
    let id = stage
        .schedule("nightly", Utc::now() - TimeDelta::minutes(1))
        .await;
    let refusal = Refusal::new(RefusalCode::TargetForbidden, "not there");
    for _ in 0..2 {
        let due = stage.due().await.pop().unwrap();
        let mut tx = stage.store.begin(&stage.scope).await.unwrap();
        assert!(schedule::lock_due(&mut tx, id, due.due_at).await.unwrap());
        let next = Some(Utc::now() - TimeDelta::seconds(1));
        schedule::turn(&mut tx, id, Turned::Refused(&refusal), next)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let read = |tx| async move {
        let mut tx: crate::TenantTx = tx;
        schedule::by_ids(&mut tx, &[id]).await.unwrap().pop().unwrap()
    };
    let noted = read(stage.store.begin(&stage.scope).await.unwrap()).await;
    assert_eq!(
        (noted.failures, noted.last_error_code.as_deref()),
        (2, Some("TARGET_FORBIDDEN"))
    );
    assert!(noted.last_error_at.is_some() && noted.last_task.is_none());
    let due = stage.due().await.pop().unwrap();
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    schedule::turn(&mut tx, id, Turned::Skipped, Some(due.due_at))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    stage.sql("update control.schedule set firing_until = null").await;
    let due = stage.due().await.pop().unwrap();
    assert!(stage.fire(&due).await);
    let made = read(stage.store.begin(&stage.scope).await.unwrap()).await;
    assert_eq!((made.failures, made.skipped, made.last_error_code), (0, 1, None));
    stage.strike().await;
}
