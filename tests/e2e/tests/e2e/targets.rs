//! Scans of targets in the network: what is refused before a ticket exists, what the operator allows,
//! what stays with its tenant, and that the worker looks again.
//!
//! The only plugin here is one that plans for every kind of target, so that nobody but the guard says
//! no. Not here: the tools' way to a target.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tool::{Script, Tools};
use crate::harness::{App, Client, Plan, checkout, text};

/// In the capture of the tests, all of them TCP.
const PACKETS: u32 = 28;
const TARGET: &str = "query($id: ID!) { task(id: $id) { uploadId isImport options
    target { kind value host port addresses profile } pcapSession { packetCount } } }";

/// A server whose plugin plans for all targets, and whose guard lets two tenants into some networks. The
/// folder of the plugin must outlive it.
async fn guarded() -> (App, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        checkout::test_plugin("hostile.wasm"),
        folder.path().join("hostile.wasm"),
    )
    .unwrap();
    let app = Plan::new()
        .set("plugin_dir", folder.path().display())
        .set("target_networks_allowed", "acme=127.0.0.0/8,*=10.0.0.0/8")
        .tools(Tools::Script(Script::new("exit 1")))
        .without_worker()
        .start()
        .await;
    (app, folder)
}

const SESSION: &str = "query($id: ID!) { task(id: $id) {
    pcapSession { packetCount protocolStats flowCount flows capture { kind name } } } }";

fn of(project: &str, target: Value) -> Value {
    json!({ "projectId": project, "scanType": "codeaudit", "target": target })
}

fn url(text: &str) -> Value {
    json!({ "url": text })
}

/// The code of the refusal.
async fn refused(client: &Client, order: Value) -> String {
    let payload = client.mutate("startScan", order.clone()).await;
    assert!(payload["task"].is_null(), "{order} is accepted");
    text(&payload["errors"][0]["code"])
}

/// The id of the queued task.
async fn started(client: &Client, order: Value) -> String {
    let payload = client.mutate("startScan", order.clone()).await;
    assert_eq!(payload["errors"], json!([]), "{order}");
    text(&payload["task"]["id"])
}

/// Nothing was stored: no task, no ticket, no target.
fn nothing_stored(app: &App) {
    let tables = [
        "tenant.task",
        "tenant.webscan_target",
        "tenant.ssl_target",
        "tenant.osint_target",
    ];
    for table in tables.into_iter().chain(["control.ticket"]) {
        assert_eq!(app.sql(&format!("select count(*) from {table}")), "0", "{table}");
    }
}

#[tokio::test]
async fn a_forbidden_target_is_refused_in_every_spelling_before_a_ticket_exists() {
    let (app, _plugin) = guarded().await;
    let other = app.tenant("other");
    let project = other.project("shop").await;
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "127.0.0.%31",
        "localhost",
        "0",
        "0.0.0.0",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "0xa9fea9fe",
        "172.16.0.1",
        "192.168.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a00:1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
    ] {
        let order = of(&project, url(&format!("http://{host}/")));
        assert_eq!(refused(&other, order).await, "TARGET_FORBIDDEN", "{host}");
    }
    for host in ["127.0.0.1", "0x7f.1", "::1", "[::ffff:7f00:1]"] {
        let order = of(&project, json!({ "endpoint": { "host": host, "port": 443 } }));
        assert_eq!(refused(&other, order).await, "TARGET_FORBIDDEN", "{host}");
    }
    nothing_stored(&app);
}

#[tokio::test]
async fn what_is_no_target_is_refused_by_name() {
    let (app, _plugin) = guarded().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let endpoint = |host: &str, port: i32| json!({ "endpoint": { "host": host, "port": port } });
    let osint = |kind: &str, value: &str| json!({ "osint": { "type": kind, "value": value } });
    for target in [
        url("ftp://127.0.0.1/"),
        url("file:///etc/passwd"),
        url("http://user:secret@127.0.0.1/"),
        url("http://-oProxyCommand=x/"),
        url("no address"),
        endpoint("--help", 443),
        endpoint("-x", 443),
        endpoint("127.0.0.1", 0),
        endpoint("127.0.0.1", 65536),
        json!({ "domain": "-x.example" }),
        json!({ "domain": "127.0.0.1" }),
        osint("DOMAIN", "a b"),
        osint("EMAIL", "-x@a.example"),
        osint("USERNAME", "--output=x"),
    ] {
        let payload = acme.mutate("startScan", of(&project, target.clone())).await;
        let error = &payload["errors"][0];
        assert_eq!(error["code"], "TARGET_INVALID", "{target}: {payload}");
        assert_eq!(error["path"][1], "target", "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let gone = of(&project, json!({ "domain": "nobody-has-this-name.invalid" }));
    assert_eq!(refused(&acme, gone).await, "TARGET_UNRESOLVED");
    let upload = acme.upload(&project, "a.zip", b"x".to_vec()).await;
    let mut both = of(&project, url("http://127.0.0.1/"));
    both["uploadId"] = json!(upload);
    assert_eq!(refused(&acme, both).await, "INVALID_INPUT");
    let neither = json!({ "projectId": project, "scanType": "codeaudit" });
    assert_eq!(refused(&acme, neither).await, "INVALID_INPUT");
    let mut unsure = of(&project, url("http://127.0.0.1/"));
    unsure["profile"] = json!("QUICK");
    unsure["options"] = json!({ "profile": "deep" });
    assert_eq!(refused(&acme, unsure).await, "INVALID_INPUT");
    nothing_stored(&app);
}

#[tokio::test]
async fn an_allowed_network_is_open_to_its_tenant_and_the_target_is_shown_to_nobody_else() {
    let (app, _plugin) = guarded().await;
    let (acme, other) = (app.tenant("acme"), app.tenant("other"));
    let (shop, shed) = (acme.project("shop").await, other.project("shed").await);
    let mut order = of(&shop, url("http://0x7f.1:8080/a?b#c"));
    order["profile"] = json!("QUICK");
    let own = uuid::Uuid::now_v7();
    order["id"] = json!(own);
    let id = format!("Task_{own}");
    assert_eq!(started(&acme, order.clone()).await, id);
    assert_eq!(
        started(&acme, order.clone()).await,
        id,
        "asking twice makes one task"
    );
    let task = acme.data(TARGET, json!({ "id": id })).await["task"].take();
    let target = json!({ "kind": "URL", "value": "http://127.0.0.1:8080/a?b", "host": "127.0.0.1",
        "port": 8080, "addresses": ["127.0.0.1"], "profile": "QUICK" });
    let expected = json!({ "uploadId": null, "isImport": false, "options": { "profile": "quick" },
        "target": target, "pcapSession": null });
    assert_eq!(task, expected);

    let endpoint = json!({ "endpoint": { "host": "::ffff:127.0.0.1", "port": 443 } });
    let endpoint = started(&acme, of(&shop, endpoint)).await;
    let person = json!({ "osint": { "type": "EMAIL", "value": "Jo@Example.ORG" } });
    let person = started(&acme, of(&shop, person)).await;
    let shown = acme.data(TARGET, json!({ "id": person })).await["task"]["target"].take();
    let expected = json!({ "kind": "EMAIL", "value": "Jo@example.org", "host": null, "port": null,
        "addresses": [], "profile": null });
    assert_eq!(shown, expected);

    // the network of all is open to the other tenant, acme's is not
    assert_eq!(
        refused(&other, of(&shed, url("http://127.0.0.1:8080/"))).await,
        "TARGET_FORBIDDEN"
    );
    let own = started(&other, of(&shed, url("http://10.0.0.1/"))).await;
    // nor acme's project, with any target
    let foreign = of(&shop, url("http://10.0.0.1/"));
    assert_eq!(refused(&other, foreign).await, "NOT_FOUND");
    for task in [&id, &endpoint, &person] {
        let seen = other.data(TARGET, json!({ "id": task })).await;
        assert_eq!(seen, json!({ "task": null }));
    }
    let seen = other
        .data("{ tasks { nodes { id target { value } } } }", Value::Null)
        .await;
    assert_eq!(
        seen["tasks"]["nodes"],
        json!([{ "id": own, "target": { "value": "http://10.0.0.1/" } }])
    );
    for (client, task) in [(&acme, &id), (&acme, &endpoint), (&acme, &person), (&other, &own)] {
        client.mutate("cancelTask", json!({ "taskId": task })).await;
    }
}

#[tokio::test]
async fn the_worker_judges_again_what_was_allowed_when_it_was_asked_for() {
    let (app, _plugin) = guarded().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = started(&acme, of(&project, url("http://127.0.0.1:9/"))).await;
    let mut stricter = app.tamiz();
    stricter.args(["--set", "target_networks_allowed=*=10.0.0.0/8", "worker"]);
    let _worker = Process::spawn(&mut stricter, &app.folder().join("stricter.log"));
    let ended = acme.ends_as(&task, "FAILED").await;
    assert_eq!(ended["error"]["code"], "TARGET_FORBIDDEN", "{ended:#}");
    assert_eq!(ended["toolExecutions"], json!([]));
    // sent back, it keeps its pins and is judged once more
    acme.mutate("retryTask", json!({ "taskId": task })).await;
    let ended = acme.ends_as(&task, "FAILED").await;
    assert_eq!(ended["error"]["code"], "TARGET_FORBIDDEN", "{ended:#}");
}

#[tokio::test]
async fn a_scan_type_says_which_targets_it_takes() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let payload = acme
        .mutate("startScan", of(&project, json!({ "domain": "a.example" })))
        .await;
    let error = &payload["errors"][0];
    assert_eq!(error["code"], "UNSUPPORTED_SCAN_TYPE", "{payload}");
    assert_eq!(error["path"], json!(["input", "target"]));
}

/// A capture that is scanned and the same one as a finished report: both tell what it held.
#[tokio::test]
async fn a_capture_is_read_and_its_session_is_shown() {
    let app = App::start().await;
    let (acme, other) = (app.tenant("acme"), app.tenant("other"));
    let project = acme.project("shop").await;
    let capture = checkout::read("plugins/pcap/cases/captures/smtp-auth-plain.pcap");
    let upload = acme.upload(&project, "traffic.pcap", capture).await;
    let order = json!({ "projectId": project, "scanType": "pcap", "uploadId": upload });
    for (mutation, kind) in [("startScan", "capture"), ("importReport", "report")] {
        let made = acme.mutate(mutation, order.clone()).await;
        assert_eq!(made["errors"], json!([]), "{mutation}");
        let task = text(&made["task"]["id"]);
        let done = acme.ends_as(&task, "COMPLETED").await;
        assert_eq!(done["isImport"], mutation == "importReport");
        let shown = acme.data(SESSION, json!({ "id": task })).await;
        let session = &shown["task"]["pcapSession"];
        assert_eq!(session["packetCount"], PACKETS, "{session:#}");
        assert_eq!(session["protocolStats"]["tcp"]["packets"], PACKETS, "{session:#}");
        assert_eq!(
            (&session["flowCount"], &session["flows"][0]["server_port"]),
            (&json!(1), &json!(25))
        );
        assert_eq!(session["capture"]["kind"], kind, "{session:#}");
        assert_eq!(session["capture"]["name"], "traffic.pcap");
        let seen = other.data(SESSION, json!({ "id": task })).await;
        assert_eq!(seen, json!({ "task": null }));
    }
    // an upload is a capture only where the scan type says so: elsewhere it is a tree for a tool
    let mut order = order;
    order["scanType"] = json!("codeaudit");
    let made = acme.mutate("startScan", order).await;
    let task = text(&made["task"]["id"]);
    acme.mutate("cancelTask", json!({ "taskId": task })).await;
    acme.ends_as(&task, "CANCELLED").await;
    let events = acme.all_events(&task).await;
    assert_eq!(
        events[0]["message"], "waiting for a worker with semgrep",
        "{events:#?}"
    );
}

/// What a tool finds in a capture comes beside what is read from it anyway.
#[tokio::test]
async fn a_capture_is_read_beside_the_tool_that_the_worker_has() {
    // Its report says how many bytes it was given.
    let body = "size=$(stat -c %s \"$capture\")\ncat > /out/report <<END\n{\"timestamp\":\"2026-11-21T09:48:47+0000\",\
        \"event_type\":\"alert\",\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.9\",\"proto\":\"TCP\",\"alert\":\
        {\"gid\":1,\"signature_id\":7,\"signature\":\"$size bytes\",\"severity\":1}}\nEND";
    let app = Plan::new()
        .tools(Tools::Script(Script::suricata(body)))
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let capture = checkout::read("plugins/pcap/cases/captures/smtp-auth-plain.pcap");
    let bytes = capture.len();
    let upload = acme.upload(&project, "traffic.pcap", capture).await;
    let order = |profile: &str| json!({ "projectId": project, "scanType": "pcap", "uploadId": upload, "profile": profile });
    for (profile, tools) in [
        ("QUICK", vec![]),
        ("STANDARD", vec!["suricata"]),
        ("DEEP", vec!["suricata"]),
    ] {
        let task = started(&acme, order(profile)).await;
        let done = acme.ends_as(&task, "COMPLETED").await;
        let ran: Vec<&Value> = done["toolExecutions"].as_array().unwrap().iter().collect();
        assert_eq!(ran.len(), tools.len(), "{profile}: {done:#}");
        let shown = acme.data(SESSION, json!({ "id": task })).await;
        assert_eq!(shown["task"]["pcapSession"]["packetCount"], PACKETS, "{shown:#}");
        let mut titles: Vec<String> = acme
            .findings(&task)
            .await
            .iter()
            .map(|finding| text(&finding["title"]))
            .collect();
        titles.sort();
        let own = "Mail password sent in clear text (SMTP): alice@shop.test".to_owned();
        let mut expected = vec![own];
        expected.extend((!tools.is_empty()).then(|| format!("{bytes} bytes")));
        expected.sort();
        assert_eq!(titles, expected, "{profile}");
        let told = done["scanResult"]["diagnostics"].to_string();
        assert_eq!(
            told.contains("tshark cannot run on this worker"),
            profile == "DEEP",
            "{told}"
        );
    }
}
