//! Uploads: bounded before they are read, acknowledged after they are stored, refused with a reason.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::wait::SOON;
use crate::harness::{App, Client, order, report};

const LIMIT_BYTES: usize = 100_000;

/// A tenant that may send 100,000 bytes.
async fn limited(app: &App) -> (Client, String) {
    app.says(&[
        "tenant",
        "create",
        "small",
        "--upload-bytes-max",
        &LIMIT_BYTES.to_string(),
    ]);
    let small = app.token("small", &[]);
    let project = small.project("shop").await;
    (small, project)
}

fn uploads(app: &App) -> String {
    app.sql("select count(*) from tenant.codeaudit_upload")
}

/// Files of the blob store, whatever their names.
fn blobs(app: &App) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| {
                if entry.path().is_dir() {
                    count(&entry.path())
                } else {
                    1
                }
            })
            .sum()
    }
    count(&app.data_dir().join("blobs"))
}

/// Sends a head and `body` over a bare connection, answers the status line without sending the rest.
async fn raw(client: &Client, head: &str, body: &[u8]) -> String {
    let address = client.address().strip_prefix("http://").unwrap().to_owned();
    let mut line = TcpStream::connect(&address).await.unwrap();
    let head = format!("{head}\r\nHost: {address}\r\n\r\n");
    line.write_all(head.as_bytes()).await.unwrap();
    line.write_all(body).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    let read = timeout(SOON, line.read(&mut answer))
        .await
        .expect("an answer before the body ends")
        .unwrap();
    String::from_utf8_lossy(&answer[..read])
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn an_upload_over_the_tenants_limit_is_refused_before_it_is_read() {
    let app = App::start().await;
    let (small, project) = limited(&app).await;
    let limits = small
        .data("{ viewer { limits { uploadBytesMax } } }", Value::Null)
        .await;
    assert_eq!(limits["viewer"]["limits"]["uploadBytesMax"], LIMIT_BYTES);
    let blobs_before = blobs(&app);

    // the length alone is enough: not a byte of the body is sent
    let path = format!("/v1/uploads?project={project}&fileName=x");
    let head = format!(
        "POST {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\nContent-Length: {}",
        small.token(),
        LIMIT_BYTES + 1
    );
    assert!(raw(&small, &head, b"").await.starts_with("HTTP/1.1 413"));

    // without a length it is counted while it streams
    let chunks = (0..LIMIT_BYTES / 1000 + 10).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 1000])));
    let answer = small
        .send(&project, "x", Body::wrap_stream(stream::iter(chunks)))
        .await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = answer.json().await.unwrap();
    let extensions = &body["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["code"], &extensions["limit"]),
        (&json!("UPLOAD_TOO_LARGE"), &json!(LIMIT_BYTES))
    );

    assert_eq!(
        (uploads(&app), blobs(&app)),
        ("0".to_owned(), blobs_before),
        "nothing is stored"
    );
    small.upload(&project, "just fits", vec![7; LIMIT_BYTES]).await;
    let other = app.tenant("large");
    let theirs = other.project("shop").await;
    other.upload(&theirs, "more", vec![7; LIMIT_BYTES + 1]).await;
}

#[tokio::test]
async fn the_servers_own_limit_holds_for_everybody() {
    let app = crate::harness::Plan::new()
        .set("upload_bytes_max", LIMIT_BYTES)
        .start()
        .await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    // whoever is in the middle of sending reads the answer, too
    for bytes in [LIMIT_BYTES + 1, 100 * LIMIT_BYTES] {
        let answer = acme.send(&project, "x", vec![0; bytes]).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{bytes}");
    }
    acme.upload(&project, "fits", vec![0; LIMIT_BYTES]).await;
}

#[tokio::test]
async fn a_bad_upload_gets_an_answer_that_names_the_rule() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let absent = uuid::Uuid::now_v7().to_string();
    for (name, project, body, status, code) in [
        ("empty", project.as_str(), "", 422, "UPLOAD_EMPTY"),
        ("a project that is not there", &absent, "x", 404, "NOT_FOUND"),
        ("a project that is none", "shop", "x", 400, "BAD_REQUEST"),
    ] {
        let answer = acme.send(project, "x", body).await;
        assert_eq!(answer.status().as_u16(), status, "{name}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(
            answer["errors"][0]["extensions"]["code"], code,
            "{name}: {answer}"
        );
    }
    // chunked and empty
    let nothing = stream::iter(Vec::<Result<Bytes, std::io::Error>>::new());
    let answer = acme.send(&project, "x", Body::wrap_stream(nothing)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let get = acme.request(Method::GET, "/v1/uploads").send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    let form = acme.request(Method::POST, &format!("/v1/uploads?project={project}"));
    let form = form
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x--")
        .send()
        .await
        .unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(uploads(&app), "0");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_there() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let before = blobs(&app);
    let address = acme.address().strip_prefix("http://").unwrap().to_owned();
    let mut line = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /v1/uploads?project={project}&fileName=x HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {}\r\nContent-Length: 1000\r\n\r\nonly this",
        acme.token()
    );
    line.write_all(head.as_bytes()).await.unwrap();
    drop(line);
    // another one through the same door is complete when this answer is there
    acme.upload(&project, "y", b"whole".to_vec()).await;
    assert_eq!(uploads(&app), "1");
    crate::harness::until("the half upload's end", SOON, async || {
        (blobs(&app) == before + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn equal_bytes_are_stored_once_and_each_upload_is_its_own() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let before = blobs(&app);
    let first = acme.upload(&project, "a", report::semgrep(3)).await;
    let second = acme.upload(&project, "b", report::semgrep(3)).await;
    assert_ne!(first, second);
    let other = app.tenant("other");
    let theirs = other.project("shop").await;
    other.upload(&theirs, "c", report::semgrep(3)).await;
    assert_eq!(
        blobs(&app),
        before + 2,
        "once for each tenant, for equal bytes must not tell"
    );
    for upload in [first, second] {
        let started = acme.mutate("importReport", order(&project, &upload)).await;
        let task = crate::harness::text(&started["task"]["id"]);
        assert_eq!(
            acme.ends_as(&task, "COMPLETED").await["findings"]["totalCount"],
            3
        );
    }
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let path = format!("/v1/uploads?project={project}&fileName=x");
    for authorization in [
        "",
        "\r\nAuthorization: Bearer tmz_wrong",
        "\r\nAuthorization: Basic YTpi",
    ] {
        // a body of 100 MB is announced and never sent
        let head = format!("POST {path} HTTP/1.1\r\nContent-Length: 100000000{authorization}");
        let status = timeout(Duration::from_secs(30), raw(&acme, &head, b"PK"))
            .await
            .unwrap();
        assert!(status.starts_with("HTTP/1.1 401"), "{authorization:?}: {status}");
    }
    let head = format!("POST {path} HTTP/1.1\r\n{CONTENT_LENGTH}: 5");
    assert!(raw(&acme, &head, b"hello").await.starts_with("HTTP/1.1 401"));
}
