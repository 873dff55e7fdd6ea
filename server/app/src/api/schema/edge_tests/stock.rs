//! A tenant with rows of every kind, a thousand where it may have them: made by statements that multiply what a scan
//! stored.

use serde_json::json;
use tamiz_store::token::Caller;

use super::super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// Projects with rows, and before them those that only fill a page.
const FULL_PROJECTS: usize = 20;
const EMPTY_PROJECTS: usize = 80;
/// Alerts and findings of each project.
const FINDINGS: u32 = 50;

/// Statements of the superuser, in their order. There is one tenant, so none names it.
const ROWS: &[&str] = &[
    // 50 tasks of each project that has one, all of which wait, and a finding of each
    "insert into tenant.task (tenant_id, id, project_id, type, status, payload, phase)
     select t.tenant_id, gen_random_uuid(), t.project_id, t.type, t.status, t.payload, t.phase
     from tenant.task t, generate_series(1, 49)",
    "update tenant.finding f set task_id = t.id
     from (select id, project_id, row_number() over (partition by project_id order by id) as n from tenant.task) t
     join (select id, project_id, row_number() over (partition by project_id order by id) as n
           from tenant.finding) m on m.project_id = t.project_id and m.n = t.n
     where f.id = m.id",
    // five groups of each project, and schedules likewise
    "insert into tenant.task_group (tenant_id, id, project_id, name)
     select tenant_id, gen_random_uuid(), project_id, 'group ' || n
     from (select distinct tenant_id, project_id from tenant.task) p, generate_series(1, 5) n",
    "insert into control.schedule (tenant_id, id, project_id, name, cron, time_zone, overlap, catch_up, scan_type,
         task_order, token_id, role, last_error_code, last_error_message, last_error_at)
     select p.tenant_id, gen_random_uuid(), p.project_id, p.project_id::text || n, '0 3 * * *', 'UTC', 'forbid', 'none',
         'codeaudit', '{}', k.id, 'owner', 'INTERNAL', 'x', now()
     from (select distinct tenant_id, project_id from tenant.task) p, generate_series(1, 5) n, tenant.api_token k",
    "update tenant.task t set group_id = g.id, schedule_id = s.id, error_code = 'PLUGIN_FAILED', error_message = 'x',
         plugin_fault = '{\"reason\": \"plugin-deadline\", \"limit\": {\"name\": \"x\", \"value\": 1, \"unit\": \"y\"}}'
     from (select id, row_number() over (partition by project_id order by id) % 5 as n from tenant.task) m
     join tenant.task o on o.id = m.id
     join (select id, project_id, row_number() over (partition by project_id order by id) % 5 as n
           from tenant.task_group) g on g.project_id = o.project_id and g.n = m.n
     join (select id, project_id, row_number() over (partition by project_id order by id) % 5 as n
           from control.schedule) s on s.project_id = o.project_id and s.n = m.n
     where t.id = m.id",
    "update control.schedule s set last_task_id = (select min(t.id::text)::uuid from tenant.task t where t.schedule_id = s.id)",
    "insert into tenant.blob (tenant_id, storage_path, hash, size_bytes)
     select tenant_id, 'x/' || id, sha256(id::text::bytea), 1 from tenant.task",
    "insert into tenant.artifact (tenant_id, id, task_id, kind, name, media_type, storage_path, size_bytes, hash)
     select tenant_id, gen_random_uuid(), id, 'report', 'a', 'text/plain', 'x/' || id, 1, sha256(id::text::bytea) from tenant.task",
    "insert into tenant.tool_execution (tenant_id, id, task_id, attempt, tool, args, ended_by, started_at, finished_at,
         stdout_ref, stderr_ref)
     select tenant_id, gen_random_uuid(), task_id, 1, 'semgrep', '[]', 'exit', now(), now(), id, id from tenant.artifact",
    "insert into tenant.scan_result (tenant_id, id, task_id, summary)
     select t.tenant_id, gen_random_uuid(), t.id, (select summary from tenant.scan_result limit 1) from tenant.task t
     where not exists (select from tenant.scan_result r where r.task_id = t.id)",
    "update tenant.scan_result set summary = summary ||
         '{\"diagnostics\": [{\"level\": \"info\", \"code\": \"x\", \"message\": \"y\"}]}'",
    "insert into tenant.task_event (tenant_id, task_id, seq, status, phase, message)
     select tenant_id, id, 1000, 'completed', 'done', 'x' from tenant.task",
    "insert into tenant.task_attempt (tenant_id, task_id, attempt, worker_id, error_code, error_message, outcome)
     select tenant_id, id, 1, gen_random_uuid(), 'TOOL_FAILED', 'x', 'failed' from tenant.task",
    "insert into tenant.worker_log (tenant_id, task_id, seq, attempt, worker_id, level, message)
     select tenant_id, id, 1, 1, gen_random_uuid(), 'info', 'x' from tenant.task",
    "insert into tenant.webscan_target (tenant_id, task_id, url, addresses)
     select tenant_id, id, 'https://x.example/', '{192.0.2.1}' from tenant.task",
    "insert into tenant.pcap_session (tenant_id, task_id, packet_count, protocol_stats) select tenant_id, id, 1, '{}' from tenant.task",
    "insert into tenant.codeaudit_upload (tenant_id, id, project_id, task_id, file_name, media_type, storage_path, size_bytes, hash)
     select tenant_id, gen_random_uuid(), project_id, id, 'a.zip', 'application/zip', 'x/' || id, 1, sha256(id::text::bytea) from tenant.task",
    "insert into tenant.api_token (tenant_id, id, name, role, hash, hint)
     select tenant_id, gen_random_uuid(), 'token ' || n, 'viewer', sha256(n::text::bytea), 'abcdef'
     from tenant.api_token, generate_series(1, 100) n",
    "insert into tenant.audit_log (tenant_id, id, user_id, action, resource_type)
     select tenant_id, gen_random_uuid(), id, 'token.create', 'token' from tenant.api_token",
    "insert into tenant.webhook_endpoint (tenant_id, id, url, events, secret)
     select tenant_id, gen_random_uuid(), 'http://127.0.0.1:9/' || n, '{task.finished}', sha256('x')
     from control.tenant t(tenant_id), generate_series(1, 10) n",
    "insert into tenant.webhook_message (tenant_id, id, type, body)
     select tenant_id, gen_random_uuid(), 'webhook.test', '{}' from tenant.api_token limit 100",
    "insert into tenant.webhook_delivery (tenant_id, endpoint_id, message_id, state, attempts, next_at, finished_at)
     select m.tenant_id, e.id, m.id, 'delivered', 1, null, now() from tenant.webhook_message m, tenant.webhook_endpoint e",
    "insert into tenant.webhook_attempt (tenant_id, endpoint_id, message_id, attempt, started_at, duration_ms, status_code)
     select tenant_id, endpoint_id, message_id, 1, now(), 1, 200 from tenant.webhook_delivery",
    "insert into tenant.finding_occurrence (tenant_id, finding_id, ordinal, locations, expires_on)
     select tenant_id, id, 1, '[]', expires_on from tenant.finding",
    "update tenant.finding_content set cve = '{CVE-2021-44228}', cwe = '{79}',
         extra = extra || '{\"suppressions\": [{\"kind\": \"inSource\", \"justification\": \"x\"}]}'",
    "insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id)
     select tenant_id, id, gen_random_uuid(), 'opened', first_task_id from tenant.alert",
    "update tenant.alert set dismissed_reason = 'wont-fix', dismissed_by = 'x', dismissed_at = now(), state = 2
     where id::text ~ '[02468ace]$'",
    "insert into control.epss_score values ('CVE-2021-44228', '2025-03-14', 0.9, 1)",
    "insert into control.kev_entry values ('CVE-2021-44228', '2021-12-10', '2021-12-24', 'v', 'p', 'n', 'd', 'a', true,
         '', '{502}', '2025-03-14')",
    "insert into tenant.alert_rule (tenant_id, id, project_id, name, position, enabled, conditions, action, made_by, changed_by)
     select r.tenant_id, gen_random_uuid(), p.id, 'rule', 1, true, r.conditions, r.action, 'x', 'x'
     from tenant.alert_rule r, tenant.project p where p.id <> r.project_id",
];

/// A tenant with all of it.
pub(super) async fn stock(platform: &Platform) -> Caller {
    let acme = platform.tenant("acme").await;
    for _ in 0..EMPTY_PROJECTS {
        platform.project(&acme).await;
    }
    for number in 0..FULL_PROJECTS {
        let project = platform.project(&acme).await;
        let task = platform.task(&acme, project).await;
        let mut batch = findings(FINDINGS);
        for finding in &mut batch {
            // an identity of its own
            finding.rule_id = format!("{} {}", finding.rule_id, finding.title);
        }
        platform.merge_findings(&acme, project, task, batch).await;
        if number == 0 {
            make_rule(platform, &acme, &project.to_string()).await;
        }
    }
    platform.plugins(100).await;
    for statement in ROWS {
        platform.run_sql(statement);
    }
    acme
}

/// The one that the others are made of.
async fn make_rule(platform: &Platform, acme: &Caller, project: &str) {
    let input = json!({
        "projectId": project, "name": "rule", "conditions": { "paths": ["nowhere/**"] },
        "action": { "dismiss": { "reason": "USED_IN_TESTS", "comment": "x" } },
    });
    let mutation =
        "mutation($input: CreateAlertRuleInput!) { createAlertRule(input: $input) { errors { message } } }";
    let (answer, _) = ask(platform, acme, mutation, json!({ "input": input })).await;
    assert_eq!(answer["data"]["createAlertRule"]["errors"], json!([]), "{answer}");
}
