//! Pages and counts of projects' alerts: those of many projects in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Enum, InputObject, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::{AlertId, ProjectId, Refusal};
use tamiz_store::alert::{self, AlertPosition, AlertRow, TREND_DAYS_MAX};
use tamiz_store::page::{Page, Window};
use tamiz_store::row_count::RowCount;
use uuid::Uuid;

use super::alert::Alert;
use super::connection::{Asked, Listed, OrderDirection, connection, decode, encode, turned_if};
use super::finding::{askable, texts, words};
use super::scalars::Date;
use super::session::Session;
use super::task_page::by;
use super::words::{AlertStateName, Severity, SeverityCounts};
use crate::api::errors::ApiError;

/// What alerts are sorted by.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AlertOrderField {
    /// How bad it is, then when it was last seen.
    #[default]
    Severity,
    /// When it was last seen, then how bad it is.
    LastSeenAt,
}

/// In which order. Ties are broken by scope and id.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub(crate) struct AlertOrder {
    /// What they are sorted by.
    field: AlertOrderField,
    /// `DESC` if not said.
    direction: Option<OrderDirection>,
}

impl AlertOrder {
    /// What its cursors are bound to.
    const fn label(self) -> &'static str {
        match self.field {
            AlertOrderField::Severity => "alerts/severity_desc",
            AlertOrderField::LastSeenAt => "alerts/last_seen_desc",
        }
    }

    const fn to_store(self) -> alert::AlertOrder {
        match self.field {
            AlertOrderField::Severity => alert::AlertOrder::SeverityDesc,
            AlertOrderField::LastSeenAt => alert::AlertOrder::LastSeenDesc,
        }
    }

    /// Whether the list runs against the store's order.
    const fn is_turned(self) -> bool {
        matches!(self.direction, Some(OrderDirection::Asc))
    }
}

/// Which alerts. Several words of one list mean any of them, several fields all of them.
#[derive(InputObject, Debug, Default)]
pub(crate) struct AlertFilter {
    /// In these states; `OPEN` and `REOPENED` if not said.
    state: Option<Vec<AlertStateName>>,
    /// Of these severities: what a person said, or the tool.
    severity: Option<Vec<Severity>>,
    /// Of these tools.
    tool: Option<Vec<String>>,
    /// Of these rules.
    rule: Option<Vec<String>>,
    /// With one of these CWE numbers.
    cwe: Option<Vec<i32>>,
    /// In this file; a path that ends with `/` means everything below.
    file: Option<String>,
    /// Assigned to exactly this name; an empty one means to nobody.
    assignee: Option<String>,
    /// Last seen by a scan of this branch.
    branch: Option<String>,
    /// Last seen by a scan of this environment.
    environment: Option<String>,
    /// Last seen by a scan of this category.
    category: Option<String>,
    /// Only those that are open after the day on which they were due.
    #[graphql(default)]
    overdue: bool,
}

impl AlertFilter {
    pub(super) fn into_store(self) -> Result<alert::AlertFilter, Refusal> {
        let text = |name: &str, text: Option<String>| text.map(|text| askable(name, text)).transpose();
        let states = words("state", self.state)?;
        let severities = words("severity", self.severity)?;
        Ok(alert::AlertFilter {
            states: states.into_iter().map(Into::into).collect(),
            severities: severities.into_iter().map(Into::into).collect(),
            tools: texts("tool", self.tool)?,
            rules: texts("rule", self.rule)?,
            cwe: words("cwe", self.cwe)?,
            file: text("file", self.file)?,
            assignee: text("assignee", self.assignee)?,
            branch: text("branch", self.branch)?,
            environment: text("environment", self.environment)?,
            category: text("category", self.category)?,
            overdue: self.overdue,
        })
    }
}

/// One page of one project's alerts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AlertPageKey {
    project: ProjectId,
    question: Question,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    filter: alert::AlertFilter,
    order: alert::AlertOrder,
    window: Window<AlertPosition>,
}

/// The count of one project's alerts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AlertsCountKey {
    project: ProjectId,
    filter: alert::AlertFilter,
}

/// Shared rows of a page.
pub(super) type AlertPage = Page<Arc<AlertRow>>;

/// What a cursor holds: severity, when it was last seen, its scope, its id.
#[derive(Serialize, Deserialize)]
struct Key(i16, DateTime<Utc>, Uuid, AlertId);

impl From<AlertPosition> for Key {
    fn from(at: AlertPosition) -> Self {
        Self(at.severity, at.last_seen, at.group, at.id)
    }
}

impl From<Key> for AlertPosition {
    fn from(Key(severity, last_seen, group, id): Key) -> Self {
        Self {
            severity,
            last_seen,
            group,
            id,
        }
    }
}

connection!(
    /// A page of alerts.
    AlertConnection, AlertEdge, Alert,
    /// Without a filter or by `state` and `severity` alone it is exact and cheap, however many they are: counters know it.
    bounded AlertsCountKey
);

impl AlertConnection {
    pub(super) async fn of_project(
        session: &Session,
        project: ProjectId,
        asked: &Asked,
        order: Option<AlertOrder>,
        filter: Option<AlertFilter>,
    ) -> Result<Self, ApiError> {
        let order = order.unwrap_or_default();
        let filter = filter.unwrap_or_default().into_store()?;
        let read = |cursor: &str| decode::<Key>(order.label(), cursor).map(AlertPosition::from);
        let question = Question {
            filter: filter.clone(),
            order: order.to_store(),
            window: turned_if(order.is_turned(), asked.window(session, read)?),
        };
        let key = AlertPageKey { project, question };
        let page = session
            .batches()
            .alert_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        let page = if order.is_turned() { page.turned() } else { page };
        Ok(Self {
            listed: Listed::of(page, Alert, move |node: &Alert| {
                encode(order.label(), Key::from(node.0.position()))
            }),
            counted: AlertsCountKey { project, filter },
        })
    }
}

async fn pages(
    session: &Session,
    keys: Vec<AlertPageKey>,
) -> Result<HashMap<AlertPageKey, Arc<AlertPage>>, ApiError> {
    let mut pages = HashMap::new();
    for (question, projects) in by(keys, |key| (key.question, key.project)) {
        let asked = question.clone();
        let found = session
            .read(|tx| {
                Box::pin(async move {
                    let Question {
                        filter,
                        order,
                        window,
                    } = &asked;
                    alert::pages_of(tx, &projects, filter, *order, window).await
                })
            })
            .await?;
        pages.extend(found.into_iter().map(|(project, page)| {
            let key = AlertPageKey {
                project,
                question: question.clone(),
            };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}

impl AlertsCountKey {
    async fn count(&self, session: &Session) -> Result<RowCount, ApiError> {
        let fetch = async |keys: Vec<Self>| {
            let mut counts = HashMap::new();
            for (filter, projects) in by(keys, |key| (key.filter, key.project)) {
                let asked = filter.clone();
                let found = session
                    .read(|tx| Box::pin(async move { alert::counts_under(tx, &projects, &asked).await }))
                    .await?;
                counts.extend(found.into_iter().map(|(project, count)| {
                    let filter = filter.clone();
                    (Self { project, filter }, count)
                }));
            }
            Ok(counts)
        };
        let counted = session
            .batches()
            .alert_counts_under
            .load(self.clone(), fetch)
            .await?;
        Ok(counted.unwrap_or(RowCount::NONE))
    }
}

/// How many alerts of a state and severity a project has.
#[derive(SimpleObject, Clone, Copy)]
pub(crate) struct AlertCount {
    /// The state that is counted.
    state: AlertStateName,
    /// The severity that is counted.
    severity: Severity,
    /// Never 0: what there is none of is left out.
    count: i32,
}

impl AlertCount {
    pub(super) fn of(state: tamiz_core::AlertState, severity: tamiz_core::Severity, count: u32) -> Self {
        Self {
            state: state.into(),
            severity: severity.into(),
            count: i32::try_from(count).unwrap_or(i32::MAX),
        }
    }
}

/// What happened to a project's alerts of one severity on one day, in UTC.
#[derive(SimpleObject, Clone, Copy)]
pub(crate) struct AlertDay {
    /// The day, in UTC.
    day: Date,
    /// The severity of the alerts that are counted.
    severity: Severity,
    /// Alerts that nobody knew.
    opened: i32,
    /// Alerts that were gone.
    fixed: i32,
    /// Alerts that came back, by themselves or because somebody wanted it.
    reopened: i32,
    /// Alerts that somebody decided not to act on.
    dismissed: i32,
}

impl From<&alert::AlertDay> for AlertDay {
    fn from(day: &alert::AlertDay) -> Self {
        Self {
            day: Date(day.day),
            severity: day.severity.into(),
            opened: day.opened,
            fixed: day.fixed,
            reopened: day.reopened,
            dismissed: day.dismissed,
        }
    }
}

/// Alerts by state and severity.
pub(super) async fn counts_of(session: &Session, project: ProjectId) -> Result<Vec<AlertCount>, ApiError> {
    let fetch = async |projects: Vec<ProjectId>| {
        let rows = session
            .read(|tx| Box::pin(async move { alert::counts(tx, &projects).await }))
            .await?;
        let mut counts: HashMap<ProjectId, Vec<AlertCount>> = HashMap::new();
        for (project, state, severity, count) in rows {
            counts.entry(project).or_default().push(AlertCount {
                state: state.into(),
                severity: severity.into(),
                count,
            });
        }
        Ok(counts)
    };
    Ok(session
        .batches()
        .alert_counts_of
        .load(project, fetch)
        .await?
        .unwrap_or_default())
}

/// Open and reopened alerts by severity.
pub(super) async fn open_counts_of(
    session: &Session,
    project: ProjectId,
) -> Result<SeverityCounts, ApiError> {
    let counts = counts_of(session, project).await?.into_iter();
    Ok(SeverityCounts::of_open(counts.map(|count| {
        (count.state.into(), count.severity.into(), i64::from(count.count))
    })))
}

/// So many days, if a trend may have them.
pub(super) fn trend_days(days: i32) -> Result<u16, Refusal> {
    let days = u16::try_from(days)
        .ok()
        .filter(|days| (1..=TREND_DAYS_MAX).contains(days));
    days.ok_or_else(|| {
        let rule = format_args!("must be 1 to {TREND_DAYS_MAX}");
        Refusal::invalid("days", rule).at(&["days"])
    })
}

/// What happened in the last days.
pub(super) async fn trend_of(
    session: &Session,
    project: ProjectId,
    days: i32,
) -> Result<Vec<AlertDay>, ApiError> {
    let days = trend_days(days)?;
    let fetch = async |keys: Vec<(ProjectId, u16)>| {
        let mut trends: HashMap<(ProjectId, u16), Vec<AlertDay>> = HashMap::new();
        for (days, projects) in by(keys, |(project, days)| (days, project)) {
            let rows = session
                .read(|tx| Box::pin(async move { alert::trend(tx, &projects, days).await }))
                .await?;
            for (project, day) in rows {
                trends.entry((project, days)).or_default().push((&day).into());
            }
        }
        Ok(trends)
    };
    let trend = session
        .batches()
        .alert_trends_of
        .load((project, days), fetch)
        .await?;
    Ok(trend.unwrap_or_default())
}
