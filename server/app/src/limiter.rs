//! Requests per minute of a tenant, over all servers together.
//!
//! Behind the limits per address and per token, which each server keeps for itself and which cost nothing,
//! a verified caller's request is counted where all servers see it ([`Rates`]). One question at a time is
//! under way per tenant and server; requests that come meanwhile are asked for together by the next one.
//! So a request waits for one round trip, a tenant that floods costs one connection and one statement per
//! round trip, and the count stays exact. A tenant that was refused is refused from memory until the time
//! it was told, for at most [`REFUSED_FROM_MEMORY_MAX`]: before it no server can let one of its requests pass.
//!
//! Not here: the rule (`tamiz_core::rate`), what a refused client is answered (`api/guard`).

mod points;
mod rates;
mod redis_rates;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamiz_core::TenantId;
use tamiz_core::rate::{Granted, RequestRate};
use tamiz_store::{StoreError, TenantScope};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

pub use points::{Balance, Points, Spent};
pub use rates::Rates;
pub use redis_rates::RedisRates;
pub use usage::Usage;

/// Requests that one question asks for; more wait for the next. More than one tenant's requests that a
/// server has under way at once in practice, and a bound on what one answer has to tell.
const ASKED_MAX: usize = 1_000;
/// A client that was told to wait a minute may have been given a larger plan since.
const REFUSED_FROM_MEMORY_MAX: Duration = Duration::from_secs(1);
/// A request that cannot be counted in this time is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tenants remembered before idle ones are forgotten for the first time.
const ACCOUNTS_MIN: usize = 1_024;

/// Why a request may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The tenant asks more often than it may.
    TooMany {
        /// What it may.
        rate: RequestRate,
        /// Until when.
        wait: Duration,
    },
    /// It could not be counted; logged under the id. Nothing passes uncounted.
    Unavailable(Uuid),
}

type Answer = Result<(), Stopped>;

/// Counts the requests of tenants. Clones share everything.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

struct Shared {
    rates: Rates,
    usage: Usage,
    accounts: Mutex<Accounts>,
    points: Points,
}

#[derive(Default)]
struct Accounts {
    of: HashMap<TenantId, Account>,
    forget_at: usize,
}

/// What this server knows of one tenant.
#[derive(Default)]
struct Account {
    waiting: Vec<oneshot::Sender<Answer>>,
    /// What the last one that joined may.
    rate: Option<RequestRate>,
    is_asking: bool,
    refused: Option<Refused>,
}

/// Nothing passes at this rate before this time.
#[derive(Debug, Clone, Copy)]
struct Refused {
    rate: RequestRate,
    until: Instant,
}

/// Those that are asked for together.
struct Round {
    waiting: Vec<oneshot::Sender<Answer>>,
    rate: RequestRate,
}

impl Limiter {
    /// Counts by `rates`.
    pub fn new(rates: Rates) -> Self {
        Self {
            shared: Arc::new(Shared {
                rates,
                usage: Usage::default(),
                accounts: Mutex::default(),
                points: Points::default(),
            }),
        }
    }

    /// What was counted, to be written down now and then.
    pub fn usage(&self) -> &Usage {
        &self.shared.usage
    }

    /// Pays for a query of the tenant that costs so many `points`, of which it has `rate`.
    ///
    /// # Errors
    /// [`Spent`] when it has not so many now, or when they could not be counted.
    pub async fn spend(&self, scope: &TenantScope, rate: RequestRate, points: u32) -> Result<Balance, Spent> {
        self.shared
            .points
            .spend(&self.shared.rates, scope, rate, points)
            .await
    }

    /// Counts one request of the tenant, which may send them at `rate`.
    ///
    /// # Errors
    /// [`Stopped`] when it may not pass.
    pub async fn count(&self, scope: &TenantScope, rate: RequestRate) -> Result<(), Stopped> {
        let counted = match self.join(scope, rate) {
            Ok(answer) => match timeout(PATIENCE, answer).await {
                Ok(Ok(counted)) => counted,
                Ok(Err(_)) => {
                    // whoever asked for it is gone, and so is the account's turn: the next starts afresh
                    self.shared.accounts().of.remove(&scope.tenant_id());
                    Err(not_counted("nobody answered"))
                }
                Err(_) => Err(not_counted("no answer came in time")),
            },
            Err(stopped) => Err(stopped),
        };
        match counted {
            Ok(()) => self.shared.usage.count(scope, rate, true),
            Err(Stopped::TooMany { .. }) => {
                metrics::counter!("tamiz_tenant_requests_refused_total").increment(1);
                self.shared.usage.count(scope, rate, false);
            }
            Err(Stopped::Unavailable(_)) => {}
        }
        counted
    }

    /// Waits for the next question of the tenant, and starts it if none is under way.
    fn join(&self, scope: &TenantScope, rate: RequestRate) -> Result<oneshot::Receiver<Answer>, Stopped> {
        let now = Instant::now();
        let mut accounts = self.shared.accounts();
        accounts.forget_idle(now);
        let account = accounts.of.entry(scope.tenant_id()).or_default();
        // a refusal under another rate says nothing about this one
        let refused = account.refused.filter(|no| no.until > now && no.rate == rate);
        if let Some(Refused { until, .. }) = refused {
            let wait = until - now;
            return Err(Stopped::TooMany { rate, wait });
        }
        account.rate = Some(rate);
        let (sender, answer) = oneshot::channel();
        account.waiting.push(sender);
        if !account.is_asking {
            account.is_asking = true;
            // on a task of its own: a client that leaves must not take others' answers with it
            tokio::spawn(Arc::clone(&self.shared).ask(*scope));
        }
        Ok(answer)
    }
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for everyone who waits, until nobody does.
    async fn ask(self: Arc<Self>, scope: TenantScope) {
        let mut refused = None;
        while let Some(Round { waiting, rate }) = self.next_round(&scope, refused.take()) {
            let asked = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
            let (passing, others) = match self.rates.take(&scope, rate, asked).await {
                Ok(Granted { requests, wait }) => (requests, Stopped::TooMany { rate, wait }),
                Err(error) => (0, faulty(&error)),
            };
            if let (true, Stopped::TooMany { wait, .. }) = (passing < asked, others) {
                let until = Instant::now() + wait.min(REFUSED_FROM_MEMORY_MAX);
                refused = Some(Refused { rate, until });
            }
            for (place, sender) in waiting.into_iter().enumerate() {
                let passes = place < passing as usize;
                // a client that has left has used up its request all the same
                let _ = sender.send(if passes { Ok(()) } else { Err(others) });
            }
        }
    }

    /// Whoever waits now, in the order of arrival; the turn ends when nobody does.
    fn next_round(&self, scope: &TenantScope, refused: Option<Refused>) -> Option<Round> {
        let mut accounts = self.accounts();
        let account = accounts.of.entry(scope.tenant_id()).or_default();
        account.refused = refused.or(account.refused);
        let count = account.waiting.len().min(ASKED_MAX);
        account.is_asking = count > 0;
        let rate = account.rate.filter(|_| count > 0)?;
        let waiting = account.waiting.drain(..count).collect();
        Some(Round { waiting, rate })
    }
}

impl Accounts {
    fn forget_idle(&mut self, now: Instant) {
        if self.of.len() >= self.forget_at.max(ACCOUNTS_MIN) {
            self.of
                .retain(|_, account| account.is_asking || account.refused.is_some_and(|no| no.until > now));
            self.forget_at = 2 * self.of.len();
        }
    }
}

fn faulty(error: &StoreError) -> Stopped {
    Stopped::Unavailable(log_unreachable(error))
}

/// Logs that nobody could be asked, under the id.
fn log_unreachable(error: &StoreError) -> Uuid {
    let id = Uuid::now_v7();
    tracing::error!(%id, error = error as &dyn std::error::Error, "requests could not be counted");
    id
}

fn not_counted(why: &str) -> Stopped {
    Stopped::Unavailable(log_uncounted(why))
}

/// Logs why a request could not be counted, under the id.
fn log_uncounted(why: &str) -> Uuid {
    let id = Uuid::now_v7();
    tracing::error!(%id, why, "a request could not be counted");
    id
}

#[cfg(test)]
mod tests;
