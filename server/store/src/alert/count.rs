//! How many alerts a project has and what happened to them on a day: kept by increments, in the transaction that
//! changes the alerts.

use std::collections::BTreeMap;

use tamiz_core::{AlertState, ProjectId, Severity, TaskId};

use crate::error::StoreError;
use crate::project_event;
use crate::tenant_tx::TenantTx;

/// What became more or less.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    alerts: BTreeMap<(AlertState, Severity), i32>,
    /// Opened, fixed, reopened, dismissed.
    days: BTreeMap<Severity, [i32; 4]>,
}

impl Changes {
    /// So many alerts have another state or severity; without a state before, they are new.
    pub(crate) fn add(
        &mut self,
        before: Option<(AlertState, Severity)>,
        after: (AlertState, Severity),
        alerts: i32,
    ) {
        if let Some(before) = before {
            *self.alerts.entry(before).or_default() -= alerts;
        }
        *self.alerts.entry(after).or_default() += alerts;
        if before.is_some_and(|before| before.0 == after.0) {
            return;
        }
        let column = match after.0 {
            AlertState::Open => 0,
            AlertState::Fixed => 1,
            AlertState::Reopened => 2,
            AlertState::Dismissed => 3,
        };
        self.days.entry(after.1).or_default()[column] += alerts;
    }

    /// Writes them, and tells the watchers of the project what `task` or a person did. The project is held.
    pub(crate) async fn write(
        self,
        tx: &mut TenantTx,
        project: ProjectId,
        task: Option<TaskId>,
    ) -> Result<(), StoreError> {
        if !self.days.is_empty() {
            project_event::append_alerts(tx, project, task, &self.days).await?;
        }
        write_alerts(tx, project, self.alerts).await?;
        write_days(tx, project, self.days).await
    }
}

async fn write_alerts(
    tx: &mut TenantTx,
    project: ProjectId,
    changes: BTreeMap<(AlertState, Severity), i32>,
) -> Result<(), StoreError> {
    let changes: Vec<_> = changes.into_iter().filter(|(_, alerts)| *alerts != 0).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let states: Vec<i16> = changes.iter().map(|((state, _), _)| state.rank()).collect();
    let severities: Vec<i16> = changes.iter().map(|((_, severity), _)| severity.rank()).collect();
    let alerts: Vec<i32> = changes.iter().map(|(_, alerts)| *alerts).collect();
    // an upsert would try a row with less than none first
    sqlx::query!(
        r#"
        with change as (
            select * from unnest($3::smallint[], $4::smallint[], $5::int[]) x(state, severity, alerts)),
        known as (
            update tenant.alert_count c set alerts = c.alerts + change.alerts from change
            where c.tenant_id = $1 and c.project_id = $2 and c.state = change.state and c.severity = change.severity
            returning c.state, c.severity)
        insert into tenant.alert_count (tenant_id, project_id, state, severity, alerts)
        select $1, $2, state, severity, alerts from change
        where not exists (select from known where known.state = change.state and known.severity = change.severity)
        "#,
        tx.tenant(),
        project.uuid(),
        &states,
        &severities,
        &alerts
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn write_days(
    tx: &mut TenantTx,
    project: ProjectId,
    days: BTreeMap<Severity, [i32; 4]>,
) -> Result<(), StoreError> {
    if days.is_empty() {
        return Ok(());
    }
    let severities: Vec<i16> = days.keys().map(|severity| severity.rank()).collect();
    let column = |index: usize| -> Vec<i32> { days.values().map(|counts| counts[index]).collect() };
    sqlx::query!(
        r#"
        insert into tenant.alert_day as d (tenant_id, project_id, day, severity, opened, fixed, reopened, dismissed)
        select $1, $2, (now() at time zone 'UTC')::date, x.severity, x.opened, x.fixed, x.reopened, x.dismissed
        from unnest($3::smallint[], $4::int[], $5::int[], $6::int[], $7::int[])
             x(severity, opened, fixed, reopened, dismissed)
        on conflict (tenant_id, project_id, day, severity) do update set
            opened = d.opened + excluded.opened, fixed = d.fixed + excluded.fixed,
            reopened = d.reopened + excluded.reopened, dismissed = d.dismissed + excluded.dismissed
        "#,
        tx.tenant(),
        project.uuid(),
        &severities,
        &column(0),
        &column(1),
        &column(2),
        &column(3)
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
