//! Tells the audit log that a limit said no.

use tamiz_core::{Refusal, TokenId};
use tamiz_store::{Store, TenantScope};

use super::FlowError;

/// Notes a refusal by a limit; others are nobody's concern. To be called without an open transaction, whose
/// connection this one would wait beside. A database that fails here changes nothing about the answer.
pub async fn note_refusal(store: &Store, scope: &TenantScope, token: Option<TokenId>, refusal: &Refusal) {
    let Some(reached) = &refusal.limit else { return };
    metrics::counter!("tamiz_quota_refusals_total", "limit" => reached.name.clone()).increment(1);
    if let Err(error) = store.note_refusal(scope, token, reached).await {
        tracing::warn!(
            tenant = %scope.tenant_id(),
            limit = reached.name,
            error = &error as &dyn std::error::Error,
            "a refusal could not be noted"
        );
    }
}

/// The same for whatever a flow answered.
///
/// # Errors
/// Those of `outcome`.
pub async fn noted<T>(
    store: &Store,
    scope: &TenantScope,
    token: Option<TokenId>,
    outcome: Result<T, FlowError>,
) -> Result<T, FlowError> {
    if let Err(FlowError::Refused(refusal)) = &outcome {
        note_refusal(store, scope, token, refusal).await;
    }
    outcome
}
