//! Documents by their hashes: trusted ones, those that clients said before, and answers that clients keep.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::toy::{Setup, Toy, hash_of};

const HELLO: &str = "query Hello($n: String) { hello(name: $n) }";
const RESPONSE_JSON: &str = "application/graphql-response+json";

async fn trusting(only: bool) -> Toy {
    Toy::start_with(Setup {
        trusted: (
            &[HELLO, "mutation { bump }", "subscription { count(to: 1) }"],
            only,
        ),
        ..Setup::default()
    })
    .await
}

async fn ask(toy: &Toy, body: &Value) -> Value {
    toy.post().json(body).send().await.unwrap().json().await.unwrap()
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or("no code")
}

fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

#[tokio::test]
async fn a_trusted_document_runs_by_its_id_with_its_variables() {
    for only in [false, true] {
        let toy = trusting(only).await;
        let hash = hash_of(HELLO);
        for id in [hash.clone(), format!("sha256:{hash}"), hash.to_uppercase()] {
            let body = json!({ "documentId": id, "variables": { "n": "you" }, "operationName": "Hello" });
            assert_eq!(ask(&toy, &body).await["data"]["hello"], "hello you", "{id}");
        }
        let body = json!({ "extensions": persisted(&hash) });
        assert_eq!(ask(&toy, &body).await["data"]["hello"], "hello world");
        let get = toy.get(&[("documentId", &hash), ("variables", r#"{"n":"me"}"#)]);
        let body: Value = get.send().await.unwrap().json().await.unwrap();
        assert_eq!(body["data"]["hello"], "hello me");
        // a known document is no way around the rules of GET
        let get = toy.get(&[("documentId", &hash_of("mutation { bump }"))]);
        assert_eq!(get.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn nothing_but_the_manifest_runs_where_that_is_wanted() {
    let toy = trusting(true).await;
    let other = "{ hello }";
    let hash = hash_of(other);
    for body in [
        json!({ "query": other }),
        json!({ "documentId": hash }),
        json!({ "documentId": "no hash" }),
        json!({ "extensions": persisted(&hash) }),
        json!({ "query": other, "extensions": persisted(&hash) }),
    ] {
        assert_eq!(code(&ask(&toy, &body).await), "DOCUMENT_NOT_TRUSTED", "{body}");
    }
    // its words are as good as its name
    assert_eq!(
        ask(&toy, &json!({ "query": HELLO })).await["data"]["hello"],
        "hello world"
    );
}

#[tokio::test]
async fn a_document_said_once_runs_by_its_hash_for_its_tenant_alone() {
    let toy = Toy::start().await;
    let query = "{ hello(name: \"persisted\") }";
    let by_hash = json!({ "extensions": persisted(&hash_of(query)) });
    let answer = ask(&toy, &by_hash).await;
    assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(answer["errors"][0]["message"], "PersistedQueryNotFound");

    let with_text = json!({ "query": query, "extensions": persisted(&hash_of(query)) });
    for body in [&with_text, &by_hash, &by_hash] {
        assert_eq!(
            ask(&toy, body).await["data"]["hello"],
            "hello persisted",
            "{body}"
        );
    }
    let foreign = reqwest::Client::new()
        .post(toy.url())
        .bearer_auth(&toy.other_token)
        .json(&by_hash);
    let answer: Value = foreign.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        code(&answer),
        "PERSISTED_QUERY_NOT_FOUND",
        "another tenant's is nobody's"
    );
    // and it is no trusted document
    assert_eq!(
        code(&ask(&toy, &json!({ "documentId": hash_of(query) })).await),
        "DOCUMENT_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_hash_that_does_not_fit_and_a_document_that_is_refused_are_not_kept() {
    let toy = Toy::start().await;
    let forged = json!({ "query": "{ hello }", "extensions": persisted(&hash_of("{ broken }")) });
    assert_eq!(code(&ask(&toy, &forged).await), "PERSISTED_QUERY_HASH_MISMATCH");
    for refused in ["{", &format!("{{ {} }}", "hello ".repeat(50))] {
        let body = json!({ "query": refused, "extensions": persisted(&hash_of(refused)) });
        assert_ne!(code(&ask(&toy, &body).await), "no code");
        let body = json!({ "extensions": persisted(&hash_of(refused)) });
        assert_eq!(
            code(&ask(&toy, &body).await),
            "PERSISTED_QUERY_NOT_FOUND",
            "{refused}"
        );
    }
    let hash = hash_of("{ hello }");
    for (body, expected) in [
        (json!({ "documentId": hash, "query": "{ hello }" }), "BAD_REQUEST"),
        (
            json!({ "documentId": hash, "extensions": persisted(&hash) }),
            "BAD_REQUEST",
        ),
        (json!({ "documentId": 7 }), "BAD_REQUEST"),
        (
            json!({ "extensions": { "persistedQuery": 7 } }),
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "sha256Hash": hash } } }),
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "x" } } }),
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
    ] {
        assert_eq!(code(&ask(&toy, &body).await), expected, "{body}");
    }
}

#[tokio::test]
async fn a_known_document_runs_over_the_websocket() {
    let toy = trusting(true).await;
    let mut request = format!("ws://{}/graphql", toy.address)
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    headers.insert("authorization", format!("Bearer {}", toy.token).parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let subscription = hash_of("subscription { count(to: 1) }");
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "type": "subscribe", "id": "1", "payload": { "documentId": subscription } }),
        json!({ "type": "subscribe", "id": "2", "payload": { "extensions": persisted(&hash_of("{ hello }")) } }),
    ] {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let mut said = Vec::new();
    while said.len() < 4 {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            said.push(serde_json::from_str::<Value>(&text).unwrap());
        }
    }
    let of = |id: &str, kind: &str| {
        let found = said
            .iter()
            .find(|message| message["id"] == id && message["type"] == kind);
        found.unwrap_or_else(|| panic!("{id} {kind}: {said:?}"))["payload"].clone()
    };
    assert_eq!(of("1", "next")["data"]["count"], 1);
    assert_eq!(of("2", "error")[0]["extensions"]["code"], "DOCUMENT_NOT_TRUSTED");
}

#[tokio::test]
async fn the_answer_of_a_known_document_may_be_kept_and_asked_for_by_its_tag() {
    let toy = trusting(false).await;
    let hash = hash_of(HELLO);
    let get = async |name: &str, tag: &str| {
        let variables = json!({ "n": name }).to_string();
        let request = toy
            .get(&[("documentId", &hash), ("variables", &variables)])
            .header("accept", RESPONSE_JSON)
            .header(IF_NONE_MATCH, tag);
        request.send().await.unwrap()
    };
    let first = get("a", "\"other\"").await;
    assert_eq!(first.status(), StatusCode::OK);
    let headers = first.headers().clone();
    let tag = headers[ETAG].to_str().unwrap();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
    let vary: Vec<&str> = headers
        .get_all(VARY)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert!(vary.join(",").contains("authorization"), "{vary:?}");
    let body: Value = first.json().await.unwrap();
    assert_eq!(body["data"]["hello"], "hello a");
    assert!(body["extensions"]["cost"]["remaining"].is_number(), "{body}");

    let list = format!("\"x\", {}", tag.trim_start_matches("W/"));
    for said in [tag, &list, "*"] {
        let again = get("a", said).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{said}");
        assert_eq!(again.headers()[ETAG], tag);
        assert!(again.bytes().await.unwrap().is_empty());
    }
    let other = get("b", tag).await;
    assert_eq!(other.status(), StatusCode::OK, "another answer has another tag");

    // a document in words has no tag, and neither has a POST or an answer with errors
    let words = toy.get(&[("query", "{ hello }")]).send().await.unwrap();
    assert!(words.headers().get(ETAG).is_none());
    assert_eq!(words.headers()[CACHE_CONTROL], "no-store");
    let post = toy
        .post()
        .json(&json!({ "documentId": hash }))
        .send()
        .await
        .unwrap();
    assert!(post.headers().get(ETAG).is_none());
}
