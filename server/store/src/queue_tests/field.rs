//! A database full of tenants without tasks, for driving the claim function by rounds.
//!
//! One connection has the dispatcher's rights and a seeded `random()`, and the clocks of classes move only when
//! the test says so: the same seed gives the same course.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use uuid::Uuid;

use crate::database_for_tests::Database;

/// Longer than any test.
const LEASE: &str = "1 hour";

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..sides`.
    pub(super) fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).unwrap();
        usize::try_from(self.next() % sides).unwrap()
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// What tickets ask of a worker.
#[derive(Clone, Copy)]
pub(super) struct Class {
    pub(super) scan_type: &'static str,
    pub(super) tools: &'static [&'static str],
    pub(super) world: &'static str,
}

/// What a worker has.
pub(super) struct Worker {
    pub(super) types: &'static [&'static str],
    pub(super) tools: &'static [&'static str],
    pub(super) slots: usize,
}

/// One that may have any ticket.
pub(super) const ABLE: Worker = Worker {
    types: &[],
    tools: &["semgrep", "nikto", "nuclei"],
    slots: 100,
};

#[derive(Clone)]
pub(super) struct Tenant {
    pub(super) id: Uuid,
    pub(super) weight: u32,
    pub(super) running_max: Option<usize>,
    /// Of one scan type.
    pub(super) type_max: Option<(&'static str, usize)>,
}

impl Tenant {
    pub(super) fn of_weight(dice: &mut Dice, weight: u32) -> Self {
        Self {
            id: dice.uuid(),
            weight,
            running_max: None,
            type_max: None,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) tenant: Uuid,
    pub(super) class: i32,
    pub(super) task: Uuid,
    pub(super) priority: i16,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claimed {
    pub(super) tenant: Uuid,
    pub(super) task: Uuid,
    pub(super) attempt: i32,
    pub(super) scan_type: String,
}

pub(super) struct Field {
    pub(super) database: Database,
    pub(super) admin: PgConnection,
    pub(super) dispatch: PgConnection,
}

impl Field {
    pub(super) async fn start() -> Self {
        let database = Database::fresh().await;
        let admin = database.as_admin().await;
        let mut dispatch = database.as_admin().await;
        for setting in [
            "set role tamiz_dispatch",
            // the tests are about the order of things, not about the disk
            "set synchronous_commit = off",
            "select setseed(0.42)",
        ] {
            sqlx::query(setting).execute(&mut dispatch).await.unwrap();
        }
        Self {
            database,
            admin,
            dispatch,
        }
    }

    pub(super) async fn end(self) {
        self.dispatch.close().await.unwrap();
        self.admin.close().await.unwrap();
        self.database.drop().await;
    }

    pub(super) async fn class(&mut self, class: &Class) -> i32 {
        let made = sqlx::query_scalar("select control.class_of($1, $2, $3)")
            .bind(class.scan_type)
            .bind(class.tools)
            .bind([class.world].as_slice())
            .fetch_one(&mut self.dispatch)
            .await
            .unwrap();
        self.hold_clocks().await;
        made
    }

    pub(super) async fn add_tenants(&mut self, tenants: &[Tenant]) {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.id).collect();
        sqlx::query("insert into control.tenant (id, name) select x, x::text from unnest($1::uuid[]) x")
            .bind(&ids)
            .execute(&mut self.admin)
            .await
            .unwrap();
        self.set_shares(tenants).await;
    }

    pub(super) async fn set_shares(&mut self, tenants: &[Tenant]) {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.id).collect();
        let weights: Vec<i32> = tenants.iter().map(|tenant| tenant.weight.cast_signed()).collect();
        let most: Vec<Option<i32>> = tenants
            .iter()
            .map(|tenant| tenant.running_max.map(number))
            .collect();
        let of_types: Vec<serde_json::Value> = tenants
            .iter()
            .map(|tenant| {
                tenant.type_max.map_or_else(
                    || serde_json::json!({}),
                    |(name, most)| serde_json::json!({ name: most }),
                )
            })
            .collect();
        sqlx::query(
            "select count(control.set_share(i, w, m, t, null, null))
             from unnest($1::uuid[], $2::int[], $3::int[], $4::jsonb[]) x(i, w, m, t)",
        )
        .bind(&ids)
        .bind(&weights)
        .bind(&most)
        .bind(&of_types)
        .execute(&mut self.admin)
        .await
        .unwrap();
    }

    /// Answers how many are new.
    pub(super) async fn enqueue(&mut self, orders: &[Order]) -> usize {
        let (tenants, tasks): (Vec<Uuid>, Vec<Uuid>) =
            orders.iter().map(|order| (order.tenant, order.task)).unzip();
        let (classes, priorities): (Vec<i32>, Vec<i16>) =
            orders.iter().map(|order| (order.class, order.priority)).unzip();
        let made: Option<i64> = sqlx::query_scalar(
            "select sum(control.queue_enqueue(t, c, k, p, array_fill(0, array[n]), array_fill(null::timestamptz, array[n])))
             from (select t, c, array_agg(k) as k, array_agg(p) as p, count(*)::int as n
                   from unnest($1::uuid[], $2::int[], $3::uuid[], $4::smallint[]) x(t, c, k, p)
                   group by t, c order by t, c) y",
        )
        .bind(&tenants)
        .bind(&classes)
        .bind(&tasks)
        .bind(&priorities)
        .fetch_one(&mut self.dispatch)
        .await
        .unwrap();
        usize::try_from(made.unwrap_or(0)).unwrap()
    }

    /// Claims until all slots are used or nothing is left that this worker may have now.
    pub(super) async fn fill(&mut self, worker: &Worker, slots: usize) -> Vec<Claimed> {
        let mut claimed = Vec::new();
        // each claim takes a ticket or holds lanes back, of which there is an end
        for _ in 0..10_000 {
            let room = (slots - claimed.len()).min(worker.slots);
            let (mut more, again) = if room == 0 {
                (Vec::new(), false)
            } else {
                self.claim(worker, room).await
            };
            if more.is_empty() && !again {
                return claimed;
            }
            claimed.append(&mut more);
        }
        panic!("claims that come to no end");
    }

    /// One claim, and whether it says that another one may find more.
    pub(super) async fn claim(&mut self, worker: &Worker, slots: usize) -> (Vec<Claimed>, bool) {
        let rows = sqlx::query(
            "select r_tenant, r_task, r_attempt, r_scan_type
             from control.queue_claim($1, $2, $3, '{1.0}', $4, $5::text::interval)",
        )
        .bind(Uuid::from_u128(7))
        .bind(worker.types)
        .bind(worker.tools)
        .bind(number(slots))
        .bind(LEASE)
        .fetch_all(&mut self.dispatch)
        .await
        .unwrap();
        let claimed: Vec<Claimed> = rows
            .iter()
            .filter(|row| row.get::<Option<Uuid>, _>("r_task").is_some())
            .map(|row| Claimed {
                tenant: row.get("r_tenant"),
                task: row.get("r_task"),
                attempt: row.get("r_attempt"),
                scan_type: row.get("r_scan_type"),
            })
            .collect();
        let again = claimed.len() < rows.len();
        assert!(claimed.len() <= slots, "more than there is room for");
        (claimed, again)
    }

    /// Answers how many were still held.
    pub(super) async fn finish(&mut self, claims: &[Claimed]) -> usize {
        let (tenants, tasks): (Vec<Uuid>, Vec<Uuid>) =
            claims.iter().map(|claim| (claim.tenant, claim.task)).unzip();
        let attempts: Vec<i32> = claims.iter().map(|claim| claim.attempt).collect();
        let gone: i64 = sqlx::query_scalar("select count(*) from control.queue_remove($1, $2, $3)")
            .bind(&tenants)
            .bind(&tasks)
            .bind(&attempts)
            .fetch_one(&mut self.dispatch)
            .await
            .unwrap();
        usize::try_from(gone).unwrap()
    }

    /// A tenth of a second passes for the clocks, and a second for the tick.
    pub(super) async fn tick(&mut self) {
        for step in [
            "select control.queue_clock(array(select id from control.lane_class))",
            "select control.queue_tick()",
        ] {
            sqlx::query(step).execute(&mut self.dispatch).await.unwrap();
        }
        self.hold_clocks().await;
    }

    async fn hold_clocks(&mut self) {
        sqlx::query("update control.lane_class set clock_at = 'infinity'")
            .execute(&mut self.dispatch)
            .await
            .unwrap();
    }

    /// Leased tickets, counted from the tickets themselves, against what their tenants may have.
    pub(super) async fn assert_limits(&mut self) {
        let over: Vec<String> = sqlx::query_scalar(OVER_LIMITS)
            .fetch_all(&mut self.admin)
            .await
            .unwrap();
        assert_eq!(over, Vec::<String>::new(), "over their limits");
    }

    pub(super) async fn assert_no_drift(&mut self) {
        let drift: i64 = sqlx::query_scalar("select count(*) from control.queue_drift(false)")
            .fetch_one(&mut self.admin)
            .await
            .unwrap();
        assert_eq!(drift, 0, "counters are the counts of their tickets");
    }
}

/// Tenants that hold more leases than they may, all together or of a scan type.
pub(super) const OVER_LIMITS: &str = "
    with held as (select tenant_id, scan_type, count(*) as n from control.ticket where state = 1 group by 1, 2)
    select format('%s: %s of %s', s.tenant_id, h.n, s.running_max)
    from control.share s join (select tenant_id, sum(n) as n from held group by 1) h using (tenant_id)
    where h.n > s.running_max
    union all
    select format('%s: %s of %s %s', s.tenant_id, h.n, s.type_max ->> h.scan_type, h.scan_type)
    from control.share s join held h using (tenant_id) where h.n > (s.type_max ->> h.scan_type)::int";

pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap()
}

/// How even shares are: 1 when all are alike, 1/n when one has all.
pub(super) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (as_float(shares.len()) * squares)
}

pub(super) fn as_float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// How many of these each tenant has.
pub(super) fn count_by_tenant(claims: &[Claimed]) -> BTreeMap<Uuid, usize> {
    let mut counts = BTreeMap::new();
    for claim in claims {
        *counts.entry(claim.tenant).or_insert(0) += 1;
    }
    counts
}
