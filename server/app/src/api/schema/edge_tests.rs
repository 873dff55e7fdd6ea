//! Every edge of the schema costs the same statements for 10 rows as for 1,000, computed from the schema.
//!
//! A type's rows are asked for by the widest way that there is to them, and then each of its fields by itself: what a
//! field loads is one statement for all rows, or this fails and names it. A new type fails until rows of it are made in
//! [`stock`], a new field is walked at once.

mod stock;

use std::collections::{BTreeMap, VecDeque};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{BaseType, Type, TypeKind, TypeSystemDefinition};
use serde_json::{Value, json};
use tamiz_store::token::Caller;

use super::sdl;
use super::tests::ask;
use crate::api::test_tenant::Platform;

/// The widest ways to rows; `%` stands for what is asked of each. Others are reached from these.
const SOURCES: [(&str, &str); 13] = [
    ("Project", "projects(first: $all) { nodes { % } }"),
    (
        "Task",
        "projects(first: $outer) { nodes { tasks(first: $inner) { nodes { % } } } }",
    ),
    (
        "Finding",
        "projects(first: $outer) { nodes { findings(first: $inner) { nodes { % } } } }",
    ),
    (
        "Alert",
        "projects(first: $outer) { nodes { alerts(first: $inner) { nodes { % } } } }",
    ),
    (
        "Upload",
        "projects(first: $outer) { nodes { uploads(first: $inner) { nodes { % } } } }",
    ),
    ("Schedule", "schedules(first: $all) { nodes { % } }"),
    ("TaskGroup", "taskGroups(first: $all) { nodes { % } }"),
    ("Plugin", "plugins(first: $all) { nodes { % } }"),
    ("ApiToken", "apiTokens(first: $all) { nodes { % } }"),
    ("AuditEvent", "auditEvents(first: $all) { nodes { % } }"),
    (
        "WebhookDelivery",
        "webhookEndpoints { deliveries(first: $all) { nodes { % } } }",
    ),
    ("WebhookEndpoint", "webhookEndpoints { % }"),
    (
        "AlertRule",
        "projects(first: $all) { nodes { alertRules { % } } }",
    ),
];

/// Types of which a tenant has one row or a few whatever it has else, which are operators', or whose rows take more than
/// statements to make; those have tests of their own (`tenant_tests`, `related_tests`, and `tests` for what a task waits
/// for). What hangs from the few that a way leads to is walked all the same.
const FEW: [&str; 28] = [
    "AlertDismissal",
    "LimitRefusals",
    "Limits",
    "OperatorPause",
    "Plan",
    "PlanLimit",
    "PlanPluginLimits",
    "PluginFormat",
    "Queue",
    "QueuePause",
    "QueueScanType",
    "QuotaLimit",
    "QuotaRefusal",
    "RelatedAlert",
    "TaskLimit",
    "TaskPlugin",
    "TaskWait",
    "Tenant",
    "TenantAlertCount",
    "TenantAlertDay",
    "TenantQueue",
    "Usage",
    "UsageWindow",
    "Viewer",
    "WebhookEndpoint",
    "Worker",
    "WorkerTool",
    "AlertDay",
];

/// Values of arguments that must be given.
const NEEDED: [(&str, &str); 1] = [("format", "CSV")];

/// Rows of the small question, and of the large one: (pages of rows, rows of each, rows of one page).
const SMALL: Rows = Rows {
    outer: 2,
    inner: 5,
    all: 10,
};
const LARGE: Rows = Rows {
    outer: 20,
    inner: 50,
    all: 100,
};

#[derive(Clone, Copy)]
struct Rows {
    outer: usize,
    inner: usize,
    all: usize,
}

struct Field {
    name: String,
    /// Whether it takes `first`: a page of one row is asked for.
    is_page: bool,
    needed: Vec<String>,
    of: String,
}

/// The object types of the schema.
struct Types(BTreeMap<String, Vec<Field>>);

impl Types {
    fn read() -> Self {
        let document = parse_schema(sdl()).expect("our own schema");
        let types = document.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let TypeKind::Object(object) = definition.node.kind else {
                return None;
            };
            let fields = object.fields.iter().map(|field| {
                let field = &field.node;
                let arguments = || field.arguments.iter().map(|argument| &argument.node);
                let needed = arguments()
                    .filter(|argument| !argument.ty.node.nullable && argument.default_value.is_none());
                Field {
                    name: field.name.node.to_string(),
                    is_page: arguments().any(|argument| argument.name.node == "first"),
                    needed: needed.map(|argument| argument.name.node.to_string()).collect(),
                    of: named(&field.ty.node),
                }
            });
            Some((definition.node.name.node.to_string(), fields.collect()))
        });
        Self(types.collect())
    }

    fn fields(&self, of: &str) -> &[Field] {
        self.0.get(of).map_or(&[], Vec::as_slice)
    }

    fn is_object(&self, of: &str) -> bool {
        self.0.contains_key(of)
    }

    /// The field with its arguments.
    fn call(field: &Field) -> String {
        let mut arguments: Vec<String> = field
            .needed
            .iter()
            .map(|name| {
                let known = NEEDED.iter().find(|(known, _)| known == name);
                let (_, value) = known.unwrap_or_else(|| panic!("say in NEEDED what `{name}` is"));
                format!("{name}: {value}")
            })
            .collect();
        if field.is_page {
            arguments.push("first: 1".to_owned());
        }
        if arguments.is_empty() {
            field.name.clone()
        } else {
            format!("{}({})", field.name, arguments.join(", "))
        }
    }

    /// All fields of a type that have none of their own.
    fn plain(&self, of: &str) -> String {
        let fields = self.fields(of).iter();
        let plain = fields.filter(|field| !self.is_object(&field.of)).map(Self::call);
        let plain: Vec<String> = plain.collect();
        format!("__typename {}", plain.join(" "))
    }

    /// An edge with the plain fields behind it, through a connection those of its rows.
    fn edge(&self, field: &Field) -> String {
        let call = Self::call(field);
        let fields = self.fields(&field.of);
        let Some(nodes) = fields.iter().find(|field| field.name == "nodes") else {
            return format!("{call} {{ {} }}", self.plain(&field.of));
        };
        let (beside, row) = (self.plain(&field.of), self.plain(&nodes.of));
        let page = self.plain("PageInfo");
        format!("{call} {{ {beside} pageInfo {{ {page} }} edges {{ cursor node {{ {row} }} }} }}")
    }

    /// The widest way to the rows of each type.
    fn ways(&self) -> BTreeMap<String, String> {
        let mut ways: BTreeMap<String, String> = SOURCES
            .iter()
            .map(|(of, way)| ((*of).to_owned(), (*way).to_owned()))
            .collect();
        let mut waiting: VecDeque<String> = SOURCES.iter().map(|(of, _)| (*of).to_owned()).collect();
        while let Some(owner) = waiting.pop_front() {
            for field in self
                .fields(&owner)
                .iter()
                .filter(|field| self.is_object(&field.of))
            {
                if ways.contains_key(&field.of) {
                    continue;
                }
                let step = format!("{} {{ % }}", Self::call(field));
                let way = ways[&owner].replace('%', &step);
                ways.insert(field.of.clone(), way);
                waiting.push_back(field.of.clone());
            }
        }
        ways
    }
}

fn named(of: &Type) -> String {
    match &of.base {
        BaseType::Named(name) => name.to_string(),
        BaseType::List(inner) => named(inner),
    }
}

/// How many objects of a type an answer holds.
fn rows_of(of: &str, answer: &Value) -> usize {
    match answer {
        Value::Array(items) => items.iter().map(|item| rows_of(of, item)).sum(),
        Value::Object(fields) => {
            let own = usize::from(fields.get("__typename").is_some_and(|name| name == of));
            own + fields.values().map(|value| rows_of(of, value)).sum::<usize>()
        }
        _ => 0,
    }
}

async fn asked(platform: &Platform, caller: &Caller, selection: &str, rows: Rows) -> (Value, u64) {
    let uses = |name: &str| selection.contains(name);
    let declared: Vec<&str> = ["$outer", "$inner", "$all"]
        .into_iter()
        .filter(|name| uses(name))
        .collect();
    let declared = declared.join(": Int ");
    let head = if declared.is_empty() {
        String::new()
    } else {
        format!("query({declared}: Int)")
    };
    let variables = json!({ "outer": rows.outer, "inner": rows.inner, "all": rows.all });
    let (answer, statements) = ask(platform, caller, &format!("{head} {{ {selection} }}"), variables).await;
    assert!(
        answer.get("errors").is_none(),
        "{selection}: {:#}",
        answer["errors"]
    );
    (answer, statements)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_edge_costs_more_statements_for_a_thousand_rows_than_for_ten() {
    let platform = Platform::start().await;
    let acme = stock::stock(&platform).await;
    let types = Types::read();
    let (mut edges, mut wrong, mut few) = (0, Vec::new(), Vec::new());
    for (of, way) in types.ways() {
        if of.ends_with("Connection") || of.ends_with("Edge") || of == "PageInfo" {
            // on the way to their rows
            continue;
        }
        let objects = types
            .fields(&of)
            .iter()
            .filter(|field| types.is_object(&field.of));
        let mut parts = vec![types.plain(&of)];
        parts.extend(objects.map(|field| format!("__typename {}", types.edge(field))));
        for (number, part) in parts.iter().enumerate() {
            let selection = way.replace('%', part);
            let (small, at_ten) = asked(&platform, &acme, &selection, SMALL).await;
            let (large, at_thousand) = asked(&platform, &acme, &selection, LARGE).await;
            edges += 1;
            if at_ten != at_thousand {
                wrong.push(format!("{at_ten} statements, then {at_thousand}: {selection}"));
            }
            let (small, large) = (rows_of(&of, &small), rows_of(&of, &large));
            let is_wide = large > small && small > 0;
            if number == 0 && !is_wide && !FEW.contains(&of.as_str()) {
                few.push(format!("{of}: {small} rows, then {large}"));
            }
        }
    }
    assert!(few.is_empty(), "make more rows of these in `stock`: {few:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(edges > 100, "only {edges} edges");
    platform.end().await;
}

#[test]
fn every_type_that_a_query_reaches_is_walked_or_said_to_be_few() {
    let types = Types::read();
    let ways = types.ways();
    let mut seen = vec!["Query".to_owned()];
    let mut next = 0;
    while let Some(of) = seen.get(next).cloned() {
        next += 1;
        for field in types.fields(&of) {
            if types.is_object(&field.of) && !seen.contains(&field.of) {
                seen.push(field.of.clone());
            }
        }
    }
    let is_known = |of: &String| {
        let is_way = of == "Query" || of.ends_with("Connection") || of.ends_with("Edge");
        is_way || ways.contains_key(of) || FEW.contains(&of.as_str())
    };
    let unknown: Vec<String> = seen.into_iter().filter(|of| !is_known(of)).collect();
    assert!(
        unknown.is_empty(),
        "say in SOURCES how to get to these: {unknown:?}"
    );
}
