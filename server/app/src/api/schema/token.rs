//! The tenant's API tokens, without their secrets. Admins' alone: names tell what a company runs.

use std::sync::Arc;

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use tamiz_core::TokenId;
use tamiz_store::token::Role;
use tamiz_store::token::own::{self, OwnToken};

use super::connection::{Asked, Listed, connection, decode, encode};
use super::id::id_of;
use super::session::Session;
use super::words::RoleName;
use crate::api::errors::ApiError;
use crate::flow::require;

const ORDER: &str = "apiTokens";

/// A token of the API; its secret is told when it is made, and never again.
#[derive(Clone)]
pub(crate) struct ApiToken(pub(super) Arc<OwnToken>);

/// A token of the API; its secret is told when it is made, and never again.
#[Object]
impl ApiToken {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// What it is for.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What its bearer may do.
    async fn role(&self) -> RoleName {
        self.0.role.into()
    }

    /// The first characters of its secret, to tell it from others.
    async fn hint(&self) -> &str {
        &self.0.hint
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When it was last used, within a minute.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }

    /// When it ends by itself; null means never.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }

    /// When somebody ended it.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
}

connection!(
    /// A page of tokens.
    ApiTokenConnection, ApiTokenEdge, ApiToken
);

impl ApiTokenConnection {
    pub(super) async fn page(session: &Session, asked: &Asked) -> Result<Self, ApiError> {
        require(&session.caller, Role::Admin)?;
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let page = session.read(|tx| Box::pin(own::page(tx, window))).await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| ApiToken(Arc::new(row)),
                |node: &ApiToken| encode(ORDER, node.0.id),
            ),
        })
    }
}

/// One token; nothing to those who may not see tokens.
pub(super) async fn token_of(session: &Session, id: TokenId) -> Result<Option<ApiToken>, ApiError> {
    if require(&session.caller, Role::Admin).is_err() {
        return Ok(None);
    }
    let fetch = async |ids: Vec<TokenId>| {
        let rows = session
            .read(|tx| Box::pin(async move { own::by_ids(tx, &ids).await }))
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    };
    Ok(session.batches().tokens.load(id, fetch).await?.map(ApiToken))
}
