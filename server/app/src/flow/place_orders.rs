//! Writes orders that were checked already: tasks with their groups, subjects, first events and tickets, all or
//! none of them, in the caller's transaction.
//!
//! Not here: what can be said without a transaction (see [`super::start_scan`]).

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tamiz_core::limits::RULES_BYTES_MAX;
use tamiz_core::{
    GroupId, PinnedTarget, Profile, ProjectId, Refusal, RefusalCode, ScanType, ScheduleId, TaskId, UploadId,
};
use tamiz_store::group::{self, Entry};
use tamiz_store::quota::{Meter, ask_tasks};
use tamiz_store::task::{self, Made, NewTask, Payload, Source, Task, Terms};
use tamiz_store::upload::{self, Upload};
use tamiz_store::{TenantTx, target};

use super::{FlowError, no_project};

/// An order that was checked, but for what only a transaction can see.
#[derive(Debug, Clone)]
pub(super) struct CheckedOrder {
    pub(super) id: TaskId,
    pub(super) project: ProjectId,
    pub(super) scan_type: ScanType,
    pub(super) payload: Payload,
    pub(super) pinned: Option<PinnedTarget>,
    pub(super) profile: Option<Profile>,
    pub(super) priority: i16,
    pub(super) terms: OrderTerms,
}

/// When, how long and with what else a scan runs; by default at once and alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderTerms {
    /// Not before.
    pub run_at: Option<chrono::DateTime<chrono::Utc>>,
    /// How long one attempt may take.
    pub timeout_seconds: Option<u32>,
    /// The tasks that it finishes with.
    pub group: Option<GroupId>,
    /// What asks for it, if no person does.
    pub schedule: Option<ScheduleId>,
    /// Not while the same order waits.
    pub unique: bool,
}

/// What became of an order.
#[derive(Debug, Clone)]
pub struct Started {
    /// The task that carries it out.
    pub task: Task,
    /// It was there before: the order changed nothing.
    pub existing: bool,
}

/// Writes one order. When it is there already, nothing was written: give the transaction up.
///
/// # Errors
/// Refused when a named thing is not there, does not take it, or a limit is reached; give the transaction up.
pub(super) async fn place_order(tx: &mut TenantTx, order: &CheckedOrder) -> Result<Started, FlowError> {
    // first of all locks; it also keeps another order of the same id or key waiting
    let meter = Meter::lock(tx).await?;
    let key = uploads_checked(tx, order).await?;
    if let Some(task) = task::get(tx, order.id).await? {
        return known(order, task);
    }
    if let Some(key) = &key
        && let Some(task) = task::waiting_twin(tx, key).await?
    {
        return Ok(Started { task, existing: true });
    }
    meter.ask(tx, 1, order.priority).await?;
    let made = task::place(tx, &new_task(order, key)).await?;
    match made {
        Made::New(task) => {
            note_subject(tx, order).await?;
            task::enqueue(tx, &[&*task]).await?;
            Ok(Started {
                task: *task,
                existing: false,
            })
        }
        Made::Twin(task) => Ok(Started {
            task: *task,
            existing: true,
        }),
        Made::Known(task) => known(order, *task),
        refused => Err(refusal(order, &refused).into()),
    }
}

/// Writes orders that are all new, or none: an id that is there already is refused.
///
/// # Errors
/// As [`place_order`]; the refusal is about the order with the answered number, if it is about one.
pub(super) async fn place_orders(
    tx: &mut TenantTx,
    orders: &[CheckedOrder],
) -> Result<(), (usize, FlowError)> {
    let highest = orders.iter().map(|order| order.priority).max().unwrap_or(0);
    let asked = ask_tasks(tx, u32::try_from(orders.len()).unwrap_or(u32::MAX), highest).await;
    asked.map_err(|error| (0, error.into()))?;
    for (number, order) in orders.iter().enumerate() {
        let checked = uploads_checked(tx, order).await;
        checked.map_err(|error| (number, error))?;
    }
    let mut tasks = Vec::with_capacity(orders.len());
    for (number, order) in orders.iter().enumerate() {
        let made = task::place(tx, &new_task(order, None)).await;
        match made.map_err(|error| (number, error.into()))? {
            Made::New(task) => tasks.push(*task),
            refused => return Err((number, refusal(order, &refused).into())),
        }
        note_subject(tx, order).await.map_err(|error| (number, error))?;
    }
    // tickets hold the tenant's lanes, so nothing is asked for after them
    let new: Vec<&Task> = tasks.iter().collect();
    let queued = task::enqueue(tx, &new).await;
    queued.map_err(|error| (0, error.into()))
}

/// An order that is repeated finds its task; another order of the same id is refused.
fn known(order: &CheckedOrder, task: Task) -> Result<Started, FlowError> {
    if task.payload.is_order_of(&order.payload) {
        return Ok(Started { task, existing: true });
    }
    Err(id_is_taken(order.id).into())
}

fn id_is_taken(id: TaskId) -> Refusal {
    let message = format!("another task has the id {id}");
    Refusal::new(RefusalCode::AlreadyExists, message).at(&["input", "id"])
}

fn refusal(order: &CheckedOrder, made: &Made) -> Refusal {
    let (code, why) = match made {
        Made::NoGroup(Entry::Closed) => (RefusalCode::WrongState, "is closed".to_owned()),
        Made::NoGroup(Entry::Full) => {
            let most = group::TASKS_MAX;
            (
                RefusalCode::WrongState,
                format!("has {most} tasks, which is the most"),
            )
        }
        Made::NoGroup(_) => {
            let id = order.terms.group.map_or_else(String::new, |id| id.to_string());
            return Refusal::not_found("group of this project", id).at(&["input", "groupId"]);
        }
        Made::NoProject => {
            return no_project(order.project);
        }
        _ => return id_is_taken(order.id),
    };
    Refusal::new(code, format!("the group {why}")).at(&["input", "groupId"])
}

fn new_task(order: &CheckedOrder, unique_key: Option<[u8; 32]>) -> NewTask<'_> {
    let terms = order.terms;
    let timeout = terms.timeout_seconds.map(u64::from);
    NewTask {
        id: order.id,
        project: order.project,
        scan_type: &order.scan_type,
        payload: &order.payload,
        priority: order.priority,
        terms: Terms {
            run_at: terms.run_at,
            timeout: timeout.map(std::time::Duration::from_secs),
            group: terms.group,
            schedule: terms.schedule,
            unique_key,
        },
    }
}

/// Refuses uploads that are not of the project; answers the key of an order that shall be unique: project, type,
/// target or bytes, rules and options.
pub(super) async fn uploads_checked(
    tx: &mut TenantTx,
    order: &CheckedOrder,
) -> Result<Option<[u8; 32]>, FlowError> {
    let source = &order.payload.source;
    let mut scanned = None;
    if let Some(upload) = source.upload_id() {
        scanned = Some(own_upload(tx, upload, order.project, "uploadId").await?);
    }
    let mut rules = None;
    if let Some(id) = order.payload.rules_upload_id {
        let upload = own_upload(tx, id, order.project, "rulesUploadId").await?;
        if upload.blob.size_bytes > RULES_BYTES_MAX {
            let bytes = upload.blob.size_bytes;
            let rule = format!(
                "rules must have at most {RULES_BYTES_MAX} bytes, {:?} has {bytes}",
                upload.file_name
            );
            return Err(Refusal::invalid("rulesUploadId", rule).into());
        }
        rules = Some(upload);
    }
    if !order.terms.unique {
        return Ok(None);
    }
    let hash = |upload: &Option<Upload>| upload.as_ref().map(|upload| hex::encode(upload.blob.hash));
    let target = match source {
        Source::Target { target } => Some((target.kind().as_str(), target.text())),
        Source::Tree { .. } | Source::Capture { .. } | Source::Report { .. } => None,
    };
    let is_report = matches!(source, Source::Report { .. });
    let what = json!([
        order.project.to_string(),
        order.scan_type.as_str(),
        hash(&scanned),
        is_report,
        target,
        hash(&rules),
        // an object's names are sorted
        order.payload.options,
    ]);
    Ok(Some(Sha256::digest(what.to_string()).into()))
}

/// Notes what the task works on where its owner looks for it.
async fn note_subject(tx: &mut TenantTx, order: &CheckedOrder) -> Result<(), FlowError> {
    if let Some(upload) = order.payload.source.upload_id() {
        upload::bind(tx, upload, order.id).await?;
    }
    if let Some(pinned) = &order.pinned {
        let target = target::TaskTarget {
            task_id: order.id,
            pinned: pinned.clone(),
            profile: order.profile,
        };
        target::create(tx, &target).await?;
    }
    Ok(())
}

async fn own_upload(
    tx: &mut TenantTx,
    id: UploadId,
    project: ProjectId,
    field: &str,
) -> Result<Upload, FlowError> {
    match upload::get(tx, id).await? {
        Some(found) if found.project_id == project => Ok(found),
        Some(_) => Err(Refusal::invalid(field, "the upload belongs to another project").into()),
        None => Err(Refusal::not_found("upload", id).at(&["input", field]).into()),
    }
}
