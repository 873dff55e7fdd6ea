//! HTTP to the server: the token, time-outs, a bounded number of tries, answers turned into errors.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tamiz_core::RefusalCode;
use tokio_util::io::ReaderStream;
use url::{Host, Url};

use super::super::CliError;
use super::pack::Package;

/// Tries of one request; with the waits between them about half a minute, enough for a restart.
const TRIES_MAX: u32 = 6;
/// The wait after the first failure; doubles from there.
const BACKOFF_MILLISECONDS: u64 = 500;
/// A server that asks for a longer wait is asked again after this.
const WAIT_SECONDS_MAX: u64 = 30;
/// A server that cannot be connected to in this time is not there.
const CONNECT_SECONDS_MAX: u64 = 10;
/// A GraphQL answer of a hundred rows takes milliseconds.
const ANSWER_SECONDS_MAX: u64 = 60;
/// The largest upload over a slow line.
const UPLOAD_SECONDS_MAX: u64 = 3_600;
/// A million alerts over a slow line.
const DOWNLOAD_SECONDS_MAX: u64 = 3_600;
/// An answer that is larger than this is not ours: a page of 100 findings is at most a few megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whether a request may be sent again when nobody knows if it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or the same thing.
    Always,
    /// Only if the server cannot have taken it.
    IfNotTaken,
}

/// A connection to one server with one token.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    pub(super) fn new(server: Url, token: &str) -> Result<Client, CliError> {
        if !matches!(server.scheme(), "http" | "https") || server.cannot_be_a_base() {
            return Err(CliError::Usage(format!(
                "--server {server}: must be an http or https address"
            )));
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| CliError::Usage("the API token holds characters that no token has".to_owned()))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tamiz/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            // The token goes to the server that was named and nowhere else.
            .redirect(reqwest::redirect::Policy::none());
        if is_here(&server) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| CliError::failed(&error))?;
        Ok(Client { http, server })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    /// Asks GraphQL and returns its data.
    pub(super) async fn graphql<T: for<'a> Deserialize<'a>>(
        &self,
        document: &str,
        variables: Value,
        repeat: Repeat,
    ) -> Result<T, CliError> {
        data_of(self.answer(document, variables, repeat).await?)
    }

    /// Asks GraphQL and returns its answer as it is, errors and all.
    pub(super) async fn answer(
        &self,
        document: &str,
        variables: Value,
        repeat: Repeat,
    ) -> Result<Value, CliError> {
        let body = json!({ "query": document, "variables": variables });
        let response = self
            .send(repeat, || {
                let request = self.http.post(self.url("/graphql")).json(&body);
                Ok(request
                    .header(
                        ACCEPT,
                        "application/graphql-response+json, application/json;q=0.9",
                    )
                    .timeout(Duration::from_secs(ANSWER_SECONDS_MAX)))
            })
            .await?;
        read_json(response).await
    }

    /// Opens a subscription as a stream of server-sent events; one try, the caller knows how to resume.
    pub(super) async fn subscribe(&self, document: &str, variables: Value) -> Result<Response, CliError> {
        let body = json!({ "query": document, "variables": variables });
        let request = self
            .http
            .post(self.url("/graphql"))
            .json(&body)
            .header(ACCEPT, "text/event-stream");
        let sent = tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), request.send()).await;
        let response = sent
            .map_err(|_| CliError::Unavailable(format!("{} does not answer", self.server)))?
            .map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        Ok(response)
    }

    /// Uploads a file and returns the upload's id, after the server confirmed its hash.
    pub(super) async fn upload(
        &self,
        project: &str,
        name: &str,
        media_type: &str,
        package: &Package,
    ) -> Result<String, CliError> {
        #[derive(Deserialize)]
        struct Uploaded {
            id: String,
            sha256: String,
        }
        let response = self
            .send(Repeat::Always, || {
                let file = package.open().map_err(|error| CliError::failed(&error))?;
                let body = reqwest::Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
                Ok(self
                    .http
                    .post(self.url("/v1/uploads"))
                    .query(&[("project", project), ("fileName", name)])
                    .header(CONTENT_TYPE, media_type)
                    .header(CONTENT_LENGTH, package.size_bytes)
                    .timeout(Duration::from_secs(UPLOAD_SECONDS_MAX))
                    .body(body))
            })
            .await?;
        let answer = read_json(response).await?;
        let uploaded: Uploaded = serde_json::from_value(answer).map_err(|error| odd(&error))?;
        if uploaded.sha256.eq_ignore_ascii_case(&package.sha256) {
            return Ok(uploaded.id);
        }
        Err(CliError::Failed(format!(
            "{name} was damaged on its way to the server; try again"
        )))
    }

    /// Asks a plain address for its JSON.
    pub(super) async fn get<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, CliError> {
        let response = self
            .send(Repeat::Always, || {
                let request = self.http.get(self.url(path)).query(query);
                Ok(request.timeout(Duration::from_secs(ANSWER_SECONDS_MAX)))
            })
            .await?;
        let answer = read_json(response).await?;
        serde_json::from_value(answer).map_err(|error| odd(&error))
    }

    /// Asks for a file. Its bytes are read by the caller, for at most an hour.
    pub(super) async fn download(&self, path: &str, query: &[(&str, String)]) -> Result<Response, CliError> {
        self.send(Repeat::Always, || {
            let request = self.http.get(self.url(path)).query(query);
            Ok(request.timeout(Duration::from_secs(DOWNLOAD_SECONDS_MAX)))
        })
        .await
    }

    /// Sends a request, again if that can help.
    async fn send(
        &self,
        repeat: Repeat,
        make: impl Fn() -> Result<RequestBuilder, CliError>,
    ) -> Result<Response, CliError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let backoff = Duration::from_millis(BACKOFF_MILLISECONDS << (tries - 1).min(10));
            let (error, wait) = match make()?.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let (status, asked) = (response.status(), retry_after(&response));
                    let error = refusal(response).await;
                    if !passes(status, repeat) {
                        return Err(error);
                    }
                    (error, asked.unwrap_or(backoff))
                }
                Err(error) => {
                    let untaken = error.is_connect();
                    let text = self.unreachable(&error);
                    if !untaken && repeat == Repeat::IfNotTaken {
                        return Err(text);
                    }
                    (text, backoff)
                }
            };
            if tries == TRIES_MAX {
                return Err(error);
            }
            tracing::debug!(%error, tries, "trying again");
            tokio::time::sleep(wait.min(Duration::from_secs(WAIT_SECONDS_MAX))).await;
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        // The address is in our own words already, and may be long.
        let why = super::super::error::chain(error);
        let text = format!(
            "cannot reach {}: {why} (is `tamiz serve` running there? see --server)",
            self.server
        );
        CliError::Unavailable(text)
    }
}

/// Whether a later try may succeed.
fn passes(status: StatusCode, repeat: Repeat) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => true,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => repeat == Repeat::Always,
        _ => false,
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A proxy for the outside world has no business between us and our own machine.
fn is_here(server: &Url) -> bool {
    match server.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An answer that says no, in its own words where it has some.
async fn refusal(response: Response) -> CliError {
    let status = response.status();
    let said = read_json(response).await.ok().and_then(|body| said_by(&body));
    let said = said.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
    match status {
        StatusCode::UNAUTHORIZED => CliError::Usage(format!(
            "the server refuses the API token: {said} (see TAMIZ_TOKEN or --token)"
        )),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            CliError::Unavailable(format!("the server answers {}: {said}", status.as_u16()))
        }
        status => CliError::Failed(format!("the server answers {}: {said}", status.as_u16())),
    }
}

/// The message of an error document of ours: GraphQL's `errors`, or the plain routes' `error`.
fn said_by(body: &Value) -> Option<String> {
    let places = ["/errors/0/message", "/error/message", "/message", "/error"];
    places
        .iter()
        .find_map(|place| body.pointer(place)?.as_str())
        .map(str::to_owned)
}

async fn read_json(mut response: Response) -> Result<Value, CliError> {
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| CliError::unavailable(&error))?
    {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(CliError::Failed(format!(
                "the server's answer has more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|error| odd(&error))
}

/// Whether the answer holds more than one may, and asking for less would help.
pub(super) fn is_too_large(answer: &Value) -> bool {
    code_of(answer) == Some(RefusalCode::ResponseTooLarge.as_str())
}

fn code_of(answer: &Value) -> Option<&str> {
    answer.pointer("/errors/0/extensions/code")?.as_str()
}

/// The data of a GraphQL answer, or what went wrong.
pub(super) fn data_of<T: for<'a> Deserialize<'a>>(mut answer: Value) -> Result<T, CliError> {
    if answer.pointer("/errors/0").is_some() {
        let said = said_by(&answer).unwrap_or_else(|| "no reason given".to_owned());
        if code_of(&answer) == Some(RefusalCode::TooManyAtOnce.as_str()) {
            return Err(CliError::Unavailable(format!("the server answers: {said}")));
        }
        return Err(CliError::Failed(format!("the server answers: {said}")));
    }
    serde_json::from_value(answer["data"].take()).map_err(|error| odd(&error))
}

fn odd(error: &serde_json::Error) -> CliError {
    CliError::Failed(format!(
        "the server's answer is not understood ({error}); are both of the same release?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_have_been_taken_is_repeated_blindly() {
        assert!(passes(StatusCode::SERVICE_UNAVAILABLE, Repeat::IfNotTaken));
        assert!(passes(StatusCode::BAD_GATEWAY, Repeat::Always));
        assert!(!passes(StatusCode::BAD_GATEWAY, Repeat::IfNotTaken));
        assert!(!passes(StatusCode::NOT_FOUND, Repeat::Always));
    }

    #[test]
    fn addresses_are_joined_whether_or_not_they_end_with_a_slash() {
        for base in ["http://h/tamiz", "http://h/tamiz/"] {
            let client = Client::new(Url::parse(base).unwrap(), "tmz_x").unwrap();
            assert_eq!(client.url("/graphql").as_str(), "http://h/tamiz/graphql");
        }
        assert!(matches!(
            Client::new(Url::parse("ftp://h").unwrap(), "x"),
            Err(CliError::Usage(_))
        ));
        assert!(matches!(
            Client::new(Url::parse("http://h").unwrap(), "x\n"),
            Err(CliError::Usage(_))
        ));
    }

    #[test]
    fn an_answer_with_errors_is_said_in_the_servers_words() {
        let answer = json!({"data": null, "errors": [{"message": "too deep"}]});
        assert!(
            data_of::<Value>(answer)
                .unwrap_err()
                .to_string()
                .contains("too deep")
        );
        assert_eq!(data_of::<u8>(json!({"data": 7})).unwrap(), 7);
    }
}
