//! Writes about rules that act by themselves, and what one would do. A refusal is data in the payload's `errors`.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, InputObject, Object, SimpleObject};
use tamiz_core::{AlertId, AlertRuleId, ProjectId, Refusal};
use tamiz_store::alert::rule;
use tamiz_store::alert::rule::alerts::Position;
use tamiz_store::token::Role;

use super::alert::Alert;
use super::alert_page::AlertCount;
use super::alert_rule::{AlertActionInput, AlertConditionsInput, AlertRule};
use super::connection::{decode, encode};
use super::id::Ref;
use super::mutation::{UserError, payload, refused, rested};
use super::session::Session;
use crate::api::errors::ApiError;
use crate::flow::alert_rule::{self, RuleWish};
use crate::flow::{FlowError, require};

/// What cursors over alerts that a rule is applied to are bound to.
const ORDER: &str = "alerts/rules";

payload!(
    /// What became of `deleteAlertRule`.
    DeleteAlertRulePayload {
        /// The id of what is gone.
        rule_id: Ref<AlertRuleId>
    }
);

/// What became of a rule that was to be saved or applied.
#[derive(SimpleObject, Default)]
pub(crate) struct AlertRulePayload {
    /// The rule.
    rule: Option<AlertRule>,
    /// Alerts that are otherwise since; null if it was not applied to what is there.
    changed: Option<u32>,
    /// Where `applyAlertRule` goes on; null when all alerts were looked at.
    next: Option<String>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// What a rule would do. Nothing was written.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct PreviewAlertRulePayload {
    /// Open alerts that its conditions fit.
    matched: u32,
    /// The same by state and severity.
    counts: Vec<AlertCount>,
    /// Of them, those that a rule leaves alone because a person has decided.
    decided_by_people: u32,
    /// How many open alerts were looked at: reopened ones first, then the worst; at most 100,000.
    looked_at: u32,
    /// Whether those were all.
    is_complete: bool,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
    #[graphql(skip)]
    shown: Vec<AlertId>,
}

#[ComplexObject]
impl PreviewAlertRulePayload {
    /// The first twenty of them.
    async fn alerts(&self, context: &Context<'_>) -> Result<Vec<Alert>, ApiError> {
        Alert::all_of(Session::of(context)?, &self.shown).await
    }
}

/// A rule that might be made.
#[derive(InputObject)]
pub(crate) struct PreviewAlertRuleInput {
    /// The project whose alerts it would act on.
    project_id: Ref<ProjectId>,
    /// What the rule would ask.
    conditions: AlertConditionsInput,
    /// What it would do.
    action: AlertActionInput,
}

/// What people say of a rule. Not a type of the schema: its fields are those of the inputs that have it.
#[derive(InputObject)]
pub(crate) struct AlertRuleInput {
    /// Unique in the project, at most 200 characters.
    name: String,
    /// Rules are asked in this order, equals by age: 0 to 10,000.
    #[graphql(default)]
    position: i32,
    /// Whether it acts.
    #[graphql(default = true)]
    enabled: bool,
    /// Which alerts it fits.
    conditions: AlertConditionsInput,
    /// What it does.
    action: AlertActionInput,
    /// Whether it acts on what is there, too: on up to 100,000 open alerts now, and on more by `applyAlertRule`.
    #[graphql(default)]
    apply_to_existing: bool,
}

impl AlertRuleInput {
    fn into_wish(self) -> Result<RuleWish, Refusal> {
        Ok(RuleWish {
            name: self.name,
            position: self.position,
            enabled: self.enabled,
            conditions: self.conditions.into(),
            action: self.action.into_action()?,
        })
    }
}

/// A rule that shall be made.
#[derive(InputObject)]
pub(crate) struct CreateAlertRuleInput {
    /// The project whose alerts it acts on.
    project_id: Ref<ProjectId>,
    #[graphql(flatten)]
    rule: AlertRuleInput,
}

/// What a rule shall be from now on, whole.
#[derive(InputObject)]
pub(crate) struct UpdateAlertRuleInput {
    /// The rule.
    rule_id: Ref<AlertRuleId>,
    #[graphql(flatten)]
    rule: AlertRuleInput,
}

/// A rule that shall act on what is there.
#[derive(InputObject)]
pub(crate) struct ApplyAlertRuleInput {
    /// The rule.
    rule_id: Ref<AlertRuleId>,
    /// `next` of the payload before; from the beginning if not said.
    after: Option<String>,
}

/// A rule that shall go.
#[derive(InputObject)]
pub(crate) struct DeleteAlertRuleInput {
    /// The rule.
    rule_id: Ref<AlertRuleId>,
}

/// The part of the root of writes that is about rules.
pub(crate) struct AlertRuleMutation;

/// The part of the root of writes that is about rules.
#[Object]
impl AlertRuleMutation {
    /// Tells which open alerts a rule would act on, before it is made. Nothing is written.
    async fn preview_alert_rule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The rule as it would be.")] input: PreviewAlertRuleInput,
    ) -> Result<PreviewAlertRulePayload, ApiError> {
        let session = rested(context).await?;
        let project = input.project_id.into();
        let conditions = input.conditions.into();
        let preview = async {
            require(&session.caller, Role::Analyst)?;
            let action = input.action.into_action()?;
            alert_rule::preview(session.store(), &session.caller, project, conditions, &action).await
        };
        let (preview, errors) = match preview.await {
            Ok(preview) => (preview, Vec::new()),
            Err(error) => (alert_rule::Preview::default(), vec![refused(error)?]),
        };
        let counts = preview.fitting.iter();
        Ok(PreviewAlertRulePayload {
            matched: preview.fitting.values().sum(),
            counts: counts
                .map(|((state, severity), count)| AlertCount::of(*state, *severity, *count))
                .collect(),
            decided_by_people: preview.decided,
            looked_at: preview.looked_at,
            is_complete: preview.is_whole,
            errors,
            shown: preview.first,
        })
    }

    /// Makes a rule that acts on alerts by itself: on those that imports open, reopen or see say something else from now
    /// on. `previewAlertRule` tells before what it would do.
    async fn create_alert_rule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The rule as it shall be.")] input: CreateAlertRuleInput,
    ) -> Result<AlertRulePayload, ApiError> {
        let session = rested(context).await?;
        let (project, applies) = (input.project_id.into(), input.rule.apply_to_existing);
        let rule = async {
            require(&session.caller, Role::Admin)?;
            let wish = input.rule.into_wish()?;
            alert_rule::create(session.store(), &session.caller, project, wish).await
        };
        saved(session, rule.await, applies).await
    }

    /// Replaces a rule. What it did stays.
    async fn update_alert_rule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which rule, and all that it shall be.")] input: UpdateAlertRuleInput,
    ) -> Result<AlertRulePayload, ApiError> {
        let session = rested(context).await?;
        let (id, applies) = (input.rule_id.into(), input.rule.apply_to_existing);
        let rule = async {
            require(&session.caller, Role::Admin)?;
            let wish = input.rule.into_wish()?;
            alert_rule::update(session.store(), &session.caller, id, wish).await
        };
        saved(session, rule.await, applies).await
    }

    /// Lets a rule act on open alerts that are there, 100,000 in one request. Done again it changes nothing.
    async fn apply_alert_rule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which rule, and from where on.")] input: ApplyAlertRuleInput,
    ) -> Result<AlertRulePayload, ApiError> {
        let session = rested(context).await?;
        let after = input.after.map(|cursor| decode(ORDER, &cursor)).transpose()?;
        applied(
            session,
            None,
            input.rule_id.into(),
            after.unwrap_or(Position::START),
        )
        .await
    }

    /// Takes a rule away. What it did stays: alerts that it dismissed stay dismissed until somebody reopens them.
    async fn delete_alert_rule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which rule.")] input: DeleteAlertRuleInput,
    ) -> Result<DeleteAlertRulePayload, ApiError> {
        let session = rested(context).await?;
        let gone = alert_rule::delete(session.store(), &session.caller, input.rule_id.into()).await;
        DeleteAlertRulePayload::of(gone.map(|rule| rule.id.into()))
    }
}

async fn saved(
    session: &Session,
    rule: Result<rule::AlertRule, FlowError>,
    applies: bool,
) -> Result<AlertRulePayload, ApiError> {
    match rule {
        Ok(rule) if applies => {
            let id = rule.id;
            applied(session, Some(AlertRule(Arc::new(rule))), id, Position::START).await
        }
        Ok(rule) => Ok(AlertRulePayload {
            rule: Some(AlertRule(Arc::new(rule))),
            ..AlertRulePayload::default()
        }),
        Err(error) => refusal(error),
    }
}

async fn applied(
    session: &Session,
    rule: Option<AlertRule>,
    id: AlertRuleId,
    after: Position,
) -> Result<AlertRulePayload, ApiError> {
    match alert_rule::apply(session.store(), &session.caller, id, after).await {
        Ok(applied) => Ok(AlertRulePayload {
            rule: Some(rule.unwrap_or_else(|| AlertRule(Arc::new(applied.rule)))),
            changed: Some(applied.changed),
            next: applied.next.map(|at| encode(ORDER, at)),
            errors: Vec::new(),
        }),
        Err(error) => refusal(error),
    }
}

fn refusal(error: FlowError) -> Result<AlertRulePayload, ApiError> {
    Ok(AlertRulePayload {
        errors: vec![refused(error)?],
        ..AlertRulePayload::default()
    })
}
