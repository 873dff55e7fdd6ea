//! The operator's transaction: tenants, their tokens, plugins and plans, across tenants.
//!
//! Its users are the operator's commands, and `tamiz serve` when it starts, for the plugins of its folder;
//! no request of a tenant gets here.

use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Transaction};

use crate::connect::Store;
use crate::error::StoreError;
use crate::signal::Signals;

/// Cross-tenant work of the operator. Dropped without [`ControlTx::commit`], it rolls back.
#[derive(Debug)]
pub struct ControlTx {
    transaction: Transaction<'static, Postgres>,
    signals: Signals,
    wakes_workers: bool,
}

impl Store {
    /// Opens a transaction as the operator.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no connection.
    pub async fn begin_control(&self) -> Result<ControlTx, StoreError> {
        Ok(ControlTx {
            transaction: self.control.begin().await?,
            signals: self.signals.clone(),
            wakes_workers: false,
        })
    }
}

impl ControlTx {
    /// Makes the writes durable.
    ///
    /// # Errors
    /// Whatever the commit meets.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        if self.wakes_workers {
            // as many as wake everybody with room
            self.signals.tickets(None, u32::MAX);
        }
        Ok(())
    }

    /// Wakes all workers with room, once this is committed.
    pub(crate) fn will_wake_workers(&mut self) {
        self.wakes_workers = true;
    }

    /// Waits for whoever has the turn of this number and keeps it until the transaction ends: for what is counted
    /// and then added to.
    pub(crate) async fn take_turn(&mut self, turn: i64) -> Result<(), StoreError> {
        sqlx::query!(r#"select pg_advisory_xact_lock($1) is null as "locked!""#, turn)
            .fetch_one(self.connection())
            .await?;
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
