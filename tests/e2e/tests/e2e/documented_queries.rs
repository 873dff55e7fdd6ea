//! The queries of the GraphQL guide, read out of it and run as they stand against a real server.

use std::collections::BTreeMap;

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::harness::checkout;
use crate::harness::stream::EventStream;
use crate::harness::tool::{WRITE_REPORT, stand_in};
use crate::harness::{App, Client, Plan, report, text};

/// How many the guide promises.
const QUERIES: usize = 10;

/// One query of the guide.
#[derive(Debug, Clone)]
struct Documented {
    document: String,
    /// As the guide has them, with words such as `$PROJECT` for ids.
    variables: String,
}

/// The queries by their names: each block of GraphQL, with the JSON that follows it before the next one.
fn documented() -> BTreeMap<String, Documented> {
    let guide = String::from_utf8(checkout::read("docs/graphql.md")).unwrap();
    let section = guide.split("\n## Ten queries of a frontend\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```graphql\n").skip(1);
    let queries = blocks.map(|block| {
        let (document, rest) = block.split_once("```").unwrap();
        let variables = rest.split_once("```json\n");
        let variables = variables.map_or("{}", |(_, rest)| rest.split_once("```").unwrap().0);
        let name = document.split_whitespace().nth(1).unwrap();
        let name = name.split('(').next().unwrap().to_owned();
        let query = Documented {
            document: document.to_owned(),
            variables: variables.to_owned(),
        };
        (name, query)
    });
    queries.collect()
}

/// A tenant with a scanned project, and what the guide calls its things.
struct Guide {
    _app: App,
    acme: Client,
    queries: BTreeMap<String, Documented>,
    words: BTreeMap<&'static str, String>,
}

impl Guide {
    /// A project whose first scan has ended, and an upload for a second one.
    async fn opened() -> Self {
        let (app, acme, project) = stand_in(Plan::new(), WRITE_REPORT).await;
        let task = acme.scan(&project, "src.zip", report::one_file()).await;
        acme.ends_as(&task, "COMPLETED").await;
        let upload = acme.upload(&project, "again.zip", report::one_file()).await;
        let time = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let words = BTreeMap::from([
            ("$PROJECT", project),
            ("$TASK", task),
            ("$UPLOAD", upload),
            ("$YESTERDAY", time(Utc::now() - TimeDelta::hours(23))),
            ("$NOW", time(Utc::now())),
        ]);
        Self {
            _app: app,
            acme,
            queries: documented(),
            words,
        }
    }

    /// The document of this name, and its variables with ids in place of words.
    fn query(&self, name: &str) -> (&str, Value) {
        let query = &self.queries[name];
        let mut variables = query.variables.clone();
        for (word, meant) in &self.words {
            variables = variables.replace(word, meant);
        }
        assert!(!variables.contains('$'), "{name}: nobody knows {variables}");
        (&query.document, serde_json::from_str(&variables).unwrap())
    }

    async fn answers(&self, name: &str) -> Value {
        let (document, variables) = self.query(name);
        self.acme.data(document, variables).await
    }
}

fn count(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn the_guide_has_ten_queries_of_different_names() {
    let queries = documented();
    assert_eq!(queries.len(), QUERIES, "{:?}", queries.keys());
}

#[tokio::test]
async fn the_queries_about_alerts_answer_as_the_guide_says() {
    let mut guide = Guide::opened().await;
    let dashboard = guide.answers("Dashboard").await;
    let tenant = &dashboard["viewer"]["tenant"];
    assert_eq!(tenant["name"], "acme");
    let sum = |counts: &Value| -> i64 {
        counts
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_i64)
            .sum()
    };
    assert_eq!(sum(&tenant["severityCounts"]), 4, "{dashboard:#}");
    let top = tenant["topRules"].as_array().unwrap();
    assert_eq!(
        top.iter()
            .filter_map(|rule| rule["openAlerts"].as_i64())
            .sum::<i64>(),
        4
    );
    assert_eq!(top[0]["tool"], "semgrep");
    let opened = tenant["trend"].as_array().unwrap().iter();
    assert_eq!(opened.filter_map(|day| day["opened"].as_i64()).sum::<i64>(), 4);
    assert_eq!(dashboard["projects"]["nodes"][0]["name"], "shop");

    let alerts = guide.answers("Alerts").await;
    let page = &alerts["project"]["alerts"];
    let high = page["totalCount"].as_u64().unwrap();
    assert_eq!(count(&page["nodes"]) as u64, high, "{alerts:#}");
    assert!(high > 0 && page["nodes"][0]["severity"] == "HIGH", "{alerts:#}");
    assert_eq!(page["pageInfo"]["hasNextPage"], false);
    guide.words.insert("$ALERT", text(&page["nodes"][0]["id"]));

    let alert = guide.answers("Alert").await;
    let alert = &alert["alert"];
    assert_eq!(alert["id"], page["nodes"][0]["id"]);
    assert_eq!(alert["state"], "OPEN");
    assert_eq!(count(&alert["occurrences"]["nodes"]), 1, "{alert:#}");
    assert_eq!(alert["events"]["nodes"][0]["kind"], "opened", "{alert:#}");
    assert_eq!(
        alert["events"]["nodes"][0]["task"]["id"].as_str().unwrap(),
        format!("Task_{}", guide.words["$TASK"].trim_start_matches("Task_"))
    );

    let told = guide.answers("Triage").await;
    let told = &told["dismissAlerts"];
    assert_eq!(
        (&told["matched"], &told["changed"]),
        (&json!(high), &json!(high)),
        "{told:#}"
    );
    assert_eq!(told["errors"], json!([]));
    assert_eq!(guide.answers("Alerts").await, alerts, "nothing was decided");
    let (document, mut variables) = guide.query("Triage");
    variables["input"]["dryRun"] = false.into();
    let decided = guide.acme.data(document, variables).await;
    assert_eq!(decided["dismissAlerts"]["changed"], json!(high));
    assert_eq!(
        guide.answers("Alerts").await["project"]["alerts"]["totalCount"],
        0
    );
    let left = guide.answers("Dashboard").await;
    let left = left["viewer"]["tenant"]["topRules"].as_array().unwrap().clone();
    let left: i64 = left.iter().filter_map(|rule| rule["openAlerts"].as_i64()).sum();
    assert_eq!(left.unsigned_abs(), 4 - high);
}

#[tokio::test]
async fn the_queries_about_scans_answer_as_the_guide_says() {
    let mut guide = Guide::opened().await;
    let findings = guide.answers("Findings").await;
    let project = &findings["project"];
    assert_eq!(project["name"], "shop");
    assert_eq!(count(&project["findings"]["nodes"]), 4, "{findings:#}");
    assert_eq!(project["findings"]["nodes"][0]["alert"]["state"], "OPEN");
    assert_eq!(project["findings"]["pageInfo"]["hasNextPage"], false);
    let counts = project["findingSeverityCounts"].as_object().unwrap();
    assert_eq!(counts.values().filter_map(Value::as_i64).sum::<i64>(), 4);

    let scan = guide.answers("Scan").await;
    let scan = &scan["startScan"];
    assert_eq!(scan["errors"], json!([]), "{scan:#}");
    assert_eq!(scan["existing"], false);
    guide.words.insert("$TASK", text(&scan["task"]["id"]));

    let (document, variables) = guide.query("Follow");
    let events = EventStream::open(&guide.acme, document, variables)
        .await
        .rest()
        .await;
    let numbers: Vec<i64> = events.iter().filter_map(|event| event["seq"].as_i64()).collect();
    assert!(
        (1..).zip(&numbers).all(|(expected, number)| expected == *number),
        "{numbers:?}"
    );
    assert_eq!(events.last().unwrap()["status"], "COMPLETED", "{events:#?}");

    let task = guide.answers("Task").await;
    let task = &task["task"];
    assert_eq!(task["status"], "COMPLETED");
    assert_eq!(task["scanResult"]["findings"], 4);
    assert_eq!(task["scanResult"]["comparison"]["unchanged"], 4, "{task:#}");
    assert_eq!(task["attempts"][0]["outcome"], "completed");
    assert_eq!(task["toolExecutions"][0]["tool"], "semgrep");
    assert!(count(&task["artifacts"]) > 0);
    assert!(task["log"]["nodes"].is_array());

    let queue = guide.answers("Queue").await;
    assert_eq!(count(&queue["tasks"]["nodes"]), 2, "{queue:#}");
    assert_eq!(queue["tasks"]["nodes"][0]["project"]["name"], "shop");
    assert_eq!(queue["queuePauses"], json!([]));
    assert!(queue["queue"]["scanTypes"].is_array());

    let usage = guide.answers("Usage").await;
    assert_eq!(count(&usage["usage"]["windows"]), 24, "{usage:#}");
    let tasks = usage["usage"]["windows"].as_array().unwrap().iter();
    assert_eq!(
        tasks.filter_map(|window| window["tasks"].as_i64()).sum::<i64>(),
        2
    );
    assert!(count(&usage["usage"]["limits"]) > 0);
    assert_eq!(usage["viewer"]["tenant"]["plan"]["name"], "standard");
}
