//! The audits of the `graphql-http` suite that apply, and the abuses it does not know.

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::toy::{Setup, Toy};
use crate::api::guard::rate::Allowance;

const RESPONSE_JSON: &str = "application/graphql-response+json";

async fn read(response: reqwest::Response) -> (StatusCode, String, Value) {
    let status = response.status();
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (status, media_type, response.json().await.unwrap())
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or("no code")
}

#[tokio::test]
async fn the_answer_has_the_media_type_that_was_asked_for() {
    let toy = Toy::start().await;
    for (accept, expected) in [
        ("*/*", "application/json; charset=utf-8"),
        ("application/json", "application/json; charset=utf-8"),
        (RESPONSE_JSON, "application/graphql-response+json; charset=utf-8"),
    ] {
        let request = toy
            .post()
            .header(ACCEPT, accept)
            .json(&json!({ "query": "{ hello }" }));
        let (status, media_type, body) = read(request.send().await.unwrap()).await;
        assert_eq!((status, media_type.as_str()), (StatusCode::OK, expected));
        assert_eq!(body["data"], json!({ "hello": "hello world" }));
    }
    let request = toy
        .post()
        .header(ACCEPT, "text/html")
        .json(&json!({ "query": "{ hello }" }));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn get_runs_queries_and_nothing_else() {
    let toy = Toy::start().await;
    let request = toy.get(&[
        ("query", "query Q($n: String){ hello(name: $n) }"),
        ("variables", r#"{"n":"é"}"#),
        ("operationName", "Q"),
    ]);
    let (status, _, body) = read(request.send().await.unwrap()).await;
    assert_eq!(
        (status, &body["data"]["hello"]),
        (StatusCode::OK, &json!("hello é"))
    );

    let response = toy.get(&[("query", "mutation { bump }")]).send().await.unwrap();
    assert_eq!(
        (response.status(), response.headers()[ALLOW].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
    let response = reqwest::Client::new()
        .put(toy.url())
        .bearer_auth(&toy.token)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (response.status(), response.headers()[ALLOW].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, POST")
    );
    assert_eq!(
        toy.get(&[]).send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    let twice = toy
        .get(&[("query", "{ hello }"), ("query", "{ hello }")])
        .send()
        .await
        .unwrap();
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    let variables = toy
        .get(&[("query", "{ hello }"), ("variables", "[1]")])
        .send()
        .await
        .unwrap();
    assert_eq!(variables.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_a_form_of_another_page_can_send_is_refused() {
    let toy = Toy::start().await;
    let body = r#"{"query":"mutation { bump }"}"#;
    for forged in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/graphql",
    ] {
        let response = toy
            .post()
            .header(CONTENT_TYPE, forged)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{forged}");
    }
    assert_eq!(
        toy.post().body(body).send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let encoded = toy
        .post()
        .header("content-encoding", "gzip")
        .json(&json!({ "query": "{ hello }" }));
    assert_eq!(
        encoded.send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let plain = toy
        .post()
        .header(CONTENT_TYPE, "application/json; charset=\"UTF-8\"")
        .body(body);
    assert_eq!(plain.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn parameters_of_the_wrong_kind_are_named() {
    let toy = Toy::start().await;
    for (body, word) in [
        (json!({}), "query"),
        (json!({ "query": "" }), "query"),
        (json!({ "query": { "a": 1 } }), "query"),
        (json!({ "query": 1 }), "query"),
        (
            json!({ "query": "{ hello }", "operationName": {} }),
            "operationName",
        ),
        (json!({ "query": "{ hello }", "variables": "x" }), "variables"),
        (json!({ "query": "{ hello }", "variables": [1] }), "variables"),
        (json!({ "query": "{ hello }", "extensions": 7 }), "extensions"),
        (json!("{ hello }"), "object"),
        (json!([{ "query": "{ hello }" }]), "batches"),
    ] {
        let (status, _, answer) = read(toy.post().json(&body).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer["errors"][0]["message"].as_str().unwrap().contains(word),
            "{body} {answer}"
        );
    }
    let nulls = json!({ "query": "{ hello }", "operationName": null, "variables": null, "extensions": null, "more": 1 });
    assert_eq!(
        toy.post().json(&nulls).send().await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_body_that_is_not_strict_json_is_refused() {
    let toy = Toy::start().await;
    for body in [
        "".as_bytes(),
        b"{",
        b"{\"query\":\"{ hello }\"} x",
        b"{\"query\":\"{ hello }\",\"query\":\"mutation { bump }\"}",
        b"{\"query\":\"{ hello }\",\"variables\":{\"a\":1,\"a\":2}}",
        b"\xef\xbb\xbf{\"query\":\"{ hello }\"}",
        b"{\"query\":\"{ hello(name: \\\"\xff\\\") }\"}",
    ] {
        let request = toy
            .post()
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_vec());
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::BAD_REQUEST,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[tokio::test]
async fn a_refused_document_has_no_data_and_the_status_of_its_media_type() {
    let toy = Toy::start().await;
    for (query, expected) in [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ missing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "OPERATION_UNKNOWN"),
    ] {
        for (accept, status) in [
            (RESPONSE_JSON, StatusCode::BAD_REQUEST),
            ("application/json", StatusCode::OK),
        ] {
            let request = toy.post().header(ACCEPT, accept).json(&json!({ "query": query }));
            let (answered, _, body) = read(request.send().await.unwrap()).await;
            assert_eq!((answered, code(&body)), (status, expected), "{query}");
            assert!(body.get("data").is_none(), "{body}");
        }
    }
}

#[tokio::test]
async fn a_failed_field_leaves_data_and_hides_its_cause() {
    let toy = Toy::start().await;
    let request = toy
        .post()
        .header(ACCEPT, RESPONSE_JSON)
        .json(&json!({ "query": "{ broken }" }));
    let (status, _, body) = read(request.send().await.unwrap()).await;
    assert_eq!((status, code(&body)), (StatusCode::OK, "INTERNAL"));
    assert_eq!(body["data"], Value::Null);
    assert!(!body.to_string().contains("secret"));

    let (status, _, body) = read(
        toy.post()
            .json(&json!({ "query": "{ panics }" }))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL")
    );
    assert!(!body.to_string().contains("secret"));
}

#[tokio::test]
async fn a_slow_query_is_stopped() {
    let toy = Toy::start().await;
    let (status, _, body) = read(
        toy.post()
            .json(&json!({ "query": "{ slow }" }))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::GATEWAY_TIMEOUT, "QUERY_TIMEOUT")
    );
}

#[tokio::test]
async fn a_large_body_is_refused_while_it_arrives() {
    let toy = Toy::start().await;
    let announced = toy
        .post()
        .json(&json!({ "query": "x".repeat(2_000_000) }))
        .send()
        .await;
    assert!(announced.is_err() || announced.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);

    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        toy.token
    );
    let mut socket = tokio::net::TcpStream::connect(toy.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0_usize;
    for _ in 0..32 {
        match socket.write_all(chunk.as_bytes()).await {
            Ok(()) => sent += 0x10000,
            Err(_) => break,
        }
    }
    assert!(sent > 0);
    let mut answer = vec![0; 4096];
    let length = socket.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let toy = Toy::start().await;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
        toy.token
    );
    let mut socket = tokio::net::TcpStream::connect(toy.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = socket.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn without_a_valid_token_no_body_is_read() {
    let toy = Toy::start().await;
    let client = reqwest::Client::new();
    for authorization in [
        None,
        Some("Bearer"),
        Some("Basic eDp5"),
        Some("Bearer tmz_x"),
        Some("Bearer  "),
    ] {
        let mut request = client.post(toy.url()).json(&json!({ "query": "{ hello }" }));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert!(response.headers().contains_key(WWW_AUTHENTICATE));
    }
    // 100 MB are announced and not sent: the answer comes at once
    let mut socket = tokio::net::TcpStream::connect(toy.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = socket.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 401"));

    toy.revoke();
    let response = toy
        .post()
        .json(&json!({ "query": "{ hello }" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_hasty_client_is_told_when_to_come_back() {
    let toy = Toy::start_with(Setup {
        allowance: Allowance {
            requests_per_second: 1,
            burst: 2,
        },
        ..Setup::default()
    })
    .await;
    let ask = || async {
        toy.post()
            .json(&json!({ "query": "{ hello }" }))
            .send()
            .await
            .unwrap()
    };
    assert_eq!(ask().await.status(), StatusCode::OK);
    assert_eq!(ask().await.status(), StatusCode::OK);
    let response = ask().await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()[RETRY_AFTER], "1");
    assert_eq!(code(&response.json().await.unwrap()), "RATE_LIMITED");
}

#[tokio::test]
async fn a_hasty_tenant_is_told_its_limit_and_when_to_come_back() {
    let toy = Toy::start().await;
    toy.spend();
    let queries = ["{ hello }", "subscription { count(to: 1) }"];
    for (query, accept) in queries.iter().zip(["application/json", "text/event-stream"]) {
        let request = toy.post().header(ACCEPT, accept);
        let response = request.json(&json!({ "query": query })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let body: Value = response.json().await.unwrap();
        assert_eq!(code(&body), "RATE_LIMITED");
        let limit = &body["errors"][0]["extensions"]["limit"];
        assert_eq!(limit, &json!({ "name": "requests-per-minute", "value": 1 }));
    }
}

#[tokio::test]
async fn every_answer_carries_its_id_and_the_headers_for_browsers() {
    let toy = Toy::start().await;
    let response = toy
        .post()
        .header("x-request-id", "no id {}")
        .json(&json!({ "query": "{ hello }" }))
        .send()
        .await
        .unwrap();
    let headers = response.headers();
    assert!(uuid::Uuid::parse_str(headers["x-request-id"].to_str().unwrap()).is_ok());
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
}

#[tokio::test]
async fn a_costly_document_is_refused_with_its_limit() {
    let toy = Toy::start().await;
    let query = format!("{{ {} }}", "hello ".repeat(50));
    let (status, _, body) = read(
        toy.post()
            .header(ACCEPT, RESPONSE_JSON)
            .json(&json!({ "query": query }))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::BAD_REQUEST, "QUERY_TOO_MANY_ROOT_FIELDS")
    );
    assert_eq!(body["errors"][0]["extensions"]["limit"], 30);
}
