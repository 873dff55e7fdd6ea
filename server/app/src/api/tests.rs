//! The whole front door over real HTTP on a real database: uploads, downloads, events, health.

mod following;
mod idempotency;
mod sharing;
mod slow_database;
mod time_out;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tamiz_core::token::Token;
use tamiz_core::{ArtifactId, ProjectId, TaskId};
use tamiz_store::artifact::{self, NewArtifact};
use tamiz_store::token::{Caller, Role};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::test_tenant::{Platform, UPLOAD_BYTES_MAX};
use super::{ApiState, build};
use crate::blob::BlobKind;
use crate::config::ApiSettings;
use crate::flow::{cancel_task::cancel_task, retry_task::retry_task};

const PATIENCE: Duration = Duration::from_secs(20);

struct Door {
    platform: Platform,
    address: SocketAddr,
    server: JoinHandle<()>,
    _draining: watch::Sender<bool>,
}

impl Door {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// With other settings than tests have.
    async fn open_with(change: impl FnOnce(&mut ApiSettings)) -> Self {
        let platform = Platform::start().await;
        let mut settings = platform.state.settings.clone();
        change(&mut settings);
        let (draining, receiver) = watch::channel(false);
        let state = &platform.state;
        let own = ApiState {
            store: state.store.clone(),
            limiter: state.limiter.clone(),
            remote_workers: state.remote_workers.clone(),
            blobs: state.blobs.clone(),
            plugins: state.plugins.clone(),
            plugin_limits: state.plugin_limits,
            targets: state.targets.clone(),
            webhooks: state.webhooks.clone(),
            documents: state.documents.clone(),
            settings,
            metrics: None,
        };
        let router = build(own, receiver).router;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            axum::serve(
                listener,
                router.into_make_service_with_connect_info::<SocketAddr>(),
            )
            .await
            .unwrap();
        });
        Self {
            platform,
            address,
            server,
            _draining: draining,
        }
    }

    async fn close(self) {
        self.server.abort();
        self.platform.end().await;
    }

    /// A tenant: its token, and its caller as the flows want it.
    async fn tenant(&self, name: &str, role: Role) -> (Token, Caller) {
        let token = self.platform.token(name, role).await;
        let caller = self
            .platform
            .state
            .store
            .authenticate(&token)
            .await
            .unwrap()
            .unwrap();
        (token, caller)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn upload(&self, token: &Token, project: ProjectId, body: impl Into<reqwest::Body>) -> Response {
        let url = self.url(&format!("/v1/uploads?project={project}&fileName=shop.zip"));
        Client::new()
            .post(url)
            .bearer_auth(token.reveal())
            .body(body)
            .send()
            .await
            .unwrap()
    }

    async fn graphql(&self, token: &Token, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = Client::new()
            .post(self.url("/graphql"))
            .bearer_auth(token.reveal())
            .json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }
}

async fn refusal(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    (
        status,
        body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}

#[tokio::test]
async fn an_upload_is_hashed_counted_and_acknowledged() {
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Analyst).await;
    let project = door.platform.project(&caller).await;
    let bytes = vec![7_u8; 70_000];
    let response = door.upload(&token, project, bytes.clone()).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["size"], 70_000);
    assert_eq!(answer["sha256"], hex::encode(Sha256::digest(&bytes)));
    let mut tx = door.platform.state.store.begin(&caller.scope).await.unwrap();
    let id = answer["id"].as_str().unwrap().parse().unwrap();
    let row = tamiz_store::upload::get(&mut tx, id).await.unwrap().unwrap();
    assert_eq!(
        (row.file_name.as_str(), row.blob.size_bytes),
        ("shop.zip", 70_000)
    );
    drop(tx);
    door.close().await;
}

#[tokio::test]
async fn an_upload_that_may_not_be_is_refused_with_its_reason() {
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Analyst).await;
    let (viewer, viewer_caller) = door.tenant("viewers", Role::Viewer).await;
    let project = door.platform.project(&caller).await;
    let foreign = door.platform.project(&viewer_caller).await;
    let large = vec![0_u8; usize::try_from(UPLOAD_BYTES_MAX).unwrap() + 1];

    let announced = refusal(door.upload(&token, project, large.clone()).await).await;
    assert_eq!(
        announced,
        (StatusCode::PAYLOAD_TOO_LARGE, "UPLOAD_TOO_LARGE".into())
    );
    let pieces = large
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let chunked = refusal(door.upload(&token, project, body).await).await;
    assert_eq!(
        chunked,
        (StatusCode::PAYLOAD_TOO_LARGE, "UPLOAD_TOO_LARGE".into())
    );
    let empty = refusal(door.upload(&token, project, Vec::new()).await).await;
    assert_eq!(empty, (StatusCode::UNPROCESSABLE_ENTITY, "UPLOAD_EMPTY".into()));
    let nothing = futures_util::stream::iter(Vec::<Result<Vec<u8>, std::io::Error>>::new());
    let silent = refusal(
        door.upload(&token, project, reqwest::Body::wrap_stream(nothing))
            .await,
    )
    .await;
    assert_eq!(silent, (StatusCode::UNPROCESSABLE_ENTITY, "UPLOAD_EMPTY".into()));
    for absent in [ProjectId::fresh(), foreign] {
        let refused = refusal(door.upload(&token, absent, "x").await).await;
        assert_eq!(refused, (StatusCode::NOT_FOUND, "NOT_FOUND".into()));
    }
    let refused = refusal(door.upload(&viewer, foreign, "x").await).await;
    assert_eq!(refused, (StatusCode::FORBIDDEN, "NOT_ALLOWED".into()));
    let get = Client::new()
        .get(door.url("/v1/uploads"))
        .bearer_auth(token.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(
        refusal(get).await,
        (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED".into())
    );
    let anonymous = Client::new()
        .post(door.url("/v1/uploads"))
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(
        refusal(anonymous).await,
        (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED".into())
    );
    door.close().await;
}

async fn stored_artifact(door: &Door, caller: &Caller, task: TaskId, bytes: &'static [u8]) -> ArtifactId {
    let state = &door.platform.state;
    let mut writer = state.blobs.writer(&caller.scope, BlobKind::Artifact, u64::MAX);
    writer.write(bytes.into()).await.unwrap();
    let blob = writer.finish().await.unwrap();
    let new = NewArtifact {
        id: ArtifactId::fresh(),
        kind: "report".into(),
        name: "bericht ü.html".into(),
        media_type: "text/html".into(),
        blob: blob.stored(),
    };
    let mut tx = state.store.begin(&caller.scope).await.unwrap();
    artifact::create(&mut tx, task, &new).await.unwrap();
    tx.commit().await.unwrap();
    new.id
}

#[tokio::test]
async fn an_artifact_is_a_download_for_its_tenant_and_nothing_for_others() {
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Viewer).await;
    let (foreign, _) = door.tenant("globex", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let task = door.platform.task(&caller, project).await;
    let id = stored_artifact(&door, &caller, task, b"<script>0123456789</script>").await;
    let ask = |token: &Token, headers: &[(&'static str, &str)]| {
        let mut request = Client::new()
            .get(door.url(&format!("/v1/artifacts/{id}")))
            .bearer_auth(token.reveal());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move { request.send().await.unwrap() }
    };

    let response = ask(&token, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/html");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let disposition = headers["content-disposition"].to_str().unwrap();
    assert!(disposition.starts_with("attachment; ") && disposition.ends_with("bericht%20%C3%BC.html"));
    assert_eq!(headers["content-length"], "27");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(response.bytes().await.unwrap(), "<script>0123456789</script>");

    let tag = headers["etag"].to_str().unwrap();
    assert_eq!(
        ask(&token, &[("if-none-match", tag)]).await.status(),
        StatusCode::NOT_MODIFIED
    );
    let part = ask(&token, &[("range", "bytes=8-11")]).await;
    assert_eq!(
        (part.status(), part.headers()["content-range"].to_str().unwrap()),
        (StatusCode::PARTIAL_CONTENT, "bytes 8-11/27")
    );
    assert_eq!(part.text().await.unwrap(), "0123");

    assert_eq!(
        refusal(ask(&foreign, &[]).await).await,
        (StatusCode::NOT_FOUND, "NOT_FOUND".into())
    );
    let nonsense = Client::new()
        .get(door.url("/v1/artifacts/x"))
        .bearer_auth(token.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(nonsense.status(), StatusCode::NOT_FOUND);

    let query = "query($t: ID!) { task(id: $t) { artifacts { name kind isSensitive sizeBytes sha256 path task { id } } } }";
    let answer = door.graphql(&token, query, json!({ "t": task })).await;
    assert_eq!(
        answer["data"]["task"]["artifacts"][0]["path"],
        format!("/v1/artifacts/{id}"),
        "{answer}"
    );
    assert_eq!(
        answer["data"]["task"]["artifacts"][0]["isSensitive"], true,
        "{answer}"
    );
    door.close().await;
}

/// The events of one connection, until it ends.
async fn events(door: &Door, token: &Token, task: TaskId, after: i64) -> Vec<Value> {
    let query = "subscription($t: ID!, $a: Int) { taskEvents(taskId: $t, after: $a) { seq status message task { status } } }";
    let body = json!({ "query": query, "variables": { "t": task, "a": after } });
    let request = Client::new()
        .post(door.url("/graphql"))
        .bearer_auth(token.reveal())
        .header("accept", "text/event-stream")
        .json(&body);
    let text = tokio::time::timeout(PATIENCE, request.send().await.unwrap().text())
        .await
        .unwrap()
        .unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_comes_and_goes_misses_nothing_and_sees_nothing_twice() {
    const ROUNDS: i64 = 20;
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let task = door.platform.task(&caller, project).await;
    let store = door.platform.state.store.clone();
    let writer = tokio::spawn(async move {
        for round in 0..ROUNDS {
            cancel_task(&store, &caller, task).await.unwrap();
            tokio::task::yield_now().await;
            if round + 1 < ROUNDS {
                retry_task(&store, &caller, task).await.unwrap();
            }
        }
    });
    let mut seen = Vec::new();
    // the stream ends whenever the task is found ended; the client comes back with its last number
    while seen.len() < usize::try_from(2 * ROUNDS).unwrap() {
        let after = i64::try_from(seen.len()).unwrap();
        for message in events(&door, &token, task, after).await {
            assert!(message.get("errors").is_none(), "{message}");
            seen.push(message["data"]["taskEvents"]["seq"].as_i64().unwrap());
        }
    }
    writer.await.unwrap();
    assert_eq!(seen, (1..=2 * ROUNDS).collect::<Vec<_>>());
    assert!(events(&door, &token, task, 2 * ROUNDS).await.is_empty());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_watcher_hears_of_an_event_at_once() {
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let task = door.platform.task(&caller, project).await;
    let watcher = events(&door, &token, task, 0);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let cancelled = std::time::Instant::now();
        cancel_task(&door.platform.state.store, &caller, task)
            .await
            .unwrap();
        cancelled
    };
    let (seen, cancelled) = tokio::join!(watcher, cancel);
    assert!(
        cancelled.elapsed() < Duration::from_secs(3),
        "only the poll noticed: {:?}",
        cancelled.elapsed()
    );
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[1]["data"]["taskEvents"]["status"], "CANCELLED");
    assert_eq!(
        seen[1]["data"]["taskEvents"]["task"]["status"], "CANCELLED",
        "read afresh for each event"
    );
    door.close().await;
}

#[tokio::test]
async fn a_foreign_or_impossible_watch_is_refused() {
    let door = Door::open().await;
    let (_, caller) = door.tenant("acme", Role::Owner).await;
    let (foreign, foreign_caller) = door.tenant("globex", Role::Owner).await;
    let project = door.platform.project(&caller).await;
    let task = door.platform.task(&caller, project).await;
    for absent in [task, TaskId::fresh()] {
        let seen = events(&door, &foreign, absent, 0).await;
        assert_eq!(
            seen[0]["errors"][0]["extensions"]["code"], "NOT_FOUND",
            "{seen:?}"
        );
    }
    let own = door.platform.project(&foreign_caller).await;
    let own = door.platform.task(&foreign_caller, own).await;
    for after in [-1, 99] {
        let seen = events(&door, &foreign, own, after).await;
        assert_eq!(
            seen[0]["errors"][0]["extensions"]["code"], "INVALID_INPUT",
            "{seen:?}"
        );
    }
    door.close().await;
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_any_more() {
    let door = Door::open().await;
    let (token, caller) = door.tenant("acme", Role::Owner).await;
    let answer = door
        .graphql(
            &token,
            "{ viewer { role tokenName tenant { name } limits { uploadBytesMax } } }",
            json!({}),
        )
        .await;
    assert_eq!(
        answer["data"]["viewer"],
        json!({ "role": "OWNER", "tokenName": "test", "tenant": { "name": "acme" }, "limits": { "uploadBytesMax": UPLOAD_BYTES_MAX } })
    );
    door.platform.revoke(&caller).await;
    let answer = door.graphql(&token, "{ viewer { role } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    door.close().await;
}

#[tokio::test]
async fn a_page_of_the_public_address_may_open_a_websocket_and_a_foreign_one_may_not() {
    let door = Door::open().await;
    for (origin, status) in [
        ("https://tamiz.example", StatusCode::SWITCHING_PROTOCOLS),
        ("https://evil.example", StatusCode::FORBIDDEN),
    ] {
        let handshake = Client::new()
            .get(door.url("/graphql"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "graphql-transport-ws")
            .header("origin", origin);
        assert_eq!(handshake.send().await.unwrap().status(), status, "{origin}");
    }
    door.close().await;
}

#[tokio::test]
async fn health_and_the_query_page_need_no_token() {
    let door = Door::open().await;
    let get = |path: &str| Client::new().get(door.url(path)).send();
    assert_eq!(get("/healthz").await.unwrap().text().await.unwrap(), "ok\n");
    let ready = get("/readyz").await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(
        ready.json::<Value>().await.unwrap(),
        json!({ "ready": true, "database": "ok", "blobs": "ok" })
    );
    let page = get("/").await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("script-src 'self'")
    );
    assert!(page.text().await.unwrap().contains("graphiql.js"));
    let script = get("/graphiql.js").await.unwrap();
    assert_eq!(script.headers()["content-encoding"], "gzip");
    assert_eq!(
        refusal(get("/nowhere").await.unwrap()).await,
        (StatusCode::NOT_FOUND, "NOT_FOUND".into())
    );
    door.close().await;
}
