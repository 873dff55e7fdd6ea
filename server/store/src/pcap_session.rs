//! What captures held, one row per task; written with the task's findings.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamiz_core::{ArtifactId, TaskId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::weight;

/// What a capture held, as the plugin counted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewPcapSession {
    /// The capture's artifact.
    pub capture: Option<ArtifactId>,
    /// Packets, whatever they were.
    pub packet_count: u64,
    /// Packets and bytes by protocol.
    pub protocol_stats: Map<String, Value>,
    /// Conversations.
    pub flow_count: u64,
    /// The largest of them: a list of objects.
    pub flows: Vec<Value>,
}

/// What the capture of a task held.
#[derive(Debug, Clone, PartialEq)]
pub struct PcapSession {
    /// The task.
    pub task_id: TaskId,
    /// The capture's artifact.
    pub capture: Option<ArtifactId>,
    /// Packets, whatever they were.
    pub packet_count: u64,
    /// Packets and bytes by protocol.
    pub protocol_stats: Value,
    /// Conversations.
    pub flow_count: u64,
    /// The largest of them: a list of objects.
    pub flows: Value,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Stores the row.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, task: TaskId, new: &NewPcapSession) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into tenant.pcap_session
             (tenant_id, task_id, capture_ref, packet_count, protocol_stats, flow_count, flows)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tx.tenant(),
        task.uuid(),
        new.capture.map(ArtifactId::uuid),
        i64::try_from(new.packet_count).unwrap_or(i64::MAX),
        Value::Object(new.protocol_stats.clone()),
        i64::try_from(new.flow_count).unwrap_or(i64::MAX),
        Value::Array(new.flows.clone())
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Forgets what an earlier life of the task left.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn clear(tx: &mut TenantTx, task: TaskId) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from tenant.pcap_session where tenant_id = $1 and task_id = $2",
        tx.tenant(),
        task.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What the captures of these tasks held, in no order; tasks without one are left out.
///
/// Served by the primary key `(tenant_id, task_id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<PcapSession>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query!(
        "select task_id, capture_ref, packet_count, protocol_stats, flow_count, flows, created_at
         from tenant.pcap_session
         where tenant_id = $1 and task_id = any($2)",
        tx.tenant(),
        &tasks
    )
    .fetch(tx.connection())
    .map_ok(|row| PcapSession {
        task_id: row.task_id.into(),
        capture: row.capture_ref.map(ArtifactId::from),
        packet_count: row.packet_count.cast_unsigned(),
        protocol_stats: row.protocol_stats,
        flow_count: row.flow_count.cast_unsigned(),
        flows: row.flows,
        created_at: row.created_at,
    });
    allowance.collect(rows, weight::of_pcap_session).await
}
