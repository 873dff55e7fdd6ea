//! Gives a tenant data of every kind.

use std::fs;

use serde_json::json;

use crate::harness::tool::install;
use crate::harness::{App, Client, checkout, order, report, text};

/// Gives a new tenant two projects' worth of everything.
pub(super) async fn stock(app: &App, word: &str) -> Client {
    app.says(&["tenant", "create", word]);
    let client = app.token(word, &["--role", "owner"]);
    install_own(app, word);
    let project = client.project(&format!("{word} shop")).await;
    let import = report::repeated(word, 3, 2);
    let import = client.import(&project, &format!("{word}-1.json"), import).await;
    client.ends_as(&import, "COMPLETED").await;
    let stand_in = install(app.folder());
    fs::write(stand_in.join("owner"), format!("of {word}\n")).unwrap();
    fs::write(stand_in.join("report.json"), report::named_semgrep(word, 2)).unwrap();
    let upload = client
        .upload(&project, &format!("{word}-2.zip"), archive(word))
        .await;
    let mut input = order(&project, &upload);
    input["options"] = json!({});
    let scan = client.mutate("startScan", input).await;
    client.ends_as(&text(&scan["task"]["id"]), "COMPLETED").await;
    give_targets(app, word, &import, &text(&scan["task"]["id"]));
    group_and_schedule(&client, &project, &upload, word).await;
    dismiss_one(&client, &import, word).await;
    give_webhook(app, &client, word).await;
    make_rule(&client, &project, word).await;
    make_token(&client, word).await;
    let nonsense = format!("{word} is no report").into_bytes();
    let failed = client.import(&project, &format!("{word}-5.json"), nonsense).await;
    client.ends_as(&failed, "FAILED").await;
    app.sql(
        "update tenant.finding_content set cve = '{CVE-2021-44228}',
         extra = extra || '{\"suppressions\": [{\"kind\": \"inSource\", \"justification\": \"nosem\"}]}'",
    );
    app.sql(
        "insert into tenant.alert_advisory select tenant_id, project_id, 'CVE-2021-44228', id from tenant.alert
         on conflict do nothing",
    );
    app.sql(&format!(
        "insert into control.quota_refusal (tenant_id, name, refused_count)
         select tenant_id, 'tasks-per-hour', 3 from tenant.task where id = '{failed}'
         on conflict (tenant_id, name) do nothing"
    ));
    app.sql(&format!(
        "update control.schedule set last_error_code = 'X', last_error_message = '{word}', last_task_id = '{import}'
         where name = '{word}'"
    ));
    app.sql(&format!(
        "update tenant.task set schedule_id = s.id from control.schedule s where s.name = '{word}'
         and tenant.task.id = '{import}'"
    ));
    app.sql(&format!(
        "update tenant.task set plugin_fault = '{{\"reason\": \"{word}\", \"limit\": {{\"name\": \"{word}\",
         \"value\": 1, \"unit\": \"{word}\"}}}}' where id = '{failed}'"
    ));
    client
}

/// A group with a task of its own, a schedule whose turns are far away and one of which went wrong, and a pause
/// of what nothing waits for.
async fn group_and_schedule(client: &Client, project: &str, upload: &str, word: &str) {
    let task = json!({ "scanType": "codeaudit", "uploadId": upload });
    let group = json!({ "projectId": project, "name": word, "tasks": [task] });
    let tasks = "group { tasks { nodes { id } } }";
    let made = client
        .mutate_for("createTaskGroup", "CreateTaskGroupInput", group, tasks)
        .await;
    let task = &made["group"]["tasks"]["nodes"][0]["id"];
    client.ends_as(&text(task), "COMPLETED").await;
    let schedule = json!({
        "projectId": project, "name": word, "cron": "0 0 29 2 *", "scanType": "codeaudit", "uploadId": upload,
    });
    let made = client
        .mutate_for("createSchedule", "ScheduleInput", schedule, "schedule { id }")
        .await;
    assert_eq!(made["errors"], json!([]));
    let pause = json!({ "scanType": "pcap", "reason": word });
    let paused = client
        .mutate_for("pauseQueue", "PauseQueueInput", pause, "")
        .await;
    assert_eq!(paused["errors"], json!([]));
}

/// Somebody decides on an alert of the import.
async fn dismiss_one(client: &Client, import: &str, word: &str) {
    let query = "query($t: ID!) { task(id: $t) { findings(first: 1) { nodes { alert { id } } } } }";
    let data = client.data(query, json!({ "t": import })).await;
    let alert = &data["task"]["findings"]["nodes"][0]["alert"]["id"];
    let input = json!({ "alertIds": [alert], "reason": "WONT_FIX", "comment": word });
    let done = client
        .mutate_for("dismissAlerts", "DismissAlertsInput", input, "changed")
        .await;
    assert_eq!(done["changed"], 1, "{done}");
}

/// An endpoint that nothing real is sent to, and the log of a message.
async fn give_webhook(app: &App, client: &Client, word: &str) {
    let url = format!("http://127.0.0.1:9/{word}");
    let input = json!({ "url": url, "events": ["ACCEPTANCE_EXPIRING"] });
    let made = client
        .mutate_for(
            "createWebhookEndpoint",
            "CreateWebhookEndpointInput",
            input,
            "endpoint { id }",
        )
        .await;
    let (endpoint, message) = (text(&made["endpoint"]["id"]), uuid::Uuid::now_v7());
    for (table, columns, values) in [
        (
            "message",
            "id, type, body",
            format!("'{message}', 'webhook.test', '{word}'"),
        ),
        (
            "delivery",
            "endpoint_id, message_id, state, attempts, next_at, finished_at",
            format!("id, '{message}', 'delivered', 1, null, now()"),
        ),
        (
            "attempt",
            "endpoint_id, message_id, attempt, started_at, duration_ms, status_code, error, answer",
            format!("id, '{message}', 1, now(), 7, 200, '{word}', '{word}'"),
        ),
    ] {
        app.sql(&format!(
            "insert into tenant.webhook_{table} (tenant_id, {columns})
             select tenant_id, {values} from tenant.webhook_endpoint where id = '{endpoint}'"
        ));
    }
}

/// A rule that fits nothing and tells who made it.
async fn make_rule(client: &Client, project: &str, word: &str) {
    let input = json!({
        "projectId": project, "name": word, "conditions": { "paths": [format!("{word}/nowhere/**")] },
        "action": { "dismiss": { "reason": "USED_IN_TESTS", "comment": word } },
    });
    let made = client
        .mutate_for("createAlertRule", "CreateAlertRuleInput", input, "rule { id }")
        .await;
    assert_eq!(made["errors"], json!([]), "{made}");
}

/// A token that has ended, of which the audit log tells.
async fn make_token(client: &Client, word: &str) {
    let input = json!({ "name": format!("{word} ended"), "role": "VIEWER" });
    let made = client
        .mutate_for("createToken", "CreateTokenInput", input, "token { id }")
        .await;
    let input = json!({ "tokenId": made["token"]["id"] });
    let ended = client
        .mutate_for("revokeToken", "RevokeTokenInput", input, "token { revokedAt }")
        .await;
    assert!(ended["token"]["revokedAt"].is_string(), "{ended}");
}

/// Lets a plugin of its own serve the tenant: the first-party one with a section that names its owner, which
/// makes other bytes and nothing else of it.
fn install_own(app: &App, word: &str) {
    let mut component = fs::read(checkout::plugin("codeaudit.wasm")).unwrap();
    // a custom section: its length, the length of its name, its name
    let length = u8::try_from(word.len()).unwrap();
    component.extend([0, length + 1, length]);
    component.extend_from_slice(word.as_bytes());
    let file = app.folder().join(format!("{word}.wasm"));
    fs::write(&file, component).unwrap();
    let file = file.to_str().unwrap();
    app.says(&["plugin", "install", file, "--tenant", word, "--choose"]);
}

/// Rows that need a network to come about: what tasks went to, and what a capture held.
fn give_targets(app: &App, word: &str, import: &str, scan: &str) {
    let of = |task: &str| format!("select tenant_id, id from tenant.task where id = '{task}'");
    for (table, columns, values, task) in [
        (
            "webscan_target",
            "url, addresses",
            format!("'https://{word}.example/', '{{192.0.2.1}}'"),
            import,
        ),
        (
            "pcap_session",
            "packet_count, protocol_stats",
            format!("3, '{{\"{word}\": {{}}}}'"),
            import,
        ),
        (
            "osint_target",
            "target_type, target_value, addresses",
            format!("'domain', '{word}.example', '{{192.0.2.2}}'"),
            scan,
        ),
    ] {
        app.sql(&format!(
            "insert into tenant.{table} (tenant_id, task_id, {columns}) select t.tenant_id, t.id, {values} from ({}) t",
            of(task)
        ));
    }
}

pub(super) fn archive(word: &str) -> Vec<u8> {
    let name = format!("src/{word}.py");
    report::archive([(name.as_str(), b"print(1)\n".as_slice())])
}
