//! Bytes that nobody refers to, on their way out; see the parent for why there are so many steps.

use chrono::{DateTime, Utc};
use tamiz_core::TenantId;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Objects deleted in one step of the sweep.
const OBJECTS_AT_ONCE: i64 = 100;
/// A deletion that was begun and not ended is begun again after so long: its process died.
const DELETING_SECONDS: f64 = 600.0;
/// A note is kept for as long as an attempt may have put bytes before it, at most so long.
const NOTE_SECONDS: f64 = 24.0 * 60.0 * 60.0;

/// Bytes that were put and that no row names after so long never get one: attempts and uploads are over by then.
const UNNAMED_SECONDS: f64 = 24.0 * 60.0 * 60.0;

/// An object to be deleted.
#[derive(Debug, Clone)]
pub struct Trash {
    /// Whose.
    pub scope: TenantScope,
    /// Its key.
    pub storage_path: String,
    /// Whose turn it is: the mark in its note.
    marked_at: DateTime<Utc>,
}

/// Notes bytes that were just put, unless a row names them: they become trash if none does within a day. The row
/// takes the note back when it is written.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn note_put(tx: &mut TenantTx, storage_path: &str) -> Result<(), StoreError> {
    // a row that is being written just now is found when the bytes are to be deleted
    sqlx::query!(
        r#"
        insert into control.blob_trash as t (tenant_id, storage_path, created_at)
        select $1, $2, now() + make_interval(secs => $3)
        where not exists (select from tenant.blob b where b.tenant_id = $1 and b.storage_path = $2)
        on conflict (tenant_id, storage_path) do update set created_at = excluded.created_at
            where t.deleting_at is null
        "#,
        tx.tenant(),
        storage_path,
        UNNAMED_SECONDS
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// When bytes that are put again were deleted, if there is a note of it.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn deleted_at(tx: &mut TenantTx, storage_path: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let note = sqlx::query_scalar!(
        "select deleted_at from control.blob_trash where tenant_id = $1 and storage_path = $2",
        tx.tenant(),
        storage_path
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(note.flatten())
}

/// The bytes were looked for after that deletion, and are there: somebody put them since. Rows may name them.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn came_back(
    tx: &mut TenantTx,
    storage_path: &str,
    deleted_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    // not deleted but begun anew: they are still nobody's
    sqlx::query!(
        "update control.blob_trash
         set deleted_at = null, deleting_at = null, created_at = now() + make_interval(secs => $4)
         where tenant_id = $1 and storage_path = $2 and deleted_at = $3",
        tx.tenant(),
        storage_path,
        deleted_at,
        UNNAMED_SECONDS
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

impl Store {
    /// Marks objects as being deleted and answers them; delete them now, then say so by
    /// [`Store::trash_deleted`].
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn trash_to_delete(&self) -> Result<Vec<Trash>, StoreError> {
        let rows = sqlx::query!(
            r#"
            update control.blob_trash t set deleting_at = now() from (
                select tenant_id, storage_path from control.blob_trash
                where deleted_at is null and created_at <= now()
                  and (deleting_at is null or deleting_at < now() - make_interval(secs => $1))
                order by created_at limit $2 for update skip locked) due
            where t.tenant_id = due.tenant_id and t.storage_path = due.storage_path
            returning t.tenant_id, t.storage_path, t.deleting_at as "marked_at!"
            "#,
            DELETING_SECONDS,
            OBJECTS_AT_ONCE
        )
        .fetch_all(&self.dispatch)
        .await?;
        let trash = rows.into_iter().map(|row| Trash {
            scope: TenantScope::of(TenantId::from(row.tenant_id)),
            storage_path: row.storage_path,
            marked_at: row.marked_at,
        });
        Ok(trash.collect())
    }

    /// Whether the object is still to be deleted, to be asked right before it is: this process may have been
    /// stopped since the mark, somebody else have deleted the bytes, and a third have put them again. The time
    /// that a mark holds begins anew.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn is_still_trash(&self, one: &mut Trash) -> Result<bool, StoreError> {
        let mut tx = self.begin(&one.scope).await?;
        // a row that was being written when the bytes were noted, see `note_put`
        sqlx::query!(
            "delete from control.blob_trash t where t.tenant_id = $1 and t.storage_path = $2
             and exists (select from tenant.blob b where b.tenant_id = $1 and b.storage_path = $2)",
            tx.tenant(),
            one.storage_path
        )
        .execute(tx.connection())
        .await?;
        let marked = sqlx::query_scalar!(
            r#"
            update control.blob_trash set deleting_at = clock_timestamp()
            where tenant_id = $1 and storage_path = $2 and deleting_at = $3 and deleted_at is null
            returning deleting_at as "marked_at!"
            "#,
            tx.tenant(),
            one.storage_path,
            one.marked_at
        )
        .fetch_optional(tx.connection())
        .await?;
        tx.commit().await?;
        let Some(marked_at) = marked else { return Ok(false) };
        one.marked_at = marked_at;
        Ok(true)
    }

    /// The objects are gone. Notes that nobody can need any more go, too.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn trash_deleted(&self, gone: &[Trash]) -> Result<(), StoreError> {
        let tenants: Vec<Uuid> = gone.iter().map(|one| one.scope.tenant_id().uuid()).collect();
        let paths: Vec<String> = gone.iter().map(|one| one.storage_path.clone()).collect();
        let marks: Vec<DateTime<Utc>> = gone.iter().map(|one| one.marked_at).collect();
        sqlx::query!(
            r#"
            update control.blob_trash t set deleted_at = clock_timestamp()
            from unnest($1::uuid[], $2::text[], $3::timestamptz[]) g(tenant_id, storage_path, marked_at)
            where t.tenant_id = g.tenant_id and t.storage_path = g.storage_path and t.deleting_at = g.marked_at
            "#,
            &tenants,
            &paths,
            &marks
        )
        .execute(&self.dispatch)
        .await?;
        sqlx::query!(
            r#"
            delete from control.blob_trash t where t.deleted_at is not null
                and (t.deleted_at < now() - make_interval(secs => $1)
                     or not exists (select from control.storage_reservation r
                                    where r.tenant_id = t.tenant_id and r.created_at <= t.deleted_at))
            "#,
            NOTE_SECONDS
        )
        .execute(&self.dispatch)
        .await?;
        Ok(())
    }
}

/// The blob's row was just written anew: takes back that it is trash. To be called after that, because the row
/// waits for whoever is deleting the old one.
pub(crate) async fn rescue(tx: &mut TenantTx, storage_path: &str) -> Result<(), StoreError> {
    let note = sqlx::query!(
        "select deleting_at, deleted_at from control.blob_trash
         where tenant_id = $1 and storage_path = $2 for update",
        tx.tenant(),
        storage_path
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(note) = note else { return Ok(()) };
    if note.deleting_at.is_some() {
        // only bytes that were put after the deletion are surely there
        let since = note.deleted_at.ok_or(StoreError::BeingDeleted)?;
        let older = sqlx::query_scalar!(
            r#"select exists (select from control.storage_reservation
               where tenant_id = $1 and created_at <= $2) as "older!""#,
            tx.tenant(),
            since
        )
        .fetch_one(tx.connection())
        .await?;
        if older {
            return Err(StoreError::BeingDeleted);
        }
    }
    sqlx::query!(
        "delete from control.blob_trash where tenant_id = $1 and storage_path = $2",
        tx.tenant(),
        storage_path
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
