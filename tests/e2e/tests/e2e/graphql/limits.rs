//! What a client may not do: ask too much, too often, or in another form than GraphQL over HTTP has.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::with_findings;
use crate::harness::{App, Plan};

/// A refusal is decided on the text alone.
const REFUSAL_MAX: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_document_that_costs_too_much_is_refused_before_it_runs() {
    let app = App::start().await;
    let (acme, ..) = with_findings(&app, 3).await;
    let deep = format!(
        "{{ tasks {{ nodes {{ {}id{} }} }} }}",
        "project { tasks { nodes { ".repeat(8),
        " } } }".repeat(8)
    );
    let many = |count: usize, field: &str| -> String {
        let fields: Vec<String> = (0..count).map(|number| format!("a{number}: {field}")).collect();
        fields.join(" ")
    };
    let fragments = (0..24).map(|number| {
        let next = number + 1;
        format!("fragment f{number} on Viewer {{ a: role ...f{next} b: role ...f{next} }} ")
    });
    let bomb = format!(
        "{{ viewer {{ ...f0 }} }} {} fragment f24 on Viewer {{ role }}",
        fragments.collect::<String>()
    );
    let wide = "{ projects(first: 100) { nodes { tasks(first: 100) { nodes { findings(first: 100) { nodes { id } } } } } } }";
    let aliased = |count| format!("{{ viewer {{ {} }} }}", many(count, "role"));
    let types = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    for (document, code) in [
        (deep, "QUERY_TOO_DEEP"),
        (
            format!("{{ {} }}", many(31, "viewer { role }")),
            "QUERY_TOO_MANY_ROOT_FIELDS",
        ),
        (aliased(101), "QUERY_TOO_MANY_ALIASES"),
        (bomb, "QUERY_TOO_MANY_FIELDS"),
        (wide.to_owned(), "QUERY_TOO_COMPLEX"),
        (types.to_owned(), "QUERY_TOO_DEEP"),
        (
            format!("{{ viewer {{ role }} }} #{}", "x".repeat(200_000)),
            "QUERY_TOO_LARGE",
        ),
        (
            format!("{}viewer{}", "{".repeat(10_000), "}".repeat(10_000)),
            "QUERY_TOO_LARGE",
        ),
    ] {
        let started = Instant::now();
        let answer = acme.answer(&document, Value::Null).await;
        let shown = &document[..60];
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(extensions["code"], code, "{shown}: {answer:#}");
        assert!(
            extensions["value"].as_u64() > extensions["limit"].as_u64(),
            "{shown}: {answer:#}"
        );
        assert!(answer.get("data").is_none(), "{shown}: {answer:#}");
        assert!(started.elapsed() < REFUSAL_MAX, "{shown}");
    }
    acme.data(&aliased(100), Value::Null).await;
    let large = json!({ "query": format!("{{ viewer {{ role }} }} #{}", "x".repeat(5 << 20)) });
    let answer = acme
        .request(Method::POST, "/graphql")
        .json(&large)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "BODY_TOO_LARGE");
}

#[tokio::test]
async fn status_and_media_type_are_those_of_graphql_over_http() {
    const RESPONSE: &str = "application/graphql-response+json";
    const JSON: &str = "application/json";
    let app = App::start().await;
    let acme = app.tenant("acme");
    let good = json!({ "query": "{ viewer { role } }" });
    let unknown = json!({ "query": "{ nothing }" });
    let refused = json!({ "query": "{ findings(after: \"x\") { totalCount } }" });
    let batch = json!([good]);
    for (accept, body, status, media_type, code) in [
        (JSON, &good, 200, JSON, ""),
        (RESPONSE, &good, 200, RESPONSE, ""),
        ("*/*", &good, 200, JSON, ""),
        ("text/html", &good, 406, JSON, "NOT_ACCEPTABLE"),
        (JSON, &unknown, 200, JSON, "GRAPHQL_VALIDATION_FAILED"),
        (RESPONSE, &unknown, 400, RESPONSE, "GRAPHQL_VALIDATION_FAILED"),
        // it ran: a field said no
        (JSON, &refused, 200, JSON, "BAD_CURSOR"),
        (RESPONSE, &refused, 200, RESPONSE, "BAD_CURSOR"),
        (RESPONSE, &batch, 400, JSON, "BATCH_NOT_SUPPORTED"),
        (JSON, &json!({ "query": 1 }), 400, JSON, "BAD_REQUEST"),
        (JSON, &json!({}), 400, JSON, "BAD_REQUEST"),
    ] {
        let request = acme.request(Method::POST, "/graphql").header(ACCEPT, accept);
        let answer = request.json(body).send().await.unwrap();
        let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(answer.status().as_u16(), status, "{accept} {body}");
        assert_eq!(kind, format!("{media_type}; charset=utf-8"), "{accept} {body}");
        let said: Value = answer.json().await.unwrap();
        let given = said["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default();
        assert_eq!(given, code, "{accept} {body}: {said}");
    }
}

#[tokio::test]
async fn a_request_that_another_page_could_forge_is_refused() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let mutation = "mutation { createProject(input: { name: \"x\" }) { project { id } } }";
    let get = acme
        .request(Method::GET, "/graphql")
        .query(&[("query", mutation)]);
    assert_eq!(get.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    for form in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let request = acme.request(Method::POST, "/graphql").header(CONTENT_TYPE, form);
        let body = json!({ "query": mutation }).to_string();
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form}");
    }
    let projects = acme.data("{ projects { totalCount } }", Value::Null).await;
    assert_eq!(projects["projects"]["totalCount"], 0);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let app = Plan::new()
        .set("rate_requests_per_second", 1)
        .set("rate_burst", 5)
        .start()
        .await;
    let acme = app.tenant("acme");
    let ask = async || {
        acme.request(Method::GET, "/graphql?query=%7Bviewer%7Brole%7D%7D")
            .send()
            .await
            .unwrap()
    };
    let mut refused = None;
    for _ in 0..50 {
        let answer = ask().await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert!(refused.headers().contains_key("retry-after"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
}
