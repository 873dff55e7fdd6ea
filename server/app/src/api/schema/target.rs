//! What scans go to over the network: as it is asked for, as it is shown. And what a capture held.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, OneofObject};
use chrono::{DateTime, Utc};
use tamiz_core::target::TargetError;
use tamiz_core::{Refusal, Target};
use tamiz_store::pcap_session;
use tamiz_store::target::TaskTarget;

use super::answer_bytes::paid;
use super::artifact::Artifact;
use super::scalars::{JsonOf, Url};
use super::session::Session;
use super::words::{BigInt, ScanProfile};
use crate::api::errors::ApiError;

/// What kind of thing is scanned.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// A web application.
    Url,
    /// A port of a host.
    Endpoint,
    /// A name in the DNS.
    Domain,
    /// A mail address: asked about elsewhere, never contacted.
    Email,
    /// A handle on some service: asked about elsewhere, never contacted.
    Username,
}

/// What is asked about in public sources.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OsintType {
    /// A name in the DNS.
    Domain,
    /// A mail address.
    Email,
    /// A handle on some service.
    Username,
}

/// What to scan over the network: one of these.
#[derive(OneofObject)]
pub(crate) enum TargetInput {
    /// An http or https address, without credentials.
    Url(Url),
    /// A port of a host.
    Endpoint(EndpointInput),
    /// A name in the DNS.
    Domain(String),
    /// What to ask public sources about.
    Osint(OsintTargetInput),
}

/// A port of a host.
#[derive(InputObject)]
pub(crate) struct EndpointInput {
    /// A name or an address.
    host: String,
    /// 1 to 65535.
    port: i32,
}

/// What to ask public sources about.
#[derive(InputObject)]
pub(crate) struct OsintTargetInput {
    /// What kind of thing `value` is.
    r#type: OsintType,
    /// The name, address or handle.
    value: String,
}

impl TargetInput {
    /// The target in its one spelling.
    pub(super) fn parse(&self) -> Result<Target, Refusal> {
        let (parsed, part): (Result<Target, TargetError>, &str) = match self {
            Self::Url(url) => (Target::url(&url.0), "url"),
            Self::Endpoint(endpoint) => {
                let port = i64::from(endpoint.port);
                (Target::endpoint(&endpoint.host, port), "endpoint")
            }
            Self::Domain(name) => (Target::domain(name), "domain"),
            Self::Osint(osint) => {
                let parsed = match osint.r#type {
                    OsintType::Domain => Target::domain(&osint.value),
                    OsintType::Email => Target::email(&osint.value),
                    OsintType::Username => Target::username(&osint.value),
                };
                (parsed, "osint")
            }
        };
        parsed.map_err(|error| Refusal::from(error).at(&["input", "target", part]))
    }
}

/// What a task scans over the network.
pub(crate) struct ScanTarget(pub(super) Arc<TaskTarget>);

/// What a task scans over the network.
#[Object]
impl ScanTarget {
    /// What kind of thing it is.
    async fn kind(&self) -> TargetKind {
        match self.0.pinned.target {
            Target::Url { .. } => TargetKind::Url,
            Target::Endpoint { .. } => TargetKind::Endpoint,
            Target::Domain { .. } => TargetKind::Domain,
            Target::Email { .. } => TargetKind::Email,
            Target::Username { .. } => TargetKind::Username,
        }
    }

    /// The target in one word: the address, `host:port`, the name.
    async fn value(&self) -> String {
        self.0.pinned.target.text()
    }

    /// The address, where it is one.
    async fn url(&self) -> Option<Url> {
        let target = &self.0.pinned.target;
        matches!(target, Target::Url { .. }).then(|| Url(target.text()))
    }

    /// Its host; null for what is only asked about elsewhere.
    async fn host(&self) -> Option<&str> {
        self.0.pinned.target.host()
    }

    /// Its port, where it has one.
    async fn port(&self) -> Option<i32> {
        self.0.pinned.target.port().map(i32::from)
    }

    /// The addresses that the host had when the task was asked for; nothing else is contacted.
    async fn addresses(&self) -> Vec<String> {
        self.0.pinned.addresses.iter().map(ToString::to_string).collect()
    }

    /// How thoroughly it is scanned, if that was said.
    async fn profile(&self) -> Option<ScanProfile> {
        self.0.profile.map(Into::into)
    }
}

/// What a capture of network traffic held.
pub(crate) struct PcapSession(pub(super) Arc<pcap_session::PcapSession>);

/// What a capture of network traffic held.
#[Object]
impl PcapSession {
    /// Packets, whatever they were.
    async fn packet_count(&self) -> BigInt {
        self.0.packet_count.into()
    }

    /// Packets and bytes by protocol: `{"dns": {"packets": 4, "bytes": 380}}`.
    fn protocol_stats(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.protocol_stats).map(JsonOf)
    }

    /// Conversations over TCP and UDP.
    async fn flow_count(&self) -> BigInt {
        self.0.flow_count.into()
    }

    /// The largest conversations, at most 50: `[{"client": "10.0.0.1", "client_port": 40000, "server":
    /// "10.0.0.9", "server_port": 80, "transport": "tcp", "protocol": "http", "packets": 8, "bytes": 703,
    /// "first_packet": 1, "seconds": 0.07}]`.
    fn flows(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.flows).map(JsonOf)
    }

    /// The capture itself.
    async fn capture(&self, context: &Context<'_>) -> Result<Option<Artifact>, ApiError> {
        match self.0.capture {
            None => Ok(None),
            Some(id) => Ok(Session::of(context)?.artifact(id).await?.map(Artifact)),
        }
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
