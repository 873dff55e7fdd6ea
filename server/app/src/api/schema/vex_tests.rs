//! VEX documents that decide on alerts: there and back, again, by other names, and held off by people.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tamiz_core::export::{Format, Head};
use tamiz_core::{AlertId, AlertState, Finding, ProjectId};
use tamiz_store::alert::{export, recount};
use tamiz_store::token::Caller;

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// Six findings about packages, with an advisory each.
fn packages() -> Vec<Finding> {
    let about = |(number, mut finding): (usize, Finding)| {
        finding.rule_id = format!("CVE-2026-100{number}");
        finding.cve = vec![finding.rule_id.clone()];
        finding.category = Some("dependency".into());
        for (key, text) in [
            ("package", format!("part-{number}")),
            ("version", "1.0".into()),
            ("package-url", format!("pkg:npm/part-{number}@1.0")),
        ] {
            finding.extra.insert(key.into(), json!(text));
        }
        finding
    };
    findings(6).into_iter().enumerate().map(about).collect()
}

async fn scanned(platform: &Platform, caller: &Caller, project: ProjectId) -> Vec<AlertId> {
    let task = platform.task(caller, project).await;
    platform.merge_findings(caller, project, task, packages()).await
}

async fn import(platform: &Platform, caller: &Caller, input: Value) -> Value {
    let query =
        "mutation($input: ImportVexInput!) { importVex(input: $input) { statements matched dismissed reopened
        commented unchanged kept fixed unmatched unmatchedPlaces leftOut errors { code path message } } }";
    let (answer, _) = ask(platform, caller, query, json!({ "input": input })).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"]["importVex"].clone()
}

/// What differs from nothing.
fn counts(payload: &Value) -> Value {
    let keys = ["dismissed", "reopened", "commented", "kept", "fixed", "unmatched"];
    let counted = keys.iter().filter(|key| payload[**key] != 0);
    counted
        .map(|key| ((*key).to_owned(), payload[*key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn decide(platform: &Platform, caller: &Caller, field: &str, input: Value) {
    let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
    let query =
        format!("mutation($input: {kind}!) {{ {field}(input: $input) {{ changed errors {{ code }} }} }}");
    let (answer, _) = ask(platform, caller, &query, json!({ "input": input })).await;
    assert_eq!(answer["data"][field]["errors"], json!([]), "{answer}");
}

/// State and dismissal of the alerts, in their order.
async fn standing(platform: &Platform, caller: &Caller, alerts: &[AlertId]) -> Vec<Value> {
    let mut standing = Vec::new();
    let query = "query($a: ID!) { alert(id: $a) { state dismissal { reason comment until by } } }";
    for alert in alerts {
        let (answer, _) = ask(platform, caller, query, json!({ "a": alert })).await;
        standing.push(answer["data"]["alert"].clone());
    }
    standing
}

async fn exported(platform: &Platform, caller: &Caller, project: ProjectId) -> String {
    let mut tx = platform.store().begin(&caller.scope).await.unwrap();
    let order = export::order(&mut tx, project, AlertState::ALL, None)
        .await
        .unwrap();
    let alerts = export::read(&mut tx, project, &order.ids).await.unwrap();
    let mut writer = Format::OpenVex.writer(Head {
        id: uuid::Uuid::now_v7(),
        project: "shop".into(),
        product: None,
        author: "tests".into(),
        run: "1".into(),
        made_at: Utc::now(),
        version: "0".into(),
    });
    let mut out = Vec::new();
    writer.begin(&mut out);
    for alert in &alerts {
        writer.alert(alert, &mut out);
    }
    writer.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn statement(number: usize, status: &str, more: Value) -> Value {
    let mut statement = json!({
        "vulnerability": { "name": format!("CVE-2026-100{number}") }, "status": status,
        "products": [{ "@id": format!("pkg:npm/part-{number}@1.0") }],
    });
    let fields = more.as_object().unwrap().clone();
    statement.as_object_mut().unwrap().extend(fields);
    statement
}

fn document(made_at: &str, statements: &[Value]) -> String {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://shop.test/vex", "author": "shop", "version": 1,
        "timestamp": made_at, "statements": statements,
    })
    .to_string()
}

#[tokio::test]
async fn what_was_exported_makes_the_same_states_of_another_project_once() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let (one, other) = (platform.project(&acme).await, platform.project(&acme).await);
    let (alerts, others) = (
        scanned(&platform, &acme, one).await,
        scanned(&platform, &acme, other).await,
    );
    let until = (Utc::now() + TimeDelta::days(30))
        .format("%Y-%m-%dT00:00:00Z")
        .to_string();
    for (alert, reason, until) in [
        (0, "FALSE_POSITIVE", None),
        (1, "ACCEPTED_RISK", Some(until)),
        (2, "WONT_FIX", None),
        (3, "USED_IN_TESTS", None),
    ] {
        let input =
            json!({ "alertIds": [alerts[alert]], "reason": reason, "until": until, "comment": "seen: fine" });
        decide(&platform, &acme, "dismissAlerts", input).await;
    }
    let text = exported(&platform, &acme, one).await;
    let input = json!({ "projectId": other, "text": text, "dryRun": true });
    let tried = import(&platform, &acme, input.clone()).await;
    assert_eq!(counts(&tried), json!({ "dismissed": 4 }), "{tried}");
    let opened = standing(&platform, &acme, &others).await;
    assert!(
        opened.iter().all(|alert| alert["state"] == "OPEN"),
        "nothing is written"
    );

    let input = json!({ "projectId": other, "text": text });
    let done = import(&platform, &acme, input.clone()).await;
    assert_eq!(
        (&done["statements"], &done["matched"]),
        (&json!(6), &json!(6)),
        "{done}"
    );
    assert_eq!(counts(&done), json!({ "dismissed": 4 }));
    let mut expected = standing(&platform, &acme, &alerts).await;
    for alert in &mut expected {
        if alert["dismissal"].is_object() {
            alert["dismissal"]["by"] = json!("vex");
        }
    }
    assert_eq!(standing(&platform, &acme, &others).await, expected);
    let again = import(&platform, &acme, input).await;
    assert_eq!(counts(&again), json!({}), "{again}");
    assert_eq!(again["unchanged"], 6);
    let drift = recount::recount(platform.store(), acme.scope.tenant_id(), false).await;
    assert_eq!(drift.unwrap(), []);
    platform.end().await;
}

#[tokio::test]
async fn each_status_does_what_it_says_and_what_fits_nothing_is_told() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let alerts = scanned(&platform, &acme, project).await;
    let now = Utc::now().to_rfc3339();
    let aliased = json!({ "vulnerability": { "name": "GHSA-jfh8-c2jp-5v3q", "aliases": ["CVE-2026-1000"] },
        "justification": "component_not_present", "impact_statement": "it is not shipped" });
    let mut statements = vec![
        statement(0, "not_affected", aliased),
        statement(1, "fixed", json!({})),
        statement(2, "affected", json!({ "action_statement": "Upgrade soon." })),
        statement(3, "under_investigation", json!({})),
        statement(9, "not_affected", json!({ "impact_statement": "nowhere" })),
        statement(
            4,
            "not_affected",
            json!({ "products": [{ "@id": "pkg:npm/part-4@2.0" }] }),
        ),
    ];
    statements[5]["impact_statement"] = json!("another version");
    let input = json!({ "projectId": project, "text": document(&now, &statements) });
    let done = import(&platform, &acme, input.clone()).await;
    let expected = json!({ "dismissed": 2, "commented": 1, "unmatched": 2 });
    assert_eq!(counts(&done), expected, "{done}");
    assert_eq!(done["unmatchedPlaces"], json!(["statements[4]", "statements[5]"]));
    let said = standing(&platform, &acme, &alerts).await;
    assert_eq!(
        said[0]["dismissal"]["comment"],
        "component_not_present: it is not shipped"
    );
    assert_eq!(said[0]["dismissal"]["reason"], "FALSE_POSITIVE");
    assert_eq!(said[1]["dismissal"]["comment"], "fixed");
    for open in &said[2..] {
        assert_eq!(open["state"], "OPEN");
    }
    let again = import(&platform, &acme, input).await;
    assert_eq!(counts(&again), json!({ "unmatched": 2 }), "{again}");
    platform.end().await;
}

#[tokio::test]
async fn a_person_who_decided_later_is_right_and_a_later_statement_is() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let alerts = scanned(&platform, &acme, project).await;
    let ids = json!({ "alertIds": [alerts[0]], "reason": "WONT_FIX" });
    decide(&platform, &acme, "dismissAlerts", ids).await;
    let affected = [statement(
        0,
        "affected",
        json!({ "action_statement": "Upgrade." }),
    )];
    let at = |days: i64| (Utc::now() + TimeDelta::days(days)).to_rfc3339();
    let input = |days| json!({ "projectId": project, "text": document(&at(days), &affected) });
    let before = import(&platform, &acme, input(-1)).await;
    assert_eq!(counts(&before), json!({ "kept": 1 }), "{before}");
    let after = import(&platform, &acme, input(1)).await;
    assert_eq!(counts(&after), json!({ "reopened": 1 }), "{after}");
    assert_eq!(
        standing(&platform, &acme, &alerts[..1]).await[0]["state"],
        "REOPENED"
    );
    platform.end().await;
}

#[tokio::test]
async fn a_statement_about_what_is_fixed_is_told_from_one_about_nothing() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let alerts = scanned(&platform, &acme, project).await;
    let task = platform.task(&acme, project).await;
    let left = packages().into_iter().take(4).collect();
    platform.merge_findings(&acme, project, task, left).await;
    let before = standing(&platform, &acme, &alerts).await;
    assert_eq!(before[4]["state"], "FIXED");
    let aliased = json!({ "vulnerability": { "name": "GHSA-jfh8-c2jp-5v3q", "aliases": ["CVE-2026-1005"] } });
    let statements = [
        statement(0, "under_investigation", json!({})),
        statement(4, "not_affected", json!({ "impact_statement": "it is gone" })),
        statement(5, "affected", aliased),
        statement(9, "fixed", json!({})),
    ];
    let text = document(&Utc::now().to_rfc3339(), &statements);
    for is_dry_run in [true, false] {
        let input = json!({ "projectId": project, "text": text, "dryRun": is_dry_run });
        let done = import(&platform, &acme, input).await;
        assert_eq!(counts(&done), json!({ "fixed": 2, "unmatched": 1 }), "{done}");
        assert_eq!((&done["matched"], &done["unchanged"]), (&json!(1), &json!(1)));
        assert_eq!(done["unmatchedPlaces"], json!(["statements[3]"]));
    }
    assert_eq!(standing(&platform, &acme, &alerts).await, before);
    platform.end().await;
}

#[tokio::test]
async fn a_document_that_is_none_and_a_foreign_project_are_refused() {
    let platform = Platform::start().await;
    let (acme, globex) = (platform.tenant("acme").await, platform.tenant("globex").await);
    let project = platform.project(&acme).await;
    let good = document(&Utc::now().to_rfc3339(), &[]);
    for (input, path) in [
        (
            json!({ "projectId": project, "text": "{}" }),
            json!(["input", "text"]),
        ),
        (
            json!({ "projectId": project, "text": "[" }),
            json!(["input", "text"]),
        ),
        (json!({ "projectId": project }), json!(["input", "uploadId"])),
        (
            json!({ "projectId": project, "uploadId": project }),
            json!(["input", "uploadId"]),
        ),
        (
            json!({ "projectId": uuid::Uuid::now_v7(), "text": good }),
            json!(["input", "projectId"]),
        ),
    ] {
        let refused = import(&platform, &acme, input.clone()).await;
        assert_eq!(refused["errors"][0]["path"], path, "{input}: {refused}");
    }
    let foreign = import(&platform, &globex, json!({ "projectId": project, "text": good })).await;
    assert_eq!(foreign["errors"][0]["code"], "NOT_FOUND", "{foreign}");
    platform.end().await;
}
