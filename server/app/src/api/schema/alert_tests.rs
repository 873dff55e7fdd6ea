//! Alerts as the schema shows them, and what people decide about them.

use serde_json::{Value, json};
use tamiz_core::{AlertId, Finding, GlobalId as _};
use tamiz_store::token::{Caller, Role};

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// A project, its second scan, and the alerts of its first one: ten, of which the second scan did not see the last.
async fn scanned_twice(platform: &Platform, caller: &Caller) -> (String, String, Vec<AlertId>) {
    let project = platform.project(caller).await;
    let told: Vec<Finding> = findings(10).into_iter().map(apart).collect();
    let first = platform.task(caller, project).await;
    let alerts = platform
        .merge_findings(caller, project, first, told.clone())
        .await;
    let second = platform.task(caller, project).await;
    platform
        .merge_findings(caller, project, second, told[..9].to_vec())
        .await;
    (project.to_string(), second.to_string(), alerts)
}

/// The same with a message, and so an identity, of its own.
fn apart(mut finding: Finding) -> Finding {
    finding.rule_id = format!("{} {}", finding.rule_id, finding.title);
    finding
}

async fn decide(platform: &Platform, caller: &Caller, field: &str, input: Value) -> Value {
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let query = format!(
        "mutation($input: {kind}!) {{ {field}(input: $input) {{ changed errors {{ code path }}
            alerts {{ id state severity severityOverride assignee dueOn isOverdue
                dismissal {{ reason comment by until }} events {{ nodes {{ kind actor before after comment }} }} }} }} }}"
    );
    let (answer, _) = ask(platform, caller, &query, json!({ "input": input })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"][field].clone()
}

#[tokio::test]
async fn an_alert_tells_what_its_newest_sighting_says_where_and_since_when() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let (project, second, alerts) = scanned_twice(&platform, &acme).await;
    let query = "query($p: ID!, $t: ID!, $there: ID!, $gone: ID!) {
        alert(id: $there) { id state severity toolSeverity severityOverride tool title file line cwe isPresent
            firstSeenAt lastSeenAt dismissal { reason } dueOn isOverdue project { id }
            scope { scanType tool target branch scannedAt task { id } } firstTask { id }
            occurrences { totalCount nodes { line location isPresent firstSeenAt lastSeenAt scope { tool } } }
            events { nodes { kind actor task { id } after } } }
        node(id: $gone) { ... on Alert { state isPresent events { nodes { kind before after task { id } } } } }
        task(id: $t) { scanResult { comparison { new unchanged moved fixed reopened closes } }
            findings(first: 1) { nodes { alert { state severity } severity } } }
        project(id: $p) { alerts { totalCount nodes { id } } gone: alerts(filter: { state: [FIXED] }) { totalCount nodes { id } }
            alertCounts { state severity count } trend(days: 2) { severity opened fixed } }
    }";
    let variables = json!({ "p": project, "t": second, "there": alerts[0], "gone": alerts[9].global() });
    let (answer, _) = ask(&platform, &acme, query, variables.clone()).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let (data, alert) = (&answer["data"], &answer["data"]["alert"]);
    assert_eq!(alert["state"], "OPEN", "{answer}");
    assert_eq!(alert["title"], "title 0");
    assert_eq!(alert["file"], "src/file-0.py");
    assert_eq!(alert["project"]["id"], json!(format!("Project_{project}")));
    assert_eq!(
        alert["lastSeenAt"], alert["scope"]["scannedAt"],
        "the second scan saw it"
    );
    assert_eq!(alert["scope"]["task"]["id"], json!(format!("Task_{second}")));
    assert_ne!(alert["firstTask"]["id"], json!(format!("Task_{second}")));
    assert_eq!(alert["occurrences"]["totalCount"], 1);
    assert_eq!(alert["occurrences"]["nodes"][0]["isPresent"], true);
    assert_eq!(alert["events"]["nodes"][0]["kind"], "opened");
    let gone = &data["node"];
    assert_eq!(
        (&gone["state"], &gone["isPresent"]),
        (&json!("FIXED"), &json!(false))
    );
    assert_eq!(gone["events"]["nodes"][0]["kind"], "fixed");
    assert_eq!(gone["events"]["nodes"][0]["task"], alert["scope"]["task"]);
    assert_eq!(
        data["task"]["scanResult"]["comparison"],
        json!({ "new": 0, "unchanged": 9, "moved": 0, "fixed": 1, "reopened": 0, "closes": true })
    );
    let finding = &data["task"]["findings"]["nodes"][0];
    assert_eq!(finding["alert"]["severity"], finding["severity"]);
    let of_project = &data["project"];
    assert_eq!(of_project["alerts"]["totalCount"], 9);
    assert_eq!(of_project["gone"]["nodes"], json!([{ "id": alerts[9].global() }]));
    let counted = of_project["alertCounts"].as_array().unwrap();
    assert_eq!(
        counted
            .iter()
            .filter_map(|row| row["count"].as_i64())
            .sum::<i64>(),
        10
    );
    let fixed = of_project["trend"].as_array().unwrap().iter();
    assert_eq!(fixed.filter_map(|row| row["fixed"].as_i64()).sum::<i64>(), 1);

    let globex = platform.tenant("globex").await;
    let (foreign, _) = ask(&platform, &globex, query, variables).await;
    assert_eq!(
        foreign["data"],
        json!({ "alert": null, "node": null, "task": null, "project": null })
    );
    platform.end().await;
}

#[tokio::test]
async fn what_a_tool_suppresses_is_evidence_and_changes_no_state() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let mut told: Vec<Finding> = findings(2).into_iter().map(apart).collect();
    let first = platform.task(&acme, project).await;
    let alerts = platform.merge_findings(&acme, project, first, told.clone()).await;
    let input = json!({ "alertIds": [alerts[1]], "reason": "WONT_FIX" });
    decide(&platform, &acme, "dismissAlerts", input).await;
    for finding in &mut told {
        let said = json!([{ "kind": "inSource", "justification": "nosem" }]);
        finding.extra.insert("suppressions".into(), said);
        let asked = json!([{ "kind": "external", "status": "underReview" }]);
        finding.extra.insert("suppressions-not-accepted".into(), asked);
    }
    let second = platform.task(&acme, project).await;
    let again = platform.merge_findings(&acme, project, second, told).await;
    assert_eq!(again, alerts);
    let query =
        "query($a: ID!, $b: ID!) { a: alert(id: $a) { state suppressions { kind status justification } }
        b: alert(id: $b) { state suppressions { kind } } }";
    let variables = json!({ "a": alerts[0], "b": alerts[1] });
    let (answer, _) = ask(&platform, &acme, query, variables).await;
    assert_eq!(
        answer["data"]["a"],
        json!({ "state": "OPEN", "suppressions": [
            { "kind": "inSource", "status": "accepted", "justification": "nosem" },
            { "kind": "external", "status": "underReview", "justification": "" },
        ] }),
        "{answer}"
    );
    assert_eq!(answer["data"]["b"]["state"], "DISMISSED");
    platform.end().await;
}

#[tokio::test]
async fn pages_of_alerts_tell_each_once_and_refuse_cursors_of_others() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let (project, ..) = scanned_twice(&platform, &acme).await;
    let query = "query($p: ID!, $a: String, $o: AlertOrderField) { project(id: $p) {
        alerts(first: 4, after: $a, orderBy: { field: $o }, filter: { state: [OPEN, FIXED], tool: [\"semgrep\"] }) {
            totalCount nodes { id severity } pageInfo { hasNextPage endCursor } } } }";
    for order in ["SEVERITY", "LAST_SEEN_AT"] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        for _ in 0..3 {
            let variables = json!({ "p": project, "a": after, "o": order });
            let (answer, _) = ask(&platform, &acme, query, variables).await;
            let page = &answer["data"]["project"]["alerts"];
            assert_eq!(page["totalCount"], 10, "{answer}");
            seen.extend(
                page["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|node| node["id"].to_string()),
            );
            after = page["pageInfo"]["endCursor"].clone();
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10, "{order}");
        let other = if order == "SEVERITY" {
            "LAST_SEEN_AT"
        } else {
            "SEVERITY"
        };
        let variables = json!({ "p": project, "a": after, "o": other });
        let (answer, _) = ask(&platform, &acme, query, variables).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "BAD_CURSOR",
            "{answer}"
        );
    }
    for days in [0, 367] {
        let query = format!("query($p: ID!) {{ project(id: $p) {{ trend(days: {days}) {{ day }} }} }}");
        let (answer, _) = ask(&platform, &acme, &query, json!({ "p": project })).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "INVALID_INPUT",
            "{answer}"
        );
    }
    platform.end().await;
}

const NESTED: &str = "query($n: Int) { projects(first: $n) { nodes {
    alertCounts { count } trend { opened } slaDays { high }
    alerts(first: 5) { totalCount nodes { title project { name } firstTask { id } scope { task { id } }
        occurrences(first: 2) { totalCount nodes { line } } events(first: 2) { nodes { kind task { id } } } } }
    gone: alerts(first: 5, filter: { state: [FIXED], rule: [\"x\"] }) { totalCount }
    findings(first: 3) { nodes { alert { state occurrences(first: 2) { totalCount } } } }
} } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_alerts_costs_one_statement_however_many_there_are() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let mut counts = Vec::new();
    for projects in [1, 2, 8] {
        while platform.projects_of(&acme).await < projects {
            scanned_twice(&platform, &acme).await;
        }
        let (answer, statements) = ask(&platform, &acme, NESTED, json!({ "n": projects })).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        let nodes = answer["data"]["projects"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), projects);
        for node in nodes {
            assert_eq!(node["alerts"]["totalCount"], 9);
            assert_eq!(node["alerts"]["nodes"].as_array().unwrap().len(), 5);
            assert_eq!(
                node["findings"]["nodes"][0]["alert"]["occurrences"]["totalCount"],
                1
            );
        }
        counts.push(statements);
    }
    // projects, counts, trends, two pages and two counts of alerts 7; tasks, projects again, places, their counts,
    // events and their tasks 7; findings, their alerts, places and their counts 5
    assert!(counts.iter().all(|count| *count <= 19), "{counts:?}");
    platform.end().await;
}

#[tokio::test]
async fn a_dismissal_says_who_why_and_until_when_and_is_taken_back() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let (_, _, alerts) = scanned_twice(&platform, &acme).await;
    let both = json!([alerts[3], alerts[9]]);
    let dismiss = json!({ "alertIds": both, "reason": "ACCEPTED_RISK", "comment": "rewritten soon", "until": "2030-01-01T00:00:00Z" });
    let done = decide(&platform, &acme, "dismissAlerts", dismiss.clone()).await;
    assert_eq!(
        (&done["changed"], &done["errors"]),
        (&json!(2), &json!([])),
        "{done}"
    );
    assert_eq!(done["alerts"][0]["id"], json!(alerts[3].global()));
    assert_eq!(
        done["alerts"][1]["dismissal"],
        json!({ "reason": "ACCEPTED_RISK", "comment": "rewritten soon", "by": "test", "until": "2030-01-01T00:00:00+00:00" })
    );
    let event = &done["alerts"][1]["events"]["nodes"][0];
    assert_eq!(
        (&event["kind"], &event["actor"]),
        (&json!("dismissed"), &json!("test"))
    );
    assert_eq!(
        (&event["before"]["state"], &event["after"]["state"]),
        (&json!("fixed"), &json!("dismissed"))
    );
    assert_eq!(
        decide(&platform, &acme, "dismissAlerts", dismiss).await["changed"],
        0
    );

    let done = decide(&platform, &acme, "reopenAlerts", json!({ "alertIds": both })).await;
    let states: Vec<&Value> = done["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| &alert["state"])
        .collect();
    assert_eq!(states, ["REOPENED", "FIXED"], "{done}");
    platform.end().await;
}

#[tokio::test]
async fn severity_assignee_day_and_comment_are_decided_and_seen() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let (project, _, alerts) = scanned_twice(&platform, &acme).await;
    let sla = json!({ "projectId": project, "slaDays": { "critical": 7, "high": 30 } });
    let query = "mutation($input: UpdateProjectSlaInput!) { updateProjectSla(input: $input) {
        project { slaDays { critical high low } } errors { code path } } }";
    let (answer, _) = ask(&platform, &acme, query, json!({ "input": sla })).await;
    let promised = &answer["data"]["updateProjectSla"]["project"]["slaDays"];
    assert_eq!(
        *promised,
        json!({ "critical": 7, "high": 30, "low": null }),
        "{answer}"
    );

    let one = json!([alerts[3]]);
    let done = decide(
        &platform,
        &acme,
        "setAlertSeverity",
        json!({ "alertIds": one, "severity": "CRITICAL" }),
    )
    .await;
    assert_eq!(done["alerts"][0]["severityOverride"], "CRITICAL");
    assert!(done["alerts"][0]["dueOn"].is_string(), "{done}");
    let done = decide(
        &platform,
        &acme,
        "setAlertSeverity",
        json!({ "alertIds": one, "severity": null }),
    )
    .await;
    assert_eq!(done["alerts"][0]["severityOverride"], Value::Null);
    let done = decide(
        &platform,
        &acme,
        "assignAlerts",
        json!({ "alertIds": one, "assignee": " bob " }),
    )
    .await;
    assert_eq!(done["alerts"][0]["assignee"], "bob");
    let done = decide(
        &platform,
        &acme,
        "setAlertsDue",
        json!({ "alertIds": one, "dueOn": "2026-01-01" }),
    )
    .await;
    assert_eq!(
        (&done["alerts"][0]["dueOn"], &done["alerts"][0]["isOverdue"]),
        (&json!("2026-01-01"), &json!(true))
    );
    let done = decide(
        &platform,
        &acme,
        "commentAlerts",
        json!({ "alertIds": one, "comment": "two\nlines" }),
    )
    .await;
    assert_eq!(done["alerts"][0]["events"]["nodes"][0]["comment"], "two\nlines");
    let mine = "query($p: ID!) { project(id: $p) { alerts(filter: { assignee: \"bob\", overdue: true }) { totalCount } } }";
    let (answer, _) = ask(&platform, &acme, mine, json!({ "p": project })).await;
    assert_eq!(answer["data"]["project"]["alerts"]["totalCount"], 1, "{answer}");
    platform.end().await;
}

#[tokio::test]
async fn a_decision_is_refused_as_a_whole_and_says_why() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let globex = platform.tenant("globex").await;
    let (_, _, alerts) = scanned_twice(&platform, &acme).await;
    let (_, _, others) = scanned_twice(&platform, &acme).await;
    let (_, _, foreign) = scanned_twice(&platform, &globex).await;
    let many: Vec<AlertId> = std::iter::repeat_n(alerts[0], 1_001).collect();
    for (ids, code) in [
        (json!([alerts[0], foreign[0]]), "NOT_FOUND"),
        (json!([alerts[0], AlertId::fresh()]), "NOT_FOUND"),
        (json!([alerts[0], others[0]]), "INVALID_INPUT"),
        (json!([]), "INVALID_INPUT"),
        (json!(many), "INVALID_INPUT"),
    ] {
        let input = json!({ "alertIds": ids, "reason": "WONT_FIX" });
        let refused = decide(&platform, &acme, "dismissAlerts", input).await;
        let errors = json!([{ "code": code, "path": ["input", "alertIds"] }]);
        assert_eq!(refused, json!({ "changed": 0, "errors": errors, "alerts": [] }));
    }
    let input = json!({ "alertIds": [alerts[0]], "reason": "WONT_FIX", "until": "2030-01-01T00:00:00Z" });
    let refused = decide(&platform, &acme, "dismissAlerts", input).await;
    assert_eq!(refused["errors"][0]["path"], json!(["input", "until"]));
    let viewer = platform
        .state
        .store
        .authenticate(&platform.token("readers", Role::Viewer).await)
        .await;
    let viewer = viewer.unwrap().unwrap();
    let input = json!({ "alertIds": [alerts[0]], "comment": "hello" });
    let refused = decide(&platform, &viewer, "commentAlerts", input).await;
    assert_eq!(refused["errors"][0]["code"], "NOT_ALLOWED");
    let state = "query($a: ID!) { alert(id: $a) { state events { nodes { kind } } } }";
    let (answer, _) = ask(&platform, &acme, state, json!({ "a": alerts[0] })).await;
    assert_eq!(
        answer["data"]["alert"],
        json!({ "state": "OPEN", "events": { "nodes": [{ "kind": "opened" }] } })
    );
    platform.end().await;
}
