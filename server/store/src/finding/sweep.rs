//! Contents that nobody names any more: their findings went with a month, their alerts say something else since, or an
//! import died before it named them.
//!
//! Nothing counts who names a content, because that would cost each import more than this costs once a month: one look
//! at all that a project has, with the project held, so that no import that found a content there can name it
//! afterwards. Imports of that project wait meanwhile, at most as long as a statement may take.

use tamiz_core::ProjectId;

use crate::alert::hold_project;
use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Days between two looks at a project. Findings go by the month.
const DAYS_BETWEEN: i32 = 30;
/// Contents of one project that one call deletes.
const CONTENTS_AT_ONCE: i64 = 50_000;
/// Contents that one call deletes before it leaves the rest to the next.
const CONTENTS_PER_CALL: u64 = 100_000;

impl Store {
    /// Deletes contents that nobody names, of projects that were not looked at for a month, up to some ten thousand;
    /// answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was deleted and some tenant's could not be.
    pub async fn sweep_contents(&self) -> Result<u64, StoreError> {
        let failing = "what nobody names any more stays";
        self.round(CONTENTS_PER_CALL, failing, |store, scope| async move {
            sweep(&store, &scope).await
        })
        .await
    }
}

/// One batch of a tenant: of the project that was not looked at for longest.
async fn sweep(store: &Store, scope: &TenantScope) -> Result<u64, StoreError> {
    let mut tx = store.begin(scope).await?;
    let project = sqlx::query_scalar!(
        "select id from tenant.project
         where tenant_id = $1 and contents_swept_at < now() - make_interval(days => $2)
         order by contents_swept_at limit 1",
        tx.tenant(),
        DAYS_BETWEEN
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(project) = project.map(ProjectId::from) else {
        return Ok(0);
    };
    hold_project(&mut tx, project).await?;
    // whole tables are what is asked here
    sqlx::query!(
        r#"select set_config('enable_seqscan', 'on', true) as "seqscan!",
                  set_config('enable_hashjoin', 'on', true) as "hashjoin!""#
    )
    .fetch_one(tx.connection())
    .await?;
    let gone = sqlx::query!(
        "delete from tenant.finding_content where tenant_id = $1 and project_id = $2 and id = any(array(
             select id from tenant.finding_content where tenant_id = $1 and project_id = $2
             except select content_id from tenant.alert where tenant_id = $1 and project_id = $2
             except select o.content_id from tenant.scan_scope s
                 join tenant.alert_occurrence o on o.tenant_id = s.tenant_id and o.scope_id = s.id
                 where s.tenant_id = $1 and s.project_id = $2
             except select content_id from tenant.finding where tenant_id = $1 and project_id = $2
             limit $3))",
        tx.tenant(),
        project.uuid(),
        CONTENTS_AT_ONCE
    )
    .execute(tx.connection())
    .await?
    .rows_affected();
    if gone < CONTENTS_AT_ONCE.cast_unsigned() {
        sqlx::query!(
            "update tenant.project set contents_swept_at = now() where tenant_id = $1 and id = $2",
            tx.tenant(),
            project.uuid()
        )
        .execute(tx.connection())
        .await?;
    }
    tx.commit().await?;
    Ok(gone)
}
