//! Lets a project's rules act: on what an import opened, reopened or saw say something else, in the import's own
//! transaction, and on alerts that were there before, when whoever saves a rule asks for it.
//!
//! Rules act on open alerts alone, and a person's decision wins: what a person dismissed or reopened no rule dismisses,
//! and what a person rated no rule rates, ever after.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use tamiz_core::alert_rule::{Action, Chosen, Matcher, ReadyRule, RuleBook};
use tamiz_core::{AlertId, AlertRuleId, ProjectId, TaskId};
use tamiz_store::TenantTx;
use tamiz_store::alert::rule::alerts::{self, ALERTS_AT_ONCE, Candidate, Decided};
use tamiz_store::alert::rule::{self, AlertRule};
use tamiz_store::alert::triage::{self, Change, Decision, Moment, Standing};

use super::FlowError;

/// Lets the project's rules act on what this transaction did to its alerts. The project is held.
///
/// Without rules it is one look at a small table. Statements grow with thousands of alerts, not with alerts.
pub(crate) async fn after_import(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
) -> Result<(), FlowError> {
    let book = book(tx, project).await?;
    if book.rules.is_empty() {
        return Ok(());
    }
    let written = alerts::written_now(tx, project, task).await?;
    for part in written.chunks(ALERTS_AT_ONCE) {
        let candidates = alerts::by_ids(tx, project, part).await?;
        act(tx, project, &book, &candidates, None).await?;
    }
    Ok(())
}

/// The rules of the project that act now.
pub(super) async fn book(tx: &mut TenantTx, project: ProjectId) -> Result<RuleBook, FlowError> {
    let rules = rule::of_projects(tx, &[project]).await?.remove(&project);
    let now = Utc::now();
    let ready = rules.into_iter().flatten().filter_map(|rule| ready(rule, now));
    Ok(RuleBook {
        rules: ready.collect(),
    })
}

fn ready(rule: AlertRule, now: DateTime<Utc>) -> Option<ReadyRule> {
    let plan = rule.plan;
    if !plan.enabled || plan.action.is_over(now) {
        return None;
    }
    match Matcher::new(plan.conditions) {
        Ok(matcher) => Some(ReadyRule {
            id: rule.id,
            name: plan.name,
            matcher,
            action: plan.action,
        }),
        Err(error) => {
            // it was looked at when it was saved; an import must not fail for it
            let reason = &error as &dyn std::error::Error;
            tracing::warn!(rule = %rule.id, error = reason, "a rule cannot be read and does nothing");
            None
        }
    }
}

/// Lets the rules act on these alerts, or one rule where it is the one that acts; answers how many changed.
pub(super) async fn act(
    tx: &mut TenantTx,
    project: ProjectId,
    book: &RuleBook,
    candidates: &[Candidate],
    only: Option<AlertRuleId>,
) -> Result<usize, FlowError> {
    let chosen = candidates.iter().map(|alert| {
        let mut chosen = book.choose(&alert.subject());
        if only.is_some() {
            chosen.dismisses = chosen.dismisses.filter(|rule| Some(rule.id) == only);
            chosen.rates = chosen.rates.filter(|rule| Some(rule.id) == only);
        }
        (alert, chosen)
    });
    let chosen: Vec<(&Candidate, Chosen<'_>)> = chosen
        .filter(|(_, chosen)| chosen.dismisses.is_some() || chosen.rates.is_some())
        .collect();
    if chosen.is_empty() {
        return Ok(0);
    }
    let old = chosen.iter().filter(|(alert, _)| !alert.is_new);
    let old: Vec<AlertId> = old.map(|(alert, _)| alert.id).collect();
    let decided = alerts::decided_by_people(tx, &old).await?;
    let chosen: HashMap<AlertId, Chosen<'_>> = chosen
        .into_iter()
        .map(|(alert, chosen)| (alert.id, left_by(&decided, alert.id, chosen)))
        .collect();
    let ids: BTreeSet<AlertId> = chosen.keys().copied().collect();
    let (standings, moment) = triage::read(tx, project, &ids, "rule").await?;
    let (mut rated, mut dismissed) = (Vec::new(), Vec::new());
    let mut changed = BTreeSet::new();
    for standing in standings {
        let chosen = chosen[&standing.id];
        let rating = chosen.rates.and_then(|rule| done(rule, &standing, moment));
        let standing = rating.as_ref().map_or(&standing, Change::after).clone();
        let dismissal = chosen.dismisses.and_then(|rule| done(rule, &standing, moment));
        if rating.is_some() || dismissal.is_some() {
            changed.insert(standing.id);
        }
        rated.extend(rating);
        dismissed.extend(dismissal);
    }
    // an alert may be in both
    triage::write(tx, project, moment, &rated).await?;
    triage::write(tx, project, moment, &dismissed).await?;
    Ok(changed.len())
}

/// The rules that may act on the alert, after what people decided on it.
fn left_by<'a>(decided: &Decided, alert: AlertId, chosen: Chosen<'a>) -> Chosen<'a> {
    Chosen {
        dismisses: chosen.dismisses.filter(|_| !decided.dismissal.contains(&alert)),
        rates: chosen.rates.filter(|_| !decided.severity.contains(&alert)),
    }
}

/// What the rule makes of an alert; none where that is what it is.
fn done(rule: &ReadyRule, alert: &Standing, moment: Moment<'_>) -> Option<Change> {
    let decision = match &rule.action {
        Action::Dismiss {
            reason,
            comment,
            until,
        } => Decision::Dismiss {
            reason: *reason,
            comment: comment.clone(),
            until: *until,
        },
        Action::SetSeverity { severity } => Decision::SetSeverity(Some(*severity)),
    };
    if !alert.state.is_open() {
        return None;
    }
    let actor = format!("rule:{}", rule.name);
    let moment = Moment {
        actor: &actor,
        ..moment
    };
    Some(decision.on(alert, moment)?.by_rule(rule.id, actor.clone()))
}
