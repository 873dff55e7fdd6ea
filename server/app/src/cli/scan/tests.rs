//! The whole way of a scan against a server of a few lines that misbehaves on purpose.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use tamiz_core::Severity;

/// What the server was asked, and how it shall behave.
#[derive(Default)]
struct Fake {
    /// answers 503 to so many requests first
    busy: AtomicU32,
    /// takes so many scans without telling
    loses_answers: AtomicU32,
    /// answers 503 to so many requests after the task was started
    away: AtomicU32,
    /// findings that fit into one answer; any number if 0
    fitting: u64,
    pages: Mutex<Vec<Value>>,
    /// how the task ends; empty: never
    end: &'static str,
    damages_uploads: bool,
    streams: Mutex<Vec<Value>>,
    uploads: Mutex<Vec<(String, usize)>>,
    started: Mutex<Vec<Value>>,
    cancelled: AtomicU32,
}

async fn start(fake: Fake) -> (Arc<Fake>, Url) {
    let fake = Arc::new(fake);
    let routes = axum::Router::new()
        .route("/v1/uploads", post(upload))
        .route("/graphql", post(graphql))
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (fake, Url::parse(&format!("http://{address}")).unwrap())
}

type Names = Query<std::collections::HashMap<String, String>>;

async fn upload(State(fake): State<Arc<Fake>>, Query(query): Names, body: Bytes) -> Response {
    assert_eq!(query["project"], "p1");
    fake.uploads
        .lock()
        .unwrap()
        .push((query["fileName"].clone(), body.len()));
    let mut sha256 = hex::encode(Sha256::digest(&body));
    if fake.damages_uploads {
        sha256 = "00".repeat(32);
    }
    let number = fake.uploads.lock().unwrap().len();
    Json(json!({ "id": format!("u{number}"), "size": body.len(), "sha256": sha256 })).into_response()
}

async fn graphql(State(fake): State<Arc<Fake>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if headers["authorization"] != "Bearer tmz_good" {
        let body = json!({ "errors": [{ "message": "the token is revoked" }] });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    let is_started = !fake.started.lock().unwrap().is_empty();
    if takes_one(&fake.busy) || is_started && takes_one(&fake.away) {
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response();
    }
    let (document, variables) = (body["query"].as_str().unwrap(), &body["variables"]);
    if headers["accept"] == "text/event-stream" {
        assert!(document.contains("taskEvents"));
        return events(&fake, variables);
    }
    let data = if document.contains("archiveEntriesMax") {
        json!({ "viewer": { "limits": { "archiveEntriesMax": 2 } } })
    } else if document.contains("createProject") {
        json!({ "createProject": { "project": { "id": "p1", "name": variables["name"] }, "errors": [] } })
    } else if document.contains("projects") {
        json!({ "projects": { "nodes": [{ "id": "p0", "name": "shopping" }] } })
    } else if document.contains("startScan") || document.contains("importReport") {
        let name = if document.contains("startScan") {
            "startScan"
        } else {
            "importReport"
        };
        fake.started.lock().unwrap().push(variables["input"].clone());
        if takes_one(&fake.loses_answers) {
            return StatusCode::BAD_GATEWAY.into_response();
        }
        json!({ name: { "task": { "id": "t1", "status": "QUEUED" }, "errors": [] } })
    } else if document.contains("cancelTask") {
        fake.cancelled.fetch_add(1, Ordering::SeqCst);
        json!({ "cancelTask": { "errors": [] } })
    } else if document.contains("findings") {
        fake.pages.lock().unwrap().push(variables["first"].clone());
        if fake.fitting > 0 && variables["first"].as_u64() > Some(fake.fitting) {
            let error = json!({ "message": "too much", "extensions": { "code": "RESPONSE_TOO_LARGE" } });
            return Json(json!({ "data": null, "errors": [error] })).into_response();
        }
        page(&fake, &variables["after"])
    } else if document.contains("scanResult") {
        json!({ "task": { "scanResult": { "completeness": "PARTIAL", "diagnostics": [], "diagnosticsDropped": 0 } } })
    } else {
        json!({ "task": { "id": "t1", "status": "RUNNING" } })
    };
    Json(json!({ "data": data })).into_response()
}

fn takes_one(left: &AtomicU32) -> bool {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    taken.is_ok()
}

/// The first stream is cut after two events; the second repeats one and goes on.
fn events(fake: &Fake, variables: &Value) -> Response {
    let mut streams = fake.streams.lock().unwrap();
    streams.push(variables["after"].clone());
    let next = |seq: u32, status: &str| {
        let event = json!({ "seq": seq, "status": status, "phase": "SCANNING", "message": null,
            "done": seq, "total": 3, "createdAt": "2026-01-01T00:00:00Z" });
        format!(
            "event: next\ndata: {}\n\n",
            json!({ "data": { "taskEvents": event } })
        )
    };
    let text = match (streams.len(), fake.end) {
        (1, _) => format!(
            ":\n\n{}{}event: next\ndata: {{\"da",
            next(1, "RUNNING"),
            next(2, "RUNNING")
        ),
        (_, "") => "event: complete\ndata:\n\n".to_owned(),
        (_, end) => format!("{}{}event: complete\ndata:\n\n", next(2, "RUNNING"), next(3, end)),
    };
    ([("content-type", "text/event-stream")], Body::from(text)).into_response()
}

fn page(fake: &Fake, after: &Value) -> Value {
    let finding = |id: &str, severity: &str, file: &str| {
        json!({ "id": id, "severity": severity, "ruleId": "r", "title": "t", "message": "m", "file": file,
            "line": 1, "endLine": 1, "cwe": [79], "cve": [], "tool": "semgrep", "confidence": "HIGH",
            "fingerprint": id })
    };
    let (nodes, has_next) = match after.as_str() {
        None => (
            json!([finding("f1", "HIGH", "z.py"), finding("f2", "HIGH", "a.py")]),
            true,
        ),
        Some("c1") => (json!([finding("f3", "LOW", "a.py")]), false),
        other => panic!("{other:?}"),
    };
    let error = (fake.end == "FAILED").then(|| json!({ "code": "unpack", "message": "the zip is no zip" }));
    json!({ "task": { "status": fake.end, "error": error, "findings": {
        "nodes": nodes, "pageInfo": { "hasNextPage": has_next, "endCursor": "c1" } } } })
}

fn project_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.py"), "eval(input())\n").unwrap();
    std::fs::write(folder.path().join("rules.yml"), "rules: []\n").unwrap();
    folder
}

fn job(folder: &Path, server: &Url) -> Job {
    Job {
        scan_type: CODEAUDIT.to_owned(),
        what: What::Scan(folder.to_owned()),
        rules: None,
        profile: None,
        how: HowArgs {
            project: "shop".to_owned(),
            server: ServerArgs {
                server: server.clone(),
                token: Some("tmz_good".to_owned()),
            },
            format: Format::Table,
            fail_on: None,
            json_output: None,
            timeout: Duration::from_mins(1),
            quiet: true,
            scope: ScopeArgs::default(),
        },
    }
}

#[tokio::test]
async fn a_scan_survives_a_busy_server_and_a_cut_stream_and_reads_every_page() {
    let (fake, server) = start(Fake {
        busy: AtomicU32::new(2),
        end: "COMPLETED",
        ..Fake::default()
    })
    .await;
    let folder = project_folder();
    let job = Job {
        rules: Some(folder.path().join("rules.yml")),
        ..job(folder.path(), &server)
    };
    let client = Client::new(server, "tmz_good").unwrap();
    let report = scan(&job, &client, &Started::default(), &Progress::Quiet)
        .await
        .unwrap();

    let ids: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    assert_eq!(ids, ["f2", "f1", "f3"]);
    assert_eq!(report.completeness.as_deref(), Some("partial"));
    assert_eq!(*fake.streams.lock().unwrap(), [Value::Null, json!(2)]);
    assert_eq!(fake.uploads.lock().unwrap()[1].0, "rules.yml");
    let started = fake.started.lock().unwrap()[0].clone();
    let expected = json!({ "id": started["id"], "projectId": "p1", "scanType": "codeaudit", "uploadId": "u1",
        "rulesUploadId": "u2" });
    assert_eq!(started, expected);
}

#[tokio::test]
async fn a_target_is_sent_without_an_upload_and_a_report_as_it_is() {
    let folder = project_folder();
    let capture = folder.path().join("rules.yml");
    let subjects = [
        (
            What::Target("https://shop.example/".to_owned()),
            json!({ "projectId": "p1", "scanType": "web", "profile": "DEEP",
                "target": { "url": "https://shop.example/" } }),
        ),
        (
            What::Scan(capture.clone()),
            json!({ "projectId": "p1", "scanType": "web", "profile": "DEEP", "uploadId": "u1" }),
        ),
        (
            What::Import(capture),
            json!({ "projectId": "p1", "scanType": "web", "uploadId": "u1" }),
        ),
    ];
    for (what, expected) in subjects {
        let (fake, server) = start(Fake {
            end: "COMPLETED",
            ..Fake::default()
        })
        .await;
        let job = Job {
            what,
            scan_type: "web".to_owned(),
            profile: Some(Thoroughness::Deep),
            ..job(folder.path(), &server)
        };
        run_to(job, &mut Vec::new()).await.unwrap();
        let mut sent = fake.started.lock().unwrap()[0].clone();
        assert!(sent["id"].take().is_string());
        sent.as_object_mut().unwrap().remove("id");
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn a_scan_whose_answer_is_lost_is_asked_for_again_under_the_same_id() {
    let (fake, server) = start(Fake {
        loses_answers: AtomicU32::new(1),
        end: "COMPLETED",
        ..Fake::default()
    })
    .await;
    let folder = project_folder();
    run_to(job(folder.path(), &server), &mut Vec::new())
        .await
        .unwrap();
    let started = fake.started.lock().unwrap().clone();
    assert_eq!(started.len(), 2);
    assert_eq!(started[0], started[1]);
    assert!(started[0]["id"].as_str().unwrap().parse::<TaskId>().is_ok());
    assert_eq!(fake.cancelled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_does_not_end_the_scan() {
    let (fake, server) = start(Fake {
        // the stream, all six tries of the question after it, the next stream
        away: AtomicU32::new(8),
        end: "COMPLETED",
        ..Fake::default()
    })
    .await;
    let folder = project_folder();
    run_to(job(folder.path(), &server), &mut Vec::new())
        .await
        .unwrap();
    assert_eq!(fake.away.load(Ordering::SeqCst), 0);
    assert_eq!(fake.cancelled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn findings_too_long_for_one_answer_are_read_in_smaller_pages() {
    let (fake, server) = start(Fake {
        fitting: 30,
        end: "COMPLETED",
        ..Fake::default()
    })
    .await;
    let folder = project_folder();
    let client = Client::new(server.clone(), "tmz_good").unwrap();
    let job = job(folder.path(), &server);
    let report = scan(&job, &client, &Started::default(), &Progress::Quiet)
        .await
        .unwrap();
    assert_eq!(report.findings.len(), 3);
    assert_eq!(*fake.pages.lock().unwrap(), [100, 50, 25, 25]);
}

#[tokio::test]
async fn findings_at_the_threshold_fail_the_command_and_lesser_ones_do_not() {
    let folder = project_folder();
    for (fail_on, fails) in [
        (FailOn::Findings(Severity::High), true),
        (FailOn::Findings(Severity::Critical), false),
        (FailOn::Never, false),
    ] {
        let (_, server) = start(Fake {
            end: "COMPLETED",
            ..Fake::default()
        })
        .await;
        let written = folder.path().join("findings.json");
        let mut job = job(folder.path(), &server);
        job.how.fail_on = Some(fail_on);
        job.how.format = Format::Json;
        job.how.json_output = Some(written.clone());
        let ended = run_to(job, &mut Vec::new()).await;
        let document: Value = serde_json::from_slice(&std::fs::read(written).unwrap()).unwrap();
        assert_eq!(document["summary"]["bySeverity"]["high"], 2);
        assert_eq!(matches!(ended, Err(CliError::Findings)), fails, "{ended:?}");
    }
}

#[tokio::test]
async fn a_task_that_failed_is_told_with_its_reason() {
    let (_, server) = start(Fake {
        end: "FAILED",
        ..Fake::default()
    })
    .await;
    let folder = project_folder();
    let error = run_to(job(folder.path(), &server), &mut Vec::new())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the task t1 is failed: the zip is no zip");
}

#[tokio::test]
async fn a_scan_that_takes_too_long_is_cancelled() {
    let (fake, server) = start(Fake::default()).await;
    let folder = project_folder();
    let mut job = job(folder.path(), &server);
    job.how.timeout = Duration::from_secs(2);
    let error = run_to(job, &mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("not done after 2 s"), "{error}");
    assert_eq!(fake.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_wrong_before_a_scan_is_said_with_what_to_do() {
    let folder = project_folder();
    let (_, server) = start(Fake {
        damages_uploads: true,
        ..Fake::default()
    })
    .await;
    let damaged = run_to(job(folder.path(), &server), &mut Vec::new())
        .await
        .unwrap_err();
    assert!(damaged.to_string().contains("damaged on its way"), "{damaged}");

    let mut refused = job(folder.path(), &server);
    refused.how.server.token = Some("tmz_bad".to_owned());
    let refused = run_to(refused, &mut Vec::new()).await.unwrap_err();
    assert!(
        matches!(&refused, CliError::Usage(text) if text.contains("the token is revoked")),
        "{refused}"
    );

    let mut missing = job(folder.path(), &server);
    missing.how.server.token = None;
    assert!(
        run_to(missing, &mut Vec::new())
            .await
            .unwrap_err()
            .to_string()
            .contains("TAMIZ_TOKEN")
    );
}

#[tokio::test]
async fn a_folder_with_more_files_than_the_server_takes_is_not_sent() {
    let (fake, server) = start(Fake::default()).await;
    let folder = project_folder();
    std::fs::write(folder.path().join("third.py"), "").unwrap();
    let error = run_to(job(folder.path(), &server), &mut Vec::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, CliError::Usage(text) if text.contains("more than 2 files")),
        "{error}"
    );
    assert!(fake.uploads.lock().unwrap().is_empty());
}
