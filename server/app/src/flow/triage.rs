//! What people decide about alerts: dismiss, reopen, set severity, assign, comment, set when they are due.
//!
//! All of one request or none: the alerts are of one project, which is held from the first look to the commit. What is
//! decided already changes nothing and makes no event.
//!
//! Not here: what a decision makes of an alert (`tamiz_store::alert::triage`), and the end of an acceptance (a sweep).

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Days, NaiveDate, Utc};
use tamiz_core::{AlertId, DismissalReason, ProjectId, Refusal, RefusalCode};
use tamiz_store::alert::triage::{self, ALERTS_MAX, Decision, MATCHED_MAX};
use tamiz_store::alert::{AlertFilter, hold_project, ids_under};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx, project};

use super::{FlowError, label};

/// A comment, in characters: a few paragraphs.
pub const COMMENT_CHARACTERS_MAX: usize = 10_000;
/// The name of whoever shall act, in characters.
pub const ASSIGNEE_CHARACTERS_MAX: usize = 200;
/// How far away the end of an acceptance or a due day may be: ten years.
const DAYS_AHEAD_MAX: u64 = 3_653;

/// What became of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The alerts, each once, in the order in which they were named, or of their ids.
    pub alerts: Vec<AlertId>,
    /// How many they are.
    pub matched: u32,
    /// How many of them are otherwise than before.
    pub changed: u32,
}

/// A decision with its texts and times as they came.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Not to act.
    Dismiss {
        /// Why.
        reason: DismissalReason,
        /// In words.
        comment: Option<String>,
        /// Until when, of an accepted risk.
        until: Option<DateTime<Utc>>,
    },
    /// To take a dismissal back, with words.
    Reopen(Option<String>),
    /// Another severity than the tool's, or the tool's again.
    SetSeverity(Option<tamiz_core::Severity>),
    /// Who shall act.
    Assign(Option<String>),
    /// Words alone.
    Comment(String),
    /// Until which day.
    SetDue(Option<NaiveDate>),
}

impl Wish {
    /// What is decided, if it keeps the rules.
    fn decision(self, now: DateTime<Utc>) -> Result<Decision, Refusal> {
        Ok(match self {
            Self::Dismiss {
                reason,
                comment,
                until,
            } => Decision::Dismiss {
                reason,
                until: end(reason, until, now)?,
                comment: words(comment)?,
            },
            Self::Reopen(comment) => Decision::Reopen {
                comment: words(comment)?,
            },
            Self::SetSeverity(severity) => Decision::SetSeverity(severity),
            Self::Assign(assignee) => {
                let name =
                    assignee.map(|name| label("assignee", &name, ASSIGNEE_CHARACTERS_MAX).map(str::to_owned));
                Decision::Assign(name.transpose()?)
            }
            Self::Comment(comment) => Decision::Comment(text("comment", &comment)?),
            Self::SetDue(due_on) => {
                if let Some(day) = due_on {
                    may_be_due(day, now.date_naive())?;
                }
                Decision::SetDue(due_on)
            }
        })
    }
}

/// When a dismissal ends, if it may, as the database keeps it.
pub(super) fn end(
    reason: DismissalReason,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(until) = until else {
        return Ok(None);
    };
    if reason != DismissalReason::AcceptedRisk {
        return Err(Refusal::invalid("until", "is only for ACCEPTED_RISK"));
    }
    if until <= now {
        return Err(Refusal::invalid("until", "must be in the future"));
    }
    if until > now + Days::new(DAYS_AHEAD_MAX) {
        return Err(Refusal::invalid("until", "must be within ten years"));
    }
    let kept = DateTime::from_timestamp_micros(until.timestamp_micros());
    Ok(Some(kept.unwrap_or(until)))
}

fn may_be_due(day: NaiveDate, today: NaiveDate) -> Result<(), Refusal> {
    let (first, last) = (
        today.checked_sub_days(Days::new(DAYS_AHEAD_MAX)),
        today.checked_add_days(Days::new(DAYS_AHEAD_MAX)),
    );
    if first.is_some_and(|first| day < first) || last.is_some_and(|last| day > last) {
        return Err(Refusal::invalid("dueOn", "must be within ten years of today"));
    }
    Ok(())
}

pub(super) fn words(comment: Option<String>) -> Result<Option<String>, Refusal> {
    let comment = comment.filter(|comment| !comment.trim().is_empty());
    comment.map(|comment| text("comment", &comment)).transpose()
}

/// Text of several lines.
fn text(field: &str, text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    let count = text.chars().count();
    if count == 0 || count > COMMENT_CHARACTERS_MAX {
        let rule = format_args!("must have 1 to {COMMENT_CHARACTERS_MAX} characters, has {count}");
        return Err(Refusal::invalid(field, rule));
    }
    let is_odd = |character: char| character.is_control() && !matches!(character, '\n' | '\t' | '\r');
    if text.chars().any(is_odd) {
        return Err(Refusal::invalid(
            field,
            "must not have control characters but line ends and tabs",
        ));
    }
    Ok(text.to_owned())
}

/// The alerts of a decision.
#[derive(Debug, Clone)]
pub enum Chosen {
    /// These, of one project.
    Ids(Vec<AlertId>),
    /// All of a project that fit.
    Matching {
        /// Which project.
        project: ProjectId,
        /// Which alerts.
        filter: Box<AlertFilter>,
        /// How many the asker believes that they are.
        expected: Option<u32>,
    },
}

/// Decides on the alerts, all of them or none. A dry run says what would become of them and writes nothing.
///
/// # Errors
/// Refused when the role is below analyst, an alert or the project is not there, the alerts are of several projects, too
/// many or not as many as expected, or an input breaks its rule.
pub async fn decide(
    store: &Store,
    caller: &Caller,
    chosen: Chosen,
    wish: Wish,
    dry_run: bool,
) -> Result<Decided, FlowError> {
    super::require(caller, Role::Analyst)?;
    let decision = wish.decision(Utc::now())?;
    let mut tx = store.begin(&caller.scope).await?;
    let (project, alerts) = match chosen {
        Chosen::Ids(alerts) => {
            let named = each_once(&alerts)?;
            let project = project_of(&mut tx, &named).await?;
            hold_project(&mut tx, project).await?;
            (project, named)
        }
        Chosen::Matching {
            project,
            filter,
            expected,
        } => {
            known(&mut tx, project).await?;
            hold_project(&mut tx, project).await?;
            let found = matching(&mut tx, project, &filter, expected).await?;
            (project, found)
        }
    };
    let ids = alerts.iter().copied().collect();
    let (standings, moment) = triage::read(&mut tx, project, &ids, &caller.token_name).await?;
    let changes: Vec<_> = standings
        .iter()
        .filter_map(|alert| decision.on(alert, moment))
        .collect();
    if !dry_run {
        triage::write(&mut tx, project, moment, &changes).await?;
        tx.commit().await?;
    }
    Ok(Decided {
        matched: u32::try_from(alerts.len()).unwrap_or(u32::MAX),
        alerts,
        changed: u32::try_from(changes.len()).unwrap_or(u32::MAX),
    })
}

async fn known(tx: &mut TenantTx, id: ProjectId) -> Result<(), FlowError> {
    if project::get(tx, id).await?.is_some() {
        return Ok(());
    }
    let path = ["input", "alerts", "matching", "projectId"];
    Err(Refusal::not_found("project", id).at(&path).into())
}

/// The alerts of the project that fit, in order of their ids. The project is held, so none comes or goes.
async fn matching(
    tx: &mut TenantTx,
    project: ProjectId,
    filter: &AlertFilter,
    expected: Option<u32>,
) -> Result<Vec<AlertId>, FlowError> {
    let probe = i64::try_from(MATCHED_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let mut found = ids_under(tx, project, filter, probe).await?;
    if found.len() > MATCHED_MAX {
        let message = format!("more than {MATCHED_MAX} alerts fit: narrow the filter, and go on in parts");
        let refusal = Refusal::new(RefusalCode::InvalidInput, message);
        return Err(refusal.at(&["input", "alerts", "matching", "filter"]).into());
    }
    if let Some(expected) = expected.filter(|expected| found.len() != *expected as usize) {
        let message = format!("{} alerts fit, not {expected}: look again", found.len());
        let refusal = Refusal::new(RefusalCode::WrongState, message);
        let path = ["input", "alerts", "matching", "expectedCount"];
        return Err(refusal.at(&path).into());
    }
    found.sort_unstable();
    Ok(found)
}

fn each_once(alerts: &[AlertId]) -> Result<Vec<AlertId>, Refusal> {
    if alerts.is_empty() || alerts.len() > ALERTS_MAX {
        let rule = format_args!("must name 1 to {ALERTS_MAX} alerts, names {}", alerts.len());
        return Err(Refusal::invalid("alertIds", rule));
    }
    let mut seen = BTreeSet::new();
    Ok(alerts.iter().copied().filter(|id| seen.insert(*id)).collect())
}

/// The one project of the alerts. An alert stays in its project and is never deleted alone, so what is found here is
/// there when the project is held.
async fn project_of(tx: &mut TenantTx, alerts: &[AlertId]) -> Result<ProjectId, FlowError> {
    let found: HashMap<AlertId, ProjectId> = triage::projects_of(tx, alerts).await?.into_iter().collect();
    if let Some(unknown) = alerts.iter().find(|alert| !found.contains_key(alert)) {
        let refusal = Refusal::not_found("alert", unknown);
        return Err(refusal.at(&["input", "alertIds"]).into());
    }
    let projects: BTreeSet<ProjectId> = found.into_values().collect();
    match projects.first() {
        Some(project) if projects.len() == 1 => Ok(*project),
        _ => {
            let rule = format_args!("must be of one project, are of {}", projects.len());
            Err(Refusal::invalid("alertIds", rule).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn refused(wish: Wish) -> Option<String> {
        wish.decision(Utc::now())
            .err()
            .map(|refusal| refusal.path.join("."))
    }

    #[test]
    fn an_acceptance_alone_may_end_and_only_within_ten_years() {
        let dismiss = |reason, days| {
            let until = Utc::now() + TimeDelta::days(days);
            refused(Wish::Dismiss {
                reason,
                comment: None,
                until: Some(until),
            })
        };
        let path = Some("input.until".to_owned());
        assert_eq!(dismiss(DismissalReason::AcceptedRisk, 90), None);
        assert_eq!(dismiss(DismissalReason::AcceptedRisk, -1), path);
        assert_eq!(dismiss(DismissalReason::AcceptedRisk, 3_700), path);
        assert_eq!(dismiss(DismissalReason::WontFix, 90), path);
    }

    #[test]
    fn texts_and_days_have_their_bounds() {
        let long = "x".repeat(COMMENT_CHARACTERS_MAX + 1);
        for (wish, path) in [
            (Wish::Comment("two\nlines".into()), None),
            (Wish::Comment("  ".into()), Some("input.comment")),
            (Wish::Comment("a\u{1b}[31m".into()), Some("input.comment")),
            (Wish::Reopen(Some(long)), Some("input.comment")),
            (Wish::Reopen(Some(" ".into())), None),
            (Wish::Assign(Some("x".repeat(201))), Some("input.assignee")),
            (Wish::Assign(None), None),
            (
                Wish::SetDue(NaiveDate::from_ymd_opt(2999, 1, 1)),
                Some("input.dueOn"),
            ),
        ] {
            assert_eq!(refused(wish.clone()).as_deref(), path, "{wish:?}");
        }
    }

    #[test]
    fn alerts_are_named_once_and_not_too_many() {
        let (one, other) = (AlertId::fresh(), AlertId::fresh());
        assert_eq!(each_once(&[other, one, other]), Ok(vec![other, one]));
        for alerts in [Vec::new(), vec![one; ALERTS_MAX + 1]] {
            assert_eq!(each_once(&alerts).unwrap_err().path, ["input", "alertIds"]);
        }
    }
}
