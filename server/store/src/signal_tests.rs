//! Who is woken by what: each store here stands for a process.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tamiz_core::{TaskId, TenantId, WorkerId};
use tokio::time::{Instant, timeout};

use crate::connect::Store;
use crate::database_for_tests::{Database, enqueue_tickets, tenant_with_task};
use crate::queue::{ClaimRequest, Lease};
use crate::signal::{KEPT_TO, News, Serves, Signal, TicketBell};
use crate::worker::NewWorker;

/// Nothing here takes longer, on a busy machine either.
const SOON: Duration = Duration::from_secs(20);

/// A process with one idle worker.
struct Process {
    store: Store,
    worker: WorkerId,
    bell: TicketBell,
}

impl Process {
    async fn start(database: &Database, name: &str, free: u32) -> Self {
        let store = database.store().await;
        let worker = WorkerId::fresh();
        let new = NewWorker {
            id: worker,
            name,
            host: "here",
            process_id: 1,
            version: "1",
            slots: free,
        };
        store.register_worker(&new).await.unwrap();
        store.worker_ready(worker, &json!({ "tools": [] })).await.unwrap();
        let bell = store.ticket_bell(worker, Serves::default());
        bell.room(free);
        Self { store, worker, bell }
    }

    /// One that claims this type only, and said so.
    async fn kept_to(database: &Database, name: &str, scan_type: &str) -> Self {
        let mut process = Self::start(database, name, 1).await;
        let (store, worker) = (&process.store, process.worker);
        let capabilities = json!({ "tools": [], KEPT_TO: [scan_type] });
        store.worker_ready(worker, &capabilities).await.unwrap();
        let serves = Serves {
            scan_types: vec![scan_type.to_owned()],
            ..Serves::default()
        };
        process.bell = store.ticket_bell(worker, serves);
        process.bell.room(1);
        process
    }

    async fn claims(&self) -> usize {
        self.claim(&[]).await.len()
    }

    async fn lease(&self, scan_type: &str) -> Vec<Lease> {
        self.claim(&[scan_type.to_owned()]).await
    }

    async fn claim(&self, scan_types: &[String]) -> Vec<Lease> {
        let request = ClaimRequest {
            worker: self.worker,
            scan_types,
            tools: &[],
            worlds: &[],
            slots: 1,
            lease: Duration::from_mins(1),
        };
        self.store.claim(&request).await.unwrap()
    }
}

/// Until all that `store` sent before is heard by `others`: notifications of one process keep their order.
async fn settle(store: &Store, others: &[Process]) {
    let task = TaskId::fresh();
    let mut heard: Vec<_> = others.iter().map(|other| other.store.signals()).collect();
    store.signals.tell(News::Signal(Signal::Cancel { task }));
    for signals in &mut heard {
        let arrival = async { while signals.recv().await.unwrap() != (Signal::Cancel { task }) {} };
        timeout(SOON, arrival).await.unwrap();
    }
}

/// A tenant whose own ticket is claimed already.
async fn tenant(database: &Database) -> TenantId {
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    let request = ClaimRequest {
        worker: WorkerId::fresh(),
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 1,
        lease: Duration::from_mins(10),
    };
    assert_eq!(store.claim(&request).await.unwrap().len(), 1);
    store.close().await;
    scope.tenant_id()
}

#[tokio::test]
async fn one_ticket_wakes_two_of_four_idle_processes_and_is_claimed_once() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let mut processes = Vec::new();
    for name in ["a", "b", "c", "d"] {
        processes.push(Process::start(&database, name, 1).await);
    }
    let server = database.store().await;
    enqueue_tickets(&server, tenant, "web", 1).await;
    // the fence travels behind the wake, but only once the wake was sent
    let sent = async {
        while server.signal_counts().statements == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, sent).await.unwrap();
    settle(&server, &processes).await;
    let (mut woken, mut claimed) = (0, 0);
    for process in &processes {
        if process.store.signal_counts().wakes > 0 {
            woken += 1;
            timeout(SOON, process.bell.rings()).await.unwrap();
            claimed += process.claims().await;
        }
    }
    assert_eq!((woken, claimed), (2, 1));
    for process in processes {
        process.store.close().await;
    }
    server.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_worker_of_the_own_process_is_woken_without_a_notification() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let process = Process::start(&database, "a", 4).await;
    let before = process.store.signal_counts();
    enqueue_tickets(&process.store, tenant, "web", 1).await;
    timeout(SOON, process.bell.rings()).await.unwrap();
    let after = process.store.signal_counts();
    assert_eq!(after.statements, before.statements);
    assert_eq!(after.wakes, before.wakes + 1);
    process.store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_a_command_does_last_wakes_a_worker_although_its_process_ends() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let worker = Process::start(&database, "a", 8).await;
    for round in 0..5 {
        let command = database.store().await;
        enqueue_tickets(&command, tenant, "web", 1).await;
        command.close().await;
        let rung = timeout(SOON, worker.bell.rings()).await;
        assert!(rung.is_ok(), "nobody rang in round {round}");
    }
    worker.store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_worker_without_room_passes_a_wake_on() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let full = Process::start(&database, "full", 1).await;
    let server = database.store().await;
    // for a second the server knows of this one only
    enqueue_tickets(&server, tenant, "web", 1).await;
    timeout(SOON, full.bell.rings()).await.unwrap();
    full.bell.room(0);
    let idle = Process::start(&database, "idle", 1).await;
    enqueue_tickets(&server, tenant, "web", 1).await;
    timeout(SOON, idle.bell.rings()).await.unwrap();
    assert_eq!(
        full.store.signal_counts().wakes,
        1,
        "it is not woken without room"
    );
    for store in [full.store, idle.store, server] {
        store.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn a_worker_that_is_kept_to_other_types_is_not_woken_by_another_process() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        others.push(Process::kept_to(&database, name, "pcap").await);
    }
    let able = Process::kept_to(&database, "able", "web").await;
    let server = database.store().await;
    enqueue_tickets(&server, tenant, "web", 1).await;
    timeout(SOON, able.bell.rings()).await.unwrap();
    assert_eq!(able.claims().await, 1);
    settle(&server, &others).await;
    for other in others {
        assert_eq!(other.store.signal_counts().wakes, 0);
        other.store.close().await;
    }
    able.store.close().await;
    server.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_finish_that_makes_room_under_a_limit_wakes_who_can_serve_what_it_held_back() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let mut admin = database.as_admin().await;
    // the tenant's own ticket and one of these run; pcap has to wait for the second
    sqlx::query("select control.set_share($1, 1, 2, '{}', null, null)")
        .bind(tenant.uuid())
        .execute(&mut admin)
        .await
        .unwrap();
    let web = Process::kept_to(&database, "web", "web").await;
    enqueue_tickets(&web.store, tenant, "web", 1).await;
    let leases = web.lease("web").await;
    let pcap = Process::kept_to(&database, "pcap", "pcap").await;
    enqueue_tickets(&pcap.store, tenant, "pcap", 1).await;
    timeout(SOON, pcap.bell.rings()).await.unwrap();
    assert!(pcap.lease("pcap").await.is_empty(), "the limit holds it back");
    let before = pcap.store.signal_counts().wakes;
    let done: Vec<_> = leases.iter().map(Lease::claim).collect();
    assert_eq!(web.store.finish_tickets(&done).await.unwrap().len(), 1);
    timeout(SOON, pcap.bell.rings()).await.unwrap();
    assert_eq!(pcap.store.signal_counts().wakes, before + 1);
    assert_eq!(pcap.lease("pcap").await.len(), 1);
    for store in [pcap.store, web.store] {
        store.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn a_worker_whose_line_was_cut_looks_by_itself() {
    let database = Database::fresh().await;
    let tenant = tenant(&database).await;
    let process = Process::start(&database, "a", 1).await;
    let server = database.store().await;
    let mut admin = database.as_admin().await;
    // all listeners go, so what is told now is heard by nobody
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and query ilike '%listen%' and pid <> pg_backend_pid()";
    sqlx::raw_sql(AssertSqlSafe(cut))
        .execute(&mut admin)
        .await
        .unwrap();
    enqueue_tickets(&server, tenant, "web", 1).await;
    timeout(SOON, process.bell.rings()).await.unwrap();
    assert_eq!(process.claims().await, 1);
    for store in [process.store, server] {
        store.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn news_of_many_tasks_take_few_statements_and_each_task_is_told() {
    let database = Database::fresh().await;
    let (worker, watcher) = (database.store().await, database.store().await);
    let tasks: Vec<(TenantId, TaskId)> = (0..200).map(|_| (TenantId::fresh(), TaskId::fresh())).collect();
    let mut heard = watcher.signals();
    let began = Instant::now();
    // five rounds of news of all tasks within a second
    for _ in 0..5 {
        for (tenant, task) in &tasks {
            let (tenant, task) = (*tenant, *task);
            worker.signals.tell(News::Signal(Signal::Task { tenant, task }));
        }
        let round = Instant::now() + Duration::from_millis(100);
        tokio::time::sleep_until(round).await;
    }
    let mut missing: std::collections::HashSet<_> = tasks.iter().map(|(_, task)| *task).collect();
    let telling = async {
        while !missing.is_empty() {
            if let Signal::Task { task, .. } = heard.recv().await.unwrap() {
                missing.remove(&task);
            }
        }
    };
    timeout(SOON, telling).await.unwrap();
    let counts = worker.signal_counts();
    let intervals = began.elapsed().as_millis() as u64 / 40 + 2;
    assert!(
        counts.statements <= intervals,
        "{counts:?} in {intervals} intervals"
    );
    assert!(counts.payloads <= 10 * intervals, "{counts:?}");
    worker.close().await;
    watcher.close().await;
    database.drop().await;
}
