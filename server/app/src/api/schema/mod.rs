//! The GraphQL schema: one file per noun.
//!
//! Objects hold rows; what hangs from them is read through the request's [`session::Session`], whose
//! batches keep the number of SQL statements a matter of the query's shape. Ids name
//! their type, so `node(id:)` knows where to look; as arguments bare UUIDs are taken as well.

mod answer_bytes;
mod batch;
mod batches;
mod connection;
mod idempotent;
mod scalars;
mod session;
mod words;

mod alert;
mod alert_event;
mod alert_occurrence;
mod alert_page;
mod alert_rule;
mod alert_selection;
mod artifact;
mod audit;
mod content;
mod exploitation;
mod export;
mod feed;
mod finding;
mod finding_page;
mod group;
mod id;
mod node;
mod occurrence;
mod plan;
mod plugin;
mod principal;
mod project;
mod project_change;
mod queue;
mod related;
mod scan_result;
mod schedule;
mod target;
mod task;
mod task_error;
mod task_event;
mod task_log;
mod task_page;
mod tenant;
mod token;
mod tool_execution;
mod top_rule;
mod turns;
mod upload;
mod usage;
mod viewer;
mod waiting;
mod weakness;
mod webhook;
mod whole;
mod worker;

mod mutation;
mod mutation_of_alert_rules;
mod mutation_of_alerts;
mod mutation_of_queue;
mod mutation_of_tokens;
mod mutation_of_vex;
mod mutation_of_webhooks;
mod query;
mod query_of_tenant;
mod subscription;

use std::num::NonZeroU32;
use std::sync::Arc;

use async_graphql::{MergedObject, Request, Response, Schema};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tamiz_core::rate::RequestRate;
use tamiz_core::token::Token;
use tamiz_store::token::Caller;

use super::cost::{Cost, Limits, Prices};
use super::errors::log_fault;
use super::guard::{AuthError, Authenticate};
use super::refused::Refused;
use super::refused::seconds_until;
use super::state::ApiState;
use super::transport::Engine;
use crate::limiter::{Spent, Stopped};
use feed::Feeds;
pub use idempotent::EXTENSION as IDEMPOTENCY_EXTENSION;
use mutation::Mutation;
use mutation_of_alert_rules::AlertRuleMutation;
use mutation_of_alerts::AlertMutation;
use mutation_of_queue::QueueMutation;
use mutation_of_tokens::TokenMutation;
use mutation_of_vex::VexMutation;
use mutation_of_webhooks::WebhookMutation;
use principal::OperatorSession;
pub use principal::{Principal, TenantCaller};
use query::Query;
use query_of_tenant::TenantQuery;
use session::Session;
use subscription::Events;
pub(super) use subscription::heard;

type GraphSchema = Schema<Reads, Writes, Events>;

// of two files
/// The root of reads. What belongs to another tenant is null, like what does not exist.
#[derive(MergedObject)]
#[graphql(name = "Query")]
struct Reads(Query, TenantQuery);

/// The root of writes, of seven files.
#[derive(MergedObject)]
#[graphql(name = "Mutation")]
struct Writes(
    Mutation,
    QueueMutation,
    AlertMutation,
    AlertRuleMutation,
    VexMutation,
    WebhookMutation,
    TokenMutation,
);

/// The schema in the schema definition language, as committed in `schema.graphql`.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    build().sdl_with_options(options)
}

fn build() -> GraphSchema {
    // complexity and depth are `cost`'s, before the engine sees a document
    let writes = Writes(
        Mutation,
        QueueMutation,
        AlertMutation,
        AlertRuleMutation,
        VexMutation,
        WebhookMutation,
        TokenMutation,
    );
    Schema::build(Reads(Query, TenantQuery), writes, Events)
        .disable_suggestions()
        .finish()
}

/// The schema over the store.
#[derive(Clone)]
pub struct Graph {
    schema: GraphSchema,
    state: Arc<ApiState>,
    prices: Arc<Prices>,
    feeds: Arc<Feeds>,
}

impl Graph {
    /// The engine behind `/graphql`.
    pub fn new(state: Arc<ApiState>) -> Self {
        let schema = build();
        let limits = Limits {
            depth_max: state.settings.graphql_depth_max as u64,
            complexity_max: state.settings.graphql_complexity_max as u64,
            introspection: state.settings.graphql.introspection,
        };
        let prices = Arc::new(Prices::from_sdl(&schema.sdl(), limits));
        let feeds = Arc::new(Feeds::start(state.store.clone()));
        Self {
            schema,
            state,
            prices,
            feeds,
        }
    }

    fn session(&self, caller: &Caller) -> Arc<Session> {
        Arc::new(Session::new(
            Arc::clone(&self.state),
            caller.clone(),
            Arc::clone(&self.feeds),
        ))
    }

    /// `request` with an operator's session; it holds nothing between two fields.
    fn for_operator(&self, request: Request) -> Request {
        let state = Arc::clone(&self.state);
        request.data(Arc::new(OperatorSession { state }))
    }

    /// Runs a query or a mutation of a tenant.
    async fn run(&self, session: &Arc<Session>, request: Request) -> Response {
        let execution = self.schema.execute(request.data(Arc::clone(session)));
        let response = Arc::clone(&session.turns).drive(execution).await;
        // nobody waits for the end of a transaction that only read
        let resting = Arc::clone(session);
        tokio::spawn(async move { resting.rest().await });
        let mut response = answer_bytes::only_refusal(response);
        if let Some(room_at) = session.room_at() {
            let wait = HeaderValue::from(seconds_until(room_at));
            response.http_headers.insert(RETRY_AFTER, wait);
        }
        metrics::counter!("tamiz_graphql_statements_total").increment(session.reads());
        response
    }
}

impl Authenticate for Graph {
    type Caller = Principal;

    async fn authenticate(&self, token: &Token) -> Result<Principal, AuthError> {
        let store = &self.state.store;
        let found = if token.claimed_tenant().is_some() {
            let caller = store.authenticate(token).await;
            caller.map(|caller| caller.map(|caller| Principal::Tenant(Box::new(caller))))
        } else {
            let operator = store.authenticate_operator(token).await;
            operator.map(|operator| operator.map(Principal::Operator))
        };
        match found {
            Ok(Some(principal)) => Ok(principal),
            Ok(None) => Err(AuthError::Refused),
            Err(error) => Err(AuthError::Unavailable(log_fault(&error))),
        }
    }

    async fn count(&self, principal: &Principal) -> Result<(), Refused> {
        let Principal::Tenant(caller) = principal else {
            // the limit per token holds
            return Ok(());
        };
        let requests = u32::try_from(caller.requests_per_minute).unwrap_or(u32::MAX);
        let rate = RequestRate::per_minute(NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN));
        let counted = self.state.limiter.count(&caller.scope, rate).await;
        counted.map_err(|stopped| match stopped {
            Stopped::TooMany { rate, wait } => Refused::too_many_of_tenant(rate, wait),
            Stopped::Unavailable(id) => Refused::unavailable("the request could not be counted", id),
        })
    }
}

impl Engine for Graph {
    async fn execute(&self, principal: &Principal, mut request: Request) -> Response {
        let Principal::Tenant(caller) = principal else {
            return self.schema.execute(self.for_operator(request)).await;
        };
        match idempotent::key_of(&mut request) {
            None => self.run(&self.session(caller), request).await,
            Some(key) => idempotent::execute(self, caller, key, request).await,
        }
    }

    fn stream(&self, principal: &Principal, request: Request) -> BoxStream<'static, Response> {
        let Principal::Tenant(caller) = principal else {
            return self.schema.execute_stream(self.for_operator(request)).boxed();
        };
        let session = self.session(caller);
        let results = self.schema.execute_stream(request.data(Arc::clone(&session)));
        let results = Arc::clone(&session.turns).drive_each(results.boxed());
        results
            .then(move |response| {
                let session = Arc::clone(&session);
                async move {
                    // each event reads afresh, and no connection is held between two of them
                    session.rest().await;
                    session.budget.refill();
                    answer_bytes::only_refusal(response)
                }
            })
            .boxed()
    }

    fn prices(&self) -> &Prices {
        &self.prices
    }

    async fn pay(&self, principal: &Principal, points: u32) -> Result<Cost, Refused> {
        let requested = points;
        let of_tenant = self.state.settings.graphql.cost_per_minute;
        let (Principal::Tenant(caller), Some(of_tenant)) = (principal, of_tenant) else {
            return Ok(Cost {
                requested,
                balance: None,
            });
        };
        let rate = RequestRate::points_per_minute(of_tenant);
        match self.state.limiter.spend(&caller.scope, rate, points).await {
            Ok(balance) => Ok(Cost {
                requested,
                balance: Some(balance),
            }),
            Err(Spent::TooFew { balance, wait }) => {
                metrics::counter!("tamiz_tenant_budgets_exhausted_total").increment(1);
                Err(Refused::budget_exhausted(requested, balance, wait))
            }
            Err(Spent::Unavailable(id)) => Err(Refused::unavailable(
                "the cost of the query could not be counted",
                id,
            )),
        }
    }
}

#[cfg(test)]
mod alert_rule_tests;
#[cfg(test)]
mod alert_tests;
#[cfg(test)]
mod count_tests;
#[cfg(test)]
mod edge_tests;
#[cfg(test)]
mod related_tests;
#[cfg(test)]
mod selection_tests;
#[cfg(test)]
mod tenant_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vex_tests;
