//! `totalCount` of lists that are only known by reading them: at most ten thousand rows are read.

use serde_json::json;

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// Statements of the superuser that add ten thousand rows to those that a scan left. There is one tenant.
const MORE: [&str; 4] = [
    "insert into tenant.finding
     select tenant_id, gen_random_uuid(), project_id, task_id, alert_id, content_id, source_tool, severity, fingerprint,
         fingerprint_version, evidence_ref, expires_on, created_at
     from (select * from tenant.finding limit 1) f, generate_series(1, 10000)",
    "insert into tenant.task (tenant_id, id, project_id, type, status, payload, phase)
     select tenant_id, gen_random_uuid(), project_id, type, status, payload, phase
     from tenant.task, generate_series(1, 10000)",
    "insert into tenant.task_group (tenant_id, id, project_id, name)
     select tenant_id, gen_random_uuid(), project_id, 'group ' || n from
     (select distinct tenant_id, project_id from tenant.task) p, generate_series(1, 10001) n",
    "insert into tenant.alert (tenant_id, id, project_id, kind, source_tool, content_id, fingerprint, fingerprint_version,
         state, severity, tool_severity, scope_id, first_task_id)
     select tenant_id, gen_random_uuid(), project_id, kind, source_tool, content_id, sha256(n::text::bytea),
         fingerprint_version, state, severity, tool_severity, scope_id, first_task_id
     from (select * from tenant.alert limit 1) a, generate_series(1, 10000) n",
];

const COUNTED: &str = "totalCount isTotalCountExact";

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_counted_to_ten_thousand_and_say_so() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let task = platform.task(&acme, project).await;
    platform.merge_findings(&acme, project, task, findings(3)).await;
    let counted = |filter: &str| {
        format!(
            "findings{filter} {{ {COUNTED} }} tasks(first: 1) {{ {COUNTED} }} project(id: \"{project}\") {{
                findings{filter} {{ {COUNTED} }} tasks(first: 1) {{ {COUNTED} }}
                ruled: alerts(filter: {{ tool: [\"semgrep\"] }}) {{ {COUNTED} }} alerts(first: 1) {{ {COUNTED} }} }}
            task(id: \"{task}\") {{ findings{filter} {{ {COUNTED} }} }} taskGroups(first: 1) {{ {COUNTED} }}"
        )
    };
    let query = format!("{{ {} }}", counted("(first: 1)"));
    let (few, statements) = ask(&platform, &acme, &query, json!({})).await;
    let data = &few["data"];
    let exactly = |rows: u32| json!({ "totalCount": rows, "isTotalCountExact": true });
    for found in [
        &data["findings"],
        &data["project"]["findings"],
        &data["task"]["findings"],
    ] {
        assert_eq!(*found, exactly(3), "{few:#}");
    }
    assert_eq!(
        (&data["tasks"], &data["project"]["tasks"], &data["taskGroups"]),
        (&exactly(1), &exactly(1), &exactly(0))
    );
    assert_eq!(
        (&data["project"]["ruled"], &data["project"]["alerts"]),
        (&exactly(3), &exactly(3))
    );

    for statement in MORE {
        platform.run_sql(statement);
    }
    let (many, statements_of_many) = ask(&platform, &acme, &query, json!({})).await;
    assert_eq!(statements, statements_of_many);
    let data = &many["data"];
    let lists = [
        &data["findings"],
        &data["project"]["findings"],
        &data["task"]["findings"],
        &data["tasks"],
        &data["project"]["tasks"],
        &data["taskGroups"],
        &data["project"]["ruled"],
    ];
    let beyond = json!({ "totalCount": 10_000, "isTotalCountExact": false });
    for list in lists {
        assert_eq!(*list, beyond, "{many:#}");
    }
    // the counters were not told of these
    assert_eq!(data["project"]["alerts"], exactly(3));
    let filter = "(first: 1, filter: { severity: [LOW, INFO], rule: [\"no.such\"] })";
    let (none, _) = ask(&platform, &acme, &format!("{{ {} }}", counted(filter)), json!({})).await;
    assert_eq!(none["data"]["task"]["findings"], exactly(0), "{none:#}");
    platform.end().await;
}
