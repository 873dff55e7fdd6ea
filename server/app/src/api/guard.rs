//! What every request passes before a handler sees it, and what every answer gets on its way out.
//!
//! From the outside in: request id and log span, caught panics, security headers, the client's
//! address, a rate limit per address, the bearer token, a rate limit per token, the rate limit of the
//! tenant. The first two limits are each server's own; the last one holds over all servers (`limiter`).
//! All of it runs on the head of a request; not a byte of a body is read for a client that is turned away.
//!
//! Not here: what a caller may do (roles are checked by the flows), tenant quotas (behind the
//! flows), limits of a single GraphQL document (`cost`).

pub mod bearer;
pub mod client;
mod cors;
mod envelope;
pub mod rate;
pub mod request_id;
mod unread;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

pub use bearer::{AuthError, Authenticate, Credential};
pub use client::{ClientAddress, TrustedProxies};
pub use cors::let_pages_in;
pub use rate::{RateKey, RateLimit, Rates};

/// Puts the outer layers around the finished router.
pub fn around_all(router: Router, proxies: TrustedProxies, per_address: &RateLimit) -> Router {
    router
        .layer(per_address.layer())
        .layer(from_fn_with_state(proxies, client::find_address))
        .layer(from_fn(envelope::security_headers))
        .layer(from_fn(unread::unread_body))
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(from_fn(envelope::request_id))
}

/// Puts the token check, and the rate limits that need its result, around routes that need a
/// caller.
pub fn around_callers<A: Authenticate>(router: Router, authenticate: A, per_token: &RateLimit) -> Router {
    router
        .layer(from_fn_with_state(authenticate.clone(), bearer::count::<A>))
        .layer(per_token.layer())
        .layer(from_fn_with_state(authenticate, bearer::check::<A>))
}
