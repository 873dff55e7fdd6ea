//! What the operator's commands have in common: the database, opened for one command, and tenants by name.

use tamiz_core::TenantId;
use tamiz_store::{ControlTx, Store, StoreError, TenantScope, tenant};

use super::database::Database;
use super::{CliError, open, start_logs};
use crate::config::Config;

/// Does `work` with the database of the configuration, which is closed again.
///
/// # Errors
/// [`CliError::Unavailable`] when the database is not there, else what `work` answers.
pub(super) async fn with_store<Answer>(
    config: &Config,
    work: impl AsyncFnOnce(&Store) -> Result<Answer, CliError>,
) -> Result<Answer, CliError> {
    start_logs(&config.log);
    let database = Database::shared(config).await?;
    let done = match open::store(config, &database.url).await {
        Ok(store) => {
            let done = work(&store).await;
            store.close().await;
            done
        }
        Err(error) => Err(error),
    };
    database.close(config.shutdown_grace).await;
    done
}

/// Does `work` in one transaction of the operator, which is committed when it went well.
///
/// # Errors
/// As [`with_store`].
pub(super) async fn in_transaction<Answer>(
    config: &Config,
    work: impl AsyncFnOnce(&mut ControlTx) -> Result<Answer, CliError>,
) -> Result<Answer, CliError> {
    with_store(config, async |store| {
        let mut tx = store.begin_control().await.map_err(away)?;
        let answer = work(&mut tx).await?;
        tx.commit().await.map_err(away)?;
        Ok(answer)
    })
    .await
}

/// A failure of the store, as a command ends with it.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn away(error: StoreError) -> CliError {
    CliError::unavailable(&error)
}

/// The tenant of that name.
///
/// # Errors
/// [`CliError::Failed`] when there is none.
pub(super) async fn tenant_named(tx: &mut ControlTx, name: &str) -> Result<TenantId, CliError> {
    let id = tenant::by_name(tx, name).await.map_err(away)?;
    id.ok_or_else(|| no_tenant_named(name))
}

/// The right to the rows of the tenant of that name.
///
/// # Errors
/// As [`tenant_named`].
pub(super) async fn scope_named(tx: &mut ControlTx, name: &str) -> Result<TenantScope, CliError> {
    let scope = tenant::scope(tx, name).await.map_err(away)?;
    scope.ok_or_else(|| no_tenant_named(name))
}

fn no_tenant_named(name: &str) -> CliError {
    CliError::Failed(format!(
        "there is no tenant named {name}; see `tamiz tenant list`"
    ))
}
