//! Which alerts of a project are related ([`tamiz_core::related`]): found by the advisories they name and the places of
//! their weaknesses, and judged by what they say now.
//!
//! Aliases of advisories are a project's own: what a finding tells to be of one flaw is believed in its project alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::types::Json;
use tamiz_core::advisory::Advisory;
use tamiz_core::aliases::{self, Groups};
use tamiz_core::related::{RelatedBy, Traits, is_same_place};
use tamiz_core::{AlertId, Location, ProjectId};
use uuid::Uuid;

use super::ROWS_AT_ONCE;
use crate::error::StoreError;
use crate::finding::array_literal;
use crate::page::PageLimit;
use crate::tenant_tx::TenantTx;

/// Statements that follow aliases of aliases. Tools tell all ids of a flaw at once, so most end after the second.
const ROUNDS_MAX: usize = 4;
/// Ids of one call, with their aliases.
const IDS_MAX: usize = 10_000;

/// One alert beside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Related {
    /// The other.
    pub alert: AlertId,
    /// What they have in common; an advisory, where both.
    pub by: RelatedBy,
}

/// Notes the advisories that alerts name, and which of them are of one flaw. Does nothing where none is named.
pub(super) async fn name_advisories<'a>(
    tx: &mut TenantTx,
    project: ProjectId,
    named: impl Iterator<Item = (AlertId, &'a [Advisory])>,
) -> Result<(), StoreError> {
    let (mut pairs, mut alike) = (BTreeSet::new(), BTreeSet::new());
    for (alert, advisories) in named {
        pairs.extend(advisories.iter().map(|id| (id.as_str(), alert.uuid())));
        if let [first, others @ ..] = aliases::told(advisories) {
            alike.extend(
                others
                    .iter()
                    .flat_map(|id| [(first.as_str(), id.as_str()), (id.as_str(), first.as_str())]),
            );
        }
    }
    let pairs: Vec<(&str, Uuid)> = pairs.into_iter().collect();
    for part in pairs.chunks(ROWS_AT_ONCE) {
        let (ids, alerts): (Vec<&str>, Vec<Uuid>) = part.iter().copied().unzip();
        sqlx::query!(
            "insert into tenant.alert_advisory (tenant_id, project_id, advisory, alert_id)
             select $1, $2, x.advisory, x.alert_id from unnest($3::text[], $4::uuid[]) x(advisory, alert_id)
             on conflict do nothing",
            tx.tenant(),
            project.uuid(),
            &ids as &[&str],
            &alerts
        )
        .execute(tx.connection())
        .await?;
    }
    let alike: Vec<(&str, &str)> = alike.into_iter().collect();
    for part in alike.chunks(ROWS_AT_ONCE) {
        let (ids, aliases): (Vec<&str>, Vec<&str>) = part.iter().copied().unzip();
        sqlx::query!(
            "insert into tenant.advisory_alias (tenant_id, project_id, advisory, alias)
             select $1, $2, x.advisory, x.alias from unnest($3::text[], $4::text[]) x(advisory, alias)
             on conflict do nothing",
            tx.tenant(),
            project.uuid(),
            &ids as &[&str],
            &aliases as &[&str]
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// The ids that the projects' findings tell to be of one flaw with these, project by project. Served by the primary key of
/// `advisory_alias`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn aliases_of(
    tx: &mut TenantTx,
    ids: Vec<(ProjectId, Advisory)>,
) -> Result<HashMap<ProjectId, Groups>, StoreError> {
    let mut groups: HashMap<ProjectId, Groups> = HashMap::new();
    let mut asked: BTreeSet<(ProjectId, Advisory)> = ids.into_iter().take(IDS_MAX).collect();
    let mut next: Vec<(ProjectId, Advisory)> = asked.iter().cloned().collect();
    for _ in 0..ROUNDS_MAX {
        if next.is_empty() || asked.len() > IDS_MAX {
            break;
        }
        let projects: Vec<Uuid> = next.iter().map(|(project, _)| project.uuid()).collect();
        let ids: Vec<&str> = next.iter().map(|(_, id)| id.as_str()).collect();
        let rows = sqlx::query!(
            r#"
            select x.project_id as "project_id!", x.advisory as "advisory!", a.alias
            from unnest($2::uuid[], $3::text[]) x(project_id, advisory)
            cross join lateral (
                select a.alias from tenant.advisory_alias a
                where a.tenant_id = $1 and a.project_id = x.project_id and a.advisory = x.advisory
                order by a.alias limit 100) a
            "#,
            tx.tenant(),
            &projects,
            &ids as &[&str]
        )
        .fetch_all(tx.connection())
        .await?;
        next.clear();
        for row in rows {
            let project = ProjectId::from(row.project_id);
            let (Some(id), Some(alias)) = (Advisory::parse(&row.advisory), Advisory::parse(&row.alias))
            else {
                continue;
            };
            if asked.insert((project, alias.clone())) {
                next.push((project, alias.clone()));
            }
            // there is room: far fewer are asked for
            let _ = groups.entry(project).or_default().join(&[id, alias]);
        }
    }
    Ok(groups)
}

/// An alert, and what it says of itself.
struct One {
    id: Uuid,
    project: ProjectId,
    advisories: Vec<Advisory>,
    cwe: Vec<i32>,
    place: Option<Uuid>,
    location: Option<Location>,
    line: i32,
}

/// The alerts that are related to each of these, those that are open first, then the worst; at most `limit` of each. An
/// alert without one has no entry. Served by the primary key of `alert_advisory` and by
/// `alert_weakness_place_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn related_to(
    tx: &mut TenantTx,
    alerts: &[AlertId],
    limit: PageLimit,
) -> Result<HashMap<AlertId, Vec<Related>>, StoreError> {
    let ones = read(tx, alerts).await?;
    let mut found = Found::default();
    by_advisory(tx, &ones, limit, &mut found).await?;
    by_weakness(tx, &ones, limit, &mut found).await?;
    let related = found.0.into_iter().map(|(alert, others)| {
        let others = others.into_iter().take(limit.get() as usize);
        let others = others.map(|(rank, by)| Related {
            alert: rank.alert.into(),
            by,
        });
        (alert.into(), others.collect())
    });
    Ok(related.collect())
}

/// Who is shown before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    state: i16,
    severity: std::cmp::Reverse<i16>,
    alert: Uuid,
}

/// The others of each alert.
#[derive(Default)]
struct Found(HashMap<Uuid, BTreeMap<Rank, RelatedBy>>);

impl Found {
    /// The first reason stays.
    fn add(&mut self, one: &One, (alert, state, severity): (Uuid, i16, i16), by: RelatedBy) {
        let severity = std::cmp::Reverse(severity);
        let rank = Rank {
            state,
            severity,
            alert,
        };
        self.0.entry(one.id).or_default().entry(rank).or_insert(by);
    }
}

/// What the alerts say now. Served by the primary keys.
async fn read(tx: &mut TenantTx, alerts: &[AlertId]) -> Result<HashMap<Uuid, One>, StoreError> {
    let ids: Vec<Uuid> = alerts.iter().map(|alert| alert.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select a.id, a.project_id, a.weakness_place, c.rule_id, c.cve, c.cwe, c.line,
               c.locations->0 as "location: Json<Location>"
        from tenant.alert a
        join tenant.finding_content c
            on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
        where a.tenant_id = $1 and a.id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    let ones = rows.into_iter().map(|row| {
        let one = One {
            id: row.id,
            project: row.project_id.into(),
            advisories: named(&row.cve, &row.rule_id),
            cwe: row.cwe,
            place: row.weakness_place,
            location: row.location.map(|location| location.0),
            line: row.line.unwrap_or(0),
        };
        (row.id, one)
    });
    Ok(ones.collect())
}

/// The advisories that relate an alert, as [`Traits`] has them.
fn named(cve: &[String], rule: &str) -> Vec<Advisory> {
    Traits::advisories_in(cve.iter().map(String::as_str).chain([rule]))
}

async fn by_advisory(
    tx: &mut TenantTx,
    ones: &HashMap<Uuid, One>,
    limit: PageLimit,
    found: &mut Found,
) -> Result<(), StoreError> {
    let mut asked = Vec::new();
    for one in ones.values() {
        asked.extend(one.advisories.iter().map(|id| (one.project, id.clone())));
    }
    let groups = aliases_of(tx, asked).await?;
    let alone = Groups::default();
    let (mut askers, mut ids): (Vec<&One>, Vec<String>) = (Vec::new(), Vec::new());
    for one in ones.values() {
        let groups = groups.get(&one.project).unwrap_or(&alone);
        let all: BTreeSet<&Advisory> = one.advisories.iter().flat_map(|id| groups.members(id)).collect();
        askers.extend(std::iter::repeat_n(one, all.len()));
        ids.extend(all.into_iter().map(|id| id.as_str().to_owned()));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let of: Vec<Uuid> = askers.iter().map(|one| one.id).collect();
    let projects: Vec<Uuid> = askers.iter().map(|one| one.project.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select x.of as "of!", x.advisory as "advisory!", a.id, a.state, a.severity, a.cve, a.rule_id
        from unnest($2::uuid[], $3::uuid[], $4::text[]) x(of, project_id, advisory)
        cross join lateral (
            select a.id, a.state, a.severity, c.cve, c.rule_id
            from tenant.alert_advisory n
            join tenant.alert a on a.tenant_id = n.tenant_id and a.id = n.alert_id
            join tenant.finding_content c
                on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
            where n.tenant_id = $1 and n.project_id = x.project_id and n.advisory = x.advisory
            order by a.state, a.severity desc, a.id limit $5) a
        "#,
        tx.tenant(),
        &of,
        &projects,
        &ids,
        // one of them may be the alert itself
        limit.probe()
    )
    .fetch_all(tx.connection())
    .await?;
    for row in rows {
        let one = &ones[&row.of];
        let still = named(&row.cve, &row.rule_id);
        if row.id != one.id && still.iter().any(|id| id.as_str() == row.advisory) {
            found.add(one, (row.id, row.state, row.severity), RelatedBy::Advisory);
        }
    }
    Ok(())
}

async fn by_weakness(
    tx: &mut TenantTx,
    ones: &HashMap<Uuid, One>,
    limit: PageLimit,
    found: &mut Found,
) -> Result<(), StoreError> {
    let standing = ones.values().filter_map(|one| Some((one, one.place?)));
    let standing: Vec<(&One, Uuid)> = standing.collect();
    if standing.is_empty() {
        return Ok(());
    }
    let of: Vec<Uuid> = standing.iter().map(|(one, _)| one.id).collect();
    let projects: Vec<Uuid> = standing.iter().map(|(one, _)| one.project.uuid()).collect();
    let places: Vec<Uuid> = standing.iter().map(|(_, place)| *place).collect();
    let lines: Vec<i32> = standing.iter().map(|(one, _)| one.line).collect();
    let weaknesses: Vec<String> = standing
        .iter()
        .map(|(one, _)| array_literal(one.cwe.iter().map(i32::to_string)))
        .collect();
    // the nearest ones: whether they are near enough says the core
    let rows = sqlx::query!(
        r#"
        select x.of as "of!", a.id, a.state, a.severity, a.location as "location: Json<Location>"
        from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $7::text[]) x(of, project_id, place, line, cwe)
        cross join lateral (
            select a.id, a.state, a.severity, c.locations->0 as location
            from tenant.alert a
            join tenant.finding_content c
                on c.tenant_id = a.tenant_id and c.project_id = a.project_id and c.id = a.content_id
            where a.tenant_id = $1 and a.project_id = x.project_id and a.weakness_place = x.place and c.cwe && x.cwe::int[]
            order by abs(coalesce(c.line, 0) - x.line), a.state, a.severity desc, a.id limit $6) a
        "#,
        tx.tenant(),
        &of,
        &projects,
        &places,
        &lines,
        limit.probe(),
        &weaknesses
    )
    .fetch_all(tx.connection())
    .await?;
    for row in rows {
        let one = &ones[&row.of];
        let (Some(here), Some(there)) = (&one.location, &row.location) else {
            continue;
        };
        if row.id != one.id && is_same_place(here, there) {
            found.add(one, (row.id, row.state, row.severity), RelatedBy::Weakness);
        }
    }
    Ok(())
}
