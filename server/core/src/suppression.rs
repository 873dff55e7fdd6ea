//! What a tool says of its own result: that a comment in the source, a baseline or somebody's list hides it.
//!
//! It is evidence on an alert and no state of it: who writes `nosem` into code decides nothing for those who manage the
//! alert. Converters keep it in a finding's `extra`.

use serde_json::{Map, Value};

use crate::limits::LIST_ITEMS_MAX;

/// In `extra`: an array of objects with `kind` and `justification`.
const ACCEPTED: &str = "suppressions";
/// In `extra`: the same, with the `status` of what nobody accepted.
const NOT_ACCEPTED: &str = "suppressions-not-accepted";
/// In `extra`: true, where a tool says no more than that.
const PLAIN: &str = "suppressed";

/// The keys of `extra` that speak of suppressions.
pub const KEYS: [&str; 3] = [ACCEPTED, NOT_ACCEPTED, PLAIN];

/// One reason for which a tool hides its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Such as `inSource` or `external`; empty where the tool does not say.
    pub kind: String,
    /// `accepted`, `underReview` or `rejected`.
    pub status: String,
    /// In words; empty where there are none.
    pub justification: String,
}

/// What a finding's `extra` says of suppressions, at most [`LIST_ITEMS_MAX`].
pub fn of(extra: &Map<String, Value>) -> Vec<Suppression> {
    let mut all: Vec<Suppression> = Vec::new();
    for (key, otherwise) in [(ACCEPTED, "accepted"), (NOT_ACCEPTED, "underReview")] {
        let items = extra.get(key).and_then(Value::as_array).into_iter().flatten();
        all.extend(items.filter_map(|item| read(item, otherwise)));
    }
    if all.is_empty() && extra.get(PLAIN).is_some_and(|said| *said == Value::Bool(true)) {
        all.push(Suppression {
            kind: String::new(),
            status: "accepted".to_owned(),
            justification: String::new(),
        });
    }
    all.truncate(LIST_ITEMS_MAX);
    all
}

fn read(item: &Value, otherwise: &str) -> Option<Suppression> {
    let item = item.as_object()?;
    let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = match text("status") {
        "" => otherwise,
        status => status,
    };
    Some(Suppression {
        kind: text("kind").to_owned(),
        status: status.to_owned(),
        justification: text("justification").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(extra: Value) -> Vec<[String; 3]> {
        let Value::Object(extra) = extra else {
            unreachable!("an object")
        };
        let each = of(&extra).into_iter();
        each.map(|one| [one.kind, one.status, one.justification])
            .collect()
    }

    #[test]
    fn each_suppression_has_its_kind_its_status_and_its_words() {
        let extra = json!({
            "suppressions": [{ "kind": "inSource", "justification": "nosem" }, { "kind": "external" }, "odd"],
            "suppressions-not-accepted": [{ "kind": "external", "status": "rejected", "justification": "no" }],
            "suppressed": true,
        });
        let expected = [
            ["inSource", "accepted", "nosem"],
            ["external", "accepted", ""],
            ["external", "rejected", "no"],
        ];
        assert_eq!(said(extra), expected.map(|one| one.map(str::to_owned)));
    }

    #[test]
    fn a_tool_may_say_no_more_than_that_it_is_suppressed() {
        let plain = [["", "accepted", ""].map(str::to_owned)];
        assert_eq!(said(json!({ "suppressed": true })), plain);
        for extra in [
            json!({}),
            json!({ "suppressed": false }),
            json!({ "suppressions": "x" }),
        ] {
            assert!(said(extra.clone()).is_empty(), "{extra}");
        }
    }

    #[test]
    fn they_are_bounded() {
        let many = vec![json!({ "kind": "inSource" }); LIST_ITEMS_MAX + 1];
        assert_eq!(said(json!({ "suppressions": many })).len(), LIST_ITEMS_MAX);
    }
}
