//! What can be followed, and how it is read.

use tamiz_core::{ProjectId, TaskId};
use tamiz_store::event::{self, Event};
use tamiz_store::project_event::{self, Kind, ProjectEvent};
use tamiz_store::{Store, StoreError, TenantScope, task};
use uuid::Uuid;

/// Rows of one statement.
const ROWS_AT_ONCE: i64 = 200;

/// What can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api::schema) enum Topic {
    /// A task's events; ends with the task.
    Task(Uuid),
    /// What happens to the tasks of a project; has no end.
    TasksOf(Uuid),
    /// What happens to the alerts of a project; has no end.
    AlertsOf(Uuid),
}

/// One row of a feed.
#[derive(Debug)]
pub(in crate::api::schema) struct Row {
    /// Its number.
    pub(in crate::api::schema) seq: i64,
    /// What it says.
    pub(in crate::api::schema) told: Told,
}

/// What a row says.
#[derive(Debug, Clone)]
pub(in crate::api::schema) enum Told {
    /// Of a task.
    Task(Event),
    /// Of a project.
    Project(ProjectEvent),
}

/// Some rows of a feed, in their order.
pub(super) struct Stretch {
    pub(super) rows: Vec<Row>,
    /// Nothing comes after them.
    pub(super) has_ended: bool,
}

impl Topic {
    /// The rows after `last`; without any there is nothing more for now.
    pub(super) async fn read(
        self,
        store: &Store,
        scope: &TenantScope,
        last: i64,
    ) -> Result<Stretch, StoreError> {
        match self {
            Self::Task(id) => of_task(store, scope, id.into(), last).await,
            Self::TasksOf(id) => of_project(store, scope, id.into(), Kind::Task, last).await,
            Self::AlertsOf(id) => of_project(store, scope, id.into(), Kind::Alerts, last).await,
        }
    }
}

async fn of_task(store: &Store, scope: &TenantScope, id: TaskId, last: i64) -> Result<Stretch, StoreError> {
    let mut tx = store.begin(scope).await?;
    // the state first: were it read last, the final event could be missed
    let found = task::get(&mut tx, id).await?;
    let last = i32::try_from(last).unwrap_or(i32::MAX);
    let rows = event::after(&mut tx, id, last, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let rows = rows.into_iter().map(|event| Row {
        seq: event.seq.into(),
        told: Told::Task(event),
    });
    Ok(Stretch {
        rows: rows.collect(),
        has_ended: found.is_none_or(|task| task.status.is_final()),
    })
}

async fn of_project(
    store: &Store,
    scope: &TenantScope,
    id: ProjectId,
    kind: Kind,
    last: i64,
) -> Result<Stretch, StoreError> {
    store.number_project_events(scope, id).await?;
    let mut tx = store.begin(scope).await?;
    let rows = project_event::after(&mut tx, id, kind, last, ROWS_AT_ONCE).await?;
    tx.commit().await?;
    let rows = rows.into_iter().map(|event| Row {
        seq: event.seq,
        told: Told::Project(event),
    });
    Ok(Stretch {
        rows: rows.collect(),
        has_ended: false,
    })
}
