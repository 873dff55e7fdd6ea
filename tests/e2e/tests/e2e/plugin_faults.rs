//! Plugins that overstep a limit or cannot be run: their task says why, operators can count it, and nobody
//! else notices. The hostile guest serves a scan type of its own here, as third parties' plugins may.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::free_port;
use crate::harness::process::Process;
use crate::harness::{App, Client, Plan, checkout, order, report, sha256, text, until};

/// What the guest scans here: a word that the platform does not know, as long as its own.
const ODDITIES: &str = "oddities1";
/// For counts to reach the page of metrics.
const PAGE_PATIENCE: Duration = Duration::from_secs(20);

const FAULT: &str = "query($id: ID!) { task(id: $id) {
    status error { code message reason limit { name value unit } } plugin { name sha256 hasRun installed { state } }
    attempts { error { reason limit { name } } } } }";
const CHOOSE: &str = "mutation($input: ChoosePluginInput!) { choosePlugin(input: $input) {
    plugin { id isChosen } errors { code path } } }";

/// The hostile guest as a plugin of [`ODDITIES`].
fn guest() -> Vec<u8> {
    let mut component = fs::read(checkout::test_plugin("hostile.wasm")).unwrap();
    let own = b"codeaudit";
    let places: Vec<usize> = (0..component.len() - own.len())
        .filter(|&at| component[at..].starts_with(own))
        .collect();
    let [place] = places[..] else {
        panic!("its scan type stands at {places:?}");
    };
    component[place..place + own.len()].copy_from_slice(ODDITIES.as_bytes());
    component
}

/// Installs the guest, for everybody unless `flags` say otherwise.
fn install(app: &App, flags: &[&str]) {
    let file = app.folder().join("guest.wasm");
    fs::write(&file, guest()).unwrap();
    let mut args = vec!["plugin", "install", file.to_str().unwrap()];
    args.extend(flags);
    app.says(&args);
}

/// Has the guest do `deed` with three lines.
async fn deed(client: &Client, project: &str, deed: &str) -> String {
    let upload = client.upload(project, "lines.txt", b"a\nb\nc\n".to_vec()).await;
    let mut input = order(project, &upload);
    input["scanType"] = json!(ODDITIES);
    input["options"] = json!({ "do": deed });
    let made = client.mutate("importReport", input).await;
    assert_eq!(made["errors"], json!([]), "{deed}");
    text(&made["task"]["id"])
}

async fn fault(client: &Client, task: &str) -> Value {
    client.ended(task).await;
    client.data(FAULT, json!({ "id": task })).await["task"].take()
}

/// Waits until a line of the metrics is there.
async fn counted(address: &str, line: &str) {
    let nobody = Client::new(address, "");
    until(line, PAGE_PATIENCE, async || {
        let page = nobody.request(Method::GET, "/metrics").send().await.ok()?;
        let page = page.text().await.ok()?;
        page.lines().any(|known| known == line).then_some(())
    })
    .await;
}

/// What the guest may use up in these tests.
const LIMITS: [&str; 6] = [
    "memory-bytes=32MiB",
    "deadline-seconds=20",
    "findings-max=3",
    "finding-bytes-max=1MiB",
    "artifact-bytes-max=1MiB",
    "log-lines-max=5",
];

/// A deed, the limit that it oversteps, and the findings that are kept.
const VIOLATIONS: [(&str, &str, u64, &str, u64); 5] = [
    ("grow", "memory-bytes", 32 << 20, "bytes", 0),
    // all are one, and its occurrences
    ("flood-findings", "findings-max", 3, "findings", 1),
    ("flood-artifact", "artifact-bytes-max", 1 << 20, "bytes", 0),
    ("flood-log", "log-lines-max", 5, "lines", 0),
    // it takes what it is refused for an error and ends by itself
    ("emit-then-trap", "findings-max", 3, "findings", 3),
];

#[tokio::test]
async fn a_violated_limit_is_told_with_its_value_and_what_was_emitted_is_kept() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    install(&app, &[]);
    app.says(&[&["plugin", "limit", "hostile"][..], &LIMITS[..]].concat());
    for (name, limit, value, unit, kept) in VIOLATIONS {
        let task = deed(&acme, &project, name).await;
        let told = fault(&acme, &task).await;
        let reason = match limit {
            "memory-bytes" => "plugin-out-of-memory",
            _ => "plugin-over-limit",
        };
        assert_eq!(told["status"], "FAILED", "{name}: {told:#}");
        assert_eq!(told["error"]["code"], "PLUGIN_FAILED", "{name}: {told:#}");
        assert_eq!(told["error"]["reason"], reason, "{name}: {told:#}");
        let expected = json!({ "name": limit, "value": value, "unit": unit });
        assert_eq!(told["error"]["limit"], expected, "{name}: {told:#}");
        let attempt = json!({ "reason": reason, "limit": { "name": limit } });
        assert_eq!(told["attempts"][0]["error"], attempt, "{name}");
        assert_eq!(told["plugin"]["hasRun"], true, "{name}: {told:#}");
        assert_eq!(acme.task(&task).await["findings"]["totalCount"], kept, "{name}");
    }
    let good = deed(&acme, &project, "echo").await;
    let good = acme.ends_as(&good, "COMPLETED").await;
    assert_eq!(good["findings"]["totalCount"], 3, "three are allowed");
}

#[tokio::test]
async fn violations_runs_and_crashes_are_counted_by_plugin() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    install(&app, &[]);
    app.says(&[
        "plugin",
        "limit",
        "hostile",
        "findings-max=3",
        "deadline-seconds=1",
    ]);
    let timed_out = fault(&acme, &deed(&acme, &project, "loop").await).await;
    assert_eq!(timed_out["error"]["reason"], "plugin-deadline", "{timed_out:#}");
    let expected = json!({ "name": "deadline-seconds", "value": 1, "unit": "seconds" });
    assert_eq!(timed_out["error"]["limit"], expected);
    let crashed = fault(&acme, &deed(&acme, &project, "trap").await).await;
    assert_eq!(crashed["error"]["reason"], "plugin-trap", "{crashed:#}");
    assert_eq!(crashed["error"]["limit"], Value::Null);
    for _ in 0..2 {
        fault(&acme, &deed(&acme, &project, "emit-then-trap").await).await;
    }
    let good = deed(&acme, &project, "echo").await;
    acme.ends_as(&good, "COMPLETED").await;
    for (metric, label, value, times) in [
        ("violations", "limit", "findings-max", 2),
        ("violations", "limit", "deadline-seconds", 1),
        ("runs", "outcome", "plugin-over-limit", 2),
        ("runs", "outcome", "plugin-trap", 1),
        ("runs", "outcome", "completed", 1),
    ] {
        let labels = format!("plugin=\"hostile\",{label}=\"{value}\"");
        let line = format!("tamiz_plugin_{metric}_total{{{labels}}} {times}");
        counted(&app.address(), &line).await;
    }
    for line in [
        "run_seconds_count{plugin=\"hostile\"} 5",
        "instances{plugin=\"hostile\"} 0",
    ] {
        counted(&app.address(), &format!("tamiz_plugin_{line}")).await;
    }
}

#[tokio::test]
async fn a_plan_has_the_limits_of_its_plugin_and_its_violations_are_counted() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    install(&app, &[]);
    app.says(&["plugin", "limit", "hostile", "deadline-seconds=1"]);
    let archive = report::one_file();
    let upload = acme.upload(&project, "src.zip", archive).await;
    let mut input = order(&project, &upload);
    input["scanType"] = json!(ODDITIES);
    input["options"] = json!({ "do": "loop-in-plan" });
    let refused = acme.mutate("startScan", input).await;
    assert_eq!(refused["errors"][0]["code"], "PLUGIN_FAILED", "{refused:#}");
    let message = text(&refused["errors"][0]["message"]);
    assert!(message.contains("did not finish within 1 second"), "{message}");
    for line in [
        "violations_total{plugin=\"hostile\",limit=\"deadline-seconds\"} 1",
        "runs_total{plugin=\"hostile\",outcome=\"plugin-deadline\"} 1",
    ] {
        counted(&app.address(), &format!("tamiz_plugin_{line}")).await;
    }
}

#[tokio::test]
async fn a_task_without_a_place_is_put_off_and_told_why_and_its_neighbours_pass_by() {
    let app = Plan::new().set("worker_slots", 3).start().await;
    let (acme, other) = (app.tenant("acme"), app.tenant("other"));
    let (shop, store) = (acme.project("shop").await, other.project("store").await);
    install(&app, &[]);
    app.says(&[
        "plugin",
        "limit",
        "hostile",
        "instances-max=1",
        "deadline-seconds=6",
    ]);
    let first = deed(&acme, &shop, "loop").await;
    acme.reaches(&first, "RUNNING").await;
    counted(&app.address(), "tamiz_plugin_instances{plugin=\"hostile\"} 1").await;
    let second = deed(&acme, &shop, "echo").await;
    // one of another plugin passes by
    let neighbour = other.import(&store, "report.json", report::semgrep(2)).await;
    other.ends_as(&neighbour, "COMPLETED").await;
    assert_eq!(fault(&acme, &first).await["error"]["reason"], "plugin-deadline");
    let done = acme.ends_as(&second, "COMPLETED").await;
    assert_eq!(done["retries"], 0, "waiting costs no attempt: {done:#}");
    let words = "(instances-max: 1 of hostile); trying again";
    let events = acme.all_events(&second).await;
    let messages = events.iter().filter_map(|event| event["message"].as_str());
    let put_off = messages.filter(|said| said.ends_with(words)).count();
    assert!(put_off >= 1, "{events:#?}");
    let line = "tamiz_plugin_violations_total{plugin=\"hostile\",limit=\"instances-max\"}";
    counted(&app.address(), &format!("{line} {put_off}")).await;
}

#[tokio::test]
async fn a_disabled_plugin_takes_no_order_and_runs_no_task_that_waits() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    install(&app, &[]);
    let waiting = deed(&acme, &project, "echo").await;
    let told = acme.data(FAULT, json!({ "id": waiting })).await["task"]["plugin"].take();
    assert_eq!(
        (&told["hasRun"], &told["sha256"]),
        (&json!(false), &json!(sha256(&guest())))
    );
    app.says(&["plugin", "disable", "hostile"]);
    let upload = acme.upload(&project, "lines.txt", b"a\n".to_vec()).await;
    let mut input = order(&project, &upload);
    input["scanType"] = json!(ODDITIES);
    let refused = acme.mutate("importReport", input).await;
    assert_eq!(
        refused["errors"][0]["code"], "UNSUPPORTED_SCAN_TYPE",
        "{refused:#}"
    );
    let mut worker = app.worker("worker");
    let told = fault(&acme, &waiting).await;
    assert_eq!(
        (&told["error"]["code"], &told["error"]["reason"]),
        (&json!("PLUGIN_FAILED"), &json!("plugin-disabled")),
        "{told:#}"
    );
    assert_eq!(told["plugin"]["installed"]["state"], "DISABLED");
    app.says(&["plugin", "enable", "hostile"]);
    acme.mutate("retryTask", json!({ "taskId": waiting })).await;
    acme.ends_as(&waiting, "COMPLETED").await;
    let told = fault(&acme, &waiting).await;
    assert_eq!(told["error"], Value::Null, "{told:#}");
    worker.terminate();
}

/// The guest's component in the blob store.
fn component(app: &App) -> PathBuf {
    app.data_dir().join("blobs/p/plugin").join(sha256(&guest()))
}

#[tokio::test]
async fn a_component_that_is_missing_damaged_or_none_fails_its_task_alone() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    install(&app, &[]);
    let task = deed(&acme, &project, "echo").await;
    fs::remove_file(component(&app)).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = app.tamiz();
    command.args(["worker", "--metrics-listen", &address]);
    let mut worker = Process::spawn(&mut command, &app.folder().join("worker.log"));
    assert_eq!(fault(&acme, &task).await["error"]["reason"], "plugin-missing");

    let again = async |reason: &str| {
        acme.mutate("retryTask", json!({ "taskId": task })).await;
        let told = fault(&acme, &task).await;
        assert_eq!(told["error"]["reason"], reason, "{told:#}");
        assert_eq!(told["plugin"]["hasRun"], false, "{told:#}");
    };
    let mut damaged = guest();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(component(&app), &damaged).unwrap();
    again("plugin-damaged").await;
    fs::write(component(&app), &guest()[..last]).unwrap();
    again("plugin-damaged").await;
    // as long as it should be, so only its hash tells
    fs::write(component(&app), &damaged).unwrap();

    for (reason, times) in [("plugin-missing", 1), ("plugin-damaged", 2)] {
        let labels = format!("plugin=\"hostile\",outcome=\"{reason}\"");
        let line = format!("tamiz_plugin_runs_total{{{labels}}} {times}");
        counted(&format!("http://{address}"), &line).await;
    }

    // the same worker serves others, and this one once its bytes are back
    let neighbour = acme.import(&project, "report.json", report::semgrep(2)).await;
    acme.ends_as(&neighbour, "COMPLETED").await;
    install(&app, &[]);
    assert_eq!(
        fs::read(component(&app)).unwrap(),
        guest(),
        "installed again is repaired"
    );
    acme.mutate("retryTask", json!({ "taskId": task })).await;
    acme.ends_as(&task, "COMPLETED").await;
    assert!(worker.is_running());
    counted(
        &format!("http://{address}"),
        "tamiz_plugin_runs_total{plugin=\"hostile\",outcome=\"completed\"} 1",
    )
    .await;
    worker.terminate();
}

#[tokio::test]
async fn only_owners_and_admins_choose_and_only_what_serves() {
    let app = App::start().await;
    app.tenant("acme");
    app.tenant("other");
    let acme = app.token("acme", &["--role", "admin"]);
    install(&app, &["--tenant", "acme"]);
    let plugins = "query($type: String) { plugins(scanType: $type) { totalCount nodes { id } } }";
    let id = async |scan_type: &str| {
        let found = acme.data(plugins, json!({ "type": scan_type })).await["plugins"].take();
        assert_eq!(found["totalCount"], 1, "{scan_type}: {found}");
        text(&found["nodes"][0]["id"])
    };
    let (own, bundled) = (id(ODDITIES).await, id("codeaudit").await);
    let choose = async |client: &Client, scan_type: &str, plugin: Value| {
        let input = json!({ "scanType": scan_type, "pluginId": plugin });
        client.data(CHOOSE, json!({ "input": input })).await["choosePlugin"].take()
    };
    let refused = async |client: &Client, scan_type: &str, plugin: &str, code: &str| {
        let answer = choose(client, scan_type, json!(plugin)).await;
        assert_eq!(answer["plugin"], Value::Null, "{answer:#}");
        assert_eq!(answer["errors"][0]["code"], code, "{answer:#}");
    };
    let other = app.token("other", &["--role", "owner"]);
    for role in ["viewer", "analyst"] {
        let client = app.token("acme", &["--role", role]);
        refused(&client, ODDITIES, &own, "NOT_ALLOWED").await;
    }
    refused(&other, ODDITIES, &own, "NOT_FOUND").await;
    refused(&acme, ODDITIES, &bundled, "INVALID_INPUT").await;
    refused(&acme, "No Type!", &own, "INVALID_INPUT").await;
    let seen = other.data(plugins, json!({ "type": ODDITIES })).await["plugins"].take();
    assert_eq!(seen["totalCount"], 0, "{seen}");
    let node = other
        .data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": own }))
        .await;
    assert_eq!(node["node"], Value::Null);

    for client in [&acme, &app.token("acme", &["--role", "owner"])] {
        let chosen = choose(client, ODDITIES, json!(own)).await;
        assert_eq!(
            chosen,
            json!({ "plugin": { "id": own, "isChosen": true }, "errors": [] })
        );
        let back = choose(client, ODDITIES, Value::Null).await;
        assert_eq!(
            back,
            json!({ "plugin": { "id": own, "isChosen": false }, "errors": [] })
        );
    }
    let nothing = choose(&acme, "nobody-serves-this", Value::Null).await;
    assert_eq!(nothing, json!({ "plugin": null, "errors": [] }));
    app.says(&["plugin", "disable", "hostile"]);
    refused(&acme, ODDITIES, &own, "WRONG_STATE").await;
}
