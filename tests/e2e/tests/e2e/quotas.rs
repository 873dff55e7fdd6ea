//! What tenants may use: refused with the limit and the way out, counted, told to the audit log.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use reqwest::header::RETRY_AFTER;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::tool::{Script, Tools};
use crate::harness::wait::{SOON, until};
use crate::harness::{App, Client, Plan, Workers, order, report, text, with_both_kinds_of_workers};

const IMPORT: &str = "mutation($input: ImportReportInput!) { importReport(input: $input) {
    task { id } existing errors { code message path limit { name value used roomAt } } } }";
const USAGE: &str = "query($from: DateTime!, $to: DateTime!) { usage(from: $from, to: $to, bucket: HOUR) {
    windows { start end requests tasks tokens storageBytes computeSeconds }
    storedBytes reservedBytes limits { name value origin } } }";

/// Asks for an import; answers the payload and what `Retry-After` says.
async fn import(client: &Client, input: Value) -> (Value, Option<u64>) {
    let body = json!({ "query": IMPORT, "variables": { "input": input } });
    let request = client.request(Method::POST, "/graphql").json(&body);
    let answer = request.send().await.unwrap();
    let wait = answer.headers().get(RETRY_AFTER);
    let wait = wait.map(|wait| wait.to_str().unwrap().parse().unwrap());
    let mut body: Value = answer.json().await.unwrap();
    assert!(body.get("errors").is_none(), "{body:#}");
    (body["data"]["importReport"].take(), wait)
}

/// What was used in the last hours, all windows together: requests, tasks, new bytes, compute seconds.
async fn used(client: &Client) -> (i64, i64, i64, f64) {
    let now = Utc::now();
    let variables = json!({ "from": now - chrono::TimeDelta::hours(3), "to": now });
    let data = client.data(USAGE, variables).await;
    let windows = data["usage"]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 4);
    let sum = |name: &str| windows.iter().map(|one| one[name].as_i64().unwrap()).sum();
    let seconds = windows
        .iter()
        .map(|one| one["computeSeconds"].as_f64().unwrap())
        .sum();
    (sum("requests"), sum("tasks"), sum("storageBytes"), seconds)
}

async fn stored(client: &Client) -> (i64, i64) {
    let now = Utc::now();
    let data = client.data(USAGE, json!({ "from": now, "to": now })).await;
    let bytes = |name: &str| data["usage"][name].as_i64().unwrap();
    (bytes("storedBytes"), bytes("reservedBytes"))
}

#[tokio::test]
async fn a_refused_order_names_the_limit_and_when_to_come_back_and_is_told_to_the_audit_log() {
    let app = Plan::new().without_worker().start().await;
    let (acme, globex) = (app.tenant("acme"), app.tenant("globex"));
    app.says(&["tenant", "limit", "acme", "tasks-per-hour=2", "priority-max=50"]);
    let project = acme.project("shop").await;
    let upload = acme.upload(&project, "report.json", report::semgrep(1)).await;
    let ask = |id: Option<&str>, priority: i32| {
        let mut input = order(&project, &upload);
        input["priority"] = json!(priority);
        input["id"] = json!(id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned));
        input
    };
    let own_id = uuid::Uuid::now_v7().to_string();
    let mut other_id = String::new();
    for id in [Some(own_id.as_str()), None] {
        let (made, wait) = import(&acme, ask(id, 50)).await;
        assert_eq!((&made["errors"], wait), (&json!([]), None));
        other_id = text(&made["task"]["id"]);
    }
    let (refused, wait) = import(&acme, ask(None, 0)).await;
    let error = &refused["errors"][0];
    assert_eq!(error["code"], "QUOTA_EXCEEDED", "{refused}");
    let limit = &error["limit"];
    assert_eq!(
        (&limit["name"], &limit["value"], &limit["used"]),
        (&json!("tasks-per-hour"), &json!(2), &json!(2))
    );
    let room_at: DateTime<Utc> = limit["roomAt"].as_str().unwrap().parse().unwrap();
    let seconds = (room_at - Utc::now()).num_seconds();
    assert!((3300..=3900).contains(&seconds), "{room_at}");
    assert!(
        wait.unwrap().abs_diff(seconds.unsigned_abs()) <= 5,
        "{wait:?} and {seconds}"
    );
    // an order that is there already costs nothing
    let (again, _) = import(&acme, ask(Some(&own_id), 50)).await;
    assert_eq!(
        (&again["task"]["id"], &again["existing"]),
        (&json!(format!("Task_{own_id}")), &json!(true))
    );
    // nothing brings room for a priority
    let (refused, wait) = import(&acme, ask(None, 51)).await;
    let limit = &refused["errors"][0]["limit"];
    assert_eq!(
        (&limit["name"], &limit["roomAt"], wait),
        (&json!("priority-max"), &Value::Null, None)
    );
    for id in [&own_id, &other_id] {
        let cancelled = acme.mutate("cancelTask", json!({ "taskId": id })).await;
        assert_eq!(cancelled["errors"], json!([]));
    }
    let retried = acme.mutate("retryTask", json!({ "taskId": own_id })).await;
    assert_eq!(retried["errors"][0]["code"], "QUOTA_EXCEEDED");

    let told = "select resource_id, metadata ->> 'refusals', user_id is not null, count(*) over ()
                from tenant.audit_log where action = 'quota.refused' order by resource_id limit 1";
    assert_eq!(app.sql(told), "priority-max|1|t|2");
    let (_, tasks, bytes, _) = used(&acme).await;
    assert_eq!((tasks, bytes), (2, report::semgrep(1).len().try_into().unwrap()));
    assert_eq!(used(&globex).await.1, 0, "another tenant sees nothing of it");
}

#[tokio::test]
async fn uploads_at_once_do_not_overrun_the_storage_together_and_leave_nothing_reserved() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    app.says(&["tenant", "limit", "acme", "stored-bytes=250000"]);
    let uploads = (0..8u8).map(|name| {
        let body = vec![name; 100_000];
        // half of them do not say how long they are
        let body = if name % 2 == 0 {
            Body::from(body)
        } else {
            let chunks = body
                .chunks(10_000)
                .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)));
            Body::wrap_stream(stream::iter(chunks.collect::<Vec<_>>()))
        };
        acme.send(&project, "a.bin", body)
    });
    let mut taken = 0;
    for answer in futures_util::future::join_all(uploads).await {
        if answer.status() == StatusCode::CREATED {
            taken += 1;
            continue;
        }
        assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
        let body: Value = answer.json().await.unwrap();
        let extensions = &body["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "QUOTA_EXCEEDED", "{body}");
        let limit = &extensions["limit"];
        assert_eq!(
            (&limit["name"], &limit["value"]),
            (&json!("stored-bytes"), &json!(250_000))
        );
        assert_eq!(limit["roomAt"], Value::Null);
    }
    assert!((1..=2).contains(&taken), "{taken}");
    until("what was reserved is back", SOON, async || {
        (stored(&acme).await == (taken * 100_000, 0)).then_some(())
    })
    .await;
    // a client that goes away in the middle leaves nothing either
    let slow = stream::once(async { Ok::<_, std::io::Error>(Bytes::from(vec![9; 1_000])) });
    let never = stream::pending();
    let body = Body::wrap_stream(futures_util::StreamExt::chain(slow, never));
    let query = [("project", project.as_str()), ("fileName", "slow")];
    let request = acme.request(Method::POST, "/v1/uploads").query(&query).body(body);
    let sending = tokio::spawn(request.send());
    until("it is reserved", SOON, async || {
        (stored(&acme).await.1 > 0).then_some(())
    })
    .await;
    sending.abort();
    until("it is back", SOON, async || {
        (stored(&acme).await.1 == 0).then_some(())
    })
    .await;
    assert_eq!(
        app.says(&["usage", "recount"]),
        "the counters of 1 tenants agree with their rows"
    );
    let refusals = "select count(*) > 0 from tenant.audit_log where resource_id = 'stored-bytes'";
    assert_eq!(app.sql(refusals), "t");
}

with_both_kinds_of_workers! {
    artifacts_without_room_fail_their_task_and_others_are_counted_with_the_time_they_took,
}

async fn artifacts_without_room_fail_their_task_and_others_are_counted_with_the_time_they_took(
    workers: Workers,
) {
    let empty = "sleep 1; echo '{\"results\":[],\"errors\":[],\"version\":\"1\",\"paths\":{}}' > /out/report";
    let plan = Plan::new()
        .workers(workers)
        .tools(Tools::Script(Script::new(empty)));
    let app = plan.start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let archive = report::archive([("a.py", b"pass".as_slice())]);
    let size = archive.len();
    let done = acme.scan(&project, "src.zip", archive.clone()).await;
    acme.ends_as(&done, "COMPLETED").await;
    let (_, tasks, bytes, seconds) = used(&acme).await;
    assert_eq!(tasks, 1);
    assert!(bytes > size.try_into().unwrap(), "{bytes}");
    assert!((0.9..60.0).contains(&seconds), "{seconds}");
    let now = stored(&acme).await;
    assert_eq!(now, (bytes, 0));

    // the same archive is stored already; the same report is not new, but nobody knows before it is there
    let upload = acme.upload(&project, "src.zip", archive).await;
    assert_eq!(stored(&acme).await, now);
    app.says(&["tenant", "limit", "acme", &format!("stored-bytes={}", now.0)]);
    let started = acme.mutate("startScan", order(&project, &upload)).await;
    let task = text(&started["task"]["id"]);
    acme.ends_as(&task, "FAILED").await;
    let failed = acme
        .data(
            "query($id: ID!) { task(id: $id) { error { code message } artifacts { name } } }",
            json!({ "id": task }),
        )
        .await;
    let error = &failed["task"]["error"];
    assert_eq!(error["code"], "QUOTA_EXCEEDED", "{failed}");
    let limit = format!("the limit stored-bytes is {}; ", now.0);
    assert!(text(&error["message"]).contains(&limit), "{failed}");
    assert_eq!(failed["task"]["artifacts"], json!([]));
    assert_eq!(stored(&acme).await, now);
    assert_eq!(
        app.says(&["usage", "recount"]),
        "the counters of 1 tenants agree with their rows"
    );
}

#[tokio::test]
async fn an_operator_sees_and_changes_what_holds_and_where_it_comes_from() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    app.says(&[
        "plan",
        "set",
        "small",
        "tasks-running=4",
        "tasks-running.web=1",
        "memory-bytes=128MiB",
    ]);
    app.says(&["tenant", "plan", "acme", "small"]);
    let table = app.says(&["tenant", "limit", "acme", "tasks-running=8", "stored-bytes=1GiB"]);
    let row = |name: &str| -> Vec<String> {
        let line = table
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        let words = line
            .unwrap_or_else(|| panic!("{name} in {table}"))
            .split_whitespace();
        words.skip(1).map(str::to_owned).collect()
    };
    assert_eq!(row("tasks-running"), ["8", "tenant"]);
    assert_eq!(row("tasks-running.web"), ["1", "plan"]);
    assert_eq!(row("stored-bytes"), ["1GiB", "tenant"]);
    assert_eq!(row("weight"), ["100", "platform"]);
    let share = "select running_max, type_max from control.share";
    assert_eq!(app.sql(share), "8|{\"web\": 1}");
    assert!(
        app.says(&["plan", "list"])
            .contains("tasks-running=4 tasks-running.web=1 memory-bytes=128MiB")
    );
    let data = acme
        .data(USAGE, json!({ "from": Utc::now(), "to": Utc::now() }))
        .await;
    let limits = data["usage"]["limits"].as_array().unwrap();
    let web = json!({ "name": "tasks-running.web", "value": 1, "origin": "plan" });
    assert!(limits.contains(&web), "{data}");
    app.says(&["tenant", "limit", "acme", "tasks-running=default"]);
    assert_eq!(app.sql("select running_max from control.share"), "4");
    for bad in ["tasks=1", "weight=0", "stored-bytes=x"] {
        assert_eq!(
            app.run(&["tenant", "limit", "acme", bad]).status.code(),
            Some(2),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_recount_fails_where_counters_differ_and_sets_them_right() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.import(&project, "report.json", report::semgrep(3)).await;
    acme.ends_as(&task, "COMPLETED").await;
    let agrees = "the counters of 1 tenants agree with their rows";
    assert_eq!(app.says(&["usage", "recount", "--tenant", "acme"]), agrees);
    let shown = app.says(&["usage", "show", "acme"]);
    let total: Vec<&str> = shown.lines().last().unwrap().split_whitespace().collect();
    assert_eq!((total[0], total[2]), ("total", "1"), "{shown}");
    app.sql("update control.storage set stored_bytes = stored_bytes + 1");
    for (flags, code) in [(vec![], 1), (vec!["--repair"], 1), (vec![], 0)] {
        let mut args = vec!["usage", "recount"];
        args.extend(flags);
        assert_eq!(app.run(&args).status.code(), Some(code), "{args:?}");
    }
}

#[tokio::test]
async fn too_much_usage_at_once_is_refused() {
    let app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    let variables = json!({ "from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z" });
    let answer = acme.answer(USAGE, variables).await;
    assert_eq!(
        answer["errors"][0]["extensions"]["code"], "PAGE_TOO_LARGE",
        "{answer}"
    );
}
