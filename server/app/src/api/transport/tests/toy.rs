//! A small schema, a keyring that can lock tokens out, and a server on a free port.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::{Object, Request, Response, Schema, SimpleObject, Subscription};
use axum::Router;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use tamiz_core::TenantId;
use tamiz_core::rate::RequestRate;
use tamiz_core::token::Token;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::cost::{Limits, Prices};
use crate::api::guard::rate::Allowance;
use crate::api::guard::{self, AuthError, Authenticate, Credential, RateLimit, TrustedProxies};
use crate::api::refused::Refused;
use crate::api::transport::{Draining, Engine, Origins, Streams, Times, Transport, routes};

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

    async fn silence(&self) -> impl Stream<Item = i32> {
        stream::pending()
    }
}

/// One valid token that can be revoked.
#[derive(Clone)]
pub(super) struct Keyring {
    schema: Schema<Query, Mutation, Ticks>,
    prices: Arc<Prices>,
    revoked: Arc<Mutex<HashSet<String>>>,
    valid: Arc<Token>,
    tenant_is_spent: Arc<AtomicBool>,
    is_away: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
pub(super) struct Caller;

impl Credential for Caller {
    fn token_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn account(&self) -> Uuid {
        Uuid::nil()
    }
}

impl Authenticate for Keyring {
    type Caller = Caller;

    async fn authenticate(&self, token: &Token) -> Result<Caller, AuthError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(AuthError::Unavailable(Uuid::nil()));
        }
        let revoked = self.revoked.lock().unwrap().contains(token.reveal());
        if token == &*self.valid && !revoked {
            Ok(Caller)
        } else {
            Err(AuthError::Refused)
        }
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
}

/// A running server; it stops when this is dropped.
pub(super) struct Toy {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    keyring: Keyring,
    draining: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Toy {
    /// With times short enough for tests and rates that no test reaches by accident.
    pub(super) async fn start() -> Self {
        Self::start_with(Allowance {
            requests_per_second: 1000,
            burst: 1000,
        })
        .await
    }

    pub(super) async fn start_with(allowance: Allowance) -> Self {
        let schema = Schema::new(Query, Mutation, Ticks);
        let valid = Token::from_random(TenantId::fresh(), [3; 32]);
        let token = valid.reveal().to_owned();
        let keyring = Keyring {
            prices: Arc::new(Prices::from_sdl(&schema.sdl(), Limits::default())),
            schema,
            revoked: Arc::default(),
            valid: Arc::new(valid),
            tenant_is_spent: Arc::default(),
            is_away: Arc::default(),
        };
        let (draining, receiver) = watch::channel(false);
        let limit = RateLimit::new(allowance);
        let transport = Transport {
            engine: keyring.clone(),
            per_token: limit.clone(),
            origins: Origins::new(&["https://console.example"]),
            times: Times {
                execution: Duration::from_millis(300),
                body: Duration::from_millis(300),
                init: Duration::from_millis(200),
                keep_alive: Duration::from_millis(50),
                recheck: Duration::from_millis(50),
                send: Duration::from_secs(2),
            },
            draining: Draining::new(receiver),
            streams: Streams::new(8, 4),
        };
        let inner: Router = guard::around_callers(routes(transport), keyring.clone(), &limit);
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
            keyring,
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

    pub(super) fn drain(&self) {
        self.draining.send(true).unwrap();
    }
}
