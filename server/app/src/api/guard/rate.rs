//! How often a client may ask: `tower_governor` keyed by address before the token is looked at, and
//! by token afterwards.
//!
//! Two limits, because a made-up token must not open a fresh account of requests: before the check
//! only the address counts, afterwards the token does. The keyed map forgets idle clients when
//! [`RateLimit::forget_idle`] runs; [`Rates::sweep`] does it for as long as the server lives.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use tower_governor::governor::{GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};
use uuid::Uuid;

use super::client::ClientAddress;
use crate::api::refused::Refused;

/// How often idle clients are forgotten, in seconds.
const SWEEP_SECONDS: u64 = 60;
/// An IPv6 customer holds at least this many bits of its own, so they count as one client.
const IPV6_CLIENT_BITS: u32 = 64;

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateKey {
    /// An authenticated token.
    Token(Uuid),
    /// An address; of an IPv6 one the network.
    Address(IpAddr),
    /// Started without connection info: all such clients share one account.
    Unknown,
}

impl From<ClientAddress> for RateKey {
    fn from(ClientAddress(address): ClientAddress) -> Self {
        Self::Address(match address {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> IPV6_CLIENT_BITS << IPV6_CLIENT_BITS;
                IpAddr::V6(network.into())
            }
            IpAddr::V4(_) => address,
        })
    }
}

/// Requests per second and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// In the long run.
    pub requests_per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// Both limits of a server.
#[derive(Clone)]
pub struct Rates {
    /// Before the token is looked at.
    pub per_address: RateLimit,
    /// After it was accepted.
    pub per_token: RateLimit,
}

impl Rates {
    /// Forgets idle clients once a minute until the task is dropped.
    pub async fn sweep(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(SWEEP_SECONDS));
        loop {
            ticks.tick().await;
            self.per_address.forget_idle();
            self.per_token.forget_idle();
        }
    }
}

/// One limit with the memory of who used how much of it.
#[derive(Clone)]
pub struct RateLimit {
    config: Arc<GovernorConfig<RateKeyOf, NoOpMiddleware>>,
}

impl RateLimit {
    /// A limit of at least one request a second.
    pub fn new(allowance: Allowance) -> Self {
        // the builder's `per_second(n)` means one request every n seconds, so the period is said
        let period = Duration::from_secs(1) / allowance.requests_per_second.max(1);
        let config = GovernorConfigBuilder::default()
            .key_extractor(RateKeyOf)
            .period(period.max(Duration::from_nanos(1)))
            .burst_size(allowance.burst.max(1))
            .finish()
            .unwrap_or_else(|| unreachable!("neither the period nor the burst is zero"));
        Self {
            config: Arc::new(config),
        }
    }

    /// Counts one request that is not an HTTP request (a websocket operation).
    ///
    /// # Errors
    /// The seconds to wait.
    pub fn count(&self, key: RateKey) -> Result<(), u64> {
        self.config
            .limiter()
            .check_key(&key)
            .map_err(|no| no.wait_time_from(DefaultClock::default().now()).as_secs().max(1))
    }

    /// Drops clients that have their whole allowance back.
    pub fn forget_idle(&self) {
        self.config.limiter().retain_recent();
        self.config.limiter().shrink_to_fit();
    }

    /// Clients remembered.
    pub fn remembered(&self) -> usize {
        self.config.limiter().len()
    }

    pub(super) fn layer(&self) -> GovernorLayer<RateKeyOf, NoOpMiddleware, Body> {
        GovernorLayer::new(Arc::clone(&self.config)).error_handler(too_many)
    }
}

/// Finds the key that the layers before have put into the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateKeyOf;

impl KeyExtractor for RateKeyOf {
    type Key = RateKey;

    fn extract<T>(&self, request: &Request<T>) -> Result<RateKey, GovernorError> {
        let extensions = request.extensions();
        let by_address = || extensions.get::<ClientAddress>().copied().map(RateKey::from);
        Ok(extensions
            .get::<RateKey>()
            .copied()
            .or_else(by_address)
            .unwrap_or(RateKey::Unknown))
    }
}

fn too_many(error: GovernorError) -> Response<Body> {
    let wait_seconds = match error {
        GovernorError::TooManyRequests { wait_time, .. } => wait_time,
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => 1,
    };
    Refused::too_many(wait_seconds).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_request_waits() {
        let limit = RateLimit::new(Allowance {
            requests_per_second: 1,
            burst: 3,
        });
        let key = RateKey::Token(Uuid::nil());
        for _ in 0..3 {
            assert_eq!(limit.count(key), Ok(()));
        }
        assert_eq!(limit.count(key), Err(1));
        assert_eq!(limit.count(RateKey::Unknown), Ok(()));
        limit.forget_idle();
        assert_eq!(limit.remembered(), 2);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_an_account() {
        let key = |text: &str| RateKey::from(ClientAddress(text.parse().unwrap()));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
