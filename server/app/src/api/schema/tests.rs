//! The schema against a database of its own: what is read, written, refused.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Request, Variables};
use serde_json::{Value, json};
use tamiz_core::quota::{QuotaLimit, QuotaSet};
use tamiz_core::{GlobalId as _, Severity, WorkerId};
use tamiz_store::queue::ClaimRequest;
use tamiz_store::quota::limits;

use super::answer_bytes::only_refusal;
use super::*;
use crate::api::errors::clean;
use crate::api::test_tenant::{Platform, findings};

/// `BLESS=1 cargo test -p tamiz the_committed_schema` writes it.
#[test]
fn the_committed_schema_is_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema.graphql");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, sdl()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == sdl(),
        "schema.graphql is out of date: run this test with BLESS=1"
    );
}

#[test]
fn every_page_of_the_schema_has_its_price() {
    let prices = Prices::from_sdl(&sdl(), Limits::default());
    for page in ["projects", "tasks", "findings", "occurrences", "plugins"] {
        assert!(prices.is_page(page), "{page}");
    }
    for list in ["artifacts", "toolExecutions", "attempts", "diagnostics", "nodes"] {
        assert!(!prices.is_page(list), "{list}");
    }
}

/// The answer to `query` and how many statements it took.
pub(super) async fn ask(platform: &Platform, caller: &Caller, query: &str, variables: Value) -> (Value, u64) {
    let graph = Graph::new(Arc::clone(&platform.state));
    let session = graph.session(caller);
    let request = Request::new(query)
        .variables(Variables::from_json(variables))
        .data(Arc::clone(&session));
    let execution = Arc::clone(&session.turns).drive(graph.schema.execute(request));
    let response = clean(only_refusal(execution.await));
    session.rest().await;
    (serde_json::to_value(response).unwrap(), session.reads())
}

const NESTED: &str = "query($n: Int) { projects(first: $n) { totalCount nodes {
    name severityCounts { high }
    tasks(first: 5) { totalCount nodes {
        project { name }
        findings(first: 3, filter: { severity: [HIGH, CRITICAL] }) { totalCount nodes {
            severity task { id } project { id } occurrenceCount occurrences(first: 2) { totalCount nodes { ordinal } } } }
        artifacts { id } toolExecutions { id } scanResult { findings }
        target { value } pcapSession { packetCount }
    } }
    findings(first: 2, orderBy: { field: FILE }) { totalCount nodes { file task { status } } }
} } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_field_costs_one_statement_however_many_rows_it_is_asked_of() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let mut counts = Vec::new();
    for projects in [1, 2, 12] {
        while platform.projects_of(&acme).await < projects {
            let project = platform.project(&acme).await;
            for _ in 0..4 {
                let task = platform.task(&acme, project).await;
                platform.store_findings(&acme, project, task, findings(6)).await;
            }
        }
        let (answer, statements) = ask(&platform, &acme, NESTED, json!({ "n": projects })).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        let nodes = answer["data"]["projects"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), projects);
        for node in nodes {
            assert_eq!(node["tasks"]["totalCount"], 4);
            assert_eq!(node["findings"]["totalCount"], 24);
            assert_eq!(node["tasks"]["nodes"][0]["project"]["name"], node["name"]);
            assert_eq!(
                node["tasks"]["nodes"][3]["findings"]["nodes"]
                    .as_array()
                    .unwrap()
                    .len(),
                2
            );
        }
        counts.push(statements);
    }
    // every field that loads is one statement at most: projects, tasks, findings (twice) and their
    // counts make 8; severities, artifacts, executions, results, targets, sessions 6; occurrences and their
    // counts 2; single projects and tasks 4.
    // Two of them that meet by chance share one, so the number may be smaller.
    assert!(counts.iter().all(|count| *count <= 20), "{counts:?}");
    platform.end().await;
}

#[tokio::test]
async fn a_page_of_plugins_costs_the_same_however_many_there_are() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let query = "query($n: Int) { plugins(scanType: \"oddities\", first: $n) { totalCount nodes {
        name formats { name } limits { memoryBytes instances } isChosen versions { version } } } }";
    platform.plugins(12).await;
    for rows in [1, 2, 12] {
        let (answer, statements) = ask(&platform, &acme, query, json!({ "n": rows })).await;
        let page = &answer["data"]["plugins"];
        assert_eq!(page["nodes"].as_array().unwrap().len(), rows, "{answer}");
        assert_eq!(page["totalCount"], 12);
        assert_eq!(page["nodes"][0]["limits"]["memoryBytes"], 64 << 20);
        assert_eq!(page["nodes"][0]["versions"], json!([{ "version": "1.0.0" }]));
        assert_eq!(statements, 4, "the page, its count, the plan, the versions");
    }
    platform.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_tasks_says_which_limit_holds_them_back_for_three_statements_more() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    for _ in 0..4 {
        platform.task(&acme, project).await;
    }
    let store = &platform.state.store;
    let mut control = store.begin_control().await.unwrap();
    let mut said = QuotaSet::default();
    said.say(QuotaLimit::TasksPerHour.into(), Some(1));
    let tenant = acme.scope.tenant_id();
    limits::say_for_tenant(&mut control, tenant, &said).await.unwrap();
    control.commit().await.unwrap();
    let request = ClaimRequest {
        worker: WorkerId::fresh(),
        scan_types: &[],
        tools: &[],
        worlds: &[],
        slots: 4,
        lease: Duration::from_mins(10),
    };
    assert_eq!(store.claim(&request).await.unwrap().len(), 1);
    let query = "query($n: Int) { tasks(first: $n) { nodes {
        waitsFor { reason message until limit { name value used } } project { name } } } }";
    for rows in [2, 4] {
        let (answer, statements) = ask(&platform, &acme, query, json!({ "n": rows })).await;
        let nodes = answer["data"]["tasks"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), rows);
        for node in nodes {
            let wait = &node["waitsFor"];
            assert_eq!(wait["reason"], "LIMIT", "{answer}");
            assert_eq!(
                wait["limit"],
                json!({ "name": "tasks-per-hour", "value": 1, "used": 1 })
            );
            assert!(
                wait["until"].is_string() && node["project"]["name"].is_string(),
                "{answer}"
            );
        }
        assert!(
            statements <= 5,
            "tasks, projects, pauses, what runs, starts: {statements}"
        );
    }
    platform.end().await;
}

/// Of each, `count` findings whose messages have `bytes` bytes.
fn long_findings(count: u32, bytes: usize) -> Vec<tamiz_core::Finding> {
    let mut batch = findings(count);
    for finding in &mut batch {
        finding.message = "m".repeat(bytes);
    }
    batch
}

#[tokio::test]
async fn an_answer_that_would_fill_the_memory_is_refused_wherever_the_bytes_come_from() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    for _ in 0..6 {
        let project = platform.project(&acme).await;
        let task = platform.task(&acme, project).await;
        let stored = long_findings(100, 64 * 1024);
        platform.store_findings(&acme, project, task, stored).await;
    }
    let aliases: Vec<String> = (0..9).map(|number| format!("a{number}: message")).collect();
    let aliases = aliases.join(" ");
    for (query, fits) in [
        // one page of the longest messages
        ("{ findings(first: 100) { nodes { message } } }".to_owned(), true),
        // few rows, repeated
        (
            format!("{{ findings(first: 100) {{ nodes {{ {aliases} }} }} }}"),
            false,
        ),
        // many rows, of which next to nothing is shown
        (
            "{ projects { nodes { findings(first: 100) { nodes { id } } } } }".to_owned(),
            false,
        ),
        (
            "{ projects { nodes { findings(first: 10) { nodes { id } } } } }".to_owned(),
            true,
        ),
    ] {
        let (answer, _) = ask(&platform, &acme, &query, json!({})).await;
        if fits {
            assert!(answer.get("errors").is_none(), "{query}");
            continue;
        }
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{query}");
        assert_eq!(errors[0]["extensions"]["code"], "RESPONSE_TOO_LARGE", "{query}");
        assert!(errors[0]["message"].as_str().unwrap().contains("32 MiB"));
        assert!(!errors[0]["path"].as_array().unwrap().is_empty(), "{query}");
        assert_eq!(answer["data"], Value::Null, "{query}");
    }
    platform.end().await;
}

#[tokio::test]
async fn pages_of_every_order_tell_each_finding_once() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let task = platform.task(&acme, project).await;
    platform.store_findings(&acme, project, task, findings(57)).await;
    for order in ["SEVERITY", "CREATED_AT", "FILE"] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        for _ in 0..10 {
            let query = format!(
                "query($t: ID!, $a: String) {{ task(id: $t) {{ findings(first: 10, after: $a, orderBy: {{ field: {order} }}) {{
                    totalCount nodes {{ id severity file line }} pageInfo {{ hasNextPage endCursor }} }} }} }}"
            );
            let (answer, _) = ask(&platform, &acme, &query, json!({ "t": task, "a": after })).await;
            let page = answer["data"]["task"]["findings"].clone();
            assert_eq!(page["totalCount"], 57, "{answer}");
            seen.extend(page["nodes"].as_array().unwrap().iter().cloned());
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen.len(), 57, "{order}");
        let mut ids: Vec<_> = seen.iter().map(|node| node["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 57, "{order}");
        if order == "SEVERITY" {
            let ranks: Vec<Severity> = seen
                .iter()
                .map(|node| node["severity"].as_str().unwrap().to_lowercase().parse().unwrap())
                .collect();
            assert!(ranks.is_sorted_by(|a, b| a >= b));
        }
        // a cursor of this order means nothing in another one
        let other = if order == "FILE" { "CREATED_AT" } else { "FILE" };
        let query = format!(
            "query($a: String) {{ findings(after: $a, orderBy: {{ field: {other} }}) {{ totalCount }} }}"
        );
        let (answer, statements) = ask(&platform, &acme, &query, json!({ "a": after })).await;
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], "BAD_CURSOR",
            "{answer}"
        );
        assert_eq!(statements, 0);
    }
    platform.end().await;
}

#[tokio::test]
async fn filters_pick_by_severity_tool_rule_and_file() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let task = platform.task(&acme, project).await;
    platform.store_findings(&acme, project, task, findings(50)).await;
    for (filter, expected) in [
        ("{}", 50),
        ("{ severity: [HIGH] }", 10),
        ("{ severity: [HIGH, CRITICAL] }", 20),
        ("{ tool: [\"semgrep\"] }", 50),
        ("{ tool: [\"other\"] }", 0),
        ("{ rule: [\"rule-0\", \"rule-1\"] }", 20),
        ("{ file: \"src/file-3.py\" }", 10),
        ("{ file: \"src/\" }", 50),
        ("{ severity: [INFO], file: \"src/file-1.py\" }", 0),
    ] {
        let query = format!(
            "{{ findings(filter: {filter}) {{ totalCount }} projects {{ nodes {{ findings(filter: {filter}) {{ totalCount }} }} }} }}"
        );
        let (answer, _) = ask(&platform, &acme, &query, json!({})).await;
        assert_eq!(
            answer["data"]["findings"]["totalCount"], expected,
            "{filter} {answer}"
        );
        assert_eq!(
            answer["data"]["projects"]["nodes"][0]["findings"]["totalCount"], expected,
            "{filter}"
        );
    }
    platform.end().await;
}

#[tokio::test]
async fn a_page_out_of_bounds_is_refused_with_its_limit() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    for (first, code) in [
        (0, "INVALID_INPUT"),
        (-1, "INVALID_INPUT"),
        (101, "PAGE_TOO_LARGE"),
    ] {
        let (answer, _) = ask(
            &platform,
            &acme,
            "query($n: Int) { tasks(first: $n) { totalCount } }",
            json!({ "n": first }),
        )
        .await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{first}");
    }
    platform.end().await;
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let globex = platform.tenant("globex").await;
    let project = platform.project(&acme).await;
    let task = platform.task(&acme, project).await;
    let stored = findings(1);
    let finding = platform.store_findings(&acme, project, task, stored).await[0];
    let query = "query($p: ID!, $t: ID!, $f: ID!, $pi: ID!, $ti: ID!, $fi: ID!) {
        project(id: $p) { id } task(id: $t) { id } finding(id: $f) { id }
        a: node(id: $pi) { id } b: node(id: $ti) { id } c: node(id: $fi) { id __typename }
        projects { totalCount } tasks(filter: { projectId: $p }) { totalCount nodes { id } } findings { totalCount nodes { id } }
    }";
    let variables = json!({ "p": project, "t": task, "f": finding, "pi": project.global(), "ti": task.global(), "fi": finding.global() });
    let (own, _) = ask(&platform, &acme, query, variables.clone()).await;
    assert_eq!(
        own["data"]["c"],
        json!({ "id": finding.global(), "__typename": "Finding" }),
        "{own}"
    );
    assert_eq!(own["data"]["tasks"]["totalCount"], 1);
    let (foreign, _) = ask(&platform, &globex, query, variables).await;
    assert_eq!(
        foreign["data"],
        json!({
            "project": null, "task": null, "finding": null, "a": null, "b": null, "c": null,
            "projects": { "totalCount": 0 }, "tasks": { "totalCount": 0, "nodes": [] },
            "findings": { "totalCount": 0, "nodes": [] },
        })
    );
    let cancel =
        "mutation($t: ID!) { cancelTask(input: { taskId: $t }) { task { id } errors { code path } } }";
    let (foreign, _) = ask(&platform, &globex, cancel, json!({ "t": task })).await;
    assert_eq!(
        foreign["data"]["cancelTask"],
        json!({ "task": null, "errors": [{ "code": "NOT_FOUND", "path": ["input", "taskId"] }] })
    );
    platform.end().await;
}

#[tokio::test]
async fn mutations_answer_with_the_thing_or_with_reasons() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let create = "mutation { createProject(input: { name: \" web shop \" }) { project { id name tasks { totalCount } } errors { code path } } }";
    let (made, _) = ask(&platform, &acme, create, json!({})).await;
    assert_eq!(
        made["data"]["createProject"]["project"]["name"], "web shop",
        "{made}"
    );
    let (again, _) = ask(&platform, &acme, create, json!({})).await;
    assert_eq!(
        again["data"]["createProject"],
        json!({ "project": null, "errors": [{ "code": "ALREADY_EXISTS", "path": ["input", "name"] }] })
    );

    let project = platform.project(&acme).await;
    let task = platform.task(&acme, project).await;
    let both = "mutation($t: ID!) {
        cancelTask(input: { taskId: $t }) { task { status } errors { code } }
        retryTask(input: { taskId: $t }) { task { status lastEventSeq } errors { code } }
        again: retryTask(input: { taskId: $t }) { task { status } errors { code } }
    }";
    let (answer, _) = ask(&platform, &acme, both, json!({ "t": task })).await;
    assert_eq!(
        answer["data"],
        json!({
            "cancelTask": { "task": { "status": "CANCELLED" }, "errors": [] },
            "retryTask": { "task": { "status": "QUEUED", "lastEventSeq": 3 }, "errors": [] },
            "again": { "task": null, "errors": [{ "code": "WRONG_STATE" }] },
        })
    );

    let scan =
        "mutation($input: StartScanInput!) { startScan(input: $input) { task { id } errors { code path } } }";
    let input = json!({ "projectId": project, "scanType": "codeaudit", "uploadId": task, "options": [1] });
    let (answer, _) = ask(&platform, &acme, scan, json!({ "input": input })).await;
    assert_eq!(
        answer["data"]["startScan"]["errors"][0],
        json!({ "code": "INVALID_INPUT", "path": ["input", "options"] })
    );
    let input = json!({ "projectId": project, "scanType": "codeaudit", "uploadId": task });
    let (answer, _) = ask(&platform, &acme, scan, json!({ "input": input })).await;
    assert_eq!(
        answer["data"]["startScan"]["errors"][0]["code"],
        "UNSUPPORTED_SCAN_TYPE"
    );
    platform.end().await;
}

#[tokio::test]
async fn a_list_is_walked_from_both_ends() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    for _ in 0..5 {
        platform.project(&acme).await;
    }
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        projects(first: $first, after: $after, last: $last, before: $before) {
            nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
    let (all, _) = ask(&platform, &acme, query, json!({})).await;
    let all = all["data"]["projects"]["nodes"].as_array().unwrap().clone();
    assert_eq!(all.len(), 5);
    let (end, _) = ask(&platform, &acme, query, json!({ "last": 2 })).await;
    let end = &end["data"]["projects"];
    assert_eq!(end["nodes"], json!(all[3..]));
    assert_eq!(end["pageInfo"]["hasNextPage"], false);
    assert_eq!(end["pageInfo"]["hasPreviousPage"], true);
    let before = &end["pageInfo"]["startCursor"];
    let (middle, _) = ask(&platform, &acme, query, json!({ "last": 2, "before": before })).await;
    let middle = &middle["data"]["projects"];
    assert_eq!(middle["nodes"], json!(all[1..3]));
    assert_eq!(middle["pageInfo"]["hasNextPage"], true);
    let after = &middle["pageInfo"]["startCursor"];
    let between = json!({ "first": 9, "after": after, "before": before });
    let (between, _) = ask(&platform, &acme, query, between).await;
    assert_eq!(between["data"]["projects"]["nodes"], json!(all[2..3]));
    for (asked, field) in [
        (json!({ "first": 1, "last": 1 }), "last"),
        (json!({ "last": 0 }), "last"),
        (json!({ "before": "x" }), "before"),
    ] {
        let (refused, _) = ask(&platform, &acme, query, asked).await;
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(refused["data"].is_null(), "{field}: {message}");
    }
    platform.end().await;
}
