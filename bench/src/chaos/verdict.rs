//! Did every task end once in effect, and is nothing left? Reads the rows that no client sees.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::orders::{Kind, Order, Orders};
use super::postgres::Postgres;
use crate::Outcome;

/// One task with all that hangs on it.
const TASKS: &str = "
    select t.id, t.status, t.retries, t.event_seq::int8 as event_seq, t.started_at,
           f.findings, f.contents, e.events, e.last_event, e.ends,
           a.attempts, a.lost, a.open, a.finals, a.final_outcome,
           (select count(*) from tenant.scan_result r where r.tenant_id = t.tenant_id and r.task_id = t.id)
               as results,
           r.reports, r.report_rows
    from tenant.task t
    cross join lateral (
        select count(*) as findings, count(distinct content_id) as contents
        from tenant.finding f where f.tenant_id = t.tenant_id and f.task_id = t.id) f
    cross join lateral (
        select count(*) as events, coalesce(max(seq), 0)::int8 as last_event,
               count(*) filter (where phase = 'done') as ends
        from tenant.task_event e where e.tenant_id = t.tenant_id and e.task_id = t.id) e
    cross join lateral (
        select count(*) as attempts, count(*) filter (where outcome = 'lost') as lost,
               count(*) filter (where outcome is null) as open,
               count(*) filter (where outcome not in ('lost', 'retrying')) as finals,
               max(outcome) filter (where outcome not in ('lost', 'retrying')) as final_outcome
        from tenant.task_attempt a where a.tenant_id = t.tenant_id and a.task_id = t.id) a
    cross join lateral (
        select count(*) as report_rows, count(distinct storage_path) as reports
        from tenant.artifact r where r.tenant_id = t.tenant_id and r.task_id = t.id and r.kind = 'report') r";

#[derive(Debug, Deserialize)]
struct TaskRow {
    id: Uuid,
    status: String,
    retries: i32,
    event_seq: i64,
    started_at: Option<DateTime<Utc>>,
    findings: i64,
    contents: i64,
    events: i64,
    last_event: i64,
    ends: i64,
    attempts: i64,
    lost: i64,
    open: i64,
    finals: i64,
    final_outcome: Option<String>,
    results: i64,
    reports: i64,
    report_rows: i64,
}

/// What must be zero in the end, in words.
const LEFT: [(&str, &str); 8] = [
    ("tickets", "select count(*) from control.ticket"),
    (
        "lanes with counters",
        "select count(*) from control.lane where waiting <> 0 or running <> 0 or scheduled <> 0",
    ),
    (
        "lanes that drifted",
        "select count(*) from control.queue_drift(false)",
    ),
    (
        "tenants whose used tasks are not their tasks",
        "select count(*) from control.tenant n
         where (select count(*) from tenant.task t where t.tenant_id = n.id)
            <> (select coalesce(sum(tasks_count), 0) from control.quota_usage u where u.tenant_id = n.id)",
    ),
    (
        "tenants whose stored bytes are not those of their blobs",
        "select count(*) from control.storage s
         where stored_bytes <> (select coalesce(sum(size_bytes), 0) from tenant.blob b where b.tenant_id = s.tenant_id)",
    ),
    (
        "tenants whose reserved bytes are not those of their reservations",
        "select count(*) from control.storage s
         where reserved_bytes
            <> (select coalesce(sum(bytes), 0) from control.storage_reservation r where r.tenant_id = s.tenant_id)",
    ),
    (
        "reservations of attempts that ended",
        "select count(*) from control.storage_reservation r
         join tenant.task_attempt a on (a.tenant_id, a.task_id, a.attempt) = (r.tenant_id, r.task_id, r.attempt)
         where a.outcome is not null",
    ),
    (
        "dead workers that are not offline",
        "select count(*) from control.worker where state <> 'offline' and heartbeat_at < now() - interval '1 minute'",
    ),
];

const RESERVATIONS: &str = "select count(*) from control.storage_reservation";
/// Lets all reservations run out; nothing of them may be left.
const EXPIRE: [&str; 2] = [
    "update control.storage_reservation set expires_at = now() - interval '1 second'",
    "select control.expire_reservations(1000000)",
];
const STILL_RESERVED: &str = "select (select count(*) from control.storage_reservation)
    + (select count(*) from control.storage where reserved_bytes <> 0)";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<String>,
    pub(crate) tasks: usize,
    pub(crate) by_status: HashMap<String, usize>,
    pub(crate) attempts: i64,
    pub(crate) lost: i64,
    pub(crate) retries: i64,
    /// Reservations of those who died, before they ran out.
    pub(crate) reservations: String,
}

/// Reads everything; nothing may run any more.
pub(crate) fn reach(postgres: &Postgres, orders: &Orders) -> Outcome<Verdict> {
    let mut verdict = Verdict::default();
    let rows = postgres.ask(&format!("select coalesce(json_agg(t), '[]') from ({TASKS}) t"))?;
    let rows: Vec<TaskRow> = serde_json::from_str(&rows)?;
    let mut asked: HashMap<Uuid, &Order> = orders.all.iter().map(|order| (order.id, order)).collect();
    let begins = orders.begins();
    for row in rows {
        verdict.tasks += 1;
        verdict.attempts += row.attempts;
        verdict.lost += row.lost;
        verdict.retries += i64::from(row.retries);
        *verdict.by_status.entry(row.status.clone()).or_default() += 1;
        let wrong = match asked.remove(&row.id) {
            None => Some("nobody asked for it"),
            Some(order) => judge(&row, order, begins.get(&row.id).copied()),
        };
        if let Some(wrong) = wrong {
            verdict
                .violations
                .push(format!("task {}: {wrong}: {row:?}", row.id));
        }
    }
    let missing = asked
        .into_keys()
        .map(|id| format!("task {id}: acknowledged and not there"));
    verdict.violations.extend(missing);
    for (what, query) in LEFT {
        let count = postgres.ask(query)?;
        if count != "0" {
            verdict.violations.push(format!("{count} {what}"));
        }
    }
    verdict.reservations = postgres.ask(RESERVATIONS)?;
    for statement in EXPIRE {
        postgres.ask(statement)?;
    }
    if postgres.ask(STILL_RESERVED)? != "0" {
        verdict.violations.push("bytes are reserved by nobody".to_owned());
    }
    Ok(verdict)
}

/// What is wrong with a task, if anything.
fn judge(row: &TaskRow, order: &Order, not_before: Option<DateTime<Utc>>) -> Option<&'static str> {
    let findings = i64::try_from(order.findings).unwrap_or(i64::MAX);
    let status = row.status.as_str();
    let expected = match order.kind {
        Kind::Import | Kind::Web | Kind::Scan | Kind::Later => status == "completed",
        Kind::Corrupt => status == "failed",
        // the cancel may have come too late
        Kind::Cancelled => status == "cancelled" || status == "completed",
    };
    let completed = status == "completed";
    let scanned = matches!(order.kind, Kind::Scan | Kind::Later);
    let checks = [
        (expected, "it ended otherwise"),
        (
            !completed || row.findings == findings,
            "it does not have its report's findings",
        ),
        (
            status != "cancelled" || row.findings == 0,
            "it was cancelled and has findings",
        ),
        (row.findings == row.contents, "findings are doubled"),
        (row.open == 0, "an attempt is open"),
        (
            // one that was cancelled while it waited was nobody's
            row.finals == 1 || (status == "cancelled" && row.finals == 0),
            "not one attempt ended it",
        ),
        (
            row.finals == 0 || row.final_outcome.as_deref() == Some(status),
            "its last attempt ended otherwise",
        ),
        (row.ends == 1, "its end is not told once"),
        (
            row.events == row.last_event && row.events == row.event_seq,
            "its events have gaps",
        ),
        (
            if completed {
                row.results == 1
            } else {
                row.results <= 1
            },
            "it does not have one result",
        ),
        (
            not_before.is_none_or(|time| row.started_at.is_some_and(|began| began >= time)),
            "it began before its time",
        ),
        // each try of a scan keeps what its tool wrote
        (
            !completed || row.reports == 1 && (scanned || row.report_rows == 1),
            "its report is not kept once",
        ),
    ];
    checks
        .into_iter()
        .find(|(holds, _)| !holds)
        .map(|(_, wrong)| wrong)
}
