//! Lists of uploads, newest first.

use std::collections::HashMap;

use tamiz_core::{ProjectId, UploadId};
use uuid::Uuid;

use super::{Upload, UploadRow};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;

/// A page of the tenant's uploads. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(tx: &mut TenantTx, window: Window<UploadId>) -> Result<Page<Upload>, StoreError> {
    let rows = sqlx::query_as!(
        UploadRow,
        r#"
        select u.id as "id!", u.project_id as "project_id!", u.task_id, u.file_name as "file_name!",
               u.media_type as "media_type!", u.storage_path as "storage_path!", u.size_bytes as "size_bytes!",
               u.hash as "hash!", u.created_at as "created_at!"
        from (
            (select * from tenant.codeaudit_upload
             where tenant_id = $1 and ($2::uuid is null or id < $2) and ($3::uuid is null or id > $3) and not $5
             order by id desc limit $4)
            union all
            (select * from tenant.codeaudit_upload
             where tenant_id = $1 and ($2::uuid is null or id < $2) and ($3::uuid is null or id > $3) and $5
             order by id limit $4)) u
        order by u.id desc
        "#,
        tx.tenant(),
        window.after.map(UploadId::uuid),
        window.before.map(UploadId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let uploads: Result<Vec<Upload>, _> = rows.into_iter().map(Upload::try_from).collect();
    Ok(Page::between(uploads?, &window))
}

/// A page of each project; those without uploads are left out. Served by `codeaudit_upload_project_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn pages_of_projects(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    window: Window<UploadId>,
) -> Result<HashMap<ProjectId, Page<Upload>>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        UploadRow,
        r#"
        select u.id as "id!", u.project_id as "project_id!", u.task_id, u.file_name as "file_name!",
               u.media_type as "media_type!", u.storage_path as "storage_path!", u.size_bytes as "size_bytes!",
               u.hash as "hash!", u.created_at as "created_at!"
        from unnest($2::uuid[]) parent(parent_id)
        cross join lateral (
            (select * from tenant.codeaudit_upload
             where tenant_id = $1 and project_id = parent.parent_id
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and not $6
             order by id desc limit $5)
            union all
            (select * from tenant.codeaudit_upload
             where tenant_id = $1 and project_id = parent.parent_id
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and $6
             order by id limit $5)) u
        order by u.id desc
        "#,
        tx.tenant(),
        &projects,
        window.after.map(UploadId::uuid),
        window.before.map(UploadId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let uploads: Result<Vec<Upload>, _> = rows.into_iter().map(Upload::try_from).collect();
    let uploads = uploads?.into_iter().map(|upload| (upload.project_id, upload));
    Ok(Page::between_each(uploads, &window))
}

/// Those of these ids that are there.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[UploadId]) -> Result<Vec<Upload>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        UploadRow,
        r#"
        select id, project_id, task_id, file_name, media_type, storage_path, size_bytes, hash, created_at
        from tenant.codeaudit_upload where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Upload::try_from).collect()
}
