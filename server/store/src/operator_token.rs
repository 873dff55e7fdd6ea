//! Operators' tokens: they open the queue and the workers over HTTP, and nothing of any tenant.
//!
//! An [`Operator`] holds no [`crate::TenantScope`] and cannot be turned into a [`crate::token::Caller`], so no query of
//! tenant rows can be made for one.

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;
use tamiz_core::TokenId;
use tamiz_core::limits::TOKENS_PER_TENANT_MAX;
use tamiz_core::token::Token;

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::StoreError;
use crate::token::LAST_USED_SECONDS;

/// Who makes one counts them first, one after the other.
const TURN: i64 = 0x7461_6d69_7a03;

/// An operator, after the token was verified.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The token.
    pub token: TokenId,
    /// The token's name.
    pub name: String,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// An operator's token as it is listed.
#[derive(Debug, Clone)]
pub struct OperatorTokenRow {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
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
    /// The operator who bears `token`, or `None` when it is a tenant's, unknown, expired or revoked.
    ///
    /// Served by the unique hash: a SHA-256 of 256 random bits, so the time of the comparison tells nothing
    /// about the token.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be asked.
    pub async fn authenticate_operator(&self, token: &Token) -> Result<Option<Operator>, StoreError> {
        if token.claimed_tenant().is_some() {
            return Ok(None);
        }
        let hash = token.hash();
        let row = sqlx::query!(
            r#"
            select id, hash, name, expires_at,
                   (last_used_at is null or last_used_at < now() - make_interval(secs => $2)) as "stale!"
            from control.operator_token
            where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())
            "#,
            &hash.0[..],
            LAST_USED_SECONDS
        )
        .fetch_optional(&self.control)
        .await?;
        let Some(row) = row.filter(|row| bool::from(row.hash.ct_eq(&hash.0[..]))) else {
            return Ok(None);
        };
        if row.stale {
            sqlx::query!(
                "update control.operator_token set last_used_at = now() where id = $1",
                row.id
            )
            .execute(&self.control)
            .await?;
        }
        Ok(Some(Operator {
            token: row.id.into(),
            name: row.name,
            expires_at: row.expires_at,
        }))
    }
}

/// Stores the hash of `token`; `None` when there are [`TOKENS_PER_TENANT_MAX`] live ones.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut ControlTx,
    name: &str,
    expires_at: Option<DateTime<Utc>>,
    token: &Token,
) -> Result<Option<TokenId>, StoreError> {
    tx.take_turn(TURN).await?;
    let id = TokenId::fresh();
    let made = sqlx::query!(
        r#"
        insert into control.operator_token (id, name, hash, hint, expires_at)
        select $1, $2, $3, $4, $5
        where (select count(*) from control.operator_token
               where revoked_at is null and (expires_at is null or expires_at > now())) < $6
        "#,
        id.uuid(),
        name,
        &token.hash().0[..],
        token.hint(),
        expires_at,
        TOKENS_PER_TENANT_MAX
    )
    .execute(tx.connection())
    .await?;
    Ok((made.rows_affected() == 1).then_some(id))
}

/// All of them, oldest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<OperatorTokenRow>, StoreError> {
    let rows = sqlx::query!(
        "select id, name, hint, created_at, expires_at, revoked_at, last_used_at
         from control.operator_token order by id"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OperatorTokenRow {
            id: row.id.into(),
            name: row.name,
            hint: row.hint,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// Ends a token now. `false` when there is no such live one.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn revoke(tx: &mut ControlTx, token: TokenId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update control.operator_token set revoked_at = now() where id = $1 and revoked_at is null",
        token.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
