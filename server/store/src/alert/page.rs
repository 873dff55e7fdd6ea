//! Pages of a project's alerts.
//!
//! An alert that is there has no time of its own: it was last seen when its scope was last scanned, so a scan that
//! finds what the one before found writes no alert. A page goes by *lanes* instead: a severity and a scope, in the
//! order that is asked for, and within a lane by id, which `alert_present_idx` has in order. Alerts that are gone have
//! their time, and `alert_gone_idx` has a lane of them per state and severity. Each lane is read until the page is full
//! and no further.
//!
//! A page costs its rows and one look at the index per lane that is passed: severities times scopes times states. A
//! project with very many scopes (an imported report makes one per host that it names) pays some microseconds for each
//! lane that holds nothing. What the indexes do not know (rule, CWE, file, assignee, overdue) is looked at row by
//! row, so a filter that fits next to nothing reads all alerts of its states and severities.

use std::cmp::Ordering;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::filter::AlertFilter;
use super::read::{AlertRow, WITH_CONTENT, WITH_SCOPE, push_columns};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// In which order. Ties are broken by scope and id, so every order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertOrder {
    /// Worst first, then the last seen.
    SeverityDesc,
    /// The last seen first, then the worst.
    LastSeenDesc,
}

impl AlertOrder {
    /// Of a page's keys; all of them fall.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::SeverityDesc => &["k.severity", "k.last_seen", "k.lane", "k.id"],
            Self::LastSeenDesc => &["k.last_seen", "k.lane", "k.severity", "k.id"],
        }
    }

    /// Of the lanes of what is there.
    const fn lanes(self) -> &'static [&'static str] {
        match self {
            Self::SeverityDesc => &["v.severity", "s.scanned_at", "s.id"],
            Self::LastSeenDesc => &["s.scanned_at", "s.id", "v.severity"],
        }
    }

    /// Of the rows of all lanes.
    const fn rows_of_lanes(self) -> &'static [&'static str] {
        match self {
            Self::SeverityDesc => &["l.severity", "l.scanned_at", "l.id", "k.id"],
            Self::LastSeenDesc => &["l.scanned_at", "l.id", "l.severity", "k.id"],
        }
    }

    /// What of a lane is compared with a position.
    const fn lane_key(self) -> &'static str {
        match self {
            Self::SeverityDesc => "(l.severity, l.scanned_at, l.id)",
            Self::LastSeenDesc => "(l.scanned_at, l.id, l.severity)",
        }
    }
}

/// From which end a list is read.
#[derive(Debug, Clone, Copy)]
struct Way {
    backwards: bool,
}

impl Way {
    fn push_order(self, query: &mut QueryBuilder<Postgres>, columns: &[&str]) {
        let end = if self.backwards { "" } else { " desc" };
        for (index, column) in columns.iter().enumerate() {
            query.push(if index == 0 { " order by " } else { ", " });
            query.push(*column).push(end);
        }
    }

    /// What is still to come stands on this side of where the reading stands.
    const fn beyond(self) -> &'static str {
        if self.backwards { " > " } else { " < " }
    }

    /// The id beyond which all ids lie.
    const fn first_id(self) -> Uuid {
        if self.backwards { Uuid::nil() } else { Uuid::max() }
    }

    /// The id beyond which there is none.
    const fn last_id(self) -> Uuid {
        if self.backwards { Uuid::max() } else { Uuid::nil() }
    }
}

/// Where a page ended: what the next one continues after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AlertPosition {
    /// Of the last row.
    pub severity: i16,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
    /// Its scope while it is there, and nil when it is gone.
    pub group: Uuid,
    /// Of the last row.
    pub id: AlertId,
}

/// The same page of each project; a project without alerts is left out.
///
/// Served by `alert_present_idx` and `alert_gone_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn pages_of(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    filter: &AlertFilter,
    order: AlertOrder,
    window: &Window<AlertPosition>,
) -> Result<HashMap<ProjectId, Page<AlertRow>>, StoreError> {
    let asked = Asked {
        tenant: tx.tenant(),
        filter,
        order,
        window,
    };
    let mut query = QueryBuilder::new("");
    asked.push(&mut query, projects);
    let allowance = tx.allowance();
    let rows = query.build_query_as::<AlertRow>().fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_alert).await?;
    Ok(Page::between_each(
        rows.into_iter().map(|row| (row.project(), row)),
        window,
    ))
}

/// What makes the statement of a page.
pub(super) struct Asked<'a> {
    pub(super) tenant: Uuid,
    pub(super) filter: &'a AlertFilter,
    pub(super) order: AlertOrder,
    pub(super) window: &'a Window<AlertPosition>,
}

impl Asked<'_> {
    const fn way(&self) -> Way {
        Way {
            backwards: self.window.from_end,
        }
    }

    /// Where the reading goes on.
    const fn start(&self) -> Option<&AlertPosition> {
        let window = self.window;
        if window.from_end {
            window.before.as_ref()
        } else {
            window.after.as_ref()
        }
    }

    /// Where it ends.
    const fn end(&self) -> Option<&AlertPosition> {
        let window = self.window;
        if window.from_end {
            window.after.as_ref()
        } else {
            window.before.as_ref()
        }
    }

    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>, projects: &[ProjectId]) {
        let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
        query
            .push("with page as materialized (select k.* from unnest(")
            .push_bind(projects)
            .push("::uuid[]) p(id) cross join lateral (select k.* from (");
        let (present, gone) = (self.filter.present(), self.filter.gone());
        let both = !present.is_empty() && !gone.is_empty();
        if !present.is_empty() {
            self.push_present(query, &present);
        }
        if both {
            query.push(" union all ");
        }
        // a filter that no state fits has a page without rows
        if !gone.is_empty() || present.is_empty() {
            self.push_gone(query, &gone);
        }
        query.push(") k");
        if let Some(end) = self.end() {
            // rows beyond it were read in vain, a page of each lane at most
            query.push(" where (");
            query.push(self.order.columns().join(", ")).push(")");
            query.push(if self.window.from_end { " < " } else { " > " });
            self.push_position(query, end);
        }
        self.way().push_order(query, self.order.columns());
        query.push(" limit ").push_bind(self.window.limit.probe());
        query.push(") k) select ");
        push_columns(query);
        query
            .push(" from page k cross join lateral (select * from tenant.alert a where a.tenant_id = ")
            .push_bind(self.tenant)
            .push(" and a.id = k.id limit 1) a")
            .push(WITH_CONTENT)
            .push(WITH_SCOPE);
        Way { backwards: false }.push_order(query, self.order.columns());
    }

    fn push_position(&self, query: &mut QueryBuilder<Postgres>, at: &AlertPosition) {
        query.push("(");
        match self.order {
            AlertOrder::SeverityDesc => {
                query.push_bind(at.severity).push(", ").push_bind(at.last_seen);
                query.push(", ").push_bind(at.group);
            }
            AlertOrder::LastSeenDesc => {
                query.push_bind(at.last_seen).push(", ").push_bind(at.group);
                query.push(", ").push_bind(at.severity);
            }
        }
        query.push(", ").push_bind(at.id.uuid()).push(")");
    }

    /// Alerts that are there, lane by lane, each by `alert_present_idx`.
    fn push_present(&self, query: &mut QueryBuilder<Postgres>, states: &[i16]) {
        let (order, way) = (self.order, self.way());
        query
            .push("(select k.* from (select v.severity, s.scanned_at, s.id from tenant.scan_scope s cross join unnest(")
            .push_bind(self.filter.severity_ranks())
            .push("::smallint[]) v(severity) where s.tenant_id = ")
            .push_bind(self.tenant)
            .push(" and s.project_id = p.id");
        self.filter.push_scope(query);
        way.push_order(query, order.lanes());
        query.push(") l cross join lateral (select l.severity, l.scanned_at as last_seen, l.id as lane, a.id from unnest(");
        query.push_bind(states.to_vec());
        query.push("::smallint[]) st(state) cross join lateral (select a.id from tenant.alert a");
        self.filter.push_joins(query);
        query.push(" where a.tenant_id = ").push_bind(self.tenant);
        query.push(
            " and a.project_id = p.id and a.state = st.state and a.severity = l.severity and a.scope_id = l.id \
             and a.last_seen_at is null",
        );
        if let Some(start) = self.start() {
            // the lane in which the page ended goes on after its last row
            query.push(" and a.id").push(way.beyond()).push("case when ");
            query.push(order.lane_key()).push(way.beyond());
            self.push_lane_of(query, start);
            query.push(" then ").push_bind(way.first_id()).push(" else ");
            query.push_bind(start.id.uuid()).push(" end");
        }
        self.filter.push_conditions(query);
        way.push_order(query, &["a.id"]);
        query.push(" limit ").push_bind(self.window.limit.probe());
        query.push(") a");
        way.push_order(query, &["a.id"]);
        query.push(" limit ").push_bind(self.window.limit.probe());
        query.push(") k");
        if let Some(start) = self.start() {
            query.push(" where ").push(order.lane_key());
            query.push(if way.backwards { " >= " } else { " <= " });
            self.push_lane_of(query, start);
        }
        way.push_order(query, order.rows_of_lanes());
        query
            .push(" limit ")
            .push_bind(self.window.limit.probe())
            .push(")");
    }

    fn push_lane_of(&self, query: &mut QueryBuilder<Postgres>, at: &AlertPosition) {
        match self.order {
            AlertOrder::SeverityDesc => {
                query.push("(").push_bind(at.severity);
                query.push(", ").push_bind(at.last_seen);
                query.push(", ").push_bind(at.group).push(")");
            }
            AlertOrder::LastSeenDesc => {
                query.push("(").push_bind(at.last_seen);
                query.push(", ").push_bind(at.group);
                query.push(", ").push_bind(at.severity).push(")");
            }
        }
    }

    /// Alerts that are gone, a lane per state and severity, each by `alert_gone_idx`.
    fn push_gone(&self, query: &mut QueryBuilder<Postgres>, states: &[i16]) {
        let (mut severities, mut moments, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for severity in self.filter.severity_ranks() {
            if let Some((before, id)) = self.gone_beyond(severity) {
                severities.push(severity);
                moments.push(before);
                ids.push(id);
            }
        }
        query.push("(select k.* from unnest(").push_bind(severities);
        query.push("::smallint[], ").push_bind(moments);
        query.push("::timestamptz[], ").push_bind(ids);
        query.push("::uuid[]) l(severity, from_at, from_id) cross join unnest(");
        query.push_bind(states.to_vec());
        query.push(
            "::smallint[]) st(state) cross join lateral (select l.severity, a.last_seen_at as last_seen, \
             '00000000-0000-0000-0000-000000000000'::uuid as lane, a.id from tenant.alert a",
        );
        self.filter.push_joins(query);
        if self.filter.asks_of_scope() {
            query.push(WITH_SCOPE);
        }
        query.push(" where a.tenant_id = ").push_bind(self.tenant);
        query.push(
            " and a.project_id = p.id and a.state = st.state and a.severity = l.severity and a.last_seen_at is not null \
             and (a.last_seen_at, a.id)",
        );
        query.push(self.way().beyond()).push("(l.from_at, l.from_id)");
        self.filter.push_scope(query);
        self.filter.push_conditions(query);
        self.way().push_order(query, &["a.last_seen_at", "a.id"]);
        query
            .push(" limit ")
            .push_bind(self.window.limit.probe())
            .push(") k");
        self.way().push_order(query, self.order.columns());
        query
            .push(" limit ")
            .push_bind(self.window.limit.probe())
            .push(")");
    }

    /// Beyond which time and id the gone ones of a severity come; `None` when all of them came already.
    fn gone_beyond(&self, severity: i16) -> Option<(DateTime<Utc>, Uuid)> {
        let way = self.way();
        let all = if way.backwards {
            DateTime::UNIX_EPOCH
        } else {
            far_future()
        };
        let all = (all, way.first_id());
        let Some(start) = self.start() else {
            return Some(all);
        };
        // of the same time those that are there come first in the list
        let rest = match (start.group.is_nil(), way.backwards) {
            (true, _) => start.id.uuid(),
            (false, false) => way.first_id(),
            (false, true) => way.last_id(),
        };
        // severities that come later, seen in the way of reading
        let later = if way.backwards {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        match (self.order, severity.cmp(&start.severity)) {
            (_, Ordering::Equal) => Some((start.last_seen, rest)),
            (AlertOrder::SeverityDesc, side) if side == later => Some(all),
            (AlertOrder::SeverityDesc, _) => None,
            (AlertOrder::LastSeenDesc, side) if side == later => Some((
                start.last_seen,
                if start.group.is_nil() {
                    way.first_id()
                } else {
                    rest
                },
            )),
            (AlertOrder::LastSeenDesc, _) => Some((
                start.last_seen,
                if start.group.is_nil() { way.last_id() } else { rest },
            )),
        }
    }
}

/// The beginning of the year 9999: a time that the database can hold and no alert has.
fn far_future() -> DateTime<Utc> {
    DateTime::from_timestamp(253_370_764_800, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
