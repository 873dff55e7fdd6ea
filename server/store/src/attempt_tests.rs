//! Attempts whose commits are not heard of, whose workers fall silent, and that somebody wants stopped.
//!
//! What two workers do to each other is tested through the front door (`tests/e2e`, `killed_workers`).

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tamiz_core::summary::Summary;
use tamiz_core::{Refusal, RefusalCode, TaskId, TaskStatus, ToolExecutionId, WorkerId};
use uuid::Uuid;

use crate::attempt::{self, Begin, Ending, Fence};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::queue::{ClaimRequest, Lease};
use crate::quota::storage;
use crate::scan_result;
use crate::task::{self, Cancellation, Redrive};
use crate::tool_execution;

const ATTEMPTS_MAX: i32 = 3;

/// One tenant, one task, and a worker at a time.
struct Stage {
    database: Database,
    store: Store,
    admin: PgConnection,
    task: TaskId,
}

impl Stage {
    async fn set() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (_, task) = tenant_with_task(&store, "acme").await;
        let admin = database.as_admin().await;
        Self {
            database,
            store,
            admin,
            task,
        }
    }

    async fn strike(self) {
        drop(self.admin);
        self.store.close().await;
        self.database.drop().await;
    }

    async fn claim(&self, worker: WorkerId) -> Lease {
        let request = ClaimRequest {
            worker,
            scan_types: &[],
            worlds: &[],
            tools: &[],
            slots: 1,
            lease: Duration::from_mins(10),
        };
        self.store.claim(&request).await.unwrap().pop().unwrap()
    }

    /// Begins and commits, as a worker does whose commit may not have been answered.
    async fn begin(&self, lease: &Lease, worker: WorkerId) -> Begin {
        let mut tx = self.store.begin(&lease.scope).await.unwrap();
        let begun = attempt::begin(&mut tx, lease.task, lease.attempt, worker, ATTEMPTS_MAX)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        begun
    }

    async fn end(&self, lease: &Lease, ending: &Ending) -> Option<TaskStatus> {
        let mut tx = self.store.begin(&lease.scope).await.unwrap();
        let ended = attempt::end(&mut tx, lease.task, lease.attempt, ending)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        ended
    }

    async fn cancel(&self, lease: &Lease) -> Cancellation {
        let mut tx = self.store.begin(&lease.scope).await.unwrap();
        let cancelled = task::cancel(&mut tx, lease.task).await.unwrap();
        tx.commit().await.unwrap();
        cancelled
    }

    async fn retry(&self, lease: &Lease) -> Redrive {
        let mut tx = self.store.begin(&lease.scope).await.unwrap();
        let redrive = task::retry(&mut tx, lease.task).await.unwrap();
        tx.commit().await.unwrap();
        redrive
    }

    async fn status(&self, lease: &Lease) -> TaskStatus {
        let mut tx = self.store.begin(&lease.scope).await.unwrap();
        task::get(&mut tx, self.task).await.unwrap().unwrap().status
    }

    async fn lease_runs_out(&mut self) {
        self.sql("update control.ticket set lease_until = now() - interval '1 second'")
            .await;
        assert_eq!(self.store.expire_leases().await.unwrap(), 1);
    }

    async fn sql(&mut self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&mut self.admin).await.unwrap();
    }

    async fn count(&mut self, what: &str) -> i64 {
        let query = format!("select count(*) from {what}");
        sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&mut self.admin)
            .await
            .unwrap()
    }
}

fn failed() -> Ending {
    Ending {
        status: TaskStatus::Failed,
        refusal: Some(Refusal::new(RefusalCode::ToolFailed, "no")),
        message: "no".to_owned(),
        ..Ending::cancelled("")
    }
}

fn again_in_an_hour() -> Ending {
    Ending {
        status: TaskStatus::Retrying,
        pause: Some(Duration::from_hours(1)),
        ..Ending::cancelled("trying again")
    }
}

#[tokio::test]
async fn a_begin_whose_answer_was_lost_is_answered_again_and_keeps_its_ticket() {
    let mut stage = Stage::set().await;
    let (first, second) = (WorkerId::fresh(), WorkerId::fresh());
    let lease = stage.claim(first).await;
    assert!(matches!(stage.begin(&lease, first).await, Begin::Run(_)));
    assert!(matches!(stage.begin(&lease, first).await, Begin::Run(_)));
    assert!(
        matches!(stage.begin(&lease, second).await, Begin::Stale),
        "it is not theirs"
    );
    assert_eq!(stage.count("control.ticket where state = 1").await, 1);

    stage.lease_runs_out().await;
    let later = stage.claim(second).await;
    let Begin::Run(task) = stage.begin(&later, second).await else {
        panic!("the task can be taken over");
    };
    assert_eq!(
        (task.attempt, task.retries),
        (2, 1),
        "one attempt was lost, not two"
    );
    assert!(matches!(stage.begin(&lease, first).await, Begin::Stale));
    assert_eq!(stage.count("control.ticket where attempt = 2").await, 1);
    stage.strike().await;
}

#[tokio::test]
async fn a_late_begin_of_an_ended_task_takes_its_own_ticket_and_no_new_one() {
    let mut stage = Stage::set().await;
    let (first, second) = (WorkerId::fresh(), WorkerId::fresh());
    let lease = stage.claim(first).await;
    stage.begin(&lease, first).await;
    stage.lease_runs_out().await;
    let late = stage.claim(second).await;
    assert_eq!(stage.end(&lease, &failed()).await, Some(TaskStatus::Failed));
    assert!(matches!(stage.begin(&late, second).await, Begin::Stale));
    assert_eq!(stage.count("control.ticket").await, 0);

    assert!(matches!(stage.retry(&lease).await, Redrive::Queued(_)));
    let again = stage.claim(first).await;
    assert!(matches!(stage.begin(&again, first).await, Begin::Run(_)));
    assert!(matches!(stage.begin(&late, second).await, Begin::Stale));
    assert_eq!(stage.count("control.ticket").await, 1);
    stage.strike().await;
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_known_as_ones_own() {
    let mut stage = Stage::set().await;
    let (first, second) = (WorkerId::fresh(), WorkerId::fresh());
    let lost = stage.claim(first).await;
    stage.begin(&lost, first).await;
    stage.lease_runs_out().await;
    let lease = stage.claim(second).await;
    stage.begin(&lease, second).await;
    let mut tx = stage.store.begin(&lease.scope).await.unwrap();
    let fence = attempt::fence(&mut tx, lease.task, lease.attempt).await.unwrap();
    assert_eq!(fence, Fence::Open);
    drop(tx);
    stage.end(&lease, &failed()).await;
    let mut tx = stage.store.begin(&lease.scope).await.unwrap();
    for (of, expected) in [(&lease, Fence::Ended(TaskStatus::Failed)), (&lost, Fence::Closed)] {
        let fence = attempt::fence(&mut tx, of.task, of.attempt).await.unwrap();
        assert_eq!(fence, expected, "attempt {}", of.attempt);
    }
    drop(tx);
    stage.strike().await;
}

#[tokio::test]
async fn a_failure_that_may_pass_of_a_task_to_be_stopped_is_its_end() {
    let mut stage = Stage::set().await;
    let worker = WorkerId::fresh();
    let lease = stage.claim(worker).await;
    stage.begin(&lease, worker).await;
    assert_eq!(stage.cancel(&lease).await, Cancellation::Requested);
    let ended = stage.end(&lease, &again_in_an_hour()).await;
    assert_eq!(ended, Some(TaskStatus::Cancelled));
    assert_eq!(stage.status(&lease).await, TaskStatus::Cancelled);
    assert_eq!(stage.count("control.ticket").await, 0);
    stage.strike().await;
}

#[tokio::test]
async fn a_task_whose_worker_fell_silent_is_cancelled_at_once_with_its_attempt() {
    let mut stage = Stage::set().await;
    let worker = WorkerId::fresh();
    let lease = stage.claim(worker).await;
    stage.begin(&lease, worker).await;
    stage.lease_runs_out().await;
    assert_eq!(stage.cancel(&lease).await, Cancellation::Cancelled);
    assert_eq!(stage.status(&lease).await, TaskStatus::Cancelled);
    let open = "tenant.task_attempt where finished_at is null";
    assert_eq!(stage.count(open).await, 0);
    assert_eq!(stage.count("control.ticket").await, 0);
    assert_eq!(
        stage.end(&lease, &failed()).await,
        None,
        "the silent worker is too late"
    );
    stage.strike().await;
}

#[tokio::test]
async fn a_task_that_is_sent_back_has_no_results_of_its_earlier_life() {
    let mut stage = Stage::set().await;
    let worker = WorkerId::fresh();
    let lease = stage.claim(worker).await;
    stage.begin(&lease, worker).await;
    let mut tx = stage.store.begin(&lease.scope).await.unwrap();
    scan_result::create(
        &mut tx,
        lease.task,
        &Summary::default(),
        None,
        crate::finding::FindingMonth::kept(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    stage.end(&lease, &failed()).await;
    assert_eq!(stage.count("tenant.scan_result").await, 1);
    assert!(matches!(stage.retry(&lease).await, Redrive::Queued(_)));
    assert_eq!(stage.cancel(&lease).await, Cancellation::Cancelled);
    assert_eq!(stage.count("tenant.scan_result").await, 0);
    stage.strike().await;
}

#[tokio::test]
async fn a_lost_attempt_gives_its_room_back_and_its_time_counts_however_the_task_goes_on() {
    for is_begun_again in [true, false] {
        let mut stage = Stage::set().await;
        let worker = WorkerId::fresh();
        let lease = stage.claim(worker).await;
        stage.begin(&lease, worker).await;
        let mut tx = stage.store.begin(&lease.scope).await.unwrap();
        let reserved = storage::reserve_for_attempt(&mut tx, lease.task, lease.attempt, 100).await;
        assert!(reserved.unwrap());
        tx.commit().await.unwrap();
        // it was last heard a minute ago, four after it began
        stage
            .sql(
                "update tenant.task_attempt set started_at = now() - interval '5 minutes';
                 insert into control.worker (id, name, host, process_id, version, slots, free_slots, capabilities,
                     state, heartbeat_at)
                 select worker_id, 'gone', 'host', 1, '1', 1, 0, '{}', 'offline', now() - interval '1 minute'
                 from tenant.task_attempt",
            )
            .await;
        let wish = if is_begun_again {
            let asked = stage.cancel(&lease).await;
            stage.lease_runs_out().await;
            let later = stage.claim(worker).await;
            assert!(matches!(stage.begin(&later, worker).await, Begin::Cancelled));
            asked
        } else {
            stage.lease_runs_out().await;
            stage.cancel(&lease).await
        };
        let expected = if is_begun_again {
            Cancellation::Requested
        } else {
            Cancellation::Cancelled
        };
        assert_eq!(wish, expected);
        assert_eq!(stage.count("control.storage_reservation").await, 0);
        assert_eq!(stage.count("control.storage where reserved_bytes > 0").await, 0);
        let four_minutes = "control.quota_usage where round(compute_seconds::numeric) = 240";
        assert_eq!(
            stage.count(four_minutes).await,
            1,
            "begun again: {is_begun_again}"
        );
        stage.strike().await;
    }
}

#[tokio::test]
async fn of_a_task_that_was_sent_back_again_and_again_the_latest_hundred_attempts_are_shown() {
    let mut stage = Stage::set().await;
    let worker = WorkerId::fresh();
    let lease = stage.claim(worker).await;
    stage
        .sql(
            "insert into tenant.task_attempt (tenant_id, task_id, attempt, worker_id)
             select tenant_id, id, n, gen_random_uuid() from tenant.task, generate_series(1, 250) n;
             insert into tenant.tool_execution (tenant_id, id, task_id, attempt, tool, args, ended_by, started_at,
                 finished_at)
             select tenant_id, ('00000000-0000-7000-8000-' || lpad(attempt::text, 12, '0'))::uuid, task_id, attempt,
                 'semgrep', '[]', 'exit', now(), now()
             from tenant.task_attempt;
             update tenant.task set attempt = 250",
        )
        .await;
    let mut tx = stage.store.begin(&lease.scope).await.unwrap();
    let attempts = attempt::of_tasks(&mut tx, &[stage.task]).await.unwrap();
    let shown: Vec<i32> = attempts.iter().map(|(_, attempt)| attempt.attempt).collect();
    assert_eq!(shown, (151..=250).collect::<Vec<_>>());
    let runs = tool_execution::of_tasks(&mut tx, &[stage.task]).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), shown);
    let first = ToolExecutionId::from(Uuid::from_u128(0x7000_8000_0000_0000_0001));
    let before = tool_execution::by_ids(&mut tx, &[first]).await.unwrap();
    assert_eq!(before[0].attempt, 1);
    drop(tx);
    stage.strike().await;
}
