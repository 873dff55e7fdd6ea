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
//! ([`StoreError::BeingDeleted`]): they have to be put again, unless they are found to be there.
//!
//! **Bytes without a row**, of attempts that were lost and of uploads that were refused, are noted when they are put
//! ([`note_put`]), to be trash a day later; the row that names them takes the note back.

mod rows;
mod trash;

pub use trash::{Trash, came_back, deleted_at, note_put};

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
    /// Tenants come in another order each time, so that none waits for ever behind one that has much to delete;
    /// one whose rows do not go holds up no other.
    ///
    /// Served by `task_finished_idx`, `codeaudit_upload_unbound_idx` and the keys that start with the task.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was deleted and some tenant's rows did not go.
    pub async fn delete_expired_tasks(&self) -> Result<u64, StoreError> {
        let kept = sqlx::query!(
            r#"
            select t.id, coalesce(o.value, p.value) as "days!" from control.tenant t
            left join control.tenant_quota o on o.tenant_id = t.id and o.name = 'retention-days'
            left join control.plan_quota p on p.plan = t.plan and p.name = 'retention-days'
            where coalesce(o.value, p.value) is not null
            order by random()
            "#
        )
        .fetch_all(&self.control)
        .await?;
        let (mut deleted, mut failure) = (0, None);
        for row in kept {
            let days = i32::try_from(row.days).unwrap_or(i32::MAX);
            let scope = TenantScope::of(TenantId::from(row.id));
            match rows::delete(self, &scope, days).await {
                Ok(gone) => deleted += gone,
                Err(error) => {
                    let reason = &error as &dyn std::error::Error;
                    tracing::warn!(tenant = %scope.tenant_id(), error = reason, "what is kept long enough stays");
                    failure = Some(error);
                }
            }
            if deleted >= ROWS_AT_ONCE {
                break;
            }
        }
        match failure {
            Some(error) if deleted == 0 => Err(error),
            _ => Ok(deleted),
        }
    }
}
