//! A client of the public API with one token: GraphQL, uploads, artifacts.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::stream::{EventStream, Socket};
use super::wait::{PATIENCE, until};

/// A request that takes longer is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Rows of one page, the most that the server gives.
const PAGE_ROWS: usize = 100;

/// What tests look at in a task.
const TASK: &str = "query($id: ID!) { task(id: $id) {
    id status phase attempt retries lastEventSeq isImport error { code message }
    scanResult {
      findings occurrences records skipped completeness formats byRule byFile
      bySeverity { info low medium high critical } diagnostics { level code message }
    }
    findings(first: 1) { totalCount isTotalCountExact }
    artifacts { id kind name mediaType sizeBytes sha256 path }
    toolExecutions { tool toolVersion exitCode endedBy attempt args startedAt finishedAt metrics
      stdout { id sizeBytes } stderr { id sizeBytes } } } }";

const FINDINGS: &str = "query($id: ID!, $first: Int!, $after: String, $order: FindingOrderField) {
  task(id: $id) { findings(first: $first, after: $after, orderBy: { field: $order }) {
    nodes { id severity ruleId title message file line tool fingerprint }
    pageInfo { hasNextPage endCursor } totalCount } } }";

/// Everything that `taskEvents` tells.
pub(crate) const EVENTS: &str = "subscription($task: ID!, $after: Int) {
  taskEvents(taskId: $task, after: $after) { seq status phase message done total createdAt } }";

/// States from which nothing happens by itself.
const FINAL: [&str; 5] = ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "DEAD_LETTER"];

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: String,
    token: String,
}

impl Client {
    pub(crate) fn new(address: &str, token: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self {
            http,
            address: address.to_owned(),
            token: token.to_owned(),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A request with the token; nothing of it is checked.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.address))
            .timeout(ANSWER_TIMEOUT);
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let answer = self
            .request(Method::GET, "/readyz")
            .timeout(Duration::from_secs(5))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }

    /// The whole answer to a GraphQL document, errors and all.
    pub(crate) async fn answer(&self, document: &str, variables: Value) -> Value {
        let body = json!({ "query": document, "variables": variables });
        let answer = self
            .request(Method::POST, "/graphql")
            .json(&body)
            .send()
            .await
            .expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// The data of a GraphQL answer that must have no errors.
    pub(crate) async fn data(&self, document: &str, variables: Value) -> Value {
        let mut answer = self.answer(document, variables).await;
        assert!(answer.get("errors").is_none(), "{document}: {answer:#}");
        answer["data"].take()
    }

    /// A mutation `name(input)`: the payload, refusals and all.
    pub(crate) async fn mutate(&self, name: &str, input: Value) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let made = if name == "createProject" {
            "project { id name }"
        } else {
            "task { id status } "
        };
        self.mutate_for(name, &kind, input, made).await
    }

    /// The same of any mutation: with the type of its input, and what is selected of the payload.
    pub(crate) async fn mutate_for(&self, name: &str, kind: &str, input: Value, selection: &str) -> Value {
        let document = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ {selection} errors {{ code message path }} }} }}"
        );
        self.data(&document, json!({ "input": input })).await[name].take()
    }

    /// The id of what a mutation made or changed.
    async fn made(&self, name: &str, what: &str, input: Value) -> String {
        let payload = self.mutate(name, input).await;
        assert_eq!(payload["errors"], json!([]), "{name}");
        text(&payload[what]["id"])
    }

    pub(crate) async fn project(&self, name: &str) -> String {
        self.made("createProject", "project", json!({ "name": name }))
            .await
    }

    /// Sends bytes; the answer is not looked at.
    pub(crate) async fn send(&self, project: &str, name: &str, bytes: impl Into<reqwest::Body>) -> Response {
        let query = [("project", project), ("fileName", name)];
        let request = self
            .request(Method::POST, "/v1/uploads")
            .query(&query)
            .body(bytes);
        request.send().await.expect("an answer")
    }

    /// Sends bytes; answers the upload's id.
    pub(crate) async fn upload(&self, project: &str, name: &str, bytes: Vec<u8>) -> String {
        let sha256 = sha256(&bytes);
        let size = bytes.len();
        let answer = self.send(project, name, bytes).await;
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(status, StatusCode::CREATED, "{body}");
        assert_eq!((&body["size"], &body["sha256"]), (&json!(size), &json!(sha256)));
        text(&body["id"])
    }

    /// Uploads an archive and asks for its scan; answers the task's id.
    pub(crate) async fn scan(&self, project: &str, name: &str, archive: Vec<u8>) -> String {
        let upload = self.upload(project, name, archive).await;
        self.made("startScan", "task", order(project, &upload)).await
    }

    /// Uploads a report and asks for its import; answers the task's id.
    pub(crate) async fn import(&self, project: &str, name: &str, report: Vec<u8>) -> String {
        self.import_with(project, name, report, json!({})).await
    }

    pub(crate) async fn import_with(
        &self,
        project: &str,
        name: &str,
        report: Vec<u8>,
        options: Value,
    ) -> String {
        let upload = self.upload(project, name, report).await;
        let mut input = order(project, &upload);
        input["options"] = options;
        self.made("importReport", "task", input).await
    }

    pub(crate) async fn task(&self, id: &str) -> Value {
        self.data(TASK, json!({ "id": id })).await["task"].take()
    }

    /// Waits for the task's end; answers the task.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until("the end of a task", PATIENCE, async || {
            let task = self.task(id).await;
            FINAL.contains(&task["status"].as_str()?).then_some(task)
        })
        .await
    }

    /// Waits for an end that must be this one.
    pub(crate) async fn ends_as(&self, id: &str, status: &str) -> Value {
        let task = self.ended(id).await;
        assert_eq!(task["status"], status, "{task:#}");
        task
    }

    /// Waits until the task is in a state, such as `RUNNING`.
    pub(crate) async fn reaches(&self, id: &str, status: &str) {
        until(status, PATIENCE, async || {
            (self.task(id).await["status"] == status).then_some(())
        })
        .await;
    }

    /// All findings of a task in one order; each must come once.
    pub(crate) async fn findings_by(&self, task: &str, order: &str) -> Vec<Value> {
        let (mut findings, mut after, mut seen) = (Vec::new(), Value::Null, HashSet::new());
        loop {
            let variables = json!({ "id": task, "first": PAGE_ROWS, "after": after, "order": order });
            let mut data = self.data(FINDINGS, variables).await;
            let mut page = data["task"]["findings"].take();
            let rows = page["nodes"].as_array_mut().expect("rows").split_off(0);
            for row in &rows {
                assert!(
                    seen.insert(text(&row["id"])),
                    "{order}: a finding comes twice: {row}"
                );
            }
            findings.extend(rows);
            if page["pageInfo"]["hasNextPage"] == false {
                assert_eq!(page["totalCount"], findings.len(), "{order}");
                return findings;
            }
            after = page["pageInfo"]["endCursor"].take();
        }
    }

    pub(crate) async fn findings(&self, task: &str) -> Vec<Value> {
        self.findings_by(task, "SEVERITY").await
    }

    /// Rule, file and line of all findings of a task, sorted.
    pub(crate) async fn places(&self, task: &str) -> Vec<String> {
        let place = |finding: &Value| {
            format!(
                "{}\t{}\t{}",
                text(&finding["ruleId"]),
                text(&finding["file"]),
                finding["line"]
            )
        };
        let mut places: Vec<String> = self.findings(task).await.iter().map(place).collect();
        places.sort();
        places
    }

    /// The bytes of an artifact.
    pub(crate) async fn bytes(&self, artifact: &str) -> Vec<u8> {
        let path = format!("/v1/artifacts/{artifact}");
        let answer = self.request(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.expect("bytes").to_vec()
    }

    /// Follows a task's events as server-sent events.
    pub(crate) async fn events(&self, task: &str, after: i64) -> EventStream {
        EventStream::open(self, EVENTS, json!({ "task": task, "after": after })).await
    }

    /// All events of a task that has ended or will.
    pub(crate) async fn all_events(&self, task: &str) -> Vec<Value> {
        self.events(task, 0).await.rest().await
    }

    /// A websocket that has said hello.
    pub(crate) async fn socket(&self) -> Socket {
        Socket::open(self).await
    }
}

/// The input of `startScan` and `importReport`.
pub(crate) fn order(project: &str, upload: &str) -> Value {
    json!({ "projectId": project, "uploadId": upload, "scanType": "codeaudit" })
}

/// A string of an answer.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no string"))
        .to_owned()
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}
