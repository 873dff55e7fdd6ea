//! Reads about the tenant itself: its uploads, tokens and audit log; and tenants and plans, for operators.

use async_graphql::{Context, Object};
use tamiz_core::{ProjectId, TokenId, UploadId};

use super::audit::{AuditEventConnection, AuditEventFilter};
use super::connection::asked;
use super::id::Ref;
use super::plan::Plan;
use super::session::Session;
use super::tenant::TenantConnection;
use super::token::{ApiToken, ApiTokenConnection, token_of};
use super::upload::{Upload, UploadConnection, upload_of};
use crate::api::errors::ApiError;

/// Reads about the tenant itself.
#[derive(Default)]
pub(super) struct TenantQuery;

#[Object]
impl TenantQuery {
    /// One upload.
    async fn upload(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<UploadId>,
    ) -> Result<Option<Upload>, ApiError> {
        upload_of(Session::of(context)?, id.into()).await
    }

    /// Uploads, newest first.
    async fn uploads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of this project; of all if not said.")] project_id: Option<Ref<ProjectId>>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<UploadConnection, ApiError> {
        UploadConnection::page(
            Session::of(context)?,
            project_id,
            &asked(first, after, last, before),
        )
        .await
    }

    /// For admins: one token of the API; null to others.
    async fn api_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<TokenId>,
    ) -> Result<Option<ApiToken>, ApiError> {
        token_of(Session::of(context)?, id.into()).await
    }

    /// For admins: the tokens of the API, newest first, also those that have ended; never their secrets.
    async fn api_tokens(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<ApiTokenConnection, ApiError> {
        ApiTokenConnection::page(Session::of(context)?, &asked(first, after, last, before)).await
    }

    /// For admins: what somebody did or was refused, newest first.
    async fn audit_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "Which events; all if not said.")] filter: Option<AuditEventFilter>,
    ) -> Result<AuditEventConnection, ApiError> {
        AuditEventConnection::page(Session::of(context)?, &asked(first, after, last, before), filter).await
    }

    /// For operators: the tenants, by name.
    async fn tenants(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<TenantConnection, ApiError> {
        TenantConnection::page(context, &asked(first, after, last, before)).await
    }

    /// For operators: the plans, by name; at most a thousand.
    async fn plans(&self, context: &Context<'_>) -> Result<Vec<Plan>, ApiError> {
        Plan::all(context).await
    }
}
