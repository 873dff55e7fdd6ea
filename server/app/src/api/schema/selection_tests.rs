//! Decisions about all alerts that fit.

use serde_json::{Value, json};
use tamiz_core::Finding;
use tamiz_store::token::Caller;

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// A project with fifty open alerts, ten of each severity.
async fn project_of(platform: &Platform, caller: &Caller) -> String {
    let project = platform.project(caller).await;
    let task = platform.task(caller, project).await;
    let told: Vec<Finding> = findings(50)
        .into_iter()
        .map(|mut finding| {
            finding.rule_id = format!("{} {}", finding.rule_id, finding.title);
            finding
        })
        .collect();
    platform.merge_findings(caller, project, task, told).await;
    project.to_string()
}

async fn dismiss(platform: &Platform, caller: &Caller, alerts: Value, dry_run: bool) -> Value {
    let query = "mutation($input: DismissAlertsInput!) { dismissAlerts(input: $input) {
        matched changed alerts { id state } errors { code path } } }";
    let input = json!({ "alerts": alerts, "reason": "WONT_FIX", "dryRun": dry_run });
    let (mut answer, _) = ask(platform, caller, query, json!({ "input": input })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"]["dismissAlerts"].take()
}

#[tokio::test]
async fn all_that_fit_are_previewed_and_decided_on_at_once() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = project_of(&platform, &acme).await;
    let fitting = |expected: Option<i32>| {
        let filter = json!({ "severity": ["LOW", "INFO"] });
        json!({ "matching": { "projectId": project, "filter": filter, "expectedCount": expected } })
    };
    let preview = dismiss(&platform, &acme, fitting(None), true).await;
    assert_eq!(
        (&preview["matched"], &preview["changed"]),
        (&json!(20), &json!(20)),
        "{preview}"
    );
    assert_eq!(preview["alerts"][0]["state"], "OPEN", "nothing was written");

    let refused = dismiss(&platform, &acme, fitting(Some(19)), false).await;
    assert_eq!(
        refused["errors"],
        json!([{ "code": "WRONG_STATE", "path": ["input", "alerts", "matching", "expectedCount"] }])
    );
    let done = dismiss(&platform, &acme, fitting(Some(20)), false).await;
    assert_eq!(
        (&done["matched"], &done["changed"]),
        (&json!(20), &json!(20)),
        "{done}"
    );
    assert_eq!(done["alerts"].as_array().unwrap().len(), 20);
    assert_eq!(done["alerts"][0]["state"], "DISMISSED");
    // by default what is open fits, which these are not any more
    let again = dismiss(&platform, &acme, fitting(Some(0)), false).await;
    assert_eq!((&again["matched"], &again["changed"]), (&json!(0), &json!(0)));
    let all = json!({ "matching": { "projectId": project, "filter": { "state": ["OPEN", "DISMISSED"] } } });
    let rest = dismiss(&platform, &acme, all, false).await;
    assert_eq!((&rest["matched"], &rest["changed"]), (&json!(50), &json!(30)));
    platform.end().await;
}

#[tokio::test]
async fn a_choice_that_cannot_be_is_refused_and_a_foreign_project_is_not_there() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let globex = platform.tenant("globex").await;
    let project = project_of(&platform, &acme).await;
    let nothing = uuid::Uuid::now_v7().to_string();
    for (caller, project) in [(&globex, &project), (&acme, &nothing)] {
        let alerts = json!({ "matching": { "projectId": project } });
        let refused = dismiss(&platform, caller, alerts, true).await;
        assert_eq!(
            refused["errors"],
            json!([{ "code": "NOT_FOUND", "path": ["input", "alerts", "matching", "projectId"] }])
        );
    }
    let path = |refused: Value| refused["errors"][0]["path"].clone();
    let refused = dismiss(&platform, &acme, Value::Null, false).await;
    assert_eq!(path(refused), json!(["input", "alerts"]));
    let filter = json!({ "rule": ["a\u{0}"] });
    let odd = json!({ "matching": { "projectId": project, "filter": filter } });
    let refused = dismiss(&platform, &acme, odd, false).await;
    let place: Vec<String> = serde_json::from_value(path(refused)).unwrap();
    assert_eq!(place.join("."), "input.alerts.matching.filter.rule");
    platform.end().await;
}
