//! Rules that act on a project's alerts by themselves, as they are kept. Which alerts they look at: [`alerts`].
//!
//! Whoever saves one holds the project, so that the count is right and an import that runs acts by the rules of
//! before or of after.

pub mod alerts;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use tamiz_core::alert_rule::{Action, Conditions, RULES_MAX};
use tamiz_core::{AlertRuleId, ProjectId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// What of a rule people say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePlan {
    /// Unique in the project.
    pub name: String,
    /// Rules are asked in this order, equals by age.
    pub position: i16,
    /// Whether it acts.
    pub enabled: bool,
    /// On which alerts.
    pub conditions: Conditions,
    /// What it does.
    pub action: Action,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    /// Its id.
    pub id: AlertRuleId,
    /// Whose alerts.
    pub project: ProjectId,
    /// What people say of it.
    pub plan: RulePlan,
    /// The name of the token that made it.
    pub made_by: String,
    /// When.
    pub made_at: DateTime<Utc>,
    /// The name of the token that changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// What became of a rule that was to be saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedRule {
    /// It is there.
    Saved(Box<AlertRule>),
    /// The name is taken.
    NameTaken,
    /// The project has [`RULES_MAX`].
    TooMany,
    /// There is none with this id.
    Absent,
}

struct Row {
    id: Uuid,
    project_id: Uuid,
    name: String,
    position: i16,
    enabled: bool,
    conditions: Json<Conditions>,
    action: Json<Action>,
    made_by: String,
    made_at: DateTime<Utc>,
    changed_by: String,
    changed_at: DateTime<Utc>,
}

impl From<Row> for AlertRule {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            project: row.project_id.into(),
            plan: RulePlan {
                name: row.name,
                position: row.position,
                enabled: row.enabled,
                conditions: row.conditions.0,
                action: row.action.0,
            },
            made_by: row.made_by,
            made_at: row.made_at,
            changed_by: row.changed_by,
            changed_at: row.changed_at,
        }
    }
}

/// The rules of each project, in the order in which they are asked; a project without any is left out.
///
/// Served by `alert_rule_name_key`; a project has few.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_projects(
    tx: &mut TenantTx,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, Vec<AlertRule>>, StoreError> {
    let ids: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        select id, project_id, name, position, enabled, conditions as "conditions: Json<Conditions>",
               action as "action: Json<Action>", made_by, made_at, changed_by, changed_at
        from tenant.alert_rule where tenant_id = $1 and project_id = any($2)
        order by project_id, position, id
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    let mut rules: HashMap<ProjectId, Vec<AlertRule>> = HashMap::new();
    for rule in rows.into_iter().map(AlertRule::from) {
        rules.entry(rule.project).or_default().push(rule);
    }
    Ok(rules)
}

/// The rule, if it is there.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: AlertRuleId) -> Result<Option<AlertRule>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, project_id, name, position, enabled, conditions as "conditions: Json<Conditions>",
               action as "action: Json<Action>", made_by, made_at, changed_by, changed_at
        from tenant.alert_rule where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(AlertRule::from))
}

/// Makes a rule. The project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    project: ProjectId,
    plan: &RulePlan,
    by: &str,
) -> Result<SavedRule, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from tenant.alert_rule where tenant_id = $1 and project_id = $2"#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    if usize::try_from(count).is_ok_and(|count| count >= RULES_MAX) {
        return Ok(SavedRule::TooMany);
    }
    let id = AlertRuleId::fresh();
    let made = sqlx::query!(
        r#"
        insert into tenant.alert_rule
            (tenant_id, id, project_id, name, position, enabled, conditions, action, made_by, changed_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        on conflict on constraint alert_rule_name_key do nothing
        "#,
        tx.tenant(),
        id.uuid(),
        project.uuid(),
        plan.name,
        plan.position,
        plan.enabled,
        Json(&plan.conditions) as _,
        Json(&plan.action) as _,
        by
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(SavedRule::NameTaken);
    }
    saved(tx, id).await
}

/// Replaces what people say of a rule. Its project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn update(
    tx: &mut TenantTx,
    id: AlertRuleId,
    plan: &RulePlan,
    by: &str,
) -> Result<SavedRule, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"
        select exists (select from tenant.alert_rule o join tenant.alert_rule r
                           on r.tenant_id = o.tenant_id and r.project_id = o.project_id
                       where o.tenant_id = $1 and r.id = $2 and o.id <> $2 and o.name = $3) as "taken!"
        "#,
        tx.tenant(),
        id.uuid(),
        plan.name
    )
    .fetch_one(tx.connection())
    .await?;
    if taken {
        return Ok(SavedRule::NameTaken);
    }
    sqlx::query!(
        r#"
        update tenant.alert_rule
        set name = $3, position = $4, enabled = $5, conditions = $6, action = $7, changed_by = $8, changed_at = now()
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid(),
        plan.name,
        plan.position,
        plan.enabled,
        Json(&plan.conditions) as _,
        Json(&plan.action) as _,
        by
    )
    .execute(tx.connection())
    .await?;
    saved(tx, id).await
}

async fn saved(tx: &mut TenantTx, id: AlertRuleId) -> Result<SavedRule, StoreError> {
    let rule = get(tx, id).await?;
    Ok(rule.map_or(SavedRule::Absent, |rule| SavedRule::Saved(Box::new(rule))))
}

/// Takes a rule away; what it did stays. Answers whether it was there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn delete(tx: &mut TenantTx, id: AlertRuleId) -> Result<bool, StoreError> {
    let gone = sqlx::query!(
        "delete from tenant.alert_rule where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected() > 0)
}
