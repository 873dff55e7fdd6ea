//! All rows that imports left of a project's alerts, with ids and times named by the import that wrote them.

use crate::harness::App;

/// Imports by their number, with the time of the transaction that stored each.
const IMPORTS: &str = "with import as (
    select k.id, row_number() over (order by k.created_at, k.id) as number, r.created_at as stored_at
    from tenant.task k left join tenant.scan_result r on r.task_id = k.id where k.project_id = '$project')";

/// Per table: what is told of a row, and where the rows of the project are. `$at(x)` is the import that stored at `x`,
/// `$task(x)` the number of the import with that id.
const TABLES: [(&str, &str, &str); 10] = [
    (
        "scan_scope",
        "encode(s.key, 'hex'), s.scan_type, s.tool, s.target, s.branch, s.environment, s.category, $at(s.created_at),
         $task(s.task_id), $at(s.scanned_at)",
        "tenant.scan_scope s where s.project_id = '$project'",
    ),
    (
        "alert",
        "encode(a.fingerprint, 'hex'), a.fingerprint_version, a.kind, a.source_tool, a.content_id, a.state, a.severity,
         a.tool_severity, a.severity_override, encode(s.key, 'hex'), $at(a.first_seen_at), $at(a.last_seen_at),
         $task(a.first_task_id), a.dismissed_reason, a.assignee, a.due_on",
        "tenant.alert a left join tenant.scan_scope s on s.id = a.scope_id where a.project_id = '$project'",
    ),
    (
        "alert_occurrence",
        "encode(a.fingerprint, 'hex'), encode(s.key, 'hex'), o.place, encode(o.fingerprint, 'hex'), o.content_id, o.line,
         encode(o.lines, 'hex'), o.tool_id, $at(o.first_seen_at), $at(o.last_seen_at)",
        "tenant.alert_occurrence o join tenant.alert a on a.id = o.alert_id
         left join tenant.scan_scope s on s.id = o.scope_id where a.project_id = '$project'",
    ),
    (
        "alert_event",
        "encode(a.fingerprint, 'hex'), e.kind, $task(e.task_id), e.actor, e.before, e.after, e.comment, $at(e.created_at)",
        "tenant.alert_event e join tenant.alert a on a.id = e.alert_id where a.project_id = '$project'",
    ),
    (
        "alert_count",
        "c.state, c.severity, c.alerts",
        "tenant.alert_count c where c.project_id = '$project' and c.alerts > 0",
    ),
    (
        // a run may pass midnight
        "alert_day",
        "d.severity, sum(d.opened), sum(d.fixed), sum(d.reopened), sum(d.dismissed)",
        "tenant.alert_day d where d.project_id = '$project' group by d.severity",
    ),
    (
        "finding",
        "$task(f.task_id), encode(a.fingerprint, 'hex'), f.content_id, f.source_tool, f.severity,
         encode(f.fingerprint, 'hex'), f.fingerprint_version, f.evidence_ref, f.expires_on, $at(f.created_at)",
        "tenant.finding f left join tenant.alert a on a.id = f.alert_id where f.project_id = '$project'",
    ),
    (
        "finding_occurrence",
        "$task(f.task_id), f.content_id, o.ordinal, o.locations, o.report_offset, o.report_length, o.expires_on",
        "tenant.finding_occurrence o join tenant.finding f on f.id = o.finding_id where f.project_id = '$project'",
    ),
    (
        "finding_content",
        "to_jsonb(c) - array['tenant_id', 'project_id']",
        "tenant.finding_content c where c.project_id = '$project'",
    ),
    (
        "scan_result",
        "$task(r.task_id), r.summary, regexp_replace(r.storage_path, '^t/[^/]+', 't'), r.findings_expire_on",
        "tenant.scan_result r join tenant.task k on k.id = r.task_id where k.project_id = '$project'",
    ),
];

/// The rows of each table, sorted, one a line.
pub(crate) fn of(app: &App, project: &str) -> Vec<(&'static str, Vec<String>)> {
    let tables = TABLES.into_iter().map(|(table, told, from)| {
        let statement =
            format!("{IMPORTS} select jsonb_build_array({told})::text as row from {from} order by 1");
        let statement = named(&statement, "$at(", "stored_at").replace("$project", project);
        let rows = app.sql(&named(&statement, "$task(", "id"));
        (table, rows.lines().map(str::to_owned).collect())
    });
    tables.collect()
}

/// Replaces `$name(x)` by the number of the import whose column is `x`; a value that no import has stays itself.
fn named(statement: &str, name: &str, column: &str) -> String {
    let mut text = String::new();
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once(name) {
        let (value, after) = after.split_once(')').expect("a closing parenthesis");
        let number = format!("(select 'import ' || number from import where {column} = {value})");
        let number = format!("case when {value} is not null then coalesce({number}, {value}::text) end");
        text = [&text, before, &number].concat();
        rest = after;
    }
    text + rest
}

/// Fails with the first rows that differ.
pub(crate) fn check_equal(app: &App, calm: &str, disturbed: &str) {
    for ((table, expected), (_, found)) in of(app, calm).into_iter().zip(of(app, disturbed)) {
        let is_expected = |row: &&String| expected.binary_search(row).is_ok();
        let more: Vec<&String> = found.iter().filter(|row| !is_expected(row)).take(3).collect();
        let less: Vec<&String> = expected
            .iter()
            .filter(|row| !found.contains(row))
            .take(3)
            .collect();
        assert!(!expected.is_empty(), "{table}: nothing to compare");
        assert!(
            expected == found,
            "{table}: {} rows instead of {}; unexpected {more:#?}; missing {less:#?}",
            found.len(),
            expected.len()
        );
    }
}
