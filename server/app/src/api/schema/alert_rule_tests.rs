//! Rules that act by themselves: previewed, made, acting on imports and on what is there, and held off by people.

use serde_json::{Value, json};
use tamiz_core::{Finding, ProjectId};
use tamiz_store::alert::recount;
use tamiz_store::token::{Caller, Role};

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// Twenty findings of five rules in five files, each of its own.
fn told() -> Vec<Finding> {
    let apart = |(number, mut finding): (usize, Finding)| {
        finding.rule_id = format!("{}.{number}", finding.rule_id);
        finding
    };
    findings(20).into_iter().enumerate().map(apart).collect()
}

async fn scanned(platform: &Platform, caller: &Caller, project: ProjectId, told: Vec<Finding>) {
    let task = platform.task(caller, project).await;
    platform.merge_findings(caller, project, task, told).await;
}

/// Writes by a field with an input of its name.
async fn write(platform: &Platform, caller: &Caller, field: &str, input: Value, asked: &str) -> Value {
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let query = format!(
        "mutation($input: {kind}!) {{ {field}(input: $input) {{ {asked} errors {{ code path message }} }} }}"
    );
    let (answer, _) = ask(platform, caller, &query, json!({ "input": input })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"][field].clone()
}

const SAVED: &str = "rule { id name } changed next";

fn in_file(project: ProjectId, name: &str, file: &str) -> Value {
    json!({
        "projectId": project, "name": name, "conditions": { "paths": [file] },
        "action": { "dismiss": { "reason": "USED_IN_TESTS", "comment": "fixtures" } },
    })
}

/// Files of open and of dismissed alerts, and severities of all.
async fn standing(platform: &Platform, caller: &Caller, project: ProjectId) -> (usize, Vec<Value>) {
    let query = "query($p: ID!) { project(id: $p) { open: alerts { totalCount }
        dismissed: alerts(filter: { state: [DISMISSED] }) { nodes { id file dismissal { by comment }
            events { nodes { kind actor ruleId task { id } } } } } } }";
    let (answer, _) = ask(platform, caller, query, json!({ "p": project })).await;
    let of = &answer["data"]["project"];
    let open = of["open"]["totalCount"].as_u64().unwrap();
    let dismissed = of["dismissed"]["nodes"].as_array().unwrap().clone();
    (usize::try_from(open).unwrap(), dismissed)
}

async fn counters_are_right(platform: &Platform, caller: &Caller) {
    let drift = recount::recount(platform.store(), caller.scope.tenant_id(), false).await;
    assert_eq!(drift.unwrap(), []);
}

/// The rule would act on four of ten alerts.
async fn four_of_ten_fit(platform: &Platform, acme: &Caller, project: ProjectId, wish: &Value) {
    let preview = json!({ "projectId": project, "conditions": wish["conditions"], "action": wish["action"] });
    let asked = "matched counts { state severity count } decidedByPeople lookedAt isComplete alerts { file }";
    let previewed = write(platform, acme, "previewAlertRule", preview, asked).await;
    assert_eq!(previewed["matched"], 4, "{previewed}");
    assert_eq!(
        (&previewed["lookedAt"], &previewed["isComplete"]),
        (&json!(10), &json!(true))
    );
    assert_eq!(previewed["alerts"].as_array().unwrap().len(), 4);
    let counted = previewed["counts"].as_array().unwrap().iter();
    assert_eq!(
        counted.filter_map(|count| count["count"].as_u64()).sum::<u64>(),
        4
    );
}

#[tokio::test]
async fn a_rule_is_previewed_acts_on_what_is_there_and_on_what_comes() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    scanned(&platform, &acme, project, told()[..10].to_vec()).await;
    let wish = in_file(project, "fixtures", "src/file-[01].py");
    four_of_ten_fit(&platform, &acme, project, &wish).await;
    assert_eq!(
        standing(&platform, &acme, project).await,
        (10, vec![]),
        "nothing is written"
    );

    let mut applied = wish.clone();
    applied["applyToExisting"] = json!(true);
    let made = write(&platform, &acme, "createAlertRule", applied, SAVED).await;
    assert_eq!(
        (&made["changed"], &made["next"]),
        (&json!(4), &Value::Null),
        "{made}"
    );
    let rule = &made["rule"]["id"];
    let (open, dismissed) = standing(&platform, &acme, project).await;
    assert_eq!((open, dismissed.len()), (6, 4));
    for alert in &dismissed {
        assert_eq!(
            alert["dismissal"],
            json!({ "by": "rule:fixtures", "comment": "fixtures" })
        );
        let event = &alert["events"]["nodes"][0];
        assert_eq!(
            (&event["kind"], &event["actor"]),
            (&json!("dismissed"), &json!("rule:fixtures"))
        );
        assert_eq!(&event["ruleId"], rule, "{event}");
    }
    let again = write(
        &platform,
        &acme,
        "applyAlertRule",
        json!({ "ruleId": rule }),
        SAVED,
    )
    .await;
    assert_eq!(again["changed"], 0, "{again}");

    scanned(&platform, &acme, project, told()).await;
    let (open, dismissed) = standing(&platform, &acme, project).await;
    assert_eq!((open, dismissed.len()), (12, 8), "four of the ten new ones");
    counters_are_right(&platform, &acme).await;

    let gone = write(
        &platform,
        &acme,
        "deleteAlertRule",
        json!({ "ruleId": rule }),
        "ruleId",
    )
    .await;
    assert_eq!(&gone["ruleId"], rule);
    let (open, _) = standing(&platform, &acme, project).await;
    assert_eq!(open, 12, "what it did stays");
    platform.end().await;
}

#[tokio::test]
async fn what_a_person_decided_no_rule_changes() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let mut dismiss = in_file(project, "all", "**");
    scanned(&platform, &acme, project, told()).await;
    dismiss["applyToExisting"] = json!(true);
    let made = write(&platform, &acme, "createAlertRule", dismiss, SAVED).await;
    assert_eq!(made["changed"], 20);
    let (_, dismissed) = standing(&platform, &acme, project).await;
    let (back, rated) = (&dismissed[0]["id"], &dismissed[1]["id"]);
    for (field, input) in [
        ("reopenAlerts", json!({ "alertIds": [back, rated] })),
        (
            "setAlertSeverity",
            json!({ "alertIds": [rated], "severity": "LOW" }),
        ),
    ] {
        write(&platform, &acme, field, input, "changed").await;
    }
    let rate = json!({
        "projectId": project, "name": "rate", "conditions": { "tools": ["Semgrep"] },
        "action": { "severity": "INFO" }, "applyToExisting": true,
    });
    // the first is reopened, so a rule may rate it; the second is rated by a person
    let made = write(&platform, &acme, "createAlertRule", rate, SAVED).await;
    assert_eq!(made["changed"], 1, "{made}");
    let conditions = json!({ "paths": ["**"] });
    let action = json!({ "dismiss": { "reason": "WONT_FIX" } });
    let preview = json!({ "projectId": project, "conditions": conditions, "action": action });
    let previewed = write(
        &platform,
        &acme,
        "previewAlertRule",
        preview,
        "matched decidedByPeople",
    )
    .await;
    assert_eq!(
        (&previewed["matched"], &previewed["decidedByPeople"]),
        (&json!(2), &json!(2))
    );

    // gone, and back again: the rules look at both, and leave them
    scanned(&platform, &acme, project, told()[..1].to_vec()).await;
    scanned(&platform, &acme, project, told()).await;
    let query = "query($a: ID!, $b: ID!) { a: node(id: $a) { ... on Alert { state severity } }
        b: node(id: $b) { ... on Alert { state severity } } }";
    let (answer, _) = ask(&platform, &acme, query, json!({ "a": back, "b": rated })).await;
    let open = |state: &Value| state == "OPEN" || state == "REOPENED";
    assert!(
        open(&answer["data"]["a"]["state"]) && open(&answer["data"]["b"]["state"]),
        "{answer}"
    );
    assert_eq!(answer["data"]["a"]["severity"], "INFO");
    assert_eq!(answer["data"]["b"]["severity"], "LOW");
    counters_are_right(&platform, &acme).await;
    platform.end().await;
}

#[tokio::test]
async fn the_first_rule_that_fits_acts_and_a_disabled_one_does_not() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    for (name, position, enabled, severity) in [
        ("last", 9, true, "LOW"),
        ("off", 1, false, "CRITICAL"),
        ("first", 2, true, "INFO"),
    ] {
        let rule = json!({
            "projectId": project, "name": name, "position": position, "enabled": enabled,
            "conditions": { "rules": ["rule-*"] }, "action": { "severity": severity },
        });
        let made = write(&platform, &acme, "createAlertRule", rule, SAVED).await;
        assert_eq!(made["errors"], json!([]), "{made}");
    }
    scanned(&platform, &acme, project, told()).await;
    let query =
        "query($p: ID!) { project(id: $p) { alertRules { name enabled madeBy conditions { rules tools }
        action { severity dismiss { reason } } } alertCounts { severity count }
        alerts(first: 1) { nodes { severity severityOverride } } } }";
    let (answer, _) = ask(&platform, &acme, query, json!({ "p": project })).await;
    let of = &answer["data"]["project"];
    let names = of["alertRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["off", "first", "last"]);
    assert_eq!(
        of["alertCounts"],
        json!([{ "severity": "INFO", "count": 20 }]),
        "{answer}"
    );
    assert_eq!(of["alerts"]["nodes"][0]["severityOverride"], "INFO");
    counters_are_right(&platform, &acme).await;
    platform.end().await;
}

#[tokio::test]
async fn a_rule_is_refused_with_the_input_that_is_wrong() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let good = in_file(project, "one", "a/**");
    let made = write(&platform, &acme, "createAlertRule", good.clone(), SAVED).await;
    assert_eq!(made["errors"], json!([]));
    let with = |key: &str, value: Value| {
        let mut input = good.clone();
        input["name"] = json!("three");
        input[key] = value;
        input
    };
    for (input, path) in [
        (with("name", json!("one")), json!(["input", "name"])),
        (with("conditions", json!({})), json!(["input", "conditions"])),
        (
            with("conditions", json!({ "paths": ["[a"] })),
            json!(["input", "conditions", "paths"]),
        ),
        (with("action", json!({})), json!(["input", "action"])),
        (
            with("projectId", json!(uuid::Uuid::now_v7())),
            json!(["input", "projectId"]),
        ),
    ] {
        let refused = write(&platform, &acme, "createAlertRule", input.clone(), SAVED).await;
        assert_eq!(refused["errors"][0]["path"], path, "{input}: {refused}");
    }
    platform.end().await;
}

#[tokio::test]
async fn a_rule_is_changed_by_admins_of_its_tenant_alone() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let made = write(
        &platform,
        &acme,
        "createAlertRule",
        in_file(project, "one", "a/**"),
        SAVED,
    )
    .await;
    let other = write(
        &platform,
        &acme,
        "createAlertRule",
        in_file(project, "two", "b/**"),
        SAVED,
    )
    .await;
    assert_eq!((&made["errors"], &other["errors"]), (&json!([]), &json!([])));
    let mut update = in_file(project, "two", "a/**");
    update["ruleId"] = made["rule"]["id"].clone();
    update.as_object_mut().unwrap().remove("projectId");
    let refused = write(&platform, &acme, "updateAlertRule", update.clone(), SAVED).await;
    assert_eq!(
        refused["errors"][0]["path"],
        json!(["input", "name"]),
        "{refused}"
    );
    update["name"] = json!("three");
    let updated = write(&platform, &acme, "updateAlertRule", update.clone(), SAVED).await;
    assert_eq!(updated["rule"]["name"], "three", "{updated}");

    let analyst = Caller {
        role: Role::Analyst,
        ..acme.clone()
    };
    let refused = write(
        &platform,
        &analyst,
        "createAlertRule",
        in_file(project, "four", "c/**"),
        SAVED,
    )
    .await;
    assert_eq!(refused["errors"][0]["code"], "NOT_ALLOWED");
    let globex = platform.tenant("globex").await;
    let refused = write(&platform, &globex, "updateAlertRule", update, SAVED).await;
    assert_eq!(refused["errors"][0]["code"], "NOT_FOUND");
    let rule = json!({ "ruleId": made["rule"]["id"] });
    for field in ["applyAlertRule", "deleteAlertRule"] {
        let refused = write(&platform, &globex, field, rule.clone(), "").await;
        assert_eq!(refused["errors"][0]["code"], "NOT_FOUND", "{field}");
    }
    platform.end().await;
}
