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
use crate::token::LAST_USED_SECONDS;
use crate::worker::NewWorker;

/// Live tokens: one per network of workers, or one per machine of a large installation.
pub const WORKER_TOKENS_MAX: i64 = 1_000;
/// Who makes one counts them first, one after the other.
const TURN: i64 = 0x7461_6d69_7a02;

/// Living workers of one token, and of those that are gone as many.
pub const WORKERS_PER_TOKEN_MAX: i64 = 1_000;

/// How a worker was entered into the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It is.
    Now {
        /// Starts of its name under its token before.
        restarts: u32,
    },
    /// Another token's worker, or one with the database, has its id.
    Foreign,
    /// The token has [`WORKERS_PER_TOKEN_MAX`].
    Full,
}

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

    /// Enters a start of a worker into the register as the token's, with the counts of the start before it
    /// under the same token; the same start again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn register_remote_worker(
        &self,
        new: &NewWorker<'_>,
        token: WorkerTokenId,
    ) -> Result<Entered, StoreError> {
        self.enter_worker(new, Some(token)).await
    }

    /// How many more tickets `worker` has slots for beside the leases that it holds; none when the register
    /// does not have it.
    ///
    /// Served by `ticket_lease_idx (lease_until) where state = 1`: leases are few.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn free_slots_of(&self, worker: WorkerId) -> Result<u32, StoreError> {
        let free = sqlx::query_scalar!(
            r#"
            select slots - (select count(*) from control.ticket
                            where state = 1 and lease_until > now() and worker_id = $1) as "free!"
            from control.worker where id = $1
            "#,
            worker.uuid()
        )
        .fetch_optional(&self.dispatch)
        .await?;
        Ok(u32::try_from(free.unwrap_or(0).max(0)).unwrap_or(u32::MAX))
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
    tx.take_turn(TURN).await?;
    let id = WorkerTokenId::fresh();
    let made = sqlx::query!(
        r#"
        insert into control.worker_token (id, name, hash, hint, scan_types, expires_at)
        select $1, $2, $3, $4, $5, $6
        where (select count(*) from control.worker_token
               where revoked_at is null and (expires_at is null or expires_at > now())) < $7
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
