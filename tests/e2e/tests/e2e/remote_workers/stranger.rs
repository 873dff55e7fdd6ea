//! Somebody who speaks the workers' protocol by hand.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::wait::SOON;
use crate::harness::{App, sha256, text, until};

/// Of the protocol that these tests speak.
const PROTOCOL: &str = "1";

/// Somebody who speaks the protocol.
pub(super) struct Stranger {
    pub(super) http: reqwest::Client,
    pub(super) root: String,
    pub(super) token: String,
    pub(super) worker: String,
}

impl Stranger {
    pub(super) fn new(app: &App, token: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            root: format!("{}/worker/v1", app.address()),
            token: token.to_owned(),
            worker: uuid::Uuid::now_v7().to_string(),
        }
    }

    /// A worker that is registered and ready.
    pub(super) async fn registered(app: &App, flags: &[&str]) -> Self {
        let mut args = vec!["worker", "token", "create", "--name", "a-stranger"];
        args.extend(flags);
        let stranger = Self::new(app, &app.says(&args));
        let badge = json!({"name": "s", "host": "h", "process_id": 1, "version": "0", "slots": 4});
        stranger.asks("register", &badge).await;
        stranger.asks("ready", &json!({ "capabilities": {} })).await;
        stranger
    }

    pub(super) fn request(&self, method: Method, path: &str, bearer: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}/{path}", self.root))
            .header("tamiz-worker-protocol", PROTOCOL)
            .header("tamiz-worker", &self.worker)
            .bearer_auth(bearer)
    }

    /// Asks with the token.
    pub(super) async fn asks(&self, path: &str, question: &Value) -> Value {
        let request = self.request(Method::POST, path, &self.token).json(question);
        good(request.send().await.unwrap()).await
    }

    /// Claims until there is something.
    pub(super) async fn claims(&self) -> Vec<Given> {
        let room = json!({"scan_types": [], "tools": [], "worlds": ["0.1", "1.0"], "slots": 4});
        until("a ticket", SOON, async || {
            let leases = self.asks("claim", &room).await["leases"].take();
            let leases: Vec<Given> = leases.as_array().unwrap().iter().map(Given::of).collect();
            (!leases.is_empty()).then_some(leases)
        })
        .await
    }

    pub(super) async fn post(&self, path: &str, credential: &str, body: &Value) -> Response {
        let request = self.request(Method::POST, path, credential).json(body);
        request.send().await.unwrap()
    }

    pub(super) async fn get(&self, path: &str, credential: &str) -> Response {
        self.request(Method::GET, path, credential).send().await.unwrap()
    }

    pub(super) async fn put(&self, path: &str, credential: &str, body: Vec<u8>) -> Response {
        self.request(Method::PUT, path, credential)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub(super) async fn begins(&self, given: &Given) -> Value {
        good(self.post("begin", &given.credential, &json!({})).await).await
    }

    pub(super) async fn finishes(&self, given: &Given, hand_in: &Value, spool: &[u8]) -> Response {
        let mut body = format!("{hand_in}\n").into_bytes();
        body.extend_from_slice(spool);
        let request = self.request(Method::POST, "finish", &given.credential).body(body);
        request.send().await.unwrap()
    }
}

/// What a claim gave.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) claim: Value,
    pub(super) credential: String,
}

impl Given {
    pub(super) fn of(given: &Value) -> Self {
        Self {
            claim: given["claim"].clone(),
            credential: text(&given["credential"]),
        }
    }
}

pub(super) async fn good(answer: Response) -> Value {
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The code of a refusal with that status.
pub(super) async fn refused(answer: Response, status: StatusCode) -> String {
    let found = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(found, status, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    text(&body["errors"][0]["extensions"]["code"])
}

pub(super) fn ending(status: &str) -> Value {
    json!({"status": status, "refusal": null, "plugin_fault": null, "message": "said", "done": null,
           "pause": null, "counts": true})
}

pub(super) fn nothing(status: &str) -> Value {
    json!({"executions": [], "artifacts": [], "results": null, "ending": ending(status)})
}

/// The hash of an identity's parts, by the rule of version 2.
fn base(fields: &[&str]) -> String {
    let mut bytes = 2_i16.to_le_bytes().to_vec();
    for field in fields {
        bytes.extend((field.len() as u64).to_le_bytes());
        bytes.extend(field.as_bytes());
    }
    sha256(&bytes)
}

/// One finding as it lies in a spool, and the totals that fit it.
pub(super) fn one_finding() -> (Vec<u8>, Value) {
    let said = json!({
        "tool": "t", "rule_id": "r", "rule_name": null, "title": "a", "message": "m", "severity": "high",
        "severity_raw": null, "confidence": "low", "category": null, "locations": [], "cwe": [], "cve": [],
        "cvss_vector": null, "references": [], "tags": [], "remediation": null, "tool_fingerprint": null,
        "origin": null, "extra": {}
    });
    let none = "0".repeat(32);
    let mark = json!({
        "kind": "plain", "tool": "t", "severity": "high", "target": "", "content": &sha256(said.to_string().as_bytes())[..32],
        "base": base(&["plain", "t", "r", "", ""]), "place": none, "at": [0, 0], "tool_id": none, "lines": ""
    });
    let head = json!({ "finding": { "id": uuid::Uuid::now_v7(), "mark": mark, "cvss_score": 5.5 } });
    let spool = format!("{head}\t{said}\n").into_bytes();
    let summary = json!({
        "findings": 1, "occurrences": 0, "records": 1, "skipped": 0, "completeness": "complete", "formats": ["x"],
        "by_severity": {"high": 1}, "by_rule": {"r": 1}, "by_file": {}, "diagnostics": [], "diagnostics_dropped": 0
    });
    (spool, summary)
}

pub(super) fn with_findings(spool: &[u8], summary: &Value) -> Value {
    let results = json!({
        "summary": summary, "report_path": null, "session": null, "spool_bytes": spool.len(),
        "spool_sha256": sha256(spool),
    });
    json!({"executions": [], "artifacts": [], "results": results, "ending": ending("completed")})
}
