//! One repository of a registry: its manifests and blobs, both ways.
//!
//! Reading is done here, with a limit on bytes, time and redirects; `oci-client` reads whole answers into
//! memory and follows the addresses in a manifest. Logging in and pushing are its work.

use std::time::Duration;

use oci_client::RegistryOperation;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{Access, MANIFEST_BYTES_MAX, MANIFEST_TYPE, OciError, Reference};

/// A registry across the world answers a connection within a second.
const CONNECT_SECONDS_MAX: u64 = 10;
/// Between two pieces of an answer; a registry that stalls longer is gone.
const READ_SECONDS_MAX: u64 = 30;
/// One request with its whole answer: 32 MiB at half a megabit a second.
const REQUEST_SECONDS_MAX: u64 = 600;
/// A credential helper that asks a person who is there.
const HELPER_SECONDS_MAX: u64 = 60;
/// Registries send readers to their storage in one step, sometimes two.
const REDIRECTS_MAX: usize = 5;
/// Asked for, so that registries answer with what lies there instead of converting it.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// A registry as one caller may use it.
pub(super) struct Registry {
    name: String,
    scheme: &'static str,
    auth: RegistryAuth,
    pusher: oci_client::Client,
    reader: reqwest::Client,
    /// What the registry gave for our credentials, for reading this one repository.
    token: tokio::sync::OnceCell<Option<String>>,
}

/// A manifest and what its bytes are called.
pub(super) struct Manifest {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
}

impl Registry {
    /// The registry that `reference` names. Nothing is sent yet.
    pub(super) async fn open(reference: &Reference, access: &Access) -> Result<Self, OciError> {
        let name = reference.registry().to_owned();
        let asked = (access.clone(), name.clone());
        // A credential helper is another process, which may ask its user.
        let asking = tokio::task::spawn_blocking(move || asked.0.credentials(&asked.1));
        let limit = Duration::from_secs(HELPER_SECONDS_MAX);
        let auth = match tokio::time::timeout(limit, asking).await {
            Ok(Ok(auth)) => auth?,
            Ok(Err(error)) => return Err(unreachable_because(&name, "", error)),
            Err(_) => {
                return Err(OciError::Credentials {
                    registry: name,
                    why: format!(
                        "docker's credential helper did not answer within {HELPER_SECONDS_MAX} seconds"
                    ),
                });
            }
        };
        let scheme = access.scheme(reference);
        let config = ClientConfig {
            protocol: if scheme == "http" {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            // The one way that every registry takes.
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(CONNECT_SECONDS_MAX)),
            read_timeout: Some(Duration::from_secs(READ_SECONDS_MAX)),
            user_agent: concat!("tamiz/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let pusher =
            oci_client::Client::try_from(config).map_err(|error| unreachable_because(&name, "", error))?;
        let reader = reqwest::Client::builder()
            .user_agent(concat!("tamiz/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .read_timeout(Duration::from_secs(READ_SECONDS_MAX))
            .timeout(Duration::from_secs(REQUEST_SECONDS_MAX))
            .redirect(Policy::custom(follow))
            .build()
            .map_err(|error| unreachable_because(&name, "", error))?;
        Ok(Registry {
            name,
            scheme,
            auth,
            pusher,
            reader,
            token: tokio::sync::OnceCell::new(),
        })
    }

    /// The manifest that `reference` names; `None` when there is none.
    pub(super) async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>, OciError> {
        let path = format!("manifests/{}", reference.version());
        let what = reference.to_string();
        let Some(answer) = self.get(reference, &path, MANIFEST_TYPES, &what).await? else {
            return Ok(None);
        };
        let announced = answer.headers().get("docker-content-digest").cloned();
        let (bytes, digest) = self
            .read(answer, MANIFEST_BYTES_MAX, &format!("the manifest of {what}"))
            .await?;
        let announced = announced.as_ref().and_then(|digest| digest.to_str().ok());
        for expected in [reference.digest(), announced].into_iter().flatten() {
            if expected.starts_with("sha256:") && expected != digest {
                return Err(OciError::Damaged {
                    what: format!("the manifest of {what}"),
                    expected: expected.to_owned(),
                    found: digest,
                });
            }
        }
        Ok(Some(Manifest { bytes, digest }))
    }

    /// The bytes that `digest` names, which must be `size` many.
    pub(super) async fn blob(
        &self,
        reference: &Reference,
        digest: &str,
        size: u64,
        what: &str,
    ) -> Result<Vec<u8>, OciError> {
        let answer = self
            .get(reference, &format!("blobs/{digest}"), "*/*", what)
            .await?;
        let answer = answer.ok_or_else(|| OciError::NotFound {
            reference: format!("{} for {what}", reference.with_digest(digest)),
        })?;
        let (bytes, found) = self.read(answer, size, what).await?;
        if found == digest && bytes.len() as u64 == size {
            return Ok(bytes);
        }
        Err(OciError::Damaged {
            what: what.to_owned(),
            expected: format!("{digest} of {size} bytes"),
            found: format!("{found} of {} bytes", bytes.len()),
        })
    }

    /// Puts blobs and then the manifest that names them under the reference's tag.
    pub(super) async fn put(
        &self,
        reference: &Reference,
        blobs: &[(&'static str, &[u8])],
        manifest: Vec<u8>,
    ) -> Result<(), OciError> {
        let log_in = self
            .pusher
            .auth(reference.inner(), &self.auth, RegistryOperation::Push);
        self.pushed(log_in, "the log-in").await?;
        for (what, bytes) in blobs {
            let digest = super::digest_of(bytes);
            let there = self.pusher.blob_exists(reference.inner(), &digest);
            if self.pushed(there, what).await? {
                continue;
            }
            let put = self.pusher.push_blob(reference.inner(), bytes.to_vec(), &digest);
            self.pushed(put, what).await?;
        }
        let media_type = HeaderValue::from_static(MANIFEST_TYPE);
        let put = self
            .pusher
            .push_manifest_raw(reference.inner(), manifest, media_type);
        self.pushed(put, "the manifest").await.map(drop)
    }

    async fn pushed<T>(
        &self,
        work: impl Future<Output = Result<T, OciDistributionError>>,
        what: &'static str,
    ) -> Result<T, OciError> {
        self.in_time(work)
            .await?
            .map_err(|error| self.explain(error, what))
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, OciError> {
        let limit = Duration::from_secs(REQUEST_SECONDS_MAX);
        tokio::time::timeout(limit, work)
            .await
            .map_err(|_| OciError::TimedOut {
                registry: self.name.clone(),
                seconds: REQUEST_SECONDS_MAX,
            })
    }

    /// Asks for something below the repository; `None` when it is not there.
    async fn get(
        &self,
        reference: &Reference,
        path: &str,
        accept: &str,
        what: &str,
    ) -> Result<Option<Response>, OciError> {
        let log_in = self
            .pusher
            .auth(reference.inner(), &self.auth, RegistryOperation::Pull);
        let token = self
            .token
            .get_or_try_init(|| self.pushed(log_in, "the log-in"))
            .await?;
        let (name, repository) = (&self.name, reference.repository());
        let request = self
            .reader
            .get(format!("{}://{name}/v2/{repository}/{path}", self.scheme))
            .header(ACCEPT, accept);
        let request = match (token, &self.auth) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(user, password)) => request.basic_auth(user, Some(password)),
            (None, _) => request,
        };
        let answer = request.send().await.map_err(|error| self.lost(error))?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied()),
            status => Err(OciError::Answered {
                registry: name.clone(),
                status: status.as_u16(),
                what: what.to_owned(),
            }),
        }
    }

    /// At most `limit` bytes of an answer, with their digest.
    async fn read(
        &self,
        mut answer: Response,
        limit: u64,
        what: &str,
    ) -> Result<(Vec<u8>, String), OciError> {
        let too_large = || OciError::TooLarge {
            what: what.to_owned(),
            limit,
        };
        let announced = answer.content_length().unwrap_or_default();
        if announced > limit {
            return Err(too_large());
        }
        let (mut bytes, mut hash) = (Vec::new(), Sha256::new());
        while let Some(piece) = answer.chunk().await.map_err(|error| self.lost(error))? {
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(too_large());
            }
            hash.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes, format!("sha256:{}", hex::encode(hash.finalize()))))
    }

    fn explain(&self, error: OciDistributionError, what: &'static str) -> OciError {
        match error {
            OciDistributionError::AuthenticationFailure(_)
            | OciDistributionError::UnauthorizedError { .. } => self.denied(),
            OciDistributionError::RequestError(error) => match error.status() {
                Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => self.denied(),
                Some(status) => OciError::Answered {
                    registry: self.name.clone(),
                    status: status.as_u16(),
                    what: what.to_owned(),
                },
                None => self.lost(error),
            },
            error => OciError::Push {
                registry: self.name.clone(),
                what,
                source: Box::new(error),
            },
        }
    }

    fn denied(&self) -> OciError {
        OciError::Denied {
            registry: self.name.clone(),
        }
    }

    fn lost(&self, error: reqwest::Error) -> OciError {
        let https = self.scheme == "https" && error.is_connect();
        let hint = if https {
            " (--plain-http if it has no TLS)"
        } else {
            ""
        };
        unreachable_because(&self.name, hint, error.without_url())
    }
}

fn unreachable_because(
    registry: &str,
    hint: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> OciError {
    OciError::Unreachable {
        registry: registry.to_owned(),
        hint,
        source: error.into(),
    }
}

/// A few steps, and never from a safe address to one that is not.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_safe = attempt
        .previous()
        .last()
        .is_some_and(|from| from.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error("too many redirects")
    } else if was_safe && attempt.url().scheme() != "https" {
        attempt.error("a redirect from HTTPS to HTTP")
    } else {
        attempt.follow()
    }
}
