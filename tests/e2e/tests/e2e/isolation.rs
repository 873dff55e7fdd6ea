//! Two tenants cannot see each other on any field or route, computed from the schema and the router.
//!
//! Everything of `acme` is tried by `other`: each argument of each field with each of acme's ids,
//! cursors and names. The answer must hold nothing of acme, and must be the answer that the same
//! question gets about what does not exist, whatever the role of the token. A new argument or route fails until it is taught here.

mod document;
mod filling;
mod fuzzing;
mod operators;
mod routes;
mod schema;
mod stock;
mod world;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use document::{Document, Leaf, leaves};
use filling::{Candidate, Filling, Kind, bare};
use schema::Step;
use world::{WORD, World, types_in};

pub(crate) use routes::routes as source_routes;

use crate::harness::stream::EventStream;
use crate::harness::{Client, Said, order, report, text};

/// Answers that one subscription may give before it counts as a leak of its own.
const EVENTS_MAX: usize = 20;

/// What the worker writes now and then about a tool that runs.
const SIGN_OF_LIFE: &str = "has been running for";

/// Roles of a tenant's tokens.
const ROLES: [&str; 4] = ["viewer", "analyst", "admin", "owner"];

/// Somebody who is not of acme.
struct Stranger {
    name: &'static str,
    client: Client,
    /// There are mutations that its role refuses.
    is_weak: bool,
    is_operator: bool,
}

/// The other tenant in each role, and an operator.
fn strangers(world: &World) -> Vec<Stranger> {
    let roles = ROLES.into_iter().map(|role| Stranger {
        name: role,
        client: world.app.token(world.other.word, &["--role", role]),
        is_weak: ["viewer", "analyst"].contains(&role),
        is_operator: false,
    });
    let token = world
        .app
        .says(&["operator", "token", "create", "--name", "walker"]);
    let operator = Stranger {
        name: "operator",
        client: world.app.client(token.trim()),
        is_weak: true,
        is_operator: true,
    };
    roles.chain([operator]).collect()
}

/// A field, and what is tried in its arguments: one leaf, or all that take ids at once.
struct Attempt {
    operation: &'static str,
    step: Step,
    tried: Vec<(Leaf, Candidate)>,
}

impl World {
    /// Every way to put something of acme's into an argument of `step`.
    fn attempts(&self, operation: &'static str, step: &Step) -> Vec<Attempt> {
        let own = &self.acme.own;
        let attempt = |tried| Attempt {
            operation,
            step: step.clone(),
            tried,
        };
        let leaves = leaves(&self.schema, step);
        let mut attempts = Vec::new();
        for leaf in &leaves {
            for candidate in own.candidates(leaf.filling, WORD) {
                attempts.push(attempt(vec![(leaf.clone(), candidate)]));
            }
        }
        let fitting = leaves.iter().filter_map(|leaf| match leaf.filling {
            Filling::Id(kind) | Filling::NeededId(kind) => {
                Some((leaf.clone(), own.candidate(&own.ids[&kind][0], WORD)))
            }
            _ => None,
        });
        let fitting: Vec<_> = fitting.collect();
        if fitting.len() > 1 {
            attempts.push(attempt(fitting));
        }
        attempts
    }

    /// Asks as the other tenant, in a way of its own to the field; `real` or what does not exist.
    fn question(&self, attempt: &Attempt, way: &[Step], real: bool) -> (String, Value) {
        let mut document = Document::new(&self.schema, &self.other.own, 0);
        let mut calls: Vec<String> = way.iter().map(|step| document.call(step, &[])).collect();
        let tried = attempt.tried.iter().map(|(leaf, candidate)| {
            let value = if real { &candidate.real } else { &candidate.ghost };
            (leaf.path.as_str(), value.as_str())
        });
        let tried: Vec<_> = tried.collect();
        calls.push(document.call(&attempt.step, &tried));
        let target = &self.schema.field(&attempt.step).of.name;
        let selection = if self.schema.is_object(target) {
            document.everything_of(target)
        } else {
            document.leaves_of(target)
        };
        document.finish(attempt.operation, &calls, &selection)
    }

    /// A query about acme's things and one about none, as a stranger.
    async fn ask_field(&self, stranger: &Stranger, attempt: &Attempt, way: &[Step]) {
        let (document, variables) = self.question(attempt, way, true);
        let about_real = stranger.client.answer(&document, variables).await;
        let (document, variables) = self.question(attempt, way, false);
        let about_ghost = stranger.client.answer(&document, variables).await;
        let told = about_real["data"].to_string();
        let name = stranger.name;
        assert!(
            self.leaks(&told, &[]).is_empty(),
            "{name}: {document}: {about_real:#}"
        );
        self.check(attempt, &about_real.to_string(), &about_ghost.to_string());
    }

    /// The same with a subscription, as the owner over both kinds of streams.
    async fn ask_stream(&self, stranger: &Stranger, attempt: &Attempt) {
        let real = self.question(attempt, &[], true);
        let ghost = self.question(attempt, &[], false);
        let client = &stranger.client;
        let (about_real, about_ghost) = (events(client, &real).await, events(client, &ghost).await);
        self.check(attempt, &about_real, &about_ghost);
        if stranger.name == "owner" {
            // the other stream asks the same engine: once is enough
            let (about_real, about_ghost) = (messages(client, &real).await, messages(client, &ghost).await);
            self.check(attempt, &about_real, &about_ghost);
        }
    }

    /// The same with a mutation, which must be refused.
    async fn ask_mutation(&self, stranger: &Stranger, attempt: &Attempt) {
        let (document, variables) = self.question(attempt, &[], true);
        let about_real = stranger.client.answer(&document, variables).await;
        let (document, variables) = self.question(attempt, &[], false);
        let about_ghost = stranger.client.answer(&document, variables).await;
        let payload = &about_real["data"][&attempt.step.field];
        let code = &payload["errors"][0]["code"];
        let error = &about_real["errors"][0]["extensions"]["code"];
        // the id of another type is none for the schema already
        let is_misfit = error == "BAD_USER_INPUT";
        // a filter that fits nothing of one's own
        let is_nothing = payload["matched"] == 0 && payload["changed"] == 0;
        let is_without_right =
            code == "NOT_ALLOWED" && stranger.is_weak || error == "NOT_ALLOWED" && stranger.is_operator;
        assert!(
            is_misfit || is_nothing || is_without_right || code == "NOT_FOUND" || code == "INVALID_INPUT",
            "{}: {document}: {about_real:#}",
            stranger.name
        );
        self.check(attempt, &about_real.to_string(), &about_ghost.to_string());
    }

    /// Both answers must be one, and hold nothing of acme.
    fn check(&self, attempt: &Attempt, about_real: &str, about_ghost: &str) {
        let sent: Vec<&str> = attempt
            .tried
            .iter()
            .map(|(_, candidate)| candidate.real.as_str())
            .collect();
        let what = format!(
            "{}.{} with {:?}",
            attempt.step.owner, attempt.step.field, attempt.tried
        );
        let leaks = self.leaks(about_real, &sent);
        assert!(leaks.is_empty(), "{what} tells {leaks:?}: {about_real}");
        let mask = |answer: &str| {
            let masked = attempt
                .tried
                .iter()
                .fold(answer.to_owned(), |answer, (_, candidate)| {
                    answer
                        .replace(bare(&candidate.real), "*")
                        .replace(bare(&candidate.ghost), "*")
                });
            assert!(!masked.contains("INTERNAL"), "{what}: {masked}");
            lasting(&masked)
        };
        assert_eq!(
            mask(about_real),
            mask(about_ghost),
            "{what} tells whether it exists"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_shows_or_betrays_what_another_tenant_has() {
    let world = World::new().await;
    let reachable = world.schema.reachable();
    let mut seen = BTreeSet::new();
    for answer in world.acme.everything(&world.schema).await {
        types_in(&answer, &mut seen);
    }
    for of in reachable.keys() {
        assert!(
            seen.contains(of) || of == &world.schema.query,
            "acme has no {of} to hide: teach isolation/world.rs to make one"
        );
    }

    let strangers = strangers(&world);
    for answer in world.other.everything(&world.schema).await {
        let leaks = world.leaks(&answer.to_string(), &[]);
        assert!(leaks.is_empty(), "{leaks:?} in {answer:#}");
    }
    for (document, variables) in world.other.questions(&world.schema) {
        for stranger in &strangers {
            let answer = stranger.client.answer(&document, variables.clone()).await;
            let leaks = world.leaks(&answer.to_string(), &[]);
            assert!(leaks.is_empty(), "{}: {leaks:?} in {answer:#}", stranger.name);
        }
    }

    let mut tried = 0;
    for (owner, way) in &reachable {
        for field in &world.schema.get(owner).fields {
            let step = Step {
                owner: owner.clone(),
                field: field.name.clone(),
            };
            for attempt in world.attempts("query", &step) {
                let asking = strangers
                    .iter()
                    .map(|stranger| world.ask_field(stranger, &attempt, way));
                join_all(asking).await;
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "only {tried} attempts");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_subscription_follows_another_tenants_task() {
    let world = World::new().await;
    let strangers = strangers(&world);
    let root = &world.schema.subscription;
    for field in &world.schema.get(root).fields {
        let step = Step {
            owner: root.clone(),
            field: field.name.clone(),
        };
        for attempt in world.attempts("subscription", &step) {
            let asking = strangers
                .iter()
                .map(|stranger| world.ask_stream(stranger, &attempt));
            join_all(asking).await;
        }
    }
    world.end().await;
}

/// `said` without what differs between any two answers: the id of the request and what is left of the budget. Each is
/// digits, or hex digits with hyphens that begin with one, somewhere behind its key.
fn lasting(said: &str) -> String {
    let mut said = said.to_owned();
    for key in ["requestId", "remaining", "resetSeconds"] {
        let mut parts = said.split(key);
        let first = parts.next().unwrap_or_default().to_owned();
        said = parts.fold(first, |told, part| {
            let at = part
                .find(|letter: char| letter.is_ascii_digit())
                .unwrap_or(part.len());
            let rest =
                part[at..].trim_start_matches(|letter: char| letter.is_ascii_hexdigit() || letter == '-');
            format!("{told}{key}{}*{rest}", &part[..at])
        });
    }
    said
}

/// All that a stream of server-sent events says to a question.
async fn events(client: &Client, (document, variables): &(String, Value)) -> String {
    let mut stream = EventStream::open(client, document, variables.clone()).await;
    let mut said = String::new();
    for _ in 0..EVENTS_MAX {
        match stream.next().await {
            Said::Next(payload) => {
                assert!(payload["data"].is_null(), "{document}: {payload:#}");
                said += &payload.to_string();
            }
            end => return said + &format!("{end:?}"),
        }
    }
    panic!("{document} is answered without end: {said}")
}

/// The same over a websocket.
async fn messages(client: &Client, (document, variables): &(String, Value)) -> String {
    let mut socket = client.socket().await;
    socket.subscribe("1", document, variables.clone()).await;
    let mut said = String::new();
    for _ in 0..EVENTS_MAX {
        match socket.next().await {
            Said::Next(payload) => {
                assert!(payload["data"].is_null(), "{document}: {payload:#}");
                said += &payload.to_string();
            }
            end => return said + &format!("{end:?}"),
        }
    }
    panic!("{document} is answered without end: {said}")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mutation_touches_what_another_tenant_has() {
    let world = World::new().await;
    let strangers = strangers(&world);
    let root = &world.schema.mutation;
    let viewer = world.app.token(WORD, &["--role", "viewer"]);
    let before = rows(&world);
    for field in &world.schema.get(root).fields {
        let step = Step {
            owner: root.clone(),
            field: field.name.clone(),
        };
        for attempt in world.attempts("mutation", &step) {
            let asking = strangers
                .iter()
                .map(|stranger| world.ask_mutation(stranger, &attempt));
            join_all(asking).await;
        }
        // and of one's own tenant, without the right
        let mut document = Document::new(&world.schema, &world.acme.own, 0);
        let call = document.call(&step, &[]);
        let selection = document.everything_of(&field.of.name);
        let (document, variables) = document.finish("mutation", &[call], &selection);
        let answer = viewer.data(&document, variables).await;
        assert_eq!(
            answer[&field.name]["errors"][0]["code"], "NOT_ALLOWED",
            "{answer:#}"
        );
    }
    let after = rows(&world);
    let changed: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(changed.is_empty(), "something was written: {changed:#?}");
    world.end().await;
}

/// All rows that a mutation could change, in the database itself, without what the clock changes.
fn rows(world: &World) -> BTreeSet<String> {
    let tables = world.app.sql(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname = 'tenant' or (schemaname, tablename) in (('control', 'tenant'),
             ('control', 'ticket'), ('control', 'plugin_choice'), ('control', 'schedule'), ('control', 'pause'))",
    );
    let rows = tables.lines().map(|table| {
        let row = "to_jsonb(r) - 'last_used_at' - 'lease_until' - 'event_seq'";
        let statement = format!("select '{table}', {row} from {table} r");
        world.app.sql(&statement)
    });
    let rows: Vec<String> = rows.collect();
    rows.iter()
        .flat_map(|rows| rows.lines().map(str::to_owned))
        .filter(|row| !row.contains(SIGN_OF_LIFE))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_or_an_id_that_another_tenant_uses_is_free() {
    let world = World::new().await;
    let (acme, other) = (&world.acme, &world.other.client);
    let project = other.project(&acme.own.project_name).await;
    for (number, id) in acme.own.ids[&Kind::Task].iter().enumerate() {
        let upload = other
            .upload(&project, "mine.json", report::named_semgrep("mine", 2))
            .await;
        let mut input = order(&project, &upload);
        input["id"] = json!(bare(id));
        let made = other.mutate("importReport", input).await;
        assert_eq!(made["errors"], json!([]), "{number}: {made}");
        assert_eq!(text(&made["task"]["id"]), *id);
    }
    // stopping one's own task stops nobody else's
    let seen = async || {
        acme.client
            .data("{ tasks { nodes { id status attempt } } }", Value::Null)
            .await
    };
    let before = seen().await;
    let running = text(&before["tasks"]["nodes"][1]["id"]);
    assert_eq!(before["tasks"]["nodes"][1]["status"], "RUNNING");
    let stopped = other.mutate("cancelTask", json!({ "taskId": running })).await;
    assert_eq!(stopped["task"]["status"], "CANCELLED", "{stopped}");
    assert_eq!(seen().await, before);
    world.end().await;
    for id in &acme.own.ids[&Kind::Task] {
        let ended = other.ended(id).await;
        let (status, findings) = if *id == running {
            ("CANCELLED", 0)
        } else {
            ("COMPLETED", 2)
        };
        assert_eq!(ended["status"], status, "{ended:#}");
        assert_eq!(ended["findings"]["totalCount"], findings);
    }
}
