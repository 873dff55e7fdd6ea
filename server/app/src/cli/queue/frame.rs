//! One frame of `tamiz queue top`: what was read, as text that fits a terminal and as JSON.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tamiz_core::text::printable;
use tamiz_store::pause::Pause;
use tamiz_store::queue_view::{QueueRow, TenantQueue};
use tamiz_store::worker::{WorkerRow, WorkerState};

use super::top::Sort;

/// Lines above the table: the time, the workers, the table's head.
const LINES_ABOVE: usize = 5;
/// A tenant's name is cut to this, in characters.
const NAME_CHARACTERS_MAX: usize = 30;
/// The name of all tenants together.
const ALL: &str = "(all)";

/// A column of the table: its head, and its place among those that go first on a narrow terminal (0 stays).
const COLUMNS: [(&str, u8); 10] = [
    ("TENANT", 0),
    ("SCANS", 0),
    ("WAIT", 0),
    ("RUN", 0),
    ("LIMIT", 3),
    ("OLDEST", 1),
    ("END/MIN", 2),
    ("LATER", 4),
    ("P50", 6),
    ("P99", 5),
];

/// What may be shown, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// None is as wide as it needs.
    pub(super) columns: Option<u16>,
    /// None is as high as it needs.
    pub(super) rows: Option<u16>,
}

/// Workers that are not gone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fleet {
    live: usize,
    idle: usize,
    busy: usize,
    failing: usize,
    slots: i64,
    free_slots: i64,
}

/// What the queue looked like.
#[derive(Debug)]
pub(super) struct Frame {
    at: DateTime<Utc>,
    totals: Vec<QueueRow>,
    tenants: Vec<TenantQueue>,
    pauses: Vec<Pause>,
    fleet: Fleet,
}

impl Frame {
    pub(super) fn of(
        totals: Vec<QueueRow>,
        mut tenants: Vec<TenantQueue>,
        pauses: Vec<Pause>,
        workers: &[WorkerRow],
        sort: Sort,
    ) -> Self {
        let mut fleet = Fleet::default();
        for worker in workers
            .iter()
            .filter(|worker| worker.state != WorkerState::Offline)
        {
            fleet.live += 1;
            fleet.slots += i64::from(worker.slots);
            fleet.free_slots += i64::from(worker.free_slots);
            match worker.state {
                WorkerState::Idle => fleet.idle += 1,
                WorkerState::Busy => fleet.busy += 1,
                WorkerState::Error => fleet.failing += 1,
                _ => {}
            }
        }
        tenants.sort_by(|one, other| ordered(sort, one, other));
        Self {
            at: Utc::now(),
            totals,
            tenants,
            pauses,
            fleet,
        }
    }

    /// Lines that are no longer and no more than `size` says.
    pub(super) fn text(&self, size: Size) -> String {
        let sum = |of: fn(&QueueRow) -> i64| self.totals.iter().map(of).sum::<i64>();
        let fleet = &self.fleet;
        let ended: f64 = self.totals.iter().map(|row| row.ended_per_minute).sum();
        let mut lines = vec![
            format!(
                "tamiz queue  {}  waiting {}  later {}  running {}  ended {ended:.0}/min",
                self.at.format("%H:%M:%SZ"),
                sum(|row| row.waiting),
                sum(|row| row.scheduled),
                sum(|row| row.running),
            ),
            format!(
                "workers {}: {} idle, {} busy, {} failing  slots {} of {} free",
                fleet.live, fleet.idle, fleet.busy, fleet.failing, fleet.free_slots, fleet.slots
            ),
            self.pauses_line(),
            String::new(),
        ];
        lines.extend(table(&self.cells(), size.columns.map(usize::from)));
        if let Some(rows) = size.rows.map(usize::from)
            && lines.len() > rows
        {
            let shown = rows.saturating_sub(1);
            let hidden = lines.len() - shown;
            lines.truncate(shown);
            // a screen that has no room for the table has none for this either
            if rows > LINES_ABOVE {
                lines.push(format!("… {hidden} more"));
            }
        }
        let width = size.columns.map_or(usize::MAX, usize::from);
        let lines = lines
            .iter()
            .map(|line| line.chars().take(width).collect::<String>());
        let mut text = lines.collect::<Vec<_>>().join("\n");
        // a line break in the last row would scroll the head away
        if size.rows.is_none() {
            text.push('\n');
        }
        text
    }

    fn pauses_line(&self) -> String {
        if self.pauses.is_empty() {
            return "nothing is paused".to_owned();
        }
        let words = |pause: &Pause| {
            let whose = pause
                .tenant
                .map_or_else(|| "everybody".to_owned(), |id| self.name_of(id.into()));
            let what = pause.scan_type.as_deref().unwrap_or("all");
            format!("{whose} {what}")
        };
        let words: Vec<String> = self.pauses.iter().map(words).collect();
        format!("paused: {}", words.join(", "))
    }

    fn name_of(&self, id: tamiz_core::TenantId) -> String {
        let tenant = self.tenants.iter().find(|tenant| tenant.tenant == id);
        tenant.map_or_else(|| id.to_string(), |tenant| shown(&tenant.name))
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let head = COLUMNS.iter().map(|(head, _)| (*head).to_owned()).collect();
        let all = self.totals.iter().map(|row| cells_of(ALL, row, None));
        let tenants = self.tenants.iter().flat_map(|tenant| {
            let name = shown(&tenant.name);
            tenant
                .rows
                .iter()
                .map(move |row| cells_of(&name, row, tenant.running_max))
        });
        std::iter::once(head).chain(all).chain(tenants).collect()
    }

    pub(super) fn json(&self) -> Value {
        let rows = |rows: &[QueueRow]| rows.iter().map(json_of).collect::<Vec<_>>();
        let tenants = self.tenants.iter().map(|tenant| {
            json!({
                "tenantId": tenant.tenant, "tenantName": tenant.name, "weight": tenant.weight,
                "runningMax": tenant.running_max, "scanTypes": rows(&tenant.rows),
            })
        });
        let pauses = self.pauses.iter().map(|pause| {
            json!({
                "tenantId": pause.tenant, "scanType": pause.scan_type, "reason": pause.reason,
                "pausedAt": pause.since,
            })
        });
        let fleet = &self.fleet;
        json!({
            "at": self.at,
            "scanTypes": rows(&self.totals),
            "tenants": tenants.collect::<Vec<_>>(),
            "pauses": pauses.collect::<Vec<_>>(),
            "workers": {
                "live": fleet.live, "idle": fleet.idle, "busy": fleet.busy, "failing": fleet.failing,
                "slots": fleet.slots, "freeSlots": fleet.free_slots,
            },
        })
    }
}

fn json_of(row: &QueueRow) -> Value {
    json!({
        "scanType": row.scan_type, "waiting": row.waiting, "scheduled": row.scheduled, "running": row.running,
        "oldestWaitSeconds": row.oldest_wait_seconds, "runningMax": row.running_max, "atLimit": row.at_limit,
        "paused": row.paused, "claimedPerMinute": row.claimed_per_minute,
        "endedPerMinute": row.ended_per_minute, "claimP50Seconds": row.claim_p50_seconds,
        "claimP99Seconds": row.claim_p99_seconds,
    })
}

/// In the order of [`COLUMNS`].
fn cells_of(name: &str, row: &QueueRow, of_all_types: Option<i32>) -> Vec<String> {
    let limit = match (row.running_max, of_all_types) {
        (Some(limit), Some(all)) => limit.min(all).to_string(),
        (Some(limit), None) | (None, Some(limit)) => limit.to_string(),
        (None, None) => "-".to_owned(),
    };
    let held = match (row.paused, row.at_limit) {
        (true, _) => " paused",
        (false, true) => " full",
        (false, false) => "",
    };
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), span);
    vec![
        name.to_owned(),
        row.scan_type.clone(),
        row.waiting.to_string(),
        row.running.to_string(),
        format!("{limit}{held}"),
        time(row.oldest_wait_seconds),
        format!("{:.0}", row.ended_per_minute),
        row.scheduled.to_string(),
        time(row.claim_p50_seconds),
        time(row.claim_p99_seconds),
    ]
}

/// As wide as `columns` says: what matters least goes first.
fn table(rows: &[Vec<String>], columns: Option<usize>) -> Vec<String> {
    let width = |column: usize| {
        let widths = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut kept: Vec<usize> = (0..COLUMNS.len()).collect();
    while let Some(columns) = columns
        && kept.iter().map(|column| widths[*column] + 2).sum::<usize>() > columns + 2
        && let Some(least) = kept.iter().copied().max_by_key(|column| COLUMNS[*column].1)
        && COLUMNS[least].1 > 0
    {
        kept.retain(|column| *column != least);
    }
    let line = |row: &Vec<String>| {
        let cells = kept.iter().map(|column| {
            let (cell, width) = (&row[*column], widths[*column]);
            // names to the left, numbers to the right
            if *column < 2 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

fn ordered(sort: Sort, one: &TenantQueue, other: &TenantQueue) -> Ordering {
    let largest = |value: fn(&QueueRow) -> f64, sum: fn(f64, f64) -> f64| {
        let of = |tenant: &TenantQueue| tenant.rows.iter().map(value).fold(0.0, sum);
        of(other).total_cmp(&of(one))
    };
    let add = |one: f64, other: f64| one + other;
    let by = match sort {
        Sort::Waiting => largest(|row| row.waiting as f64, add),
        Sort::Running => largest(|row| row.running as f64, add),
        Sort::Oldest => largest(|row| row.oldest_wait_seconds.unwrap_or(0.0), f64::max),
        Sort::Ended => largest(|row| row.ended_per_minute, add),
        Sort::Name => Ordering::Equal,
    };
    by.then_with(|| one.name.cmp(&other.name))
}

/// A name that a tenant gave itself, fit for a terminal.
fn shown(name: &str) -> String {
    printable(name).chars().take(NAME_CHARACTERS_MAX).collect()
}

/// `1.2ms`, `3.4s`, `5m`, `2h`.
fn span(seconds: f64) -> String {
    match seconds {
        short if short < 1.0 => format!("{:.1}ms", short * 1_000.0),
        short if short < 100.0 => format!("{short:.1}s"),
        some if some < 6_000.0 => format!("{:.0}m", some / 60.0),
        long => format!("{:.0}h", long / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use tamiz_core::TenantId;

    use super::*;

    fn tenant(name: &str, waiting: i64, oldest: f64) -> TenantQueue {
        TenantQueue {
            tenant: TenantId::fresh(),
            name: name.to_owned(),
            weight: 1.0,
            running_max: Some(8),
            refusals: Vec::new(),
            rows: vec![QueueRow {
                scan_type: "codeaudit".to_owned(),
                waiting,
                running: 2,
                running_max: Some(2),
                at_limit: true,
                oldest_wait_seconds: Some(oldest),
                ..QueueRow::default()
            }],
        }
    }

    fn frame(tenants: Vec<TenantQueue>, sort: Sort) -> Frame {
        let totals = vec![QueueRow {
            scan_type: "codeaudit".to_owned(),
            waiting: 12,
            ..QueueRow::default()
        }];
        Frame::of(totals, tenants, Vec::new(), &[], sort)
    }

    #[test]
    fn a_frame_fits_the_terminal_and_a_name_cannot_steer_it() {
        let tenants = vec![tenant("a\x1b[2J", 3, 90.0), tenant("b", 9, 2.0)];
        let frame = frame(tenants, Sort::Waiting);
        let wide = frame.text(Size {
            columns: None,
            rows: None,
        });
        assert!(!wide.contains('\x1b'), "{wide:?}");
        assert!(wide.contains("P99"), "{wide}");
        let line = wide.lines().find(|line| line.starts_with("b ")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..7], ["codeaudit", "9", "2", "2", "full", "2.0s"]);
        for (columns, rows) in [(40, 7), (60, 24), (20, 5), (20, 2), (1, 1)] {
            let text = frame.text(Size {
                columns: Some(columns),
                rows: Some(rows),
            });
            assert!(text.lines().count() <= usize::from(rows), "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= columns.into()),
                "{text}"
            );
        }
        let narrow = frame.text(Size {
            columns: Some(45),
            rows: Some(24),
        });
        assert!(narrow.contains("WAIT") && !narrow.contains("P50"), "{narrow}");
    }

    #[test]
    fn tenants_stand_in_the_order_that_was_asked_for() {
        let names = |sort| {
            let tenants = vec![tenant("b", 3, 90.0), tenant("a", 3, 2.0), tenant("c", 9, 1.0)];
            let names = frame(tenants, sort).tenants.into_iter().map(|tenant| tenant.name);
            names.collect::<String>()
        };
        assert_eq!(names(Sort::Waiting), "cab");
        assert_eq!(names(Sort::Oldest), "bac");
        assert_eq!(names(Sort::Name), "abc");
        assert_eq!(names(Sort::Running), "abc");
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [(0.0012, "1.2ms"), (3.44, "3.4s"), (300.0, "5m"), (7_200.0, "2h")] {
            assert_eq!(span(seconds), text);
        }
    }
}
