//! The operator's transaction: tenants, their tokens, plugins and plans, across tenants.
//!
//! Its users are the operator's commands, and `tamiz serve` when it starts, for the plugins of its folder;
//! no request of a tenant gets here, and of operators those that read the queue, the workers and the tenants.

use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Transaction};
use tokio::task::JoinError;

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
        let pool = self.control.clone();
        // On a task of its own: an operator's request that is dropped between the message and its answer would give a
        // connection back to the pool with the transaction still open.
        let opening = tokio::spawn(async move { pool.begin().await });
        let transaction = opening.await.map_err(crashed)??;
        Ok(ControlTx {
            transaction,
            signals: self.signals.clone(),
            wakes_workers: false,
        })
    }
}

fn crashed(_: JoinError) -> StoreError {
    StoreError::Unavailable(sqlx::Error::WorkerCrashed)
}

impl ControlTx {
    /// Makes the writes durable.
    ///
    /// # Errors
    /// Whatever the commit meets.
    pub async fn commit(self) -> Result<(), StoreError> {
        let transaction = self.transaction;
        // likewise: no roll-back on a connection that has committed
        let committing = tokio::spawn(async move { transaction.commit().await });
        committing.await.map_err(crashed)??;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::ConnectOptions as _;
    use tokio::time::{Instant, sleep, timeout};

    use crate::connect::admin_options;
    use crate::database_for_tests::Database;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_transaction_that_nobody_waits_for_any_more_is_not_left_open() {
        let database = Database::fresh().await;
        let store = database.store().await;
        store.begin_control().await.unwrap().commit().await.unwrap();
        let mut admin = admin_options(&database.url).unwrap().connect().await.unwrap();
        // polled once each: the message is sent, its answer not read
        for _ in 0..5 {
            let _ = timeout(Duration::ZERO, store.begin_control()).await;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let open: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and state = 'idle in transaction'",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if open == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{open} transactions stay open");
            sleep(Duration::from_millis(10)).await;
        }
        store.begin_control().await.unwrap().commit().await.unwrap();
        drop(admin);
        store.close().await;
        database.drop().await;
    }
}
