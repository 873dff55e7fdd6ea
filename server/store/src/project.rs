//! Projects of a tenant.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tamiz_core::{ProjectId, SlaDays};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Projects that a walk over all of them reads at a time.
const PROJECTS_AT_ONCE: i64 = 200;

/// Groups tasks and findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Unique in the tenant.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Days until alerts are due.
    pub sla: Json<SlaDays>,
}

/// Makes a project; `None` when the name is taken.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, name: &str) -> Result<Option<Project>, StoreError> {
    let row = sqlx::query_as!(
        Project,
        r#"
        insert into tenant.project (tenant_id, id, name) values ($1, $2, $3)
        on conflict on constraint project_name_key do nothing
        returning id, name, created_at, coalesce(settings->'slaDays', '{}') as "sla!: Json<SlaDays>"
        "#,
        tx.tenant(),
        ProjectId::fresh().uuid(),
        name
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row)
}

/// The projects with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[ProjectId]) -> Result<Vec<Project>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Project,
        r#"
        select id, name, created_at, coalesce(settings->'slaDays', '{}') as "sla!: Json<SlaDays>" from tenant.project
        where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// One project.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: ProjectId) -> Result<Option<Project>, StoreError> {
    Ok(by_ids(tx, &[id]).await?.pop())
}

/// Promises other days from now on; alerts that are open keep theirs. `None` when there is no such project.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn set_sla(tx: &mut TenantTx, id: ProjectId, sla: SlaDays) -> Result<Option<Project>, StoreError> {
    let row = sqlx::query_as!(
        Project,
        r#"
        update tenant.project set settings = jsonb_set(settings, '{slaDays}', $3)
        where tenant_id = $1 and id = $2
        returning id, name, created_at, coalesce(settings->'slaDays', '{}') as "sla!: Json<SlaDays>"
        "#,
        tx.tenant(),
        id.uuid(),
        Json(sla) as Json<SlaDays>
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row)
}

/// One page of projects, newest first; `name` picks the one with exactly that name.
///
/// Served by the primary key: ids grow with time.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(
    tx: &mut TenantTx,
    name: Option<&str>,
    window: Window<ProjectId>,
) -> Result<Page<Project>, StoreError> {
    let rows = sqlx::query_as!(
        Project,
        r#"
        select id as "id!", name as "name!", created_at as "created_at!",
               coalesce(settings->'slaDays', '{}') as "sla!: Json<SlaDays>"
        from (
            (select * from tenant.project
             where tenant_id = $1 and ($2::text is null or name = $2)
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and not $6
             order by id desc limit $5)
            union all
            (select * from tenant.project
             where tenant_id = $1 and ($2::text is null or name = $2)
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and $6
             order by id limit $5)) p
        order by id desc
        "#,
        tx.tenant(),
        name,
        window.after.map(ProjectId::uuid),
        window.before.map(ProjectId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(Page::between(rows, &window))
}

/// The first projects behind an id, in the order of ids, with their names; or the one of this name, if it is behind it.
/// For walks over all of them: nothing is held between two calls.
pub(crate) async fn named_after(
    store: &Store,
    scope: &TenantScope,
    name: Option<&str>,
    after: Uuid,
) -> Result<Vec<(ProjectId, String)>, StoreError> {
    let mut tx = store.begin(scope).await?;
    let rows = sqlx::query!(
        "select id, name from tenant.project
         where tenant_id = $1 and id > $2 and ($3::text is null or name = $3) order by id limit $4",
        tx.tenant(),
        after,
        name,
        PROJECTS_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.name)).collect())
}

/// How many projects there are under the same filter as [`page`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, name: Option<&str>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from tenant.project where tenant_id = $1 and ($2::text is null or name = $2)"#,
        tx.tenant(),
        name
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count)
}
