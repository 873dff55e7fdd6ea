//! Stored bytes: reserved before they are taken, settled when their rows are written.
//!
//! What is stored and what is reserved never exceed the tenant's limit together, because a reservation is
//! one conditional update of one row. Equal bytes of a tenant count once, so settling may give back more
//! than was stored. A reservation that nobody settles, because its process died, is counted back by
//! [`Store::expire_reservations`] once it expires.

use tamiz_core::TaskId;
use tamiz_core::quota::{QuotaLimit, QuotaRefusal};
use uuid::Uuid;

use super::{QuotaError, limits};
use crate::connect::Store;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::usage;

/// A reservation of an upload that is not renewed is given up after so long; whoever receives bytes renews
/// it several times in between.
pub const UPLOAD_SECONDS: u32 = 15 * 60;
/// A reservation of an attempt, which renews it with each artifact: a tool may run for hours between two.
/// One that expires all the same is asked for again when the attempt ends.
pub const ATTEMPT_SECONDS: u32 = 6 * 60 * 60;
/// Reservations counted back in one transaction of the sweep.
const EXPIRED_AT_ONCE: i32 = 500;

/// Names a reservation of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservationId(Uuid);

/// What a tenant stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Bytes of all blobs.
    pub stored_bytes: u64,
    /// Bytes on their way.
    pub reserved_bytes: u64,
}

/// Reserves `bytes` for an upload.
///
/// # Errors
/// [`QuotaError::Refused`] when they do not fit; give the transaction up then.
pub async fn reserve(tx: &mut TenantTx, bytes: u64) -> Result<ReservationId, QuotaError> {
    let id = ReservationId(Uuid::now_v7());
    sqlx::query!(
        "insert into control.storage_reservation (tenant_id, id, bytes, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))",
        tx.tenant(),
        id.0,
        signed(bytes),
        f64::from(UPLOAD_SECONDS)
    )
    .execute(tx.connection())
    .await?;
    take(tx, bytes).await?;
    Ok(id)
}

/// Reserves `more` bytes for the same upload and renews the reservation; with no bytes it only does the
/// latter. `false` when the reservation has expired: what is on its way is no longer covered.
///
/// # Errors
/// [`QuotaError::Refused`] when they do not fit; give the transaction up then.
pub async fn extend(tx: &mut TenantTx, id: ReservationId, more: u64) -> Result<bool, QuotaError> {
    let renewed = sqlx::query!(
        "update control.storage_reservation
         set bytes = bytes + $3, expires_at = now() + make_interval(secs => $4)
         where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.0,
        signed(more),
        f64::from(UPLOAD_SECONDS)
    )
    .execute(tx.connection())
    .await?;
    if renewed.rows_affected() == 0 {
        return Ok(false);
    }
    if more > 0 {
        take(tx, more).await?;
    }
    Ok(true)
}

/// Reserves `bytes` more for an attempt, before it puts them; `false` when the attempt no longer may, which
/// would leave the room taken until it expires. What earlier attempts of the task left reserved goes back:
/// they can no longer write.
///
/// # Errors
/// [`QuotaError::Refused`] when they do not fit; give the transaction up then.
pub async fn reserve_for_attempt(
    tx: &mut TenantTx,
    task: TaskId,
    attempt: i32,
    bytes: u64,
) -> Result<bool, QuotaError> {
    // locked, so that no end or later attempt comes between and leaves this room to nobody
    let ours = sqlx::query!(
        "select 1 as one from tenant.task
         where tenant_id = $1 and id = $2 and attempt = $3 and status = 'running' for no key update",
        tx.tenant(),
        task.uuid(),
        attempt
    )
    .fetch_optional(tx.connection())
    .await?;
    if ours.is_none() {
        return Ok(false);
    }
    let left = give_up(tx, task, attempt - 1).await?;
    sqlx::query!(
        r#"
        insert into control.storage_reservation as r (tenant_id, id, bytes, task_id, attempt, expires_at)
        values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
        on conflict (tenant_id, task_id, attempt) where task_id is not null
        do update set bytes = r.bytes + excluded.bytes, expires_at = excluded.expires_at
        "#,
        tx.tenant(),
        Uuid::now_v7(),
        signed(bytes),
        task.uuid(),
        attempt,
        f64::from(ATTEMPT_SECONDS)
    )
    .execute(tx.connection())
    .await?;
    if left > 0 {
        move_by(tx, 0, -left).await?;
    }
    take(tx, bytes).await?;
    Ok(true)
}

/// Ends an upload's reservation in the transaction that wrote the rows: `new_bytes` were not stored before.
///
/// # Errors
/// [`QuotaError::Refused`] when the reservation did not cover them and they do not fit; give the transaction
/// up then.
pub async fn settle(tx: &mut TenantTx, id: ReservationId, new_bytes: u64) -> Result<(), QuotaError> {
    let reserved = end(tx, id).await?;
    close(tx, reserved.unwrap_or(0), new_bytes).await
}

/// The same for what an attempt reserved, and all attempts before it.
///
/// # Errors
/// As [`settle`].
pub async fn settle_attempt(
    tx: &mut TenantTx,
    task: TaskId,
    attempt: i32,
    new_bytes: u64,
) -> Result<(), QuotaError> {
    let reserved = give_up(tx, task, attempt).await?;
    if reserved == 0 && new_bytes == 0 {
        return Ok(());
    }
    close(tx, reserved, new_bytes).await
}

/// Gives a reservation back whose bytes were not stored.
///
/// # Errors
/// [`StoreError`] when the database does not take it; the reservation expires then.
pub async fn release(tx: &mut TenantTx, id: ReservationId) -> Result<(), StoreError> {
    if let Some(bytes) = end(tx, id).await? {
        move_by(tx, 0, -bytes).await?;
    }
    Ok(())
}

/// Gives back `bytes` of what an attempt reserved, which were not put after all. Nothing when the reservation
/// has less by now: it ended meanwhile.
///
/// # Errors
/// [`StoreError`] when the database does not take it; they go with the reservation then.
pub async fn release_of_attempt(
    tx: &mut TenantTx,
    task: TaskId,
    attempt: i32,
    bytes: u64,
) -> Result<(), StoreError> {
    let released = sqlx::query!(
        "update control.storage_reservation set bytes = bytes - $4
         where tenant_id = $1 and task_id = $2 and attempt = $3 and bytes >= $4",
        tx.tenant(),
        task.uuid(),
        attempt,
        signed(bytes)
    )
    .execute(tx.connection())
    .await?;
    if released.rows_affected() == 1 {
        move_by(tx, 0, -signed(bytes)).await?;
    }
    Ok(())
}

/// What the tenant stores now.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_own_tenant(tx: &mut TenantTx) -> Result<Stored, StoreError> {
    let row = sqlx::query!(
        "select stored_bytes, reserved_bytes from control.storage where tenant_id = $1",
        tx.tenant()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map_or_else(Stored::default, |row| Stored {
        stored_bytes: row.stored_bytes.cast_unsigned(),
        reserved_bytes: row.reserved_bytes.cast_unsigned(),
    }))
}

impl Store {
    /// Counts back what expired reservations hold, at most a few hundred of them; answers how many.
    ///
    /// Served by `storage_reservation_expiry_idx`.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be asked.
    pub async fn expire_reservations(&self) -> Result<u64, StoreError> {
        let expired = sqlx::query_scalar!(
            r#"select control.expire_reservations($1) as "expired!""#,
            EXPIRED_AT_ONCE
        )
        .fetch_one(&self.dispatch)
        .await?;
        Ok(u64::try_from(expired).unwrap_or(0))
    }
}

/// Bytes were deleted.
pub(crate) async fn freed(tx: &mut TenantTx, bytes: u64) -> Result<(), StoreError> {
    move_by(tx, -signed(bytes), 0).await
}

/// Gives back what the attempts below `before` reserved: they are lost and can no longer write.
pub(crate) async fn give_back_before(tx: &mut TenantTx, task: TaskId, before: i32) -> Result<(), StoreError> {
    let left = give_up(tx, task, before - 1).await?;
    if left > 0 {
        move_by(tx, 0, -left).await?;
    }
    Ok(())
}

/// Deletes an upload's reservation; answers its bytes, if it had not expired.
async fn end(tx: &mut TenantTx, id: ReservationId) -> Result<Option<i64>, StoreError> {
    let bytes = sqlx::query_scalar!(
        "delete from control.storage_reservation where tenant_id = $1 and id = $2 returning bytes",
        tx.tenant(),
        id.0
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(bytes)
}

/// Deletes the reservations of the task's attempts up to `attempt`; answers their bytes.
async fn give_up(tx: &mut TenantTx, task: TaskId, attempt: i32) -> Result<i64, StoreError> {
    let bytes = sqlx::query_scalar!(
        r#"
        with gone as (
            delete from control.storage_reservation where tenant_id = $1 and task_id = $2 and attempt <= $3
            returning bytes)
        select coalesce(sum(bytes), 0)::bigint as "bytes!" from gone
        "#,
        tx.tenant(),
        task.uuid(),
        attempt
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(bytes)
}

/// Reserves, if the limit allows: the condition is looked at again under the row's lock.
async fn take(tx: &mut TenantTx, bytes: u64) -> Result<(), QuotaError> {
    let limit = limit(tx).await?;
    let taken = sqlx::query!(
        r#"
        insert into control.storage as s (tenant_id, reserved_bytes)
        select $1, $2::bigint where $2 <= $3::bigint
        on conflict (tenant_id) do update set reserved_bytes = s.reserved_bytes + excluded.reserved_bytes
        where $3 - s.stored_bytes - s.reserved_bytes >= $2
        returning s.reserved_bytes
        "#,
        tx.tenant(),
        signed(bytes),
        signed(limit)
    )
    .fetch_optional(tx.connection())
    .await?;
    if taken.is_some() {
        return Ok(());
    }
    Err(refusal(tx, limit, bytes).await?.into())
}

/// What was reserved goes, what is new is stored. Bytes that the reservation did not cover must fit like any.
async fn close(tx: &mut TenantTx, reserved: i64, new_bytes: u64) -> Result<(), QuotaError> {
    move_by(tx, signed(new_bytes), -reserved).await?;
    if new_bytes > reserved.cast_unsigned() {
        let limit = limit(tx).await?;
        let now = of_own_tenant(tx).await?;
        if now.stored_bytes + now.reserved_bytes > limit {
            let without = Stored {
                stored_bytes: now.stored_bytes.saturating_sub(new_bytes),
                ..now
            };
            return Err(refused(without, limit, new_bytes).into());
        }
    }
    if new_bytes > 0 {
        usage::add_stored(tx, new_bytes).await?;
    }
    Ok(())
}

async fn move_by(tx: &mut TenantTx, stored: i64, reserved: i64) -> Result<(), StoreError> {
    // never below zero: a counter that drifted must not stop whoever gives bytes back
    sqlx::query!(
        r#"
        insert into control.storage as s (tenant_id, stored_bytes) values ($1, greatest(0, $2::bigint))
        on conflict (tenant_id) do update set
            stored_bytes = greatest(0, s.stored_bytes + $2), reserved_bytes = greatest(0, s.reserved_bytes + $3::bigint)
        "#,
        tx.tenant(),
        stored,
        reserved
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn limit(tx: &mut TenantTx) -> Result<u64, StoreError> {
    let holds = limits::of_own_tenant(tx).await?;
    Ok(holds.value(QuotaLimit::StoredBytes).unwrap_or(i64::MAX as u64))
}

async fn refusal(tx: &mut TenantTx, limit: u64, bytes: u64) -> Result<QuotaRefusal, StoreError> {
    Ok(refused(of_own_tenant(tx).await?, limit, bytes))
}

fn refused(now: Stored, value: u64, asked: u64) -> QuotaRefusal {
    QuotaRefusal {
        name: QuotaLimit::StoredBytes.into(),
        value,
        used: now.stored_bytes + now.reserved_bytes,
        asked,
        room_at: None,
    }
}

/// For a column; more than it holds fits nowhere anyway.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
