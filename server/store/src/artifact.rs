//! Artifacts: rows that name bytes worth keeping.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::{ArtifactId, TaskId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::upload::{StoredBlob, hash, insert_blob};

/// An artifact to be stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewArtifact {
    /// Its id.
    pub id: ArtifactId,
    /// `report`, `stdout`, `stderr`, `evidence`, …
    pub kind: String,
    /// A file name.
    pub name: String,
    /// What the bytes are.
    pub media_type: String,
    /// Where they are.
    pub blob: StoredBlob,
}

/// A stored artifact.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// Where it came from.
    pub task_id: TaskId,
    /// `report`, `stdout`, `stderr`, `evidence`, …
    pub kind: String,
    /// A file name.
    pub name: String,
    /// What the bytes are.
    pub media_type: String,
    /// Where they are.
    pub blob: StoredBlob,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// The kind of the one artifact that holds counts and addresses only: a capture's session.
const COUNTS_KIND: &str = "pcap-session";

impl Artifact {
    /// Whether its bytes may hold what was found in the clear: secrets, personal data. True of everything
    /// that a tool or an uploader wrote, and of evidence; findings have such values redacted.
    pub fn is_sensitive(&self) -> bool {
        self.kind != COUNTS_KIND
    }
}

/// Stores the row and its blob's row; answers how many of its bytes were not stored before.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, task: TaskId, new: &NewArtifact) -> Result<u64, StoreError> {
    let new_bytes = insert_blob(tx, &new.blob).await?;
    sqlx::query!(
        r#"
        insert into tenant.artifact
            (tenant_id, id, task_id, kind, name, media_type, storage_path, size_bytes, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        tx.tenant(),
        new.id.uuid(),
        task.uuid(),
        new.kind,
        new.name,
        new.media_type,
        new.blob.storage_path,
        new.blob.size_bytes.cast_signed(),
        &new.blob.hash[..]
    )
    .execute(tx.connection())
    .await?;
    Ok(new_bytes)
}

struct Row {
    id: Uuid,
    task_id: Uuid,
    kind: String,
    name: String,
    media_type: String,
    storage_path: String,
    size_bytes: i64,
    hash: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Artifact {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            task_id: row.task_id.into(),
            kind: row.kind,
            name: row.name,
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

/// The artifacts with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[ArtifactId]) -> Result<Vec<Artifact>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select id, task_id, kind, name, media_type, storage_path, size_bytes, hash, created_at
        from tenant.artifact where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Artifact::try_from).collect()
}

/// One artifact.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: ArtifactId) -> Result<Option<Artifact>, StoreError> {
    Ok(by_ids(tx, &[id]).await?.pop())
}

/// All artifacts of these tasks, oldest first. A task has few: the plugin host limits them.
///
/// Served by `artifact_task_idx (tenant_id, task_id, id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<Artifact>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select id, task_id, kind, name, media_type, storage_path, size_bytes, hash, created_at
        from tenant.artifact where tenant_id = $1 and task_id = any($2) order by task_id, id
        "#,
        tx.tenant(),
        &tasks
    )
    .fetch(tx.connection());
    let weigh = |row: &Row| size_of::<Row>() as u64 + row.name.len() as u64 + row.storage_path.len() as u64;
    let rows = allowance.collect(rows, weigh).await?;
    rows.into_iter().map(Artifact::try_from).collect()
}
