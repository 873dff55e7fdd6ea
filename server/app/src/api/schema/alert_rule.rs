//! Rules that act on a project's alerts by themselves: as they are read, and as they are asked for. Writes about them:
//! `mutation_of_alert_rules`.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::alert_rule::{self, Conditions};
use tamiz_core::{ProjectId, Refusal};
use tamiz_store::alert::rule;

use super::id::id_of;
use super::session::Session;
use super::words::{DismissalReasonName, Severity};
use crate::api::errors::ApiError;

/// What acts on a project's alerts by itself.
#[derive(Clone)]
pub(crate) struct AlertRule(pub(super) Arc<rule::AlertRule>);

/// What acts on a project's alerts by itself: on those that an import opens or reopens, or that say something else
/// since. What a person decided about an alert no rule changes.
#[Object]
impl AlertRule {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Unique in the project.
    async fn name(&self) -> &str {
        &self.0.plan.name
    }

    /// Rules are asked in this order, equals by age: the first that dismisses and the first that sets a severity act.
    async fn position(&self) -> i32 {
        i32::from(self.0.plan.position)
    }

    /// Whether it acts.
    async fn enabled(&self) -> bool {
        self.0.plan.enabled
    }

    /// On which alerts.
    async fn conditions(&self) -> AlertConditions {
        self.0.plan.conditions.clone().into()
    }

    /// What it does.
    async fn action(&self) -> AlertAction {
        self.0.plan.action.clone().into()
    }

    /// The name of the token that made it.
    async fn made_by(&self) -> &str {
        &self.0.made_by
    }

    /// When.
    async fn made_at(&self) -> DateTime<Utc> {
        self.0.made_at
    }

    /// The name of the token that changed it last.
    async fn changed_by(&self) -> &str {
        &self.0.changed_by
    }

    /// When.
    async fn changed_at(&self) -> DateTime<Utc> {
        self.0.changed_at
    }
}

/// Which alerts: every list that is not empty must fit, with one of its values.
#[derive(SimpleObject)]
pub(crate) struct AlertConditions {
    /// Tools, lower case.
    tools: Vec<String>,
    /// Globs of the tools' rules.
    rules: Vec<String>,
    /// Globs of files.
    paths: Vec<String>,
    /// CWE numbers.
    cwe: Vec<i32>,
    /// Globs of hosts, `host:port`, names and URLs.
    targets: Vec<String>,
    /// By the tool's word.
    severities: Vec<Severity>,
}

impl From<Conditions> for AlertConditions {
    fn from(conditions: Conditions) -> Self {
        Self {
            tools: conditions.tools,
            rules: conditions.rules,
            paths: conditions.paths,
            cwe: conditions
                .cwe
                .into_iter()
                .filter_map(|cwe| i32::try_from(cwe).ok())
                .collect(),
            targets: conditions.targets,
            severities: conditions.severities.into_iter().map(Into::into).collect(),
        }
    }
}

/// What a rule does: one of these.
#[derive(SimpleObject)]
pub(crate) struct AlertAction {
    /// It dismisses.
    dismiss: Option<AlertActionDismissal>,
    /// It says how bad alerts are.
    severity: Option<Severity>,
}

/// How a rule dismisses.
#[derive(SimpleObject)]
pub(crate) struct AlertActionDismissal {
    /// Why.
    reason: DismissalReasonName,
    /// In words.
    comment: Option<String>,
    /// Until when, of an accepted risk. Then the rule does nothing any more.
    until: Option<DateTime<Utc>>,
}

impl From<alert_rule::Action> for AlertAction {
    fn from(action: alert_rule::Action) -> Self {
        match action {
            alert_rule::Action::Dismiss {
                reason,
                comment,
                until,
            } => Self {
                dismiss: Some(AlertActionDismissal {
                    reason: reason.into(),
                    comment,
                    until,
                }),
                severity: None,
            },
            alert_rule::Action::SetSeverity { severity } => Self {
                dismiss: None,
                severity: Some(severity.into()),
            },
        }
    }
}

/// Which alerts: every list that is given must fit, with one of its values. At least one list, each of at most 20
/// values of at most 200 characters.
#[derive(InputObject)]
pub(crate) struct AlertConditionsInput {
    /// Of these tools.
    tools: Option<Vec<String>>,
    /// Of rules that one of these globs fits; `*` is any text.
    rules: Option<Vec<String>>,
    /// In files that one of these globs fits; `*` stays within a folder, `**` does not.
    paths: Option<Vec<String>>,
    /// With one of these CWE numbers.
    cwe: Option<Vec<i32>>,
    /// Of a target, or at a place, that one of these globs fits: a host, `host:port`, a name, a URL; `*` is any text.
    targets: Option<Vec<String>>,
    /// As bad as this, by the tool's word.
    severities: Option<Vec<Severity>>,
}

impl From<AlertConditionsInput> for Conditions {
    fn from(input: AlertConditionsInput) -> Self {
        let severities = input.severities.unwrap_or_default();
        Self {
            tools: input.tools.unwrap_or_default(),
            rules: input.rules.unwrap_or_default(),
            paths: input.paths.unwrap_or_default(),
            // what is below 0 is no number of a weakness, and fits none
            cwe: input
                .cwe
                .unwrap_or_default()
                .into_iter()
                .map(|cwe| u32::try_from(cwe).unwrap_or(u32::MAX))
                .collect(),
            targets: input.targets.unwrap_or_default(),
            severities: severities.into_iter().map(Into::into).collect(),
        }
    }
}

/// What a rule does: one of these.
#[derive(InputObject)]
pub(crate) struct AlertActionInput {
    /// To dismiss.
    dismiss: Option<AlertActionDismissalInput>,
    /// To say how bad alerts are.
    severity: Option<Severity>,
}

/// How a rule dismisses.
#[derive(InputObject)]
pub(crate) struct AlertActionDismissalInput {
    /// Why.
    reason: DismissalReasonName,
    /// In words, at most 10,000 characters.
    comment: Option<String>,
    /// Only with `ACCEPTED_RISK`: until when, at most ten years ahead. Then the rule does nothing any more.
    until: Option<DateTime<Utc>>,
}

impl AlertActionInput {
    pub(super) fn into_action(self) -> Result<alert_rule::Action, Refusal> {
        match (self.dismiss, self.severity) {
            (Some(dismiss), None) => Ok(alert_rule::Action::Dismiss {
                reason: dismiss.reason.into(),
                comment: dismiss.comment,
                until: dismiss.until,
            }),
            (None, Some(severity)) => Ok(alert_rule::Action::SetSeverity {
                severity: severity.into(),
            }),
            _ => Err(Refusal::invalid("action", "must be one of dismiss and severity")),
        }
    }
}

/// The rules of a project.
pub(super) async fn rules_of(session: &Session, project: ProjectId) -> Result<Vec<AlertRule>, ApiError> {
    let fetch = async |projects: Vec<ProjectId>| {
        let rules = session
            .read(|tx| Box::pin(async move { rule::of_projects(tx, &projects).await }))
            .await?;
        let shared = |rules: Vec<rule::AlertRule>| {
            let rules = rules.into_iter().map(|rule| AlertRule(Arc::new(rule)));
            rules.collect::<Vec<_>>()
        };
        let rules = rules.into_iter().map(|(project, rules)| (project, shared(rules)));
        Ok(rules.collect::<HashMap<_, _>>())
    };
    Ok(session
        .batches()
        .alert_rules_of
        .load(project, fetch)
        .await?
        .unwrap_or_default())
}
