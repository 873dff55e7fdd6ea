//! How many open alerts a project has of each rule: gathered while a transaction changes alerts, written when it commits.
//!
//! What an alert shows says which rule it is of, and that may be stored beside the merge, in another transaction. Until
//! the merge commits it is there, so only then contents are looked up; what moved back and forth costs nothing.

use std::collections::HashMap;

use tamiz_core::ProjectId;
use uuid::Uuid;

use super::ROWS_AT_ONCE;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Rules of one answer.
pub const TOP_RULES_MAX: u32 = 100;

/// By how much the open alerts of each content became more or fewer.
#[derive(Debug, Default)]
pub(crate) struct RuleCounts(HashMap<(ProjectId, Uuid), i32>);

impl RuleCounts {
    /// So many open alerts more of the project show this content; fewer, if less than none.
    pub(crate) fn add(&mut self, project: ProjectId, content: Uuid, alerts: i32) {
        *self.0.entry((project, content)).or_default() += alerts;
    }

    /// Alerts showed one content and show the other, and were open or are.
    pub(crate) fn moved(&mut self, project: ProjectId, from: (Uuid, bool), to: (Uuid, bool), alerts: i32) {
        for ((content, is_open), alerts) in [(from, -alerts), (to, alerts)] {
            if is_open {
                self.add(project, content, alerts);
            }
        }
    }

    /// Writes them. The projects are held.
    pub(crate) async fn write(self, tx: &mut TenantTx) -> Result<(), StoreError> {
        let mut projects: HashMap<ProjectId, Vec<(Uuid, i32)>> = HashMap::new();
        for ((project, content), alerts) in self.0.into_iter().filter(|(_, alerts)| *alerts != 0) {
            projects.entry(project).or_default().push((content, alerts));
        }
        for (project, mut contents) in projects {
            contents.sort_unstable();
            let of_rules = by_rule(tx, project, &contents).await?;
            write(tx, project, of_rules).await?;
        }
        Ok(())
    }
}

/// Rules of tools, and by how much their open alerts became more or fewer.
type OfRules = Vec<((String, String), i32)>;

/// Served by the primary key of contents, key by key (see [`super::hold_project`]).
async fn by_rule(
    tx: &mut TenantTx,
    project: ProjectId,
    contents: &[(Uuid, i32)],
) -> Result<OfRules, StoreError> {
    let mut rules: HashMap<(String, String), i32> = HashMap::new();
    for part in contents.chunks(ROWS_AT_ONCE) {
        let (contents, alerts): (Vec<Uuid>, Vec<i32>) = part.iter().copied().unzip();
        let rows = sqlx::query!(
            r#"
            select c.source_tool, c.rule_id, sum(x.alerts)::int as "alerts!"
            from unnest($3::uuid[], $4::int[]) x(content_id, alerts)
            cross join lateral (
                select c.source_tool, c.rule_id from tenant.finding_content c
                where c.tenant_id = $1 and c.project_id = $2 and c.id = x.content_id limit 1) c
            group by c.source_tool, c.rule_id
            "#,
            tx.tenant(),
            project.uuid(),
            &contents,
            &alerts
        )
        .fetch_all(tx.connection())
        .await?;
        for row in rows {
            *rules.entry((row.source_tool, row.rule_id)).or_default() += row.alerts;
        }
    }
    Ok(rules.into_iter().filter(|(_, alerts)| *alerts != 0).collect())
}

async fn write(tx: &mut TenantTx, project: ProjectId, rules: OfRules) -> Result<(), StoreError> {
    for part in rules.chunks(ROWS_AT_ONCE) {
        let tools: Vec<&str> = part.iter().map(|((tool, _), _)| tool.as_str()).collect();
        let names: Vec<&str> = part.iter().map(|((_, rule), _)| rule.as_str()).collect();
        let alerts: Vec<i32> = part.iter().map(|(_, alerts)| *alerts).collect();
        // an upsert would try a row with less than none first
        sqlx::query!(
            r#"
            with change as (
                select * from unnest($3::text[], $4::text[], $5::int[]) x(tool, rule_id, alerts)),
            known as (
                update tenant.alert_rule_count c set alerts = c.alerts + change.alerts from change
                where c.tenant_id = $1 and c.project_id = $2 and c.tool = change.tool and c.rule_id = change.rule_id
                returning c.tool, c.rule_id)
            insert into tenant.alert_rule_count (tenant_id, project_id, tool, rule_id, alerts)
            select $1, $2, tool, rule_id, alerts from change
            where not exists (select from known where known.tool = change.tool and known.rule_id = change.rule_id)
            "#,
            tx.tenant(),
            project.uuid(),
            &tools as &[&str],
            &names as &[&str],
            &alerts
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// A rule of a tool and how many open alerts there are of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCount {
    /// Whose rule.
    pub tool: String,
    /// Its id.
    pub rule: String,
    /// Open and reopened ones.
    pub alerts: i64,
}

/// The `rules_max` rules of each project with the most open alerts, most first. Served by the primary key: what is read
/// are the rules that the project ever had alerts of.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn top_rules(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    rules_max: u32,
) -> Result<Vec<(ProjectId, RuleCount)>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select wanted.project_id as "project_id!", top.tool, top.rule_id, top.alerts::bigint as "alerts!"
        from unnest($2::uuid[]) wanted(project_id)
        cross join lateral (
            select tool, rule_id, alerts from tenant.alert_rule_count
            where tenant_id = $1 and project_id = wanted.project_id and alerts > 0
            order by alerts desc, tool, rule_id limit $3) top
        order by top.alerts desc, top.tool, top.rule_id
        "#,
        tx.tenant(),
        &projects,
        i64::from(rules_max)
    )
    .fetch_all(tx.connection())
    .await?;
    let counted = rows.into_iter().map(|row| {
        let count = RuleCount {
            tool: row.tool,
            rule: row.rule_id,
            alerts: row.alerts,
        };
        (row.project_id.into(), count)
    });
    Ok(counted.collect())
}

/// The same over all projects of the tenant: sums of their counters.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn top_rules_of_tenant(tx: &mut TenantTx, rules_max: u32) -> Result<Vec<RuleCount>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select tool, rule_id, sum(alerts)::bigint as "alerts!" from tenant.alert_rule_count
        where tenant_id = $1 and alerts > 0
        group by tool, rule_id order by 3 desc, tool, rule_id limit $2
        "#,
        tx.tenant(),
        i64::from(rules_max)
    )
    .fetch_all(tx.connection())
    .await?;
    let counted = rows.into_iter().map(|row| RuleCount {
        tool: row.tool,
        rule: row.rule_id,
        alerts: row.alerts,
    });
    Ok(counted.collect())
}
