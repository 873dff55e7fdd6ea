//! The schema as the running server tells it: types, fields, arguments, and how to get to each type.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::harness::{Client, text};

const INTROSPECTION: &str = "{ __schema { queryType { name } mutationType { name } subscriptionType { name }
  types { kind name isOneOf possibleTypes { name } enumValues { name } inputFields { name type { ...ref } }
    fields { name args { name type { ...ref } } type { ...ref } } } } }
  fragment ref on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Fields that refuse every tenant; tried in `operators`.
pub(super) const OPERATORS: [(&str, &str); 6] = [
    ("Query", "plans"),
    ("Query", "tenants"),
    ("Query", "workers"),
    ("Queue", "busiest"),
    ("Queue", "pauses"),
    ("Queue", "tenants"),
];

pub(super) struct Schema {
    types: BTreeMap<String, Type>,
    pub(super) query: String,
    pub(super) mutation: String,
    pub(super) subscription: String,
}

pub(super) struct Type {
    kind: String,
    pub(super) fields: Vec<Field>,
    pub(super) inputs: Vec<Input>,
    /// Of an interface.
    pub(super) possible: Vec<String>,
    /// An input of which exactly one field is given.
    pub(super) takes_one: bool,
    /// Of an enum.
    pub(super) words: Vec<String>,
}

pub(super) struct Field {
    pub(super) name: String,
    pub(super) args: Vec<Input>,
    pub(super) of: TypeRef,
}

pub(super) struct Input {
    pub(super) name: String,
    pub(super) of: TypeRef,
}

/// A type as it is used, such as `[UUID!]!`.
pub(super) struct TypeRef {
    pub(super) name: String,
    pub(super) written: String,
    pub(super) is_list: bool,
}

/// A field on the way to a type.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) owner: String,
    pub(super) field: String,
}

impl Schema {
    /// What is for tenants.
    pub(super) async fn of(client: &Client) -> Self {
        let mut schema = Self::whole(client).await;
        for (owner, of) in &mut schema.types {
            of.fields
                .retain(|field| !OPERATORS.contains(&(owner.as_str(), field.name.as_str())));
        }
        schema
    }

    /// With what is for operators.
    pub(super) async fn whole(client: &Client) -> Self {
        let data = client.data(INTROSPECTION, Value::Null).await;
        let schema = &data["__schema"];
        let types = list(&schema["types"]).iter().map(|kind| {
            let owner = text(&kind["name"]);
            let names = |list_of: &str| {
                let named = list(&kind[list_of]).iter();
                named.map(|named| text(&named["name"])).collect()
            };
            let of_type = Type {
                kind: text(&kind["kind"]),
                fields: list(&kind["fields"]).iter().map(Field::of).collect(),
                inputs: list(&kind["inputFields"]).iter().map(Input::of).collect(),
                possible: names("possibleTypes"),
                takes_one: kind["isOneOf"] == true,
                words: names("enumValues"),
            };
            (owner, of_type)
        });
        Self {
            types: types.filter(|(name, _)| !name.starts_with("__")).collect(),
            query: text(&schema["queryType"]["name"]),
            mutation: text(&schema["mutationType"]["name"]),
            subscription: text(&schema["subscriptionType"]["name"]),
        }
    }

    pub(super) fn get(&self, name: &str) -> &Type {
        &self.types[name]
    }

    pub(super) fn field(&self, step: &Step) -> &Field {
        let fields = &self.get(&step.owner).fields;
        fields
            .iter()
            .find(|field| field.name == step.field)
            .expect("a field of the schema")
    }

    /// The same of what may be none of ours, such as a scalar.
    pub(super) fn find(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    pub(super) fn is_object(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|of| of.kind == "OBJECT")
    }

    pub(super) fn is_interface(&self, name: &str) -> bool {
        self.types
            .get(name)
            .is_some_and(|of| matches!(of.kind.as_str(), "INTERFACE" | "UNION"))
    }

    pub(super) fn is_input_object(&self, name: &str) -> bool {
        self.types.get(name).is_some_and(|of| of.kind == "INPUT_OBJECT")
    }

    /// Every object type that a query can reach, each with a shortest way to it.
    pub(super) fn reachable(&self) -> BTreeMap<String, Vec<Step>> {
        let mut ways = BTreeMap::from([(self.query.clone(), Vec::new())]);
        let mut waiting = VecDeque::from([self.query.clone()]);
        while let Some(owner) = waiting.pop_front() {
            for field in &self.get(&owner).fields {
                let target = &field.of.name;
                // what only an interface leads to would be missed
                for possible in self.types.get(target).map_or(&[][..], |of| &of.possible) {
                    let elsewhere = self.types.values().flat_map(|of| &of.fields);
                    assert!(
                        elsewhere.into_iter().any(|field| field.of.name == **possible),
                        "teach the walk to reach {possible} through {target}"
                    );
                }
                if self.is_object(target) && !ways.contains_key(target) {
                    let mut way = ways[&owner].clone();
                    way.push(Step {
                        owner: owner.clone(),
                        field: field.name.clone(),
                    });
                    ways.insert(target.clone(), way);
                    waiting.push_back(target.clone());
                }
            }
        }
        ways
    }

    /// The places of all arguments and fields of inputs, such as `Query.task.id` and `TaskFilter.status`.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        for (name, of) in &self.types {
            places.extend(of.inputs.iter().map(|input| format!("{name}.{}", input.name)));
            for field in &of.fields {
                let arguments = field
                    .args
                    .iter()
                    .filter(|arg| !self.is_input_object(&arg.of.name));
                places.extend(arguments.map(|arg| format!("{name}.{}.{}", field.name, arg.name)));
            }
        }
        places
    }
}

impl Field {
    fn of(value: &Value) -> Self {
        Self {
            name: text(&value["name"]),
            args: list(&value["args"]).iter().map(Input::of).collect(),
            of: TypeRef::of(&value["type"]),
        }
    }
}

impl Input {
    fn of(value: &Value) -> Self {
        Self {
            name: text(&value["name"]),
            of: TypeRef::of(&value["type"]),
        }
    }
}

impl TypeRef {
    fn of(value: &Value) -> Self {
        let inner = || Self::of(&value["ofType"]);
        match value["kind"].as_str().expect("a kind") {
            "NON_NULL" => {
                let inner = inner();
                Self {
                    written: format!("{}!", inner.written),
                    ..inner
                }
            }
            "LIST" => {
                let inner = inner();
                Self {
                    written: format!("[{}]", inner.written),
                    is_list: true,
                    ..inner
                }
            }
            _ => {
                let name = text(&value["name"]);
                Self {
                    written: name.clone(),
                    name,
                    is_list: false,
                }
            }
        }
    }

    pub(super) fn is_required(&self) -> bool {
        self.written.ends_with('!')
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
