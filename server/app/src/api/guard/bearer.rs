//! The bearer token: read from the head of the request, checked before its body.
//!
//! A caller that passed is in the request's extensions as [`Known`]. Only a websocket upgrade may
//! come without a token, because a browser cannot send one: its `connection_init` must carry it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use tamiz_core::token::Token;
use uuid::Uuid;

use super::rate::RateKey;
use crate::api::refused::Refused;

/// Why a token does not open the door.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not known, expired or revoked: the client is not told which.
    #[error("the token is not valid: it is unknown, expired or revoked")]
    Refused,
    /// The store could not be asked; logged under the id.
    #[error("the token could not be checked")]
    Unavailable(Uuid),
}

/// What the door needs to know about whoever passed.
pub trait Credential: Clone + Send + Sync + 'static {
    /// The token's id: requests are counted by it.
    fn token_id(&self) -> Uuid;

    /// Whose token, a tenant's id or an operator's own: streams are shared out by it.
    fn account(&self) -> Uuid;

    /// When the token ends by itself.
    fn expires_at(&self) -> Option<DateTime<Utc>>;
}

/// Whoever can tell a valid token.
pub trait Authenticate: Clone + Send + Sync + 'static {
    /// What is known about a caller.
    type Caller: Credential;

    /// The caller behind `token`.
    ///
    /// # Errors
    /// [`AuthError`]; an unknown, an expired and a revoked token look alike.
    fn authenticate(&self, token: &Token) -> impl Future<Output = Result<Self::Caller, AuthError>> + Send;

    /// Counts one request of the caller's tenant, over all servers.
    ///
    /// # Errors
    /// The answer to a tenant that asks more often than it may.
    fn count(&self, caller: &Self::Caller) -> impl Future<Output = Result<(), Refused>> + Send;
}

/// An authenticated caller with the token it came with, so that a long connection can be checked
/// again while it lasts.
#[derive(Debug, Clone)]
pub struct Known<C> {
    /// Who.
    pub caller: C,
    /// With what. Its `Debug` hides the secret.
    pub token: Arc<Token>,
}

impl<C: Credential, S: Send + Sync> FromRequestParts<S> for Known<C> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Refused::unauthorized(MISSING))
    }
}

const MISSING: &str = "send your API token as `Authorization: Bearer tmz_…`";

/// Checks the token of `request`, or lets a websocket upgrade pass without one.
pub(super) async fn check<A: Authenticate>(
    State(authenticate): State<A>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = match token_of(request.headers()) {
        Ok(Some(token)) => token,
        Ok(None) if is_websocket_upgrade(request.method(), request.headers()) => {
            return next.run(request).await;
        }
        Ok(None) => return Refused::unauthorized(MISSING).into_response(),
        Err(refused) => return refused.into_response(),
    };
    match authenticate.authenticate(&token).await {
        Ok(caller) => {
            request.extensions_mut().insert(RateKey::Token(caller.token_id()));
            request.extensions_mut().insert(Known {
                caller,
                token: Arc::new(token),
            });
            next.run(request).await
        }
        Err(error) => refused(&error).into_response(),
    }
}

/// Counts the request of a caller that passed for its tenant. A websocket upgrade without a token is
/// nobody's yet; its operations are counted one by one.
pub(super) async fn count<A: Authenticate>(
    State(authenticate): State<A>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(known) = request.extensions().get::<Known<A::Caller>>().cloned()
        && let Err(refused) = authenticate.count(&known.caller).await
    {
        return refused.into_response();
    }
    next.run(request).await
}

/// The HTTP answer to a token that did not pass.
pub fn refused(error: &AuthError) -> Refused {
    match error {
        AuthError::Refused => Refused::unauthorized(&error.to_string()),
        AuthError::Unavailable(id) => Refused::unavailable(&error.to_string(), *id),
    }
}

/// The token in the `Authorization` header. Garbage is refused here, without asking the store.
fn token_of(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refused::unauthorized("send one `Authorization` header"));
    }
    let value = value.to_str().map_err(|_| Refused::unauthorized(MISSING))?;
    parse_bearer(value)
        .map(Some)
        .map_err(|reason| Refused::unauthorized(&reason))
}

/// The token in `Bearer tmz_…`.
///
/// # Errors
/// A sentence for people that does not repeat the value.
pub fn parse_bearer(value: &str) -> Result<Token, String> {
    let token = after_scheme(value).ok_or(MISSING)?;
    Token::parse(token).map_err(|error| error.to_string())
}

/// What stands after `Bearer`.
pub fn after_scheme(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether this is the head of a websocket handshake.
pub fn is_websocket_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
