//! Plans: what the tenants of one may use.

use async_graphql::{Context, SimpleObject};
use tamiz_core::plugin::{LimitSet, PluginLimit};
use tamiz_core::quota::QuotaSet;
use tamiz_store::plan;
use tamiz_store::quota::limits;

use super::principal::OperatorSession;
use super::session::Session;
use super::words::BigInt;
use crate::api::errors::ApiError;

/// A limit that a plan says.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PlanLimit {
    /// A stable word such as `tasks-running` or, of one scan type, `tasks-running.web`.
    name: String,
    /// How much is allowed.
    value: BigInt,
}

/// What the plugins of a plan's tenants may use up in one call; null where the plan says nothing and the platform's
/// limit holds.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PlanPluginLimits {
    /// All of its memory.
    memory_bytes: Option<BigInt>,
    /// From its start to its end.
    deadline_seconds: Option<BigInt>,
    /// Findings that it emits.
    findings: Option<BigInt>,
    /// Their text together.
    finding_bytes: Option<BigInt>,
    /// All artifacts together.
    artifact_bytes: Option<BigInt>,
    /// Lines that it logs.
    log_lines: Option<BigInt>,
    /// Calls at the same time.
    instances: Option<BigInt>,
}

impl From<&LimitSet> for PlanPluginLimits {
    fn from(set: &LimitSet) -> Self {
        let said = |limit| set.get(limit).map(BigInt::from);
        Self {
            memory_bytes: said(PluginLimit::MemoryBytes),
            deadline_seconds: said(PluginLimit::DeadlineSeconds),
            findings: said(PluginLimit::FindingsMax),
            finding_bytes: said(PluginLimit::FindingBytesMax),
            artifact_bytes: said(PluginLimit::ArtifactBytesMax),
            log_lines: said(PluginLimit::LogLinesMax),
            instances: said(PluginLimit::InstancesMax),
        }
    }
}

/// What the tenants of a plan may use; limits that it does not say are the platform's.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Plan {
    /// Unique on the platform.
    pub(super) name: String,
    /// The limits that it says, by name.
    limits: Vec<PlanLimit>,
    /// What plugins may use up.
    plugin_limits: PlanPluginLimits,
}

impl Plan {
    fn of(plan: plan::Plan, quota: &QuotaSet) -> Self {
        let limits = quota.said().map(|(name, value)| PlanLimit {
            name: name.to_string(),
            value: value.into(),
        });
        Self {
            limits: limits.collect(),
            plugin_limits: PlanPluginLimits::from(&plan.limits),
            name: plan.name,
        }
    }

    /// The caller's own.
    pub(super) async fn own(session: &Session) -> Result<Self, ApiError> {
        let plan = session.read(|tx| Box::pin(plan::of_tenant(tx))).await?;
        let quota = session.read(|tx| Box::pin(limits::of_own_plan(tx))).await?;
        Ok(Self::of(plan, &quota))
    }

    /// All, by name, for operators.
    pub(super) async fn all(context: &Context<'_>) -> Result<Vec<Self>, ApiError> {
        let mut tx = OperatorSession::of(context)?.begin().await?;
        let plans = plan::list(&mut tx).await;
        let plans = plans.map_err(|error| ApiError::of_store(&error))?;
        let quotas = limits::of_plans(&mut tx).await;
        let quotas = quotas.map_err(|error| ApiError::of_store(&error))?;
        let none = QuotaSet::default();
        let plans = plans.into_iter().map(|plan| {
            let quota = quotas.get(&plan.name).unwrap_or(&none);
            Self::of(plan, quota)
        });
        Ok(plans.collect())
    }
}
