//! What the server makes of records by itself: those that say the same as an earlier one are occurrences of
//! one finding, each with its place kept; a CVSS vector gets its score.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{App, Client, checkout, report, text};

const OCCURRENCES: &str = "query($task: ID!) { task(id: $task) {
    scanResult { findings occurrences records skipped bySeverity { info low medium high critical } }
    findings(first: 10, orderBy: { field: FILE }) { totalCount nodes { id line locations occurrenceCount
      occurrences { totalCount nodes { ordinal location locations reportOffset reportLength } } } } } }";

const PAGE: &str =
    "query($id: ID!, $after: String) { finding(id: $id) { occurrences(first: 1, after: $after) {
    nodes { ordinal } pageInfo { hasNextPage hasPreviousPage endCursor } } } }";

async fn read(acme: &Client, task: &str) -> Value {
    acme.data(OCCURRENCES, json!({ "task": task })).await["task"].take()
}

/// How many occurrences the database holds, of all tasks.
fn stored(app: &App) -> String {
    app.sql("select count(*) from tenant.finding_occurrence")
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_three_times_is_one_finding_with_two_occurrences() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let bytes = report::repeated("demo-rule", 2, 3);
    let task = acme.import(&project, "report.json", bytes.clone()).await;
    acme.ends_as(&task, "COMPLETED").await;

    let answer = read(&acme, &task).await;
    let totals = &answer["scanResult"];
    assert_eq!(
        [
            &totals["findings"],
            &totals["occurrences"],
            &totals["records"],
            &totals["skipped"]
        ],
        [2, 4, 6, 0],
        "{totals:#}"
    );
    let severities = totals["bySeverity"].as_object().unwrap().values();
    let counted: u64 = severities.filter_map(Value::as_u64).sum();
    assert_eq!(counted, 2, "occurrences are no findings: {totals:#}");
    assert_eq!(answer["findings"]["totalCount"], 2);
    let mut places = Vec::new();
    for finding in answer["findings"]["nodes"].as_array().unwrap() {
        assert_eq!(finding["occurrenceCount"], 2, "{finding:#}");
        assert_eq!(finding["occurrences"]["totalCount"], 2);
        for (index, occurrence) in finding["occurrences"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            assert_eq!(occurrence["ordinal"], index + 1);
            assert_eq!(occurrence["locations"], finding["locations"]);
            assert_eq!(occurrence["location"], finding["locations"][0]["path"]);
            let offset = usize::try_from(occurrence["reportOffset"].as_u64().unwrap()).unwrap();
            let length = usize::try_from(occurrence["reportLength"].as_u64().unwrap()).unwrap();
            let record: Value = serde_json::from_slice(&bytes[offset..offset + length]).unwrap();
            assert_eq!(record["start"]["line"], finding["line"]);
            places.push(offset);
        }
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 4, "each has a place of its own in the report");

    let ids = answer["findings"]["nodes"].as_array().unwrap().iter();
    let ids: Vec<&Value> = ids.map(|finding| &finding["id"]).collect();
    let mut after = Value::Null;
    for (ordinal, more) in [(1, true), (2, false)] {
        let data = acme.data(PAGE, json!({ "id": ids[0], "after": after })).await;
        let page = &data["finding"]["occurrences"];
        assert_eq!(page["nodes"], json!([{ "ordinal": ordinal }]));
        assert_eq!(page["pageInfo"]["hasNextPage"], more);
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
        after = page["pageInfo"]["endCursor"].clone();
    }
    let foreign = acme.answer(PAGE, json!({ "id": ids[1], "after": after })).await;
    assert_eq!(
        foreign["errors"][0]["extensions"]["code"], "BAD_CURSOR",
        "{foreign:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_counts_what_comes_again() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    fs::write(
        app.folder().join("again.json"),
        report::repeated("demo-rule", 1, 3),
    )
    .unwrap();
    fs::write(app.folder().join("once.json"), report::semgrep(1)).unwrap();
    let import = |file: &str, format: &str| {
        let mut command = app.tamiz();
        command
            .args(["import", file, "--project", "shop", "--format", format])
            .env("TAMIZ_SERVER", acme.address())
            .env("TAMIZ_TOKEN", acme.token());
        let output = command.current_dir(app.folder()).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let table = import("again.json", "table");
    assert!(table.contains("1 finding, 2 more at the same place: "), "{table}");
    let table = import("once.json", "table");
    assert!(table.contains("1 finding: "), "{table}");
    let document: Value = serde_json::from_str(&import("again.json", "json")).unwrap();
    assert_eq!(document["summary"]["occurrences"], 2, "{document:#}");
    let local = app.says(&["plugin", "run", "again.json", "--format", "json"]);
    let local: Value = serde_json::from_str(&local).unwrap();
    let again = local["findings"][0]["occurrences"].as_array().unwrap();
    assert_eq!(
        (local["findings"].as_array().unwrap().len(), again.len()),
        (1, 2),
        "{local:#}"
    );
    let sarif: Value = serde_json::from_str(&import("again.json", "sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["occurrenceCount"], 3, "{sarif:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_sent_back_replaces_its_occurrences() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    // cut behind its last result: what was readable is kept, and the task may be tried again
    let mut bytes = report::repeated("demo-rule", 1, 3);
    let end = String::from_utf8(bytes.clone())
        .unwrap()
        .find("], \"errors\"")
        .unwrap();
    bytes.truncate(end);
    let task = acme.import(&project, "cut.json", bytes).await;
    acme.ends_as(&task, "FAILED").await;
    let finding = |answer: &Value| text(&answer["findings"]["nodes"][0]["id"]);
    let before = read(&acme, &task).await;
    assert_eq!(before["scanResult"]["occurrences"], 2, "{before:#}");
    assert_eq!(stored(&app), "2");

    acme.mutate("retryTask", json!({ "taskId": task })).await;
    acme.ends_as(&task, "FAILED").await;
    let after = read(&acme, &task).await;
    assert_ne!(finding(&after), finding(&before));
    assert_eq!(after["findings"]["totalCount"], 1);
    assert_eq!(after["findings"]["nodes"][0]["occurrenceCount"], 2);
    assert_eq!(stored(&app), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_has_its_score_and_one_that_cannot_be_read_is_kept_and_named() {
    const VECTOR: &str = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N";
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let whole = String::from_utf8(checkout::read("plugins/codeaudit/cases/grype/directory.json")).unwrap();
    let half = whole.replace(VECTOR, "CVSS:3.1/AV:N");
    let query = "query($id: ID!) { task(id: $id) { scanResult { diagnostics { level code message } }
        findings { nodes { cvssVector cvssScore } } } }";
    let mut answers = Vec::new();
    for report in [&whole, &half] {
        let task = acme.import(&project, "grype.json", report.clone().into()).await;
        acme.ended(&task).await;
        answers.push(acme.data(query, json!({ "id": task })).await["task"].take());
    }
    let scores = |answer: &Value| {
        let nodes = answer["findings"]["nodes"].as_array().unwrap().iter();
        let mut scores: Vec<String> = nodes
            .map(|node| format!("{} {}", text(&node["cvssVector"]), node["cvssScore"]))
            .collect();
        scores.sort();
        scores
    };
    let known = format!("{VECTOR} 6.1");
    let old = "AV:N/AC:L/Au:N/C:P/I:N/A:N 5.0";
    assert_eq!(scores(&answers[0]), [old, &known, &known, &known]);
    // where there is another vector that can be read, that one is taken
    assert_eq!(scores(&answers[1]), [old, old, old, "CVSS:3.1/AV:N null"]);
    let unreadable = |answer: &Value| {
        let notes = answer["scanResult"]["diagnostics"].as_array().unwrap().iter();
        let notes = notes.filter(|note| note["code"] == "cvss-unreadable");
        notes.map(|note| text(&note["message"])).collect::<Vec<_>>()
    };
    assert_eq!(unreadable(&answers[0]).len(), 0);
    let notes = unreadable(&answers[1]);
    assert_eq!(notes.len(), 1, "once, however often it comes: {notes:?}");
    assert!(notes[0].contains("`CVSS:3.1/AV:N`"), "{notes:?}");

    // the same without a server
    fs::write(app.folder().join("grype.json"), &whole).unwrap();
    let run = |format: &str| -> Value {
        let said = app.says(&["plugin", "run", "grype.json", "--format", format]);
        serde_json::from_str(&said).unwrap()
    };
    let local = json!({ "findings": { "nodes": run("json")["findings"] } });
    assert_eq!(scores(&local), scores(&answers[0]));
    let rules = run("sarif")["runs"][0]["tool"]["driver"]["rules"].take();
    let severities = rules.as_array().unwrap().iter();
    let severities: Vec<&Value> = severities
        .map(|rule| &rule["properties"]["security-severity"])
        .collect();
    assert!(severities.contains(&&json!("6.1")), "{rules:#}");
}
