//! Twins, groups and pauses, under concurrency and against the clock; `schedules` has the schedules.

mod schedules;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tamiz_core::{
    GroupId, ProjectId, Refusal, RefusalCode, ScanType, TaskId, TaskStatus, UploadId, WorkerId,
};

use crate::attempt::{self, Begin, Ending};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::group::{self, Entry, Group};
use crate::pause;
use crate::queue::{ClaimRequest, Lease};
use crate::scope::TenantScope;
use crate::task::{self, Cancellation, Made, NewTask, Payload, Terms};

struct Stage {
    database: Database,
    store: Store,
    admin: PgConnection,
    scope: TenantScope,
    project: ProjectId,
    scan_type: ScanType,
    payload: Payload,
}

impl Stage {
    async fn set() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, first) = tenant_with_task(&store, "acme").await;
        let mut tx = store.begin(&scope).await.unwrap();
        let project = task::get(&mut tx, first).await.unwrap().unwrap().project_id;
        task::cancel(&mut tx, first).await.unwrap();
        tx.commit().await.unwrap();
        let admin = database.as_admin().await;
        Self {
            database,
            store,
            admin,
            scope,
            project,
            scan_type: ScanType::parse("codeaudit").unwrap(),
            payload: Payload::of_report(UploadId::fresh()),
        }
    }

    async fn strike(self) {
        assert!(self.store.queue_check(false).await.unwrap().is_empty());
        drop(self.admin);
        self.store.close().await;
        self.database.drop().await;
    }

    fn new_task(&self, terms: Terms) -> NewTask<'_> {
        NewTask {
            id: TaskId::fresh(),
            project: self.project,
            scan_type: &self.scan_type,
            payload: &self.payload,
            priority: 0,
            terms,
        }
    }

    /// One task, asked for and committed, unless it was not new.
    async fn ask(&self, terms: Terms) -> Made {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let made = task::create(&mut tx, &self.new_task(terms)).await.unwrap();
        if matches!(made, Made::New(_)) {
            tx.commit().await.unwrap();
        }
        made
    }

    async fn claim(&self, slots: u32) -> Vec<Lease> {
        let request = ClaimRequest {
            worker: WorkerId::fresh(),
            scan_types: &[],
            worlds: &[],
            tools: &[],
            slots,
            lease: Duration::from_mins(10),
        };
        self.store.claim(&request).await.unwrap()
    }

    async fn begin(&self, lease: &Lease) {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let worker = WorkerId::fresh();
        let begun = attempt::begin(&mut tx, lease.task, lease.attempt, worker, 3).await;
        assert!(matches!(begun.unwrap(), Begin::Run(_)));
        tx.commit().await.unwrap();
    }

    async fn end(&self, lease: &Lease, ending: &Ending) {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let ended = attempt::end(&mut tx, lease.task, lease.attempt, ending).await;
        assert_eq!(ended.unwrap(), Some(ending.status));
        tx.commit().await.unwrap();
    }

    async fn cancel(&self, id: TaskId) -> Cancellation {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let cancelled = task::cancel(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        cancelled
    }

    async fn group(&self) -> GroupId {
        let id = GroupId::fresh();
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let made = group::create(&mut tx, id, self.project, "nightly").await;
        assert_eq!(made.unwrap().unwrap().id, id);
        tx.commit().await.unwrap();
        id
    }

    async fn close(&self, id: GroupId) -> Group {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let closed = group::close(&mut tx, id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        closed
    }

    async fn read_group(&self, id: GroupId) -> Group {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        group::by_ids(&mut tx, &[id]).await.unwrap().pop().unwrap()
    }

    async fn sql(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut self.admin)
            .await
            .unwrap();
    }
}

fn done() -> Ending {
    Ending {
        status: TaskStatus::Completed,
        ..Ending::cancelled("done")
    }
}

fn in_group(id: GroupId) -> Terms {
    Terms {
        group: Some(id),
        ..Terms::default()
    }
}

fn only(key: u8) -> Terms {
    Terms {
        unique_key: Some([key; 32]),
        ..Terms::default()
    }
}

#[tokio::test]
async fn of_many_equal_orders_at_once_one_waits_and_its_place_is_free_when_it_begins() {
    let stage = Stage::set().await;
    let made = futures_util::future::join_all((0..16).map(|_| stage.ask(only(1)))).await;
    let new = made.iter().filter(|made| matches!(made, Made::New(_))).count();
    let ids: std::collections::HashSet<TaskId> =
        made.into_iter().map(|made| made.task().unwrap().id).collect();
    assert_eq!((new, ids.len()), (1, 1));
    assert!(matches!(stage.ask(only(2)).await, Made::New(_)), "another order");

    let leases = stage.claim(8).await;
    assert!(
        matches!(stage.ask(only(1)).await, Made::Twin(_)),
        "claimed is not begun"
    );
    for lease in &leases {
        stage.begin(lease).await;
    }
    assert!(matches!(stage.ask(only(1)).await, Made::New(_)));
    // one that is tried again stands in nobody's way
    for lease in &leases {
        stage.end(lease, &Ending::cancelled("no")).await;
    }
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let back = task::retry_all(
        &mut tx,
        &leases.iter().map(|lease| lease.task).collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(back.unwrap().len(), 2);
    tx.commit().await.unwrap();
    stage.strike().await;
}

#[tokio::test]
async fn a_twin_that_is_cancelled_gives_its_place_back() {
    let stage = Stage::set().await;
    let first = stage.ask(only(1)).await.task().unwrap();
    assert_eq!(stage.cancel(first.id).await, Cancellation::Cancelled);
    assert!(matches!(stage.ask(only(1)).await, Made::New(_)));
    stage.strike().await;
}

#[tokio::test]
async fn a_task_of_later_is_not_claimed_before_its_time() {
    let mut stage = Stage::set().await;
    let terms = Terms {
        run_at: Some(Utc::now() + TimeDelta::hours(1)),
        ..Terms::default()
    };
    let made = stage.ask(terms).await.task().unwrap();
    assert!(made.run_at.is_some());
    stage.store.promote_due().await.unwrap();
    assert!(stage.claim(8).await.is_empty());
    stage
        .sql("update control.ticket set run_at = now() - interval '1 second' where state = 2")
        .await;
    assert_eq!(stage.store.promote_due().await.unwrap(), 1);
    assert_eq!(stage.claim(8).await[0].task, made.id);
    stage.strike().await;
}

#[tokio::test]
async fn a_retry_waits_by_the_databases_clock_and_keeps_its_error_in_the_history() {
    let mut stage = Stage::set().await;
    let task = stage.ask(Terms::default()).await.task().unwrap().id;
    let lease = stage.claim(1).await.pop().unwrap();
    stage.begin(&lease).await;
    let again = Ending {
        status: TaskStatus::Retrying,
        refusal: Some(Refusal::new(RefusalCode::ToolFailed, "nikto crashed")),
        pause: Some(Duration::from_secs(100)),
        ..Ending::cancelled("trying again")
    };
    stage.end(&lease, &again).await;
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let read = task::get(&mut tx, task).await.unwrap().unwrap();
    let history = attempt::of_tasks(&mut tx, &[task]).await.unwrap();
    drop(tx);
    assert_eq!((read.error_code, read.retries), (None, 1));
    assert_eq!(history[0].1.error_code.as_deref(), Some("TOOL_FAILED"));
    assert_eq!(history[0].1.error_message.as_deref(), Some("nikto crashed"));
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(&mut stage.admin)
        .await
        .unwrap();
    let pause = read.run_at.unwrap() - now;
    assert!(
        pause > TimeDelta::seconds(80) && pause <= TimeDelta::seconds(100),
        "{pause}"
    );
    stage.strike().await;
}

#[tokio::test]
async fn a_group_finishes_once_with_the_last_of_its_tasks_whoever_ends_them() {
    let stage = Stage::set().await;
    let id = stage.group().await;
    let asked = futures_util::future::join_all((0..12).map(|_| stage.ask(in_group(id)))).await;
    assert!(asked.iter().all(|made| matches!(made, Made::New(_))));
    let leases = stage.claim(8).await;
    futures_util::future::join_all(leases.iter().map(|lease| stage.begin(lease))).await;
    let ended = done();
    let (half, rest) = leases.split_at(4);
    futures_util::future::join_all(half.iter().map(|lease| stage.end(lease, &ended))).await;
    assert_eq!(stage.close(id).await.finished_at, None);
    assert!(matches!(
        stage.ask(in_group(id)).await,
        Made::NoGroup(Entry::Closed)
    ));

    let waiting: Vec<TaskId> = asked.into_iter().map(|made| made.task().unwrap().id).collect();
    let waiting = waiting
        .into_iter()
        .filter(|id| leases.iter().all(|lease| lease.task != *id));
    let ends = futures_util::future::join_all(rest.iter().map(|lease| stage.end(lease, &ended)));
    let cancels = futures_util::future::join_all(waiting.map(|id| stage.cancel(id)));
    let (_, cancelled) = futures_util::future::join(ends, cancels).await;
    assert_eq!(cancelled.len(), 4);
    let finished = stage.read_group(id).await;
    assert_eq!((finished.tasks, finished.unfinished), (12, 0));
    let finished_at = finished.finished_at.expect("all have ended");

    // what happens later does not take it back
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let again = cancelled_task(&mut tx, id).await;
    task::retry(&mut tx, again).await.unwrap();
    tx.commit().await.unwrap();
    stage.cancel(again).await;
    assert_eq!(stage.read_group(id).await.finished_at, Some(finished_at));
    stage.strike().await;
}

async fn cancelled_task(tx: &mut crate::TenantTx, group: GroupId) -> TaskId {
    let counts = group::counts(tx, &[group]).await.unwrap().remove(&group).unwrap();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<i64>(), 12);
    assert!(counts.contains(&(TaskStatus::Cancelled, 4)), "{counts:?}");
    let limit = crate::page::PageLimit::new(20).unwrap();
    let pages = task::pages_of_groups(tx, &[group], crate::page::Window::first(limit))
        .await
        .unwrap();
    let tasks = &pages[&group].rows;
    assert_eq!(tasks.len(), 12);
    tasks
        .iter()
        .find(|task| task.status == TaskStatus::Cancelled)
        .unwrap()
        .id
}

#[tokio::test]
async fn a_task_that_comes_back_holds_its_open_group() {
    let stage = Stage::set().await;
    let id = stage.group().await;
    let task = stage.ask(in_group(id)).await.task().unwrap().id;
    stage.cancel(task).await;
    assert_eq!(stage.read_group(id).await.unfinished, 0);
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    assert_eq!(
        task::retry_all(&mut tx, &[task, TaskId::fresh()]).await.unwrap(),
        [task]
    );
    tx.commit().await.unwrap();
    let closed = stage.close(id).await;
    assert_eq!((closed.unfinished, closed.finished_at), (1, None));
    stage.cancel(task).await;
    assert!(stage.read_group(id).await.finished_at.is_some());
    let empty = stage.group().await;
    assert!(
        stage.close(empty).await.finished_at.is_some(),
        "an empty one is done at once"
    );
    stage.strike().await;
}

#[tokio::test]
async fn many_tasks_of_several_kinds_are_asked_for_and_sent_back_by_several_at_once() {
    let stage = Stage::set().await;
    let kinds: Vec<ScanType> = ["web", "ssl", "codeaudit"]
        .map(|word| ScanType::parse(word).unwrap())
        .into();
    let batch = |turn: usize| {
        let (stage, kinds) = (&stage, &kinds);
        async move {
            let new: Vec<NewTask<'_>> = (0..9)
                .map(|number| NewTask {
                    scan_type: &kinds[(number + turn) % kinds.len()],
                    ..stage.new_task(Terms::default())
                })
                .collect();
            let mut tx = stage.store.begin(&stage.scope).await.unwrap();
            let mut made = Vec::new();
            for new in &new {
                made.push(task::place(&mut tx, new).await.unwrap().task().unwrap());
            }
            task::enqueue(&mut tx, &made.iter().collect::<Vec<_>>())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            let ids: Vec<TaskId> = made.into_iter().map(|task| task.id).collect();
            for id in &ids {
                stage.cancel(*id).await;
            }
            let mut tx = stage.store.begin(&stage.scope).await.unwrap();
            assert_eq!(task::retry_all(&mut tx, &ids).await.unwrap().len(), 9);
            tx.commit().await.unwrap();
        }
    };
    futures_util::future::join_all((0..4).map(batch)).await;
    assert_eq!(stage.store.queue_depth().await.unwrap().0, 36);
    stage.strike().await;
}

#[tokio::test]
async fn what_is_paused_waits_and_says_so_and_a_pause_of_all_is_not_taken_back_for_one() {
    let stage = Stage::set().await;
    stage.ask(Terms::default()).await;
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    assert!(pause::pause_own(&mut tx, None, "an audit", "ci").await.unwrap());
    assert!(!pause::pause_own(&mut tx, None, "again", "ci").await.unwrap());
    assert!(
        pause::pause_own(&mut tx, Some(&stage.scan_type), "", "ci")
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert!(stage.claim(8).await.is_empty());
    let mut control = stage.store.begin_control().await.unwrap();
    assert!(
        pause::pause_any(&mut control, None, Some(&stage.scan_type), "an upgrade", "op")
            .await
            .unwrap()
    );
    assert_eq!(pause::list(&mut control).await.unwrap().len(), 3);
    control.commit().await.unwrap();

    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    let held = pause::of_tenant(&mut tx).await.unwrap();
    assert_eq!((held.len(), held[0].reason.as_str()), (3, "an upgrade"));
    assert!(held.iter().all(|pause| pause.holds(&stage.scan_type)));
    assert!(pause::resume_own(&mut tx, None).await.unwrap());
    tx.commit().await.unwrap();
    assert!(stage.claim(8).await.is_empty(), "its type is paused still");
    let mut tx = stage.store.begin(&stage.scope).await.unwrap();
    assert!(pause::resume_own(&mut tx, Some(&stage.scan_type)).await.unwrap());
    assert!(!pause::resume_own(&mut tx, Some(&stage.scan_type)).await.unwrap());
    tx.commit().await.unwrap();
    assert!(stage.claim(8).await.is_empty(), "the operator's pause holds");
    let mut control = stage.store.begin_control().await.unwrap();
    assert!(
        pause::resume_any(&mut control, None, Some(&stage.scan_type))
            .await
            .unwrap()
    );
    control.commit().await.unwrap();
    assert_eq!(stage.claim(8).await.len(), 1);
    stage.strike().await;
}

#[tokio::test]
async fn a_tenant_does_not_take_back_the_operators_pause_of_it_whoever_paused_first() {
    for is_tenant_first in [false, true] {
        let stage = Stage::set().await;
        stage.ask(Terms::default()).await;
        let (tenant, scan_type) = (Some(stage.scope.tenant_id()), Some(&stage.scan_type));
        let own = async || {
            let mut tx = stage.store.begin(&stage.scope).await.unwrap();
            assert!(pause::pause_own(&mut tx, scan_type, "", "ci").await.unwrap());
            tx.commit().await.unwrap();
        };
        if is_tenant_first {
            own().await;
        }
        let mut control = stage.store.begin_control().await.unwrap();
        let paused = pause::pause_any(&mut control, tenant, scan_type, "abuse", "operator").await;
        assert!(paused.unwrap());
        control.commit().await.unwrap();
        if !is_tenant_first {
            own().await;
        }
        let mut tx = stage.store.begin(&stage.scope).await.unwrap();
        assert!(pause::resume_own(&mut tx, scan_type).await.unwrap(), "its own");
        assert!(!pause::resume_own(&mut tx, scan_type).await.unwrap());
        // nor by hand
        let by_hand = "delete from control.pause where tenant_id = $1";
        let deleted = sqlx::query(by_hand)
            .bind(tx.tenant())
            .execute(tx.connection())
            .await;
        assert_eq!(deleted.unwrap().rows_affected(), 0);
        let held = pause::of_tenant(&mut tx).await.unwrap();
        assert!(held.len() == 1 && held[0].by_operator, "{held:?}");
        tx.commit().await.unwrap();
        assert!(stage.claim(8).await.is_empty(), "the operator's pause holds");
        let mut tx = stage.store.begin(&stage.scope).await.unwrap();
        let posing = "insert into control.pause (tenant_id, by_operator) values ($1, true)";
        let made = sqlx::query(posing)
            .bind(tx.tenant())
            .execute(tx.connection())
            .await;
        assert!(made.is_err(), "a tenant made a pause of the operator's");
        drop(tx);
        let mut control = stage.store.begin_control().await.unwrap();
        let resumed = pause::resume_any(&mut control, tenant, scan_type).await;
        assert!(resumed.unwrap());
        control.commit().await.unwrap();
        assert_eq!(stage.claim(8).await.len(), 1);
        stage.strike().await;
    }
}
