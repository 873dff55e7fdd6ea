//! Work that is done for each tenant in turn.

use std::error::Error;

use tamiz_core::TenantId;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

impl Store {
    /// Does a batch of work for each tenant until `enough` is done; answers how much. `failing` is what the log says of a
    /// tenant's work that cannot be done.
    ///
    /// Tenants come in another order each time, so that none waits for ever behind another, and one whose work fails,
    /// perhaps because an import holds its project, holds up no other.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was done and some tenant's work could not be.
    pub(crate) async fn round<Doing>(
        &self,
        enough: u64,
        failing: &'static str,
        work: impl Fn(Self, TenantScope) -> Doing + Send,
    ) -> Result<u64, StoreError>
    where
        Doing: Future<Output = Result<u64, StoreError>> + Send,
    {
        let tenants = sqlx::query_scalar!("select id from control.tenant order by random()")
            .fetch_all(&self.control)
            .await?;
        let (mut done, mut failure) = (0, None);
        for tenant in tenants {
            let scope = TenantScope::of(TenantId::from(tenant));
            match work(self.clone(), scope).await {
                Ok(more) => done += more,
                Err(error) => {
                    tracing::warn!(tenant = %scope.tenant_id(), error = &error as &dyn Error, "{failing}");
                    failure = Some(error);
                }
            }
            if done >= enough {
                break;
            }
        }
        match failure {
            Some(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}
