//! Pages: their order, what they leave out, and what the database reads for them.

use serde_json::Value;
use sqlx::{Postgres, QueryBuilder};
use tamiz_core::{AlertId, AlertState, Severity};

use super::field::Field;
use crate::alert::page::Asked;
use crate::alert::{AlertFilter, AlertOrder, AlertRow, counts_under, pages_of};
use crate::page::{PageLimit, Window};
use crate::row_count::RowCount;

fn in_states(states: &[AlertState]) -> AlertFilter {
    AlertFilter {
        states: states.to_vec(),
        ..AlertFilter::default()
    }
}

/// All pages of `rows` each, one after the other.
async fn walk(field: &Field, filter: &AlertFilter, order: AlertOrder, rows: u32) -> Vec<AlertId> {
    let (mut seen, mut after) = (Vec::new(), None);
    let mut tx = field.begin().await;
    loop {
        let limit = PageLimit::new(rows).unwrap();
        let window = Window::after(after.clone(), limit);
        let pages = pages_of(&mut tx, &[field.project], filter, order, &window).await;
        let Some(page) = pages.unwrap().remove(&field.project) else {
            return seen;
        };
        after = page.rows.last().map(AlertRow::position);
        seen.extend(page.rows.iter().map(|row| AlertId::from(row.id)));
        if !page.has_next {
            return seen;
        }
    }
}

/// All pages from the end of the list, in the list's order.
async fn walk_back(field: &Field, filter: &AlertFilter, order: AlertOrder, rows: u32) -> Vec<AlertId> {
    let (mut seen, mut before) = (Vec::new(), None);
    let mut tx = field.begin().await;
    loop {
        let window = Window::after(before.clone(), PageLimit::new(rows).unwrap()).turned();
        let pages = pages_of(&mut tx, &[field.project], filter, order, &window).await;
        let Some(page) = pages.unwrap().remove(&field.project) else {
            return seen;
        };
        before = page.rows.first().map(AlertRow::position);
        let page_ids = page.rows.iter().map(|row| AlertId::from(row.id));
        seen.splice(0..0, page_ids);
        if !page.has_previous {
            return seen;
        }
    }
}

/// The same by one plain sort.
async fn sorted(field: &mut Field, condition: &str, order: AlertOrder) -> Vec<AlertId> {
    let lane =
        "case when a.last_seen_at is null then s.id else '00000000-0000-0000-0000-000000000000' end desc";
    let seen = "coalesce(a.last_seen_at, s.scanned_at)";
    let order = match order {
        AlertOrder::SeverityDesc => format!("a.severity desc, {seen} desc, {lane}, a.id desc"),
        AlertOrder::LastSeenDesc => format!("{seen} desc, {lane}, a.severity desc, a.id desc"),
    };
    field
        .ids(&format!(
            "select a.id from tenant.alert a join tenant.scan_scope s on s.id = a.scope_id
             join tenant.finding_content c on c.id = a.content_id where {condition} order by {order}"
        ))
        .await
}

#[tokio::test]
async fn pages_of_both_orders_tell_each_alert_once_as_a_plain_sort_has_them() {
    use AlertState::{Dismissed, Fixed, Open, Reopened};
    let mut field = Field::with(900).await;
    for order in [AlertOrder::SeverityDesc, AlertOrder::LastSeenDesc] {
        for (filter, condition) in [
            (in_states(&[]), "a.state in (0, 1)"),
            (in_states(&[Fixed]), "a.state = 3"),
            (in_states(&[Dismissed, Fixed]), "a.state in (2, 3)"),
            (in_states(&[Open, Reopened, Dismissed, Fixed]), "true"),
        ] {
            let wanted = sorted(&mut field, condition, order).await;
            assert!(wanted.len() > 200, "{condition}");
            for rows in [7, 100] {
                let label = format!("{order:?} {condition} by {rows}");
                assert_eq!(walk(&field, &filter, order, rows).await, wanted, "{label}");
                assert_eq!(walk_back(&field, &filter, order, rows).await, wanted, "{label}");
            }
        }
    }
    field.end().await;
}

/// Filters, each with the condition that says the same in SQL.
fn filters() -> Vec<(AlertFilter, &'static str)> {
    type Narrow = fn(&mut AlertFilter);
    let narrowed: [(Narrow, &'static str); 12] = [
        (
            |all| all.severities = vec![Severity::High, Severity::Info],
            "a.severity in (0, 3)",
        ),
        (|all| all.tools = vec!["bandit".into()], "s.tool = 'bandit'"),
        (
            |all| all.rules = vec!["rule-3".into(), "rule-4".into()],
            "c.rule_id in ('rule-3', 'rule-4')",
        ),
        (|all| all.cwe = vec![7], "c.cwe = '{7}'"),
        (
            |all| all.file = Some("src/part-1/".into()),
            "c.file_path = 'src/part-1/file.py'",
        ),
        (
            |all| all.file = Some("src/part-1/file.py".into()),
            "c.file_path = 'src/part-1/file.py'",
        ),
        (|all| all.file = Some("src/part-1".into()), "false"),
        (|all| all.assignee = Some("bob".into()), "a.assignee = 'bob'"),
        (|all| all.assignee = Some(String::new()), "a.assignee is null"),
        (
            |all| all.branch = Some("branch-2".into()),
            "s.branch = 'branch-2'",
        ),
        (|all| all.environment = Some("staging".into()), "false"),
        (|all| all.overdue = true, "a.due_on is not null and a.state < 2"),
    ];
    let filters = narrowed.into_iter().map(|(narrow, condition)| {
        let mut filter = in_states(AlertState::ALL);
        narrow(&mut filter);
        (filter, condition)
    });
    filters.collect()
}

#[tokio::test]
async fn filters_pick_what_they_name_and_are_counted_alike() {
    let mut field = Field::with(900).await;
    field
        .sql(
            "update tenant.alert set assignee = 'bob', due_on = '2026-01-01' where id in
              (select id from tenant.alert order by fingerprint limit 100)",
        )
        .await;
    for (filter, condition) in filters() {
        let wanted = sorted(&mut field, condition, AlertOrder::SeverityDesc).await;
        assert_eq!(
            walk(&field, &filter, AlertOrder::SeverityDesc, 50).await,
            wanted,
            "{condition}"
        );
        let mut tx = field.begin().await;
        let counts = counts_under(&mut tx, &[field.project], &filter).await.unwrap();
        let count = counts.get(&field.project).copied().unwrap_or(RowCount::NONE);
        assert_eq!(
            count,
            RowCount::exactly(i64::try_from(wanted.len()).unwrap()),
            "{condition}"
        );
    }
    field.end().await;
}

/// The plan of a page as it ran.
async fn plan(field: &Field, asked: &Asked<'_>) -> Value {
    let mut tx = field.begin().await;
    let mut query = QueryBuilder::<Postgres>::new("explain (analyze, costs off, timing off, format json) ");
    asked.push(&mut query, &[field.project]);
    query
        .build_query_scalar()
        .fetch_one(tx.connection())
        .await
        .unwrap()
}

/// Every node of a plan.
pub(super) fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(below.flat_map(nodes)).collect()
}

/// Rows of alerts that were read, and by which indexes.
fn read(plan: &Value) -> (f64, Vec<String>) {
    let all = nodes(&plan[0]["Plan"]);
    let alerts = all.iter().filter(|node| node["Relation Name"] == "alert");
    let (mut rows, mut indexes) = (0.0, Vec::new());
    for node in alerts {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let each = number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck");
        rows += each * number("Actual Loops");
        indexes.push(node["Index Name"].as_str().unwrap_or("none").to_owned());
    }
    indexes.sort();
    indexes.dedup();
    (rows, indexes)
}

#[tokio::test]
async fn a_page_reads_its_rows_by_the_named_indexes_and_hardly_more() {
    let field = Field::with(20_000).await;
    let limit = PageLimit::new(100).unwrap();
    let tenant = field.scope.tenant_id().uuid();
    for order in [AlertOrder::SeverityDesc, AlertOrder::LastSeenDesc] {
        for (filter, named, rows_max) in [
            // two states of a lane, and the page's alerts by id
            (
                in_states(&[]),
                vec!["alert_pkey", "alert_present_idx"],
                2 * 101 * 2 + 101,
            ),
            // a lane of each severity at most
            (
                in_states(&[AlertState::Fixed]),
                vec!["alert_gone_idx", "alert_pkey"],
                5 * 101 + 101,
            ),
            (
                in_states(AlertState::ALL),
                vec!["alert_gone_idx", "alert_pkey", "alert_present_idx"],
                2 * 3 * 101 + 10 * 101 + 101,
            ),
        ] {
            let mut tx = field.begin().await;
            let first = pages_of(&mut tx, &[field.project], &filter, order, &Window::first(limit))
                .await
                .unwrap();
            let first = first[&field.project].rows.last().map(AlertRow::position);
            drop(tx);
            let windows = [
                Window::first(limit),
                Window::after(first.clone(), limit),
                Window::first(limit).turned(),
                Window::after(first, limit).turned(),
            ];
            for window in &windows {
                let asked = Asked {
                    tenant,
                    filter: &filter,
                    order,
                    window,
                };
                let plan = plan(&field, &asked).await;
                let (rows, indexes) = read(&plan);
                assert_eq!(indexes, named, "{order:?} {filter:?}: {plan:#}");
                assert!(
                    rows <= f64::from(rows_max),
                    "{order:?} {filter:?} read {rows} rows: {plan:#}"
                );
            }
        }
    }
    field.end().await;
}
