//! Which limit a tenant's waiting tasks wait for: running tasks, running ones of their scan type, starts per hour
//! or per day. What claims go by (see `control.queue_claim`), read without a lock.
//!
//! Running tasks are the tenant's to see ([`reached`]). Starts are not: [`Store::starts_reached`] looks for it,
//! and only where that says that a claim found no room which running tasks do not explain.

use std::collections::HashMap;

use tamiz_core::ScanType;
use tamiz_core::quota::{QuotaLimit, QuotaName, ReachedLimit};

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// The limits that hold back what waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// It holds back all of the tenant's tasks.
    all: Option<ReachedLimit>,
    /// They hold back those of one scan type.
    of_types: HashMap<String, ReachedLimit>,
    starts: Option<StartsMax>,
}

impl Reached {
    /// The limit for which a task of this type waits, if there is one.
    pub fn of(&self, scan_type: &ScanType) -> Option<&ReachedLimit> {
        self.all
            .as_ref()
            .or_else(|| self.of_types.get(scan_type.as_str()))
    }

    /// The limits of starts, if one of them may be reached; then tell it by [`Reached::tell_starts`].
    pub const fn starts_in_question(&self) -> Option<StartsMax> {
        self.starts
    }

    /// What [`Store::starts_reached`] answered.
    pub fn tell_starts(&mut self, reached: Option<ReachedLimit>) {
        self.all = self.all.take().or(reached);
    }
}

/// How many tasks the tenant may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartsMax {
    hour: Option<i32>,
    day: Option<i32>,
}

/// The limits of running tasks that are reached. Served by the keys of `lane` and `share`; a tenant has as many
/// lanes as there are kinds of tasks it ever asked for.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn reached(tx: &mut TenantTx) -> Result<Reached, StoreError> {
    let lanes = sqlx::query!(
        r#"
        select l.scan_type, sum(l.running) as "running!", bool_or(l.blocked and l.waiting > 0) as "blocked!",
               (s.type_max ->> l.scan_type)::int as type_max, s.running_max as "running_max?",
               s.starts_hour_max as "starts_hour_max?", s.starts_day_max as "starts_day_max?"
        from control.lane l left join control.share s on s.tenant_id = l.tenant_id
        where l.tenant_id = $1 group by l.scan_type, s.tenant_id
        "#,
        tx.tenant()
    )
    .fetch_all(tx.connection())
    .await?;
    let Some(share) = lanes.first() else {
        return Ok(Reached::default());
    };
    let running: i64 = lanes.iter().map(|lane| lane.running).sum();
    let mut reached = Reached {
        all: at(QuotaLimit::TasksRunning.into(), share.running_max, running),
        ..Reached::default()
    };
    let starts = StartsMax {
        hour: share.starts_hour_max,
        day: share.starts_day_max,
    };
    let mut unexplained = false;
    for lane in lanes {
        let scan_type = ScanType::parse(&lane.scan_type)
            .map_err(|_| StoreError::unreadable("scan type", &lane.scan_type))?;
        match at(QuotaName::TasksRunningOf(scan_type), lane.type_max, lane.running) {
            Some(limit) => _ = reached.of_types.insert(lane.scan_type, limit),
            None => unexplained |= lane.blocked,
        }
    }
    if unexplained && reached.all.is_none() && (starts.hour.is_some() || starts.day.is_some()) {
        reached.starts = Some(starts);
    }
    Ok(reached)
}

impl Store {
    /// The limit of starts that the tenant has reached; of two the one that has room later. Looks into the key
    /// of `start_count`, and one along its at most 289 rows of a day.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn starts_reached(
        &self,
        scope: &TenantScope,
        max: StartsMax,
    ) -> Result<Option<ReachedLimit>, StoreError> {
        let limits = [
            (QuotaLimit::TasksPerDay, max.day),
            (QuotaLimit::TasksPerHour, max.hour),
        ];
        let rows = sqlx::query!(
            r#"
            select coalesce(x.used, 0) as "used!", r.bucket + x.span as room_at
            from (select) one
            left join control.starts_used($1, true) u on true
            cross join lateral (values (1, u.in_day, $2::int, interval '1445 minutes'),
                                       (2, u.in_hour, $3, interval '65 minutes')) x(n, used, value, span)
            -- when it is past, fewer are left than the limit
            left join lateral (select c.bucket from control.start_count c
                               where c.tenant_id = $1 and c.bucket > now() - x.span and u.total - c.total < x.value
                               order by c.bucket limit 1) r on true
            order by x.n
            "#,
            scope.tenant_id().uuid(),
            max.day,
            max.hour
        )
        .fetch_all(&self.dispatch)
        .await?;
        let told = limits.into_iter().zip(rows).filter_map(|((limit, value), row)| {
            let reached = at(limit.into(), value, row.used)?;
            Some(ReachedLimit {
                room_at: row.room_at,
                ..reached
            })
        });
        // nobody knows when a limit of none has room
        Ok(told.max_by_key(|limit| (limit.room_at.is_none(), limit.room_at)))
    }
}

/// The limit, if there is one and all of it is used.
fn at(name: QuotaName, value: Option<i32>, used: i64) -> Option<ReachedLimit> {
    let value = value.filter(|value| used >= i64::from(*value))?;
    Some(ReachedLimit {
        name: name.to_string(),
        value: u64::try_from(value).unwrap_or(0),
        used: u64::try_from(used).unwrap_or(0),
        room_at: None,
    })
}
