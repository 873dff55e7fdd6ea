//! An empty report closes what was there if it shows that its tool looked, and nothing otherwise.

use serde_json::{Value, json};

use super::{cases, comparison, imported};
use crate::harness::{App, Client};

/// Imports a report with alerts and then others of the same tool; how many alerts each of these closed.
async fn closed(app: &App, acme: &Client, name: &str, full: &str, empty: &[Value]) -> Vec<Value> {
    let project = acme.project(name).await;
    let mut closed = Vec::new();
    for report in empty {
        let path = format!("plugins/codeaudit/cases/{full}");
        let first = imported(
            acme,
            &project,
            "codeaudit",
            "full",
            crate::harness::checkout::read(&path),
        )
        .await;
        assert_ne!(comparison(app, &first)["unchanged"], Value::Null, "{name}");
        let next = imported(acme, &project, "codeaudit", "next", super::bytes(report)).await;
        closed.push(comparison(app, &next)["fixed"].clone());
    }
    closed
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_nothing_closes_what_the_tool_says_that_it_looked_at() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let sarif = |more: Value| {
        let mut run = json!({ "tool": { "driver": { "name": "ruff" } }, "results": [] });
        run.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "version": "2.1.0", "runs": [run] })
    };
    let semgrep = |scanned: Value, errors: Value| json!({ "version": "1.182.0", "results": [], "errors": errors, "paths": { "scanned": scanned } });
    let failed = json!([{ "level": "error", "type": "Timeout", "message": "too slow", "path": "a.py" }]);
    let empty = [
        semgrep(json!([]), json!([])),
        semgrep(json!(["a.py"]), failed),
        semgrep(json!(["a.py"]), json!([])),
    ];
    let said = closed(&app, &acme, "semgrep", "semgrep/vulnshop.json", &empty).await;
    let all = json!(
        app.sql("select count(*) from tenant.alert")
            .trim()
            .parse::<u64>()
            .unwrap()
    );
    assert_eq!(said, [json!(0), json!(0), all], "semgrep");

    let bandit =
        |metrics: Value| json!({ "errors": [], "generated_at": "", "metrics": metrics, "results": [] });
    let totals = json!({ "_totals": {} });
    let files = json!({ "_totals": {}, "a.py": {} });
    let said = closed(
        &app,
        &acme,
        "bandit",
        "bandit/vulnshop.json",
        &[bandit(totals), bandit(files)],
    )
    .await;
    assert_eq!(said[0], 0, "bandit looked at no file");
    assert_ne!(said[1], 0, "bandit looked at a file");

    let empty = [
        sarif(json!({})),
        sarif(json!({ "invocations": [{ "executionSuccessful": false }] })),
        sarif(json!({ "invocations": [{ "executionSuccessful": true }] })),
    ];
    let said = closed(&app, &acme, "sarif", "sarif/ruff-vulnshop.sarif", &empty).await;
    assert_eq!(said[..2], [json!(0), json!(0)], "a run without evidence");
    assert_ne!(said[2], 0, "a run that went well");
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_another_capture_closes_nothing() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("traffic").await;
    let mut alerts = 0;
    for case in cases("pcap")
        .into_iter()
        .filter(|case| case.bytes.len() < 100_000)
        .take(8)
    {
        let task = imported(&acme, &project, "pcap", case.name(), case.bytes.clone()).await;
        let compared = comparison(&app, &task);
        assert_eq!(compared["fixed"].as_u64().unwrap_or(0), 0, "{}", case.path);
        alerts += compared["new"].as_u64().unwrap_or(0);
    }
    assert!(alerts > 1, "the captures show something");
    assert_eq!(
        app.sql("select count(*) from tenant.alert where state = 0")
            .trim(),
        alerts.to_string()
    );
}
