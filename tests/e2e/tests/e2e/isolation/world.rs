//! Two tenants of one server, each with data of every kind, and all that must stay with its owner.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::document::Document;
use super::filling::{Belongings, Kind, bare, check_table};
use super::schema::{Schema, Step};
use super::stock::{archive, stock};
use crate::harness::tool::{Script, Tools, install};
use crate::harness::{App, Client, Plan, text};

/// What already happened is told within it.
const MOMENT: Duration = Duration::from_secs(3);
/// Names every thing of the tenant whose data must not be seen; nothing else contains it.
pub(super) const WORD: &str = "acmezebra";
/// Names everything of the tenant that looks.
pub(super) const OTHER_WORD: &str = "otherhorse";

/// Tells its owner on both streams, and waits until the test says go.
const SCRIPT: &str = "cat \"$install/owner\"; cat \"$install/owner\" >&2\n\
    until [ -e \"$install/go\" ]; do sleep 0.05; done\ncat \"$install/report.json\" > /out/report";

const BELONGINGS: &str = "{ viewer { tenant { id } } projects { nodes { id name alertRules { id } } pageInfo { endCursor } }
  tasks { nodes { id uploadId artifacts { id } toolExecutions { id tool } scanResult { id }
    findings(first: 2) { nodes { id file ruleId occurrences { pageInfo { endCursor } }
      alert { id occurrences { pageInfo { endCursor } } events { pageInfo { endCursor } } } } } } pageInfo { endCursor } }
  shop: projects { nodes { worst: alerts { pageInfo { endCursor } }
    latest: alerts(orderBy: { field: LAST_SEEN_AT }) { pageInfo { endCursor } } } }
  worst: findings { pageInfo { endCursor } } byFile: findings(orderBy: { field: FILE }) { pageInfo { endCursor } }
  newest: findings(orderBy: { field: CREATED_AT }) { pageInfo { endCursor } }
  webhookEndpoints { id deliveries { nodes { messageId } pageInfo { endCursor } } }
  taskGroups { nodes { id } pageInfo { endCursor } } schedules { nodes { id } pageInfo { endCursor } }
  plugins(first: 1) { nodes { id isOwn } pageInfo { endCursor } } }";

/// Facts about advisories are everybody's.
const PUBLIC_FACTS: &str = "insert into control.epss_score values ('CVE-2021-44228', '2025-03-14', 0.9, 1);
  insert into control.kev_entry values ('CVE-2021-44228', '2021-12-10', '2021-12-24', 'v', 'p', 'n', 'd', 'a', true, '',
    '{502}', '2025-03-14')";

/// Fields whose values belong to the platform, with the reason.
const PLATFORMS: [(&str, &str); 1] = [("workerId", "a worker serves all tenants")];

pub(super) struct World {
    pub(super) app: App,
    pub(super) schema: Schema,
    pub(super) acme: Tenant,
    pub(super) other: Tenant,
    /// Texts of acme that nobody else may read.
    pub(super) secrets: BTreeSet<String>,
}

pub(super) struct Tenant {
    /// Its name, which stands in all that it has.
    pub(super) word: &'static str,
    pub(super) client: Client,
    pub(super) own: Belongings,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|plan| plan).await
    }

    /// On a server with other settings.
    pub(super) async fn with(settings: impl FnOnce(Plan) -> Plan) -> Self {
        // a task of acme's is at work while every mutation is tried
        let script = Script::new(SCRIPT).limit("wall_seconds", 900);
        let plan = Plan::new().set("worker_slots", 1);
        let plan = plan.set("webhook_networks_allowed", "*=127.0.0.1/32");
        let app = settings(plan.tools(Tools::Script(script))).start().await;
        app.go();
        app.sql(PUBLIC_FACTS);
        let other = stock(&app, OTHER_WORD).await;
        let acme = stock(&app, WORD).await;
        // acme also has a task that runs and one that waits for its limit
        app.says(&["tenant", "limit", WORD, "tasks-running=1"]);
        fs::remove_file(install(app.folder()).join("go")).unwrap();
        let project = acme.project(&format!("{WORD} at work")).await;
        let running = acme.scan(&project, &format!("{WORD}-3.zip"), archive(WORD)).await;
        acme.reaches(&running, "RUNNING").await;
        acme.scan(&project, &format!("{WORD}-4.zip"), archive(WORD)).await;

        let schema = Schema::of(&acme).await;
        check_table(&schema);
        let acme = Tenant::of(&app, acme, WORD).await;
        let other = Tenant::of(&app, other, OTHER_WORD).await;
        let mut world = Self {
            app,
            schema,
            acme,
            other,
            secrets: BTreeSet::new(),
        };
        world.secrets = world.secrets_of(&world.acme).await;
        world
    }

    /// All that a tenant can read and that names something of it.
    pub(super) async fn secrets_of(&self, tenant: &Tenant) -> BTreeSet<String> {
        let mut secrets = BTreeSet::from([tenant.word.to_owned(), tenant.client.token().to_owned()]);
        secrets.extend(tenant.own.all_ids().into_iter().cloned());
        secrets.extend(tenant.own.cursors.iter().cloned());
        for answer in tenant.everything(&self.schema).await {
            gather(&answer, &mut secrets);
        }
        let platforms = self.platforms_plugins();
        secrets.retain(|secret| {
            let cursor = BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap_or_default();
            let cursor = String::from_utf8_lossy(&cursor);
            !platforms
                .iter()
                .any(|known| secret.contains(known) || cursor.contains(known))
        });
        assert!(
            secrets.len() > 30,
            "{} has little to hide: {secrets:#?}",
            tenant.word
        );
        secrets
    }

    /// Ids and digests of what is installed for everybody.
    fn platforms_plugins(&self) -> Vec<String> {
        let statement = "select unnest(array[id::text, encode(sha256, 'hex')]) from control.plugin
            where tenant_id is null";
        self.app.sql(statement).lines().map(str::to_owned).collect()
    }

    /// What of acme stands in `said`, other than what the asker knew and said itself.
    pub(super) fn leaks<'a>(&'a self, said: &str, sent: &[&str]) -> Vec<&'a String> {
        let rest = sent
            .iter()
            .fold(said.to_owned(), |rest, known| rest.replace(bare(known), "*"));
        self.secrets
            .iter()
            .filter(|secret| rest.contains(secret.as_str()))
            .collect()
    }

    /// Lets acme's tasks end, so that the test leaves nothing behind.
    pub(super) async fn end(&self) {
        self.app.go();
        for task in &self.acme.own.ids[&Kind::Task] {
            self.acme.client.ended(task).await;
        }
    }
}

impl Tenant {
    async fn of(app: &App, client: Client, word: &'static str) -> Self {
        let data = client.data(BELONGINGS, Value::Null).await;
        let mut own = Belongings::default();
        let mut add = |kind: Kind, value: &Value| {
            let ids = own.ids.entry(kind).or_default();
            if let Some(id) = value.as_str().filter(|id| !ids.iter().any(|known| known == id)) {
                ids.push(id.to_owned());
            }
        };
        let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
        add(Kind::Tenant, &data["viewer"]["tenant"]["id"]);
        add(Kind::Token, &json!(token_id(app, word)));
        for project in rows(&data["projects"]["nodes"]) {
            add(Kind::Project, &project["id"]);
            for rule in rows(&project["alertRules"]) {
                add(Kind::AlertRule, &rule["id"]);
            }
        }
        for task in rows(&data["tasks"]["nodes"]) {
            add(Kind::Task, &task["id"]);
            add(Kind::Upload, &task["uploadId"]);
            add(Kind::ScanResult, &task["scanResult"]["id"]);
            for (kind, things) in [
                (Kind::Artifact, &task["artifacts"]),
                (Kind::ToolExecution, &task["toolExecutions"]),
                (Kind::Finding, &task["findings"]["nodes"]),
            ] {
                for thing in rows(things) {
                    add(kind, &thing["id"]);
                    add(Kind::Alert, &thing["alert"]["id"]);
                }
            }
        }
        for (kind, list) in [(Kind::Group, "taskGroups"), (Kind::Schedule, "schedules")] {
            for thing in rows(&data[list]["nodes"]) {
                add(kind, &thing["id"]);
            }
        }
        let webhooks = &data["webhookEndpoints"][0];
        add(Kind::WebhookEndpoint, &webhooks["id"]);
        add(
            Kind::WebhookMessage,
            &webhooks["deliveries"]["nodes"][0]["messageId"],
        );
        let plugin = &data["plugins"]["nodes"][0];
        assert_eq!(plugin["isOwn"], true, "the newest is the tenant's own");
        add(Kind::Plugin, &plugin["id"]);
        own.file = format!("src/{word}0.py");
        own.rule = format!("{word}-0");
        "semgrep".clone_into(&mut own.tool);
        own.project_name = format!("{word} shop");
        own.cursors = cursors(&data);
        assert_eq!(
            own.ids.len(),
            16,
            "{word} has things of all kinds: {:#?}",
            own.ids
        );
        Self { word, client, own }
    }

    /// Questions to which the answers show everything that the tenant can reach by its own things.
    pub(super) fn questions(&self, schema: &Schema) -> Vec<(String, Value)> {
        let mut questions = Vec::new();
        for (of, way) in schema.reachable() {
            let mut rounds = 1;
            let mut round = 0;
            while round < rounds {
                let mut document = Document::new(schema, &self.own, round);
                let way: Vec<String> = way.iter().map(|step| document.call(step, &[])).collect();
                let selection = document.everything_of(&of);
                rounds = document.rounds;
                questions.push(document.finish("query", &way, &selection));
                round += 1;
            }
        }
        questions
    }

    /// All answers that show it, and what its subscriptions say first.
    pub(super) async fn everything(&self, schema: &Schema) -> Vec<Value> {
        let mut answers = Vec::new();
        for (document, variables) in self.questions(schema) {
            answers.push(self.client.data(&document, variables).await);
        }
        for field in &schema.get(&schema.subscription).fields {
            let step = Step {
                owner: schema.subscription.clone(),
                field: field.name.clone(),
            };
            answers.push(self.first_event(schema, &step).await);
        }
        answers
    }

    /// What a subscription to one's own things says first.
    async fn first_event(&self, schema: &Schema, step: &Step) -> Value {
        // what happened in a project is told again after a cursor, and one of the projects has it
        let after = schema.field(step).args.iter().find(|arg| arg.name == "after");
        let is_of_project = after.is_some_and(|arg| arg.of.name == "String");
        let projects = &self.own.ids[&Kind::Project];
        let rounds = if is_of_project { projects.len() } else { 1 };
        for (round, project) in projects.iter().take(rounds).enumerate() {
            let beginning = format!(r#"{{"v":1,"o":"project-events","k":["{}",0]}}"#, bare(project));
            let cursor = BASE64_URL_SAFE_NO_PAD.encode(beginning);
            let instead = [("after", cursor.as_str())];
            let mut document = Document::new(schema, &self.own, round);
            let call = document.call(step, if is_of_project { &instead } else { &[] });
            let selection = document.everything_of(&schema.field(step).of.name);
            let (document, variables) = document.finish("subscription", &[call], &selection);
            let mut stream =
                crate::harness::stream::EventStream::open(&self.client, &document, variables).await;
            match tokio::time::timeout(MOMENT, stream.next()).await {
                Ok(crate::harness::Said::Next(payload)) => return payload,
                Ok(other) => panic!("{document} says {other:?}"),
                Err(_) => {}
            }
        }
        panic!("{} says nothing", step.field)
    }
}

/// Where pages end.
fn cursors(data: &Value) -> Vec<String> {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut cursors = [
        "projects",
        "tasks",
        "worst",
        "byFile",
        "newest",
        "plugins",
        "taskGroups",
        "schedules",
    ]
    .map(|list| text(&data[list]["pageInfo"]["endCursor"]))
    .to_vec();
    let tasks = rows(&data["tasks"]["nodes"]);
    let mut findings = tasks.iter().flat_map(|task| rows(&task["findings"]["nodes"]));
    let again = findings.find_map(|finding| {
        let cursor = &finding["occurrences"]["pageInfo"]["endCursor"];
        cursor.as_str().map(str::to_owned)
    });
    cursors.push(again.expect("something comes again"));
    cursors.extend(alert_cursors(data));
    cursors.push(text(
        &data["webhookEndpoints"][0]["deliveries"]["pageInfo"]["endCursor"],
    ));
    cursors
}

/// Where pages about alerts end.
fn alert_cursors(data: &Value) -> Vec<String> {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let findings = rows(&data["tasks"]["nodes"]).into_iter();
    let alerts = findings.flat_map(|task| rows(&task["findings"]["nodes"]));
    let of_alerts = alerts.map(|finding| finding["alert"].clone());
    let connections = of_alerts.flat_map(|alert| [alert["occurrences"].clone(), alert["events"].clone()]);
    let projects = rows(&data["shop"]["nodes"]).into_iter();
    let pages = projects.flat_map(|project| [project["worst"].clone(), project["latest"].clone()]);
    let ends = connections.chain(pages);
    let ends = ends.filter_map(|page| page["pageInfo"]["endCursor"].as_str().map(str::to_owned));
    let ends: BTreeSet<String> = ends.collect();
    assert!(!ends.is_empty(), "there are alerts");
    ends.into_iter().collect()
}

/// The id of the tenant's only token.
fn token_id(app: &App, tenant: &str) -> String {
    let list = app.says(&["token", "list", "--tenant", tenant]);
    let line = list.lines().find(|line| line.contains("live")).expect("a token");
    line.split_whitespace().next().expect("an id").to_owned()
}

/// Ids, hashes and cursors in an answer.
fn gather(value: &Value, secrets: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_identity(bare(text)) => {
            secrets.insert(bare(text).to_owned());
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, secrets)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_cursor = ["cursor", "startCursor", "endCursor"].contains(&name.as_str());
                if let Some(cursor) = value.as_str().filter(|_| is_cursor) {
                    secrets.insert(cursor.to_owned());
                } else if !PLATFORMS.iter().any(|(platforms, _)| platforms == name) {
                    gather(value, secrets);
                }
            }
        }
        _ => {}
    }
}

/// A UUID or a SHA-256.
fn is_identity(text: &str) -> bool {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash || uuid::Uuid::try_parse(text).is_ok()
}

/// Names of the types in an answer.
pub(super) fn types_in(value: &Value, types: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| types_in(value, types)),
        Value::Object(fields) => {
            if let Some(name) = fields.get("__typename").and_then(Value::as_str) {
                types.insert(name.to_owned());
            }
            fields.values().for_each(|value| types_in(value, types));
        }
        _ => {}
    }
}
