//! Documents made from the schema: a way to a type, and everything of it.

use serde_json::{Map, Value, json};

use super::filling::{Belongings, Filling, filling, shaped};
use super::schema::{Field, Input, Schema, Step, TypeRef};

/// One argument, or one field inside an input: what a value goes into.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Such as `input.projectId`.
    pub(super) path: String,
    pub(super) filling: Filling,
}

/// The leaves of a field's arguments.
pub(super) fn leaves(schema: &Schema, step: &Step) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for arg in &schema.field(step).args {
        let place = format!("{}.{}.{}", step.owner, step.field, arg.name);
        gather(schema, &arg.name, &place, &arg.of, &mut leaves);
    }
    leaves
}

fn gather(schema: &Schema, path: &str, place: &str, of: &TypeRef, leaves: &mut Vec<Leaf>) {
    if schema.is_input_object(&of.name) {
        for input in &schema.get(&of.name).inputs {
            let inner = format!("{}.{}", of.name, input.name);
            gather(
                schema,
                &format!("{path}.{}", input.name),
                &inner,
                &input.of,
                leaves,
            );
        }
    } else {
        leaves.push(Leaf {
            path: path.to_owned(),
            filling: filling(place),
        });
    }
}

/// Values that stand in place of one's own, by the path of their leaf.
pub(super) type Instead<'a> = &'a [(&'a str, &'a str)];

/// A document that grows.
pub(super) struct Document<'a> {
    schema: &'a Schema,
    own: &'a Belongings,
    round: usize,
    /// In how many rounds it asks for all that one has.
    pub(super) rounds: usize,
    declared: Vec<String>,
    variables: Map<String, Value>,
}

impl<'a> Document<'a> {
    pub(super) fn new(schema: &'a Schema, own: &'a Belongings, round: usize) -> Self {
        Self {
            schema,
            own,
            round,
            rounds: 1,
            declared: Vec::new(),
            variables: Map::new(),
        }
    }

    /// Finishes it: the text and its variables.
    pub(super) fn finish(self, operation: &str, way: &[String], selection: &str) -> (String, Value) {
        let head = if self.declared.is_empty() {
            operation.to_owned()
        } else {
            format!("{operation}({})", self.declared.join(", "))
        };
        let text = way.iter().rev().fold(selection.to_owned(), |inner, call| {
            format!("{call} {{ {inner} }}")
        });
        (format!("{head} {{ {text} }}"), Value::Object(self.variables))
    }

    /// A field with its arguments, one's own but for what stands `instead`.
    pub(super) fn call(&mut self, step: &Step, instead: Instead<'_>) -> String {
        let schema = self.schema;
        let field = schema.field(step);
        let mut arguments = Vec::new();
        for arg in &field.args {
            let place = format!("{}.{}.{}", step.owner, step.field, arg.name);
            let Some(value) = self.value(&arg.name, &place, &arg.of, instead) else {
                assert!(!arg.of.is_required(), "{place} needs a value");
                continue;
            };
            let variable = format!("v{}", self.declared.len());
            self.declared.push(format!("${variable}: {}", arg.of.written));
            arguments.push(format!("{}: ${variable}", arg.name));
            self.variables.insert(variable, value);
        }
        if arguments.is_empty() {
            step.field.clone()
        } else {
            format!("{}({})", step.field, arguments.join(", "))
        }
    }

    fn value(&mut self, path: &str, place: &str, of: &TypeRef, instead: Instead<'_>) -> Option<Value> {
        let schema = self.schema;
        if schema.is_input_object(&of.name) {
            let mut object = Map::new();
            for Input { name, of: inner } in &schema.get(&of.name).inputs {
                let place = format!("{}.{name}", of.name);
                if let Some(value) = self.value(&format!("{path}.{name}"), &place, inner, instead) {
                    object.insert(name.clone(), value);
                }
            }
            // one way to say which alerts excludes the other: the one that is tried stays
            if object.contains_key("alertIds") && object.contains_key("alerts") {
                let within = format!("{path}.alerts.");
                let is_tried = instead.iter().any(|(tried, _)| tried.starts_with(&within));
                object.remove(if is_tried { "alertIds" } else { "alerts" });
            }
            // an input of which all may be left out is given empty
            return (!object.is_empty() || of.is_required()).then_some(Value::Object(object));
        }
        if let Some((_, value)) = instead.iter().find(|(known, _)| *known == path) {
            return Some(shaped(of, json!(value)));
        }
        let filling = filling(place);
        // what may be left out is, for it would only narrow what is seen
        if !of.is_required() && !matches!(filling, Filling::Number(_) | Filling::NeededId(_)) {
            return None;
        }
        self.rounds = self.rounds.max(self.own.rounds(filling));
        let value = self.own.own(filling, self.round);
        let free = matches!(filling, Filling::Chosen).then(|| json!(uuid::Uuid::now_v7().to_string()));
        value.or(free).map(|value| shaped(of, value))
    }

    /// All fields of a type that have no fields of their own.
    pub(super) fn leaves_of(&mut self, of: &str) -> String {
        let schema = self.schema;
        if schema.is_interface(of) {
            let mut parts = vec!["__typename".to_owned()];
            let possibles = &schema.get(of).possible;
            let elsewhere = || possibles.iter().flat_map(|possible| &schema.get(possible).fields);
            for possible in possibles {
                let fields = schema.get(possible).fields.iter();
                let plain = fields.filter(|field| self.is_plain(field));
                // two types may call different things alike; a query has a limit of aliases
                let aliased = plain.map(|field| {
                    let (name, written) = (&field.name, &field.of.written);
                    let is_alike =
                        elsewhere().all(|other| other.name != *name || other.of.written == *written);
                    if is_alike {
                        name.clone()
                    } else {
                        format!("{possible}_{name}: {name}")
                    }
                });
                let aliased: Vec<String> = aliased.collect();
                parts.push(format!("... on {possible} {{ {} }}", aliased.join(" ")));
            }
            return parts.join(" ");
        }
        let plain = schema.get(of).fields.iter().filter(|field| self.is_plain(field));
        let names: Vec<&str> = plain.map(|field| field.name.as_str()).collect();
        format!("__typename {}", names.join(" "))
    }

    /// Everything of a type, and the plain fields of what hangs from it.
    pub(super) fn everything_of(&mut self, of: &str) -> String {
        let schema = self.schema;
        let mut parts = vec![self.leaves_of(of)];
        for field in &schema.get(of).fields {
            if self.is_plain(field) {
                continue;
            }
            let step = Step {
                owner: of.to_owned(),
                field: field.name.clone(),
            };
            let call = self.call(&step, &[]);
            let inner = self.selection(&field.of.name);
            parts.push(format!("{call}{inner}"));
        }
        parts.join(" ")
    }

    /// The braces behind a field of this type.
    pub(super) fn selection(&mut self, of: &str) -> String {
        if self.schema.is_object(of) || self.schema.is_interface(of) {
            format!(" {{ {} }}", self.leaves_of(of))
        } else {
            String::new()
        }
    }

    fn is_plain(&self, field: &Field) -> bool {
        let of = &field.of.name;
        field.args.is_empty() && !self.schema.is_object(of) && !self.schema.is_interface(of)
    }
}
