//! Mutations with an idempotency key, whose server is killed before and after they were written.

use std::process::{Child, Command, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::wait::SOON;
use crate::harness::{App, Client, Plan, text, until};

/// The payload reads tasks, so that a lock on them stops the mutation after its flow was committed.
const CREATE: &str = "mutation($input: CreateProjectInput!) { createProject(input: $input) {
    project { id name tasks(first: 1) { nodes { id } } } errors { code } } }";

async fn create(acme: &Client, key: &str, name: &str) -> Option<(StatusCode, bool, Value)> {
    let body = json!({ "query": CREATE, "variables": { "input": { "name": name } } });
    let request = acme
        .request(Method::POST, "/graphql")
        .header("idempotency-key", key)
        .json(&body);
    let answer = request.send().await.ok()?;
    let replayed = answer.headers().contains_key("idempotency-replayed");
    let status = answer.status();
    Some((status, replayed, answer.json().await.ok()?))
}

/// Holds a table from everybody until it is ended.
struct Holder(Child);

impl Holder {
    async fn of(app: &App, table: &str) -> Self {
        let statement = format!("begin; lock table {table} in access exclusive mode; select pg_sleep(120)");
        let mut command = Command::new("psql");
        command.args(["-qAtX", "-d", app.database().url(), "-c", &statement]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let holder = Self(child.expect("psql is installed by scripts/setup"));
        let held = format!(
            "select count(*) from pg_locks where relation = '{table}'::regclass
             and mode = 'AccessExclusiveLock' and granted"
        );
        until("the lock", SOON, async || (app.sql(&held) == "1").then_some(())).await;
        holder
    }

    /// The holder goes, and whatever the database still did for the killed server.
    fn ends(mut self, app: &App) {
        // it may have ended by itself
        let _ = self.0.kill();
        let _ = self.0.wait();
        app.database().cut_connections();
    }
}

/// Asks for a project while `table` is held, kills the server when the key is in `state`, and starts another.
async fn killed_while(app: &mut App, acme: &Client, table: &str, state: &str, key: &str) {
    let holder = Holder::of(app, table).await;
    let (asking, key_sent) = (acme.clone(), key.to_owned());
    let request = tokio::spawn(async move { create(&asking, &key_sent, &key_sent).await });
    let is_so =
        format!("select count(*) from tenant.idempotency_key where key = '{key}' and state = '{state}'");
    until(state, SOON, async || (app.sql(&is_so) == "1").then_some(())).await;
    app.server().kill();
    assert_eq!(request.await.expect("a request"), None, "{key}");
    holder.ends(app);
    app.start_server();
    app.is_ready().await;
}

#[tokio::test]
async fn a_killed_server_leaves_no_mutation_that_is_done_twice() {
    let mut app = Plan::new().without_worker().start().await;
    let acme = app.tenant("acme");
    killed_while(&mut app, &acme, "tenant.project", "begun", "before").await;
    killed_while(&mut app, &acme, "tenant.task", "applied", "after").await;
    for key in ["before", "after"] {
        let (status, _, body) = create(&acme, key, key).await.expect("an answer");
        assert_eq!(status, StatusCode::CONFLICT, "{body}");
        let code = &body["errors"][0]["extensions"]["code"];
        assert_eq!(code, "IDEMPOTENCY_KEY_IN_USE", "the runs may still live: {body}");
    }

    app.sql("update tenant.idempotency_key set begun_at = begun_at - interval '2 minutes'");
    let (status, replayed, made) = create(&acme, "before", "before").await.expect("an answer");
    assert_eq!((status, replayed), (StatusCode::OK, false), "{made}");
    assert_eq!(text(&made["data"]["createProject"]["project"]["name"]), "before");
    let (status, replayed, again) = create(&acme, "before", "before").await.expect("an answer");
    // what is left of the budget differs
    assert_eq!(
        (status, replayed, &again["data"]),
        (StatusCode::OK, true, &made["data"])
    );

    let (status, _, body) = create(&acme, "after", "after").await.expect("an answer");
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    let code = &body["errors"][0]["extensions"]["code"];
    assert_eq!(code, "IDEMPOTENCY_KEY_UNKNOWN_OUTCOME", "{body}");
    let names = app.sql("select string_agg(name, ' ' order by id) from tenant.project");
    assert_eq!(names, "after before", "each was made once");
}
