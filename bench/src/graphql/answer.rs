//! What an answer says, so that answers of different shape can be compared: who puts what a finding says into an object
//! of its own says the same as who does not.

use serde_json::Value;

use crate::Outcome;

/// All values in their order, each with the name that it has, whatever object it stands in. Kinds of words that differ
/// (upper case, numbers as texts, severities as ranks, times to the microsecond) are made alike.
pub(super) fn said(answer: &str) -> Outcome<Vec<String>> {
    let answer: Value = serde_json::from_str(answer)?;
    if let Some(errors) = answer.get("errors").filter(|errors| !errors.is_null()) {
        return Err(format!("an answer has errors: {errors}").into());
    }
    let mut values = Vec::new();
    walk("", &answer["data"], &mut values);
    if values.is_empty() {
        return Err("an answer says nothing".into());
    }
    Ok(values)
}

fn walk(name: &str, value: &Value, values: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            // in one order, whatever the answer's is
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, value)| (value.is_object(), rank(name), *name));
            for (name, value) in fields {
                walk(name, value, values);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, values)),
        Value::String(text) => values.push(format!("{name} {}", plain(name, text))),
        other => values.push(format!("{name} {}", plain(name, &other.to_string()))),
    }
}

/// What a finding says comes last, be it among its own fields or apart.
fn rank(name: &str) -> u8 {
    u8::from(matches!(name, "ruleId" | "title" | "file" | "line"))
}

fn plain(name: &str, text: &str) -> String {
    match name {
        "severity" => match text {
            "INFO" => "0",
            "LOW" => "1",
            "MEDIUM" => "2",
            "HIGH" => "3",
            "CRITICAL" => "4",
            rank => rank,
        }
        .to_owned(),
        // an id of Tamiz names its type before its UUID
        "id" => text.rsplit_once('_').map_or(text, |(_, uuid)| uuid).to_owned(),
        "status" => text.to_uppercase(),
        // all are of whole hours in UTC here
        "createdAt" | "finishedAt" => text.get(..19).unwrap_or(text).to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_different_shape_that_say_the_same_are_alike() {
        let flat = r#"{"data":{"nodes":[{"id":"a","severity":"HIGH","title":"t","line":3}]}}"#;
        let apart = r#"{"data":{"nodes":[{"severity":3,"content":{"line":3,"title":"t"},"id":"a"}]}}"#;
        assert_eq!(said(flat).unwrap(), said(apart).unwrap());
    }

    #[test]
    fn a_missing_row_another_count_and_an_error_are_told() {
        let whole = r#"{"data":{"nodes":[{"id":"a","high":3},{"id":"b","high":1}]}}"#;
        let without = r#"{"data":{"nodes":[{"id":"a","high":3}]}}"#;
        let other = r#"{"data":{"nodes":[{"id":"a","high":3},{"id":"b","high":2}]}}"#;
        assert_ne!(said(whole).unwrap(), said(without).unwrap());
        assert_ne!(said(whole).unwrap(), said(other).unwrap());
        assert!(said(r#"{"data":null,"errors":[{"message":"no"}]}"#).is_err());
        assert!(said(r#"{"data":{}}"#).is_err());
    }
}
