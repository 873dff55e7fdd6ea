//! Groups of tasks that finish together: made empty or with their tasks, and closed.

use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::{GroupId, ProjectId, Refusal, RefusalCode};
use tamiz_store::Store;
use tamiz_store::group::{self, Group};
use tamiz_store::token::{Caller, Role};

use super::place_orders::place_orders;
use super::start_scan::{Rules, ScanOrder, checked};
use super::{FlowError, label, no_project, require};

/// Tasks that a group may be made with: each asks its plugin for a plan before anything is written. More are
/// asked for one by one.
pub const TASKS_AT_ONCE_MAX: usize = 100;

/// A group that is asked for.
#[derive(Debug)]
pub struct GroupOrder {
    /// The client's own id: asking twice makes one group.
    pub id: Option<GroupId>,
    /// Where it and its tasks belong.
    pub project: ProjectId,
    /// For people.
    pub name: String,
    /// Its first tasks; all of them are asked for or none.
    pub orders: Vec<ScanOrder>,
    /// It takes no others.
    pub close: bool,
}

/// Makes a group.
///
/// # Errors
/// Refused when the role is below analyst, the name breaks its rule, the project is not there, another group
/// has the id, or one of the tasks is refused: its path begins with `["input", "tasks", number]`.
pub async fn create_task_group(
    store: &Store,
    rules: Rules<'_>,
    caller: &Caller,
    group: GroupOrder,
) -> Result<Group, FlowError> {
    require(caller, Role::Analyst)?;
    let name = label("name", &group.name, NAME_CHARACTERS_MAX)?;
    if group.orders.len() > TASKS_AT_ONCE_MAX {
        let rule = format_args!("must be at most {TASKS_AT_ONCE_MAX}; others can enter later");
        return Err(Refusal::invalid("tasks", rule).into());
    }
    let id = group.id.unwrap_or_else(GroupId::fresh);
    let mut orders = Vec::with_capacity(group.orders.len());
    for (number, mut order) in group.orders.into_iter().enumerate() {
        order.project = group.project;
        order.terms.group = Some(id);
        let order = checked(store, rules, &caller.scope, &caller.tenant_name, order).await;
        orders.push(order.map_err(|error| of_task(number, error))?);
    }
    let mut tx = store.begin(&caller.scope).await?;
    if let Some(known) = group::by_ids(&mut tx, &[id]).await?.pop() {
        return known_group(known, group.project, name);
    }
    let absent = || no_project(group.project);
    let made = group::create(&mut tx, id, group.project, name).await?;
    let mut made = made.ok_or_else(absent)?;
    let placed = place_orders(&mut tx, &orders).await;
    placed.map_err(|(number, error)| of_task(number, error))?;
    if group.close {
        made = group::close(&mut tx, id).await?.ok_or_else(absent)?;
    } else {
        made = group::by_ids(&mut tx, &[id]).await?.pop().unwrap_or(made);
    }
    tx.commit().await?;
    Ok(made)
}

/// A group that is asked for again is the one that is there.
fn known_group(known: Group, project: ProjectId, name: &str) -> Result<Group, FlowError> {
    if known.project_id == project && known.name == name {
        return Ok(known);
    }
    let message = format!("another group has the id {}", known.id);
    Err(Refusal::new(RefusalCode::AlreadyExists, message)
        .at(&["input", "id"])
        .into())
}

/// Says of which task of the group a refusal speaks.
fn of_task(number: usize, error: FlowError) -> FlowError {
    let FlowError::Refused(mut refusal) = error else {
        return error;
    };
    let at = 1.min(refusal.path.len());
    let place = ["tasks".to_owned(), number.to_string()];
    refusal.path.splice(at..at, place);
    FlowError::Refused(refusal)
}

/// Lets no more tasks into a group; it finishes when those that are in it have ended.
///
/// # Errors
/// Refused when the role is below analyst or the group is not there.
pub async fn close_task_group(store: &Store, caller: &Caller, id: GroupId) -> Result<Group, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    let closed = group::close(&mut tx, id).await?;
    let closed = closed.ok_or_else(|| Refusal::not_found("group", id).at(&["input", "groupId"]))?;
    tx.commit().await?;
    Ok(closed)
}
