//! The root of writes: each is one flow. A refusal is data in the payload's `errors`.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tamiz_core::scope::ScopeLabels;
use tamiz_core::{GroupId, PluginId, ProjectId, Refusal, TaskId, UploadId};
use tamiz_store::task;
use tamiz_store::token::Role;
use uuid::Uuid;

use super::id::Ref;
use super::plugin::Plugin;
use super::project::Project;
use super::scalars::Json;
use super::session::Session;
use super::target::TargetInput;
use super::task::Task;
use super::usage::QuotaRefusal;
use super::words::ScanProfile;
use crate::api::errors::ApiError;
use crate::flow::start_scan::{OrderTerms, Rules, ScanOrder, Started, Subject, start_scan};
use crate::flow::{FlowError, cancel_task, choose_plugin, create_project, require, retry_task};

/// Why something was refused.
#[derive(SimpleObject)]
pub(crate) struct UserError {
    /// A stable code.
    code: String,
    /// A sentence that names the input, the rule and the limit.
    message: String,
    /// The input concerned.
    path: Vec<String>,
    /// The limit of your tenant that is reached, with the code `QUOTA_EXCEEDED`.
    limit: Option<QuotaRefusal>,
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.into_owned(),
            message: refusal.message,
            path: refusal.path,
            limit: refusal.limit.map(|limit| (*limit).into()),
        }
    }
}

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident: $node:ty }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $name {
            $(#[$field_doc])*
            $field: Option<$node>,
            /// Why it was refused; empty when it was done.
            errors: Vec<UserError>,
        }

        impl $name {
            pub(super) fn of(outcome: Result<$node, FlowError>) -> Result<Self, ApiError> {
                match outcome {
                    Ok(node) => Ok(Self { $field: Some(node), errors: Vec::new() }),
                    Err(error) => Ok(Self { $field: None, errors: vec![refused(error)?] }),
                }
            }
        }
    };
}

macro_rules! order_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $name {
            /// The task that carries the order out.
            task: Option<Task>,
            /// The task was there already: its id was ordered before, or the same order waits and this one
            /// is `unique`.
            existing: bool,
            /// Why it was refused; empty when it was done.
            errors: Vec<UserError>,
        }

        impl $name {
            fn of(outcome: Result<Started, FlowError>) -> Result<Self, ApiError> {
                match outcome {
                    Ok(started) => Ok(Self {
                        task: Some(shared(started.task)),
                        existing: started.existing,
                        errors: Vec::new(),
                    }),
                    Err(error) => Ok(Self {
                        task: None,
                        existing: false,
                        errors: vec![refused(error)?],
                    }),
                }
            }
        }
    };
}

pub(super) use payload;

payload!(
    /// What became of `createProject`.
    CreateProjectPayload {
        /// The new project.
        project: Project
    }
);
order_payload!(
    /// What became of `startScan`.
    StartScanPayload
);
order_payload!(
    /// What became of `importReport`.
    ImportReportPayload
);
payload!(
    /// What became of `cancelTask`.
    CancelTaskPayload {
        /// The task; a running one ends soon.
        task: Task
    }
);
payload!(
    /// What became of `retryTask`.
    RetryTaskPayload {
        /// The queued task.
        task: Task
    }
);

/// What became of `choosePlugin`.
#[derive(SimpleObject)]
pub(crate) struct ChoosePluginPayload {
    /// What new tasks of the scan type are served by first; null when nothing serves it.
    plugin: Option<Plugin>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// A project to be made.
#[derive(InputObject)]
pub(crate) struct CreateProjectInput {
    /// Unique in the tenant, 1 to 200 characters.
    name: String,
}

/// What of a target scans look at: one that looks at the same again, with the same tool and configuration, closes what
/// it does not find. At most 200 characters each.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct ScopeInput {
    /// Of the source code.
    #[graphql(default)]
    branch: String,
    /// Such as `staging`.
    #[graphql(default)]
    environment: String,
    /// Tells apart scans of parts of one target, such as the folders of a monorepo.
    #[graphql(default)]
    category: String,
}

impl From<ScopeInput> for ScopeLabels {
    fn from(input: ScopeInput) -> Self {
        Self {
            branch: input.branch,
            environment: input.environment,
            category: input.category,
        }
    }
}

/// A scan of an upload or of a target: exactly one of `uploadId` and `target`.
#[derive(InputObject)]
pub(crate) struct StartScanInput {
    /// Your own UUID for the task: asking twice with the same one makes one task.
    id: Option<Uuid>,
    /// Where it belongs.
    project_id: Ref<ProjectId>,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word. It decides what can be scanned.
    scan_type: String,
    /// What part of the target it looks at; a later scan of the same part says what is fixed.
    #[graphql(default)]
    scope: ScopeInput,
    /// The archive or capture, an upload of the same project.
    upload_id: Option<Ref<UploadId>>,
    /// What to scan over the network.
    target: Option<TargetInput>,
    /// How thoroughly; the plugin's own choice if not said.
    profile: Option<ScanProfile>,
    /// An upload with rules to use instead of the bundled ones.
    rules_upload_id: Option<Ref<UploadId>>,
    /// For the plugin: an object that fits its schema.
    options: Option<Json>,
    /// 0 to 100, 0 if not said; higher goes first.
    priority: Option<i32>,
    /// Not before this time; at most 366 days ahead. At once if not said.
    run_at: Option<DateTime<Utc>>,
    /// How long one attempt may take, tools and conversion together; the operator's time for the scan type if
    /// not said, at most a week.
    timeout_seconds: Option<i32>,
    /// An open group of the same project, which finishes when all its tasks have ended.
    group_id: Option<Ref<GroupId>>,
    /// While the same order (project, type, target or bytes, rules and options) waits to begin, answer that one.
    #[graphql(default)]
    unique: bool,
}

/// A conversion of an uploaded report.
#[derive(InputObject)]
pub(crate) struct ImportReportInput {
    /// Your own UUID for the task: asking twice with the same one makes one task.
    id: Option<Uuid>,
    /// Where it belongs.
    project_id: Ref<ProjectId>,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    scan_type: String,
    /// What part of the target it looks at; a later scan of the same part says what is fixed.
    #[graphql(default)]
    scope: ScopeInput,
    /// The report, an upload of the same project.
    upload_id: Ref<UploadId>,
    /// For the plugin: an object that fits its schema.
    options: Option<Json>,
    /// 0 to 100, 0 if not said; higher goes first.
    priority: Option<i32>,
}

/// A task to be stopped.
#[derive(InputObject)]
pub(crate) struct CancelTaskInput {
    /// The task.
    task_id: Ref<TaskId>,
}

/// A task to be tried again.
#[derive(InputObject)]
pub(crate) struct RetryTaskInput {
    /// The task.
    task_id: Ref<TaskId>,
}

/// Which plugin shall serve a scan type of your tenant.
#[derive(InputObject)]
pub(crate) struct ChoosePluginInput {
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    scan_type: String,
    /// An active plugin of that scan type; null to go back to what serves those who do not choose.
    plugin_id: Option<Ref<PluginId>>,
}

/// The root of writes.
pub(crate) struct Mutation;

/// The root of writes. What cannot be done is said in `errors`, with a stable code.
#[Object(name = "TaskMutation")]
impl Mutation {
    /// Makes a project.
    async fn create_project(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its name.")] input: CreateProjectInput,
    ) -> Result<CreateProjectPayload, ApiError> {
        let session = rested(context).await?;
        let made = create_project::create_project(session.store(), &session.caller, &input.name).await;
        CreateProjectPayload::of(made.map(|row| Project(Arc::new(row))))
    }

    /// Queues a scan of an upload or of a target.
    async fn start_scan(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to scan, and how.")] input: StartScanInput,
    ) -> Result<StartScanPayload, ApiError> {
        let session = rested(context).await?;
        let subject = subject(input.upload_id, None, input.target.as_ref());
        let order = order(
            Asked {
                id: input.id,
                project_id: input.project_id.into(),
                scan_type: input.scan_type,
                scope: input.scope,
                rules_upload_id: input.rules_upload_id.map(Into::into),
                options: input.options.map(|options| options.0),
                profile: input.profile,
                priority: input.priority,
                terms: OrderTerms {
                    run_at: input.run_at,
                    timeout_seconds: input.timeout_seconds.map(whole_seconds),
                    group: input.group_id.map(Into::into),
                    schedule: None,
                    unique: input.unique,
                },
            },
            subject,
        );
        StartScanPayload::of(session.noted(queued(session, order).await).await)
    }

    /// Queues the conversion of an uploaded report.
    async fn import_report(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which report, and of what.")] input: ImportReportInput,
    ) -> Result<ImportReportPayload, ApiError> {
        let session = rested(context).await?;
        let subject = Ok(Subject::Report(input.upload_id.into()));
        let order = order(
            Asked {
                id: input.id,
                project_id: input.project_id.into(),
                scan_type: input.scan_type,
                scope: input.scope,
                rules_upload_id: None,
                options: input.options.map(|options| options.0),
                profile: None,
                priority: input.priority,
                terms: OrderTerms::default(),
            },
            subject,
        );
        ImportReportPayload::of(session.noted(queued(session, order).await).await)
    }

    /// Stops a task: at once when it waits, soon when it runs.
    async fn cancel_task(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which task.")] input: CancelTaskInput,
    ) -> Result<CancelTaskPayload, ApiError> {
        let session = rested(context).await?;
        let done = cancel_task::cancel_task(session.store(), &session.caller, input.task_id.into()).await;
        CancelTaskPayload::of(done.map(shared))
    }

    /// Sends a failed, timed-out, cancelled or dead task back to the queue.
    async fn retry_task(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which task.")] input: RetryTaskInput,
    ) -> Result<RetryTaskPayload, ApiError> {
        let session = rested(context).await?;
        let done = retry_task::retry_task(session.store(), &session.caller, input.task_id.into()).await;
        RetryTaskPayload::of(session.noted(done).await.map(shared))
    }

    /// Lets a plugin serve a scan type of your tenant from now on; tasks that wait keep theirs.
    async fn choose_plugin(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which plugin, for which scan type.")] input: ChoosePluginInput,
    ) -> Result<ChoosePluginPayload, ApiError> {
        let session = rested(context).await?;
        let choice = input.plugin_id.map(Into::into);
        let caller = &session.caller;
        match choose_plugin::choose_plugin(session.store(), caller, &input.scan_type, choice).await {
            Ok(first) => Ok(ChoosePluginPayload {
                plugin: first.map(|row| Plugin(Arc::new(row))),
                errors: Vec::new(),
            }),
            Err(error) => Ok(ChoosePluginPayload {
                plugin: None,
                errors: vec![refused(error)?],
            }),
        }
    }
}

/// What the client can mend; the rest is a fault.
pub(super) fn refused(error: FlowError) -> Result<UserError, ApiError> {
    match error {
        FlowError::Refused(refusal) => Ok(refusal.into()),
        FlowError::Store(error) => Err(ApiError::of_store(&error)),
        fault @ FlowError::Fault { .. } => Err(ApiError::fault(&fault)),
    }
}

/// The session, without a transaction and without memories of how things were before the write.
pub(super) async fn rested<'a>(context: &Context<'a>) -> Result<&'a Arc<Session>, ApiError> {
    let session = Session::of(context)?;
    session.rest().await;
    Ok(session)
}

/// What both kinds of task have in common.
pub(super) struct Asked {
    pub(super) id: Option<Uuid>,
    pub(super) project_id: ProjectId,
    pub(super) scan_type: String,
    pub(super) scope: ScopeInput,
    pub(super) rules_upload_id: Option<UploadId>,
    pub(super) options: Option<Value>,
    pub(super) profile: Option<ScanProfile>,
    pub(super) priority: Option<i32>,
    pub(super) terms: OrderTerms,
}

/// What is out of range is 0, and the flow says so.
pub(super) fn whole_seconds(seconds: i32) -> u32 {
    u32::try_from(seconds).unwrap_or(0)
}

/// What orders are judged by.
pub(super) fn rules(session: &Session) -> Rules<'_> {
    Rules {
        plugins: &session.state.plugins,
        targets: &session.state.targets,
    }
}

/// An upload, a report or a target, one of them.
pub(super) fn subject(
    upload: Option<Ref<UploadId>>,
    report: Option<Ref<UploadId>>,
    target: Option<&TargetInput>,
) -> Result<Subject, Refusal> {
    match (upload, report, target) {
        (Some(upload), None, None) => Ok(Subject::Upload(upload.into())),
        (None, Some(report), None) => Ok(Subject::Report(report.into())),
        (None, None, Some(target)) => target.parse().map(Subject::Target),
        (None, None, None) => Err(Refusal::invalid("uploadId", "give uploadId or target")),
        _ => Err(Refusal::invalid("target", "give uploadId or target, not both")),
    }
}

pub(super) fn order(asked: Asked, subject: Result<Subject, Refusal>) -> Result<ScanOrder, Refusal> {
    let options = match asked.options {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(Refusal::invalid("options", "must be an object")),
    };
    Ok(ScanOrder {
        id: asked.id.map(Into::into),
        project: asked.project_id,
        scan_type: asked.scan_type,
        subject: subject?,
        labels: asked.scope.into(),
        commit: None,
        rules: asked.rules_upload_id,
        options,
        profile: asked.profile.map(Into::into),
        // out of range either way, and the flow says so
        priority: i16::try_from(asked.priority.unwrap_or(0)).unwrap_or(i16::MAX),
        terms: asked.terms,
    })
}

pub(super) async fn queued(
    session: &Session,
    order: Result<ScanOrder, Refusal>,
) -> Result<Started, FlowError> {
    // who may not write is told so before anything about the input
    require(&session.caller, Role::Analyst)?;
    start_scan(session.store(), rules(session), &session.caller, order?).await
}

pub(super) fn shared(task: task::Task) -> Task {
    Task(Arc::new(task))
}
