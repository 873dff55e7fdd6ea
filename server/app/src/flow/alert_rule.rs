//! Rules that act on a project's alerts by themselves: previewed, made, changed, taken away, and let act on what is
//! there. What they do: [`super::apply_rules`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use tamiz_core::alert_rule::{Action, BadCondition, Conditions, Matcher, RULES_MAX};
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::{AlertId, AlertRuleId, AlertState, ProjectId, Refusal, Severity};
use tamiz_store::alert::hold_project;
use tamiz_store::alert::rule::alerts::{self, ALERTS_AT_ONCE, Candidate, Position};
use tamiz_store::alert::rule::{self, AlertRule, RulePlan, SavedRule};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx, audit};

use super::triage::{end, words};
use super::{FlowError, apply_rules, known_project, label, require, within};

/// The last place that a rule may have.
const POSITION_MAX: i32 = 10_000;
/// Parts of [`ALERTS_AT_ONCE`] alerts that one request looks at: 100,000 alerts, some seconds.
const PARTS_PER_REQUEST: usize = 20;
/// Alerts that a preview shows.
pub const PREVIEWED_MAX: usize = 20;

/// A rule as it is asked for.
#[derive(Debug, Clone)]
pub struct RuleWish {
    /// Unique in the project.
    pub name: String,
    /// Rules are asked in this order.
    pub position: i32,
    /// Whether it acts.
    pub enabled: bool,
    /// On which alerts.
    pub conditions: Conditions,
    /// What it does.
    pub action: Action,
}

impl RuleWish {
    fn plan(self) -> Result<RulePlan, Refusal> {
        within("position", self.position, 0..=POSITION_MAX)?;
        Ok(RulePlan {
            name: label("name", &self.name, NAME_CHARACTERS_MAX)?.to_owned(),
            position: i16::try_from(self.position).unwrap_or(i16::MAX),
            enabled: self.enabled,
            conditions: asked(self.conditions)?.0,
            action: action(self.action, Utc::now())?,
        })
    }
}

/// The conditions, with tools as they are stored, and ready.
fn asked(conditions: Conditions) -> Result<(Conditions, Matcher), Refusal> {
    let tools = conditions.tools.iter().map(|tool| tool.trim().to_lowercase());
    let conditions = Conditions {
        tools: tools.collect(),
        ..conditions
    };
    let refused = |bad: BadCondition| {
        let refusal = Refusal::invalid(bad.field, &bad.problem);
        match bad.field {
            "conditions" => refusal,
            field => refusal.at(&["input", "conditions", field]),
        }
    };
    let matcher = Matcher::new(conditions.clone()).map_err(refused)?;
    Ok((conditions, matcher))
}

fn action(action: Action, now: DateTime<Utc>) -> Result<Action, Refusal> {
    match action {
        Action::Dismiss {
            reason,
            comment,
            until,
        } => {
            let place = |field| move |refusal: Refusal| refusal.at(&["input", "action", "dismiss", field]);
            Ok(Action::Dismiss {
                reason,
                until: end(reason, until, now).map_err(place("until"))?,
                comment: words(comment).map_err(place("comment"))?,
            })
        }
        rated @ Action::SetSeverity { .. } => Ok(rated),
    }
}

/// What a rule would do to the alerts that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// Alerts that its conditions fit, by state and severity.
    pub fitting: BTreeMap<(AlertState, Severity), u32>,
    /// Of these, those that a rule leaves alone because a person has decided.
    pub decided: u32,
    /// The first of them, the reopened ones before, the worst first.
    pub first: Vec<AlertId>,
    /// How many open alerts were looked at.
    pub looked_at: u32,
    /// Whether those were all.
    pub is_whole: bool,
}

/// Which open alerts of a project conditions fit. Nothing is written.
///
/// # Errors
/// Refused when the role is below analyst, the project is not there or a condition cannot be.
pub async fn preview(
    store: &Store,
    caller: &Caller,
    project: ProjectId,
    conditions: Conditions,
    action: &Action,
) -> Result<Preview, FlowError> {
    require(caller, Role::Analyst)?;
    let (_, matcher) = asked(conditions)?;
    let mut preview = Preview::default();
    let mut after = Position::START;
    for _ in 0..PARTS_PER_REQUEST {
        let mut tx = store.begin(&caller.scope).await?;
        known_project(&mut tx, project).await?;
        let candidates = alerts::open_after(&mut tx, project, after).await?;
        preview.looked_at += u32::try_from(candidates.len()).unwrap_or(0);
        let fitting = candidates.iter().filter(|alert| matcher.fits(&alert.subject()));
        let fitting: Vec<_> = fitting.collect();
        let ids: Vec<AlertId> = fitting.iter().map(|alert| alert.id).collect();
        let decided = alerts::decided_by_people(&mut tx, &ids).await?;
        tx.commit().await?;
        let decided = match action {
            Action::Dismiss { .. } => decided.dismissal.len(),
            Action::SetSeverity { .. } => decided.severity.len(),
        };
        preview.decided += u32::try_from(decided).unwrap_or(0);
        for alert in &fitting {
            *preview.fitting.entry((alert.state, alert.severity)).or_default() += 1;
        }
        let room = PREVIEWED_MAX - preview.first.len();
        preview.first.extend(ids.into_iter().take(room));
        match candidates.last() {
            Some(last) if candidates.len() == ALERTS_AT_ONCE => after = last.position(),
            _ => {
                preview.is_whole = true;
                break;
            }
        }
    }
    Ok(preview)
}

/// Makes a rule; it acts on what imports find from now on.
///
/// # Errors
/// Refused when the role is below admin, the project is not there, the name is taken, a condition or the action cannot
/// be, or the project has as many rules as it may.
pub async fn create(
    store: &Store,
    caller: &Caller,
    project: ProjectId,
    wish: RuleWish,
) -> Result<AlertRule, FlowError> {
    require(caller, Role::Admin)?;
    let plan = wish.plan()?;
    let mut tx = store.begin(&caller.scope).await?;
    known_project(&mut tx, project).await?;
    hold_project(&mut tx, project).await?;
    let rule = rule::create(&mut tx, project, &plan, &caller.token_name).await?;
    let rule = saved(rule, None)?;
    note(&mut tx, caller, "alert_rule.created", &rule).await?;
    tx.commit().await?;
    Ok(rule)
}

/// Replaces all that people say of a rule; what it did stays.
///
/// # Errors
/// As [`create`], and when it is not there.
pub async fn update(
    store: &Store,
    caller: &Caller,
    id: AlertRuleId,
    wish: RuleWish,
) -> Result<AlertRule, FlowError> {
    require(caller, Role::Admin)?;
    let plan = wish.plan()?;
    let mut tx = store.begin(&caller.scope).await?;
    held(&mut tx, id).await?;
    let rule = rule::update(&mut tx, id, &plan, &caller.token_name).await?;
    let rule = saved(rule, Some(id))?;
    note(&mut tx, caller, "alert_rule.updated", &rule).await?;
    tx.commit().await?;
    Ok(rule)
}

/// Takes a rule away. What it did stays.
///
/// # Errors
/// Refused when the role is below admin or it is not there.
pub async fn delete(store: &Store, caller: &Caller, id: AlertRuleId) -> Result<AlertRule, FlowError> {
    require(caller, Role::Admin)?;
    let mut tx = store.begin(&caller.scope).await?;
    let known = held(&mut tx, id).await?;
    if !rule::delete(&mut tx, id).await? {
        return Err(absent(id).into());
    }
    note(&mut tx, caller, "alert_rule.deleted", &known).await?;
    tx.commit().await?;
    Ok(known)
}

/// How far a rule has come over alerts that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The rule.
    pub rule: AlertRule,
    /// Alerts that are otherwise than before.
    pub changed: u32,
    /// Where the next request goes on; none when all were looked at.
    pub next: Option<Position>,
}

/// Lets a rule act on the open alerts that are there, from a position on, some 100,000 in one request, in transactions
/// of their own. Done again it changes nothing. A rule that stands before it acts instead of it, as after an import.
///
/// # Errors
/// Refused when the role is below admin or the rule is not there.
pub async fn apply(
    store: &Store,
    caller: &Caller,
    id: AlertRuleId,
    after: Position,
) -> Result<Applied, FlowError> {
    require(caller, Role::Admin)?;
    let (mut changed, mut after, mut part) = (0, after, 1);
    loop {
        let mut tx = store.begin(&caller.scope).await?;
        let rule = held(&mut tx, id).await?;
        let book = apply_rules::book(&mut tx, rule.project).await?;
        let candidates = alerts::open_after(&mut tx, rule.project, after).await?;
        changed += apply_rules::act(&mut tx, rule.project, &book, &candidates, Some(id)).await?;
        tx.commit().await?;
        let last = candidates.last().filter(|_| candidates.len() == ALERTS_AT_ONCE);
        let next = last.map(Candidate::position);
        match next {
            Some(next) if part < PARTS_PER_REQUEST => (after, part) = (next, part + 1),
            _ => {
                let changed = u32::try_from(changed).unwrap_or(u32::MAX);
                return Ok(Applied { rule, changed, next });
            }
        }
    }
}

/// The rule, with its project held.
async fn held(tx: &mut TenantTx, id: AlertRuleId) -> Result<AlertRule, FlowError> {
    let rule = rule::get(tx, id).await?.ok_or_else(|| absent(id))?;
    hold_project(tx, rule.project).await?;
    Ok(rule)
}

fn absent(id: AlertRuleId) -> Refusal {
    Refusal::not_found("alert rule", id).at(&["input", "ruleId"])
}

fn saved(saved: SavedRule, id: Option<AlertRuleId>) -> Result<AlertRule, Refusal> {
    match saved {
        SavedRule::Saved(rule) => Ok(*rule),
        SavedRule::NameTaken => Err(Refusal::invalid(
            "name",
            "is taken by another rule of the project",
        )),
        SavedRule::TooMany => Err(Refusal::invalid(
            "projectId",
            format_args!("has {RULES_MAX} rules, which is all that a project may have"),
        )),
        SavedRule::Absent => Err(absent(id.unwrap_or_else(AlertRuleId::fresh))),
    }
}

async fn note(
    tx: &mut TenantTx,
    caller: &Caller,
    action: &'static str,
    rule: &AlertRule,
) -> Result<(), FlowError> {
    let entry = audit::Entry {
        token: Some(caller.token),
        action,
        resource_type: "alert_rule",
        resource_id: Some(&rule.id.to_string()),
        metadata: json!({
            "project": rule.project,
            "name": rule.plan.name,
            "enabled": rule.plan.enabled,
            "conditions": rule.plan.conditions,
            "action": rule.plan.action,
        }),
    };
    Ok(audit::record(tx, &entry).await?)
}

#[cfg(test)]
mod tests {
    use tamiz_core::DismissalReason;

    use super::*;

    fn wish() -> RuleWish {
        RuleWish {
            name: " tests ".into(),
            position: 1,
            enabled: true,
            conditions: Conditions {
                tools: vec![" Semgrep".into()],
                ..Conditions::default()
            },
            action: Action::Dismiss {
                reason: DismissalReason::UsedInTests,
                comment: Some("  ".into()),
                until: None,
            },
        }
    }

    #[test]
    fn a_rule_is_stored_as_tools_are_written() {
        let plan = wish().plan().unwrap();
        assert_eq!(
            (plan.name.as_str(), &plan.conditions.tools[..]),
            ("tests", &["semgrep".to_owned()][..])
        );
        assert!(matches!(plan.action, Action::Dismiss { comment: None, .. }));
    }

    #[test]
    fn a_refusal_names_the_input() {
        let until = Some(Utc::now() + chrono::TimeDelta::days(1));
        let ends = Action::Dismiss {
            reason: DismissalReason::WontFix,
            comment: None,
            until,
        };
        let paths = vec!["[a".to_owned()];
        let bad = Conditions {
            paths,
            ..Conditions::default()
        };
        let none = Conditions::default();
        for (wish, path) in [
            (
                RuleWish {
                    name: String::new(),
                    ..wish()
                },
                "input.name",
            ),
            (
                RuleWish {
                    position: -1,
                    ..wish()
                },
                "input.position",
            ),
            (
                RuleWish {
                    position: 10_001,
                    ..wish()
                },
                "input.position",
            ),
            (
                RuleWish {
                    action: ends,
                    ..wish()
                },
                "input.action.dismiss.until",
            ),
            (
                RuleWish {
                    conditions: bad,
                    ..wish()
                },
                "input.conditions.paths",
            ),
            (
                RuleWish {
                    conditions: none,
                    ..wish()
                },
                "input.conditions",
            ),
        ] {
            let refusal = wish.clone().plan().unwrap_err();
            assert_eq!(refusal.path.join("."), path, "{wish:?}");
        }
    }
}
