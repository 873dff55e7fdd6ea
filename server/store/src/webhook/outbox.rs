//! What a transaction has to tell: gathered while it changes things, written when it commits.
//!
//! One message per kind of change, project and whoever did it, however many alerts there are. What no endpoint wants is
//! not gathered: which kinds are wanted is learned with the statement that holds the project or ends the task.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tamiz_core::webhook::{ALERTS_TOLD_MAX, EventType};
use tamiz_core::{AlertId, ProjectId, Severity, TaskId, WebhookMessageId};

use super::body::{self, Told};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Whose doing it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// A scan's.
    Task(TaskId),
    /// A person's, or what events say it was.
    Actor(String),
    /// Time passes.
    Nobody,
}

/// The worst alerts of one message, and how many there are.
#[derive(Debug, Default)]
struct Alerts {
    count: u64,
    worst: BTreeSet<(Reverse<Severity>, AlertId)>,
}

/// What there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    wanted: BTreeMap<ProjectId, BTreeSet<EventType>>,
    alerts: BTreeMap<(ProjectId, EventType, By), Alerts>,
    tasks: BTreeSet<(ProjectId, TaskId)>,
}

impl Outbox {
    /// Somebody wants to hear this of the project.
    pub(crate) fn note_wanted(&mut self, project: ProjectId, events: &[String]) {
        let events = events.iter().filter_map(|event| event.parse::<EventType>().ok());
        self.wanted.entry(project).or_default().extend(events);
    }

    /// Alerts that changed in this way; `count` of them, of which `alerts` holds all or the worst.
    pub(crate) fn add(
        &mut self,
        project: ProjectId,
        event: EventType,
        by: &By,
        count: u64,
        alerts: impl IntoIterator<Item = (Severity, AlertId)>,
    ) {
        let wanted = self.wanted.get(&project);
        if count == 0 || !wanted.is_some_and(|wanted| wanted.contains(&event)) {
            return;
        }
        let told = self.alerts.entry((project, event, by.clone())).or_default();
        told.count += count;
        for (severity, alert) in alerts {
            told.worst.insert((Reverse(severity), alert));
            if told.worst.len() > ALERTS_TOLD_MAX {
                told.worst.pop_last();
            }
        }
    }

    /// The task has ended, and somebody wants to hear it.
    pub(crate) fn finished(&mut self, project: ProjectId, task: TaskId) {
        self.tasks.insert((project, task));
    }

    /// Writes it all, with a delivery for each endpoint that wants it.
    pub(crate) async fn write(self, tx: &mut TenantTx) -> Result<(), StoreError> {
        for ((project, event, by), alerts) in self.alerts {
            let ids: Vec<AlertId> = alerts.worst.into_iter().map(|(_, alert)| alert).collect();
            let told = Told {
                project,
                event,
                by: &by,
                count: alerts.count,
                alerts: &ids,
            };
            if let Some(body) = body::of_alerts(tx, &told).await? {
                put(tx, project, event, &body).await?;
            }
        }
        for (project, task) in self.tasks {
            if let Some(body) = body::of_task(tx, project, task).await? {
                put(tx, project, EventType::TaskFinished, &body).await?;
            }
        }
        Ok(())
    }
}

async fn put(tx: &mut TenantTx, project: ProjectId, event: EventType, body: &str) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        with wanting as materialized (
            select id from tenant.webhook_endpoint
            where tenant_id = $1 and disabled_at is null and $3 = any(events)
              and (project_ids is null or $4 = any(project_ids))),
        message as (
            insert into tenant.webhook_message (tenant_id, id, type, project_id, body)
            select $1, $2, $3, $4, $5 where exists (select from wanting)),
        delivery as (
            insert into tenant.webhook_delivery (tenant_id, endpoint_id, message_id)
            select $1, id, $2 from wanting)
        insert into control.webhook_due (tenant_id, endpoint_id, message_id) select $1, id, $2 from wanting
        "#,
        tx.tenant(),
        WebhookMessageId::fresh().uuid(),
        event.as_str(),
        project.uuid(),
        body
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
