//! Files of EPSS and KEV: imported by the operator's command, read beside a tenant's findings.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{App, Client, checkout};

const QUERY: &str = "query($asOf: Date) { findings(orderBy: { field: FILE }) { nodes { cve
  weaknesses { cwe name owasp { year id name } }
  exploitation(asOf: $asOf) { epss { cve score percentile date }
    kev { cve dateAdded dueDate knownRansomware name } } } } }";

const SCORES: &str = "#model_version:v2025.03.14,score_date:2025-03-14T00:00:00+0000\ncve,epss,percentile\n\
    CVE-2018-18074,0.5,0.9\nCVE-2023-32681,0.25,0.75\nCVE-nonsense,0,0\n";
const LATER_SCORES: &str = "#model_version:v2025.03.14,score_date:2025-03-15T00:00:00+0000\n\
    cve,epss,percentile\nCVE-2018-18074,0.5,0.9\nCVE-2023-32681,0.75,0.95\n";
const CATALOGUE: &str = "cveID,vendorProject,product,vulnerabilityName,dateAdded,shortDescription,requiredAction,\
    dueDate,knownRansomwareCampaignUse,notes,cwes\nCVE-2018-18074,Requests,Requests,Requests Sends Credentials,\
    2025-03-01,,,2025-03-22,Known,,CWE-522\n";

/// What is known of the finding that names `cve`.
async fn known(client: &Client, cve: &str, as_of: Value) -> Value {
    let answer = client.data(QUERY, json!({ "asOf": as_of })).await;
    let findings = answer["findings"]["nodes"].as_array().unwrap();
    let names = |finding: &&Value| finding["cve"].as_array().unwrap().contains(&json!(cve));
    let finding = findings.iter().find(names);
    let finding = finding.unwrap_or_else(|| panic!("no finding names {cve}: {answer:#}"));
    finding["exploitation"].clone()
}

/// `tamiz enrich import -` of these bytes.
fn piped(app: &App, bytes: &[u8]) -> String {
    let mut command = app.tamiz();
    command.args(["enrich", "import", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_files_tell_of_findings_what_is_known_and_what_was() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let report = checkout::read("plugins/codeaudit/cases/pip-audit/before-2.5.json");
    let task = acme.import(&project, "pip-audit.json", report).await;
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(known(&acme, "CVE-2018-18074", Value::Null).await, Value::Null);

    let write = |name: &str, text: &str| fs::write(app.folder().join(name), text).unwrap();
    write("scores.csv", SCORES);
    write("kev.csv", CATALOGUE);
    let said = app.says(&["enrich", "import", "scores.csv"]);
    assert_eq!(
        said,
        "scores.csv: 2 EPSS scores of 2025-03-14 (v2025.03.14), 2 changed, 1 rows left out"
    );
    let again = app.says(&["enrich", "import", "scores.csv"]);
    assert!(again.ends_with("were there already"), "{again}");
    let later = piped(&app, LATER_SCORES.as_bytes());
    assert!(later.contains("2 EPSS scores of 2025-03-15"), "{later}");
    assert!(later.contains("1 changed"), "{later}");

    let dateless = app.run(&["enrich", "import", "kev.csv"]);
    assert_eq!(dateless.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&dateless.stderr).contains("--date"));
    app.says(&["enrich", "import", "--date", "2025-03-14", "kev.csv"]);
    let listed = app.says(&["enrich", "list"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");

    let first = known(&acme, "CVE-2018-18074", Value::Null).await;
    let expected = json!({
        "epss": {"cve": "CVE-2018-18074", "score": 0.5, "percentile": first["epss"]["percentile"], "date": "2025-03-14"},
        "kev": {"cve": "CVE-2018-18074", "dateAdded": "2025-03-01", "dueDate": "2025-03-22",
                "knownRansomware": true, "name": "Requests Sends Credentials"},
    });
    assert_eq!(first, expected);
    let second = known(&acme, "CVE-2023-32681", Value::Null).await;
    assert_eq!(
        (&second["epss"]["score"], &second["kev"]),
        (&json!(0.75), &Value::Null)
    );
    let before = known(&acme, "CVE-2023-32681", json!("2025-03-14")).await;
    assert_eq!(before["epss"]["score"], 0.25);
    let never = known(&acme, "CVE-2023-32681", json!("2025-03-13")).await;
    assert_eq!(never, Value::Null);
}

/// What pip-audit says of a package with one flaw.
fn audited(package: &str, id: &str, aliases: &[&str]) -> Vec<u8> {
    let flaw = json!({ "id": id, "fix_versions": [], "aliases": aliases, "description": "a flaw" });
    serde_json::to_vec(&json!([{ "name": package, "version": "1.0", "vulns": [flaw] }])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_cve_is_found_through_the_aliases_that_a_project_knows() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    fs::write(app.folder().join("scores.csv"), SCORES).unwrap();
    app.says(&["enrich", "import", "scores.csv"]);
    let alone = audited("one", "GHSA-x84v-xcm2-53pg", &[]);
    let task = acme.import(&project, "one.json", alone).await;
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(
        known(&acme, "GHSA-x84v-xcm2-53pg", Value::Null).await,
        Value::Null
    );
    let told = audited("two", "CVE-2018-18074", &["GHSA-x84v-xcm2-53pg"]);
    let task = acme.import(&project, "two.json", told).await;
    acme.ends_as(&task, "COMPLETED").await;
    let query =
        "query($p: ID!) { project(id: $p) { alerts(filter: { state: [OPEN, FIXED] }) { nodes { title cve
        exploitation { epss { cve score } } related { by alert { cve } } } } } }";
    let answer = acme.data(query, json!({ "p": project })).await;
    let alerts = answer["project"]["alerts"]["nodes"].as_array().unwrap();
    assert_eq!(alerts.len(), 2, "{answer:#}");
    for alert in alerts {
        let epss = &alert["exploitation"]["epss"];
        assert_eq!(
            *epss,
            json!({ "cve": "CVE-2018-18074", "score": 0.5 }),
            "{answer:#}"
        );
        assert_eq!(alert["related"].as_array().unwrap().len(), 1, "{answer:#}");
        assert_eq!(alert["related"][0]["by"], "ADVISORY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_refused_changes_nothing() {
    let app = App::start().await;
    let broken = format!("{SCORES}{}", "x,0,0\n".repeat(200));
    fs::write(app.folder().join("broken.csv"), broken).unwrap();
    fs::write(app.folder().join("other.csv"), "a,b\n1,2\n").unwrap();
    for (name, why) in [
        ("broken.csv", "more than 100 rows are wrong"),
        ("other.csv", "neither EPSS scores"),
        ("absent.csv", "cannot be read"),
    ] {
        let refused = app.run(&["enrich", "import", name]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(why), "{name}: {said}");
    }
    assert_eq!(app.sql("select count(*) from control.epss_score").trim(), "0");
    assert_eq!(
        app.sql("select count(*) from control.enrichment_file").trim(),
        "0"
    );
}
