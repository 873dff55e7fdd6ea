//! A value as it is written in a document, and as a variable holds it.

use serde_json::{Map, Value};

/// What stands in an argument.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Plain(Value),
    /// Without quotes: of an enum.
    Word(String),
    List(Vec<Literal>),
    Object(Vec<(String, Literal)>),
}

impl Literal {
    pub(super) fn written(&self) -> String {
        match self {
            Self::Plain(value) => plain(value),
            Self::Word(word) => word.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::written).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.written()));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Word(word) => Value::String(word.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// JSON as GraphQL writes it: names without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", plain(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
