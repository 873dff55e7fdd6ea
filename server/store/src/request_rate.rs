//! Requests of tenants, counted for all servers together: the rows behind the API's limiter.
//!
//! GCRA (`tamiz_core::rate`) in one statement per question, by the database's clock under the row's lock,
//! so that neither the clock of a server nor two servers at once can stretch the limit. The rows are
//! unlogged and their commits do not wait for the disk: what a crash loses is forgiven.
//!
//! A pool of its own, because a tenant that floods must wait behind its own row and not on a connection
//! that claims or results need. Not here: which limit a tenant has, Redis, and asking for many at once
//! (the server's `limiter`).

use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::postgres::types::PgInterval;
use tamiz_core::rate::{Granted, RequestRate};

use crate::connect::{pool_of, unwaited_options};
use crate::error::StoreError;
use crate::scope::TenantScope;

/// The limiter asks once per tenant at a time, and each question takes a fraction of a millisecond.
const CONNECTIONS_MAX: u32 = 4;
/// A request that cannot even be counted within this time is told to come back.
const ACQUIRE_SECONDS_MAX: u64 = 5;

/// The accounts of all tenants.
#[derive(Debug, Clone)]
pub struct RequestRates {
    pool: PgPool,
}

impl RequestRates {
    /// Prepares the pool; connects when it is first asked.
    ///
    /// # Errors
    /// [`StoreError::Address`] for a malformed URL.
    pub fn open(database_url: &str) -> Result<Self, StoreError> {
        let options = unwaited_options(database_url)?;
        Ok(Self {
            pool: pool_of(options, CONNECTIONS_MAX, ACQUIRE_SECONDS_MAX),
        })
    }

    /// Takes up to `asked` requests of the tenant. Served by the primary key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be asked.
    pub async fn take(
        &self,
        scope: &TenantScope,
        rate: RequestRate,
        asked: u32,
    ) -> Result<Granted, StoreError> {
        let spacing = PgInterval {
            months: 0,
            days: 0,
            microseconds: rate.spacing_microseconds().into(),
        };
        let row = sqlx::query!(
            r#"
            select granted as "granted!", wait_seconds as "wait_seconds!"
            from control.take_requests($1, $2, $3, $4)
            "#,
            scope.tenant_id().uuid(),
            i32::try_from(asked).unwrap_or(i32::MAX),
            spacing,
            i32::try_from(rate.burst()).unwrap_or(i32::MAX)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Granted {
            requests: row.granted.try_into().unwrap_or(0),
            wait: Duration::try_from_secs_f64(row.wait_seconds).unwrap_or_default(),
        })
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
