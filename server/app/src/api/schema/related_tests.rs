//! Alerts beside an alert, as the schema shows them.

use serde_json::{Value, json};
use tamiz_core::location::Position;
use tamiz_core::{AlertId, Finding, Location, ProjectId};
use tamiz_store::token::Caller;

use super::tests::ask;
use crate::api::test_tenant::{Platform, findings};

/// What `tool` says of lines of a file.
fn at(tool: &str, cwe: &[u32], path: &str, line: u32) -> Finding {
    let start = Some(Position { line, column: None });
    Finding {
        tool: tool.into(),
        rule_id: format!("{tool}.rule"),
        title: tool.into(),
        cwe: cwe.to_vec(),
        locations: vec![Location::File {
            path: path.into(),
            start,
            end: start,
            snippet: Some(format!("{tool} {path} {line}")),
        }],
        ..findings(1).remove(0)
    }
}

/// What `tool` says of a package.
fn of_package(tool: &str, advisories: &[&str]) -> Finding {
    Finding {
        rule_id: advisories[0].into(),
        category: Some("dependency".into()),
        cve: advisories.iter().map(|id| (*id).to_owned()).collect(),
        extra: json!({ "package": tool }).as_object().cloned().unwrap(),
        ..at(tool, &[22], "package-lock.json", 1)
    }
}

async fn merged(
    platform: &Platform,
    caller: &Caller,
    project: ProjectId,
    told: Vec<Finding>,
) -> Vec<AlertId> {
    let task = platform.task(caller, project).await;
    platform.merge_findings(caller, project, task, told).await
}

/// The tools beside an alert, and why; also how many statements it took.
async fn beside(platform: &Platform, caller: &Caller, alerts: &[AlertId]) -> (Vec<Vec<String>>, u64) {
    let fields: Vec<String> = alerts
        .iter()
        .enumerate()
        .map(|(at, id)| {
            format!("a{at}: alert(id: \"{id}\") {{ related(first: 5) {{ by alert {{ title project {{ name }} }} }} }}")
        })
        .collect();
    let query = format!("{{ {} }}", fields.join(" "));
    let (answer, reads) = ask(platform, caller, &query, json!({})).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let tools = (0..alerts.len()).map(|at| {
        let related = answer["data"][format!("a{at}")]["related"].as_array();
        let related = related.map_or(&[][..], Vec::as_slice).iter();
        let said = |one: &Value| {
            let (by, tool) = (
                one["by"].as_str().unwrap(),
                one["alert"]["title"].as_str().unwrap(),
            );
            format!("{by} {tool}")
        };
        let mut said: Vec<String> = related.map(said).collect();
        said.sort();
        said
    });
    (tools.collect(), reads)
}

#[tokio::test]
async fn alerts_of_one_advisory_or_of_one_weakness_at_one_place_are_related() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let told = vec![
        at("semgrep", &[89, 564], "src/db.py", 10),
        at("bandit", &[89], "./src/db.py", 12),
        at("codeql", &[89], "src/db.py", 90),
        at("other", &[79], "src/db.py", 10),
        of_package("trivy", &["CVE-2014-3744"]),
        of_package("osv", &["GHSA-69rr-wvh9-6c4q"]),
        of_package("npm", &["CVE-2019-0001"]),
    ];
    let alerts = merged(&platform, &acme, project, told.clone()).await;
    let nobody: Vec<String> = Vec::new();
    let (tools, reads) = beside(&platform, &acme, &alerts).await;
    assert_eq!(
        tools,
        [
            vec!["WEAKNESS bandit".to_owned()],
            vec!["WEAKNESS semgrep".to_owned()],
            nobody.clone(),
            nobody.clone(),
            nobody.clone(),
            nobody.clone(),
            nobody.clone(),
        ]
    );
    let (_, one) = beside(&platform, &acme, &alerts[..1]).await;
    // the aliases of advisories, where there are any
    assert!(
        reads <= one + 1,
        "{reads} statements for seven alerts, {one} for one"
    );

    // a report that knows both ids tells that they are of one flaw
    let mut told = told;
    told.push(of_package("grype", &["GHSA-69rr-wvh9-6c4q", "CVE-2014-3744"]));
    let alerts = merged(&platform, &acme, project, told.clone()).await;
    let (tools, _) = beside(&platform, &acme, &alerts[4..]).await;
    let named = |tools: [&str; 2]| tools.map(|tool| format!("ADVISORY {tool}")).to_vec();
    assert_eq!(
        tools,
        [
            named(["grype", "osv"]),
            named(["grype", "trivy"]),
            nobody.clone(),
            named(["osv", "trivy"])
        ]
    );

    // another project knows nothing of it, and neither does another tenant
    let apart = platform.project(&acme).await;
    let elsewhere = merged(&platform, &acme, apart, told[4..6].to_vec()).await;
    let (tools, _) = beside(&platform, &acme, &elsewhere).await;
    assert_eq!(tools, [nobody.clone(), nobody.clone()]);
    let globex = platform.tenant("globex").await;
    let (tools, _) = beside(&platform, &globex, &alerts[4..5]).await;
    assert_eq!(tools, vec![nobody]);
    platform.end().await;
}

#[tokio::test]
async fn an_alert_is_related_by_what_it_says_now() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let naming = |tool, line, cve: &str| Finding {
        cve: vec![cve.into()],
        ..at(tool, &[], "src/db.py", line)
    };
    let mut told = vec![
        naming("semgrep", 10, "CVE-2014-3744"),
        naming("codeql", 90, "CVE-2014-3744"),
    ];
    let alerts = merged(&platform, &acme, project, told.clone()).await;
    let (tools, _) = beside(&platform, &acme, &alerts).await;
    assert_eq!(tools, [["ADVISORY codeql"], ["ADVISORY semgrep"]]);
    told[1].cve = vec!["CVE-2020-0001".into()];
    let again = merged(&platform, &acme, project, told.clone()).await;
    assert_eq!(again, alerts);
    let (tools, _) = beside(&platform, &acme, &alerts).await;
    assert_eq!(tools, vec![Vec::<String>::new(); 2]);
    platform.end().await;
}

#[tokio::test]
async fn too_many_related_alerts_are_refused() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let project = platform.project(&acme).await;
    let alerts = merged(&platform, &acme, project, findings(1)).await;
    let query = format!(
        "{{ alert(id: \"{}\") {{ related(first: 100000) {{ by }} }} }}",
        alerts[0]
    );
    let (answer, _) = ask(&platform, &acme, &query, json!({})).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "PAGE_TOO_LARGE",
        "{answer}"
    );
    platform.end().await;
}
