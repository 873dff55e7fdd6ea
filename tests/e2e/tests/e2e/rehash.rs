//! `tamiz fingerprints rehash`: rows as an older version left them are known again, with all that was decided.

use serde_json::{Value, json};

use crate::harness::{App, Client, report};

/// Makes all rows those of version 1, which had other hashes.
const AGE: &str = "begin; set constraints all deferred;
    update tenant.alert set fingerprint = sha256('1'::bytea || fingerprint), fingerprint_version = 1;
    update tenant.alert_occurrence set fingerprint = sha256('1'::bytea || fingerprint);
    update tenant.scan_scope set fingerprint_version = 1;
    commit";

/// All that is known of alerts and the places that are there.
fn rows(app: &App) -> String {
    app.sql(
        "select to_jsonb(a)::text from tenant.alert a
         union all select to_jsonb(o)::text from tenant.alert_occurrence o where o.last_seen_at is null
         union all select to_jsonb(s)::text from tenant.scan_scope s
         union all select to_jsonb(e)::text from tenant.alert_event e order by 1",
    )
}

/// Imports a report; answers how it differs from the one before.
async fn import(acme: &Client, project: &str, findings: usize) -> Value {
    let task = acme
        .import(project, "report.json", report::semgrep(findings))
        .await;
    acme.ends_as(&task, "COMPLETED").await;
    let query = "query($id: ID!) { task(id: $id) { scanResult {
        comparison { new unchanged moved fixed reopened } } } }";
    let answer = acme.data(query, json!({ "id": task })).await;
    answer["task"]["scanResult"]["comparison"].clone()
}

/// Four alerts that are there, of which one is dismissed, and two that are gone.
async fn stocked() -> (App, Client, String) {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    import(&acme, &project, 6).await;
    import(&acme, &project, 4).await;
    let query = "query($p: ID!) { project(id: $p) { alerts { nodes { id } } } }";
    let answer = acme.data(query, json!({ "p": project })).await;
    let alert = &answer["project"]["alerts"]["nodes"][0]["id"];
    let input = json!({ "alertIds": [alert], "reason": "WONT_FIX", "comment": "no" });
    let done = acme
        .mutate_for("dismissAlerts", "DismissAlertsInput", input, "changed")
        .await;
    assert_eq!(done["changed"], 1, "{done}");
    (app, acme, project)
}

fn nothing_changed(comparison: &Value) {
    let expected = json!({ "new": 0, "unchanged": 4, "moved": 0, "fixed": 0, "reopened": 0 });
    assert_eq!(*comparison, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn aged_alerts_are_rehearsed_rehashed_and_then_known() {
    let (app, acme, project) = stocked().await;
    let before = rows(&app);
    let rehearse = ["fingerprints", "rehash", "--all", "--dry-run"];
    let nothing = app.says(&rehearse);
    assert!(
        nothing.starts_with("0 alerts and 0 places would be known"),
        "{nothing}"
    );

    app.sql(AGE);
    let aged = rows(&app);
    assert_ne!(aged, before);
    let told = app.says(&rehearse);
    assert!(told.starts_with("6 alerts and 4 places would be known"), "{told}");
    assert!(told.contains("; 0 fell together"), "{told}");
    assert_eq!(rows(&app), aged, "a rehearsal changes nothing");

    let done = app.says(&["fingerprints", "rehash"]);
    assert_eq!(done, told.replace("would be", "are"));
    assert_eq!(rows(&app), before, "as if this version had written them");
    assert_eq!(app.says(&rehearse), nothing);
    nothing_changed(&import(&acme, &project, 4).await);
    app.says(&["alerts", "check"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_over_aged_alerts_knows_them_without_the_command() {
    let (app, acme, project) = stocked().await;
    app.sql(AGE);
    nothing_changed(&import(&acme, &project, 4).await);
    let states =
        app.sql("select string_agg(distinct state::text, ' ' order by state::text) from tenant.alert");
    assert_eq!(states.trim(), "0 2 3", "open, dismissed and fixed as before");
}
