//! Writes about webhooks: endpoints, their secrets, and sending again. A refusal is data in the payload's `errors`.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_store::webhook::endpoint::{Endpoint, Wish};
use uuid::Uuid;

use super::id::Ref;
use super::mutation::{UserError, payload, refused, rested};
use super::scalars::Url;
use super::webhook::{WebhookEndpoint, WebhookEventName};
use crate::api::errors::ApiError;
use crate::flow::FlowError;
use crate::flow::webhook_endpoint::{
    create_endpoint, delete_endpoint, replay_failed, replay_message, rotate_secret, send_test,
    update_endpoint,
};
use tamiz_core::{ProjectId, WebhookEndpointId};

macro_rules! secret_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $name {
            /// The endpoint.
            endpoint: Option<WebhookEndpoint>,
            /// What its messages are signed with, `whsec_…`: told here and never again.
            secret: Option<String>,
            /// Why it was refused; empty when it was done.
            errors: Vec<UserError>,
        }

        impl $name {
            fn of(outcome: Result<(Endpoint, String), FlowError>) -> Result<Self, ApiError> {
                Ok(match outcome {
                    Ok((endpoint, secret)) => Self {
                        endpoint: Some(WebhookEndpoint(endpoint)),
                        secret: Some(secret),
                        errors: Vec::new(),
                    },
                    Err(error) => Self { endpoint: None, secret: None, errors: vec![refused(error)?] },
                })
            }
        }
    };
}

secret_payload!(
    /// What became of `createWebhookEndpoint`.
    CreateWebhookEndpointPayload
);
secret_payload!(
    /// What became of `rotateWebhookSecret`.
    RotateWebhookSecretPayload
);
payload!(
    /// What became of `updateWebhookEndpoint`.
    UpdateWebhookEndpointPayload {
        /// The endpoint.
        endpoint: WebhookEndpoint
    }
);
payload!(
    /// What became of `deleteWebhookEndpoint`.
    DeleteWebhookEndpointPayload {
        /// The id of what is gone.
        endpoint_id: Ref<WebhookEndpointId>
    }
);
payload!(
    /// What became of `sendTestWebhook`.
    SendTestWebhookPayload {
        /// The message; see the endpoint's `deliveries` for how it went.
        message_id: Uuid
    }
);
payload!(
    /// What became of `replayWebhookMessage`.
    ReplayWebhookMessagePayload {
        /// The message, under the id that it had before.
        message_id: Uuid
    }
);

/// What became of `replayFailedWebhooks`.
#[derive(SimpleObject)]
pub(crate) struct ReplayFailedWebhooksPayload {
    /// Messages that are sent again; ask again while it is 1,000.
    count: i32,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// An endpoint that is asked for.
#[derive(InputObject)]
pub(crate) struct CreateWebhookEndpointInput {
    /// An https address of a public host; plain http where the operator allows the host's network.
    url: Url,
    /// What it is told, at least one; tests are sent by `sendTestWebhook`.
    events: Vec<WebhookEventName>,
    /// Of these projects alone, 1 to 100; of all if not said.
    project_ids: Option<Vec<Ref<ProjectId>>>,
}

/// What an endpoint is from now on, whole.
#[derive(InputObject)]
pub(crate) struct UpdateWebhookEndpointInput {
    /// The endpoint.
    endpoint_id: Ref<WebhookEndpointId>,
    /// An https address of a public host; plain http where the operator allows the host's network.
    url: Url,
    /// What it is told, at least one; tests are sent by `sendTestWebhook`.
    events: Vec<WebhookEventName>,
    /// Of these projects alone, 1 to 100; of all if not said.
    project_ids: Option<Vec<Ref<ProjectId>>>,
    /// Whether anything is sent to it. What falls due while it is disabled fails, and can be replayed.
    #[graphql(default = true)]
    enabled: bool,
}

/// An endpoint that is there.
#[derive(InputObject)]
pub(crate) struct WebhookEndpointIdInput {
    /// The endpoint.
    endpoint_id: Ref<WebhookEndpointId>,
}

/// A message that shall be sent again.
#[derive(InputObject)]
pub(crate) struct ReplayWebhookMessageInput {
    /// The endpoint.
    endpoint_id: Ref<WebhookEndpointId>,
    /// A message of the endpoint's deliveries, in whatever state.
    message_id: Uuid,
}

/// Messages that shall be sent again.
#[derive(InputObject)]
pub(crate) struct ReplayFailedWebhooksInput {
    /// The endpoint.
    endpoint_id: Ref<WebhookEndpointId>,
    /// Those that were written since then.
    since: DateTime<Utc>,
}

fn wish(url: Url, events: Vec<WebhookEventName>, projects: Option<Vec<Ref<ProjectId>>>) -> Wish {
    Wish {
        url: url.0,
        events: events.into_iter().map(Into::into).collect(),
        projects: projects.map(|ids| ids.into_iter().map(Into::into).collect()),
    }
}

/// The part of the root of writes that is about webhooks.
pub(crate) struct WebhookMutation;

/// The part of the root of writes that is about webhooks.
#[Object]
impl WebhookMutation {
    /// For admins: lets webhooks be sent to an address; a tenant has at most ten endpoints.
    async fn create_webhook_endpoint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its address, and what it is told.")] input: CreateWebhookEndpointInput,
    ) -> Result<CreateWebhookEndpointPayload, ApiError> {
        let session = rested(context).await?;
        let wish = wish(input.url, input.events, input.project_ids);
        let (targets, caller) = (&session.state.webhooks, &session.caller);
        CreateWebhookEndpointPayload::of(create_endpoint(session.store(), targets, caller, wish).await)
    }

    /// For admins: replaces what an endpoint is told and where, and enables or disables it.
    async fn update_webhook_endpoint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which endpoint, and all that it shall be.")] input: UpdateWebhookEndpointInput,
    ) -> Result<UpdateWebhookEndpointPayload, ApiError> {
        let session = rested(context).await?;
        let id = input.endpoint_id.into();
        let wish = wish(input.url, input.events, input.project_ids);
        let (targets, caller) = (&session.state.webhooks, &session.caller);
        let updated = update_endpoint(session.store(), targets, caller, id, wish, input.enabled).await;
        UpdateWebhookEndpointPayload::of(updated.map(WebhookEndpoint))
    }

    /// For admins: gives an endpoint another secret. For a day messages are signed with the one of before, too.
    async fn rotate_webhook_secret(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which endpoint.")] input: WebhookEndpointIdInput,
    ) -> Result<RotateWebhookSecretPayload, ApiError> {
        let session = rested(context).await?;
        let rotated = rotate_secret(session.store(), &session.caller, input.endpoint_id.into()).await;
        RotateWebhookSecretPayload::of(rotated)
    }

    /// For admins: takes an endpoint and its log away; what waits for it is not sent.
    async fn delete_webhook_endpoint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which endpoint.")] input: WebhookEndpointIdInput,
    ) -> Result<DeleteWebhookEndpointPayload, ApiError> {
        let session = rested(context).await?;
        let gone = delete_endpoint(session.store(), &session.caller, input.endpoint_id.into()).await;
        DeleteWebhookEndpointPayload::of(gone.map(|()| input.endpoint_id))
    }

    /// For admins: sends a message of the type `webhook.test` to an endpoint.
    async fn send_test_webhook(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which endpoint.")] input: WebhookEndpointIdInput,
    ) -> Result<SendTestWebhookPayload, ApiError> {
        let session = rested(context).await?;
        let sent = send_test(session.store(), &session.caller, input.endpoint_id.into()).await;
        SendTestWebhookPayload::of(sent.map(Into::into))
    }

    /// For admins: sends a message again from the start, with the same id and body.
    async fn replay_webhook_message(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which message, of which endpoint.")] input: ReplayWebhookMessageInput,
    ) -> Result<ReplayWebhookMessagePayload, ApiError> {
        let session = rested(context).await?;
        let (endpoint, message) = (input.endpoint_id.into(), input.message_id.into());
        let replayed = replay_message(session.store(), &session.caller, endpoint, message).await;
        ReplayWebhookMessagePayload::of(replayed.map(Into::into))
    }

    /// For admins: sends again what failed since a time, the oldest first and at most 1,000 messages at once.
    async fn replay_failed_webhooks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Since when, of which endpoint.")] input: ReplayFailedWebhooksInput,
    ) -> Result<ReplayFailedWebhooksPayload, ApiError> {
        let session = rested(context).await?;
        let endpoint = input.endpoint_id.into();
        let replayed = replay_failed(session.store(), &session.caller, endpoint, input.since).await;
        Ok(match replayed {
            Ok(count) => ReplayFailedWebhooksPayload {
                count: i32::try_from(count).unwrap_or(i32::MAX),
                errors: Vec::new(),
            },
            Err(error) => ReplayFailedWebhooksPayload {
                count: 0,
                errors: vec![refused(error)?],
            },
        })
    }
}
