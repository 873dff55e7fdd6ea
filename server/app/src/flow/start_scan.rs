//! Asks for a scan of an uploaded tree, or for the conversion of an uploaded report.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use tamiz_core::limits::{OPTIONS_BYTES_MAX, PRIORITY_MAX, RULES_BYTES_MAX};
use tamiz_core::text;
use tamiz_core::{ProjectId, Refusal, RefusalCode, ScanType, TaskId, UploadId};
use tamiz_host::{PlanError, Registry, ScanRequest};
use tamiz_store::task::{self, NewTask, Payload, Source, Task};
use tamiz_store::token::{Caller, Role};
use tamiz_store::upload::{self, Upload};
use tamiz_store::{Store, TenantTx};
use tokio::sync::Semaphore;

use super::{FlowError, require};
use crate::config::PLANS_AT_ONCE;

/// The others wait their turn within their request's time.
static PLANS: Semaphore = Semaphore::const_new(PLANS_AT_ONCE as usize);

/// A scan that is asked for.
#[derive(Debug, Clone)]
pub struct ScanOrder {
    /// The client's own id for the order: asking twice makes one task.
    pub id: Option<TaskId>,
    /// Where it belongs.
    pub project: ProjectId,
    /// Which plugin shall serve it.
    pub scan_type: String,
    /// What to scan.
    pub source: Source,
    /// Rules instead of the bundled ones.
    pub rules: Option<UploadId>,
    /// For the plugin.
    pub options: Map<String, Value>,
    /// 0 to [`PRIORITY_MAX`], higher goes first.
    pub priority: i16,
}

/// Stores task, ticket and first event together.
///
/// # Errors
/// Refused when the role is below analyst, no plugin serves the scan type, the options do not fit, or
/// a named thing is not there.
pub async fn start_scan(
    store: &Store,
    plugins: &Arc<Registry>,
    caller: &Caller,
    order: ScanOrder,
) -> Result<Task, FlowError> {
    require(caller, Role::Analyst)?;
    let scan_type = check(&order)?;
    let tools = plan_tools(plugins, &scan_type, &order).await?;
    let mut tx = store.begin(&caller.scope).await?;
    own_upload(&mut tx, order.source.upload_id(), order.project, "uploadId").await?;
    if let Some(rules) = order.rules {
        let rules = own_upload(&mut tx, rules, order.project, "rulesUploadId").await?;
        if rules.blob.size_bytes > RULES_BYTES_MAX {
            let bytes = rules.blob.size_bytes;
            let rule = format!(
                "rules must have at most {RULES_BYTES_MAX} bytes, {:?} has {bytes}",
                rules.file_name
            );
            return Err(Refusal::invalid("rulesUploadId", rule).into());
        }
    }
    let payload = Payload {
        source: order.source,
        rules_upload_id: order.rules,
        options: order.options,
        tools,
    };
    let id = order.id.unwrap_or_else(TaskId::fresh);
    let new = NewTask {
        id,
        project: order.project,
        scan_type: &scan_type,
        payload: &payload,
        priority: order.priority,
    };
    let Some(task) = task::create(&mut tx, &new).await? else {
        return Err(Refusal::not_found("project", order.project)
            .at(&["input", "projectId"])
            .into());
    };
    if !task.payload.is_order_of(&payload) {
        let message = format!("another task has the id {id}");
        return Err(Refusal::new(RefusalCode::AlreadyExists, message)
            .at(&["input", "id"])
            .into());
    }
    upload::bind(&mut tx, payload.source.upload_id(), id).await?;
    tx.commit().await?;
    Ok(task)
}

fn check(order: &ScanOrder) -> Result<ScanType, Refusal> {
    let scan_type = ScanType::parse(&order.scan_type).map_err(|error| Refusal::invalid("scanType", error))?;
    if !(0..=PRIORITY_MAX).contains(&order.priority) {
        return Err(Refusal::invalid(
            "priority",
            format_args!("must be 0 to {PRIORITY_MAX}, is {}", order.priority),
        ));
    }
    Ok(scan_type)
}

/// The plugin itself says whether it takes the options, and which tools it would run; asking it is
/// cheap and bounded.
async fn plan_tools(
    plugins: &Arc<Registry>,
    scan_type: &ScanType,
    order: &ScanOrder,
) -> Result<Vec<String>, FlowError> {
    let Some(plugin) = plugins.for_scan_type(scan_type).next().cloned() else {
        let known: BTreeSet<_> = plugins
            .plugins()
            .iter()
            .map(|plugin| plugin.description().scan_type.to_string())
            .collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("no plugin serves {scan_type}; there are plugins for: {known}");
        return Err(Refusal::new(RefusalCode::UnsupportedScanType, message)
            .at(&["input", "scanType"])
            .into());
    };
    let request = ScanRequest {
        target_kind: "tree".into(),
        target: String::new(),
        options: checked_options(&order.options)?,
    };
    let turn = PLANS
        .acquire()
        .await
        .map_err(|error| FlowError::fault("waiting for a plugin", error))?;
    // the turn goes with the call, which outlives a request that is given up
    let plan = move || {
        let _turn = turn;
        plugin.plan(&request)
    };
    let planned = tokio::task::spawn_blocking(plan)
        .await
        .map_err(|error| FlowError::fault("asking the plugin", error))?;
    match planned {
        Ok(_) if matches!(order.source, Source::Report { .. }) => Ok(Vec::new()),
        Ok(runs) => {
            let tools: BTreeSet<String> = runs.into_iter().map(|run| run.tool).collect();
            Ok(tools.into_iter().collect())
        }
        Err(PlanError::BadOptions { message }) => Err(Refusal::new(RefusalCode::BadOptions, message)
            .at(&["input", "options"])
            .into()),
        Err(PlanError::Failed(failure)) if failure.is_the_hosts() => {
            Err(FlowError::fault("asking the plugin", failure))
        }
        // a report needs no plan
        Err(_) if matches!(order.source, Source::Report { .. }) => Ok(Vec::new()),
        Err(PlanError::Unsupported { message }) => {
            Err(Refusal::new(RefusalCode::UnsupportedScanType, message)
                .at(&["input", "scanType"])
                .into())
        }
        Err(PlanError::Failed(failure)) => {
            let message = format!("the plugin made no plan: {failure}");
            Err(Refusal::new(RefusalCode::PluginFailed, message)
                .at(&["input", "scanType"])
                .into())
        }
    }
}

/// The options as a plugin takes them.
fn checked_options(options: &Map<String, Value>) -> Result<String, Refusal> {
    let is_whole = |(name, value): (&String, &Value)| text::is_storable(name) && is_storable(value);
    if !options.iter().all(is_whole) {
        return Err(Refusal::invalid("options", "must not have NUL characters"));
    }
    let text = Value::Object(options.clone()).to_string();
    if text.len() > OPTIONS_BYTES_MAX {
        let rule = format!(
            "must be at most {OPTIONS_BYTES_MAX} bytes of JSON, is {}",
            text.len()
        );
        return Err(Refusal::invalid("options", rule));
    }
    Ok(text)
}

/// Whether the database can hold `value`; its depth is bounded by whoever parsed it.
fn is_storable(value: &Value) -> bool {
    match value {
        Value::String(text) => text::is_storable(text),
        Value::Array(values) => values.iter().all(is_storable),
        Value::Object(fields) => fields
            .iter()
            .all(|(name, value)| text::is_storable(name) && is_storable(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
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
