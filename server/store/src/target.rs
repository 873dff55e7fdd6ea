//! What tasks go to over the network, with the addresses that were pinned when they were asked for.
//!
//! One row per task in the table of its kind: `webscan_target`, `ssl_target`, `osint_target`. What is
//! read was parsed before and is parsed again, so that a row that somebody changed by hand is a fault
//! and no target.

use std::net::IpAddr;

use serde_json::{Value, json};
use tamiz_core::{PinnedTarget, Profile, Target, TargetKind, TaskId};
use uuid::Uuid;

use crate::error::{StoreError, word};
use crate::tenant_tx::TenantTx;

/// What one task goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTarget {
    /// The task.
    pub task_id: TaskId,
    /// Where to, and nowhere else.
    pub pinned: PinnedTarget,
    /// How thoroughly, if that was said.
    pub profile: Option<Profile>,
}

/// Stores the row; one that is there already stays as it is.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, new: &TaskTarget) -> Result<(), StoreError> {
    let settings = new
        .profile
        .map_or_else(|| json!({}), |profile| json!({ "profile": profile }));
    let addresses: Vec<String> = new.pinned.addresses.iter().map(ToString::to_string).collect();
    let (tenant, task) = (tx.tenant(), new.task_id.uuid());
    match &new.pinned.target {
        Target::Url { url, .. } => {
            sqlx::query!(
                "insert into tenant.webscan_target (tenant_id, task_id, url, flags, addresses)
                 values ($1, $2, $3, $4, $5) on conflict do nothing",
                tenant,
                task,
                url,
                settings,
                &addresses
            )
            .execute(tx.connection())
            .await?
        }
        Target::Endpoint { host, port } => {
            sqlx::query!(
                "insert into tenant.ssl_target (tenant_id, task_id, host, port, flags, addresses)
                 values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
                tenant,
                task,
                host,
                i32::from(*port),
                settings,
                &addresses
            )
            .execute(tx.connection())
            .await?
        }
        other @ (Target::Domain { .. } | Target::Email { .. } | Target::Username { .. }) => {
            sqlx::query!(
                "insert into tenant.osint_target
                     (tenant_id, task_id, target_type, target_value, scope, addresses)
                 values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
                tenant,
                task,
                other.kind().as_str(),
                other.text(),
                settings,
                &addresses
            )
            .execute(tx.connection())
            .await?
        }
    };
    Ok(())
}

/// What this task goes to; `None` for a task with an upload.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_task(tx: &mut TenantTx, task: TaskId) -> Result<Option<TaskTarget>, StoreError> {
    Ok(of_tasks(tx, &[task]).await?.pop())
}

/// What these tasks go to, in no order; tasks with an upload are left out.
///
/// One statement; each part is served by its table's primary key `(tenant_id, task_id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<TaskTarget>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select task_id as "task_id!", 'url' as "kind!", url as "value!", null::integer as port,
               flags as "settings!", addresses as "addresses!"
        from tenant.webscan_target where tenant_id = $1 and task_id = any($2)
        union all
        select task_id, 'endpoint', host, port, flags, addresses
        from tenant.ssl_target where tenant_id = $1 and task_id = any($2)
        union all
        select task_id, target_type, target_value, null, scope, addresses
        from tenant.osint_target where tenant_id = $1 and task_id = any($2)
        "#,
        tx.tenant(),
        &tasks
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(TaskTarget::try_from).collect()
}

struct Row {
    task_id: Uuid,
    kind: String,
    value: String,
    port: Option<i32>,
    settings: Value,
    addresses: Vec<String>,
}

impl TryFrom<Row> for TaskTarget {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let target = match word("target kind", &row.kind)? {
            TargetKind::Url => Target::url(&row.value),
            TargetKind::Endpoint => Target::endpoint(&row.value, i64::from(row.port.unwrap_or(0))),
            TargetKind::Domain => Target::domain(&row.value),
            TargetKind::Email => Target::email(&row.value),
            TargetKind::Username => Target::username(&row.value),
            TargetKind::Tree | TargetKind::Capture => {
                return Err(StoreError::unreadable("target kind", &row.kind));
            }
        };
        let target = target.map_err(|error| StoreError::unreadable("target", &error.to_string()))?;
        let addresses: Result<Vec<IpAddr>, _> = row.addresses.iter().map(|text| text.parse()).collect();
        let addresses =
            addresses.map_err(|_| StoreError::unreadable("pinned addresses", &row.addresses.join(" ")))?;
        let profile = match row.settings.get("profile") {
            None => None,
            Some(word) => serde_json::from_value(word.clone())
                .map_err(|error| StoreError::unreadable("profile", &error.to_string()))?,
        };
        Ok(Self {
            task_id: row.task_id.into(),
            pinned: PinnedTarget { target, addresses },
            profile,
        })
    }
}
