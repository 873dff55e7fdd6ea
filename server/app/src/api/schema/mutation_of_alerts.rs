//! Writes about alerts: what people decide about them, and what a project promises. A refusal is data in the payload's
//! `errors`.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::{AlertId, ProjectId};

use super::alert::Alert;
use super::alert_selection::{AlertSelection, chosen};
use super::id::Ref;
use super::mutation::{UserError, payload, refused, rested};
use super::project::Project;
use super::scalars::Date;
use super::session::Session;
use super::words::{DismissalReasonName, Severity};
use crate::api::errors::ApiError;
use crate::flow::FlowError;
use crate::flow::triage::{Wish, decide};
use crate::flow::update_project_sla::update_project_sla;

/// Alerts that a payload shows.
const SHOWN_MAX: usize = 100;

payload!(
    /// What became of `updateProjectSla`.
    UpdateProjectSlaPayload {
        /// The project.
        project: Project
    }
);

/// What became of a decision about alerts.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct TriagePayload {
    /// How many alerts were chosen.
    matched: u32,
    /// How many alerts are otherwise than before, or would be; those that were so already are not counted.
    changed: u32,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
    #[graphql(skip)]
    shown: Vec<AlertId>,
}

#[ComplexObject]
impl TriagePayload {
    /// The alerts as they are now, in the order in which they were named, or of their ids; the first hundred.
    async fn alerts(&self, context: &Context<'_>) -> Result<Vec<Alert>, ApiError> {
        Alert::all_of(Session::of(context)?, &self.shown).await
    }
}

/// Alerts that nobody shall act on.
#[derive(InputObject)]
pub(crate) struct DismissAlertsInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// Why.
    reason: DismissalReasonName,
    /// In words, at most 10,000 characters.
    comment: Option<String>,
    /// Only with `ACCEPTED_RISK`: until when, at most ten years ahead; for ever if not said.
    until: Option<DateTime<Utc>>,
}

/// Alerts whose dismissal shall be taken back.
#[derive(InputObject)]
pub(crate) struct ReopenAlertsInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// In words, at most 10,000 characters.
    comment: Option<String>,
}

/// Alerts that are worse or less bad than their tool says.
#[derive(InputObject)]
pub(crate) struct SetAlertSeverityInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// How bad they are; null takes what was said back, so that the tool's word counts.
    severity: Option<Severity>,
}

/// Alerts that somebody shall act on.
#[derive(InputObject)]
pub(crate) struct AssignAlertsInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// Who: a name of your own choice, at most 200 characters; null takes them from everybody.
    assignee: Option<String>,
}

/// Words about alerts.
#[derive(InputObject)]
pub(crate) struct CommentAlertsInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// 1 to 10,000 characters.
    comment: String,
}

/// Alerts that are due on another day.
#[derive(InputObject)]
pub(crate) struct SetAlertsDueInput {
    /// 1 to 1,000 alerts of one project; the same as `alerts: { ids }`.
    alert_ids: Option<Vec<Ref<AlertId>>>,
    /// Which alerts.
    alerts: Option<AlertSelection>,
    /// Only say how many would be otherwise than before, and write nothing.
    #[graphql(default)]
    dry_run: bool,
    /// Until which day, in UTC; null lets them have none until they open again.
    due_on: Option<Date>,
}

/// Days from when an alert opens until it is due, 1 to 3,650; what is not said is not promised.
#[derive(InputObject)]
pub(crate) struct SlaDaysInput {
    /// For severity `CRITICAL`.
    critical: Option<i32>,
    /// For severity `HIGH`.
    high: Option<i32>,
    /// For severity `MEDIUM`.
    medium: Option<i32>,
    /// For severity `LOW`.
    low: Option<i32>,
    /// For severity `INFO`.
    info: Option<i32>,
}

impl From<SlaDaysInput> for tamiz_core::SlaDays {
    fn from(input: SlaDaysInput) -> Self {
        // what is out of range is 0, and the flow says so
        let of = |days: Option<i32>| days.map(|days| u16::try_from(days).unwrap_or(0));
        Self {
            critical: of(input.critical),
            high: of(input.high),
            medium: of(input.medium),
            low: of(input.low),
            info: of(input.info),
        }
    }
}

/// What a project promises.
#[derive(InputObject)]
pub(crate) struct UpdateProjectSlaInput {
    /// The project.
    project_id: Ref<ProjectId>,
    /// All of it: what is left out is not promised any more.
    sla_days: SlaDaysInput,
}

/// The part of the root of writes that is about alerts.
pub(crate) struct AlertMutation;

/// The part of the root of writes that is about alerts.
#[Object]
impl AlertMutation {
    /// Lets nobody act on alerts: they stay dismissed, seen or not, until somebody reopens them or `until` is past.
    async fn dismiss_alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts, why and until when.")] input: DismissAlertsInput,
    ) -> Result<TriagePayload, ApiError> {
        let wish = Wish::Dismiss {
            reason: input.reason.into(),
            comment: input.comment,
            until: input.until,
        };
        decided(context, (input.alert_ids, input.alerts), input.dry_run, wish).await
    }

    /// Takes dismissals back: what is there is `REOPENED`, what is gone is `FIXED`.
    async fn reopen_alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts.")] input: ReopenAlertsInput,
    ) -> Result<TriagePayload, ApiError> {
        decided(
            context,
            (input.alert_ids, input.alerts),
            input.dry_run,
            Wish::Reopen(input.comment),
        )
        .await
    }

    /// Says how bad alerts are, whatever their tool says, now and later.
    async fn set_alert_severity(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts, and how severe they are.")] input: SetAlertSeverityInput,
    ) -> Result<TriagePayload, ApiError> {
        let severity = input.severity.map(Into::into);
        decided(
            context,
            (input.alert_ids, input.alerts),
            input.dry_run,
            Wish::SetSeverity(severity),
        )
        .await
    }

    /// Says who shall act.
    async fn assign_alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts, and whose they are.")] input: AssignAlertsInput,
    ) -> Result<TriagePayload, ApiError> {
        decided(
            context,
            (input.alert_ids, input.alerts),
            input.dry_run,
            Wish::Assign(input.assignee),
        )
        .await
    }

    /// Says something about alerts, as an event of each.
    async fn comment_alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts, and what to say of them.")] input: CommentAlertsInput,
    ) -> Result<TriagePayload, ApiError> {
        decided(
            context,
            (input.alert_ids, input.alerts),
            input.dry_run,
            Wish::Comment(input.comment),
        )
        .await
    }

    /// Says until when somebody shall act.
    async fn set_alerts_due(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which alerts, and when they are due.")] input: SetAlertsDueInput,
    ) -> Result<TriagePayload, ApiError> {
        decided(
            context,
            (input.alert_ids, input.alerts),
            input.dry_run,
            Wish::SetDue(input.due_on.map(|day| day.0)),
        )
        .await
    }

    /// Promises days until alerts are due, for those that open, reopen or change their severity from now on.
    async fn update_project_sla(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which project, and all of its days.")] input: UpdateProjectSlaInput,
    ) -> Result<UpdateProjectSlaPayload, ApiError> {
        let session = rested(context).await?;
        let (id, sla) = (input.project_id.into(), input.sla_days.into());
        let updated = update_project_sla(session.store(), &session.caller, id, sla).await;
        UpdateProjectSlaPayload::of(updated.map(|project| Project(Arc::new(project))))
    }
}

async fn decided(
    context: &Context<'_>,
    named: (Option<Vec<Ref<AlertId>>>, Option<AlertSelection>),
    dry_run: bool,
    wish: Wish,
) -> Result<TriagePayload, ApiError> {
    let session = rested(context).await?;
    let outcome = match chosen(named) {
        Ok(chosen) => decide(session.store(), &session.caller, chosen, wish, dry_run).await,
        Err(refusal) => Err(refusal.into()),
    };
    match outcome {
        Ok(mut decided) => {
            decided.alerts.truncate(SHOWN_MAX);
            Ok(TriagePayload {
                matched: decided.matched,
                changed: decided.changed,
                errors: Vec::new(),
                shown: decided.alerts,
            })
        }
        Err(error) => Ok(TriagePayload {
            matched: 0,
            changed: 0,
            errors: vec![refused(error)?],
            shown: Vec::new(),
        }),
    }
}
