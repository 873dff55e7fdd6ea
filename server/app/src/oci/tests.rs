//! A registry that lies, in this process: what pulling and verifying must notice. Honest registries are in
//! `tests/e2e`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Value, json};

use super::artifact::describe;
use super::signature::{documents, layer, payload, tag};
use super::*;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What `wkg` pushed; see the README beside it.
const WKG_COMPONENT: &[u8] = include_bytes!("../../../../tests/fixtures/oci/component.wasm");
const WKG_CONFIG: &[u8] = include_bytes!("../../../../tests/fixtures/oci/config.json");
const WKG_MANIFEST: &[u8] = include_bytes!("../../../../tests/fixtures/oci/manifest.json");

type Answers = HashMap<String, Box<dyn Fn() -> Response<Body> + Send>>;

/// What it has, by path below `/v2/team/x/`, and what was asked for.
#[derive(Clone, Default)]
struct Liar {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    /// Serves on a port of its own until the test ends; gives `127.0.0.1:PORT`.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address.to_string()
    }

    fn put(&self, path: &str, make: impl Fn() -> Response<Body> + Send + 'static) {
        self.answers
            .lock()
            .unwrap()
            .insert(path.to_owned(), Box::new(make));
    }

    fn put_bytes(&self, path: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.put(path, move || Response::new(Body::from(bytes.clone())));
    }

    fn put_blob(&self, bytes: &[u8]) {
        self.put_bytes(&format!("blobs/{}", digest_of(bytes)), bytes.to_vec());
    }

    fn was_asked_for(&self, part: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|path| path.contains(part))
    }
}

async fn answer(State(liar): State<Liar>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let who = headers
        .get(AUTHORIZATION)
        .map_or("", |value| value.to_str().unwrap());
    liar.asked.lock().unwrap().push(format!("{uri} {who}"));
    let path = uri.path().strip_prefix("/v2/team/x/").unwrap_or(uri.path());
    let answers = liar.answers.lock().unwrap();
    answers.get(path).map_or_else(not_found, |make| make())
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Not whom the machine's own docker is logged in as.
fn nobody() -> Access {
    Access {
        plain_http: false,
        login: Some(("nobody".to_owned(), String::new())),
    }
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": describe(CONFIG_TYPE, b"{}"),
        "layers": [describe(LAYER_TYPE, COMPONENT)],
    })
}

/// Pulls `team/x:1` of a registry with this manifest.
async fn pull(liar: &Liar, manifest: &Value, keys: Option<&[PublicKey]>) -> Result<Pulled, OciError> {
    liar.put_bytes("manifests/1", manifest.to_string());
    let reference = format!("{}/team/x:1", liar.start().await);
    pull_verified(&reference.parse().unwrap(), &nobody(), keys).await
}

#[tokio::test]
async fn an_honest_artifact_is_pulled() {
    let liar = Liar::default();
    liar.put_blob(COMPONENT);
    let pulled = pull(&liar, &manifest(), None).await.unwrap();
    assert_eq!(pulled.bytes, COMPONENT);
    assert_eq!(
        pulled.manifest_digest,
        digest_of(manifest().to_string().as_bytes())
    );
    assert!(pulled.reference.to_string().ends_with(&pulled.manifest_digest));
    assert_eq!(pulled.signed_by, None);
}

#[tokio::test]
async fn an_artifact_of_wkg_is_pulled() {
    let liar = Liar::default();
    liar.put_blob(WKG_CONFIG);
    liar.put_blob(WKG_COMPONENT);
    liar.put_bytes("manifests/1", WKG_MANIFEST);
    let reference = format!("{}/team/x:1", liar.start().await);
    let pulled = pull_verified(&reference.parse().unwrap(), &nobody(), None)
        .await
        .unwrap();
    assert_eq!(pulled.bytes, WKG_COMPONENT);
    assert_eq!(pulled.manifest_digest, digest_of(WKG_MANIFEST));
}

#[test]
fn what_is_written_is_what_wkg_writes_of_the_same_component() {
    let about = About {
        title: "component".to_owned(),
        version: "1.0.0".to_owned(),
        ..About::default()
    };
    let ours = Artifact::new(WKG_COMPONENT.to_vec(), &about).unwrap();
    let read = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };

    let (mut config, mut wkg_config) = (read(&ours.config), read(WKG_CONFIG));
    for config in [&mut config, &mut wkg_config] {
        let created = config.as_object_mut().unwrap().remove("created");
        assert!(created.is_some_and(|created| created.is_string()));
    }
    assert_eq!(config, wkg_config);

    // Only the config's digest and size, because of its date, and our title differ.
    let (mut manifest, wkg_manifest) = (read(&ours.manifest), read(WKG_MANIFEST));
    assert_eq!(manifest["config"], json!(describe(CONFIG_TYPE, &ours.config)));
    manifest["config"] = wkg_manifest["config"].clone();
    let title = manifest["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("org.opencontainers.image.title");
    assert_eq!(title, Some(json!("component")));
    assert_eq!(manifest, wkg_manifest);
    assert_eq!(wkg_manifest["config"], json!(describe(CONFIG_TYPE, WKG_CONFIG)));
}

#[tokio::test]
async fn what_is_no_wasm_artifact_is_refused_before_it_is_fetched() {
    let change = |path: &str, value: Value| {
        let mut manifest = manifest();
        *manifest.pointer_mut(path).unwrap() = value;
        manifest
    };
    let two = json!([describe(LAYER_TYPE, COMPONENT), describe(LAYER_TYPE, COMPONENT)]);
    let index = json!({ "schemaVersion": 2, "manifests": [] });
    for (manifest, says) in [
        (
            change(
                "/config/mediaType",
                json!("application/vnd.oci.image.config.v1+json"),
            ),
            "its config is",
        ),
        (
            change(
                "/layers/0/mediaType",
                json!("application/vnd.oci.image.layer.v1.tar"),
            ),
            "its layer is",
        ),
        (change("/layers", json!([])), "it has 0 layers"),
        (change("/layers", two), "it has 2 layers"),
        (
            change("/layers/0/digest", json!("sha256:../../x")),
            "not by SHA-256",
        ),
        (change("/layers/0/size", json!(-1)), "-1 bytes"),
        (
            change("/layers/0/size", json!(COMPONENT_BYTES_MAX + 1)),
            "more than 33554432 bytes",
        ),
        (index, "index of several images"),
        (json!("nonsense"), "not readable"),
    ] {
        let liar = Liar::default();
        let error = pull(&liar, &manifest, None).await.unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!liar.was_asked_for("/blobs/"), "{says}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_manifest_says_is_damaged() {
    let path = format!("blobs/{}", digest_of(COMPONENT));
    for (bytes, says) in [
        (b"\0asm\x0d\0\x01\x01".to_vec(), "is damaged"),
        (COMPONENT[..7].to_vec(), "is damaged"),
        ([COMPONENT, b"more"].concat(), "more than 8 bytes"),
    ] {
        let liar = Liar::default();
        liar.put_bytes(&path, bytes);
        let error = pull(&liar, &manifest(), None).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_is_no_plugin() {
    let liar = Liar::default();
    liar.put(&format!("blobs/{}", digest_of(COMPONENT)), || {
        let pieces = [Ok(&COMPONENT[..4]), Err(std::io::Error::other("gone"))];
        let mut response = Response::new(Body::from_stream(futures_util::stream::iter(pieces)));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, COMPONENT.len().into());
        response
    });
    let error = pull(&liar, &manifest(), None).await.unwrap_err();
    assert!(matches!(error, OciError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn an_endless_manifest_is_left_at_its_limit() {
    let liar = Liar::default();
    liar.put("manifests/endless", || {
        let piece = Bytes::from(vec![b' '; 1 << 16]);
        let endless = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
        Response::new(Body::from_stream(endless))
    });
    let reference = format!("{}/team/x:endless", liar.start().await).parse().unwrap();
    let error = pull_verified(&reference, &nobody(), None).await.unwrap_err();
    assert!(matches!(error, OciError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn redirects_end_and_addresses_in_a_manifest_are_not_followed() {
    let liar = Liar::default();
    liar.put("manifests/round", || {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response
            .headers_mut()
            .insert(LOCATION, "/v2/team/x/manifests/round".parse().unwrap());
        response
    });
    let reference = format!("{}/team/x:round", liar.start().await).parse().unwrap();
    let error = pull_verified(&reference, &nobody(), None).await.unwrap_err();
    assert!(matches!(error, OciError::Unreachable { .. }), "{error}");

    let liar = Liar::default();
    let elsewhere = liar.start().await;
    let mut manifest = manifest();
    manifest["layers"][0]["urls"] = json!([format!("http://{elsewhere}/elsewhere")]);
    let error = pull(&liar, &manifest, None).await.unwrap_err();
    assert!(matches!(error, OciError::NotFound { .. }), "{error}");
    assert!(!liar.was_asked_for("elsewhere"));
}

#[tokio::test]
async fn a_manifest_must_have_the_digest_that_was_asked_for() {
    let liar = Liar::default();
    let digest = digest_of(b"another manifest");
    liar.put_bytes(&format!("manifests/{digest}"), manifest().to_string());
    let reference = format!("{}/team/x@{digest}", liar.start().await).parse().unwrap();
    let error = pull_verified(&reference, &nobody(), None).await.unwrap_err();
    assert!(matches!(error, OciError::Damaged { .. }), "{error}");
}

/// A registry with an honest artifact and these signatures of it: payload and base64.
fn signed(signatures: &[(&[u8], String)]) -> Liar {
    let liar = Liar::default();
    liar.put_blob(COMPONENT);
    let layers = signatures.iter().map(|(payload, signature)| {
        liar.put_blob(payload);
        layer(payload, signature.clone())
    });
    let (_, document) = documents(layers.collect()).unwrap();
    let place = tag(&digest_of(manifest().to_string().as_bytes()));
    liar.put_bytes(&format!("manifests/{place}"), document);
    liar
}

fn payload_of(digest: &str) -> Vec<u8> {
    payload(&"registry.example/team/x:1".parse().unwrap(), digest).unwrap()
}

#[tokio::test]
async fn a_good_signature_is_found_among_bad_ones() {
    let (ours, other) = (PrivateKey::generate(), PrivateKey::generate());
    let good = payload_of(&digest_of(manifest().to_string().as_bytes()));
    let old = payload_of(&digest_of(b"another manifest"));
    let liar = signed(&[
        (&good, "nonsense".to_owned()),
        (&old, ours.sign(&old)),
        (&good, other.sign(&good)),
        (&good, ours.sign(&good)),
    ]);
    let pulled = pull(&liar, &manifest(), Some(&[ours.public()])).await.unwrap();
    assert_eq!(pulled.signed_by, Some(ours.public().fingerprint()));
}

#[tokio::test]
async fn a_signature_that_does_not_fit_is_none_and_nothing_is_fetched() {
    let (ours, other) = (PrivateKey::generate(), PrivateKey::generate());
    let good = payload_of(&digest_of(manifest().to_string().as_bytes()));
    let old = payload_of(&digest_of(b"another manifest"));
    let tampered = [&good[..good.len() - 1], b" }"].concat();
    for (payload, signature, says) in [
        (&good, other.sign(&good), "of another key"),
        (&old, ours.sign(&old), "it is of sha256:"),
        (&tampered, ours.sign(&good), "of another key"),
    ] {
        let liar = signed(&[(payload, signature)]);
        let error = pull(&liar, &manifest(), Some(&[ours.public()]))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert!(!liar.was_asked_for(&digest_of(COMPONENT)), "{says}");
    }
    for keys in [vec![], vec![ours.public()]] {
        let liar = Liar::default();
        let error = pull(&liar, &manifest(), Some(&keys)).await.unwrap_err();
        assert!(matches!(error, OciError::Unsigned { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_payload_that_was_swapped_in_the_registry_does_not_fit() {
    let ours = PrivateKey::generate();
    let good = payload_of(&digest_of(manifest().to_string().as_bytes()));
    let liar = signed(&[(&good, ours.sign(&good))]);
    let mut swapped = good.clone();
    swapped[20] ^= 1;
    liar.put_bytes(&format!("blobs/{}", digest_of(&good)), swapped);
    let error = pull(&liar, &manifest(), Some(&[ours.public()]))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[tokio::test]
async fn a_registry_that_gives_tokens_gets_its_token_back_and_the_password_once() {
    let liar = Liar::default();
    let address = liar.start().await;
    let challenge = format!("Bearer realm=\"http://{address}/token\",service=\"test\"");
    liar.put("/v2/", move || {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
        response
    });
    liar.put_bytes("/token", r#"{"token": "abc"}"#);
    liar.put_bytes("manifests/1", manifest().to_string());
    liar.put_blob(COMPONENT);
    let reference = format!("{address}/team/x:1").parse().unwrap();
    pull_verified(&reference, &nobody(), None).await.unwrap();

    let asked = liar.asked.lock().unwrap().clone();
    let with = |part: &str| asked.iter().filter(|line| line.contains(part)).count();
    assert_eq!(with("Basic "), 1, "{asked:?}");
    assert!(
        asked
            .iter()
            .any(|line| line.starts_with("/token?scope=repository%3Ateam%2Fx%3Apull")),
        "{asked:?}"
    );
    let layer = format!("/v2/team/x/blobs/{} Bearer abc", digest_of(COMPONENT));
    assert!(asked.contains(&layer) && asked.contains(&"/v2/team/x/manifests/1 Bearer abc".to_owned()));
}
