//! `tamiz vex import` over a report of grype: tried, done, done again, refused.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{App, Client, checkout};

/// `tamiz vex import` as a user's machine runs it: the address and the token are all it knows.
fn import(app: &App, client: &Client, args: &[&str]) -> Output {
    let mut command = Command::new(checkout::tamiz());
    command.args(["vex", "import", "--project", "shop"]).args(args);
    command.current_dir(app.folder()).env_clear();
    command.env("TAMIZ_SERVER", client.address());
    command.env("TAMIZ_TOKEN", client.token());
    command.output().unwrap()
}

/// What it says of a document that it takes.
fn says(app: &App, client: &Client, args: &[&str]) -> String {
    let output = import(app, client, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Four alerts about packages, of which grype's own user ignores one, and a server that has them.
async fn stocked() -> (App, Client) {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let found = checkout::read("plugins/codeaudit/cases/grype/directory.json");
    let task = acme.import(&project, "grype.json", found).await;
    acme.ends_as(&task, "COMPLETED").await;
    (app, acme)
}

/// All that is known of the alerts, and what happened to them.
fn rows(app: &App) -> String {
    app.sql(
        "select to_jsonb(a)::text from tenant.alert a union all
         select to_jsonb(e)::text from tenant.alert_event e order by 1",
    )
}

/// Package, state, reason and comment of each alert.
async fn standing(acme: &Client) -> Value {
    let query = "{ projects { nodes { alerts(filter: { state: [OPEN, REOPENED, DISMISSED, FIXED] }) {
        nodes { title state dismissal { reason comment by } } } } } }";
    let answer = acme.data(query, json!({})).await;
    let nodes = answer["projects"]["nodes"][0]["alerts"]["nodes"]
        .as_array()
        .unwrap();
    let mut found = serde_json::Map::new();
    for alert in nodes {
        let package = alert["title"].as_str().unwrap().split(' ').next().unwrap();
        let said = json!([alert["state"], alert["dismissal"]]);
        found.insert(package.to_owned(), said);
    }
    found.into()
}

fn write(app: &App, name: &str, document: &Value) {
    fs::write(app.folder().join(name), document.to_string()).unwrap();
}

fn openvex(statements: &Value) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://shop.test/vex", "author": "shop", "version": 1,
        "timestamp": "2026-11-01T00:00:00Z", "statements": statements,
    })
}

fn cyclonedx(state: &str) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{ "type": "library", "name": "odd", "bom-ref": "odd", "purl": "pkg:pypi/odd@1" }],
        "vulnerabilities": [{
            "id": "CVE-2099-0001", "affects": [{ "ref": "odd" }],
            "analysis": { "state": state, "detail": "nobody calls it", "lastUpdated": "2026-11-01T00:00:00Z" },
        }],
    })
}

/// A dry run, the real run and the same again: what each says, and that only the second writes.
fn thrice(app: &App, acme: &Client, name: &str, [tried, done, again]: [&str; 3]) {
    let before = rows(app);
    assert_eq!(says(app, acme, &[name, "--dry-run"]), tried, "{name}");
    assert_eq!(rows(app), before, "{name}: a dry run writes nothing");
    assert_eq!(says(app, acme, &[name]), done, "{name}");
    let after = rows(app);
    assert_ne!(after, before, "{name}");
    assert_eq!(says(app, acme, &[name]), again, "{name}");
    assert_eq!(rows(app), after, "{name}: the second time changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_decide_on_the_alerts_of_a_report_once() {
    let (app, acme) = stocked().await;
    let statements = json!([
        { "vulnerability": { "name": "CVE-2018-18074" }, "status": "not_affected",
          "products": [{ "@id": "pkg:pypi/requests@2.19.1" }],
          "justification": "vulnerable_code_not_in_execute_path" },
        { "vulnerability": { "name": "CVE-2016-2781" }, "status": "affected",
          "products": [{ "@id": "pkg:pypi/coreutils" }], "action_statement": "Upgrade soon." },
        { "vulnerability": { "name": "CVE-2016-2781" }, "status": "fixed",
          "products": [{ "@id": "pkg:pypi/elsewhere" }] },
    ]);
    write(&app, "shop.openvex.json", &openvex(&statements));
    thrice(
        &app,
        &acme,
        "shop.openvex.json",
        [
            "3 statements, 2 alerts matched: would be dismissed 1, would be reopened 0, would be commented 1, \
             unchanged 0, kept as people decided later 0\n",
            "3 statements, 2 alerts matched: dismissed 1, reopened 0, commented 1, unchanged 0, \
             kept as people decided later 0\n",
            "3 statements, 2 alerts matched: dismissed 0, reopened 0, commented 0, unchanged 2, \
             kept as people decided later 0\n",
        ],
    );
    let told = import(&app, &acme, &["shop.openvex.json"]);
    assert_eq!(
        String::from_utf8_lossy(&told.stderr),
        "tamiz: statements[2] is about no alert of the project\n"
    );

    write(&app, "shop.cdx.json", &cyclonedx("not_affected"));
    thrice(
        &app,
        &acme,
        "shop.cdx.json",
        [
            "1 statements, 1 alerts matched: would be dismissed 1, would be reopened 0, would be commented 0, \
             unchanged 0, kept as people decided later 0\n",
            "1 statements, 1 alerts matched: dismissed 1, reopened 0, commented 0, unchanged 0, \
             kept as people decided later 0\n",
            "1 statements, 1 alerts matched: dismissed 0, reopened 0, commented 0, unchanged 1, \
             kept as people decided later 0\n",
        ],
    );
    let dismissed =
        |comment: &str| json!(["DISMISSED", { "reason": "FALSE_POSITIVE", "comment": comment, "by": "vex" }]);
    let expected = json!({
        "requests": dismissed("vulnerable_code_not_in_execute_path"),
        "coreutils": ["OPEN", null],
        "odd": dismissed("nobody calls it"),
        "pip": ["OPEN", null],
    });
    assert_eq!(standing(&acme).await, expected);
    app.says(&["alerts", "check"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_document_is_refused_by_name_and_changes_nothing() {
    let (app, acme) = stocked().await;
    write(&app, "bad.openvex.json", &openvex(&json!([{ "status": "odd" }])));
    write(&app, "bad.cdx.json", &cyclonedx("odd"));
    write(&app, "other.json", &json!({ "results": [] }));
    let before = rows(&app);
    for (name, code, why) in [
        ("bad.openvex.json", 1, "statements[0]"),
        ("bad.cdx.json", 1, "vulnerabilities[0].analysis.state"),
        ("other.json", 1, "cannot be read"),
        ("absent.json", 2, "No such file"),
    ] {
        let refused = import(&app, &acme, &[name]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(name) && said.contains(why), "{name}: {said}");
        assert!(refused.stdout.is_empty(), "{name}");
    }
    assert_eq!(rows(&app), before);
}
