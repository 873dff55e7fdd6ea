//! Writes about API tokens. A refusal is data in the payload's `errors`.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use tamiz_core::TokenId;

use super::id::Ref;
use super::mutation::{UserError, payload, refused, rested};
use super::token::ApiToken;
use super::words::RoleName;
use crate::api::errors::ApiError;
use crate::flow::FlowError;
use crate::flow::api_token::{Wish, create_token, revoke_token};

/// What became of `createToken`.
#[derive(SimpleObject)]
pub(crate) struct CreateTokenPayload {
    /// The token.
    token: Option<ApiToken>,
    /// What its bearer sends, `tmz_…`: told here and never again, also not to who sends the mutation again with the
    /// same idempotency key.
    secret: Option<String>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

payload!(
    /// What became of `revokeToken`.
    RevokeTokenPayload {
        /// The token, which has ended.
        token: ApiToken
    }
);

/// A token that is asked for.
#[derive(InputObject)]
pub(crate) struct CreateTokenInput {
    /// What it is for, 1 to 200 characters.
    name: String,
    /// What its bearer may do, at most what you may.
    role: RoleName,
    /// When it ends by itself, at most ten years ahead; never if not said.
    expires_at: Option<DateTime<Utc>>,
}

/// A token that shall end.
#[derive(InputObject)]
pub(crate) struct RevokeTokenInput {
    /// The token.
    token_id: Ref<TokenId>,
}

/// Writes about tokens.
#[derive(Default)]
pub(super) struct TokenMutation;

#[Object]
impl TokenMutation {
    /// For admins: makes a token of the API, with at most your own role. Its secret is in the answer and nowhere else.
    async fn create_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The token to make.")] input: CreateTokenInput,
    ) -> Result<CreateTokenPayload, ApiError> {
        let session = rested(context).await?;
        let wish = Wish {
            name: input.name,
            role: input.role.into(),
            expires_at: input.expires_at,
        };
        session.tell_secret();
        match create_token(session.store(), &session.caller, wish).await {
            Ok((row, token)) => Ok(CreateTokenPayload {
                token: Some(ApiToken(Arc::new(row))),
                secret: Some(token.reveal().to_owned()),
                errors: Vec::new(),
            }),
            Err(error) => Ok(CreateTokenPayload {
                token: None,
                secret: None,
                errors: vec![refused(error)?],
            }),
        }
    }

    /// For admins: ends a token of the API now. Streams that it opened end within seconds. One that ended before stays as
    /// it was.
    async fn revoke_token(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which token.")] input: RevokeTokenInput,
    ) -> Result<RevokeTokenPayload, ApiError> {
        let session = rested(context).await?;
        let revoked = revoke_token(session.store(), &session.caller, input.token_id.into()).await;
        RevokeTokenPayload::of(revoked.map(|row| ApiToken(Arc::new(row))))
    }
}
