//! The queue as operators and tenants see it: GraphQL, metrics, `tamiz queue`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, report, text, until};

const QUEUE: &str =
    "{ queue { scanTypes { scanType waiting scheduled running oldestWaitSeconds atLimit paused
  endedPerMinute claimP50Seconds claimP99Seconds } refusals { limit count } } }";
const TENANTS: &str = "query($after: String) { queue { tenants(first: 1, after: $after) {
  nodes { tenantName scanTypes { scanType waiting } } pageInfo { hasNextPage endCursor } }
  busiest { tenantName } } }";

/// The only scan type's row.
async fn only_type(client: &Client) -> Value {
    let data = client.data(QUEUE, Value::Null).await;
    let rows = data["queue"]["scanTypes"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 1, "{data:#}");
    rows[0].clone()
}

/// All tenants, a page for each.
async fn names_by_pages(operator: &Client) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = operator.data(TENANTS, json!({ "after": after })).await;
        assert_eq!(page["queue"]["busiest"][0]["tenantName"], "acme", "{page}");
        let page = &page["queue"]["tenants"];
        names.push(text(&page["nodes"][0]["tenantName"]));
        if page["pageInfo"]["hasNextPage"] == false {
            return names;
        }
        after = page["pageInfo"]["endCursor"].clone();
        assert!(names.len() < 10, "{names:?}");
    }
}

async fn metrics_name_one_tenant(client: &Client) {
    let numbers = client.request(Method::GET, "/metrics").send().await.unwrap();
    let numbers = numbers.text().await.unwrap();
    for line in [
        "tamiz_queue_waiting{scan_type=\"codeaudit\"} 3",
        "tamiz_tenant_queue_waiting{tenant=\"acme\",scan_type=\"codeaudit\"} 2",
        "tamiz_tenant_queue_waiting{tenant=\"(others)\",scan_type=\"codeaudit\"} 1",
    ] {
        assert!(
            numbers.lines().any(|found| found == line),
            "no {line} in {numbers}"
        );
    }
}

async fn a_revoked_token_opens_nothing(app: &App, operator: &Client) {
    let list = app.says(&["operator", "token", "list"]);
    let line = list
        .lines()
        .find(|line| line.contains("dashboard"))
        .expect("the token");
    assert!(!list.contains(operator.token()), "{list}");
    let id = line.split_whitespace().next().unwrap();
    app.says(&["operator", "token", "revoke", id]);
    let request = operator
        .request(Method::POST, "/graphql")
        .json(&json!({ "query": QUEUE }));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn operators_see_the_whole_queue_and_a_tenant_its_own() {
    let plan = Plan::new()
        .set("metrics_tenants_max", 1)
        .set("poll_seconds", "1s");
    let app = plan.without_worker().start().await;
    let (acme, globex) = (app.tenant("acme"), app.tenant("globex"));
    let mut tasks = Vec::new();
    for (tenant, count) in [(&acme, 2), (&globex, 1)] {
        let project = tenant.project("shop").await;
        for number in 0..count {
            let name = format!("{number}.json");
            tasks.push((tenant, tenant.import(&project, &name, report::semgrep(1)).await));
        }
    }
    let token = app.says(&["operator", "token", "create", "--name", "dashboard"]);
    let operator = app.client(token.trim());
    for (client, waiting) in [(&acme, 2), (&globex, 1), (&operator, 3)] {
        let row = only_type(client).await;
        assert_eq!(
            row["waiting"].to_string().trim_matches('"'),
            waiting.to_string(),
            "{row}"
        );
        assert!(
            row["oldestWaitSeconds"]
                .as_f64()
                .is_some_and(|seconds| seconds >= 0.0),
            "{row}"
        );
        assert_eq!(row["claimP50Seconds"], Value::Null, "{row}");
    }
    let names = names_by_pages(&operator).await;
    assert_eq!(names, ["acme", "globex"]);

    metrics_name_one_tenant(&operator).await;

    let _worker = app.worker("worker");
    for (tenant, task) in &tasks {
        tenant.ends_as(task, "COMPLETED").await;
    }
    until("the pace of the last minutes", SOON, async || {
        let row = only_type(&operator).await;
        let told = row["endedPerMinute"].as_f64()? > 0.0 && row["claimP99Seconds"].as_f64()? > 0.0;
        told.then_some(())
    })
    .await;
    let row = only_type(&acme).await;
    assert_eq!(row["oldestWaitSeconds"], Value::Null, "{row}");

    a_revoked_token_opens_nothing(&app, &operator).await;
}

#[tokio::test]
async fn the_queue_is_watched_and_checked_from_the_command_line() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(1)).await;
    let frame: Value = serde_json::from_str(&app.says(&["queue", "top", "--once", "--json"])).unwrap();
    assert_eq!(frame["scanTypes"][0]["waiting"], 1, "{frame:#}");
    assert_eq!(frame["tenants"][0]["tenantName"], "acme", "{frame:#}");
    assert_eq!(frame["workers"]["live"], 0, "{frame:#}");
    let screen = app.says(&["queue", "top", "--once"]);
    assert!(screen.lines().any(|line| line.starts_with("acme  ")), "{screen}");
    assert!(!screen.contains('\u{1b}'), "{screen}");

    assert!(app.says(&["queue", "check"]).contains("right"));
    app.sql("update control.lane set waiting = waiting + 3, running = 2");
    let checked = app.run(&["queue", "check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let said = String::from_utf8_lossy(&checked.stdout);
    let words: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(
        words.contains(&vec!["acme", "codeaudit", "waiting", "4", "1"]),
        "{said}"
    );
    assert!(
        words.contains(&vec!["acme", "codeaudit", "running", "2", "0"]),
        "{said}"
    );
    assert!(
        app.says(&["queue", "check", "--repair"])
            .contains("are right now")
    );
    assert!(app.says(&["queue", "check"]).contains("right"));

    let _worker = app.worker("worker");
    acme.ends_as(&task, "COMPLETED").await;
}
