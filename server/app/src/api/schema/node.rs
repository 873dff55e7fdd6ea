//! Anything with an id: where an id says that its row is.

use std::sync::Arc;

use async_graphql::{ID, Interface};
use tamiz_core::id::split_global;
use tamiz_core::{
    AlertId, AlertRuleId, ArtifactId, FindingId, GlobalId as _, GroupId, PluginId, ProjectId, Refusal,
    RefusalCode, ScanResultId, ScheduleId, TaskId, TenantId, TokenId, ToolExecutionId, UploadId,
    WebhookEndpointId,
};
use tamiz_store::alert::rule;
use tamiz_store::{finding, tool_execution};
use uuid::Uuid;

use super::alert::Alert;
use super::alert_rule::AlertRule;
use super::artifact::Artifact;
use super::finding::Finding;
use super::group::TaskGroup;
use super::plugin::Plugin;
use super::project::Project;
use super::scan_result::ScanResult;
use super::schedule::Schedule;
use super::session::Session;
use super::task::Task;
use super::tenant::Tenant;
use super::token::{ApiToken, token_of};
use super::tool_execution::ToolExecution;
use super::upload::{Upload, upload_of};
use super::webhook::{self, WebhookEndpoint};
use crate::api::errors::ApiError;

/// Anything with an id. An id names its type and a UUID: `Task_019a8b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b`.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Its id, unique over all types."))]
pub(crate) enum Node {
    Project(Project),
    Task(Task),
    ScanResult(ScanResult),
    Finding(Finding),
    Alert(Alert),
    AlertRule(AlertRule),
    Artifact(Artifact),
    ToolExecution(ToolExecution),
    Plugin(Plugin),
    TaskGroup(TaskGroup),
    Schedule(Schedule),
    WebhookEndpoint(WebhookEndpoint),
    Upload(Upload),
    ApiToken(ApiToken),
    Tenant(Tenant),
}

impl Node {
    /// What `id` names, if the asking tenant has it: what is another's and what is not there are the same nothing.
    pub(super) async fn find(session: &Arc<Session>, id: &str) -> Result<Option<Self>, ApiError> {
        let Some((type_name, uuid)) = split_global(id) else {
            return Err(no_id(id).into());
        };
        let uuid = Uuid::parse_str(uuid).map_err(|_| no_id(id))?;
        Ok(match type_name {
            ProjectId::TYPE => session
                .project(uuid.into())
                .await?
                .map(Project)
                .map(Self::Project),
            TaskId::TYPE => session.task(uuid.into()).await?.map(Task).map(Self::Task),
            ScanResultId::TYPE => session
                .result_of(uuid.into())
                .await?
                .map(ScanResult)
                .map(Self::ScanResult),
            FindingId::TYPE => finding_of(session, uuid.into()).await?.map(Self::Finding),
            AlertId::TYPE => session.alert(uuid.into()).await?.map(Alert).map(Self::Alert),
            AlertRuleId::TYPE => session
                .read(|tx| Box::pin(rule::get(tx, uuid.into())))
                .await?
                .map(|row| Self::AlertRule(AlertRule(Arc::new(row)))),
            ArtifactId::TYPE => session
                .artifact(uuid.into())
                .await?
                .map(Artifact)
                .map(Self::Artifact),
            ToolExecutionId::TYPE => session
                .read(|tx| Box::pin(async move { tool_execution::by_ids(tx, &[uuid.into()]).await }))
                .await?
                .pop()
                .map(|row| Self::ToolExecution(ToolExecution(Arc::new(row)))),
            PluginId::TYPE => session.plugin(uuid.into()).await?.map(Plugin).map(Self::Plugin),
            GroupId::TYPE => session
                .group(uuid.into())
                .await?
                .map(TaskGroup)
                .map(Self::TaskGroup),
            ScheduleId::TYPE => session
                .schedule(uuid.into())
                .await?
                .map(Schedule)
                .map(Self::Schedule),
            WebhookEndpointId::TYPE => webhook::endpoint_of(session, uuid.into())
                .await?
                .map(Self::WebhookEndpoint),
            UploadId::TYPE => upload_of(session, uuid.into()).await?.map(Self::Upload),
            TokenId::TYPE => token_of(session, uuid.into()).await?.map(Self::ApiToken),
            TenantId::TYPE => {
                (session.caller.scope.tenant_id().uuid() == uuid).then(|| Self::Tenant(Tenant::own(session)))
            }
            _ => return Err(no_id(id).into()),
        })
    }
}

/// One finding.
pub(super) async fn finding_of(session: &Session, id: FindingId) -> Result<Option<Finding>, ApiError> {
    let rows = session
        .read(|tx| Box::pin(async move { finding::by_ids(tx, &[id]).await }))
        .await?;
    Ok(rows.into_iter().next().map(|row| Finding(Arc::new(row))))
}

fn no_id(text: &str) -> Refusal {
    let shown = tamiz_core::text::cut(text, 100);
    let message = format!(
        "`{shown}` is not an id of a node: those begin with the name of their type, such as `Task_019a8b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b`"
    );
    Refusal::new(RefusalCode::InvalidInput, message).at(&["id"])
}
