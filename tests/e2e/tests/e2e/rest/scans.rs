//! Scans that plain HTTP asks for: of targets, uploads and archives in a form; and who may.

use std::fs;

use serde_json::{Value, json};

use super::described::Described;
use super::{CODE, REPORTS, RESULTS, SCANS, TASK, form, shop};
use crate::harness::report::one_file;
use crate::harness::tool::{Script, Tools};
use crate::harness::{App, Client, Plan, checkout, text};

async fn cancel(client: &Client, task: &Value) {
    let payload = client.mutate("cancelTask", json!({ "taskId": task["id"] })).await;
    assert_eq!(payload["errors"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_may_be_a_word_or_say_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("hostile.wasm");
    fs::copy(checkout::test_plugin("hostile.wasm"), plugin).unwrap();
    let plan = Plan::new().set("plugin_dir", folder.path().display());
    let plan = plan.set("target_networks_allowed", "acme=127.0.0.0/8");
    let plan = plan.tools(Tools::Script(Script::new("exit 1"))).without_worker();
    let app = plan.start().await;
    let (acme, other) = (app.tenant("acme"), app.tenant("other"));
    let api = Described::new();
    for client in [&acme, &other] {
        client.project("shop").await;
    }
    let start = async |client: &Client, kind: &str, target: Value| {
        let wish = json!({ "project": "shop", "target": target, "profile": "quick", "branch": "main" });
        let path = format!("/scans/{kind}");
        api.ask(client, SCANS, &path, |request| request.json(&wish)).await
    };
    for target in [
        json!("http://127.0.0.1:8080/a"),
        json!({ "url": "http://127.0.0.1:8080/a" }),
        json!("127.0.0.1:8080"),
        json!({ "endpoint": { "host": "127.0.0.1", "port": 8080 } }),
        json!({ "osint": { "type": "username", "value": "jo" } }),
    ] {
        let started = start(&acme, "codeaudit", target.clone()).await;
        assert_eq!(started.status, 202, "{target}: {:#}", started.body);
        assert_eq!(started.body["status"], "queued");
        assert_eq!(started.body["scope"]["branch"], "main");
        cancel(&acme, &started.body).await;
    }
    for (client, kind, target, code) in [
        (
            &other,
            "codeaudit",
            json!("http://127.0.0.1:8080/a"),
            "TARGET_FORBIDDEN",
        ),
        (
            &acme,
            "codeaudit",
            json!({ "url": "ftp://127.0.0.1" }),
            "TARGET_INVALID",
        ),
        (&acme, "codeaudit", json!("127.0.0.1:https"), "INVALID_INPUT"),
        (&acme, "codeaudit", json!(["127.0.0.1"]), "INVALID_INPUT"),
        (&acme, "no such type!", json!("a.example"), "INVALID_INPUT"),
        (&acme, "quantum", json!("a.example"), "UNSUPPORTED_SCAN_TYPE"),
    ] {
        let refused = start(client, kind, target.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, code),
            "{kind} {target}"
        );
    }
    assert_eq!(
        app.sql("select count(*) from tenant.task where status <> 'cancelled'"),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_in_a_form_is_uploaded_and_scanned() {
    let app = Plan::new()
        .tools(Tools::Script(Script::new("exit 1")))
        .without_worker();
    let app = app.start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let archive = one_file();
    let parts: [(&str, &[u8]); 5] = [
        ("file", &archive),
        ("project", b"shop"),
        ("profile", b"quick"),
        ("createProject", b"true"),
        ("options", br#"{"root": "/src"}"#),
    ];
    let started = api
        .ask(&acme, CODE, "/codeaudit/upload", |request| form(request, &parts))
        .await;
    assert_eq!(started.status, 202, "{:#}", started.body);
    assert_eq!(started.body["project"]["name"], "shop");
    assert_eq!(started.headers["location"], text(&started.body["links"]["self"]));
    let options = "select payload -> 'options' from tenant.task";
    let options: Value = serde_json::from_str(&app.sql(options)).unwrap();
    assert_eq!(options, json!({ "profile": "quick", "root": "/src" }));
    cancel(&acme, &started.body).await;

    for (parts, status, code) in [
        (&[("project", b"shop".as_slice())][..], 400, "BAD_REQUEST"),
        (
            &[("file", &archive), ("file", &archive), ("project", b"shop")],
            400,
            "BAD_REQUEST",
        ),
        (
            &[("file", &archive), ("project", b"shop"), ("profil", b"deep")],
            400,
            "BAD_REQUEST",
        ),
        (
            &[("file", &archive), ("project", b"shop"), ("profile", b"deeper")],
            422,
            "INVALID_INPUT",
        ),
        (
            &[("file", &archive), ("project", b"shop"), ("options", b"[]")],
            422,
            "INVALID_INPUT",
        ),
        (&[("file", b""), ("project", b"shop")], 422, "UPLOAD_EMPTY"),
        (&[("file", &archive)], 422, "INVALID_INPUT"),
        (&[("file", &archive), ("project", b"store")], 404, "NOT_FOUND"),
    ] {
        let refused = api
            .ask(&acme, CODE, "/codeaudit/upload", |request| form(request, parts))
            .await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{:#}",
            refused.body
        );
    }
    assert_eq!(
        app.sql("select count(*) from tenant.codeaudit_upload"),
        "1",
        "nothing of what was refused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_may_not_ask_for_work_and_another_tenant_sees_nothing() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let project = acme.project("shop").await;
    let path = "/v1/reports?project=shop&scanType=codeaudit&wait=60";
    let task = api
        .ask(&acme, REPORTS, path, |request| request.body(shop(0)))
        .await
        .body;
    let task = text(&task["id"]);
    let tasks = || app.sql("select count(*) from tenant.task");
    let before = tasks();
    let posts = [
        (
            REPORTS,
            format!("/v1/reports?project={project}&scanType=codeaudit"),
        ),
        (RESULTS, format!("/queue/result?task={task}")),
        (CODE, format!("/codeaudit/upload?project={project}")),
        (SCANS, "/scans/codeaudit".to_owned()),
    ];
    for role in ["viewer", "analyst", "admin", "owner"] {
        let client = app.token("acme", &["--role", role]);
        let told = api
            .ask(&client, TASK, &format!("/tasks/{task}"), |request| request)
            .await;
        assert_eq!(
            (told.status.as_u16(), &told.body["id"]),
            (200, &json!(task)),
            "{role}"
        );
        for (operation, path) in &posts {
            // empty: whoever may is refused for that
            let answer = api
                .ask(&client, operation, path, |request| match *operation {
                    CODE => form(request, &[("file", b"")]),
                    SCANS => request.json(&json!({ "project": project, "target": 7 })),
                    _ => request.body(""),
                })
                .await;
            let expected = if role == "viewer" { 403 } else { 422 };
            assert_eq!(answer.status, expected, "{role} {operation}: {:#}", answer.body);
        }
    }
    let other = app.tenant("other");
    let told = api
        .ask(&other, TASK, &format!("/tasks/{task}"), |request| request)
        .await;
    assert_eq!(told.status, 404);
    for (operation, path) in &posts[..3] {
        let answer = api
            .ask(&other, operation, path, |request| match *operation {
                CODE => form(request, &[("file", &one_file())]),
                _ => request.body(shop(0)),
            })
            .await;
        assert_eq!(answer.status, 404, "{operation}: {:#}", answer.body);
    }
    let operator = app.client(&app.says(&["operator", "token", "create", "--name", "them"]));
    let told = api
        .ask(&operator, TASK, &format!("/tasks/{task}"), |request| request)
        .await;
    assert_eq!(told.status, 403);
    assert_eq!(tasks(), before);
}
