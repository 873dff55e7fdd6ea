//! Asks for a scan of an upload or of a target, or for the conversion of an uploaded report.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamiz_core::limits::{OPTIONS_BYTES_MAX, PRIORITY_MAX};
use tamiz_core::plugin::LimitSet;
use tamiz_core::scope::{LABEL_CHARACTERS_MAX, ScopeLabels};
use tamiz_core::text::is_storable;
use tamiz_core::text::is_storable_object;
use tamiz_core::{Profile, ProjectId, Refusal, RefusalCode, ScanType, Target, TargetKind, TaskId, UploadId};
use tamiz_host::{PlanError, Plugin, RunLimits, ScanRequest};
use tamiz_store::plugin::{self, InstalledPlugin};
use tamiz_store::task::{Payload, Source};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantScope, plan};

use super::place_orders::{CheckedOrder, place_order};
use super::plan_turn::plan_turn;
use super::{FlowError, in_the_calendar, label, require, within};
use crate::config::{TASK_TIMEOUT_SECONDS_MAX, TargetSettings};
use crate::plugins::{Plugins, measures, remembered};
use crate::target::pin;

pub use super::place_orders::{OrderTerms, Started};

/// A task further in the future is a mistake, or a schedule.
const RUN_AT_DAYS_MAX: i64 = 366;
/// A SHA-256 in hexadecimal, or the name of a release.
const COMMIT_CHARACTERS_MAX: usize = 200;

/// What a scan is of; schedules store it so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An upload: an archive or a capture, whichever the scan type takes.
    Upload(UploadId),
    /// An uploaded report, to be converted only.
    Report(UploadId),
    /// Something in the network.
    Target(Target),
}

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
    pub subject: Subject,
    /// What of it the scan looks at.
    pub labels: ScopeLabels,
    /// The version of the code, for people.
    pub commit: Option<String>,
    /// Rules instead of the bundled ones.
    pub rules: Option<UploadId>,
    /// For the plugin; with the profile, once it was checked.
    pub options: Map<String, Value>,
    /// How thoroughly; the plugin's own choice if not said.
    pub profile: Option<Profile>,
    /// 0 to [`PRIORITY_MAX`], higher goes first.
    pub priority: i16,
    /// When, how long and with what else.
    pub terms: OrderTerms,
}

/// What orders are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Who says what can be scanned.
    pub plugins: &'a Plugins,
    /// Who says what may be.
    pub targets: &'a TargetSettings,
}

/// Stores task, ticket, target and first event together.
///
/// # Errors
/// Refused when the role is below analyst, no plugin serves the scan type or the subject, the options do
/// not fit, the target may not be scanned, or a named thing is not there.
pub async fn start_scan(
    store: &Store,
    rules: Rules<'_>,
    caller: &Caller,
    order: ScanOrder,
) -> Result<Started, FlowError> {
    require(caller, Role::Analyst)?;
    let order = checked(store, rules, &caller.scope, &caller.tenant_name, order).await?;
    let mut tx = store.begin(&caller.scope).await?;
    let started = place_order(&mut tx, &order).await?;
    if !started.existing {
        tx.commit().await?;
    }
    Ok(started)
}

/// Whether anything serves the scan type, for whoever would do much before an order is checked.
///
/// # Errors
/// Refused when the type is no word, or no plugin of the tenant's serves it.
pub async fn is_served(store: &Store, scope: &TenantScope, scan_type: &str) -> Result<(), FlowError> {
    candidates(store, scope, &parsed(scan_type)?).await?;
    Ok(())
}

/// Whether an order keeps the rules that need nobody's answer, for whoever would do much before it is placed.
///
/// # Errors
/// Refused when it says something that no order may.
pub fn check_rules(order: &ScanOrder) -> Result<(), FlowError> {
    check(&mut order.clone())?;
    Ok(())
}

/// Everything about an order that takes time: asking plugins and name servers. Opens short transactions of its
/// own, so the caller must not hold one.
pub(super) async fn checked(
    store: &Store,
    rules: Rules<'_>,
    scope: &TenantScope,
    tenant_name: &str,
    mut order: ScanOrder,
) -> Result<CheckedOrder, FlowError> {
    let scan_type = check(&mut order)?;
    let (candidates, plan) = candidates(store, scope, &scan_type).await?;
    let (source, tools) = planned(rules.plugins, &candidates, plan, &order).await?;
    let pinned = match order.subject {
        Subject::Target(target) => Some(pin(target, tenant_name, rules.targets).await?),
        Subject::Upload(_) | Subject::Report(_) => None,
    };
    Ok(CheckedOrder {
        id: order.id.unwrap_or_else(TaskId::fresh),
        project: order.project,
        scan_type,
        payload: Payload {
            source,
            rules_upload_id: order.rules,
            options: order.options,
            tools,
            plugins: candidates.iter().map(remembered).collect(),
            labels: order.labels,
            commit: order.commit,
        },
        pinned,
        profile: order.profile,
        priority: order.priority,
        terms: order.terms,
    })
}

/// What can be said without asking anybody; puts the profile where the plugin looks for it.
fn check(order: &mut ScanOrder) -> Result<ScanType, Refusal> {
    let scan_type = parsed(&order.scan_type)?;
    within("priority", order.priority, 0..=PRIORITY_MAX)?;
    check_terms(&order.terms)?;
    check_labels(&order.labels)?;
    if let Some(commit) = &order.commit {
        order.commit = Some(label("commit", commit, COMMIT_CHARACTERS_MAX)?.to_owned());
    }
    if order.rules.is_some() && matches!(order.subject, Subject::Target(_)) {
        return Err(Refusal::invalid(
            "rulesUploadId",
            "rules go with an upload, not with a target",
        ));
    }
    if let Some(profile) = order.profile {
        let word = Value::from(profile.as_str());
        let said = order.options.insert("profile".to_owned(), word.clone());
        if said.is_some_and(|said| said != word) {
            return Err(Refusal::invalid("profile", "the options say another one"));
        }
    }
    if !is_storable_object(&order.options) {
        return Err(Refusal::invalid("options", "must not have NUL characters"));
    }
    Ok(scan_type)
}

fn parsed(scan_type: &str) -> Result<ScanType, Refusal> {
    ScanType::parse(scan_type).map_err(|error| Refusal::invalid("scanType", error))
}

fn check_labels(labels: &ScopeLabels) -> Result<(), Refusal> {
    for (field, label) in [
        ("scope.branch", &labels.branch),
        ("scope.environment", &labels.environment),
        ("scope.category", &labels.category),
    ] {
        if label.chars().count() > LABEL_CHARACTERS_MAX || !is_storable(label) {
            let why = format!("must have at most {LABEL_CHARACTERS_MAX} characters and no NUL");
            return Err(Refusal::invalid(field, why));
        }
    }
    Ok(())
}

fn check_terms(terms: &OrderTerms) -> Result<(), Refusal> {
    let seconds = u64::from(terms.timeout_seconds.unwrap_or(1));
    within("timeoutSeconds", seconds, 1..=TASK_TIMEOUT_SECONDS_MAX)?;
    if let Some(run_at) = terms.run_at {
        in_the_calendar("runAt", run_at)?;
    }
    let latest = Utc::now() + TimeDelta::days(RUN_AT_DAYS_MAX);
    if terms.run_at.is_some_and(|run_at| run_at > latest) {
        let rule = format_args!("must be within {RUN_AT_DAYS_MAX} days");
        return Err(Refusal::invalid("runAt", rule));
    }
    Ok(())
}

/// The plugins that may serve the order, the first to be asked first, never none; and what the tenant may use
/// up.
async fn candidates(
    store: &Store,
    scope: &TenantScope,
    scan_type: &ScanType,
) -> Result<(Vec<InstalledPlugin>, LimitSet), FlowError> {
    let mut tx = store.begin(scope).await?;
    let plan = plan::of_tenant(&mut tx).await?;
    let candidates = plugin::candidates(&mut tx, scan_type).await?;
    if candidates.is_empty() {
        let known = plugin::scan_types(&mut tx).await?;
        return Err(nobody_serves(scan_type, &known).into());
    }
    tx.commit().await?;
    Ok((candidates, plan.limits))
}

fn nobody_serves(scan_type: &ScanType, known: &[ScanType]) -> Refusal {
    let known: Vec<&str> = known.iter().map(ScanType::as_str).collect();
    let known = known.join(", ");
    let message = format!("no plugin serves {scan_type}; there are plugins for: {known}");
    Refusal::new(RefusalCode::UnsupportedScanType, message).at(&["input", "scanType"])
}

/// A plugin that can be asked for a plan.
#[derive(Clone)]
struct Planner {
    plugin: Arc<Plugin>,
    name: String,
    limits: RunLimits,
}

async fn loaded(
    plugins: &Plugins,
    candidate: &InstalledPlugin,
    plan: LimitSet,
) -> Result<Planner, FlowError> {
    let loaded = plugins.load(candidate.sha256, candidate.size_bytes).await;
    loaded
        .map(|plugin| Planner {
            plugin,
            name: candidate.name.clone(),
            limits: plugins.limits(plan, candidate),
        })
        .map_err(|error| {
            let Some(reason) = error.reason() else {
                return FlowError::fault("loading a plugin", error);
            };
            measures::not_started(&candidate.name, reason);
            let (name, version) = (&candidate.name, &candidate.version);
            let message = format!("the plugin {name} {version} cannot run: {error}");
            Refusal::new(RefusalCode::PluginFailed, message)
                .at(&["input", "scanType"])
                .into()
        })
}

/// The plugins themselves say what they scan, whether they take the options, and which tools they would
/// run; any of them will do. One that cannot scan such a subject, because it only reads reports, leaves it
/// to the next. Asking is cheap and bounded.
async fn planned(
    plugins: &Plugins,
    candidates: &[InstalledPlugin],
    plan: LimitSet,
    order: &ScanOrder,
) -> Result<(Source, Vec<String>), FlowError> {
    let options = Value::Object(order.options.clone()).to_string();
    if options.len() > OPTIONS_BYTES_MAX {
        let rule = format!(
            "must be at most {OPTIONS_BYTES_MAX} bytes of JSON, is {}",
            options.len()
        );
        return Err(Refusal::invalid("options", rule).into());
    }
    let (ways, field) = ways(&order.subject);
    let mut first_word = None;
    for candidate in candidates {
        let planner = loaded(plugins, candidate, plan).await?;
        match planned_by(&planner, &ways, &options).await? {
            Ok(tools) => return Ok(tools),
            Err(word) => first_word = first_word.or(word),
        }
    }
    let scan_type = &order.scan_type;
    let message = first_word.unwrap_or_else(|| format!("{scan_type} scans nothing of this kind"));
    Err(Refusal::new(RefusalCode::UnsupportedScanType, message)
        .at(&["input", field])
        .into())
}

/// What one plugin would do about the subject, or its first word on why it cannot.
async fn planned_by(
    planner: &Planner,
    ways: &[(TargetKind, String, Source)],
    options: &str,
) -> Result<Result<(Source, Vec<String>), Option<String>>, FlowError> {
    let mut first_word = None;
    for (kind, target, source) in ways {
        let request = ScanRequest {
            target_kind: kind.as_str().to_owned(),
            target: target.clone(),
            options: options.to_owned(),
        };
        let is_report = matches!(source, Source::Report { .. });
        // a capture is read as it is; tools only add to it
        let needs_tool = matches!(source, Source::Tree { .. } | Source::Target { .. });
        match ask(planner.clone(), request).await? {
            Ok(tools) if needs_tool => return Ok(Ok((source.clone(), tools))),
            Ok(_) => return Ok(Ok((source.clone(), Vec::new()))),
            Err(PlanError::BadOptions { message }) => {
                return Err(Refusal::new(RefusalCode::BadOptions, message)
                    .at(&["input", "options"])
                    .into());
            }
            // a report needs no plan
            Err(_) if is_report => return Ok(Ok((source.clone(), Vec::new()))),
            Err(PlanError::Unsupported { message }) => _ = first_word.get_or_insert(message),
            Err(PlanError::Failed(failure)) => {
                let message = format!("the plugin made no plan: {failure}");
                return Err(Refusal::new(RefusalCode::PluginFailed, message)
                    .at(&["input", "scanType"])
                    .into());
            }
        }
    }
    Ok(Err(first_word))
}

/// What a plugin may take the subject for, the likeliest first; and the input that says the subject.
fn ways(subject: &Subject) -> (Vec<(TargetKind, String, Source)>, &'static str) {
    let unnamed = String::new;
    match subject {
        Subject::Upload(id) => {
            let upload_id = *id;
            let ways = vec![
                (TargetKind::Tree, unnamed(), Source::Tree { upload_id }),
                (TargetKind::Capture, unnamed(), Source::Capture { upload_id }),
            ];
            (ways, "scanType")
        }
        Subject::Report(id) => {
            let source = Source::Report { upload_id: *id };
            (vec![(TargetKind::Tree, unnamed(), source)], "scanType")
        }
        Subject::Target(target) => {
            let source = Source::Target {
                target: target.clone(),
            };
            (vec![(target.kind(), target.text(), source)], "target")
        }
    }
}

/// The names of the tools that the plugin would run, in order and each once.
async fn ask(planner: Planner, request: ScanRequest) -> Result<Result<Vec<String>, PlanError>, FlowError> {
    let turn = plan_turn(planner.plugin.sha256())
        .await
        .map_err(|error| FlowError::fault("waiting for a plugin", error))?;
    // the turn goes with the call, which outlives a request that is given up and is counted all the same
    let plan = move || {
        let _turn = turn;
        let answer = planner.plugin.plan(&request, &planner.limits);
        answer.inspect_err(|error| measures::plan_failed(&planner.name, error))
    };
    let answer = tokio::task::spawn_blocking(plan)
        .await
        .map_err(|error| FlowError::fault("asking the plugin", error))?;
    match answer {
        Err(PlanError::Failed(failure)) if failure.is_the_hosts() => {
            Err(FlowError::fault("asking the plugin", failure))
        }
        Ok(runs) => {
            let tools: BTreeSet<String> = runs.into_iter().map(|run| run.tool).collect();
            Ok(Ok(tools.into_iter().collect()))
        }
        Err(refused) => Ok(Err(refused)),
    }
}
