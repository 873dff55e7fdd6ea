//! API tokens: authentication, and the operator's list of them.
//!
//! Not here: what a tenant's own admins see and do (see [`own`]).

pub mod own;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tamiz_core::limits::TOKENS_PER_TENANT_MAX;
use tamiz_core::quota::REQUESTS_PER_MINUTE_DEFAULT;
use tamiz_core::token::Token;
use tamiz_core::{TenantId, TokenId};

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// A last-used time is not renewed more often than this: a write per request would cost more than
/// the request.
pub(crate) const LAST_USED_SECONDS: f64 = 60.0;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also writes: makes projects, uploads, scans, cancels, retries.
    Analyst,
    /// For now the same as [`Role::Analyst`].
    Admin,
    /// For now the same as [`Role::Analyst`].
    Owner,
}

impl Role {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Viewer, Self::Analyst, Self::Admin, Self::Owner]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// Who is calling, after the token was verified.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The right to the tenant's rows.
    pub scope: TenantScope,
    /// The tenant's name.
    pub tenant_name: String,
    /// The limit for one upload that the tenant or its plan has, in bytes.
    pub upload_bytes_max: Option<u64>,
    /// How many requests the tenant may send in a minute.
    pub requests_per_minute: u64,
    /// The token.
    pub token: TokenId,
    /// The token's name.
    pub token_name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as its owner sees it.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its id.
    pub id: TokenId,
    /// Its tenant's name.
    pub tenant_name: String,
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

impl Store {
    /// Who bears `token`, or `None` when it is unknown, expired or revoked.
    ///
    /// The look-up is one statement (`caller_of` in the migrations) inside the row-level security of the tenant that
    /// the token claims, served by `api_token_hash_key (tenant_id, hash)`. What is compared is a SHA-256 of 256
    /// random bits, so the time of the comparison tells nothing about the token.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be asked.
    pub async fn authenticate(&self, token: &Token) -> Result<Option<Caller>, StoreError> {
        let Some(tenant) = token.claimed_tenant() else {
            // an operator's is in no tenant's rows
            return Ok(None);
        };
        let claimed = TenantScope::of(tenant);
        let hash = token.hash();
        let _place = self.place(&claimed).await?;
        let row = sqlx::query!(
            r#"
            select id as "id!", hash as "hash!", name as "name!", role as "role!", expires_at,
                   tenant_name as "tenant_name!", upload_bytes_max, requests_per_minute
            from tenant.caller_of($1, $2, $3)
            "#,
            tenant.uuid(),
            &hash.0[..],
            LAST_USED_SECONDS
        )
        .fetch_optional(&self.app)
        .await?;
        let Some(row) = row.filter(|row| bool::from(row.hash.ct_eq(&hash.0[..]))) else {
            return Ok(None);
        };
        Ok(Some(Caller {
            scope: claimed,
            tenant_name: row.tenant_name,
            upload_bytes_max: row.upload_bytes_max.map(i64::cast_unsigned),
            requests_per_minute: row
                .requests_per_minute
                .map_or(REQUESTS_PER_MINUTE_DEFAULT, i64::cast_unsigned),
            token: row.id.into(),
            token_name: row.name,
            role: role(&row.role)?,
            expires_at: row.expires_at,
        }))
    }
}

fn role(word: &str) -> Result<Role, StoreError> {
    Role::parse(word).ok_or_else(|| StoreError::unreadable("role", word))
}

/// Whether a token of the tenant is neither revoked nor expired. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn is_live(tx: &mut TenantTx, token: TokenId) -> Result<bool, StoreError> {
    let live = sqlx::query_scalar!(
        r#"select exists (select from tenant.api_token where tenant_id = $1 and id = $2
           and revoked_at is null and (expires_at is null or expires_at > now())) as "live!""#,
        tx.tenant(),
        token.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(live)
}

/// What a new token shall be.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// What it is for.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Stores the hash of `token`; `None` when the tenant has [`TOKENS_PER_TENANT_MAX`] live ones.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut ControlTx,
    new: &NewToken<'_>,
    token: &Token,
) -> Result<Option<TokenId>, StoreError> {
    let id = TokenId::fresh();
    let made = sqlx::query!(
        r#"
        insert into tenant.api_token (tenant_id, id, name, role, hash, hint, expires_at)
        select $1, $2, $3, $4, $5, $6, $7
        where (select count(*) from tenant.api_token where tenant_id = $1 and revoked_at is null) < $8
        "#,
        new.tenant.uuid(),
        id.uuid(),
        new.name,
        new.role.as_str(),
        &token.hash().0[..],
        token.hint(),
        new.expires_at,
        TOKENS_PER_TENANT_MAX
    )
    .execute(tx.connection())
    .await?;
    Ok((made.rows_affected() == 1).then_some(id))
}

/// The tokens of one tenant, or of all, oldest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx, tenant: Option<TenantId>) -> Result<Vec<TokenRow>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select k.id, t.name as tenant_name, k.name, k.role, k.hint, k.created_at, k.expires_at,
               k.revoked_at, k.last_used_at
        from tenant.api_token k join control.tenant t on t.id = k.tenant_id
        where $1::uuid is null or k.tenant_id = $1
        order by k.id
        "#,
        tenant.map(TenantId::uuid)
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(TokenRow {
                id: row.id.into(),
                tenant_name: row.tenant_name,
                name: row.name,
                role: role(&row.role)?,
                hint: row.hint,
                created_at: row.created_at,
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                last_used_at: row.last_used_at,
            })
        })
        .collect()
}

/// Ends a token now. `false` when there is no such live token.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn revoke(tx: &mut ControlTx, token: TokenId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update tenant.api_token set revoked_at = now() where id = $1 and revoked_at is null",
        token.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
