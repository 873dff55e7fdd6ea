//! What tenants may use: their limits, asked before a task or bytes are taken.
//!
//! Counting and checking are one step under a lock of the tenant's own: whoever asks for tasks holds the
//! tenant's [`Meter`] until its transaction ends, [`storage`] changes one row by a condition. So no number of requests at
//! once passes a limit together.
//!
//! Lock order for everybody: meter and usage of asks, task, storage reservation, storage, usage of ends, and
//! then what [`crate::ticket`] locks.
//!
//! Not here: what claims obey (`control.share`, written by [`limits`]), requests per minute (the limiter).

mod ask;
pub mod limits;
pub mod refused;
pub mod storage;

pub use ask::{Meter, ask_tasks, ask_tokens};

use tamiz_core::quota::QuotaRefusal;

use crate::error::StoreError;

/// Why a tenant does not get more.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// A limit is reached.
    #[error("a limit of the tenant is reached")]
    Refused(#[from] QuotaRefusal),
    /// The database did not do its part.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for QuotaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
