//! The description of the routes, held against every answer that a test gets.

use std::collections::BTreeSet;
use std::sync::Mutex;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::harness::{Client, checkout};

/// Statuses that only a loaded, broken or silent peer brings about; other tests do.
const RARE: [&str; 4] = ["408", "429", "503", "507"];

/// `docs/openapi.json`, and what was seen of it.
pub(super) struct Described {
    document: Value,
    seen: Mutex<BTreeSet<(String, String)>>,
}

/// An answer that is as described.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Null where it is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// The code of a refusal.
    pub(super) fn code(&self) -> &str {
        let code = &self.body["errors"][0]["extensions"]["code"];
        code.as_str().unwrap_or_default()
    }
}

impl Described {
    pub(super) fn new() -> Self {
        let document = serde_json::from_slice(&checkout::read("docs/openapi.json")).expect("JSON");
        Self {
            document,
            seen: Mutex::default(),
        }
    }

    /// Every method of every address: `GET /tasks/{id}`.
    pub(super) fn operations(&self) -> Vec<String> {
        let paths = self.document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods
                .keys()
                .map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        });
        operations.collect()
    }

    pub(super) fn addresses(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().expect("paths");
        paths.keys().cloned().collect()
    }

    fn responses(&self, operation: &str) -> &Value {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let described = &self.document["paths"][path][method.to_ascii_lowercase()]["responses"];
        assert!(described.is_object(), "{operation} is not described");
        described
    }

    /// Sends a request of `operation`; the answer must be one of those that are described.
    pub(super) async fn ask(
        &self,
        client: &Client,
        operation: &str,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Answer {
        let (method, _) = operation.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        let request = fill(client.request(method, path));
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Answer {
            status,
            headers,
            body,
        };
        self.check(operation, &answer);
        answer
    }

    fn check(&self, operation: &str, answer: &Answer) {
        let status = answer.status.as_str().to_owned();
        let response = self.resolved(&self.responses(operation)[&status]);
        assert!(
            response.is_object(),
            "{operation} answers {status}, which is not described: {}",
            answer.body
        );
        let given = answer
            .headers
            .get(CONTENT_TYPE)
            .map(|value| value.to_str().unwrap());
        let essence = given.unwrap_or_default().split(';').next().unwrap_or_default();
        let content = &response["content"];
        assert!(
            content.is_null() || content[essence].is_object() || content["*/*"].is_object(),
            "{operation} {status} answers {essence}"
        );
        let schema = &content[essence]["schema"];
        if essence == "application/json" && schema.is_object() {
            let mut problems = Vec::new();
            self.differ(schema, &answer.body, "", &mut problems);
            assert_eq!(
                problems,
                Vec::<String>::new(),
                "{operation} {status}: {:#}",
                answer.body
            );
        }
        let seen = (operation.to_owned(), status);
        self.seen.lock().unwrap().insert(seen);
    }

    /// What is described and was not seen.
    pub(super) fn unseen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let mut unseen = Vec::new();
        for operation in self.operations() {
            for status in self.responses(&operation).as_object().unwrap().keys() {
                let pair = (operation.clone(), status.clone());
                if !RARE.contains(&status.as_str()) && !seen.contains(&pair) {
                    unseen.push(format!("{operation} {status}"));
                }
            }
        }
        unseen
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else {
            return value;
        };
        let found = self.document.pointer(reference.trim_start_matches('#'));
        found.unwrap_or_else(|| panic!("{reference} is nowhere"))
    }

    /// Where `value` is not as `schema` has it: types, names, words and what must be there.
    fn differ(&self, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if let Some(options) = schema["oneOf"].as_array() {
            let fits = |option: &&Value| {
                let mut problems = Vec::new();
                self.differ(option, value, at, &mut problems);
                problems.is_empty()
            };
            if options.iter().filter(fits).count() != 1 {
                problems.push(format!("{at} fits not one of what it may be: {value}"));
            }
            return;
        }
        if !is_of_type(&schema["type"], value) {
            problems.push(format!("{at} is {value}, not {}", schema["type"]));
            return;
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            problems.push(format!("{at} is {value}, which is none of {words:?}"));
        }
        if let Some(items) = value.as_array() {
            for item in items {
                self.differ(&schema["items"], item, &format!("{at}[]"), problems);
            }
        }
        let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
            return;
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                problems.push(format!("{at} has no {name}"));
            }
        }
        for (name, value) in fields {
            match properties.get(name) {
                Some(schema) => self.differ(schema, value, &format!("{at}/{name}"), problems),
                None if schema["additionalProperties"] == false => problems.push(format!("{at} has {name}")),
                None => {}
            }
        }
    }
}

fn is_of_type(described: &Value, value: &Value) -> bool {
    let is = |word: &Value| match word.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    match described {
        Value::Array(words) => words.iter().any(is),
        word => is(word),
    }
}
