//! API tokens as the admins of their tenant see, make and end them. What is told never holds a secret.

use chrono::{DateTime, Utc};
use tamiz_core::TokenId;
use tamiz_core::limits::TOKENS_PER_TENANT_MAX;
use tamiz_core::token::Token;
use uuid::Uuid;

use super::{Role, role};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;

/// A token of the own tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnToken {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The first characters of its secret.
    pub hint: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When somebody ended it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Within a minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

struct TokenColumns {
    id: Uuid,
    name: String,
    role: String,
    hint: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl TryFrom<TokenColumns> for OwnToken {
    type Error = StoreError;

    fn try_from(row: TokenColumns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            role: role(&row.role)?,
            hint: row.hint,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// A page of the tenant's tokens, newest first; those that have ended among them. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(tx: &mut TenantTx, window: Window<TokenId>) -> Result<Page<OwnToken>, StoreError> {
    let rows = sqlx::query_as!(
        TokenColumns,
        r#"
        select id, name, role, hint, created_at, expires_at, revoked_at, last_used_at
        from tenant.api_token
        where tenant_id = $1 and ($2::uuid is null or id < $2) and ($3::uuid is null or id > $3)
        -- a tenant has few: they may be sorted
        order by case when $5 then id end, id desc limit $4
        "#,
        tx.tenant(),
        window.after.map(TokenId::uuid),
        window.before.map(TokenId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let tokens: Result<Vec<OwnToken>, _> = rows.into_iter().map(OwnToken::try_from).collect();
    Ok(Page::read(tokens?, &window))
}

/// Those of these ids that are there.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[TokenId]) -> Result<Vec<OwnToken>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        TokenColumns,
        r#"
        select id, name, role, hint, created_at, expires_at, revoked_at, last_used_at
        from tenant.api_token where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(OwnToken::try_from).collect()
}

/// Stores the hash of `token`; `None` when the tenant has [`TOKENS_PER_TENANT_MAX`] live ones.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    name: &str,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
    token: &Token,
) -> Result<Option<OwnToken>, StoreError> {
    let row = sqlx::query_as!(
        TokenColumns,
        r#"
        insert into tenant.api_token (tenant_id, id, name, role, hash, hint, expires_at)
        select $1, $2, $3, $4, $5, $6, $7
        where (select count(*) from tenant.api_token where tenant_id = $1 and revoked_at is null) < $8
        returning id, name, role, hint, created_at, expires_at, revoked_at, last_used_at
        "#,
        tx.tenant(),
        TokenId::fresh().uuid(),
        name,
        role.as_str(),
        &token.hash().0[..],
        token.hint(),
        expires_at,
        TOKENS_PER_TENANT_MAX
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(OwnToken::try_from).transpose()
}

/// Ends a token now, and answers how it is; one that was revoked stays as it was.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn revoke(tx: &mut TenantTx, id: TokenId) -> Result<Option<OwnToken>, StoreError> {
    let row = sqlx::query_as!(
        TokenColumns,
        r#"
        update tenant.api_token set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and id = $2
        returning id, name, role, hint, created_at, expires_at, revoked_at, last_used_at
        "#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(OwnToken::try_from).transpose()
}
