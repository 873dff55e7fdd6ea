//! Nothing of a tenant opens to an operator's token, and nothing of operators to a tenant's; computed from
//! the schema.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::document::Document;
use super::schema::{OPERATORS, Schema, Step};
use super::world::{WORD, World};
use crate::harness::{App, Client, text};

/// Root fields that an operator's token opens.
const OPEN: [&str; 4] = ["plans", "queue", "tenants", "workers"];

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_token_opens_nothing_of_a_tenant() {
    let world = World::new().await;
    let token = world
        .app
        .says(&["operator", "token", "create", "--name", "dashboard"]);
    let operator = world.app.client(token.trim());
    let schema = &world.schema;
    let mut tried = 0;
    for (operation, root) in [("query", &schema.query), ("mutation", &schema.mutation)] {
        for field in &schema.get(root).fields {
            let step = Step {
                owner: root.clone(),
                field: field.name.clone(),
            };
            if OPEN.contains(&field.name.as_str()) {
                continue;
            }
            let (document, variables) = ask(&world, operation, &step);
            refuses(&operator, &document, variables).await;
            tried += 1;
        }
    }
    assert!(tried > 10, "only {tried} fields");
    // what is open tells counts and names of tenants, and nothing that is theirs
    let open = "{ queue { scanTypes { scanType waiting running } refusals { limit count }
        pauses { scanType } busiest { scanTypes { waiting } } } workers { nodes { name state } }
        plans { name limits { name value } } tenants { nodes { createdAt plan { name } limits { name value } } } }";
    let said = operator.data(open, Value::Null).await.to_string();
    let leaks = world.leaks(&said, &[]);
    assert!(leaks.is_empty(), "{leaks:?} in {said}");

    for request in [
        operator.request(Method::POST, "/v1/uploads").body("x"),
        operator.request(Method::GET, &format!("/v1/artifacts/{}", uuid::Uuid::now_v7())),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_ALLOWED", "{body}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_operators_refuses_a_tenant() {
    let app = App::start().await;
    let acme = app.tenant(WORD);
    // the schema of the tests leaves these out
    let whole = acme
        .data("{ __schema { types { name fields { name } } } }", Value::Null)
        .await;
    for (owner, field) in OPERATORS {
        let types = whole["__schema"]["types"].as_array().unwrap();
        let of = types.iter().find(|of| of["name"] == owner).expect("its type");
        let fields = of["fields"].as_array().unwrap();
        assert!(
            fields.iter().any(|known| known["name"] == field),
            "{owner}.{field}"
        );
        let inner = if field == "pauses" {
            "{ scanType }"
        } else if field == "plans" {
            "{ name }"
        } else if field == "busiest" {
            "{ tenantName }"
        } else {
            "{ nodes { __typename } }"
        };
        let document = if owner == "Query" {
            format!("{{ {field} {inner} }}")
        } else {
            format!("{{ queue {{ {field} {inner} }} }}")
        };
        refuses(&acme, &document, Value::Null).await;
    }
}

fn ask(world: &World, operation: &'static str, step: &Step) -> (String, Value) {
    let schema: &Schema = &world.schema;
    let mut document = Document::new(schema, &world.acme.own, 0);
    let call = document.call(step, &[]);
    let of = &schema.field(step).of.name;
    let selection = if schema.is_object(of) {
        document.everything_of(of)
    } else {
        document.leaves_of(of)
    };
    document.finish(operation, &[call], &selection)
}

/// The document is refused as a whole by a code of ours, and says nothing.
async fn refuses(client: &Client, document: &str, variables: Value) {
    let answer = client.answer(document, variables).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert_eq!(code, "NOT_ALLOWED", "{document}: {answer:#}");
    assert!(!answer["data"].to_string().contains(WORD), "{answer:#}");
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields
            .values()
            .all(|value| value.is_null() || *value == json!({})),
        _ => false,
    };
    let data = &answer["data"];
    let hidden = empty(data)
        || data["queue"]
            .as_object()
            .is_some_and(|queue| queue.values().all(Value::is_null));
    assert!(hidden, "{document}: {answer:#}");
    assert!(
        text(&answer["errors"][0]["message"]).contains("token"),
        "{answer:#}"
    );
}
