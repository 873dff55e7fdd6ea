//! GraphQL as clients meet it: pages, filters, refusals, and what a query costs the database.

mod limits;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, order, report, text, until};

/// Text of ours or of Postgres that no client may read.
const SECRETS: [&str; 8] = [
    "tenant.",
    "sqlx",
    "postgres",
    "select ",
    "insert ",
    "relation",
    "constraint",
    "server/",
];

/// A forged place in the order by file: its file has a NUL in its name, which no row can have.
const NUL_CURSOR: &str = "eyJ2IjoxLCJvIjoiZmluZGluZ3MvZmlsZSIsImsiOlsxLCJhXHUwMDAwYiIsMSwiMDE4ZjAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIl19";

async fn with_findings(app: &App, findings: usize) -> (Client, String, String) {
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme
        .import(&project, "report.json", report::semgrep(findings))
        .await;
    acme.ends_as(&task, "COMPLETED").await;
    (acme, project, task)
}

#[tokio::test]
async fn pages_lose_and_double_nothing_in_any_order() {
    let app = App::start().await;
    let (acme, _, task) = with_findings(&app, 1234).await;
    let key = |finding: &Value, field: &str| text(&finding[field]);
    let by_severity = acme.findings_by(&task, "SEVERITY").await;
    let rank = |finding: &Value| match key(finding, "severity").as_str() {
        "CRITICAL" => 0,
        "HIGH" => 1,
        "MEDIUM" => 2,
        "LOW" => 3,
        _ => 4,
    };
    assert!(by_severity.is_sorted_by_key(rank));
    let by_file = acme.findings_by(&task, "FILE").await;
    assert!(by_file.is_sorted_by_key(|finding| (key(finding, "file"), finding["line"].as_i64())));
    let newest = acme.findings_by(&task, "CREATED_AT").await;
    assert!(newest.is_sorted_by(|left, right| key(left, "id") > key(right, "id")));
    let ids = |findings: &[Value]| {
        let mut ids: Vec<String> = findings.iter().map(|finding| key(finding, "id")).collect();
        ids.sort();
        ids
    };
    assert_eq!(by_severity.len(), 1234);
    assert_eq!(ids(&by_severity), ids(&by_file));
    assert_eq!(ids(&by_severity), ids(&newest));
}

#[tokio::test]
async fn filters_narrow_and_combine() {
    let app = App::start().await;
    let (acme, project, task) = with_findings(&app, 231).await;
    let all = acme.findings(&task).await;
    let expect = |keep: &dyn Fn(&Value) -> bool| all.iter().filter(|finding| keep(finding)).count();
    let severity = |finding: &Value, word: &str| finding["severity"] == word;
    let worst = text(&all[0]["severity"]);
    let file = text(&all[0]["file"]);
    let rule = text(&all[0]["ruleId"]);
    for (filter, count) in [
        (json!({}), 231),
        (
            json!({ "severity": [worst] }),
            expect(&|finding| severity(finding, &worst)),
        ),
        (
            json!({ "file": file }),
            expect(&|finding| finding["file"] == file),
        ),
        (json!({ "file": "src/" }), 231),
        (json!({ "file": "sr" }), 0),
        (json!({ "file": "src/%" }), 0),
        (
            json!({ "rule": [rule, "absent"] }),
            expect(&|finding| finding["ruleId"] == rule),
        ),
        (json!({ "tool": ["semgrep"] }), 231),
        (json!({ "tool": ["nikto"] }), 0),
        (
            json!({ "severity": [worst], "file": file }),
            expect(&|finding| severity(finding, &worst) && finding["file"] == file),
        ),
    ] {
        let document = "query($project: ID!, $filter: FindingFilter) {
          findings(first: 100, filter: $filter) { totalCount nodes { severity } }
          project(id: $project) { findings(filter: $filter) { totalCount } } }";
        let data = acme
            .data(document, json!({ "project": project, "filter": filter }))
            .await;
        assert_eq!(data["findings"]["totalCount"], count, "{filter}");
        assert_eq!(data["project"]["findings"]["totalCount"], count, "{filter}");
        assert_eq!(
            data["findings"]["nodes"].as_array().unwrap().len(),
            count.min(100),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_filtered_list_is_paged_like_a_whole_one() {
    let app = App::start().await;
    let (acme, _, task) = with_findings(&app, 120).await;
    let document = "query($task: ID!, $after: String, $filter: FindingFilter, $order: FindingOrderField) {
      task(id: $task) { findings(first: 7, after: $after, filter: $filter, orderBy: { field: $order }) {
        totalCount edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";
    for order in ["SEVERITY", "FILE", "CREATED_AT"] {
        let all = acme.findings_by(&task, order).await;
        for (filter, field, words) in [
            (
                json!({ "severity": ["HIGH", "LOW"] }),
                "severity",
                vec!["HIGH", "LOW"],
            ),
            (json!({ "rule": ["demo-rule-2"] }), "ruleId", vec!["demo-rule-2"]),
            (
                json!({ "file": "src/demo-rule3.py" }),
                "file",
                vec!["src/demo-rule3.py"],
            ),
            (json!({ "tool": ["semgrep"] }), "tool", vec!["semgrep"]),
        ] {
            let kept = all
                .iter()
                .filter(|finding| words.iter().any(|word| finding[field] == *word));
            let expected: Vec<&Value> = kept.map(|finding| &finding["id"]).collect();
            assert!(expected.len() > 7, "{filter}: more than a page");
            let (mut ids, mut after) = (Vec::new(), Value::Null);
            loop {
                let variables = json!({ "task": task, "after": after, "filter": filter, "order": order });
                let mut data = acme.data(document, variables).await;
                let page = data["task"]["findings"].take();
                let edges = page["edges"].as_array().unwrap();
                ids.extend(edges.iter().map(|edge| edge["node"]["id"].clone()));
                let info = &page["pageInfo"];
                assert_eq!(page["totalCount"], expected.len(), "{order} {filter}");
                assert_eq!(info["hasPreviousPage"], !after.is_null(), "{order} {filter}");
                assert_eq!(info["startCursor"], edges[0]["cursor"], "{order} {filter}");
                assert_eq!(
                    info["endCursor"],
                    edges[edges.len() - 1]["cursor"],
                    "{order} {filter}"
                );
                if info["hasNextPage"] == false {
                    break;
                }
                assert_eq!(edges.len(), 7, "{order} {filter}: only the last page is short");
                after = info["endCursor"].clone();
            }
            assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{order} {filter}");
        }
    }
}

#[tokio::test]
async fn a_wrong_question_gets_a_stable_code_and_none_of_our_text() {
    let app = App::start().await;
    let (acme, _, task) = with_findings(&app, 30).await;
    let page = acme
        .data("{ findings(first: 2) { pageInfo { endCursor } } }", Value::Null)
        .await;
    let cursor = text(&page["findings"]["pageInfo"]["endCursor"]);
    for (document, code) in [
        (
            "{ findings(first: 101) { totalCount } }".to_owned(),
            "PAGE_TOO_LARGE",
        ),
        (
            "{ findings(first: -1) { totalCount } }".to_owned(),
            "INVALID_INPUT",
        ),
        (
            "{ findings(after: \"nonsense\") { totalCount } }".to_owned(),
            "BAD_CURSOR",
        ),
        (
            format!(
                "{{ findings(after: \"{cursor}\", orderBy: {{ field: FILE }}) {{ totalCount nodes {{ id }} }} }}"
            ),
            "BAD_CURSOR",
        ),
        (
            format!("{{ tasks(after: \"{cursor}\") {{ totalCount }} }}"),
            "BAD_CURSOR",
        ),
        ("{ task(id: \"x\") { id } }".to_owned(), "BAD_USER_INPUT"),
        ("{ nothing }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("{".to_owned(), "GRAPHQL_PARSE_FAILED"),
        (
            "{ projects(filter: { name: \"\\u0000\" }) { totalCount } }".to_owned(),
            "INVALID_INPUT",
        ),
        (
            "{ findings(filter: { rule: [\"\\u0000\"] }) { totalCount } }".to_owned(),
            "INVALID_INPUT",
        ),
        (
            format!("{{ findings(after: \"{NUL_CURSOR}\", orderBy: {{ field: FILE }}) {{ totalCount }} }}"),
            "BAD_CURSOR",
        ),
        (
            format!(
                "{{ task(id: \"{task}\") {{ findings(filter: {{ file: \"{}\" }}) {{ totalCount }} }} }}",
                "\\u0000"
            ),
            "INVALID_INPUT",
        ),
    ] {
        let answer = acme.answer(&document, Value::Null).await;
        check_refusal(&document, &answer, code);
    }
}

#[tokio::test]
async fn a_wrong_order_is_refused_with_a_stable_code_and_none_of_our_text() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let absent = uuid::Uuid::now_v7().to_string();
    for (mutation, input, code) in [
        ("createProject", json!({ "name": "" }), "INVALID_INPUT"),
        (
            "createProject",
            json!({ "name": "x".repeat(201) }),
            "INVALID_INPUT",
        ),
        ("createProject", json!({ "name": "a\u{0}b" }), "INVALID_INPUT"),
        ("createProject", json!({ "name": "shop" }), "ALREADY_EXISTS"),
        ("cancelTask", json!({ "taskId": absent }), "NOT_FOUND"),
        ("retryTask", json!({ "taskId": absent }), "NOT_FOUND"),
        ("importReport", order(&absent, &absent), "NOT_FOUND"),
        ("importReport", order(&project, &absent), "NOT_FOUND"),
    ] {
        let payload = acme.mutate(mutation, input).await;
        assert_eq!(payload["errors"][0]["code"], code, "{mutation}: {payload}");
        check_text(mutation, &payload);
    }
    let upload = acme.upload(&project, "x", b"x".to_vec()).await;
    for (field, value, code) in [
        ("scanType", json!("nothing"), "UNSUPPORTED_SCAN_TYPE"),
        ("scanType", json!("../x"), "INVALID_INPUT"),
        ("priority", json!(101), "INVALID_INPUT"),
        ("priority", json!(-1), "INVALID_INPUT"),
        ("options", json!([1]), "INVALID_INPUT"),
        ("options", json!({ "unknown": 1 }), "BAD_OPTIONS"),
        ("options", json!({ "unknown": ["a\u{0}b"] }), "INVALID_INPUT"),
        (
            "options",
            json!({ "unknown": "x".repeat(70_000) }),
            "INVALID_INPUT",
        ),
    ] {
        let mut input = order(&project, &upload);
        input[field] = value;
        let payload = acme.mutate("startScan", input).await;
        assert_eq!(payload["errors"][0]["code"], code, "{field}: {payload}");
        check_text(field, &payload);
    }
}

fn check_refusal(question: &str, answer: &Value, code: &str) {
    let error = &answer["errors"][0];
    let given = error["extensions"]["code"].as_str();
    assert!(
        given.is_some_and(|given| given != "INTERNAL"),
        "{question}: {answer:#}"
    );
    assert!(code.is_empty() || given == Some(code), "{question}: {answer:#}");
    check_text(question, answer);
}

fn check_text(question: &str, answer: &Value) {
    let said = answer.to_string().to_lowercase();
    for secret in SECRETS {
        assert!(!said.contains(secret), "{question}: {secret:?} in {answer:#}");
    }
}

/// Everything that hangs from a project, nested as a page of a console would ask.
const NESTED: &str = "query($first: Int!) { projects(first: $first) { totalCount nodes { name severityCounts { high }
  tasks(first: 5) { totalCount nodes { status project { name } scanResult { findings } artifacts { name task { id } }
    toolExecutions { tool task { id } } attempts { outcome } events(first: 3) { phase task { id } }
    findings(first: 3) { totalCount nodes { title project { name } task { id } } } } } } } }";

/// Fields of [`NESTED`] that read, and the look at the token.
const NESTED_READS: usize = 19;

#[tokio::test]
async fn a_query_costs_no_more_statements_than_it_has_fields_however_many_rows_it_finds() {
    let app = Plan::new()
        .set("log_filter", "info,sqlx::query=debug")
        .start()
        .await;
    let acme = app.tenant("acme");
    for name in ["one", "two", "three", "four", "five", "six"] {
        let project = acme.project(name).await;
        for findings in [1, 3] {
            let task = acme
                .import(&project, "report.json", report::semgrep(findings))
                .await;
            acme.ends_as(&task, "COMPLETED").await;
        }
    }
    // loads of one kind share a statement or two, as it happens, but never one for each row
    for projects in [1, 6, 3] {
        let count = statements(&app, &acme, projects).await;
        assert!(
            (5..=NESTED_READS).contains(&count),
            "{count} for {projects} projects"
        );
    }
}

/// Reads of the tenant's tables that the log shows for one nested query.
async fn statements(app: &App, acme: &Client, first: usize) -> usize {
    let before = tenant_reads(app).await;
    let data = acme.data(NESTED, json!({ "first": first })).await;
    assert_eq!(data["projects"]["nodes"].as_array().unwrap().len(), first);
    tenant_reads(app).await - before
}

/// How many statements on tenant tables by requests the log has; settles before it answers.
async fn tenant_reads(app: &App) -> usize {
    let count = || {
        let log = app.log();
        log.lines()
            .filter(|line| line.contains("sqlx::query") && line.contains("from tenant."))
            .count()
    };
    let mut last = (count(), std::time::Instant::now());
    until("a quiet log", SOON, async || {
        let now = count();
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        (last.1.elapsed() > std::time::Duration::from_millis(300)).then_some(now)
    })
    .await
}

#[tokio::test]
async fn whoever_watches_the_server_needs_no_token_and_learns_nothing_of_tenants() {
    let app = App::start().await;
    let (acme, project, _) = with_findings(&app, 3).await;
    let nobody = app.client("");
    for (path, says) in [
        ("/healthz", "ok"),
        ("/readyz", "\"ready\":true"),
        ("/metrics", "tamiz_attempts_total"),
        ("/metrics", "tamiz_queue_tickets{state=\"waiting\"} 0"),
        (
            "/metrics",
            "tamiz_workers{scan_type=\"codeaudit\",work=\"import\"} 1",
        ),
    ] {
        let answer = nobody.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{path}: {text}");
        assert!(
            !text.contains("acme") && !text.contains(&project) && !text.contains(acme.token()),
            "{path}"
        );
    }
    let page = nobody.request(Method::GET, "/").send().await.unwrap();
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text().await.unwrap().contains("GraphiQL"));
}
