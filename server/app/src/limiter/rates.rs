//! Where tenants' requests are counted: in Redis if there is one, else in Postgres.
//!
//! A Redis that does not answer must neither stop the API nor open it: the requests are counted in
//! Postgres meanwhile, which every server reaches anyway. A tenant gets at most one burst more at each
//! change of place, because the other place has not seen its last requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamiz_core::rate::{Granted, GrantedPoints, RequestRate};
use tamiz_store::request_rate::RequestRates;
use tamiz_store::{StoreError, TenantScope};
use tokio::time::Instant;

use super::redis_rates::RedisRates;

/// A Redis that failed is not asked again for this long: each question of it would cost its time-out.
const REDIS_PAUSE: Duration = Duration::from_secs(2);

/// The accounts of all tenants, shared by all servers.
#[derive(Clone)]
pub struct Rates {
    postgres: RequestRates,
    redis: Option<RedisRates>,
    redis_away_until: Arc<Mutex<Option<Instant>>>,
}

impl Rates {
    /// Counts in `redis` while it answers.
    pub fn new(postgres: RequestRates, redis: Option<RedisRates>) -> Self {
        Self {
            postgres,
            redis,
            redis_away_until: Arc::default(),
        }
    }

    /// Takes up to `asked` requests of the tenant.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when neither place can be asked.
    pub async fn take(
        &self,
        scope: &TenantScope,
        rate: RequestRate,
        asked: u32,
    ) -> Result<Granted, StoreError> {
        if let Some(redis) = self.due_redis()
            && let Some(granted) = self.noted(redis.take(scope.tenant_id(), rate, asked).await)
        {
            return Ok(granted);
        }
        self.postgres.take(scope, rate, asked).await
    }

    /// Takes up to `asked` points of what the tenant's queries may cost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when neither place can be asked.
    pub async fn take_points(
        &self,
        scope: &TenantScope,
        rate: RequestRate,
        asked: u32,
    ) -> Result<GrantedPoints, StoreError> {
        if let Some(redis) = self.due_redis()
            && let Some(granted) = self.noted(redis.take_points(scope.tenant_id(), rate, asked).await)
        {
            return Ok(granted);
        }
        self.postgres.take_points(scope, rate, asked).await
    }

    fn away_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.redis_away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis, but for a while after it failed.
    fn due_redis(&self) -> Option<&RedisRates> {
        let is_due = || self.away_until().is_none_or(|until| Instant::now() >= until);
        self.redis.as_ref().filter(|_| is_due())
    }

    /// What Redis answered, if it did; either way it is remembered.
    fn noted<T>(&self, answer: Result<T, redis::RedisError>) -> Option<T> {
        match answer {
            Ok(granted) => {
                if self.away_until().take().is_some() {
                    tracing::info!("requests are counted in Redis again");
                }
                Some(granted)
            }
            Err(error) => {
                self.redis_failed(&error);
                None
            }
        }
    }

    fn redis_failed(&self, error: &redis::RedisError) {
        metrics::counter!("tamiz_redis_failures_total").increment(1);
        let mut away = self.away_until();
        if away.is_none() {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "Redis does not answer: requests are counted in Postgres meanwhile"
            );
        }
        *away = Some(Instant::now() + REDIS_PAUSE);
    }
}
