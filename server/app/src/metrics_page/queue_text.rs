//! The queue's numbers as Prometheus reads them.
//!
//! Written by hand and not through the recorder, which never forgets a label: the tenants that are named
//! change with every look.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tamiz_store::queue_view::{LimitRefusals, QueueRow, TenantQueue};

/// The name that stands for all tenants that are not named.
const OTHERS: &str = "(others)";

/// Rows by their labels.
type Labelled<'a> = Vec<(String, &'a QueueRow)>;

/// All lines. `tenants` are those that are named; the rest of `totals` is summed up.
pub(super) fn lines(totals: &[QueueRow], tenants: &[TenantQueue], names_tenants: bool) -> String {
    let mut text = String::new();
    let sum = |of: fn(&QueueRow) -> i64| totals.iter().map(of).sum::<i64>();
    let states = [
        ("waiting", sum(|row| row.waiting + row.scheduled)),
        ("leased", sum(|row| row.running)),
    ];
    text.push_str("# TYPE tamiz_queue_tickets gauge\n");
    for (state, count) in states {
        put(
            &mut text,
            "tamiz_queue_tickets",
            &label("state", state),
            count as f64,
        );
    }
    let by_type: Labelled<'_> = totals
        .iter()
        .map(|row| (label("scan_type", &row.scan_type), row))
        .collect();
    gauges(&mut text, "tamiz_queue", &by_type);
    if names_tenants {
        let others = others(totals, tenants);
        let named = tenants
            .iter()
            .flat_map(|tenant| tenant.rows.iter().map(|row| (tenant.name.as_str(), row)));
        let rows = named.chain(others.iter().map(|row| (OTHERS, row)));
        let labels = |tenant: &str, row: &QueueRow| {
            format!(
                "{},{}",
                label("tenant", tenant),
                label("scan_type", &row.scan_type)
            )
        };
        let rows: Labelled<'_> = rows.map(|(tenant, row)| (labels(tenant, row), row)).collect();
        gauges(&mut text, "tamiz_tenant_queue", &rows);
    }
    text
}

/// How often which limit said no to the tenants that are named. There are no others to sum up: that sum would fall
/// when a tenant gets its name, and a counter does not fall. `tamiz_quota_refusals_total` is of all of them.
pub(super) fn refusals(refused: &[(String, LimitRefusals)]) -> String {
    let mut text = String::new();
    if !refused.is_empty() {
        text.push_str("# TYPE tamiz_tenant_quota_refusals_total counter\n");
    }
    for (tenant, refusals) in refused {
        let labels = format!("{},{}", label("tenant", tenant), label("limit", &refusals.limit));
        put(
            &mut text,
            "tamiz_tenant_quota_refusals_total",
            &labels,
            refusals.count as f64,
        );
    }
    text
}

fn gauges(text: &mut String, name: &str, rows: &Labelled<'_>) {
    type Value = fn(&QueueRow) -> f64;
    let values: [(&str, Value); 6] = [
        ("waiting", |row| row.waiting as f64),
        ("scheduled", |row| row.scheduled as f64),
        ("running", |row| row.running as f64),
        // nothing waits, so it waits for no time
        ("oldest_wait_seconds", |row| {
            row.oldest_wait_seconds.unwrap_or(0.0)
        }),
        ("ended_per_minute", |row| row.ended_per_minute),
        ("paused", |row| f64::from(u8::from(row.paused))),
    ];
    for (what, value) in values {
        let name = format!("{name}_{what}");
        // writing to a string does not fail
        let _ = writeln!(text, "# TYPE {name} gauge");
        for (labels, row) in rows {
            put(text, &name, labels, value(row));
        }
    }
}

/// What is left of `totals` beside `tenants`.
fn others(totals: &[QueueRow], tenants: &[TenantQueue]) -> Vec<QueueRow> {
    let mut named: BTreeMap<&str, QueueRow> = BTreeMap::new();
    for row in tenants.iter().flat_map(|tenant| &tenant.rows) {
        let sum = named.entry(&row.scan_type).or_default();
        sum.waiting += row.waiting;
        sum.scheduled += row.scheduled;
        sum.running += row.running;
        sum.ended_per_minute += row.ended_per_minute;
    }
    totals
        .iter()
        .map(|total| {
            let sum = named.remove(total.scan_type.as_str()).unwrap_or_default();
            QueueRow {
                scan_type: total.scan_type.clone(),
                // the two were read one after the other
                waiting: (total.waiting - sum.waiting).max(0),
                scheduled: (total.scheduled - sum.scheduled).max(0),
                running: (total.running - sum.running).max(0),
                ended_per_minute: (total.ended_per_minute - sum.ended_per_minute).max(0.0),
                ..QueueRow::default()
            }
        })
        .collect()
}

fn put(text: &mut String, name: &str, labels: &str, value: f64) {
    // writing to a string does not fail
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}

fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use tamiz_core::TenantId;

    use super::*;

    fn row(scan_type: &str, waiting: i64, running: i64) -> QueueRow {
        QueueRow {
            scan_type: scan_type.to_owned(),
            waiting,
            running,
            ..QueueRow::default()
        }
    }

    #[test]
    fn tenants_are_named_only_if_asked_for_and_the_rest_is_summed_up() {
        let totals = [row("codeaudit", 10, 2), row("web", 5, 0)];
        let tenants = [TenantQueue {
            tenant: TenantId::fresh(),
            name: "a \"b\"\\".to_owned(),
            weight: 1.0,
            running_max: None,
            rows: vec![row("codeaudit", 7, 1)],
            refusals: Vec::new(),
        }];
        let text = lines(&totals, &tenants, false);
        assert!(
            text.contains("tamiz_queue_tickets{state=\"waiting\"} 15\n"),
            "{text}"
        );
        assert!(
            text.contains("tamiz_queue_waiting{scan_type=\"web\"} 5\n"),
            "{text}"
        );
        assert!(!text.contains("tenant="), "{text}");
        let text = lines(&totals, &tenants, true);
        for line in [
            r#"tamiz_tenant_queue_waiting{tenant="a \"b\"\\",scan_type="codeaudit"} 7"#,
            r#"tamiz_tenant_queue_waiting{tenant="(others)",scan_type="codeaudit"} 3"#,
            r#"tamiz_tenant_queue_running{tenant="(others)",scan_type="codeaudit"} 1"#,
            r#"tamiz_tenant_queue_waiting{tenant="(others)",scan_type="web"} 5"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn refusals_are_told_by_tenant_and_limit() {
        assert_eq!(refusals(&[]), "");
        let refused = LimitRefusals {
            limit: "tasks-running.web".to_owned(),
            count: 3,
            refused_at: chrono::Utc::now(),
        };
        let text = refusals(&[("acme".to_owned(), refused)]);
        let line = r#"tamiz_tenant_quota_refusals_total{tenant="acme",limit="tasks-running.web"} 3"#;
        assert_eq!(text.lines().nth(1), Some(line), "{text}");
    }
}
