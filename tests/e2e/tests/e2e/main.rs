//! The whole of Tamiz through its front door: HTTP, GraphQL and the command line, against the real
//! program, a real Postgres, real wasm components and a real semgrep.
//!
//! `make test` builds what is needed and starts the cluster; each test has a database and a server of
//! its own. A module is a theme. Not here: what one crate can test by itself.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is all test code, clippy only knows functions marked so"
)]

mod harness;

mod alert_export;
mod alert_rules;
mod calling_targets;
mod command_line;
mod documented_queries;
mod enrichment;
mod graphql;
mod hostile_archives;
mod hostile_plugins;
mod hostile_reports;
mod hostile_tools;
mod idempotency;
mod isolation;
mod killed_imports;
mod killed_workers;
mod occurrences;
mod operating;
mod plugin_faults;
mod plugin_projects;
mod plugin_registry;
mod publishing;
mod queue;
mod quotas;
mod rehash;
mod reimport;
mod remote_workers;
mod request_limits;
mod rest;
mod restarts;
mod silencing;
mod subscriptions;
mod targets;
mod task_life;
mod tokens;
mod uploads;
mod vex;
mod watching;
mod webhooks;
mod whole_road;
mod workers;
