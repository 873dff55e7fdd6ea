//! Tenants: the caller's own to its tokens, all of them to operators.
//!
//! What a token of the tenant asks of its own is read when it is asked for. An operator's page is read whole, in as many
//! statements as it has kinds of columns, whatever the number of tenants.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::TenantId;
use tamiz_core::quota::EffectiveQuota;
use tamiz_store::quota::limits;
use tamiz_store::{alert, tenant};

use super::alert_page::trend_days;
use super::connection::{Asked, Listed, connection, decode, encode};
use super::id::id_of;
use super::plan::Plan;
use super::principal::OperatorSession;
use super::scalars::Date;
use super::session::Session;
use super::top_rule::{TopRule, top_rules_of_tenant};
use super::usage::QuotaLimit;
use super::words::{AlertStateName, BigInt, Severity, SeverityCounts};
use crate::api::errors::ApiError;

const ORDER: &str = "tenants";

/// A customer, whose rows no other one sees.
#[derive(Clone)]
pub(crate) struct Tenant {
    id: TenantId,
    name: String,
    /// What an operator's page has read; a tenant's own token reads when it asks.
    seen: Option<Arc<Seen>>,
}

/// What an operator sees of a tenant.
struct Seen {
    created_at: DateTime<Utc>,
    plan: Option<Plan>,
    limits: Vec<QuotaLimit>,
}

impl Tenant {
    /// The caller's own.
    pub(super) fn own(session: &Session) -> Self {
        Self {
            id: session.caller.scope.tenant_id(),
            name: session.caller.tenant_name.clone(),
            seen: None,
        }
    }
}

/// A customer, whose rows no other one sees.
#[Object]
impl Tenant {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.id)
    }

    /// Unique on the platform.
    async fn name(&self) -> &str {
        &self.name
    }

    /// When it came.
    async fn created_at(&self, context: &Context<'_>) -> Result<Option<DateTime<Utc>>, ApiError> {
        if let Some(seen) = &self.seen {
            return Ok(Some(seen.created_at));
        }
        let session = Session::of(context)?;
        let fetch = async |_: Vec<()>| {
            let own = session.read(|tx| Box::pin(tenant::own(tx))).await?;
            Ok(own.into_iter().map(|row| ((), Arc::new(row))).collect())
        };
        let own = session.batches().own_tenant.load((), fetch).await?;
        Ok(own.map(|own| own.created_at))
    }

    /// What it may use, by its plan.
    async fn plan(&self, context: &Context<'_>) -> Result<Option<Plan>, ApiError> {
        match &self.seen {
            Some(seen) => Ok(seen.plan.clone()),
            None => Plan::own(Session::of(context)?).await.map(Some),
        }
    }

    /// The limits that hold, by name, and who says so.
    async fn limits(&self, context: &Context<'_>) -> Result<Vec<QuotaLimit>, ApiError> {
        if let Some(seen) = &self.seen {
            return Ok(seen.limits.clone());
        }
        let session = Session::of(context)?;
        let limits = session.read(|tx| Box::pin(limits::of_own_tenant(tx))).await?;
        Ok(QuotaLimit::all_of(&limits))
    }

    /// Open alerts of all its projects by severity, from counters. For its own tokens.
    async fn severity_counts(&self, context: &Context<'_>) -> Result<SeverityCounts, ApiError> {
        let counts = Session::of(context)?.alert_counts_of_tenant().await?;
        Ok(SeverityCounts::of_open(counts.iter().copied()))
    }

    /// The rules with the most open alerts in all its projects together, most first, from counters. For its own tokens.
    async fn top_rules(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "1 to 100.", default = 10)] first: i32,
    ) -> Result<Vec<TopRule>, ApiError> {
        top_rules_of_tenant(Session::of(context)?, first).await
    }

    /// Alerts of all its projects by state and severity; what there is none of is left out. For its own tokens.
    async fn alert_counts(&self, context: &Context<'_>) -> Result<Vec<TenantAlertCount>, ApiError> {
        let counts = Session::of(context)?.alert_counts_of_tenant().await?;
        let counts = counts.iter().map(|(state, severity, alerts)| TenantAlertCount {
            state: (*state).into(),
            severity: (*severity).into(),
            count: BigInt(*alerts),
        });
        Ok(counts.collect())
    }

    /// What happened to alerts of all its projects in the last days, today among them, the oldest first; days and
    /// severities without changes are left out. For its own tokens.
    async fn trend(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "1 to 366.", default = 30)] days: i32,
    ) -> Result<Vec<TenantAlertDay>, ApiError> {
        let session = Session::of(context)?;
        let days = trend_days(days)?;
        let trend = session
            .read(|tx| Box::pin(alert::trend_of_tenant(tx, days)))
            .await?;
        Ok(trend.into_iter().map(TenantAlertDay::from).collect())
    }
}

/// How many alerts of a state and severity a tenant has.
#[derive(SimpleObject, Clone, Copy)]
pub(crate) struct TenantAlertCount {
    /// Where they stand.
    state: AlertStateName,
    /// How bad they are.
    severity: Severity,
    /// Never 0: what there is none of is left out.
    count: BigInt,
}

/// What happened to a tenant's alerts of one severity on one day, in UTC.
#[derive(SimpleObject, Clone, Copy)]
pub(crate) struct TenantAlertDay {
    /// The day, in UTC.
    day: Date,
    /// How bad they are.
    severity: Severity,
    /// Alerts that nobody knew.
    opened: BigInt,
    /// Alerts that were gone.
    fixed: BigInt,
    /// Alerts that came back, by themselves or because somebody wanted it.
    reopened: BigInt,
    /// Alerts that somebody decided not to act on.
    dismissed: BigInt,
}

impl From<alert::TenantAlertDay> for TenantAlertDay {
    fn from(day: alert::TenantAlertDay) -> Self {
        Self {
            day: Date(day.day),
            severity: day.severity.into(),
            opened: BigInt(day.opened),
            fixed: BigInt(day.fixed),
            reopened: BigInt(day.reopened),
            dismissed: BigInt(day.dismissed),
        }
    }
}

connection!(
    /// A page of tenants.
    TenantConnection, TenantEdge, Tenant
);

impl TenantConnection {
    pub(super) async fn page(context: &Context<'_>, asked: &Asked) -> Result<Self, ApiError> {
        let session = OperatorSession::of(context)?;
        let rows_max = session.state.settings.graphql_page_max;
        let window = asked.window_of(rows_max, |cursor| decode(ORDER, cursor))?;
        let plans = Plan::all(context).await?;
        let mut tx = session.begin().await?;
        let page = tenant::page(&mut tx, &window).await;
        let page = page.map_err(|error| ApiError::of_store(&error))?;
        let ids: Vec<TenantId> = page.rows.iter().map(|row| row.id).collect();
        let limits = limits::of_tenants(&mut tx, &ids).await;
        let limits = limits.map_err(|error| ApiError::of_store(&error))?;
        let node = |row| seen(row, &plans, &limits);
        Ok(Self {
            listed: Listed::of(page, node, |node: &Tenant| encode(ORDER, &node.name)),
        })
    }
}

fn seen(row: tenant::Tenant, plans: &[Plan], limits: &HashMap<TenantId, EffectiveQuota>) -> Tenant {
    let seen = Seen {
        created_at: row.created_at,
        plan: plans.iter().find(|plan| plan.name == row.plan).cloned(),
        limits: limits.get(&row.id).map(QuotaLimit::all_of).unwrap_or_default(),
    };
    Tenant {
        id: row.id,
        name: row.name,
        seen: Some(Arc::new(seen)),
    }
}
