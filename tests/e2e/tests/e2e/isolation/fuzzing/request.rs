//! One made-up request: a document, its variables, and the way in which it is sent.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

use super::super::schema::Schema;
use super::asker::Asker;

/// Fields of one document, more or less.
const FIELDS_MAX: usize = 30;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Post,
    Get,
    /// Two of the same at once.
    Batch,
    /// With the answer as events.
    Stream,
}

/// What is sent, and what it says of the other tenant itself.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) way: Way,
    pub(super) body: Value,
    /// Of mutations: two tenants use the same few.
    pub(super) idempotency_key: Option<String>,
    pub(super) is_mutation: bool,
    pub(super) sent: Vec<String>,
}

/// Makes one request.
pub(super) struct Maker<'a> {
    pub(super) schema: &'a Schema,
    pub(super) asker: &'a Asker<'a>,
    pub(super) random: StdRng,
    pub(super) is_mutation: bool,
    /// Much is wrong with the document; else it should be one, whatever its values are.
    pub(super) is_wild: bool,
    /// The field at the root that is being made.
    pub(super) root_field: String,
    pub(super) fields_left: usize,
    pub(super) declared: Vec<String>,
    pub(super) variables: Map<String, Value>,
    pub(super) fragments: Vec<String>,
    pub(super) aliases: usize,
    pub(super) sent: Vec<String>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(schema: &'a Schema, asker: &'a Asker<'a>, random: StdRng) -> Self {
        Self {
            schema,
            asker,
            random,
            is_mutation: false,
            is_wild: false,
            root_field: String::new(),
            fields_left: FIELDS_MAX,
            declared: Vec::new(),
            variables: Map::new(),
            fragments: Vec::new(),
            aliases: 0,
            sent: Vec::new(),
        }
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }

    pub(super) fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }

    /// Of what makes a document none.
    pub(super) fn rarely(&mut self, count: u32) -> bool {
        self.is_wild && self.one_in(count)
    }

    /// The `number`th request: each field at the root has its turn.
    pub(super) fn request(mut self, number: u64) -> Made {
        let schema = self.schema;
        let (operation, root) = match self.below(100) {
            0..=79 => ("query", &schema.query),
            80..=95 => ("mutation", &schema.mutation),
            _ => ("subscription", &schema.subscription),
        };
        self.is_mutation = operation == "mutation";
        self.is_wild = self.one_in(4);
        let fields = schema.get(root).fields.len();
        // a number without a common divisor with few fields, so that turns and kinds do not go together
        let first = usize::try_from(number / 5).unwrap_or_default() % fields;
        let mut text = self.operation(operation, root, first);
        if self.rarely(5) {
            text = self.broken(text);
        }
        let way = match self.below(100) {
            _ if operation == "subscription" => Way::Stream,
            0..=3 if !self.is_mutation => Way::Get,
            4..=6 => Way::Batch,
            7 => Way::Stream,
            _ => Way::Post,
        };
        let variables = self.odd_variables();
        let mut body = json!({ "query": text, "variables": variables });
        match if self.is_wild { self.below(20) } else { 1 } {
            0 => body["operationName"] = json!("NoSuch"),
            1 => body["operationName"] = json!("Made"),
            2 => body["extensions"] = json!({ "persistedQuery": { "version": 1, "sha256Hash": "00" } }),
            3 => body["documentId"] = json!("x"),
            4 => body["extensions"] = json!([1]),
            _ => {}
        }
        let has_key = self.is_mutation && self.one_in(6);
        Made {
            way,
            body,
            idempotency_key: has_key.then(|| format!("key-{}", self.below(30))),
            is_mutation: self.is_mutation,
            sent: self.sent,
        }
    }

    /// Mostly the variables as they are.
    fn odd_variables(&mut self) -> Value {
        if self.rarely(15)
            && let Some(name) = self.variables.keys().next().cloned()
        {
            self.variables.remove(&name);
        }
        if self.one_in(60) {
            self.variables
                .insert("unasked".to_owned(), json!([1, { "a": null }]));
        }
        match if self.is_wild { self.below(30) } else { 3 } {
            0 => json!([]),
            1 => json!("{}"),
            2 => Value::Null,
            _ => Value::Object(std::mem::take(&mut self.variables)),
        }
    }

    /// The document with something wrong in it.
    fn broken(&mut self, text: String) -> String {
        let letters: Vec<char> = text.chars().collect();
        let at = self.below(letters.len());
        let (before, after) = (
            letters[..at].iter().collect::<String>(),
            letters[at..].iter().collect::<String>(),
        );
        match self.below(12) {
            0 => before,
            1 => after,
            2 => format!("{before}}}{after}"),
            3 => format!("{before}{{{after}"),
            4 => format!("{before}\u{0}{after}"),
            5 => format!("\u{feff}# a comment\n{text}\n# another"),
            6 => format!("{text} query Other {{ __typename }}"),
            7 => format!("{text} fragment Round on Query {{ ...Round }} query Made {{ ...Round }}"),
            8 => format!(
                "query Made {{ {} }}",
                (0..150)
                    .map(|n| format!("a{n}: __typename"))
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
            9 => format!("query Made {}", "{ a ".repeat(60)),
            10 => format!("{text} fragment Unused on NoSuch {{ __typename }}"),
            _ => format!(
                "query Made {{ node(id: \"\"\"\n  {before}\"\"\") {{ id @skip(if: true) @skip(if: 1) }} }}"
            ),
        }
    }
}
