//! What is kept long enough goes: ended tasks with all that hangs from them, uploads that nobody wants, bytes
//! that no row refers to.
//!
//! Only tenants with a retention lose anything. A step deletes a bounded number of rows of one tenant in one
//! transaction, so a task with very many findings goes in several.
//!
//! **Bytes** have no transaction, and equal bytes share one object. So a blob whose last row goes is first noted
//! as trash, then marked as being deleted, then deleted, then marked as gone. Whoever puts the same bytes
//! meanwhile holds a reservation from before, and finds the note when the new row is written: one that is not
//! marked yet is taken back, one whose bytes may have gone after they were put is refused
//! ([`StoreError::BeingDeleted`]), and they have to be put again.

mod rows;
mod trash;

pub use trash::Trash;

use tamiz_core::TenantId;

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

pub(crate) use trash::rescue;

/// Rows that one call deletes before it leaves the rest to the next: a second or two of work.
const ROWS_AT_ONCE: u64 = 5_000;

impl Store {
    /// Deletes what tenants no longer keep, up to a few thousand rows; answers how many went.
    ///
    /// Served by `task_finished_idx`, `codeaudit_upload_unbound_idx` and the keys that start with the task.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it; what was deleted before stays deleted.
    pub async fn delete_expired_tasks(&self) -> Result<u64, StoreError> {
        let kept = sqlx::query!(
            r#"
            select t.id, coalesce(o.value, p.value) as "days!" from control.tenant t
            left join control.tenant_quota o on o.tenant_id = t.id and o.name = 'retention-days'
            left join control.plan_quota p on p.plan = t.plan and p.name = 'retention-days'
            where coalesce(o.value, p.value) is not null
            "#
        )
        .fetch_all(&self.control)
        .await?;
        let mut deleted = 0;
        for row in kept {
            let days = i32::try_from(row.days).unwrap_or(i32::MAX);
            let scope = TenantScope::of(TenantId::from(row.id));
            deleted += rows::delete(self, &scope, days).await?;
            if deleted >= ROWS_AT_ONCE {
                break;
            }
        }
        Ok(deleted)
    }
}
