//! A project's alerts as files: by the command, by the address that GraphQL tells, never by another tenant.

use std::fs;
use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{App, Client, checkout, report};

/// `tamiz export` as a user's machine runs it: the address and the token are all it knows.
fn export(app: &App, client: &Client, args: &[&str]) -> Output {
    let mut command = Command::new(checkout::tamiz());
    command.args(["export", "--project", "shop"]).args(args);
    command.current_dir(app.folder()).env_clear();
    command.env("TAMIZ_SERVER", client.address());
    command.env("TAMIZ_TOKEN", client.token());
    command.output().unwrap()
}

/// A server with six alerts, of which three are fixed.
async fn stocked() -> (App, Client) {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    for findings in [6, 3] {
        let task = acme
            .import(&project, "report.json", report::semgrep(findings))
            .await;
        acme.ends_as(&task, "COMPLETED").await;
    }
    (app, acme)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_written_with_the_alerts_that_were_asked_for() {
    let (app, acme) = stocked().await;
    for (format, lines) in [("csv", 7), ("ocsf", 6)] {
        let said = export(&app, &acme, &["--format", format]);
        assert_eq!(said.status.code(), Some(0), "{format}");
        let text = String::from_utf8(said.stdout).unwrap();
        assert_eq!(text.lines().count(), lines, "{format}: {text}");
    }
    let fixed = export(&app, &acme, &["--format", "csv", "--state", "fixed,dismissed"]);
    assert_eq!(String::from_utf8(fixed.stdout).unwrap().lines().count(), 4);

    let said = export(&app, &acme, &["--format", "sarif", "--out", "found.sarif"]);
    assert_eq!(said.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&said.stderr),
        "tamiz: wrote found.sarif\n"
    );
    let document: Value =
        serde_json::from_slice(&fs::read(app.folder().join("found.sarif")).unwrap()).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(
        runs[0]["results"].as_array().unwrap().len(),
        3,
        "what is fixed is not open"
    );
    let category = runs[0]["automationDetails"]["id"].as_str().unwrap();
    assert!(category.starts_with("tamiz/shop/semgrep/"), "{category}");
    for format in ["openvex", "cyclonedx"] {
        let said = export(&app, &acme, &["--format", format]);
        let document: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert!(document.is_object(), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_graphql_tells_opens_with_the_same_token_and_no_other() {
    let (app, acme) = stocked().await;
    let query = "{ projects { nodes { exportUrl(format: CSV) } } }";
    let answer = acme.data(query, json!({})).await;
    let path = answer["projects"]["nodes"][0]["exportUrl"].as_str().unwrap();
    let own = acme.request(Method::GET, path).send().await.unwrap();
    assert_eq!(own.status(), 200);
    assert_eq!(
        own.headers()["content-type"],
        "text/csv; charset=utf-8; header=present"
    );
    assert!(
        own.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .contains("shop.csv")
    );
    assert_eq!(own.headers().get("tamiz-next"), None);
    assert_eq!(own.text().await.unwrap().lines().count(), 7);

    let viewer = app.token("acme", &["--role", "viewer"]);
    assert_eq!(
        viewer.request(Method::GET, path).send().await.unwrap().status(),
        200
    );
    let other = app.tenant("other");
    assert_eq!(
        other.request(Method::GET, path).send().await.unwrap().status(),
        404
    );
    let nobody = app.client("");
    assert_eq!(
        nobody.request(Method::GET, path).send().await.unwrap().status(),
        401
    );
    let wrong = path.replace("csv", "csv?state=closed");
    assert_eq!(
        acme.request(Method::GET, &wrong).send().await.unwrap().status(),
        400
    );

    let refused = export(&app, &other, &["--format", "csv"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no project named shop"));
}
