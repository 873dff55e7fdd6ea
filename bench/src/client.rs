//! The front door, as a client sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::Outcome;

/// Longest a request may take: an upload of the largest report.
const REQUEST_SECONDS_MAX: u64 = 120;
/// Between two looks at a task.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at a server that starts.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// One tenant's client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// A task as the benches look at it.
#[derive(Debug, Clone)]
pub(crate) struct TaskView {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) findings: u64,
    pub(crate) error: Option<String>,
}

impl Client {
    pub(crate) fn new(port: u16, token: String) -> Outcome<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(REQUEST_SECONDS_MAX))
            .build()?;
        Ok(Self {
            http,
            base: format!("http://127.0.0.1:{port}"),
            token,
        })
    }

    /// What it shows to the server.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.base)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Waits until the server is ready, but not for ever.
    pub(crate) async fn becomes_ready(&self, seconds_max: u64) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(seconds_max);
        while !self.is_ready().await {
            if Instant::now() > deadline {
                return Err(format!("the server was not ready within {seconds_max} s").into());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        Ok(())
    }

    /// The `data` of an answer without errors.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Outcome<Value> {
        let answer = self
            .http
            .post(format!("{}/graphql", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await?;
        let mut body: Value = answer.json().await?;
        if let Some(errors) = body.get("errors").filter(|errors| !errors.is_null()) {
            return Err(format!("GraphQL: {errors}").into());
        }
        Ok(body["data"].take())
    }

    pub(crate) async fn create_project(&self, name: &str) -> Outcome<String> {
        let data = self
            .graphql(
                "mutation($name:String!){createProject(input:{name:$name}){project{id} errors{message}}}",
                json!({ "name": name }),
            )
            .await?;
        text(&data["createProject"]["project"]["id"])
    }

    pub(crate) async fn upload(&self, project: &str, name: &str, bytes: Vec<u8>) -> Outcome<String> {
        let answer = self
            .http
            .post(format!(
                "{}/v1/uploads?project={project}&fileName={name}",
                self.base
            ))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(bytes)
            .send()
            .await?;
        let body: Value = answer.json().await?;
        text(&body["id"]).map_err(|_| format!("upload: {body}").into())
    }

    /// Asks for a task: `startScan` of a tree or `importReport`.
    pub(crate) async fn start(&self, verb: &str, project: &str, upload: &str) -> Outcome<String> {
        let input = if verb == "startScan" {
            "StartScanInput"
        } else {
            "ImportReportInput"
        };
        let query =
            format!("mutation($input:{input}!){{{verb}(input:$input){{task{{id}} errors{{code message}}}}}}");
        let input = json!({ "projectId": project, "scanType": "codeaudit", "uploadId": upload });
        let data = self.graphql(&query, json!({ "input": input })).await?;
        text(&data[verb]["task"]["id"]).map_err(|_| format!("{verb}: {data}").into())
    }

    pub(crate) async fn task(&self, id: &str) -> Outcome<TaskView> {
        let data = self
            .graphql(
                "query($id:ID!){task(id:$id){id status error{code message} scanResult{findings}
                 findings(first:1){totalCount isTotalCountExact}}}",
                json!({ "id": id }),
            )
            .await?;
        let task = &data["task"];
        let stored = &task["findings"];
        let findings = if stored["isTotalCountExact"] == true {
            &stored["totalCount"]
        } else {
            &task["scanResult"]["findings"]
        };
        Ok(TaskView {
            id: text(&task["id"])?,
            status: text(&task["status"])?,
            findings: findings.as_u64().unwrap_or(0),
            error: task["error"]["message"].as_str().map(str::to_owned),
        })
    }

    /// Waits for the task's end.
    pub(crate) async fn wait(&self, id: &str, patience: Duration) -> Outcome<TaskView> {
        self.wait_with(id, patience, LOOK_PAUSE).await
    }

    /// [`Self::wait`], with so long a pause between two looks.
    pub(crate) async fn wait_with(&self, id: &str, patience: Duration, pause: Duration) -> Outcome<TaskView> {
        let deadline = Instant::now() + patience;
        loop {
            let data = self
                .graphql("query($id:ID!){task(id:$id){status}}", json!({ "id": id }))
                .await?;
            let status = text(&data["task"]["status"])?;
            if !matches!(status.as_str(), "QUEUED" | "RUNNING" | "RETRYING") {
                return self.task(id).await;
            }
            if Instant::now() > deadline {
                return Err(format!("task {id} is still {status}").into());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The tool's own seconds, all its runs together.
    pub(crate) async fn tool_seconds(&self, task: &str) -> Outcome<f64> {
        let data = self
            .graphql(
                "query($id:ID!){task(id:$id){toolExecutions{durationMs}}}",
                json!({ "id": task }),
            )
            .await?;
        let runs = data["task"]["toolExecutions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(runs
            .iter()
            .filter_map(|run| run["durationMs"].as_f64())
            .sum::<f64>()
            / 1000.0)
    }

    /// Seconds spent per phase of all attempts so far, from `/metrics`.
    pub(crate) async fn phase_seconds(&self) -> Outcome<BTreeMap<String, f64>> {
        let text = self
            .http
            .get(format!("{}/metrics", self.base))
            .send()
            .await?
            .text()
            .await?;
        let sums = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("tamiz_attempt_phase_seconds_sum{phase=\"")?;
            let (phase, value) = rest.split_once("\"} ")?;
            Some((phase.to_owned(), value.parse().ok()?))
        });
        Ok(sums.collect())
    }
}

fn text(value: &Value) -> Outcome<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("no text: {value}").into())
}
