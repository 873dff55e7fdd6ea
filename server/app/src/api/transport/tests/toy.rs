//! A small schema, a keyring that can lock tokens out, and a server on a free port.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::{Object, Request, Response, Schema, SimpleObject, Subscription};
use axum::Router;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tamiz_core::TenantId;
use tamiz_core::rate::RequestRate;
use tamiz_core::token::Token;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::cost::{Cost, Limits, Prices};
use crate::api::guard::rate::Allowance;
use crate::api::guard::{self, AuthError, Authenticate, Credential, RateLimit, TrustedProxies};
use crate::api::refused::Refused;
use crate::api::transport::{
    Documents, Draining, Engine, Origins, Streams, Times, Tokens, Transport, TrustedDocuments, routes,
};
use crate::limiter::Balance;

pub(super) struct Query;

#[derive(SimpleObject)]
struct Item {
    name: String,
}

#[Object]
impl Query {
    async fn hello(&self, name: Option<String>) -> String {
        format!("hello {}", name.unwrap_or_else(|| "world".to_owned()))
    }

    async fn items(&self, first: Option<i32>) -> Vec<Item> {
        (0..first.unwrap_or(2))
            .map(|number| Item {
                name: number.to_string(),
            })
            .collect()
    }

    async fn broken(&self) -> async_graphql::Result<i32> {
        std::future::ready(Err(std::io::Error::other("secret table"))).await?
    }

    async fn panics(&self) -> i32 {
        let nothing: Option<i32> = std::future::ready(None).await;
        nothing.expect("secret panic")
    }

    async fn slow(&self) -> i32 {
        std::future::pending().await
    }
}

pub(super) struct Mutation;

#[Object]
impl Mutation {
    async fn bump(&self) -> i32 {
        1
    }
}

pub(super) struct Ticks;

#[Subscription]
impl Ticks {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }

    /// More than any buffer on the way holds, until it is dropped.
    async fn flood(&self) -> impl Stream<Item = String> {
        stream::repeat_with(|| "x".repeat(100_000))
    }

    async fn silence(&self) -> impl Stream<Item = i32> {
        stream::pending()
    }
}

/// Points of the tenant at the start.
pub(super) const POINTS: u32 = 100_000;

/// What a test may want to be different.
pub(super) struct Setup {
    pub(super) allowance: Allowance,
    pub(super) limits: Limits,
    pub(super) batch_max: usize,
    /// Documents of a manifest, and whether there are no others.
    pub(super) trusted: (&'static [&'static str], bool),
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) keep_alive: Duration,
    pub(super) recheck: Duration,
    pub(super) send: Duration,
    pub(super) last_words: Duration,
}

impl Default for Setup {
    /// With times short enough for tests and rates that no test reaches by accident.
    fn default() -> Self {
        Self {
            allowance: Allowance {
                requests_per_second: 1000,
                burst: 1000,
            },
            limits: Limits::default(),
            batch_max: 0,
            trusted: (&[], false),
            expires_at: None,
            keep_alive: Duration::from_millis(50),
            recheck: Duration::from_millis(50),
            send: Duration::from_secs(2),
            last_words: Duration::from_secs(10),
        }
    }
}

/// One valid token that can be revoked.
#[derive(Clone)]
pub(super) struct Keyring {
    schema: Schema<Query, Mutation, Ticks>,
    prices: Arc<Prices>,
    revoked: Arc<Mutex<HashSet<String>>>,
    valid: Arc<Token>,
    /// Of another tenant.
    other: Arc<Token>,
    tenant_is_spent: Arc<AtomicBool>,
    is_away: Arc<AtomicBool>,
    /// Points of the tenant, which never come back.
    points: Arc<AtomicU32>,
    /// How often the token was asked for.
    asked: Arc<AtomicUsize>,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub(super) struct Caller {
    account: Uuid,
    expires_at: Option<DateTime<Utc>>,
}

impl Credential for Caller {
    fn token_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn account(&self) -> Uuid {
        self.account
    }

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

impl Authenticate for Keyring {
    type Caller = Caller;

    async fn authenticate(&self, token: &Token) -> Result<Caller, AuthError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(AuthError::Unavailable(Uuid::nil()));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let revoked = self.revoked.lock().unwrap().contains(token.reveal());
        let account = if token == &*self.valid {
            Uuid::nil()
        } else if token == &*self.other {
            Uuid::max()
        } else {
            return Err(AuthError::Refused);
        };
        if revoked {
            return Err(AuthError::Refused);
        }
        Ok(Caller {
            account,
            expires_at: self.expires_at,
        })
    }

    async fn count(&self, _: &Caller) -> Result<(), Refused> {
        if self.tenant_is_spent.load(Ordering::Relaxed) {
            let rate = RequestRate::per_minute(NonZeroU32::MIN);
            return Err(Refused::too_many_of_tenant(rate, Duration::from_millis(1_100)));
        }
        Ok(())
    }
}

impl Engine for Keyring {
    async fn execute(&self, _: &Caller, request: Request) -> Response {
        self.schema.execute(request).await
    }

    fn stream(&self, _: &Caller, request: Request) -> BoxStream<'static, Response> {
        self.schema.execute_stream(request).boxed()
    }

    fn prices(&self) -> &Prices {
        &self.prices
    }

    async fn pay(&self, _: &Caller, points: u32) -> Result<Cost, Refused> {
        let left = self
            .points
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(points)
            });
        let balance = |remaining| Balance {
            budget: POINTS,
            remaining,
            full_in: Duration::from_millis(1_500),
        };
        match left {
            Ok(before) => Ok(Cost {
                requested: points,
                balance: Some(balance(before - points)),
            }),
            Err(left) => {
                let wait = Duration::from_millis(2_100);
                Err(Refused::budget_exhausted(points, balance(left), wait))
            }
        }
    }
}

/// A running server; it stops when this is dropped.
pub(super) struct Toy {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    /// Of another tenant.
    pub(super) other_token: String,
    pub(super) tokens: Tokens,
    keyring: Keyring,
    streams: Streams,
    draining: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Toy {
    pub(super) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(super) async fn start_with(setup: Setup) -> Self {
        let schema = Schema::new(Query, Mutation, Ticks);
        let valid = Token::from_random(TenantId::fresh(), [3; 32]);
        let token = valid.reveal().to_owned();
        let other = Token::from_random(TenantId::fresh(), [4; 32]);
        let other_token = other.reveal().to_owned();
        let keyring = Keyring {
            prices: Arc::new(Prices::from_sdl(&schema.sdl(), setup.limits)),
            schema,
            revoked: Arc::default(),
            valid: Arc::new(valid),
            other: Arc::new(other),
            tenant_is_spent: Arc::default(),
            is_away: Arc::default(),
            points: Arc::new(POINTS.into()),
            asked: Arc::default(),
            expires_at: setup.expires_at,
        };
        let (streams, tokens) = (Streams::new(8, 4), Tokens::default());
        let (draining, receiver) = watch::channel(false);
        let limit = RateLimit::new(setup.allowance);
        let transport = Transport {
            engine: keyring.clone(),
            per_token: limit.clone(),
            origins: Origins::new(&["https://console.example"]),
            times: Times {
                execution: Duration::from_millis(300),
                body: Duration::from_millis(300),
                init: Duration::from_millis(200),
                keep_alive: setup.keep_alive,
                recheck: setup.recheck,
                send: setup.send,
                last_words: setup.last_words,
            },
            draining: Draining::new(receiver),
            streams: streams.clone(),
            tokens: tokens.clone(),
            documents: documents(setup.trusted),
            batch_max: setup.batch_max,
        };
        let inner: Router = guard::around_callers(routes(transport), keyring.clone(), &limit);
        let inner = guard::let_pages_in(inner, ["https://console.example"].into_iter());
        let wide = RateLimit::new(Allowance {
            requests_per_second: 1000,
            burst: 1000,
        });
        let router = guard::around_all(inner, TrustedProxies::default(), &wide);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            axum::serve(
                listener,
                router.into_make_service_with_connect_info::<SocketAddr>(),
            )
            .await
            .unwrap();
        });
        Self {
            address,
            token,
            other_token,
            tokens,
            keyring,
            streams,
            draining,
            server,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    pub(super) fn post(&self) -> reqwest::RequestBuilder {
        reqwest::Client::new().post(self.url()).bearer_auth(&self.token)
    }

    pub(super) fn get(&self, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .get(self.url())
            .bearer_auth(&self.token)
            .query(query)
    }

    pub(super) fn revoke(&self) {
        self.keyring.revoked.lock().unwrap().insert(self.token.clone());
    }

    /// The tenant has sent all that it may.
    pub(super) fn spend(&self) {
        self.keyring.tenant_is_spent.store(true, Ordering::Relaxed);
    }

    /// Nobody can say whether a token is valid.
    pub(super) fn lose_the_keyring(&self) {
        self.keyring.is_away.store(true, Ordering::Relaxed);
    }

    /// How often a token was asked for.
    pub(super) fn asked(&self) -> usize {
        self.keyring.asked.load(Ordering::Relaxed)
    }

    /// Waits until a token was asked for so often.
    pub(super) async fn until_asked(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.asked() < count {
            assert!(tokio::time::Instant::now() < deadline, "nobody asks");
            tokio::task::yield_now().await;
        }
    }

    /// Leaves the tenant so many points.
    pub(super) fn leave_points(&self, points: u32) {
        self.keyring.points.store(points, Ordering::Relaxed);
    }

    /// Waits until so many streams of the tenant might open.
    pub(super) async fn until_free(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let taken: Vec<_> = (0..count)
                .map_while(|_| self.streams.take(Uuid::nil()).ok())
                .collect();
            if taken.len() == count {
                return;
            }
            drop(taken);
            assert!(tokio::time::Instant::now() < deadline, "places never became free");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn is_revoked(&self) -> bool {
        !self.keyring.revoked.lock().unwrap().is_empty()
    }

    pub(super) fn drain(&self) {
        self.draining.send(true).unwrap();
    }
}

fn documents((trusted, trusted_only): (&[&str], bool)) -> Documents {
    let trusted: HashMap<String, String> = trusted
        .iter()
        .map(|text| (hash_of(text), (*text).to_owned()))
        .collect();
    Documents::new(Arc::new(TrustedDocuments::new(trusted).unwrap()), trusted_only)
}

/// The SHA-256 of `text`, in hex digits.
pub(super) fn hash_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
