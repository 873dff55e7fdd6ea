//! The description and the server say the same: each address, each method, each status.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::described::Described;
use super::{CODE, REPORTS, RESULTS, SCANS, TASK, form, shop};
use crate::harness::{App, Client, text};
use crate::isolation::source_routes;

const UPLOADS: &str = "POST /v1/uploads";
const ARTIFACT: &str = "GET /v1/artifacts/{id}";
const EXPORT: &str = "GET /v1/projects/{id}/{export}";

/// Addresses that are no part of it, with the reason.
const NOT_DESCRIBED: [(&str, &str); 6] = [
    ("/", "a page"),
    ("/graphiql.js", "of the page"),
    ("/graphiql.css", "of the page"),
    ("/graphiql-examples.js", "of the page"),
    ("/graphql", "GraphQL describes itself"),
    ("/metrics", "Prometheus describes itself"),
];
/// Whose protocol is between programs of one version.
const WORKERS: &str = "/worker/v1";

#[test]
fn every_address_of_clients_is_described_and_no_other() {
    let mut routes = source_routes();
    routes.retain(|route| !route.starts_with(WORKERS));
    for (route, _) in NOT_DESCRIBED {
        assert!(routes.remove(route), "{route} is gone");
    }
    assert_eq!(Described::new().addresses(), routes);
}

/// What a request brings.
enum Sent<'a> {
    Nothing,
    Bytes(Vec<u8>),
    Json(Value),
    Form(&'a [(&'a str, &'a [u8])]),
    Headers(&'a [(&'static str, &'a str)]),
}

impl Sent<'_> {
    fn fill(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Sent::Nothing => request,
            Sent::Bytes(bytes) => request.body(bytes),
            Sent::Json(body) => request.json(&body),
            Sent::Form(parts) => form(request, parts),
            Sent::Headers(headers) => headers
                .iter()
                .fold(request, |request, (name, value)| request.header(*name, *value)),
        }
    }
}

/// Everybody that there is, and something of acme's.
struct Scene {
    app: App,
    api: Described,
    acme: Client,
    viewer: Client,
    operator: Client,
    nobody: Client,
    /// May send few bytes.
    small: Client,
    project: String,
    task: String,
    artifact: String,
}

impl Scene {
    async fn new() -> Self {
        let app = App::start().await;
        let acme = app.tenant("acme");
        let project = acme.project("shop").await;
        let task = acme.import(&project, "report", shop(0)).await;
        let task = acme.ends_as(&task, "COMPLETED").await;
        let artifact = text(&task["artifacts"][0]["id"]);
        app.says(&["tenant", "create", "small", "--upload-bytes-max", "100"]);
        let small = app.token("small", &[]);
        small.project("shop").await;
        let operator = app.says(&["operator", "token", "create", "--name", "them"]);
        Self {
            api: Described::new(),
            viewer: app.token("acme", &["--role", "viewer"]),
            operator: app.client(&operator),
            nobody: app.client(""),
            task: text(&task["id"]),
            app,
            acme,
            small,
            project,
            artifact,
        }
    }

    async fn says(&self, status: u16, client: &Client, operation: &str, path: &str, sent: Sent<'_>) {
        let answer = self
            .api
            .ask(client, operation, path, |request| sent.fill(request))
            .await;
        assert_eq!(answer.status, status, "{operation} {path}: {:#}", answer.body);
    }

    /// What is refused alike wherever a file is sent.
    async fn files(&self, operation: &str, base: &str, taken: u16) {
        let (large, file) = (vec![b'x'; 200_000], shop(0));
        let of = |query: &str| format!("{base}{query}");
        let right = of("project=shop");
        let parts: [(&str, &[u8]); 1] = [("file", &file)];
        let sent = || match operation {
            CODE => Sent::Form(&parts),
            _ => Sent::Bytes(file.clone()),
        };
        let large_parts: [(&str, &[u8]); 1] = [("file", &large)];
        let too_much = match operation {
            CODE => Sent::Form(&large_parts),
            _ => Sent::Bytes(large.clone()),
        };
        let empty: [(&str, &[u8]); 1] = [("file", b"")];
        let nothing = || match operation {
            CODE => Sent::Form(&empty),
            _ => Sent::Bytes(Vec::new()),
        };
        self.says(taken, &self.acme, operation, &right, sent()).await;
        self.says(400, &self.acme, operation, &of("project=shop&projekt=x"), sent())
            .await;
        self.says(401, &self.nobody, operation, &right, sent()).await;
        self.says(403, &self.viewer, operation, &right, sent()).await;
        self.says(403, &self.operator, operation, &right, sent()).await;
        self.says(404, &self.acme, operation, &of("project=none"), sent())
            .await;
        self.says(413, &self.small, operation, &right, too_much).await;
        let packed = [("content-encoding", "br")];
        self.says(415, &self.acme, operation, &right, Sent::Headers(&packed))
            .await;
        self.says(422, &self.acme, operation, &right, nothing()).await;
    }

    async fn downloads(&self) {
        let artifact = format!("/v1/artifacts/{}", self.artifact);
        let request = self.acme.request(Method::GET, &artifact).send().await.unwrap();
        let tag = request.headers()["etag"].to_str().unwrap().to_owned();
        let gone = artifact.replace(|digit: char| digit.is_ascii_digit(), "0");
        let alerts = format!("/v1/projects/{}/alerts.csv", self.project);
        let others = format!("/v1/projects/{}/alerts.csv", self.task);
        for (status, client, operation, path, sent) in [
            (200, &self.acme, ARTIFACT, &artifact, Sent::Nothing),
            (
                206,
                &self.acme,
                ARTIFACT,
                &artifact,
                Sent::Headers(&[("range", "bytes=0-3")]),
            ),
            (
                304,
                &self.acme,
                ARTIFACT,
                &artifact,
                Sent::Headers(&[("if-none-match", &tag)]),
            ),
            (
                416,
                &self.acme,
                ARTIFACT,
                &artifact,
                Sent::Headers(&[("range", "bytes=900000000-")]),
            ),
            (401, &self.nobody, ARTIFACT, &artifact, Sent::Nothing),
            (403, &self.operator, ARTIFACT, &artifact, Sent::Nothing),
            (404, &self.acme, ARTIFACT, &gone, Sent::Nothing),
            (200, &self.acme, EXPORT, &alerts, Sent::Nothing),
            (
                400,
                &self.acme,
                EXPORT,
                &format!("{alerts}?state=closed"),
                Sent::Nothing,
            ),
            (401, &self.nobody, EXPORT, &alerts, Sent::Nothing),
            (403, &self.operator, EXPORT, &alerts, Sent::Nothing),
            (404, &self.acme, EXPORT, &others, Sent::Nothing),
        ] {
            self.says(status, client, operation, path, sent).await;
        }
    }

    async fn uploads(&self) {
        let (project, task) = (&self.project, &self.task);
        let path = format!("/v1/uploads?project={project}");
        let bytes = |count: usize| Sent::Bytes(vec![b'x'; count]);
        for (status, client, path, sent) in [
            (201, &self.acme, path.clone(), bytes(9)),
            (400, &self.acme, "/v1/uploads".to_owned(), bytes(9)),
            (401, &self.nobody, path.clone(), bytes(9)),
            (403, &self.viewer, path.clone(), bytes(9)),
            (
                404,
                &self.acme,
                format!("/v1/uploads?project={}", task.trim_start_matches("Task_")),
                bytes(9),
            ),
            (413, &self.small, path.clone(), bytes(200_000)),
            (
                415,
                &self.acme,
                path.clone(),
                Sent::Headers(&[("content-encoding", "gzip")]),
            ),
            (422, &self.acme, path.clone(), bytes(0)),
        ] {
            self.says(status, client, UPLOADS, &path, sent).await;
        }
    }

    async fn scans_and_tasks(&self) {
        let upload = self.acme.upload(&self.project, "report", shop(1)).await;
        let wish = || Sent::Json(json!({ "project": "shop", "reportId": upload }));
        let elsewhere = || Sent::Json(json!({ "project": "none", "reportId": upload }));
        let path = "/scans/codeaudit";
        for (status, client, sent) in [
            (202, &self.acme, wish()),
            (
                400,
                &self.acme,
                Sent::Json(json!({ "project": "shop", "reportIdx": upload })),
            ),
            (401, &self.nobody, wish()),
            (403, &self.viewer, wish()),
            (404, &self.acme, elsewhere()),
            (415, &self.acme, Sent::Bytes(b"{}".to_vec())),
            (422, &self.acme, Sent::Json(json!({ "project": "shop" }))),
        ] {
            self.says(status, client, SCANS, path, sent).await;
        }
        let task = format!("/tasks/{}", self.task);
        for (status, client, path) in [
            (200, &self.viewer, format!("{task}?failOn=new-high&wait=60")),
            (400, &self.acme, format!("{task}?failon=high")),
            (401, &self.nobody, task.clone()),
            (403, &self.operator, task.clone()),
            (404, &self.acme, format!("/tasks/{upload}")),
            (422, &self.acme, format!("{task}?wait=61")),
            (422, &self.acme, format!("{task}?failOn=")),
        ] {
            self.says(status, client, TASK, &path, Sent::Nothing).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_status_is_one_that_the_server_answers() {
    let scene = Scene::new().await;
    scene
        .files(REPORTS, "/v1/reports?scanType=codeaudit&wait=60&", 200)
        .await;
    scene
        .says(
            202,
            &scene.acme,
            REPORTS,
            "/v1/reports?project=shop&scanType=codeaudit&wait=0",
            Sent::Bytes(shop(3)),
        )
        .await;
    scene
        .files(RESULTS, "/queue/result?scanType=codeaudit&", 202)
        .await;
    scene.uploads().await;
    scene.downloads().await;
    scene.scans_and_tasks().await;
    for path in ["/healthz", "/readyz", "/v1/openapi.json"] {
        scene
            .says(200, &scene.nobody, &format!("GET {path}"), path, Sent::Nothing)
            .await;
    }
    let described = scene.nobody.request(Method::GET, "/v1/openapi.json");
    let described: Value = described.send().await.unwrap().json().await.unwrap();
    assert_eq!(described["openapi"], "3.1.0");

    // nobody imports what must not be imported, so the one scan of an archive comes last and is taken back
    scene.files(CODE, "/codeaudit/upload?", 202).await;
    let waiting = "select id from tenant.task where status in ('queued', 'running', 'retrying')";
    for task in scene.app.sql(waiting).lines() {
        scene.acme.mutate("cancelTask", json!({ "taskId": task })).await;
        scene.acme.ended(task).await;
    }
    assert_eq!(scene.api.unseen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_method_is_refused_with_the_ones_that_are_there() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let api = Described::new();
    let mut allowed: BTreeSet<(String, &str)> = BTreeSet::new();
    for operation in api.operations() {
        let (method, path) = operation.split_once(' ').unwrap();
        allowed.insert((
            path.to_owned(),
            if method == "GET" { "GET, HEAD" } else { "POST" },
        ));
    }
    for (path, methods) in allowed {
        if ["/healthz", "/readyz"].contains(&path.as_str()) {
            continue;
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let asked = path
                .replace("{id}", "1")
                .replace("{type}", "web")
                .replace("{export}", "alerts.csv");
            let answer = acme.request(method, &asked).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(answer.headers()["allow"], methods, "{path}");
        }
    }
}
