//! Writing findings in batches of arrays (`COPY` is refused under row-level security).

use tamiz_core::identity::{Fingerprint, PartHash, fingerprint};
use tamiz_core::{AlertId, FindingId, ProjectId, Severity, TaskId};
use uuid::Uuid;

use super::FindingMonth;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Rows of one statement: beyond a thousand nothing is gained.
const ROWS_PER_INSERT: usize = 2_000;

/// One sighting, whose content is stored.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// Its id.
    pub id: FindingId,
    /// What it is a sighting of; none of an attempt that failed.
    pub alert: Option<AlertId>,
    /// What it says.
    pub content: PartHash,
    /// The tool.
    pub tool: String,
    /// In our words.
    pub severity: Severity,
    /// Its content identity.
    pub fingerprint: Fingerprint,
}

/// Inserts findings of one task, which go in that month; answers how many.
///
/// # Errors
/// [`StoreError`] when the database does not take them.
pub async fn insert(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
    month: FindingMonth,
    findings: &[NewFinding],
) -> Result<u64, StoreError> {
    let mut inserted = 0;
    for part in findings.chunks(ROWS_PER_INSERT) {
        let ids: Vec<Uuid> = part.iter().map(|one| one.id.uuid()).collect();
        let alerts: Vec<Option<Uuid>> = part.iter().map(|one| one.alert.map(AlertId::uuid)).collect();
        let contents: Vec<Uuid> = part.iter().map(|one| Uuid::from_bytes(one.content)).collect();
        let tools: Vec<&str> = part.iter().map(|one| one.tool.as_str()).collect();
        let severities: Vec<i16> = part.iter().map(|one| one.severity.rank()).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|one| one.fingerprint.0.to_vec()).collect();
        let done = sqlx::query!(
            r#"
            insert into tenant.finding
                (tenant_id, project_id, task_id, fingerprint_version, expires_on, id, alert_id, content_id, source_tool,
                 severity, fingerprint)
            select $1, $2, $3, $4, $5, x.id, x.alert_id, x.content_id, x.tool, x.severity, x.fingerprint
            from unnest($6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::smallint[], $11::bytea[])
                 x(id, alert_id, content_id, tool, severity, fingerprint)
            "#,
            tx.tenant(),
            project.uuid(),
            task.uuid(),
            fingerprint::VERSION,
            month.expires_on(),
            &ids,
            &alerts as &[Option<Uuid>],
            &contents,
            &tools as &[&str],
            &severities,
            &prints
        )
        .execute(tx.connection())
        .await?;
        inserted += done.rows_affected();
    }
    Ok(inserted)
}
