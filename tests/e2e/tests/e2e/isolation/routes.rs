//! Every HTTP route, as the router's source names them, tried with another tenant's things.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::header::{IF_NONE_MATCH, RANGE};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use sha2::Digest as _;

use super::filling::{Candidate, Kind, bare, ghost_of};
use super::world::{WORD, World};
use crate::harness::{Client, checkout};

/// Headers that differ between any two answers.
const PASSING_HEADERS: [&str; 2] = ["x-request-id", "date"];

/// Where workers without the database ask.
const WORKERS: &str = "/worker/v1";

/// The routes of the API's source, tests left out.
pub(crate) fn routes() -> BTreeSet<String> {
    fn gather(folder: &Path, routes: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the API's source").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("test") {
                continue;
            }
            if path.is_dir() {
                gather(&path, routes);
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("source");
            for word in ["nest", "nest_service", "route_service", "fallback_service"] {
                let call = format!(".{word}(");
                let known =
                    usize::from(source.contains("Router::new().nest(wire::ROOT, routes)") && word == "nest");
                assert!(
                    source.matches(&call).count() == known,
                    "teach isolation/routes.rs to read {call} in {name}"
                );
            }
            let root = if folder.ends_with("workers") { WORKERS } else { "" };
            let calls = source.split(".route(").skip(1);
            routes.extend(calls.map(|call| {
                let literal = call.trim_start().strip_prefix('"');
                let literal = literal.unwrap_or_else(|| panic!("{name}: a route that is no literal"));
                format!("{root}{}", literal.split('"').next().expect("a path"))
            }));
        }
    }
    let mut routes = BTreeSet::new();
    gather(&checkout::checkout().join("server/app/src/api"), &mut routes);
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_shows_or_betrays_what_another_tenant_has() {
    let world = World::new().await;
    let routes = routes();
    assert!(routes.len() > 5, "{routes:?}");
    let nobody = world.app.client("");
    for route in &routes {
        for client in [&world.other.client, &nobody] {
            match route.as_str() {
                "/"
                | "/graphiql.js"
                | "/graphiql.css"
                | "/graphiql-examples.js"
                | "/healthz"
                | "/readyz"
                | "/metrics"
                | "/v1/openapi.json" => {
                    let said = answer(client.request(Method::GET, route)).await;
                    assert!(said.starts_with("200"), "{route}: {said}");
                    let leaks = world.leaks(&said, &[]);
                    assert!(leaks.is_empty(), "{route} tells {leaks:?}");
                }
                "/graphql" => graphql(&world, client).await,
                "/v1/uploads" => uploads(&world, client).await,
                "/v1/artifacts/{id}" => artifacts(&world, client).await,
                "/v1/reports" | "/codeaudit/upload" | "/queue/result" => files(&world, client, route).await,
                "/scans/{type}" => scans(&world, client).await,
                "/tasks/{id}" => tasks(&world, client).await,
                "/v1/projects/{id}/{export}" => exports(&world, client).await,
                other if other.starts_with(WORKERS) => for_workers(&world, client, other).await,
                other => panic!("teach isolation/routes.rs what to try at the new route `{other}`"),
            }
        }
    }
    world.end().await;
}

/// Status, headers and body, without what always differs.
async fn answer(request: RequestBuilder) -> String {
    let answer = request.send().await.expect("an answer");
    let id = answer.headers()["x-request-id"]
        .to_str()
        .expect("an id")
        .to_owned();
    let mut lines = vec![answer.status().as_str().to_owned()];
    for (name, value) in answer.headers() {
        if !PASSING_HEADERS.contains(&name.as_str()) {
            lines.push(format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
    }
    lines.push(String::from_utf8_lossy(&answer.bytes().await.expect("a body")).into_owned());
    // errors name their request, and that is all that may differ
    lines.join("\n").replace(&id, "*")
}

impl World {
    fn all_candidates(&self) -> Vec<Candidate> {
        let own = &self.acme.own;
        let ids = own.all_ids().into_iter();
        ids.map(|id| own.candidate(id, WORD)).collect()
    }

    fn check_route(&self, what: &str, candidate: &Candidate, about_real: &str, about_ghost: &str) {
        let leaks = self.leaks(about_real, &[&candidate.real]);
        assert!(leaks.is_empty(), "{what} tells {leaks:?}: {about_real}");
        assert!(about_real.starts_with('4'), "{what}: {about_real}");
        assert_eq!(
            about_real.replace(bare(&candidate.real), "*"),
            about_ghost.replace(bare(&candidate.ghost), "*"),
            "{what} tells whether {candidate:?} exists"
        );
    }
}

/// The fields are tried elsewhere; here what stands around a document.
async fn graphql(world: &World, client: &Client) {
    for candidate in world.all_candidates() {
        let ask = async |name: &str| {
            let body = json!({ "query": "query q { __typename }", "operationName": name });
            answer(client.request(Method::POST, "/graphql").json(&body)).await
        };
        let (about_real, about_ghost) = (ask(&candidate.real).await, ask(&candidate.ghost).await);
        let mask = |said: &str, known: &str| said.replace(known, "*");
        assert_eq!(
            mask(&about_real, &candidate.real),
            mask(&about_ghost, &candidate.ghost)
        );
        assert!(world.leaks(&about_real, &[&candidate.real]).is_empty());
    }
}

async fn uploads(world: &World, client: &Client) {
    let count = || world.app.sql("select count(*) from tenant.codeaudit_upload");
    let before = count();
    for candidate in world.all_candidates() {
        let send = async |project: &str| {
            let request = client.request(Method::POST, "/v1/uploads");
            let query = [("project", project), ("fileName", "x")];
            answer(request.query(&query).body("x")).await
        };
        let (about_real, about_ghost) = (send(&candidate.real).await, send(&candidate.ghost).await);
        world.check_route("an upload", &candidate, &about_real, &about_ghost);
    }
    assert_eq!(count(), before);
}

/// Files for another tenant's project or task: nothing of them is kept, and no key of acme's is known.
async fn files(world: &World, client: &Client, route: &str) {
    let count = || {
        let counted =
            "select (select count(*) from tenant.codeaudit_upload), (select count(*) from tenant.task)";
        world.app.sql(counted)
    };
    let before = count();
    for candidate in world.all_candidates() {
        for field in ["project", "task"] {
            let send = async |id: &str| {
                let request = client.request(Method::POST, route);
                let scan_type = ("scanType", "codeaudit");
                let query: &[(&str, &str)] = match (route, field) {
                    ("/codeaudit/upload", _) | (_, "task") => &[(field, id)],
                    _ => &[(field, id), scan_type],
                };
                let form =
                    format!("--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n{id}\r\n--x--");
                let request = request.header("content-type", "multipart/form-data; boundary=x");
                answer(request.header("idempotency-key", id).query(query).body(form)).await
            };
            let (about_real, about_ghost) = (send(&candidate.real).await, send(&candidate.ghost).await);
            world.check_route(route, &candidate, &about_real, &about_ghost);
        }
    }
    assert_eq!(count(), before);
}

/// A scan in another tenant's project, or of what it uploaded.
async fn scans(world: &World, client: &Client) {
    let own = &world.other.own.ids[&Kind::Project][0];
    let before = world.app.sql("select count(*) from tenant.task");
    for candidate in world.all_candidates() {
        for field in ["project", "uploadId", "reportId", "rulesUploadId"] {
            let send = async |id: &str| {
                let mut wish = json!({ "project": own });
                wish[field] = id.into();
                if field == "project" || field == "rulesUploadId" {
                    wish["reportId"] = id.into();
                }
                let request = client.request(Method::POST, "/scans/codeaudit");
                answer(request.header("idempotency-key", id).json(&wish)).await
            };
            let (about_real, about_ghost) = (send(&candidate.real).await, send(&candidate.ghost).await);
            world.check_route("a scan", &candidate, &about_real, &about_ghost);
        }
    }
    assert_eq!(world.app.sql("select count(*) from tenant.task"), before);
}

async fn tasks(world: &World, client: &Client) {
    for candidate in world.all_candidates() {
        for rest in ["", "?wait=60", "?failOn=new-high"] {
            let ask =
                async |id: &str| answer(client.request(Method::GET, &format!("/tasks/{id}{rest}"))).await;
            let (about_real, about_ghost) = (ask(&candidate.real).await, ask(&candidate.ghost).await);
            world.check_route("a task", &candidate, &about_real, &about_ghost);
        }
    }
}

async fn artifacts(world: &World, client: &Client) {
    let acme = &world.acme;
    let artifact = &acme.own.ids[&Kind::Artifact][0];
    let own = acme
        .client
        .request(Method::GET, &format!("/v1/artifacts/{artifact}"));
    let tag = own.send().await.expect("an answer").headers()["etag"].clone();
    for candidate in world.all_candidates() {
        for method in [Method::GET, Method::HEAD] {
            let request = |id: &str| client.request(method.clone(), &format!("/v1/artifacts/{id}"));
            let (real, ghost) = (&candidate.real, &candidate.ghost);
            for (what, about_real, about_ghost) in [
                ("a download", request(real), request(ghost)),
                (
                    "a part",
                    request(real).header(RANGE, "bytes=0-3"),
                    request(ghost).header(RANGE, "bytes=0-3"),
                ),
                (
                    "a known tag",
                    request(real).header(IF_NONE_MATCH, &tag),
                    request(ghost).header(IF_NONE_MATCH, &tag),
                ),
                (
                    "any tag",
                    request(real).header(IF_NONE_MATCH, "*"),
                    request(ghost).header(IF_NONE_MATCH, "*"),
                ),
            ] {
                let (about_real, about_ghost) = (answer(about_real).await, answer(about_ghost).await);
                world.check_route(what, &candidate, &about_real, &about_ghost);
            }
        }
    }
}

/// Another tenant's project is not there, and what continues its export opens nothing of one's own.
async fn exports(world: &World, client: &Client) {
    for candidate in world.all_candidates() {
        for file in ["alerts.csv", "alerts.sarif?state=open", "alerts.x"] {
            let ask = async |id: &str| {
                let path = format!("/v1/projects/{id}/{file}");
                answer(client.request(Method::GET, &path)).await
            };
            let (about_real, about_ghost) = (ask(&candidate.real).await, ask(&candidate.ghost).await);
            world.check_route("an export", &candidate, &about_real, &about_ghost);
        }
    }
    let own = &world.other.own.ids[&Kind::Project][0];
    for candidate in world.all_candidates() {
        let ask = async |next: &str| {
            let path = format!("/v1/projects/{own}/alerts.csv");
            answer(client.request(Method::GET, &path).query(&[("next", next)])).await
        };
        let (about_real, about_ghost) = (ask(&candidate.real).await, ask(&candidate.ghost).await);
        let leaks = world.leaks(&about_real, &[&candidate.real]);
        assert!(
            leaks.is_empty(),
            "a continued export tells {leaks:?}: {about_real}"
        );
        assert_eq!(about_real, about_ghost, "it tells whether {candidate:?} exists");
    }
}

/// Closed to every tenant, whatever it names.
async fn for_workers(world: &World, client: &Client, route: &str) {
    for candidate in world.all_candidates() {
        for method in [Method::GET, Method::POST, Method::PUT] {
            let ask = async |id: &str| {
                let path = route.replace("{id}", id).replace("{digest}", id);
                let request = client.request(method.clone(), &path);
                let request = request.header("tamiz-worker-protocol", "1");
                answer(request.json(&json!({ "task": id, "worker": id, "tenant": id }))).await
            };
            let (about_real, about_ghost) = (ask(&candidate.real).await, ask(&candidate.ghost).await);
            world.check_route(route, &candidate, &about_real, &about_ghost);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_another_tenants_name_in_it_opens_nothing() {
    let world = World::new().await;
    // tmz_, 22 characters of the tenant, 43 of the secret, 6 of the checksum
    let (acme, other) = (world.acme.client.token(), world.other.client.token());
    let body = format!("{}{}", &acme[4..26], &other[26..69]);
    let spliced = format!("tmz_{body}{}", checksum(&body));
    let known = format!("tmz_{}{}", &other[4..69], checksum(&other[4..69]));
    assert_eq!(known, other, "the test knows how checksums are made");
    let ghost = ghost_of(&acme[26..69]);
    let unknown = format!("{}{ghost}", &acme[4..26]);
    let unknown = format!("tmz_{unknown}{}", checksum(&unknown));
    let ask = async |token: &str| {
        let body = json!({ "query": "{ viewer { tenant { name } } }" });
        let client = world.app.client(token);
        let request = client.request(Method::POST, "/graphql").json(&body);
        answer(request).await
    };
    let refused = ask(&spliced).await;
    assert!(
        refused.starts_with(StatusCode::UNAUTHORIZED.as_str()),
        "{refused}"
    );
    assert_eq!(refused, ask(&unknown).await, "a live secret looks like none");
    let mistyped = format!("{}{}", &acme[..26], &other[26..]);
    assert!(
        ask(&mistyped)
            .await
            .starts_with(StatusCode::UNAUTHORIZED.as_str())
    );
    assert!(ask(other).await.starts_with(StatusCode::OK.as_str()));
    world.end().await;
}

/// The last six characters of a token: 32 bits of a SHA-256 in base 62.
fn checksum(body: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = sha2::Sha256::digest(body.as_bytes());
    let mut number = u32::from_be_bytes(digest[..4].try_into().expect("four bytes"));
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}
