//! What a decision makes of an alert.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};
use tamiz_core::{AlertRuleId, AlertState, Dismissal, DismissalReason, Severity, SlaDays};

use super::Standing;

/// What can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not to act on it.
    Dismiss {
        /// Why.
        reason: DismissalReason,
        /// In words; none keeps those of an earlier dismissal with the same reason.
        comment: Option<String>,
        /// Until when, of an accepted risk.
        until: Option<DateTime<Utc>>,
    },
    /// To take a dismissal back.
    Reopen {
        /// In words.
        comment: Option<String>,
    },
    /// That it is as bad as this; none takes the override back.
    SetSeverity(Option<Severity>),
    /// Who shall act; none takes it from everybody.
    Assign(Option<String>),
    /// To say something.
    Comment(String),
    /// Until which day; none lets it have none until it opens again.
    SetDue(Option<NaiveDate>),
    /// Nothing: the time of its acceptance is over.
    Expire,
}

/// Who decides, when, and what the project promises.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// A token's name, or what of the platform it is.
    pub actor: &'a str,
    /// When.
    pub at: DateTime<Utc>,
    /// Days until alerts are due.
    pub sla: SlaDays,
}

/// How an alert stood, how it stands, and what the event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub(super) before: Standing,
    pub(super) after: Standing,
    pub(super) kind: &'static str,
    pub(super) comment: Option<String>,
    /// The rule that decided, and what it is called; none where it is the moment's actor.
    pub(super) rule: Option<(AlertRuleId, String)>,
}

impl Change {
    /// The same by a rule, called by `actor`.
    #[must_use]
    pub fn by_rule(self, rule: AlertRuleId, actor: String) -> Self {
        let rule = Some((rule, actor));
        Self { rule, ..self }
    }

    /// How the alert stands since.
    pub const fn after(&self) -> &Standing {
        &self.after
    }
}

impl Decision {
    /// What it makes of an alert; `None` when that is what it is already.
    pub fn on(&self, before: &Standing, moment: Moment<'_>) -> Option<Change> {
        let mut after = before.clone();
        let (kind, comment) = match self {
            Self::Dismiss {
                reason,
                comment,
                until,
            } => {
                dismiss(&mut after, (*reason, comment.clone(), *until), moment)?;
                ("dismissed", comment.clone())
            }
            Self::Reopen { comment } => {
                reopen(&mut after, moment)?;
                ("reopened", comment.clone())
            }
            Self::Expire => {
                let until = before.dismissal.as_ref()?.until?;
                if until > moment.at {
                    return None;
                }
                reopen(&mut after, moment)?;
                ("reopened", None)
            }
            Self::SetSeverity(severity) => {
                after.severity_override = *severity;
                after.severity = severity.unwrap_or(before.tool_severity);
                if after.severity != before.severity && after.state.is_open() {
                    after.due_on = moment.sla.due(after.severity, moment.at.date_naive());
                }
                ("severity", None)
            }
            Self::Assign(assignee) => {
                after.assignee.clone_from(assignee);
                ("assigned", None)
            }
            Self::SetDue(due_on) => {
                after.due_on = *due_on;
                ("due", None)
            }
            Self::Comment(comment) => ("commented", Some(comment.clone())),
        };
        if after == *before && kind != "commented" {
            return None;
        }
        Some(Change {
            before: before.clone(),
            after,
            kind,
            comment,
            rule: None,
        })
    }
}

type Said = (DismissalReason, Option<String>, Option<DateTime<Utc>>);

fn dismiss(alert: &mut Standing, (reason, comment, until): Said, moment: Moment<'_>) -> Option<()> {
    let before = alert.dismissal.take();
    let same = before.filter(|before| before.reason == reason && before.until == until);
    if let Some(same) = &same
        && (comment.is_none() || comment == same.comment)
    {
        return None;
    }
    alert.state = AlertState::Dismissed;
    alert.due_on = None;
    alert.dismissal = Some(Dismissal {
        reason,
        comment,
        by: moment.actor.to_owned(),
        at: moment.at,
        until,
    });
    Some(())
}

/// What is not there any more is fixed.
fn reopen(alert: &mut Standing, moment: Moment<'_>) -> Option<()> {
    alert.dismissal.take()?;
    if alert.is_present {
        alert.state = AlertState::Reopened;
        alert.due_on = moment.sla.due(alert.severity, moment.at.date_naive());
    } else {
        alert.state = AlertState::Fixed;
        alert.due_on = None;
    }
    Some(())
}

impl Change {
    /// What differs, before and after, as the event keeps it.
    pub(super) fn told(&self) -> (Value, Value) {
        let (before, after) = (facts(&self.before), facts(&self.after));
        let differs = |name: &String| before.get(name) != after.get(name);
        let only = |facts: &Map<String, Value>| {
            let kept = facts.iter().filter(|(name, _)| differs(name));
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        (only(&before), only(&after))
    }
}

fn facts(alert: &Standing) -> Map<String, Value> {
    let dismissal = alert.dismissal.as_ref();
    let facts = [
        ("state", json!(alert.state)),
        ("severity", json!(alert.severity)),
        ("severityOverride", json!(alert.severity_override)),
        ("reason", json!(dismissal.map(|dismissal| dismissal.reason))),
        ("until", json!(dismissal.and_then(|dismissal| dismissal.until))),
        ("assignee", json!(alert.assignee)),
        ("dueOn", json!(alert.due_on)),
    ];
    facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use tamiz_core::AlertId;
    use uuid::Uuid;

    use super::*;

    fn open() -> Standing {
        Standing {
            id: AlertId::fresh(),
            content: Uuid::nil(),
            state: AlertState::Open,
            severity: Severity::High,
            tool_severity: Severity::High,
            severity_override: None,
            is_present: true,
            dismissal: None,
            assignee: None,
            due_on: None,
        }
    }

    fn moment() -> Moment<'static> {
        Moment {
            actor: "alice",
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            sla: SlaDays {
                critical: Some(7),
                ..SlaDays::default()
            },
        }
    }

    fn accept(until: Option<DateTime<Utc>>) -> Decision {
        Decision::Dismiss {
            reason: DismissalReason::AcceptedRisk,
            comment: None,
            until,
        }
    }

    #[test]
    fn deciding_the_same_again_changes_nothing() {
        for decision in [
            accept(None),
            Decision::SetSeverity(Some(Severity::Low)),
            Decision::Assign(Some("bob".to_owned())),
            Decision::SetDue(Some(moment().at.date_naive())),
        ] {
            let once = decision.on(&open(), moment()).unwrap().after;
            assert_eq!(decision.on(&once, moment()), None, "{decision:?}");
        }
        assert_eq!(Decision::Reopen { comment: None }.on(&open(), moment()), None);
        assert_eq!(Decision::Assign(None).on(&open(), moment()), None);
    }

    #[test]
    fn an_acceptance_can_be_prolonged_and_tells_only_what_differs() {
        let (soon, later) = (moment().at + TimeDelta::days(1), moment().at + TimeDelta::days(9));
        let accepted = accept(Some(soon)).on(&open(), moment()).unwrap().after;
        let prolonged = accept(Some(later)).on(&accepted, moment()).unwrap();
        assert_eq!(
            prolonged.told(),
            (json!({ "until": soon }), json!({ "until": later }))
        );
    }

    #[test]
    fn what_is_reopened_is_fixed_if_it_is_gone() {
        for (is_present, state) in [(true, AlertState::Reopened), (false, AlertState::Fixed)] {
            let alert = Standing { is_present, ..open() };
            let dismissed = accept(None).on(&alert, moment()).unwrap().after;
            assert_eq!(dismissed.state, AlertState::Dismissed);
            let back = Decision::Reopen { comment: None }.on(&dismissed, moment());
            assert_eq!(back.unwrap().after.state, state);
        }
    }

    #[test]
    fn an_acceptance_expires_when_its_time_is_over_and_not_before() {
        for (hours, expires) in [(-1, true), (0, true), (1, false)] {
            let until = moment().at + TimeDelta::hours(hours);
            let accepted = accept(Some(until)).on(&open(), moment()).unwrap().after;
            assert_eq!(
                Decision::Expire.on(&accepted, moment()).is_some(),
                expires,
                "{hours}"
            );
        }
        let for_ever = accept(None).on(&open(), moment()).unwrap().after;
        assert_eq!(Decision::Expire.on(&for_ever, moment()), None);
    }

    #[test]
    fn another_severity_is_due_on_another_day() {
        let worse = Decision::SetSeverity(Some(Severity::Critical)).on(&open(), moment());
        let worse = worse.unwrap().after;
        let week = moment().at.date_naive() + TimeDelta::days(7);
        assert_eq!((worse.severity, worse.due_on), (Severity::Critical, Some(week)));
        let back = Decision::SetSeverity(None).on(&worse, moment()).unwrap().after;
        assert_eq!((back.severity, back.due_on), (Severity::High, None));
    }
}
