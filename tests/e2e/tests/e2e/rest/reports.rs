//! Reports of pipelines: what changed, what the verdict is, and that nothing gets lost.

use std::process::Command;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::described::Described;
use super::{CODE, REPORTS, RESULTS, TASK, form, packed, shop, shop_results};
use crate::harness::wait::SOON;
use crate::harness::{App, Plan, checkout, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_answered_with_what_changed_and_a_verdict() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let all = shop_results();
    let hand_in = async |query: &str, bytes: Vec<u8>| {
        let path = format!("/v1/reports?project=shop&scanType=codeaudit&{query}");
        api.ask(&acme, REPORTS, &path, |request| request.body(bytes))
            .await
    };

    let absent = hand_in("failOn=high", shop(0)).await;
    assert_eq!((absent.status.as_u16(), absent.code()), (404, "NOT_FOUND"));
    let first = hand_in("createProject=true&failOn=high&commit=1f3a", shop(0)).await;
    assert_eq!(first.status, 200, "{:#}", first.body);
    let body = &first.body;
    assert_eq!(body["status"], "completed");
    assert_eq!(body["commit"], "1f3a");
    assert_eq!(body["totals"]["findings"], all);
    assert_eq!(body["difference"]["opened"], all);
    assert_eq!(body["gate"]["passed"], false);
    let high = body["totals"]["bySeverity"]["high"].as_u64().unwrap();
    assert_eq!(body["gate"]["counts"], body["totals"]["bySeverity"]);
    assert_eq!(
        body["gate"]["reason"],
        format!("{high} of {all} findings are high or worse")
    );

    let second = hand_in("failOn=new-info", shop(0)).await.body;
    assert_eq!(
        [
            &second["difference"]["unchanged"],
            &second["difference"]["opened"]
        ],
        [all, 0]
    );
    assert_eq!(second["gate"]["passed"], true, "{:#}", second["gate"]);
    let less = hand_in("failOn=critical", packed(&shop(2))).await.body;
    assert_eq!(less["difference"]["fixed"], 2);
    assert_eq!(less["gate"]["passed"], true);
    let back = hand_in("failOn=new-info", shop(0)).await.body;
    assert_eq!(back["difference"]["reopened"], 2);
    assert_eq!(back["gate"]["passed"], false);
    assert_eq!(back["gate"]["reason"], "2 of 2 new alerts are info or worse");

    // another branch is compared with nothing
    let other = hand_in("branch=next&failOn=never", shop(0)).await.body;
    assert_eq!(other["scope"]["branch"], "next");
    assert_eq!(other["gate"]["passed"], true);
    // what the verdict links to is there
    let sarif = acme.request(reqwest::Method::GET, other["links"]["sarif"].as_str().unwrap());
    assert_eq!(sarif.send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_come_by_query_string_by_headers_and_by_a_form_in_any_order() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    acme.project("shop").await;
    let by_headers = api
        .ask(&acme, REPORTS, "/v1/reports", |request| {
            let request = request
                .header("tamiz-project", "shop")
                .header("tamiz-scan-type", "codeaudit");
            let request = request
                .header("tamiz-fail-on", "new-high")
                .header("content-encoding", "gzip");
            request.body(packed(&shop(0)))
        })
        .await;
    assert_eq!(
        by_headers.body["gate"]["failOn"], "new-high",
        "{:#}",
        by_headers.body
    );
    assert_eq!(by_headers.body["difference"]["opened"], shop_results());
    let report = shop(1);
    let by_form = api
        .ask(&acme, REPORTS, "/v1/reports?failOn=low", |request| {
            let parts: [(&str, &[u8]); 3] = [
                ("project", b"shop"),
                ("file", &report),
                ("scanType", b"codeaudit"),
            ];
            form(request, &parts)
        })
        .await;
    assert_eq!(by_form.body["difference"]["fixed"], 1, "{:#}", by_form.body);
    let names = app.sql("select distinct file_name from tenant.codeaudit_upload order by 1");
    assert_eq!(names, "a report\nupload");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_its_fields_leaves_nothing_behind() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let (branch, commit) = ("b".repeat(1_000), "c".repeat(1_000));
    for (field, value) in [
        ("priority", "30000"),
        ("branch", branch.as_str()),
        ("commit", commit.as_str()),
        ("options", "{\"a\":\"\\u0000\"}"),
    ] {
        let fields: [(&str, &[u8]); 4] = [
            ("file", &shop(0)),
            ("project", b"new"),
            ("createProject", b"true"),
            (field, value.as_bytes()),
        ];
        for (operation, path) in [
            (CODE, "/codeaudit/upload"),
            (REPORTS, "/v1/reports?scanType=codeaudit"),
            (RESULTS, "/queue/result?scanType=codeaudit"),
        ] {
            let answer = api
                .ask(&acme, operation, path, |request| form(request, &fields))
                .await;
            assert_eq!(answer.status, 422, "{path} {field}: {:#}", answer.body);
            let error = &answer.body["errors"][0];
            assert_eq!(error["extensions"]["path"], json!([field]));
            let message = text(&error["message"]);
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
        }
    }
    assert_eq!(app.sql("select count(*) from tenant.codeaudit_upload"), "0");
    assert_eq!(app.sql("select count(*) from tenant.project"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_none_fails_its_verdict_whatever_it_fails_on() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    acme.project("shop").await;
    for fail_on in ["never", "critical", "new-critical"] {
        let path = format!("/v1/reports?project=shop&scanType=codeaudit&failOn={fail_on}");
        let answer = api
            .ask(&acme, REPORTS, &path, |request| request.body("no report"))
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["status"]),
            (200, &json!("failed"))
        );
        let gate = &answer.body["gate"];
        assert_eq!(gate["passed"], false);
        let reason = text(&gate["reason"]);
        assert!(reason.contains(&text(&answer.body["error"]["code"])), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_takes_longer_is_asked_for_later_in_the_same_way() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let path = "/v1/reports?project=shop&createProject=1&scanType=codeaudit&failOn=high&wait=1";
    let asked = api
        .ask(&acme, REPORTS, path, |request| request.body(shop(0)))
        .await;
    assert_eq!(asked.status, 202);
    assert!(asked.body["gate"].is_null() && asked.body["totals"].is_null());
    let address = asked.headers["location"].to_str().unwrap().to_owned();
    assert!(address.ends_with("?failOn=high&wait=1"), "{address}");
    let waiting = api.ask(&acme, TASK, &address, |request| request).await;
    assert_eq!(waiting.body["status"], "queued");

    let long = address.replace("wait=1", "wait=60");
    let waiting = api.ask(&acme, TASK, &long, |request| request);
    let worker = async {
        // the question is on its way before there is anybody to answer it
        tokio::task::yield_now().await;
        app.worker("late")
    };
    let (told, _worker) = tokio::join!(waiting, worker);
    assert_eq!(told.body["status"], "completed", "{:#}", told.body);
    assert_eq!(told.body["gate"]["passed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_after_sending_loses_nothing() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let report = shop(0);
    let host = acme.address().strip_prefix("http://").unwrap().to_owned();
    let head = format!(
        "POST /v1/reports?project=shop&scanType=codeaudit HTTP/1.1\r\nHost: {host}\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        acme.token(),
        report.len()
    );
    let mut line = TcpStream::connect(&host).await.unwrap();
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(&report).await.unwrap();
    // it has come in when its task is there; then nobody waits for the answer any more
    let task = until("the task", SOON, async || {
        let task = app.sql(&format!(
            "select id from tenant.task where project_id = '{project}'"
        ));
        (!task.is_empty()).then_some(task)
    })
    .await;
    drop(line);
    let task = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(task["findings"]["totalCount"], shop_results());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_the_task_and_tells_nobody_whose_token_ended_meanwhile() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let path = "/v1/reports?project=shop&createProject=1&scanType=codeaudit&wait=0";
    let asked = api
        .ask(&acme, REPORTS, path, |request| request.body(shop(0)))
        .await;
    let task = text(&asked.body["id"]);
    let watcher = app.token("acme", &["--role", "viewer"]);
    let leaver = app.token("acme", &["--role", "viewer"]);
    let leavers = "from tenant.api_token where role = 'viewer' order by id desc limit 1";
    let leavers_id = app.sql(&format!("select id {leavers}"));

    let address = format!("/tasks/{task}?wait=60");
    let watching = api.ask(&watcher, TASK, &address, |request| request);
    let leaving = api.ask(&leaver, TASK, &address, |request| request);
    let ending = async {
        until("two that wait", SOON, async || {
            let asked =
                "select count(*) from tenant.api_token where role = 'viewer' and last_used_at is not null";
            (app.sql(asked) == "2").then_some(())
        })
        .await;
        app.says(&["token", "revoke", &leavers_id]);
        acme.mutate("cancelTask", json!({ "taskId": task })).await
    };
    let (told, left, _) = tokio::join!(watching, leaving, ending);
    assert_eq!(told.body["status"], "cancelled");
    assert_eq!((left.status.as_u16(), left.code()), (401, "UNAUTHENTICATED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_fails_on_what_is_new_by_the_same_verdict() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let import = |fail_on: &str, left_out: usize| {
        std::fs::write(app.folder().join("report.json"), shop(left_out)).unwrap();
        let mut command = Command::new(checkout::tamiz());
        command.args(["import", "report.json", "--project", "shop", "--fail-on", fail_on]);
        command.current_dir(app.folder()).env_clear();
        let command = command
            .env("TAMIZ_SERVER", acme.address())
            .env("TAMIZ_TOKEN", acme.token());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let first = import("new-critical", 1);
    assert_eq!(first.0, Some(0), "{}", first.1);
    let second = import("new-info", 0);
    assert_eq!(second.0, Some(1), "{}", second.1);
    assert!(
        second
            .1
            .contains("1 of 1 new alerts are info or worse (--fail-on)"),
        "{}",
        second.1
    );
    let (code, said) = import("new-info", 0);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = import("low", 0);
    assert_eq!(code, Some(1), "{said}");
}
