//! What converters put into `extra` and SARIF has fields for: each is taken out of what is left, if it is written as
//! converters write it.

use serde_json::{Map, Value, json};

use super::places::step;
use crate::alert::{AlertState, Dismissal};
use crate::export::vex::note;
use crate::export::{Exported, set};

/// What is left of a finding's `extra`.
pub(super) type Rest = Map<String, Value>;

/// GitHub refuses a file with a result of more steps.
const STEPS_MAX: usize = 10_000;

/// A list's items, if all of them can be said; then it is taken.
fn taken(rest: &mut Rest, key: &str, say: impl Fn(&Value) -> Option<Value>) -> Vec<Value> {
    let items = rest.get(key).and_then(Value::as_array);
    let said: Option<Vec<Value>> = items.and_then(|items| items.iter().map(say).collect());
    match said {
        Some(said) if said.len() <= STEPS_MAX => {
            rest.remove(key);
            said
        }
        _ => Vec::new(),
    }
}

/// One flow of one thread.
pub(super) fn code_flows(rest: &mut Rest) -> Vec<Value> {
    let steps = taken(rest, "code-flow", |item| Some(json!({ "location": step(item)? })));
    if steps.is_empty() {
        return steps;
    }
    vec![json!({ "threadFlows": [{ "locations": steps }] })]
}

/// What explains a result.
pub(super) fn related(rest: &mut Rest) -> Vec<Value> {
    let mut related: Vec<Value> = Vec::new();
    for location in taken(rest, "related", step) {
        if !related.contains(&location) {
            related.push(location);
        }
    }
    related
}

/// Names of what is no file.
pub(super) fn logical_places(rest: &mut Rest) -> Vec<Value> {
    let first = rest.remove("logical-location");
    let mut names = taken(rest, "logical-locations", |name| name.as_str().map(Value::from));
    if names.is_empty() {
        names.extend(first);
    }
    let say = |name: Value| json!({ "fullyQualifiedName": name });
    names.into_iter().filter(Value::is_string).map(say).collect()
}

/// How often it was there, from 1.
pub(super) fn occurrence_count(rest: &mut Rest) -> Value {
    const KEY: &str = "occurrence-count";
    if rest
        .get(KEY)
        .and_then(Value::as_u64)
        .is_some_and(|count| count > 0)
    {
        rest.remove(KEY).unwrap_or_default()
    } else {
        Value::Null
    }
}

/// From 0 to 100.
pub(super) fn rank(rest: &mut Rest) -> Value {
    let is_rank = |rank: f64| (0.0..=100.0).contains(&rank);
    if rest.get("rank").and_then(Value::as_f64).is_some_and(is_rank) {
        rest.remove("rank").unwrap_or_default()
    } else {
        Value::Null
    }
}

/// What the tool's report says silences the result, what it says does not, and the alert's dismissal.
pub(super) fn suppressions(alert: &Exported, rest: &mut Rest) -> Vec<Value> {
    let mut all = taken(rest, "suppressions", suppression);
    all.extend(taken(rest, "suppressions-not-accepted", suppression));
    if alert.state == AlertState::Dismissed {
        all.push(dismissed(alert.dismissal.as_ref()));
    }
    // SARIF's list is a set
    let mut unique: Vec<Value> = Vec::new();
    for suppression in all {
        if !unique.contains(&suppression) {
            unique.push(suppression);
        }
    }
    unique
}

fn suppression(item: &Value) -> Option<Value> {
    let item = item.as_object()?;
    let known = ["kind", "status", "justification"];
    if !item.keys().all(|key| known.contains(&key.as_str())) {
        return None;
    }
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    let mut suppression = if matches!(kind, "inSource" | "external") {
        json!({ "kind": kind })
    } else {
        // the standard knows two kinds; one of a tool's own is mostly a comment
        json!({ "kind": "inSource", "properties": { "tamiz": { "kind": kind } } })
    };
    match text("status") {
        "" => suppression["status"] = json!("accepted"),
        status @ ("underReview" | "rejected") => suppression["status"] = json!(status),
        _ => return None,
    }
    set(&mut suppression, "justification", text("justification"));
    Some(suppression)
}

fn dismissed(dismissal: Option<&Dismissal>) -> Value {
    let mut suppression = json!({ "kind": "external", "status": "accepted" });
    if let Some(dismissal) = dismissal {
        set(&mut suppression, "justification", note(dismissal));
        suppression["properties"] = json!({ "tamiz": { "dismissal": dismissal } });
    }
    suppression
}
