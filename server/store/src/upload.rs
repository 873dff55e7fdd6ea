//! Uploads: bytes a client sent, acknowledged once their row is committed.
//!
//! Not here: lists of them (see [`list`]).

pub mod list;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::{ProjectId, TaskId, UploadId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::retention;
use crate::tenant_tx::TenantTx;

/// Bytes in the object store, as rows speak of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlob {
    /// The object's key.
    pub storage_path: String,
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
    /// How many.
    pub size_bytes: u64,
}

/// An upload to be acknowledged.
#[derive(Debug, Clone)]
pub struct NewUpload<'a> {
    /// Its id.
    pub id: UploadId,
    /// Where it belongs.
    pub project: ProjectId,
    /// As the client named it; a label.
    pub file_name: &'a str,
    /// As the client declared it; a hint.
    pub media_type: &'a str,
    /// Where its bytes are.
    pub blob: &'a StoredBlob,
}

/// An acknowledged upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// The task that scans it.
    pub task_id: Option<TaskId>,
    /// A label.
    pub file_name: String,
    /// A hint.
    pub media_type: String,
    /// Where its bytes are.
    pub blob: StoredBlob,
    /// When it was acknowledged.
    pub created_at: DateTime<Utc>,
}

struct UploadRow {
    id: Uuid,
    project_id: Uuid,
    task_id: Option<Uuid>,
    file_name: String,
    media_type: String,
    storage_path: String,
    size_bytes: i64,
    hash: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl TryFrom<UploadRow> for Upload {
    type Error = StoreError;

    fn try_from(row: UploadRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            task_id: row.task_id.map(TaskId::from),
            file_name: row.file_name,
            media_type: row.media_type,
            blob: StoredBlob {
                storage_path: row.storage_path,
                hash: hash(&row.hash)?,
                size_bytes: row.size_bytes.cast_unsigned(),
            },
            created_at: row.created_at,
        })
    }
}

/// Registers the bytes; equal bytes of one tenant share a row. Answers how many were not stored before, for
/// [`crate::quota::storage`] to count.
///
/// # Errors
/// [`StoreError::BeingDeleted`] when these bytes are just being deleted because nobody wanted them: they have
/// to be put again.
pub(crate) async fn insert_blob(tx: &mut TenantTx, blob: &StoredBlob) -> Result<u64, StoreError> {
    let made = sqlx::query!(
        "insert into tenant.blob (tenant_id, storage_path, hash, size_bytes) values ($1, $2, $3, $4)
         on conflict do nothing",
        tx.tenant(),
        blob.storage_path,
        &blob.hash[..],
        blob.size_bytes.cast_signed()
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(0);
    }
    retention::rescue(tx, &blob.storage_path).await?;
    Ok(blob.size_bytes)
}

/// Stores the row. Answers how many of its bytes were not stored before, `None` when the project is not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, new: &NewUpload<'_>) -> Result<Option<u64>, StoreError> {
    let new_bytes = insert_blob(tx, new.blob).await?;
    let made = sqlx::query!(
        r#"
        insert into tenant.codeaudit_upload
            (tenant_id, id, project_id, file_name, media_type, storage_path, size_bytes, hash)
        select $1, $2, p.id, $4, $5, $6, $7, $8 from tenant.project p where p.tenant_id = $1 and p.id = $3
        "#,
        tx.tenant(),
        new.id.uuid(),
        new.project.uuid(),
        new.file_name,
        new.media_type,
        new.blob.storage_path,
        new.blob.size_bytes.cast_signed(),
        &new.blob.hash[..]
    )
    .execute(tx.connection())
    .await?;
    Ok((made.rows_affected() == 1).then_some(new_bytes))
}

/// One upload.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: UploadId) -> Result<Option<Upload>, StoreError> {
    let row = sqlx::query_as!(
        UploadRow,
        "select id, project_id, task_id, file_name, media_type, storage_path, size_bytes, hash, created_at
         from tenant.codeaudit_upload where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Upload::try_from).transpose()
}

/// Notes the first task that scans an upload; later tasks may scan it again.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn bind(tx: &mut TenantTx, id: UploadId, task: TaskId) -> Result<(), StoreError> {
    sqlx::query!(
        "update tenant.codeaudit_upload set task_id = $3
         where tenant_id = $1 and id = $2 and task_id is null",
        tx.tenant(),
        id.uuid(),
        task.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(crate) fn hash(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::unreadable("hash", &hex::encode(bytes)))
}
