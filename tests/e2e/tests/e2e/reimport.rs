//! The same report again, or one that says the same otherwise: nothing opens, nothing closes, nothing comes back.

mod coverage;
mod round_trip;
mod samples;
mod targets;
mod varied;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::harness::{App, Client, checkout, text};

/// Conversions at once.
const AT_ONCE: usize = 8;
/// What a report can be of.
const TYPES: [&str; 5] = ["codeaudit", "web", "osint", "ssl", "pcap"];

/// A report of the plugins' cases.
struct Case {
    scan_type: &'static str,
    /// Relative to the plugin's cases.
    path: String,
    bytes: Vec<u8>,
}

impl Case {
    fn name(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".gz").unwrap_or(name)
    }
}

/// All files beside which an expected outcome stands.
fn cases(scan_type: &'static str) -> Vec<Case> {
    let root = checkout::checkout().join("plugins").join(scan_type).join("cases");
    let mut cases = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(input) = input_of(&path) {
                let bytes = fs::read(&input).unwrap();
                let path = input.strip_prefix(&root).unwrap().display().to_string();
                let is_packed = input.extension().is_some_and(|extension| extension == "gz");
                let bytes = if is_packed { unpacked(&bytes) } else { bytes };
                // an upload without a byte is refused
                if !bytes.is_empty() {
                    cases.push(Case {
                        scan_type,
                        path,
                        bytes,
                    });
                }
            }
        }
    }
    cases.sort_by(|one, other| one.path.cmp(&other.path));
    cases
}

fn input_of(expected: &Path) -> Option<PathBuf> {
    let input = expected.to_str()?.strip_suffix(".expected.json")?;
    let packed = format!("{input}.gz");
    [input, &packed]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file())
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// Imports a report and waits for its end; answers how it differs from the one before, if anything was stored.
async fn imported(acme: &Client, project: &str, scan_type: &str, name: &str, bytes: Vec<u8>) -> Value {
    let upload = acme.upload(project, name, bytes).await;
    let input = json!({ "projectId": project, "scanType": scan_type, "uploadId": upload });
    let payload = acme.mutate("importReport", input).await;
    assert_eq!(payload["errors"], json!([]), "{name}");
    let task = text(&payload["task"]["id"]);
    acme.ended(&task).await;
    json!({ "task": task })
}

/// How the task's scan differs from the one before; null when it stored nothing.
fn comparison(app: &App, task: &Value) -> Value {
    let task = task["task"].as_str().unwrap();
    let said = app.sql(&format!(
        "select summary -> 'comparison' from tenant.scan_result where task_id = '{task}'"
    ));
    serde_json::from_str(said.trim()).unwrap_or(Value::Null)
}

/// All that alerts of a project are, but when they were seen.
fn alerts(app: &App, project: &str) -> String {
    app.sql(&format!(
        "with mine as (select * from tenant.alert where project_id = '{project}'),
         place as (
             select alert_id, string_agg(o.place || ':' || o.line || ':' || coalesce(o.last_seen_at::text, ''), ','
                                         order by o.scope_id, o.place) as places
             from tenant.alert_occurrence o join mine on mine.id = alert_id group by alert_id),
         event as (
             select alert_id, count(*) as events
             from tenant.alert_event join mine on mine.id = alert_id group by alert_id)
         select a.id, a.state, a.severity, encode(a.fingerprint, 'hex'), a.content_id, a.last_seen_at, places, events
         from mine a left join place on place.alert_id = a.id left join event on event.alert_id = a.id order by a.id"
    ))
}

fn is_still(comparison: &Value) -> bool {
    comparison.is_null()
        || ["new", "fixed", "reopened", "moved"]
            .iter()
            .all(|what| comparison[what] == 0)
}

/// Imports the case twice into a project of its own; what changed the second time.
async fn twice(app: &App, acme: &Client, case: Case) -> Option<String> {
    let project = acme.project(&format!("{} {}", case.scan_type, case.path)).await;
    imported(acme, &project, case.scan_type, case.name(), case.bytes.clone()).await;
    let before = alerts(app, &project);
    let again = imported(acme, &project, case.scan_type, case.name(), case.bytes.clone()).await;
    let (after, comparison) = (alerts(app, &project), comparison(app, &again));
    (before != after || !is_still(&comparison))
        .then(|| format!("{} {}: {comparison}", case.scan_type, case.path))
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_every_case_of_every_plugin_changes_nothing() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let cases: Vec<Case> = TYPES.into_iter().flat_map(cases).collect();
    let count = cases.len();
    let imports = stream::iter(cases).map(|case| twice(&app, &acme, case));
    let changed: Vec<Option<String>> = imports.buffer_unordered(AT_ONCE).collect().await;
    let changed: Vec<String> = changed.into_iter().flatten().collect();
    assert!(count > 300, "{count} cases");
    assert_eq!(changed, Vec::<String>::new(), "of {count} cases");
    let lost = app.sql("select count(*) from tenant.finding where alert_id is null");
    assert_eq!(lost.trim(), "0", "findings without an alert");
    let states = app.sql("select distinct state from tenant.alert");
    assert_eq!(states.trim(), "0", "all are open");
}

/// The semgrep sample: its results, as JSON.
fn semgrep() -> Value {
    serde_json::from_slice(&checkout::read("plugins/codeaudit/cases/semgrep/vulnshop.json")).unwrap()
}

fn bytes(report: &Value) -> Vec<u8> {
    serde_json::to_vec(report).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_of_moved_renamed_reordered_and_reworded_results_tracks_all_of_them() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let first = imported(&acme, &project, "codeaudit", "semgrep.json", bytes(&semgrep())).await;
    let results = semgrep()["results"].as_array().unwrap().len();
    let opened = comparison(&app, &first);
    assert_eq!(
        opened["new"], results,
        "the placeholder id merges nothing: {opened}"
    );

    let mut report = semgrep();
    report["version"] = "9.9.9".into();
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for result in report["results"].as_array().unwrap() {
        *files.entry(text(&result["path"])).or_default() += 1;
    }
    let (renamed, _) = files.iter().max_by_key(|(_, results)| **results).unwrap();
    for result in report["results"].as_array_mut().unwrap() {
        for end in ["start", "end"] {
            let line = result[end]["line"].as_u64().unwrap() + 3;
            result[end]["line"] = line.into();
        }
        result["extra"]["message"] = format!("In other words: {}", text(&result["extra"]["message"])).into();
        if result["path"] == renamed.as_str() {
            result["path"] = format!("moved/{renamed}").into();
        }
    }
    report["results"].as_array_mut().unwrap().reverse();
    let second = imported(&acme, &project, "codeaudit", "semgrep.json", bytes(&report)).await;
    let changed = comparison(&app, &second);
    for what in ["new", "fixed", "reopened"] {
        assert_eq!(changed[what], 0, "{what}: {changed}");
    }
    assert_eq!(
        [&changed["unchanged"], &changed["moved"]],
        [results, results],
        "{changed}"
    );
    let alerts = app.sql("select count(*) from tenant.alert where state = 0 and last_seen_at is null");
    assert_eq!(alerts.trim(), results.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn reimport_without_a_result_fixes_it_and_with_it_again_reopens_it() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let import = async |report: &Value| {
        let task = imported(&acme, &project, "codeaudit", "semgrep.json", bytes(report)).await;
        comparison(&app, &task)
    };
    let whole = semgrep();
    import(&whole).await;
    let mut less = semgrep();
    let gone = less["results"].as_array_mut().unwrap().remove(7);
    let fixed = import(&less).await;
    assert_eq!([&fixed["fixed"], &fixed["new"]], [1, 0], "{gone:#}");
    let back = import(&whole).await;
    assert_eq!([&back["reopened"], &back["new"], &back["fixed"]], [1, 0, 0]);

    // what proves nothing closes nothing
    let mut nothing = semgrep();
    nothing["results"] = json!([]);
    nothing["paths"]["scanned"] = json!([]);
    let silent = import(&nothing).await;
    assert_eq!([&silent["fixed"], &silent["closes"]], [&json!(0), &json!(false)]);
    let text = bytes(&less);
    let cut = imported(
        &acme,
        &project,
        "codeaudit",
        "semgrep.json",
        text[..text.len() / 2].to_vec(),
    )
    .await;
    assert_eq!(comparison(&app, &cut)["fixed"], 0, "half a report");
    let counts = "select state || ':' || sum(alerts) from tenant.alert_count where alerts > 0 group by state order by 1";
    let open = whole["results"].as_array().unwrap().len() - 1;
    assert_eq!(app.sql(counts).trim(), format!("0:{open}\n1:1"));
    let history = "select string_agg(kind, ' ' order by created_at) from tenant.alert_event
        where alert_id = (select id from tenant.alert where state = 1)";
    assert_eq!(app.sql(history).trim(), "opened fixed reopened");
}
