//! Whether an answer is one: no fault, no byte of the other tenant, the shape that the specification and
//! `docs/errors.md` say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::filling::bare;
use super::asker::Asker;
use super::request::{Made, Way};
use crate::harness::checkout;

/// How long what a stream says is listened to.
const LISTENED: Duration = Duration::from_millis(200);
/// Code of a fault of ours.
const FAULT: &str = "INTERNAL";

/// What is thought of an answer.
pub(super) struct Verdict {
    /// Of each answer: how it went, by status and code.
    pub(super) outcomes: Vec<String>,
    /// There is data that is not null.
    pub(super) is_answered: bool,
    pub(super) took: Duration,
    pub(super) failure: Option<String>,
}

/// Every code that the documentation knows.
pub(super) fn codes() -> BTreeSet<String> {
    let path = checkout::checkout().join("docs/errors.md");
    let text = std::fs::read_to_string(path).expect("the documentation of errors");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// Sends what was made, and judges what comes back.
pub(super) async fn of(asker: &Asker<'_>, made: &Made, known: &BTreeSet<String>) -> Verdict {
    let began = Instant::now();
    let answer = send(asker, made).await;
    let took = began.elapsed();
    let mut verdict = Verdict {
        outcomes: Vec::new(),
        is_answered: false,
        took,
        failure: None,
    };
    let (status, said) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            verdict.failure = Some(format!("no answer: {error}"));
            return verdict;
        }
    };
    let judged = judge(asker, made, known, status, &said, &mut verdict);
    verdict.failure = judged.err().map(|why| format!("{why}: {status} {said}"));
    verdict
}

async fn send(asker: &Asker<'_>, made: &Made) -> reqwest::Result<(u16, String)> {
    let client = &asker.client;
    let mut request = match made.way {
        Way::Post => client.request(Method::POST, "/graphql").json(&made.body),
        Way::Batch => {
            let twice = json!([made.body, made.body]);
            client.request(Method::POST, "/graphql").json(&twice)
        }
        Way::Stream => {
            let request = client.request(Method::POST, "/graphql").json(&made.body);
            request.header(ACCEPT, "text/event-stream")
        }
        Way::Get => {
            let fields = made.body.as_object().into_iter().flatten();
            let query = fields.map(|(name, value)| match value {
                Value::String(text) => (name.clone(), text.clone()),
                other => (name.clone(), other.to_string()),
            });
            let query: Vec<_> = query.collect();
            let request = client.request(Method::GET, "/graphql").query(&query);
            request.header("x-requested-with", "made-up")
        }
    };
    if let Some(key) = &made.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    let mut answer = request.send().await?;
    let status = answer.status().as_u16();
    let mut said = Vec::new();
    if made.way == Way::Stream {
        let listen = async {
            while let Some(chunk) = answer.chunk().await? {
                said.extend_from_slice(&chunk);
            }
            Ok(())
        };
        if let Ok(Err(error)) = timeout(LISTENED, listen).await {
            return Err(error);
        }
    } else {
        said = answer.bytes().await?.to_vec();
    }
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

fn judge(
    asker: &Asker<'_>,
    made: &Made,
    known: &BTreeSet<String>,
    status: u16,
    said: &str,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let leaks = leaks(asker, said, &made.sent);
    if !leaks.is_empty() {
        return Err(format!("tells {leaks:?}"));
    }
    if status >= 500 {
        return Err("a fault".to_owned());
    }
    for payload in payloads(made.way, status, said)? {
        let (outcome, data) = shape(&payload, known)?;
        verdict.outcomes.push(format!("{status} {outcome}"));
        verdict.is_answered |= has_something(data);
        // what is there is told by nothing but its own tenant's questions, whatever was sent
        let told = data.to_string();
        let echoed: &[String] = if made.is_mutation { &made.sent } else { &[] };
        let leaks = self::leaks(asker, &told, echoed);
        if !leaks.is_empty() {
            return Err(format!("shows {leaks:?}"));
        }
    }
    Ok(())
}

/// What of the other tenant stands in `said` and was not sent.
fn leaks<'a>(asker: &'a Asker<'_>, said: &str, sent: &[String]) -> Vec<&'a String> {
    let mut sent: Vec<&String> = sent.iter().collect();
    sent.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let rest = sent
        .into_iter()
        .fold(said.to_owned(), |rest, known| rest.replace(bare(known), "*"));
    let secrets = asker.secrets.iter();
    secrets.filter(|secret| rest.contains(secret.as_str())).collect()
}

/// The results in an answer: one, two of a batch, or those of a stream.
fn payloads(way: Way, status: u16, said: &str) -> Result<Vec<Value>, String> {
    if way == Way::Stream && status == 200 {
        let lines = said.lines().filter_map(|line| line.strip_prefix("data:"));
        let events = lines.map(str::trim).filter(|data| !data.is_empty());
        let parsed = events.map(|data| serde_json::from_str(data).map_err(|error| error.to_string()));
        return parsed.collect();
    }
    let value: Value = serde_json::from_str(said).map_err(|error| format!("no JSON ({error})"))?;
    Ok(match value {
        Value::Array(values) => values,
        value => vec![value],
    })
}

/// Checks a result as the specification has it; answers its first code and its data.
fn shape<'a>(payload: &'a Value, known: &BTreeSet<String>) -> Result<(String, &'a Value), String> {
    let fields = payload.as_object().ok_or("no object")?;
    let odd = fields
        .keys()
        .find(|name| !["data", "errors", "extensions"].contains(&name.as_str()));
    if let Some(odd) = odd {
        return Err(format!("has a field `{odd}`"));
    }
    let data = &payload["data"];
    if !(data.is_null() || data.is_object()) {
        return Err("data is no object".to_owned());
    }
    check_refusals(data, known)?;
    let Some(errors) = fields.get("errors") else {
        if data.is_null() {
            return Err("neither data nor errors".to_owned());
        }
        return Ok(("data".to_owned(), data));
    };
    let errors = errors.as_array().filter(|errors| !errors.is_empty());
    let errors = errors.ok_or("errors are an empty list or none")?;
    let mut first = None;
    for error in errors {
        let message = error["message"].as_str().unwrap_or_default();
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        if message.is_empty() || !error["extensions"]["requestId"].is_string() {
            return Err("an error without message or request".to_owned());
        }
        check_code(code, known)?;
        first.get_or_insert_with(|| code.to_owned());
    }
    let partly = if has_something(data) { "data and " } else { "" };
    Ok((format!("{partly}{}", first.unwrap_or_default()), data))
}

fn check_code(code: &str, known: &BTreeSet<String>) -> Result<(), String> {
    if code == FAULT {
        return Err("a fault of ours".to_owned());
    }
    if known.contains(code) {
        Ok(())
    } else {
        Err(format!("the code `{code}` is not in docs/errors.md"))
    }
}

/// The refusals in payloads of mutations.
fn check_refusals(data: &Value, known: &BTreeSet<String>) -> Result<(), String> {
    let payloads = data.as_object().into_iter().flatten();
    for (_, payload) in payloads {
        for refusal in payload["errors"].as_array().into_iter().flatten() {
            if let Some(code) = refusal["code"].as_str() {
                check_code(code, known)?;
            }
        }
    }
    Ok(())
}

fn has_something(data: &Value) -> bool {
    let fields = data.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| *name != "__typename")
        .any(|(_, value)| !value.is_null())
}
