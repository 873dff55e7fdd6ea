//! The key that a tenant's found secrets are hashed with.
//!
//! Findings keep a secret's keyed hash and never the secret: whoever reads the rows cannot try out
//! guesses without the key, and the hashes of two tenants cannot be compared.

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Bytes of a key; as many as SHA-256 answers.
pub const SECRET_KEY_BYTES: usize = 32;

/// The tenant's key; `fresh` becomes it when there is none yet.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked or holds a key of another length.
pub async fn get_or_create(
    tx: &mut TenantTx,
    fresh: [u8; SECRET_KEY_BYTES],
) -> Result<[u8; SECRET_KEY_BYTES], StoreError> {
    sqlx::query!(
        "insert into tenant.secret_key (tenant_id, key) values ($1, $2) on conflict (tenant_id) do nothing",
        tx.tenant(),
        &fresh[..]
    )
    .execute(tx.connection())
    .await?;
    let key = sqlx::query_scalar!(
        "select key from tenant.secret_key where tenant_id = $1",
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    <[u8; SECRET_KEY_BYTES]>::try_from(key.as_slice())
        .map_err(|_| StoreError::unreadable("secret key", "another length"))
}
