//! Schedules through the front door. Turns are made due by setting the clock of their row back.

use serde_json::{Value, json};

use crate::harness::tool::{WAIT_FOR_GO, WRITE_REPORT, stand_in};
use crate::harness::wait::PATIENCE;
use crate::harness::{App, Client, Plan, report, text, until};

const SCHEDULE: &str = "schedule { id name nextRuns(first: 2) role failures skipped pausedAt
    lastError { code message } lastTask { id status } order }";

async fn made(acme: &Client, project: &str, upload: &str, more: Value) -> Value {
    let mut input = json!({
        "projectId": project, "name": "nightly", "cron": "0 3 * * *", "timeZone": "Europe/Berlin",
        "scanType": "codeaudit", "uploadId": upload,
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    acme.mutate_for("createSchedule", "ScheduleInput", input, SCHEDULE)
        .await
}

async fn read(acme: &Client, id: &str) -> Value {
    let document = format!(
        "query($id: ID!) {{ {} }}",
        SCHEDULE.replace("schedule {", "schedule(id: $id) {")
    );
    acme.data(&document, json!({ "id": id })).await["schedule"].take()
}

/// Lets the schedule be due now, as if all turns of a year had been missed.
fn due(app: &App) {
    app.sql("update control.schedule set due_at = now() - interval '400 days', firing_until = null");
}

/// Waits until the schedule is due in the future again.
async fn turned(app: &App) {
    until("the turn of the schedule", PATIENCE, async || {
        let left = app.sql("select count(*) from control.schedule where due_at <= now()");
        (left.trim() == "0").then_some(())
    })
    .await;
}

fn tasks(app: &App) -> String {
    let count = "select count(*) from tenant.task where schedule_id is not null";
    app.sql(count).trim().to_owned()
}

#[tokio::test]
async fn a_schedule_asks_for_one_task_after_a_year_of_downtime_and_leaves_out_what_overlaps() {
    let (app, acme, project) = stand_in(Plan::new(), WAIT_FOR_GO).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let answer = made(&acme, &project, &upload, json!({})).await;
    let schedule = &answer["schedule"];
    assert_eq!(schedule["nextRuns"].as_array().unwrap().len(), 2, "{answer:#}");
    let id = text(&schedule["id"]);
    due(&app);
    turned(&app).await;
    assert_eq!(tasks(&app), "1", "missed turns collapse");
    let task = text(&read(&acme, &id).await["lastTask"]["id"]);
    acme.reaches(&task, "RUNNING").await;
    let of = acme
        .data(
            "query($id: ID!) { task(id: $id) { schedule { id } } }",
            json!({ "id": task }),
        )
        .await;
    assert_eq!(of["task"]["schedule"]["id"], json!(id));
    due(&app);
    turned(&app).await;
    assert_eq!(
        (tasks(&app).as_str(), &read(&acme, &id).await["skipped"]),
        ("1", &json!(1))
    );
    app.go();
    acme.ends_as(&task, "COMPLETED").await;

    let pause = json!({ "scheduleId": id });
    let paused = acme
        .mutate_for("pauseSchedule", "ScheduleIdInput", pause.clone(), SCHEDULE)
        .await;
    assert_eq!(paused["schedule"]["nextRuns"], json!([]), "{paused:#}");
    let on = acme
        .mutate_for("resumeSchedule", "ScheduleIdInput", pause.clone(), SCHEDULE)
        .await;
    assert!(on["schedule"]["pausedAt"].is_null(), "{on:#}");
    let gone = acme
        .mutate_for("deleteSchedule", "ScheduleIdInput", pause, "scheduleId")
        .await;
    assert_eq!(gone["scheduleId"], json!(id));
    assert!(read(&acme, &id).await.is_null());
}

#[tokio::test]
async fn a_turn_replaces_what_an_earlier_one_left_running() {
    let (app, acme, project) = stand_in(Plan::new(), WAIT_FOR_GO).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let answer = made(&acme, &project, &upload, json!({ "overlap": "REPLACE" })).await;
    let id = text(&answer["schedule"]["id"]);
    due(&app);
    turned(&app).await;
    let first = text(&read(&acme, &id).await["lastTask"]["id"]);
    acme.reaches(&first, "RUNNING").await;
    // another time of the same day, so that it is another turn
    let change = json!({ "scheduleId": id, "schedule": {
        "projectId": project, "name": "nightly", "cron": "30 2 * * *", "scanType": "codeaudit",
        "uploadId": upload, "overlap": "REPLACE" } });
    let changed = acme
        .mutate_for("updateSchedule", "UpdateScheduleInput", change, SCHEDULE)
        .await;
    assert_eq!(changed["errors"], json!([]));
    due(&app);
    turned(&app).await;
    acme.ends_as(&first, "CANCELLED").await;
    let second = text(&read(&acme, &id).await["lastTask"]["id"]);
    assert_ne!(first, second);
    app.go();
    acme.ends_as(&second, "COMPLETED").await;
}

#[tokio::test]
async fn what_a_turn_is_refused_for_stands_on_the_schedule_and_it_goes_on() {
    let (app, acme, project) = stand_in(Plan::new(), WRITE_REPORT).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    for (more, path) in [
        (json!({ "cron": "0 3 * *" }), "cron"),
        (json!({ "cron": "0 0 30 2 *" }), "cron"),
        (json!({ "timeZone": "Mars/Olympus" }), "timeZone"),
        (json!({ "scanType": "nothing-like-it" }), "scanType"),
    ] {
        let refused = made(&acme, &project, &upload, more).await;
        assert_eq!(refused["errors"][0]["path"], json!(["input", path]), "{refused}");
    }
    let answer = made(&acme, &project, &upload, json!({})).await;
    let id = text(&answer["schedule"]["id"]);
    let again = made(&acme, &project, &upload, json!({})).await;
    assert_eq!(again["errors"][0]["code"], "ALREADY_EXISTS", "{again}");
    // its project goes, as far as the schedule can see
    app.sql("update control.schedule set project_id = gen_random_uuid()");
    due(&app);
    turned(&app).await;
    let failed = read(&acme, &id).await;
    assert_eq!(
        (tasks(&app).as_str(), &failed["failures"]),
        ("0", &json!(1)),
        "{failed:#}"
    );
    assert!(!text(&failed["lastError"]["message"]).is_empty(), "{failed:#}");
    app.sql(&format!("update control.schedule set project_id = '{project}'"));
    due(&app);
    turned(&app).await;
    let well = read(&acme, &id).await;
    assert_eq!(
        (&well["failures"], &well["lastError"]),
        (&json!(0), &Value::Null),
        "{well:#}"
    );
    acme.ends_as(&text(&well["lastTask"]["id"]), "COMPLETED").await;
}

#[tokio::test]
async fn a_schedule_makes_no_task_after_its_token_was_revoked_until_another_changes_it() {
    let (app, acme, project) = stand_in(Plan::new(), WRITE_REPORT).await;
    let upload = acme.upload(&project, "src.zip", report::one_file()).await;
    let id = text(&made(&acme, &project, &upload, json!({})).await["schedule"]["id"]);
    let other = app.token("acme", &["--role", "analyst"]);
    app.sql(
        "update tenant.api_token set revoked_at = now()
             where id = (select token_id from control.schedule)",
    );
    due(&app);
    turned(&app).await;
    let stopped = read(&other, &id).await;
    assert_eq!(tasks(&app), "0");
    assert_eq!(stopped["lastError"]["code"], "NOT_ALLOWED", "{stopped:#}");
    let change = json!({ "scheduleId": id, "schedule": {
        "projectId": project, "name": "nightly", "cron": "30 2 * * *", "scanType": "codeaudit",
        "uploadId": upload } });
    let changed = other
        .mutate_for("updateSchedule", "UpdateScheduleInput", change, SCHEDULE)
        .await;
    assert_eq!(changed["errors"], json!([]));
    due(&app);
    turned(&app).await;
    let task = text(&read(&other, &id).await["lastTask"]["id"]);
    other.ends_as(&task, "COMPLETED").await;
}
