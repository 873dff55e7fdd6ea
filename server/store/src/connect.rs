//! Opening the database: one pool per role, none of them visible outside.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tamiz_core::TenantId;

use crate::error::StoreError;
use crate::finding::OpenMonths;
use crate::pace::Pace;
use crate::shares::Shares;
use crate::signal::Signals;

/// A request that waits longer than this for a connection is told that the database is busy.
pub(crate) const ACQUIRE_SECONDS_MAX: u64 = 10;
/// Of so many connections one tenant may hold three: its slow questions leave others their turn…
const SHARED_AMONG: usize = 8;
const OF_ONE_TENANT: usize = 3;
/// …but never fewer than these: a pool this small is that of a test or of a tool.
const OF_ONE_TENANT_MIN: usize = 4;
/// A process has one claim under way, or two; servers have those of their remote workers.
const CLAIM_CONNECTIONS: u32 = 4;
/// No single statement of ours needs longer; a stuck one must not hold its connection for ever.
const STATEMENT_TIMEOUT: &str = "60s";
/// A transaction that idles this long has lost its owner.
const IDLE_TRANSACTION_TIMEOUT: &str = "60s";

pub(crate) const APP_ROLE: &str = "tamiz_app";
pub(crate) const DISPATCH_ROLE: &str = "tamiz_dispatch";
pub(crate) const CONTROL_ROLE: &str = "tamiz_control";
pub(crate) const OWNER_ROLE: &str = "tamiz_owner";

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `postgres://…` of a user that may create roles and schemas (for [`crate::migrate::run`]);
    /// the pools log in as our own roles, with passwords derived from this one's.
    pub database_url: String,
    /// Connections for requests and results.
    pub connections_max: u32,
}

/// The database, as one process uses it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) app: PgPool,
    pub(crate) dispatch: PgPool,
    /// The dispatcher's as well, for claims alone: nobody waits for the disk when they commit.
    pub(crate) claims: PgPool,
    pub(crate) control: PgPool,
    /// The same role as `app`, to cancel what that runs when all its connections are taken.
    pub(crate) cancels: PgPool,
    pub(crate) signals: Signals,
    pub(crate) pace: Arc<Pace>,
    pub(crate) tenants: Shares<TenantId>,
    pub(crate) finding_months: OpenMonths,
}

impl Store {
    /// Opens the pools and the signal line. Needs a tokio runtime; does not migrate.
    ///
    /// # Errors
    /// [`StoreError::Address`] for a malformed URL, [`StoreError::Unavailable`] when nobody answers.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let pool = |role: &'static str, connections: u32| -> Result<PgPool, StoreError> {
            let options = role_options(&config.database_url, role)?;
            Ok(pool_of(options, connections, ACQUIRE_SECONDS_MAX))
        };
        let dispatch = pool(DISPATCH_ROLE, 4)?;
        let lazily = unwaited_options(&config.database_url)?;
        let claims = pool_of(lazily, CLAIM_CONNECTIONS, ACQUIRE_SECONDS_MAX);
        let signals = Signals::start(dispatch.clone()).await?;
        Ok(Self {
            app: pool(APP_ROLE, config.connections_max)?,
            control: pool(CONTROL_ROLE, 2)?,
            cancels: pool(APP_ROLE, 1)?,
            dispatch,
            claims,
            signals,
            pace: Arc::default(),
            tenants: Shares::new(share_of(config.connections_max)),
            finding_months: OpenMonths::default(),
        })
    }

    /// Answers when the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("select 1 as one")
            .fetch_one(&self.app)
            .await?;
        Ok(())
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        self.signals.flush().await;
        self.signals.stop();
        self.app.close().await;
        self.cancels.close().await;
        self.control.close().await;
        self.claims.close().await;
        self.dispatch.close().await;
    }
}

/// Connections that one tenant may hold of `connections`.
fn share_of(connections: u32) -> usize {
    (connections as usize * OF_ONE_TENANT / SHARED_AMONG).max(OF_ONE_TENANT_MIN)
}

/// Connects when it is first asked.
pub(crate) fn pool_of(options: PgConnectOptions, connections: u32, acquire_seconds: u64) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(acquire_seconds))
        .idle_timeout(Duration::from_mins(5))
        .connect_lazy_with(options)
}

/// The dispatcher's, whose commits do not wait for the disk.
pub(crate) fn unwaited_options(database_url: &str) -> Result<PgConnectOptions, StoreError> {
    Ok(role_options(database_url, DISPATCH_ROLE)?.options([("synchronous_commit", "off")]))
}

/// The same address, as `role`.
pub(crate) fn role_options(database_url: &str, role: &str) -> Result<PgConnectOptions, StoreError> {
    let mut options = admin_options(database_url)?.username(role);
    if let Some(password) = role_password(database_url, role)? {
        options = options.password(&password);
    }
    Ok(options.application_name("tamiz").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT),
        // our statements are short: compiling one takes longer than running it
        ("jit", "off"),
    ]))
}

pub(crate) fn admin_options(database_url: &str) -> Result<PgConnectOptions, StoreError> {
    PgConnectOptions::from_str(database_url)
        .map_err(|error| StoreError::Address(masked(database_url, &error.to_string())))
}

/// The password of one of our roles: an HMAC of the role's name under the given user's password, so
/// that one secret configures all. `None` when the URL has none (peer or trust authentication).
pub(crate) fn role_password(database_url: &str, role: &str) -> Result<Option<String>, StoreError> {
    let url = url::Url::parse(database_url)
        .map_err(|error| StoreError::Address(masked(database_url, &error.to_string())))?;
    let given = url.password().map(str::to_owned).or_else(|| {
        url.query_pairs()
            .find(|(key, _)| key == "password")
            .map(|(_, value)| value.into_owned())
    });
    let Some(given) = given.filter(|password| !password.is_empty()) else {
        return Ok(None);
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(given.as_bytes())
        .map_err(|error| StoreError::Address(error.to_string()))?;
    mac.update(b"tamiz role password 1:");
    mac.update(role.as_bytes());
    Ok(Some(hex::encode(mac.finalize().into_bytes())))
}

/// Parsers may repeat their input; ours may hold a password.
fn masked(database_url: &str, message: &str) -> String {
    message.replace(database_url, "postgres://…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_own_password_and_none_without_one() {
        let url = "postgres://root:secret@localhost/tamiz";
        let app = role_password(url, APP_ROLE).unwrap().unwrap();
        assert_ne!(Some(app), role_password(url, CONTROL_ROLE).unwrap());
        assert_eq!(
            role_password("postgres:///tamiz?host=/run/x&user=me", APP_ROLE).unwrap(),
            None
        );
    }
}
