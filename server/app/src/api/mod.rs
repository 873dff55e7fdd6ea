//! The front door: GraphQL, uploads, artifacts, health.
//!
//! Handlers read requests, call flows or the store, and write answers. There is no SQL here and no
//! rule of the domain: writes go through `flow`, reads through `tamiz_store`.
//!
//! ```text
//! /                    GraphiQL, embedded
//! /graphql             queries, mutations, subscriptions (HTTP, events, websocket)   token
//! /v1/uploads          raw bytes in                                                  token
//! /v1/artifacts/{id}   bytes out                                                     token
//! /v1/projects/{id}/…  alerts as SARIF, OCSF, VEX, CSV                               token
//! /v1/reports, /scans/… and others for pipelines (see `rest`)                        token
//! /worker/v1/…         workers without the database                                  a token of theirs
//! /healthz /readyz /metrics
//! ```

mod state;
pub use state::ApiState;

pub mod listen;

pub mod cost;
pub mod guard;
pub mod schema;
pub mod transport;

pub mod alert_export;
pub mod artifacts;
pub mod graphiql;
pub mod health;
mod rest;
pub mod uploads;
pub mod workers;

pub mod errors;
mod intake;
mod json_body;
mod pieces;
pub mod refused;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use tokio::sync::watch;

use crate::config::Origin;
use guard::rate::Allowance;
use guard::{RateLimit, Rates, TrustedProxies};
use intake::Intake;
use refused::Refused;
use schema::Graph;
use transport::{Draining, Origins, Streams, Times, Tokens, Transport};

/// Tokens behind one address (an office, a build server) that may use up their limits together.
const TOKENS_PER_ADDRESS: u32 = 4;

/// The front door, and what has to be kept going beside it.
pub struct Api {
    /// To be served by [`listen::serve`], which tells it the peer's address.
    pub router: Router,
    /// Run [`Rates::sweep`] for as long as the server lives: it forgets idle clients.
    pub rates: Rates,
}

/// Puts the front door together. `draining` turning `true` ends event streams and websockets, so
/// that a graceful shutdown does not wait for their watchers.
pub fn build(state: ApiState, draining: watch::Receiver<bool>) -> Api {
    let state = Arc::new(state);
    let settings = &state.settings;
    let token = Allowance {
        requests_per_second: settings.rate.requests_per_second.get(),
        burst: settings.rate.burst.get(),
    };
    let address = Allowance {
        requests_per_second: token.requests_per_second.saturating_mul(TOKENS_PER_ADDRESS),
        burst: token.burst.saturating_mul(TOKENS_PER_ADDRESS),
    };
    let rates = Rates {
        per_address: RateLimit::new(address),
        per_token: RateLimit::new(token),
    };
    let proxies = TrustedProxies::new(&settings.trusted_proxies);

    let graph = Graph::new(Arc::clone(&state));
    let draining = Draining::new(draining);
    let transport = transport(&state, graph.clone(), rates.per_token.clone(), draining.clone());
    let intake = Intake::new(Arc::clone(&state));
    let callers = transport::routes(transport)
        .merge(uploads::routes(Arc::clone(&state), intake.clone()))
        .merge(artifacts::routes(Arc::clone(&state)))
        .merge(alert_export::routes(Arc::clone(&state)))
        .merge(rest::routes(Arc::clone(&state), intake, draining.clone()));
    let callers = guard::around_callers(callers, graph, &rates.per_token);
    let pages = state.settings.cors_origins.iter().map(Origin::as_str);
    let router = guard::let_pages_in(callers, pages)
        .merge(graphiql::routes())
        .merge(rest::description())
        .merge(workers::routes(Arc::clone(&state), draining))
        .merge(health::routes(state))
        .method_not_allowed_fallback(|| async {
            let message = "this address answers to other methods";
            Refused::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
        })
        .fallback(|| async {
            Refused::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "there is nothing at this address",
            )
        });
    Api {
        router: guard::around_all(router, proxies, &rates.per_address),
        rates,
    }
}

fn transport(state: &ApiState, engine: Graph, per_token: RateLimit, draining: Draining) -> Transport<Graph> {
    let settings = &state.settings;
    // a proxy may ask for us under a name of its own, while pages say the public one
    let own_origin = settings.public_url.origin().ascii_serialization();
    let named = settings.cors_origins.iter().map(Origin::as_str);
    let origins: Vec<&str> = named.chain([own_origin.as_str()]).collect();
    Transport {
        engine,
        per_token,
        origins: Origins::new(&origins),
        times: Times {
            execution: settings.graphql.timeout,
            ..Times::default()
        },
        draining,
        streams: Streams::new(settings.places.streams, settings.places.streams_of_one_tenant),
        tokens: Tokens::default(),
        documents: state.documents.clone(),
        batch_max: settings.graphql.batch_max,
    }
}

#[cfg(test)]
mod test_tenant;
#[cfg(test)]
mod tests;
