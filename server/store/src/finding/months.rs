//! The months in which findings expire: a partition each, opened before the first finding of it is written and
//! dropped when it has come.
//!
//! A finding goes with the first month that begins after its tenant's retention. What the plan says later changes
//! what is stored from then on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::NaiveDate;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// When findings of a tenant without a retention go.
pub const KEPT: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a day");

/// A month that is open: findings may be written that expire in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingMonth(NaiveDate);

impl FindingMonth {
    /// The day on which its findings go.
    pub const fn expires_on(self) -> NaiveDate {
        self.0
    }

    /// For findings that do not expire; open from the first migration on.
    pub const fn kept() -> Self {
        Self(KEPT)
    }
}

/// Which months this process knows to be open.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenMonths(Arc<Mutex<BTreeSet<NaiveDate>>>);

impl OpenMonths {
    fn is_open(&self, day: NaiveDate) -> bool {
        self.0.lock().is_ok_and(|days| days.contains(&day))
    }

    fn opened(&self, day: NaiveDate) {
        if let Ok(mut days) = self.0.lock() {
            days.insert(day);
        }
    }
}

impl Store {
    /// The month in which findings go that the tenant stores now; opened if it is not.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn finding_month(&self, scope: &TenantScope) -> Result<FindingMonth, StoreError> {
        let day = sqlx::query_scalar!(
            r#"
            select (date_trunc('month', now() at time zone 'UTC' + make_interval(days => days::int)) + interval '1 month')::date
            from (select coalesce(o.value, p.value) as days from control.tenant t
                  left join control.tenant_quota o on o.tenant_id = t.id and o.name = 'retention-days'
                  left join control.plan_quota p on p.plan = t.plan and p.name = 'retention-days'
                  where t.id = $1) retention
            "#,
            scope.tenant_id().uuid()
        )
        .fetch_optional(&self.control)
        .await?;
        let Some(day) = day.flatten() else {
            return Ok(FindingMonth::kept());
        };
        if !self.finding_months.is_open(day) {
            sqlx::query_scalar!(r#"select tenant.open_finding_month($1) as "made!""#, day)
                .fetch_one(&self.control)
                .await?;
            self.finding_months.opened(day);
        }
        Ok(FindingMonth(day))
    }

    /// Drops the months that have come; answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked, or a month is being read.
    pub async fn drop_finding_months(&self) -> Result<u64, StoreError> {
        let gone = sqlx::query_scalar!(r#"select tenant.drop_finding_months() as "gone!""#)
            .fetch_one(&self.control)
            .await?;
        Ok(u64::from(gone.unsigned_abs()))
    }
}
