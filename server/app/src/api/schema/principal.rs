//! Who bears the token of a request: a tenant's caller, or an operator.
//!
//! A tenant's request carries a [`Session`], an operator's an [`OperatorSession`], never both. Fields of a tenant ask
//! for the one and fields of operators for the other, so what is not meant for a principal refuses by itself.

use std::sync::Arc;

use async_graphql::Context;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::operator_token::Operator;
use tamiz_store::token::Caller;
use tamiz_store::{ControlTx, Store};
use uuid::Uuid;

use super::session::Session;
use crate::api::errors::ApiError;
use crate::api::guard::Credential;
use crate::api::guard::bearer::Known;
use crate::api::refused::Refused;
use crate::api::state::ApiState;

/// Whoever passed the door.
#[derive(Debug, Clone)]
pub enum Principal {
    /// Somebody of a tenant.
    Tenant(Box<Caller>),
    /// Somebody who runs the platform.
    Operator(Operator),
}

impl Credential for Principal {
    fn token_id(&self) -> Uuid {
        match self {
            Self::Tenant(caller) => caller.token.uuid(),
            Self::Operator(operator) => operator.token.uuid(),
        }
    }

    fn account(&self) -> Uuid {
        match self {
            Self::Tenant(caller) => caller.scope.tenant_id().uuid(),
            Self::Operator(operator) => operator.token.uuid(),
        }
    }

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Tenant(caller) => caller.expires_at,
            Self::Operator(operator) => operator.expires_at,
        }
    }
}

/// The caller of a route that is for tenants only.
pub struct TenantCaller(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for TenantCaller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let known = Known::<Principal>::from_request_parts(parts, state).await?;
        match known.caller {
            Principal::Tenant(caller) => Ok(Self(*caller)),
            Principal::Operator(_) => Err(Refused::from_refusal(StatusCode::FORBIDDEN, no_tenant())),
        }
    }
}

/// An operator's request.
pub(super) struct OperatorSession {
    pub(super) state: Arc<ApiState>,
}

impl OperatorSession {
    /// The session of the request that `context` belongs to; refused to tenants.
    pub(super) fn of<'a>(context: &Context<'a>) -> Result<&'a Arc<Self>, ApiError> {
        match Asker::of(context)? {
            Asker::Operator(session) => Ok(session),
            Asker::Tenant(_) => {
                let message = "this is for operators: a tenant's token does not open it";
                Err(Refusal::new(RefusalCode::NotAllowed, message).into())
            }
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.state.store
    }

    /// A transaction over the platform's own tables.
    pub(super) async fn begin(&self) -> Result<ControlTx, ApiError> {
        let begun = self.store().begin_control().await;
        begun.map_err(|error| ApiError::of_store(&error))
    }
}

/// Who asks, where both may.
pub(super) enum Asker<'a> {
    Tenant(&'a Arc<Session>),
    Operator(&'a Arc<OperatorSession>),
}

impl<'a> Asker<'a> {
    /// Of the request that `context` belongs to.
    pub(super) fn of(context: &Context<'a>) -> Result<Self, ApiError> {
        if let Some(session) = context.data_opt::<Arc<OperatorSession>>() {
            return Ok(Self::Operator(session));
        }
        let session = context.data_opt::<Arc<Session>>();
        session
            .map(Self::Tenant)
            .ok_or_else(|| ApiError::fault(&NoSession))
    }
}

/// What an operator's token does not open.
pub(super) fn no_tenant() -> Refusal {
    Refusal::new(
        RefusalCode::NotAllowed,
        "an operator's token opens `queue`, `workers`, `tenants` and `plans` and nothing of a tenant: use a tenant's token",
    )
}

#[derive(Debug, thiserror::Error)]
#[error("the request has no session")]
struct NoSession;
