//! Workers as operators see them: their life in the register, what they may not serve, what they cannot do, how
//! they go, and what they said of each task.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::process::Process;
use crate::harness::tool::{Script, Tools, WAIT_FOR_GO, install};
use crate::harness::wait::{PATIENCE, SOON};
use crate::harness::{App, Client, Plan, report, text, until};

/// As `Plan::with_short_leases` says.
const LEASE: Duration = Duration::from_secs(3);
/// For a busy machine to do what is due.
const LATENESS: Duration = Duration::from_secs(2);

const LOG: &str = "query($id: ID!, $first: Int, $after: String, $attempt: Int) { task(id: $id) {
    log(first: $first, after: $after, attempt: $attempt) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes { seq attempt workerId level message createdAt } } } }";

const ATTEMPTS: &str = "query($id: ID!) { task(id: $id) { attempts { attempt outcome error { message } } } }";

const WORKERS: &str = "query($after: String) { workers(first: 1, after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { name host state slots freeSlots tasksDone tasksFailed restarts lastError version worlds
        scanTypes tools { name version } } } }";

fn plan() -> Plan {
    Plan::new().without_worker().with_short_leases()
}

fn held() -> Plan {
    plan().tools(Tools::Script(Script::new(WAIT_FOR_GO)))
}

impl App {
    /// A column of the newest start of the worker called `name`.
    fn of_worker(&self, name: &str, column: &str) -> String {
        self.sql(&format!(
            "select {column} from control.worker where name = '{name}' order by started_at desc limit 1"
        ))
    }

    async fn worker_is(&self, name: &str, state: &str) {
        until(&format!("the {state} worker {name}"), SOON, async || {
            (self.of_worker(name, "state") == state).then_some(())
        })
        .await;
    }

    /// A worker with flags of its own.
    fn worker_with(&self, name: &str, flags: &[&str]) -> Process {
        let mut command = self.tamiz();
        command.args(["worker", "--name", name]).args(flags);
        Process::spawn(&mut command, &self.folder().join(format!("{name}.log")))
    }
}

/// A task whose tool waits for [`App::go`].
async fn held_scan(app: &App, acme: &Client) -> String {
    fs::write(install(app.folder()).join("report.json"), report::semgrep(10)).unwrap();
    let project = acme.project("shop").await;
    acme.scan(&project, "src.zip", report::one_file()).await
}

async fn scanning(acme: &Client, task: &str) {
    let mut events = acme.events(task, 0).await;
    while events.event().await.expect("it is not over")["phase"] != "SCANNING" {}
}

/// The lines of the task's log, once one of them holds `word`.
async fn log_with(acme: &Client, task: &str, word: &str) -> Vec<Value> {
    until(&format!("a line with {word}"), SOON, async || {
        let page = acme.data(LOG, json!({ "id": task, "first": 100 })).await;
        let lines = page["task"]["log"]["nodes"].as_array()?.clone();
        let is_there = lines.iter().any(|line| text(&line["message"]).contains(word));
        is_there.then_some(lines)
    })
    .await
}

#[tokio::test]
async fn a_worker_lives_in_the_register_by_a_name_that_outlives_it() {
    let app = plan().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let mut first = app.worker_with("scanner", &[]);
    app.worker_is("scanner", "idle").await;
    let good = acme.import(&project, "a.json", report::semgrep(3)).await;
    acme.ends_as(&good, "COMPLETED").await;
    let bad = acme.import(&project, "b.json", b"no report".to_vec()).await;
    acme.ends_as(&bad, "FAILED").await;
    first.terminate();
    assert!(first.ends(PATIENCE).success());
    let counts = "state || ' ' || tasks_done || ' ' || tasks_failed || ' ' || restarts";
    assert_eq!(app.of_worker("scanner", counts), "offline 1 1 0");

    let _second = app.worker_with("scanner", &["--scan-types", "codeaudit,web"]);
    app.worker_is("scanner", "idle").await;
    assert_eq!(app.of_worker("scanner", counts), "idle 1 1 1");
    let listed = app.says(&["worker", "list"]);
    let line = listed
        .lines()
        .find(|line| line.starts_with("scanner "))
        .expect("its line");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[2..8], ["idle", "2", "2", "1", "1", "1"], "{listed}");
    let said = app.of_worker(
        "scanner",
        "(capabilities ->> 'scanTypes') || (capabilities ->> 'worlds')",
    );
    assert_eq!(said, r#"["codeaudit", "web"]["0.1", "1.0"]"#);
}

#[tokio::test]
async fn a_worker_serves_only_the_scan_types_that_it_is_kept_to() {
    let app = plan().start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let _picky = app.worker_with("picky", &["--scan-types", "web"]);
    app.worker_is("picky", "idle").await;
    let task = acme.import(&project, "a.json", report::semgrep(3)).await;
    // it has looked for work since, and left this
    let before = app.of_worker("picky", "heartbeat_at");
    until("two more signs of life", SOON, async || {
        let since = format!("heartbeat_at > timestamptz '{before}' + interval '2 seconds'");
        (app.of_worker("picky", &since) == "t").then_some(())
    })
    .await;
    assert_eq!(acme.task(&task).await["status"], "QUEUED");
    let _other = app.worker_with("other", &["--scan-types", "codeaudit"]);
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(app.of_worker("picky", "tasks_done"), "0");
}

/// What a worker that fell silent held is taken by another within one lease, and the attempt is lost.
async fn fell_silent(app: &App, silence: impl FnOnce(&mut Process)) -> (Client, String, Process) {
    let acme = app.tenant("acme");
    let task = held_scan(app, &acme).await;
    let mut silent = app.worker_with("silent", &[]);
    scanning(&acme, &task).await;
    let _other = app.worker_with("other", &[]);
    app.worker_is("other", "idle").await;
    let at = Instant::now();
    silence(&mut silent);
    until("another worker's attempt", SOON, async || {
        let holder = app.sql(&format!(
            "select w.name from control.ticket t join control.worker w on w.id = t.worker_id where t.task_id = '{task}'"
        ));
        (holder == "other").then_some(())
    })
    .await;
    assert!(at.elapsed() <= LEASE + LATENESS, "after {:?}", at.elapsed());
    assert_eq!(app.of_worker("silent", "state"), "offline");
    app.go();
    let done = acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(done["attempt"], 2);
    let attempts = acme.data(ATTEMPTS, json!({ "id": task })).await;
    let attempts = &attempts["task"]["attempts"];
    assert_eq!(attempts[0]["outcome"], "lost", "{attempts:#?}");
    assert!(
        text(&attempts[0]["error"]["message"]).contains("silent"),
        "{attempts:#?}"
    );
    (acme, task, silent)
}

#[tokio::test]
async fn a_killed_worker_is_offline_and_its_task_is_back_within_one_lease() {
    let app = held().start().await;
    fell_silent(&app, Process::kill).await;
}

#[tokio::test]
async fn a_stopped_worker_is_offline_within_one_lease_and_back_when_it_goes_on_but_says_nothing_of_its_task()
{
    let app = held().start().await;
    let (acme, task, silent) = fell_silent(&app, |worker| worker.freeze()).await;
    let before = log_with(&acme, &task, "completed").await;
    silent.thaw();
    app.worker_is("silent", "idle").await;
    let after = log_with(&acme, &task, "completed").await;
    assert_eq!(after, before);
    assert_eq!(app.of_worker("silent", "tasks_done"), "0");
    app.leaves_no_scratch().await;
}

#[tokio::test]
async fn a_worker_asked_to_end_twice_does_not_wait_for_its_grace() {
    let app = held().set("shutdown_grace_seconds", "10m").start().await;
    let acme = app.tenant("acme");
    let task = held_scan(&app, &acme).await;
    let mut worker = app.worker_with("first", &[]);
    scanning(&acme, &task).await;
    worker.terminate();
    app.worker_is("first", "draining").await;
    until("the worker's draining", SOON, async || {
        worker.log().contains("draining").then_some(())
    })
    .await;
    worker.terminate();
    assert!(worker.ends(SOON).success());
    assert_eq!(app.of_worker("first", "state"), "offline");
    let waiting = acme.task(&task).await;
    assert_eq!(
        (&waiting["status"], &waiting["retries"]),
        (&json!("RETRYING"), &json!(0))
    );
    app.go();
    let _second = app.worker_with("second", &[]);
    acme.ends_as(&task, "COMPLETED").await;
}

#[tokio::test]
async fn a_worker_without_its_tools_says_so_and_takes_nothing_until_they_are_back() {
    let app = held().start().await;
    let acme = app.tenant("acme");
    let _worker = app.worker_with("first", &[]);
    app.worker_is("first", "idle").await;
    let tool = install(app.folder()).join("bin/stand-in");
    let aside = tool.with_extension("aside");
    fs::rename(&tool, &aside).unwrap();
    app.worker_is("first", "error").await;
    assert!(app.of_worker("first", "last_error").contains("tools are gone"));
    let listed = app.says(&["worker", "list"]);
    assert!(listed.contains("tools are gone"), "{listed}");
    let task = held_scan(&app, &acme).await;
    app.go();
    fs::rename(&aside, &tool).unwrap();
    acme.ends_as(&task, "COMPLETED").await;
    app.worker_is("first", "idle").await;
    let events = acme.all_events(&task).await;
    let attempts = acme.task(&task).await["attempt"].clone();
    assert_eq!(attempts, 1, "{events:#?}");
}

#[tokio::test]
async fn what_a_worker_said_of_a_task_is_paged_and_nobody_else_s() {
    let app = held().start().await;
    let acme = app.tenant("acme");
    let task = held_scan(&app, &acme).await;
    app.go();
    let _worker = app.worker_with("first", &[]);
    acme.ends_as(&task, "COMPLETED").await;
    let lines = log_with(&acme, &task, "completed").await;
    let said: Vec<String> = lines.iter().map(|line| text(&line["message"])).collect();
    for word in [
        "attempt 1 begins",
        "starting semgrep",
        "semgrep ended",
        "read ",
        "completed: done, 10 findings",
    ] {
        assert!(said.iter().any(|line| line.contains(word)), "{word}: {said:#?}");
    }
    for (index, line) in lines.iter().enumerate() {
        assert_eq!((&line["seq"], &line["attempt"]), (&json!(index + 1), &json!(1)));
        assert_eq!(line["level"], "INFO", "{line:#}");
    }
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = acme
            .data(LOG, json!({ "id": task, "first": 2, "after": after }))
            .await;
        let page = &page["task"]["log"];
        assert_eq!(page["totalCount"], lines.len());
        seen.extend(page["nodes"].as_array().unwrap().clone());
        assert!(seen.len() <= lines.len());
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, lines);
    let none = acme.data(LOG, json!({ "id": task, "attempt": 2 })).await;
    assert_eq!(none["task"]["log"]["totalCount"], 0);
    let globex = app.tenant("globex");
    assert_eq!(globex.data(LOG, json!({ "id": task })).await["task"], Value::Null);
}

#[tokio::test]
async fn an_operator_sees_the_workers_and_a_tenant_does_not() {
    let app = held().start().await;
    let _first = app.worker_with("a-first", &[]);
    let _second = app.worker_with("b-second", &["--scan-types", "codeaudit"]);
    app.worker_is("a-first", "idle").await;
    app.worker_is("b-second", "idle").await;
    let operator = app.client(&app.says(&["operator", "token", "create", "--name", "ops"]));
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    for _ in 0..2 {
        let page = operator.data(WORKERS, json!({ "after": after })).await["workers"].take();
        assert_eq!(page["totalCount"], 2, "{page:#}");
        seen.extend(page["nodes"].as_array().unwrap().clone());
        after = page["pageInfo"]["endCursor"].clone();
        assert_eq!(page["pageInfo"]["hasNextPage"], seen.len() == 1);
    }
    let names: Vec<String> = seen.iter().map(|worker| text(&worker["name"])).collect();
    assert_eq!(names, ["a-first", "b-second"]);
    let second = &seen[1];
    assert_eq!(
        (&second["state"], &second["scanTypes"]),
        (&json!("IDLE"), &json!(["codeaudit"]))
    );
    assert_eq!((&second["slots"], &second["freeSlots"]), (&json!(2), &json!(2)));
    assert_eq!(
        second["tools"],
        json!([{ "name": "semgrep", "version": "9.9.9" }])
    );

    let acme = app.tenant("acme");
    let refused = acme.answer(WORKERS, json!({})).await;
    assert_eq!(
        refused["errors"][0]["extensions"]["code"], "NOT_ALLOWED",
        "{refused:#}"
    );
    assert!(!refused.to_string().contains("a-first"), "{refused:#}");
}
