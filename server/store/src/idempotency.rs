//! Idempotency keys: what a client calls a mutation, so that sending it again does nothing again.
//!
//! A key is claimed and committed before the mutation is carried out. What the mutation then writes is written in the
//! scope of its run ([`Claimed::Run`]), and each such transaction marks the key as `applied` with its own commit
//! ([`mark`]): after a crash the key says whether anything was done. The answer follows later ([`finish`]).
//!
//! A key that stayed `begun` for longer than any run takes is of a server that died before it wrote anything, and is given
//! to whoever asks next. Should the old run still live, its commit finds the key under another run and fails
//! ([`StoreError::Overtaken`]): no mutation is applied twice.
//!
//! Not here: how long a run may take, and what a request is (see the server's flow of the same name).

use chrono::{DateTime, Utc};
use tamiz_core::TokenId;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Keys of one tenant at once: a mutation with a key every four seconds, all day.
pub const KEYS_MAX: i64 = 20_000;
/// An answer that is kept, in bytes; what a larger one said has to be asked for.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a key is known, in hours.
pub const KEPT_HOURS: i32 = 24;
/// A run that began so long ago has ended, well or by the death of its server; no run may take as long.
pub const RUN_SECONDS_MAX: f64 = 60.0;
/// Keys of one tenant that one transaction deletes.
const KEYS_AT_ONCE: i64 = 1_000;
/// Keys that one call deletes before it leaves the rest to the next.
const KEYS_PER_CALL: u64 = 10_000;

/// A request with a key.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose key.
    pub token: TokenId,
    /// What the client calls it, 1 to 255 bytes.
    pub key: &'a str,
    /// SHA-256 of what is asked for.
    pub request_hash: &'a [u8; 32],
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is yours: carry the mutation out in this scope, then [`finish`].
    Run(TenantScope),
    /// It was answered so.
    Answered(String),
    /// Something was written, and what was answered is not known.
    Unknown,
    /// It is being carried out.
    InUse,
    /// It was another request's.
    Reused,
    /// The tenant has [`KEYS_MAX`] keys; the oldest goes then.
    Full(DateTime<Utc>),
}

/// Claims the key. To be committed before anything is carried out.
///
/// Served by `idempotency_key_key (tenant_id, token_id, key)`; `idempotency_key_expiry_idx` counts.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn claim(tx: &mut TenantTx, asked: Asked<'_>) -> Result<Claimed, StoreError> {
    let run = Uuid::now_v7();
    let made = sqlx::query!(
        r#"
        insert into tenant.idempotency_key (tenant_id, id, token_id, key, request_hash, expires_at)
        select $1, $2, $3, $4, $5, now() + make_interval(hours => $6)
        where (select count(*) from (select from tenant.idempotency_key where tenant_id = $1 limit $7) k) < $7
        on conflict (tenant_id, token_id, key) do nothing
        "#,
        tx.tenant(),
        run,
        asked.token.uuid(),
        asked.key,
        &asked.request_hash[..],
        KEPT_HOURS,
        KEYS_MAX
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 1 {
        return Ok(Claimed::Run(tx.scope().for_run(run)));
    }
    known(tx, asked, run).await
}

/// What is known of a key that could not be made. A run that is just committing is waited for.
async fn known(tx: &mut TenantTx, asked: Asked<'_>, run: Uuid) -> Result<Claimed, StoreError> {
    let row = sqlx::query!(
        r#"
        select id, request_hash, state, answer, expires_at < now() as "is_expired!",
               begun_at < clock_timestamp() - make_interval(secs => $4) as "is_over!"
        from tenant.idempotency_key where tenant_id = $1 and token_id = $2 and key = $3
        for update
        "#,
        tx.tenant(),
        asked.token.uuid(),
        asked.key,
        RUN_SECONDS_MAX
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else {
        return full(tx).await;
    };
    if !row.is_expired {
        if row.request_hash[..] != asked.request_hash[..] {
            return Ok(Claimed::Reused);
        }
        match (row.state.as_str(), row.answer) {
            ("answered", Some(answer)) => return Ok(Claimed::Answered(answer)),
            ("answered", None) => return Ok(Claimed::Unknown),
            (_, _) if !row.is_over => return Ok(Claimed::InUse),
            ("applied", _) => return Ok(Claimed::Unknown),
            // nothing was written, and its server is gone
            (_, _) => {}
        }
    }
    take_over(tx, asked, row.id, run).await
}

async fn take_over(tx: &mut TenantTx, asked: Asked<'_>, of: Uuid, run: Uuid) -> Result<Claimed, StoreError> {
    sqlx::query!(
        r#"
        update tenant.idempotency_key
        set id = $3, request_hash = $4, state = 'begun', answer = null, begun_at = clock_timestamp(),
            expires_at = now() + make_interval(hours => $5)
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        of,
        run,
        &asked.request_hash[..],
        KEPT_HOURS
    )
    .execute(tx.connection())
    .await?;
    Ok(Claimed::Run(tx.scope().for_run(run)))
}

/// Nothing could be made and nothing is there: the tenant has too many, or had them until just now.
async fn full(tx: &mut TenantTx) -> Result<Claimed, StoreError> {
    let oldest = sqlx::query_scalar!(
        r#"select coalesce(min(expires_at), now()) as "expires_at!"
           from tenant.idempotency_key where tenant_id = $1"#,
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Claimed::Full(oldest))
}

/// Marks the key as `applied`, if the transaction has written anything; the last thing that it does.
pub(crate) async fn mark(tx: &mut TenantTx, run: Uuid) -> Result<(), StoreError> {
    let has_written =
        sqlx::query_scalar!(r#"select pg_current_xact_id_if_assigned() is not null as "has_written!""#)
            .fetch_one(tx.connection())
            .await?;
    if !has_written {
        return Ok(());
    }
    let marked = sqlx::query!(
        "update tenant.idempotency_key set state = 'applied'
         where tenant_id = $1 and id = $2 and state in ('begun', 'applied')",
        tx.tenant(),
        run
    )
    .execute(tx.connection())
    .await?;
    if marked.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Overtaken)
    }
}

/// The run of `scope` is over. What wrote something is kept with its answer, if that may be kept; what wrote nothing
/// leaves the key free, for nothing would be done twice. `tx` is of the same tenant [aside](TenantScope::aside).
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn finish(tx: &mut TenantTx, scope: &TenantScope, answer: Option<&str>) -> Result<(), StoreError> {
    let Some(run) = scope.run() else {
        return Ok(());
    };
    sqlx::query!(
        r#"
        with freed as (
            delete from tenant.idempotency_key where tenant_id = $1 and id = $2 and state = 'begun')
        update tenant.idempotency_key set state = 'answered', answer = $3
        where tenant_id = $1 and id = $2 and state = 'applied'
        "#,
        tx.tenant(),
        run,
        answer.filter(|answer| answer.len() <= ANSWER_BYTES_MAX)
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

impl Store {
    /// Deletes keys that are no longer known, up to some thousand; answers how many.
    ///
    /// Served by `idempotency_key_expiry_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was deleted and some tenant's could not be.
    pub async fn delete_old_idempotency_keys(&self) -> Result<u64, StoreError> {
        let failing = "old idempotency keys stay";
        self.round(KEYS_PER_CALL, failing, |store, scope| async move {
            let mut tx = store.begin(&scope).await?;
            let gone = sqlx::query!(
                r#"
                delete from tenant.idempotency_key where tenant_id = $1 and id = any(array(
                    select id from tenant.idempotency_key where tenant_id = $1 and expires_at < now()
                    order by expires_at limit $2 for update skip locked))
                "#,
                tx.tenant(),
                KEYS_AT_ONCE
            )
            .execute(tx.connection())
            .await?;
            tx.commit().await?;
            Ok(gone.rows_affected())
        })
        .await
    }
}
