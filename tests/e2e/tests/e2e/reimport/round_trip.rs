//! The SARIF of a SARIF import is equal in what it says: exported, imported elsewhere and exported again.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Case, cases, imported};
use crate::harness::{App, Client};

/// All files of a project's SARIF.
async fn exported(client: &Client, project: &str) -> Vec<Value> {
    let (mut files, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/projects/{project}/alerts.sarif{next}");
        let response = client.request(Method::GET, &path).send().await.unwrap();
        assert!(response.status().is_success(), "{path}");
        let more = response.headers().get("tamiz-next").cloned();
        files.push(response.json().await.unwrap());
        match more {
            Some(more) => next = format!("?next={}", more.to_str().unwrap()),
            None => return files,
        }
    }
}

/// Results and rules without what is of one project and one time, in an order of their own.
fn said(files: &[Value]) -> Vec<String> {
    let mut said = Vec::new();
    for run in files.iter().flat_map(|file| file["runs"].as_array().unwrap()) {
        let tool = &run["tool"]["driver"];
        for result in run["results"].as_array().unwrap() {
            let mut result = result.clone();
            let index = usize::try_from(result["ruleIndex"].take().as_u64().unwrap()).unwrap();
            let mut rule = tool["rules"][index].clone();
            sort(&mut rule["properties"]["tags"]);
            result["provenance"].take();
            let own = &mut result["properties"]["tamiz"];
            for key in ["id", "origin", "scanType"] {
                own[key].take();
            }
            sort(&mut result["properties"]["tags"]);
            said.push(json!([tool["name"], tool["version"], rule, result]).to_string());
        }
    }
    said.sort();
    said
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(ToString::to_string);
    }
}

/// The first things that only one side says.
fn difference(one: &[String], other: &[String]) -> Option<String> {
    let only = |of: &[String], not: &[String]| {
        of.iter()
            .find(|it| !not.contains(it))
            .cloned()
            .unwrap_or_default()
    };
    (one != other).then(|| {
        format!(
            "only before: {}\nonly after: {}",
            only(one, other),
            only(other, one)
        )
    })
}

async fn twice_exported(client: &Client, case: Case) -> Option<String> {
    let first = client.project(&format!("first {}", case.path)).await;
    imported(client, &first, case.scan_type, case.name(), case.bytes.clone()).await;
    let before = exported(client, &first).await;
    let second = client.project(&format!("second {}", case.path)).await;
    for file in &before {
        let bytes = serde_json::to_vec(file).unwrap();
        imported(client, &second, "codeaudit", "exported.sarif", bytes).await;
    }
    let after = exported(client, &second).await;
    difference(&said(&before), &said(&after)).map(|what| format!("{}: {what}", case.path))
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_the_exported_sarif_of_every_sarif_case_says_the_same() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let mut different = Vec::new();
    let sarif = cases("codeaudit")
        .into_iter()
        .filter(|case| case.path.starts_with("sarif/"));
    let mut count = 0;
    for case in sarif {
        count += 1;
        different.extend(twice_exported(&acme, case).await);
    }
    assert!(count > 20, "{count} cases");
    assert!(
        different.is_empty(),
        "{} of {count}:\n{}",
        different.len(),
        different.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_the_exported_sarif_of_other_formats_says_the_same() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let wanted = [
        "semgrep/vulnshop.json",
        "gitleaks/vulnshop.json",
        "eslint/vulnshop-js.json",
        "checkov/",
        "npm-audit/",
    ];
    let all = cases("codeaudit")
        .into_iter()
        .chain(cases("web"))
        .chain(cases("ssl"));
    let chosen = all.filter(|case| {
        let of_web = ["zap/", "nuclei/", "sslyze/"];
        wanted
            .iter()
            .chain(&of_web)
            .any(|start| case.path.starts_with(start))
    });
    let mut different = Vec::new();
    for case in chosen {
        different.extend(twice_exported(&acme, case).await);
    }
    assert!(
        different.is_empty(),
        "{}:\n{}",
        different.len(),
        different.join("\n\n")
    );
}
