//! Postgres: the only crate that names sqlx. No pool and no connection leaves it.
//!
//! **The tenant seam.** A [`TenantScope`] comes from a verified token ([`Store::authenticate`]), a
//! claimed ticket ([`Store::claim`]) or its lease's credential ([`credential`]), from nowhere else. [`Store::begin`] turns it into a [`TenantTx`],
//! the only argument that queries of tenant rows accept. The transaction runs as a role that
//! row-level security holds to that tenant, and every query names `tenant_id` as well.
//!
//! Cross-tenant work has its own doors: the queue side of [`Store`] (tickets and workers, role
//! `tamiz_dispatch`) and [`ControlTx`] (tenants, their tokens, plugins and plans, role `tamiz_control`).
//!
//! A query without a transaction of the tenant does not compile:
//!
//! ```compile_fail
//! # async fn f(store: &tamiz_store::Store, id: tamiz_core::TaskId) {
//! tamiz_store::task::get(store, id).await.unwrap();
//! # }
//! ```
//!
//! nor can a scope be made up:
//!
//! ```compile_fail
//! let scope = tamiz_store::TenantScope { tenant: tamiz_core::TenantId::fresh() };
//! ```

mod connect;
mod control_tx;
pub mod error;
mod held;
pub mod migrate;
pub mod pace;
pub mod page;
mod round;
pub mod row_count;
mod scope;
pub mod shares;
pub mod signal;
mod tenant_tx;
pub mod unparsed;
mod weight;

pub mod alert;
pub mod artifact;
pub mod attempt;
pub mod audit;
pub mod credential;
pub mod enrichment;
pub mod event;
pub mod finding;
pub mod group;
pub mod idempotency;
pub mod operator_token;
pub mod pause;
pub mod pcap_session;
pub mod plan;
pub mod plugin;
pub mod project;
pub mod project_event;
pub mod queue;
pub mod queue_view;
pub mod quota;
pub mod request_rate;
pub mod retention;
pub mod scan_result;
pub mod schedule;
pub mod secret_key;
pub mod target;
pub mod task;
pub mod tenant;
pub mod ticket;
pub mod token;
pub mod tool_execution;
pub mod upload;
pub mod usage;
pub mod webhook;
pub mod worker;
pub mod worker_log;
pub mod worker_token;

#[cfg(test)]
mod alert_export_tests;
#[cfg(test)]
mod attempt_tests;
#[cfg(test)]
mod database_for_tests;
#[cfg(test)]
mod enrichment_tests;
#[cfg(test)]
mod idempotency_tests;
#[cfg(test)]
mod isolation_tests;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod migrate_tests;
#[cfg(test)]
mod plugin_tests;
#[cfg(test)]
mod project_event_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod quota_tests;
#[cfg(test)]
mod signal_tests;
#[cfg(test)]
mod worker_log_tests;
#[cfg(test)]
mod worker_tests;

pub use connect::{Store, StoreConfig};
pub use control_tx::ControlTx;
pub use error::StoreError;
pub use scope::TenantScope;
pub use tenant_tx::TenantTx;
