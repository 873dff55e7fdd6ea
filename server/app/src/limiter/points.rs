//! What the queries of a tenant cost, paid from one account over all servers.
//!
//! A question per query would cost more than most queries, so a server takes a small part of the budget ahead
//! ([`AHEAD_PART`]) and pays from that until it is used up. What is taken is taken for all servers, so together
//! they never pay out more than the budget; what a server holds of a tenant that has gone is lost to it for the
//! minute. Queries of one tenant wait for each other only while a question is under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tamiz_core::TenantId;
use tamiz_core::rate::{GrantedPoints, RequestRate};
use tamiz_store::TenantScope;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{PATIENCE, Rates, log_uncounted, log_unreachable};

/// A server takes so small a part of a minute's points ahead, beside what a query needs.
const AHEAD_PART: u32 = 100;
/// Tenants remembered before idle ones are forgotten for the first time.
const ACCOUNTS_MIN: usize = 1_024;
/// A tenant that asked nothing for so long has its whole budget back.
const IDLE: Duration = Duration::from_mins(1);

/// Where a tenant stands after a query was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Points of a minute.
    pub budget: u32,
    /// What is left of them now.
    pub remaining: u32,
    /// Until all of them are there again.
    pub full_in: Duration,
}

/// Why a query is not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The tenant has fewer points now.
    TooFew {
        /// Where it stands.
        balance: Balance,
        /// Until it has enough.
        wait: Duration,
    },
    /// The points could not be counted; logged under the id.
    Unavailable(Uuid),
}

/// What this server knows of all tenants' points.
#[derive(Default)]
pub struct Points {
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    of: HashMap<TenantId, Arc<tokio::sync::Mutex<Account>>>,
    forget_at: usize,
}

struct Account {
    /// Taken and not yet paid out.
    held: u32,
    /// What the last question was told, and when.
    told: GrantedPoints,
    asked_at: Instant,
}

impl Points {
    /// Pays `points` of the tenant.
    pub(super) async fn spend(
        &self,
        rates: &Rates,
        scope: &TenantScope,
        rate: RequestRate,
        points: u32,
    ) -> Result<Balance, Spent> {
        let account = self.account(scope.tenant_id());
        let paying = async {
            let mut account = account.lock().await;
            if account.held < points {
                let ahead = rate.burst() / AHEAD_PART;
                let asked = points - account.held + ahead;
                let told = rates.take_points(scope, rate, asked).await;
                let told = told.map_err(|error| Spent::Unavailable(log_unreachable(&error)))?;
                account.held += told.points;
                account.told = told;
                account.asked_at = Instant::now();
            }
            account.pay(rate, points)
        };
        timeout(PATIENCE, paying).await.unwrap_or_else(|_| {
            Err(Spent::Unavailable(log_uncounted(
                "its points were not counted in time",
            )))
        })
    }

    fn account(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<Account>> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.of.len() >= accounts.forget_at.max(ACCOUNTS_MIN) {
            accounts.of.retain(|_, account| !is_idle(account));
            accounts.forget_at = 2 * accounts.of.len();
        }
        let account = accounts.of.entry(tenant).or_insert_with(|| {
            Arc::new(tokio::sync::Mutex::new(Account {
                held: 0,
                told: GrantedPoints {
                    points: 0,
                    used: Duration::ZERO,
                },
                asked_at: Instant::now(),
            }))
        });
        Arc::clone(account)
    }
}

fn is_idle(account: &Arc<tokio::sync::Mutex<Account>>) -> bool {
    Arc::strong_count(account) == 1
        && account
            .try_lock()
            .is_ok_and(|account| account.asked_at.elapsed() > IDLE)
}

impl Account {
    fn pay(&mut self, rate: RequestRate, points: u32) -> Result<Balance, Spent> {
        if self.held >= points {
            self.held -= points;
            return Ok(self.balance(rate));
        }
        // others may take what comes back meanwhile; then the client is told again
        let missing = u64::from(points - self.held) * u64::from(rate.spacing_microseconds());
        Err(Spent::TooFew {
            balance: self.balance(rate),
            wait: Duration::from_micros(missing),
        })
    }

    fn balance(&self, rate: RequestRate) -> Balance {
        let spacing = u64::from(rate.spacing_microseconds());
        let full_in = self.told.used.saturating_sub(self.asked_at.elapsed());
        let used = u64::try_from(full_in.as_micros())
            .unwrap_or(u64::MAX)
            .div_ceil(spacing);
        let free = rate
            .burst()
            .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        Balance {
            budget: rate.burst(),
            remaining: free.saturating_add(self.held).min(rate.burst()),
            full_in,
        }
    }
}
