//! The rules that give people most to do: of a project, and of all projects of a tenant. Read from counters.

use std::collections::HashMap;

use async_graphql::SimpleObject;
use tamiz_core::{ProjectId, Refusal};
use tamiz_store::alert::{self, RuleCount, TOP_RULES_MAX};

use super::connection::limit_of;
use super::session::Session;
use super::task_page::by;
use super::words::BigInt;
use crate::api::errors::ApiError;

/// A rule of a tool, and how many open alerts there are of it.
#[derive(SimpleObject, Debug, Clone)]
pub(crate) struct TopRule {
    /// The tool, as `AlertFilter.tool` takes it.
    tool: String,
    /// The rule's id, as `AlertFilter.rule` takes it.
    rule_id: String,
    /// Open and reopened alerts; never 0.
    open_alerts: BigInt,
}

impl From<RuleCount> for TopRule {
    fn from(count: RuleCount) -> Self {
        Self {
            tool: count.tool,
            rule_id: count.rule,
            open_alerts: BigInt(count.alerts),
        }
    }
}

/// So many rules, if an answer may have them.
fn rules_max(first: i32) -> Result<u32, Refusal> {
    Ok(limit_of(TOP_RULES_MAX as usize, "first", Some(first))?.get())
}

/// Those of a project.
pub(super) async fn top_rules_of(
    session: &Session,
    project: ProjectId,
    first: i32,
) -> Result<Vec<TopRule>, ApiError> {
    let rules_max = rules_max(first)?;
    let fetch = async |keys: Vec<(ProjectId, u32)>| {
        let mut found: HashMap<(ProjectId, u32), Vec<TopRule>> = HashMap::new();
        for (rules_max, projects) in by(keys, |(project, rules_max)| (rules_max, project)) {
            let rows = session
                .read(|tx| Box::pin(async move { alert::top_rules(tx, &projects, rules_max).await }))
                .await?;
            for (project, count) in rows {
                found.entry((project, rules_max)).or_default().push(count.into());
            }
        }
        Ok(found)
    };
    let top = session
        .batches()
        .top_rules_of
        .load((project, rules_max), fetch)
        .await?;
    Ok(top.unwrap_or_default())
}

/// Those of all projects of the caller's tenant together.
pub(super) async fn top_rules_of_tenant(session: &Session, first: i32) -> Result<Vec<TopRule>, ApiError> {
    let rules_max = rules_max(first)?;
    let top = session
        .read(|tx| Box::pin(alert::top_rules_of_tenant(tx, rules_max)))
        .await?;
    Ok(top.into_iter().map(TopRule::from).collect())
}
