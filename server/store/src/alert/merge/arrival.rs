//! Whether what a scan's findings say is stored yet: contents may be written beside the merge.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A transaction that only waits says so before the database takes it for forgotten (a minute).
const STILL_HERE: Duration = Duration::from_secs(15);

/// Tells when contents are there, or that they will not be.
#[derive(Clone)]
pub struct Arrival(Shared<BoxFuture<'static, bool>>);

impl fmt::Debug for Arrival {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Arrival").field(&self.0.peek()).finish()
    }
}

impl Arrival {
    /// They are there.
    pub fn done() -> Self {
        Self(ready(true).boxed().shared())
    }

    /// They are there when this ends with `true`.
    pub fn of(storing: impl Future<Output = bool> + Send + 'static) -> Self {
        Self(storing.boxed().shared())
    }

    /// Waits for them, with the transaction kept open.
    ///
    /// # Errors
    /// [`StoreError`] when they will not be there.
    pub async fn wait(&self, tx: &mut TenantTx) -> Result<(), StoreError> {
        loop {
            match tokio::time::timeout(STILL_HERE, self.0.clone()).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(StoreError::unreadable("contents", "they could not be stored")),
                Err(_) => {
                    sqlx::query_scalar!(r#"select true as "here!""#)
                        .fetch_one(tx.connection())
                        .await?;
                }
            }
        }
    }
}
