//! A transaction that is given up in an orderly way when its owner goes.
//!
//! A client that hangs up, or whose time is over, drops its request in the middle of a statement. Postgres would go on
//! with that to its end, on a connection that nobody else can use meanwhile. So what is dropped rolls back on a task of
//! its own, and a statement that does not end [`SOON`] is cancelled. Each transaction goes by a name of its own
//! (`application_name`, until its end), so that a cancel that comes late meets nobody else.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Postgres, Transaction};
use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::shares::Place;

/// A transaction between two statements rolls back in less.
const SOON: Duration = Duration::from_millis(50);

/// What one transaction is called in Postgres.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name(Uuid);

impl Name {
    /// A new one.
    pub(crate) fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "tamiz {}", self.0.simple())
    }
}

/// An open transaction with the place that its tenant has for it.
#[derive(Debug)]
pub(crate) struct Held {
    open: Option<(Transaction<'static, Postgres>, Place)>,
    name: Name,
    cancels: PgPool,
}

impl Held {
    /// Looks after a transaction called `name`; `cancels` reaches Postgres when the other pools are used up.
    pub(crate) fn new(
        transaction: Transaction<'static, Postgres>,
        place: Place,
        name: Name,
        cancels: PgPool,
    ) -> Self {
        Self {
            open: Some((transaction, place)),
            name,
            cancels,
        }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        match &mut self.open {
            Some((transaction, _)) => transaction,
            None => unreachable!("only what ends the transaction takes it"),
        }
    }

    /// The transaction, to be ended by whoever asks.
    pub(crate) fn take(mut self) -> Option<(Transaction<'static, Postgres>, Place)> {
        self.open.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // without a runtime the process ends, and Postgres notices
        if let (Some((transaction, place)), Ok(runtime)) = (self.open.take(), Handle::try_current()) {
            runtime.spawn(give_up(transaction, place, self.name, self.cancels.clone()));
        }
    }
}

async fn give_up(transaction: Transaction<'static, Postgres>, place: Place, name: Name, cancels: PgPool) {
    let mut ending = std::pin::pin!(transaction.rollback());
    if timeout(SOON, &mut ending).await.is_err() {
        if let Err(error) = cancel(&cancels, name).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a statement whose client is gone goes on to its end");
        }
        // a connection that broke is gone with its transaction
        let _ = ending.await;
    }
    drop(place);
}

/// Ends the statement that the transaction runs right now. As the role that runs it, which may.
async fn cancel(cancels: &PgPool, name: Name) -> Result<(), sqlx::Error> {
    let cancelled = sqlx::query_scalar!(
        r#"
        select pg_cancel_backend(pid) as "cancelled!" from pg_stat_activity
        where application_name = $1 and usename = current_user and state = 'active'
        "#,
        name.to_string()
    )
    .fetch_all(cancels)
    .await?;
    if !cancelled.is_empty() {
        metrics::counter!("tamiz_statements_cancelled_total").increment(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions as _;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::connect::admin_options;
    use crate::database_for_tests::{Database, tenant_with_task};
    use crate::scope::TenantScope;
    use crate::{Store, TenantTx};

    /// A machine under load takes a while, but not as long as the statement.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Statements that sleep in the test's database.
    async fn sleeping(admin: &mut PgConnection) -> i64 {
        sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and state = 'active' and query like '%pg_sleep%'
             and pid <> pg_backend_pid()",
        )
        .fetch_one(admin)
        .await
        .unwrap()
    }

    async fn until_sleeping(admin: &mut PgConnection, count: i64) {
        let deadline = Instant::now() + PATIENCE;
        while sleeping(admin).await != count {
            assert!(Instant::now() < deadline, "there are never {count} statements");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn sleep_in(mut tx: TenantTx) {
        let _ = sqlx::query("select pg_sleep(60)").execute(tx.connection()).await;
    }

    async fn answers(store: &Store, scope: &TenantScope) {
        let mut tx = store.begin(scope).await.unwrap();
        let one: i32 = sqlx::query_scalar("select 1")
            .fetch_one(tx.connection())
            .await
            .unwrap();
        assert_eq!(one, 1);
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_statement_whose_owner_is_gone_ends_and_its_connection_serves_on() {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, _) = tenant_with_task(&store, "acme").await;
        let mut admin = admin_options(&database.url).unwrap().connect().await.unwrap();
        // more often than there are connections, and than the tenant has places
        for _ in 0..6 {
            let running = tokio::spawn(sleep_in(store.begin(&scope).await.unwrap()));
            until_sleeping(&mut admin, 1).await;
            running.abort();
            until_sleeping(&mut admin, 0).await;
        }
        answers(&store, &scope).await;
        drop(admin);
        store.close().await;
        database.drop().await;
    }

    #[tokio::test]
    async fn statements_are_cancelled_when_all_connections_are_taken_and_others_go_on() {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, _) = tenant_with_task(&store, "acme").await;
        let mut admin = admin_options(&database.url).unwrap().connect().await.unwrap();
        let mut running = Vec::new();
        for _ in 0..4 {
            running.push(tokio::spawn(sleep_in(store.begin(&scope).await.unwrap())));
        }
        until_sleeping(&mut admin, 4).await;
        for running in &running[1..] {
            running.abort();
        }
        until_sleeping(&mut admin, 1).await;
        answers(&store, &scope).await;
        assert!(!running[0].is_finished(), "nobody gave this one up");
        running[0].abort();
        until_sleeping(&mut admin, 0).await;
        drop(admin);
        store.close().await;
        database.drop().await;
    }
}
