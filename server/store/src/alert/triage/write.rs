//! Storing what decisions changed.

use tamiz_core::webhook::EventType;
use tamiz_core::{AlertState, ProjectId, Severity};
use uuid::Uuid;

use super::{Change, Moment, Standing};
use crate::alert::count::Changes;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::webhook::outbox::By;

/// Writes the changes with an event each, and moves the counters. The project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn write(
    tx: &mut TenantTx,
    project: ProjectId,
    moment: Moment<'_>,
    changes: &[Change],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut counts = Changes::default();
    let differing: Vec<&Standing> = changes
        .iter()
        .filter(|change| change.before != change.after)
        .map(|change| &change.after)
        .collect();
    for change in changes {
        let (before, after) = (&change.before, &change.after);
        let (was, is) = ((before.state, before.severity), (after.state, after.severity));
        if was != is {
            counts.add(Some(was), is, 1);
            let (from, to) = ((before.content, was.0.is_open()), (after.content, is.0.is_open()));
            tx.rule_counts.moved(project, from, to, 1);
        }
    }
    tell(tx, project, moment.actor, changes);
    alerts(tx, project, &differing).await?;
    events(tx, moment.actor, changes).await?;
    counts.write(tx, project, None).await
}

/// What webhooks are told of: what is to be acted on again, and what is not.
fn tell(tx: &mut TenantTx, project: ProjectId, actor: &str, changes: &[Change]) {
    let by = By::Actor(actor.to_owned());
    for (event, state) in [
        (EventType::AlertReopened, AlertState::Reopened),
        (EventType::AlertDismissed, AlertState::Dismissed),
        (EventType::AlertFixed, AlertState::Fixed),
    ] {
        let became = |change: &&Change| change.before.state != state && change.after.state == state;
        let alerts = changes.iter().filter(became);
        let alerts: Vec<_> = alerts
            .map(|change| (change.after.severity, change.after.id))
            .collect();
        tx.outbox.add(project, event, &by, alerts.len() as u64, alerts);
    }
}

async fn alerts(tx: &mut TenantTx, project: ProjectId, alerts: &[&Standing]) -> Result<(), StoreError> {
    if alerts.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = alerts.iter().map(|alert| alert.id.uuid()).collect();
    let states: Vec<i16> = alerts.iter().map(|alert| alert.state.rank()).collect();
    let severities: Vec<i16> = alerts.iter().map(|alert| alert.severity.rank()).collect();
    let overrides = alerts
        .iter()
        .map(|alert| alert.severity_override.map(Severity::rank));
    let overrides: Vec<Option<i16>> = overrides.collect();
    let dismissals: Vec<_> = alerts.iter().map(|alert| alert.dismissal.as_ref()).collect();
    let reasons: Vec<Option<&str>> = dismissals
        .iter()
        .map(|one| Some(one.as_ref()?.reason.as_str()))
        .collect();
    let comments: Vec<Option<&str>> = dismissals
        .iter()
        .map(|one| one.as_ref()?.comment.as_deref())
        .collect();
    let by: Vec<Option<&str>> = dismissals
        .iter()
        .map(|one| Some(one.as_ref()?.by.as_str()))
        .collect();
    let at: Vec<_> = dismissals.iter().map(|one| Some(one.as_ref()?.at)).collect();
    let until: Vec<_> = dismissals.iter().map(|one| one.as_ref()?.until).collect();
    let assignees: Vec<Option<&str>> = alerts.iter().map(|alert| alert.assignee.as_deref()).collect();
    let due: Vec<_> = alerts.iter().map(|alert| alert.due_on).collect();
    sqlx::query!(
        r#"
        update tenant.alert a
        set state = x.state, severity = x.severity, severity_override = x.severity_override,
            dismissed_reason = x.reason, dismissed_comment = x.comment, dismissed_by = x.by, dismissed_at = x.at,
            dismissed_until = x.until, assignee = x.assignee, due_on = x.due_on
        from unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[], $7::text[], $8::text[], $9::text[],
                    $10::timestamptz[], $11::timestamptz[], $12::text[], $13::date[])
             x(id, state, severity, severity_override, reason, comment, by, at, until, assignee, due_on)
        cross join lateral (
            select a.ctid as row from tenant.alert a
            where a.tenant_id = $1 and a.project_id = $2 and a.id >= x.id and a.id <= x.id
            order by a.id limit 1) known
        where a.tenant_id = $1 and a.ctid = known.row
          and coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id
        "#,
        tx.tenant(),
        project.uuid(),
        &ids,
        &states,
        &severities,
        &overrides as &[Option<i16>],
        &reasons as &[Option<&str>],
        &comments as &[Option<&str>],
        &by as &[Option<&str>],
        &at as &[Option<chrono::DateTime<chrono::Utc>>],
        &until as &[Option<chrono::DateTime<chrono::Utc>>],
        &assignees as &[Option<&str>],
        &due as &[Option<chrono::NaiveDate>]
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn events(tx: &mut TenantTx, actor: &str, changes: &[Change]) -> Result<(), StoreError> {
    let alerts: Vec<Uuid> = changes.iter().map(|change| change.after.id.uuid()).collect();
    let ids: Vec<Uuid> = changes.iter().map(|_| Uuid::now_v7()).collect();
    let kinds: Vec<&str> = changes.iter().map(|change| change.kind).collect();
    let (before, after): (Vec<_>, Vec<_>) = changes.iter().map(Change::told).unzip();
    let comments: Vec<Option<&str>> = changes.iter().map(|change| change.comment.as_deref()).collect();
    let by = |change: &Change| change.rule.as_ref().map(|(id, _)| id.uuid());
    let rules: Vec<Option<Uuid>> = changes.iter().map(by).collect();
    let actors = changes
        .iter()
        .map(|change| change.rule.as_ref().map_or(actor, |(_, name)| name));
    let actors: Vec<&str> = actors.collect();
    sqlx::query!(
        r#"
        insert into tenant.alert_event (tenant_id, alert_id, id, kind, actor, rule_id, before, after, comment)
        select $1, x.alert_id, x.id, x.kind, x.actor, x.rule_id, nullif(x.before, '{}'), nullif(x.after, '{}'), x.comment
        from unnest($2::text[], $9::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[], $7::jsonb[], $8::text[])
             x(actor, rule_id, alert_id, id, kind, before, after, comment)
        "#,
        tx.tenant(),
        &actors as &[&str],
        &alerts,
        &ids,
        &kinds as &[&str],
        &before,
        &after,
        &comments as &[Option<&str>],
        &rules as &[Option<Uuid>]
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
