//! Everything that moves tickets, at once, with backends that are killed on the way.
//!
//! What each hand is about to do is bounded by counts. Afterwards every ticket has ended exactly once, no
//! counter is off, no limit was exceeded in any snapshot, and Postgres has seen no deadlock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fairness::classes;
use super::field::{Claimed, Dice, Field, OVER_LIMITS, Order, Tenant};
use crate::connect::admin_options;

const TENANTS: usize = 12;
const TICKETS: usize = 3_000;
/// Hands that claim and finish.
const WORKERS: usize = 4;
/// Backends that are killed.
const KILLS: usize = 40;
/// The whole thing takes seconds; this is for a test that hangs.
const TIME_MAX: Duration = Duration::from_mins(1);

/// What all hands share.
struct Race {
    url: String,
    tenants: Vec<Tenant>,
    /// Tickets whose end was committed, and by which attempt.
    ended: Mutex<Vec<(Uuid, Uuid)>>,
    /// Ends that may or may not have been committed: their backend was killed.
    unknown: Mutex<BTreeSet<(Uuid, Uuid)>>,
    stale_refused: AtomicUsize,
    /// Every ticket has come.
    all_came: AtomicBool,
    /// And every one is gone.
    over: AtomicBool,
    since: Instant,
}

impl Race {
    async fn connection(&self) -> PgConnection {
        let options = admin_options(&self.url).unwrap();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        for setting in [
            "set role tamiz_dispatch",
            "set synchronous_commit = off",
            "set application_name = 'may be killed'",
        ] {
            sqlx::query(setting).execute(&mut connection).await.unwrap();
        }
        connection
    }

    fn goes_on(&self) -> bool {
        assert!(self.since.elapsed() < TIME_MAX, "the race does not end");
        !self.over.load(Ordering::Relaxed)
    }
}

/// A killed backend is part of the game; everything else is a defect.
fn killed(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            assert_eq!(error.code().as_deref(), Some("57P01"), "{error:?}");
            true
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        other => panic!("{other}"),
    }
}

const CLAIM: &str = "select r_tenant, r_task, r_attempt, r_scan_type
    from control.queue_claim($1, '{}', '{semgrep,nikto,nuclei}', '{1.0}', $2, $3 * interval '1 millisecond')";

/// Claims with short leases, dawdles at times, and ends what it holds in one of several ways.
async fn worker(race: Arc<Race>, seed: u64) {
    let mut dice = Dice::of(seed);
    let mut connection = race.connection().await;
    let mut late: Vec<Claimed> = Vec::new();
    while race.goes_on() {
        let step = work(&race, &mut connection, &mut dice, &mut late).await;
        if let Err(error) = step
            && killed(&error)
        {
            connection = race.connection().await;
        }
    }
}

async fn work(
    race: &Race,
    connection: &mut PgConnection,
    dice: &mut Dice,
    late: &mut Vec<Claimed>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(CLAIM)
        .bind(dice.uuid())
        .bind(dice.one_of(&[1, 2, 5, 10]))
        // some run out before they are finished
        .bind(dice.one_of(&[1, 5_000, 5_000]))
        .fetch_all(&mut *connection)
        .await?;
    let claims = rows.iter().filter_map(|row| {
        Some(Claimed {
            tenant: row.get::<Option<Uuid>, _>("r_tenant")?,
            task: row.get("r_task"),
            attempt: row.get("r_attempt"),
            scan_type: row.get("r_scan_type"),
        })
    });
    let mut done = Vec::new();
    for claim in claims {
        match dice.below(10) {
            0 => {
                let pause = dice.one_of(&["0", "1 millisecond"]);
                sqlx::query("select control.queue_put_back($1, $2, $3, $4::text::interval)")
                    .bind(claim.tenant)
                    .bind(claim.task)
                    .bind(claim.attempt)
                    .bind(pause)
                    .execute(&mut *connection)
                    .await?;
                late.push(claim);
            }
            // lost: its lease runs out, and its end comes when others have it
            1 => late.push(claim),
            _ => done.push(claim),
        }
    }
    finish(race, connection, &done).await?;
    // ends of what was put back or lost long ago
    if late.len() > 20 || dice.below(8) == 0 {
        let old: Vec<Claimed> = late.drain(..late.len().min(10)).collect();
        let stale = old.len() - finish(race, connection, &old).await?;
        race.stale_refused.fetch_add(stale, Ordering::Relaxed);
    }
    Ok(())
}

/// Answers how many were accepted.
async fn finish(
    race: &Race,
    connection: &mut PgConnection,
    claims: &[Claimed],
) -> Result<usize, sqlx::Error> {
    let (tenants, tasks): (Vec<Uuid>, Vec<Uuid>) =
        claims.iter().map(|claim| (claim.tenant, claim.task)).unzip();
    let attempts: Vec<i32> = claims.iter().map(|claim| claim.attempt).collect();
    let gone = sqlx::query("select r_tenant, r_task from control.queue_remove($1, $2, $3)")
        .bind(&tenants)
        .bind(&tasks)
        .bind(&attempts)
        .fetch_all(connection)
        .await;
    let gone = match gone {
        Ok(gone) => gone,
        Err(error) => {
            let names = claims.iter().map(|claim| (claim.tenant, claim.task));
            race.unknown.lock().await.extend(names);
            return Err(error);
        }
    };
    let accepted = gone.len();
    let names = gone.iter().map(|row| (row.get("r_tenant"), row.get("r_task")));
    race.ended.lock().await.extend(names);
    Ok(accepted)
}

/// Cancels, sweeps, pauses, and changes shares.
async fn meddler(race: Arc<Race>, seed: u64) {
    let mut dice = Dice::of(seed);
    let mut connection = race.connection().await;
    while race.goes_on() {
        let tenant = race.tenants[dice.below(TENANTS)].clone();
        let step = match dice.below(8) {
            0 => cancel(&race, &mut connection, tenant.id).await,
            1 => asked(&mut connection, "select control.queue_expire(50)").await,
            2 => asked(&mut connection, "select control.queue_promote(50)").await,
            3 => asked(&mut connection, "select control.queue_tick()").await,
            // nobody holds what a killed worker had; it is to run out at last
            4 if !race.all_came.load(Ordering::Relaxed) => renew(&mut connection, &mut dice).await,
            5 => asked(&mut connection, "select count(*) from control.queue_drift(true)").await,
            _ => operate(&mut connection, &mut dice, &tenant).await,
        };
        if let Err(error) = step
            && killed(&error)
        {
            connection = race.connection().await;
        }
    }
}

async fn asked(connection: &mut PgConnection, question: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(question).execute(connection).await.map(|_| ())
}

async fn cancel(race: &Race, connection: &mut PgConnection, tenant: Uuid) -> Result<(), sqlx::Error> {
    let task: Option<Uuid> = sqlx::query_scalar(
        "select task_id from control.ticket where tenant_id = $1 and state + 0 <> 1 order by random() limit 1",
    )
    .bind(tenant)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(task) = task else { return Ok(()) };
    let gone = sqlx::query("select r_task from control.queue_remove(array[$1], array[$2], array[null::int])")
        .bind(tenant)
        .bind(task)
        .fetch_all(connection)
        .await;
    match gone {
        Ok(gone) => race
            .ended
            .lock()
            .await
            .extend(gone.iter().map(|_| (tenant, task))),
        Err(error) => {
            race.unknown.lock().await.insert((tenant, task));
            return Err(error);
        }
    }
    Ok(())
}

/// As `Store::renew` does, many tickets at a time.
async fn renew(connection: &mut PgConnection, dice: &mut Dice) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with held as materialized (
             select tenant_id, task_id from control.ticket where state = 1 order by 1, 2 limit $1 for update)
         update control.ticket t set lease_until = now() + interval '5 seconds'
         from held h where t.tenant_id = h.tenant_id and t.task_id = h.task_id and t.state + 0 = 1",
    )
    .bind(i64::from(dice.one_of(&[1_i32, 20])))
    .execute(connection)
    .await
    .map(|_| ())
}

/// What an operator does; limits only grow, so that every snapshot can be held against them.
async fn operate(connection: &mut PgConnection, dice: &mut Dice, tenant: &Tenant) -> Result<(), sqlx::Error> {
    asked(connection, "set role tamiz_control").await?;
    let question = dice.one_of(&[
        "select control.queue_pause($1, null, 'race', 'test')",
        "select control.queue_resume($1, null)",
        "select control.queue_pause($1, 'web', 'race', 'test')",
        "select control.queue_resume($1, 'web')",
        "select control.set_share(tenant_id, (1 + 7 * random())::real, running_max, type_max, null, null)
         from control.share where tenant_id in (select tenant_id from control.share order by tenant_id limit 5)
         or tenant_id = $1 order by tenant_id",
        "select control.set_share($1, 2, (select running_max from control.share where tenant_id = $1),
                                  (select type_max from control.share where tenant_id = $1), 1000000, null)",
    ]);
    sqlx::query(question)
        .bind(tenant.id)
        .execute(&mut *connection)
        .await?;
    asked(connection, "set role tamiz_dispatch").await
}

/// Kills backends of the others, and looks whether a limit is exceeded. Answers how often it looked.
async fn overseer(race: Arc<Race>, mut admin: PgConnection) -> usize {
    let mut dice = Dice::of(99);
    let (mut kills, mut looks) = (0, 0);
    while race.goes_on() {
        let over: Vec<String> = sqlx::query_scalar(OVER_LIMITS)
            .fetch_all(&mut admin)
            .await
            .unwrap();
        assert_eq!(over, Vec::<String>::new(), "over their limits");
        looks += 1;
        if kills < KILLS && dice.below(4) == 0 {
            kills += 1;
            sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and application_name = 'may be killed' and state = 'active'
                 order by random() limit 1",
            )
            .execute(&mut admin)
            .await
            .unwrap();
        }
        let all_came = race.all_came.load(Ordering::Acquire);
        let left: i64 = sqlx::query_scalar("select count(*) from control.ticket")
            .fetch_one(&mut admin)
            .await
            .unwrap();
        if left == 0 && all_came {
            race.over.store(true, Ordering::Relaxed);
        }
        // pauses of the race must not outlive it
        if looks % 20 == 0 {
            sqlx::query("select control.queue_resume(tenant_id, scan_type) from control.pause order by tenant_id, scan_type")
                .execute(&mut admin)
                .await
                .unwrap();
        }
    }
    admin.close().await.unwrap();
    looks
}

/// Every ticket ended, and none twice.
async fn assert_ends(race: &Race, orders: &[Order]) {
    let (mut ended, unknown) = (race.ended.lock().await.clone(), race.unknown.lock().await.clone());
    let count = ended.len();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), count, "no ticket ended twice");
    let all: BTreeSet<(Uuid, Uuid)> = orders.iter().map(|order| (order.tenant, order.task)).collect();
    let mut seen: BTreeSet<(Uuid, Uuid)> = ended.into_iter().collect();
    let known = seen.len();
    seen.extend(unknown);
    assert_eq!(seen, all, "every ticket ended");
    assert!(known + KILLS * 20 >= TICKETS, "only {known} ends are known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ticket_ends_once_whatever_happens_at_the_same_time() {
    let mut field = Field::start().await;
    let mut dice = Dice::of(3);
    let classes = classes(&mut field).await;
    sqlx::query("update control.lane_class set clock_at = now()")
        .execute(&mut field.dispatch)
        .await
        .unwrap();
    let tenants: Vec<Tenant> = (0..TENANTS)
        .map(|_| Tenant {
            running_max: dice.one_of(&[Some(2), Some(4), None]),
            type_max: dice.one_of(&[Some(("web", 1)), Some(("codeaudit", 2)), None]),
            ..Tenant::of_weight(&mut dice, 1)
        })
        .collect();
    field.add_tenants(&tenants).await;
    let order = |dice: &mut Dice| Order {
        tenant: tenants[dice.below(TENANTS)].id,
        class: dice.one_of(&classes),
        task: dice.uuid(),
        priority: dice.one_of(&[0, 10, 50]),
    };
    let orders: Vec<Order> = (0..TICKETS).map(|_| order(&mut dice)).collect();
    assert_eq!(field.enqueue(&orders[..TICKETS / 2]).await, TICKETS / 2);

    let race = Arc::new(Race {
        url: field.database.url.clone(),
        tenants: tenants.clone(),
        ended: Mutex::default(),
        unknown: Mutex::default(),
        stale_refused: AtomicUsize::new(0),
        all_came: AtomicBool::new(false),
        over: AtomicBool::new(false),
        since: Instant::now(),
    });
    let mut hands = JoinSet::new();
    for seed in 0..WORKERS {
        hands.spawn(worker(Arc::clone(&race), 100 + seed as u64));
    }
    hands.spawn(meddler(Arc::clone(&race), 200));
    hands.spawn(meddler(Arc::clone(&race), 201));
    let admin = field.database.as_admin().await;
    let overseer = tokio::spawn(overseer(Arc::clone(&race), admin));
    // the rest comes while they run
    for part in orders[TICKETS / 2..].chunks(25) {
        assert_eq!(field.enqueue(part).await, part.len());
    }
    race.all_came.store(true, Ordering::Release);
    while let Some(hand) = hands.join_next().await {
        hand.unwrap();
    }
    let looks = overseer.await.unwrap();

    assert_ends(&race, &orders).await;
    assert!(looks > 20 && race.stale_refused.load(Ordering::Relaxed) > 0);
    field.assert_no_drift().await;
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(&mut field.admin)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
    field.end().await;
}
