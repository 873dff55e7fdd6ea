//! Bytes that nobody refers to, on their way out; see the parent for why there are so many steps.

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

/// An object to be deleted.
#[derive(Debug, Clone)]
pub struct Trash {
    /// Whose.
    pub scope: TenantScope,
    /// Its key.
    pub storage_path: String,
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
                where deleted_at is null
                  and (deleting_at is null or deleting_at < now() - make_interval(secs => $1))
                order by created_at limit $2 for update skip locked) due
            where t.tenant_id = due.tenant_id and t.storage_path = due.storage_path
            returning t.tenant_id, t.storage_path
            "#,
            DELETING_SECONDS,
            OBJECTS_AT_ONCE
        )
        .fetch_all(&self.dispatch)
        .await?;
        let trash = rows.into_iter().map(|row| Trash {
            scope: TenantScope::of(TenantId::from(row.tenant_id)),
            storage_path: row.storage_path,
        });
        Ok(trash.collect())
    }

    /// The objects are gone. Notes that nobody can need any more go, too.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn trash_deleted(&self, gone: &[Trash]) -> Result<(), StoreError> {
        let tenants: Vec<Uuid> = gone.iter().map(|one| one.scope.tenant_id().uuid()).collect();
        let paths: Vec<String> = gone.iter().map(|one| one.storage_path.clone()).collect();
        sqlx::query!(
            r#"
            update control.blob_trash t set deleted_at = clock_timestamp()
            from unnest($1::uuid[], $2::text[]) g(tenant_id, storage_path)
            where t.tenant_id = g.tenant_id and t.storage_path = g.storage_path
            "#,
            &tenants,
            &paths
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
