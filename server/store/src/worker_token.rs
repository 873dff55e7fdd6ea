//! Tokens of workers that do not have the database: made, listed and revoked by the operator, looked up by
//! the server for each request of such a worker.
//!
//! A token gives the right to claim tickets of all tenants, of some scan types or of all, and nothing else.
//! A worker belongs to the token that it registered with: no other token speaks for it.

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;
use tamiz_core::worker_token::WorkerToken;
use tamiz_core::{WorkerId, WorkerTokenId};

use crate::connect::Store;
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// A last-used time is not renewed more often than this.
const LAST_USED_SECONDS: f64 = 60.0;
/// Live tokens: one per network of workers, or one per machine of a large installation.
pub const WORKER_TOKENS_MAX: i64 = 1_000;

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCaller {
    /// The token.
    pub token: WorkerTokenId,
    /// What its workers may claim; `None` is everything.
    pub scan_types: Option<Vec<String>>,
    /// Whether the worker that was named registered with this token.
    pub is_its_worker: bool,
}

/// A token as the operator sees it.
#[derive(Debug, Clone)]
pub struct WorkerTokenRow {
    /// Its id.
    pub id: WorkerTokenId,
    /// What it is for.
    pub name: String,
    /// The first characters of its secret.
    pub hint: String,
    /// What its workers may claim; `None` is everything.
    pub scan_types: Option<Vec<String>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When somebody ended it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Within a minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a new token shall be.
#[derive(Debug, Clone)]
pub struct NewWorkerToken<'a> {
    /// What it is for.
    pub name: &'a str,
    /// What its workers may claim; `None` is everything.
    pub scan_types: Option<&'a [String]>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Who bears `token`, and whether `worker` is one of its workers; `None` when the token is unknown,
    /// expired or revoked.
    ///
    /// Served by `worker_token_hash_key (hash)`. What is compared is a SHA-256 of 256 random bits.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn authenticate_worker(
        &self,
        token: &WorkerToken,
        worker: WorkerId,
    ) -> Result<Option<WorkerCaller>, StoreError> {
        let hash = token.hash();
        let row = sqlx::query!(
            r#"
            select k.id, k.hash, k.scan_types, (w.id is not null) as "is_its_worker!",
                   (k.last_used_at is null or k.last_used_at < now() - make_interval(secs => $3)) as "stale!"
            from control.worker_token k left join control.worker w on w.id = $2 and w.token_id = k.id
            where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
            "#,
            &hash.0[..],
            worker.uuid(),
            LAST_USED_SECONDS
        )
        .fetch_optional(&self.dispatch)
        .await?;
        let Some(row) = row.filter(|row| bool::from(row.hash.ct_eq(&hash.0[..]))) else {
            return Ok(None);
        };
        if row.stale {
            sqlx::query!(
                "update control.worker_token set last_used_at = now() where id = $1",
                row.id
            )
            .execute(&self.dispatch)
            .await?;
        }
        Ok(Some(WorkerCaller {
            token: row.id.into(),
            scan_types: row.scan_types,
            is_its_worker: row.is_its_worker,
        }))
    }

    /// Notes that `worker`, which has just registered, belongs to `token`. `false` when it belongs to
    /// another, or has the database.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn bind_worker(&self, worker: WorkerId, token: WorkerTokenId) -> Result<bool, StoreError> {
        let bound = sqlx::query!(
            "update control.worker set token_id = $2
             where id = $1 and (token_id = $2 or token_id is null and state = 'initializing')",
            worker.uuid(),
            token.uuid()
        )
        .execute(&self.dispatch)
        .await?;
        Ok(bound.rows_affected() == 1)
    }
}

/// Stores the hash of `token`; `None` when there are [`WORKER_TOKENS_MAX`] live ones.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut ControlTx,
    new: &NewWorkerToken<'_>,
    token: &WorkerToken,
) -> Result<Option<WorkerTokenId>, StoreError> {
    let id = WorkerTokenId::fresh();
    let made = sqlx::query!(
        r#"
        insert into control.worker_token (id, name, hash, hint, scan_types, expires_at)
        select $1, $2, $3, $4, $5, $6
        where (select count(*) from control.worker_token where revoked_at is null) < $7
        "#,
        id.uuid(),
        new.name,
        &token.hash().0[..],
        token.hint(),
        new.scan_types,
        new.expires_at,
        WORKER_TOKENS_MAX
    )
    .execute(tx.connection())
    .await?;
    Ok((made.rows_affected() == 1).then_some(id))
}

/// All tokens, oldest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<WorkerTokenRow>, StoreError> {
    let rows = sqlx::query!(
        "select id, name, hint, scan_types, created_at, expires_at, revoked_at, last_used_at
         from control.worker_token order by id"
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| WorkerTokenRow {
            id: row.id.into(),
            name: row.name,
            hint: row.hint,
            scan_types: row.scan_types,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// Ends a token now. `false` when there is no such live token.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn revoke(tx: &mut ControlTx, token: WorkerTokenId) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update control.worker_token set revoked_at = now() where id = $1 and revoked_at is null",
        token.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
