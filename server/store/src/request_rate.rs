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
use tamiz_core::rate::{Granted, GrantedPoints, RequestRate};
use uuid::Builder;

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
        let row = sqlx::query!(
            r#"
            select granted as "granted!", wait_seconds as "wait_seconds!"
            from control.take_requests($1, $2, $3, $4)
            "#,
            scope.tenant_id().uuid(),
            i32::try_from(asked).unwrap_or(i32::MAX),
            spacing(rate),
            i32::try_from(rate.burst()).unwrap_or(i32::MAX)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Granted {
            requests: row.granted.try_into().unwrap_or(0),
            wait: Duration::try_from_secs_f64(row.wait_seconds).unwrap_or_default(),
        })
    }

    /// Takes up to `asked` points of what the tenant's queries may cost. Served by the primary key.
    ///
    /// How much was used before is read as of just before the question, which is exact enough to be told.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be asked.
    pub async fn take_points(
        &self,
        scope: &TenantScope,
        rate: RequestRate,
        asked: u32,
    ) -> Result<GrantedPoints, StoreError> {
        let row = sqlx::query!(
            r#"
            select t.granted as "granted!",
                   coalesce((select extract(epoch from r.arrival - clock_timestamp())::double precision
                             from control.request_rate r
                             where r.tenant_id = $1 and r.arrival > clock_timestamp()), 0) as "used_seconds!"
            from control.take_requests($1, $2, $3, $4) t
            "#,
            points_account(scope),
            i32::try_from(asked).unwrap_or(i32::MAX),
            spacing(rate),
            i32::try_from(rate.burst()).unwrap_or(i32::MAX)
        )
        .fetch_one(&self.pool)
        .await?;
        let points: u32 = row.granted.try_into().unwrap_or(0);
        let before = Duration::try_from_secs_f64(row.used_seconds).unwrap_or_default();
        let worth = |points: u32| {
            let microseconds = u64::from(points) * u64::from(rate.spacing_microseconds());
            Duration::from_micros(microseconds)
        };
        Ok(GrantedPoints {
            points,
            used: (before + worth(points)).min(worth(rate.burst())),
        })
    }

    /// Waits until every connection is given back and closed.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The time in which one is given back.
fn spacing(rate: RequestRate) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: rate.spacing_microseconds().into(),
    }
}

/// Points have an account of their own beside that of the tenant's requests: the tenant's id with the version
/// nibble of what is custom (RFC 9562, version 8), which no id of ours has.
fn points_account(scope: &TenantScope) -> uuid::Uuid {
    Builder::from_custom_bytes(scope.tenant_id().uuid().into_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use tamiz_core::TenantId;

    use super::*;

    #[test]
    fn points_and_requests_have_two_accounts() {
        let scope = TenantScope::of(TenantId::fresh());
        let other = TenantScope::of(TenantId::fresh());
        assert_ne!(points_account(&scope), scope.tenant_id().uuid());
        assert_ne!(points_account(&scope), points_account(&other));
        assert_eq!(points_account(&scope).get_version_num(), 8);
    }
}
