//! Whether the counters of alerts are the counts of the alerts, project by project.

use tamiz_core::{ProjectId, TenantId};
use uuid::Uuid;

use super::hold_project;
use crate::connect::Store;
use crate::error::StoreError;
use crate::project::named_after;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Which alerts a counter counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Those of a state and severity.
    Standing {
        /// 0 open, 1 reopened, 2 dismissed, 3 fixed.
        state: i16,
        /// 0 info to 4 critical.
        severity: i16,
    },
    /// Open ones of a rule.
    Rule {
        /// Whose rule.
        tool: String,
        /// Its id.
        rule: String,
    },
}

/// A counter that says something else than the alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Whose project.
    pub tenant: TenantId,
    /// Of which project.
    pub project: ProjectId,
    /// Its name.
    pub project_name: String,
    /// Of which alerts.
    pub of: Counted,
    /// What the counter says; 0 without one.
    pub counted: i32,
    /// How many there are.
    pub actual: i32,
}

/// Compares the counters of all projects of the tenant with their alerts, and sets right what differs if it shall.
///
/// Each kind of counter of a project is compared by one statement, which sees counters and alerts as of one moment; the
/// project is held only while it is set right. What happened on a day cannot be counted again and is left alone.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn recount(store: &Store, tenant: TenantId, repair: bool) -> Result<Vec<Drift>, StoreError> {
    let scope = TenantScope::of(tenant);
    let (mut drifts, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let projects = named_after(store, &scope, None, after).await?;
        let Some((last, _)) = projects.last() else {
            return Ok(drifts);
        };
        after = last.uuid();
        for (project, name) in projects {
            let mut tx = store.begin(&scope).await?;
            let mut found = compare(&mut tx, project, &name).await?;
            if repair && !found.is_empty() {
                hold_project(&mut tx, project).await?;
                // others may have counted meanwhile
                found = compare(&mut tx, project, &name).await?;
                set_right(&mut tx, &found).await?;
            }
            tx.commit().await?;
            drifts.extend(found);
        }
    }
}

async fn compare(tx: &mut TenantTx, project: ProjectId, name: &str) -> Result<Vec<Drift>, StoreError> {
    let tenant = tx.scope().tenant_id();
    let rows = sqlx::query!(
        r#"
        select state as "state!", severity as "severity!", coalesce(c.alerts, 0) as "counted!",
               coalesce(a.alerts, 0) as "actual!"
        from (select state, severity, alerts from tenant.alert_count where tenant_id = $1 and project_id = $2) c
        full join (select state, severity, count(*)::int as alerts from tenant.alert
                   where tenant_id = $1 and project_id = $2 group by state, severity) a using (state, severity)
        where coalesce(c.alerts, 0) <> coalesce(a.alerts, 0) order by state, severity desc
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let drifts = rows.into_iter().map(|row| Drift {
        tenant,
        project,
        project_name: name.to_owned(),
        of: Counted::Standing {
            state: row.state,
            severity: row.severity,
        },
        counted: row.counted,
        actual: row.actual,
    });
    let mut drifts: Vec<Drift> = drifts.collect();
    drifts.extend(compare_rules(tx, project, name).await?);
    Ok(drifts)
}

async fn compare_rules(tx: &mut TenantTx, project: ProjectId, name: &str) -> Result<Vec<Drift>, StoreError> {
    let tenant = tx.scope().tenant_id();
    let rows = sqlx::query!(
        r#"
        select tool as "tool!", rule_id as "rule_id!", coalesce(c.alerts, 0) as "counted!",
               coalesce(a.alerts, 0) as "actual!"
        from (select tool, rule_id, alerts from tenant.alert_rule_count where tenant_id = $1 and project_id = $2) c
        full join (select f.source_tool as tool, f.rule_id, count(*)::int as alerts from tenant.alert a
                   join tenant.finding_content f on f.tenant_id = $1 and f.project_id = $2 and f.id = a.content_id
                   where a.tenant_id = $1 and a.project_id = $2 and a.state in (0, 1)
                   group by f.source_tool, f.rule_id) a using (tool, rule_id)
        where coalesce(c.alerts, 0) <> coalesce(a.alerts, 0) order by tool, rule_id
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let drifts = rows.into_iter().map(|row| Drift {
        tenant,
        project,
        project_name: name.to_owned(),
        of: Counted::Rule {
            tool: row.tool,
            rule: row.rule_id,
        },
        counted: row.counted,
        actual: row.actual,
    });
    Ok(drifts.collect())
}

async fn set_right(tx: &mut TenantTx, drifts: &[Drift]) -> Result<(), StoreError> {
    for drift in drifts {
        match &drift.of {
            Counted::Standing { state, severity } => set_standing(tx, drift, *state, *severity).await?,
            Counted::Rule { tool, rule } => set_rule(tx, drift, tool, rule).await?,
        }
    }
    Ok(())
}

async fn set_standing(tx: &mut TenantTx, drift: &Drift, state: i16, severity: i16) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into tenant.alert_count (tenant_id, project_id, state, severity, alerts) values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, project_id, state, severity) do update set alerts = excluded.alerts
        "#,
        tx.tenant(),
        drift.project.uuid(),
        state,
        severity,
        drift.actual
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn set_rule(tx: &mut TenantTx, drift: &Drift, tool: &str, rule: &str) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into tenant.alert_rule_count (tenant_id, project_id, tool, rule_id, alerts) values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, project_id, tool, rule_id) do update set alerts = excluded.alerts
        "#,
        tx.tenant(),
        drift.project.uuid(),
        tool,
        rule,
        drift.actual
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
