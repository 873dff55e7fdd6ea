//! Rules that act by themselves: previewed, made, acting on imports and on what is there, and held off by people.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{App, Client, report};

const EVERY_ALERT: &str = "query($p: ID!) { project(id: $p) {
    alerts(filter: { state: [OPEN, REOPENED, DISMISSED, FIXED] }) {
        nodes { id file state severity dismissal { by reason } } } } }";

/// The alerts of a project by their files.
async fn alerts(acme: &Client, project: &str) -> BTreeMap<String, Value> {
    let mut answer = acme.data(EVERY_ALERT, json!({ "p": project })).await;
    let nodes = answer["project"]["alerts"]["nodes"].take();
    let nodes = nodes.as_array().unwrap().iter();
    nodes
        .map(|alert| (alert["file"].as_str().unwrap().to_owned(), alert.clone()))
        .collect()
}

/// Where an alert of the report stands, and how bad it is.
fn standing(alerts: &BTreeMap<String, Value>, number: usize) -> [&str; 2] {
    let alert = &alerts[&format!("src/demo-rule{number}.py")];
    ["state", "severity"].map(|field| alert[field].as_str().unwrap())
}

async fn import(acme: &Client, project: &str, findings: usize) {
    let task = acme
        .import(project, "report.json", report::semgrep(findings))
        .await;
    acme.ends_as(&task, "COMPLETED").await;
}

/// A mutation that must not be refused.
async fn write(acme: &Client, name: &str, input: Value, selection: &str) -> Value {
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let payload = acme.mutate_for(name, &kind, input, selection).await;
    assert_eq!(payload["errors"], json!([]), "{name}");
    payload
}

/// Dismisses what is in two files, of which the second is in the larger report alone.
fn dismissing(project: &str) -> Value {
    json!({
        "projectId": project,
        "conditions": { "paths": ["src/demo-rule0.py", "src/demo-rule3.py"] },
        "action": { "dismiss": { "reason": "USED_IN_TESTS", "comment": "generated" } },
    })
}

/// Rates what two rules find, of which the second is in the larger report alone.
fn rating(project: &str) -> Value {
    json!({
        "projectId": project, "name": "rating", "applyToExisting": true,
        "conditions": { "rules": ["demo-rule-2", "demo-rule-5"] }, "action": { "severity": "CRITICAL" },
    })
}

/// A preview tells what a rule would do, and writes nothing.
async fn preview_writes_nothing(acme: &Client, project: &str) {
    let before = alerts(acme, project).await;
    let asked = "matched decidedByPeople lookedAt isComplete alerts { file }";
    let previewed = write(acme, "previewAlertRule", dismissing(project), asked).await;
    let expected = json!({
        "matched": 1, "decidedByPeople": 0, "lookedAt": 3, "isComplete": true,
        "alerts": [{ "file": "src/demo-rule0.py" }], "errors": [],
    });
    assert_eq!(previewed, expected);
    assert_eq!(alerts(acme, project).await, before);
}

/// Makes both rules, of which the second acts on what is there; answers their ids.
async fn made(acme: &Client, project: &str) -> [Value; 2] {
    let mut rule = dismissing(project);
    rule["name"] = json!("generated");
    let first = write(acme, "createAlertRule", rule, "rule { id } changed").await;
    assert_eq!(first["changed"], Value::Null, "it acts on what comes");
    let asked = "rule { id } changed next";
    let second = write(acme, "createAlertRule", rating(project), asked).await;
    assert_eq!([&second["changed"], &second["next"]], [&json!(1), &Value::Null]);
    [first, second].map(|made| made["rule"]["id"].clone())
}

/// Somebody says otherwise of an alert that a rule dismissed, and of one that a rule rated.
async fn people_decide(acme: &Client, project: &str) {
    let found = alerts(acme, project).await;
    let reopened = json!({ "alertIds": [found["src/demo-rule3.py"]["id"]] });
    write(acme, "reopenAlerts", reopened, "changed").await;
    let rated = json!({ "alertIds": [found["src/demo-rule5.py"]["id"]], "severity": "LOW" });
    write(acme, "setAlertSeverity", rated, "changed").await;
    let asked = "matched decidedByPeople";
    let previewed = write(acme, "previewAlertRule", dismissing(project), asked).await;
    assert_eq!(
        [&previewed["matched"], &previewed["decidedByPeople"]],
        [2, 1],
        "{previewed}"
    );
}

async fn people_are_right(acme: &Client, project: &str) {
    let found = alerts(acme, project).await;
    assert_eq!(standing(&found, 0)[0], "DISMISSED");
    assert_ne!(standing(&found, 3)[0], "DISMISSED", "somebody reopened it");
    assert_eq!(standing(&found, 5)[1], "LOW", "somebody rated it");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_previewed_act_on_imports_and_yield_to_people() {
    let app = App::start().await;
    app.tenant("acme");
    let acme = app.token("acme", &["--role", "admin"]);
    let project = acme.project("shop").await;
    import(&acme, &project, 3).await;
    preview_writes_nothing(&acme, &project).await;
    let rules = made(&acme, &project).await;

    import(&acme, &project, 6).await;
    let found = alerts(&acme, &project).await;
    assert_eq!(standing(&found, 0)[0], "OPEN", "it was there before the rule");
    assert_eq!(standing(&found, 3)[0], "DISMISSED");
    let dismissal = json!({ "by": "rule:generated", "reason": "USED_IN_TESTS" });
    assert_eq!(found["src/demo-rule3.py"]["dismissal"], dismissal);
    for number in [2, 5] {
        assert_eq!(standing(&found, number), ["OPEN", "CRITICAL"], "{number}");
    }
    assert_ne!(standing(&found, 1)[1], "CRITICAL");

    people_decide(&acme, &project).await;
    for (rule, changed) in rules.iter().zip([1, 0]) {
        let applied = write(&acme, "applyAlertRule", json!({ "ruleId": rule }), "changed").await;
        assert_eq!(applied["changed"], changed, "{applied}");
    }
    people_are_right(&acme, &project).await;
    // gone, and back again: an import that reopens them asks the rules, too
    import(&acme, &project, 3).await;
    assert_eq!(standing(&alerts(&acme, &project).await, 3)[0], "FIXED");
    import(&acme, &project, 6).await;
    people_are_right(&acme, &project).await;
    app.says(&["alerts", "check"]);
}
