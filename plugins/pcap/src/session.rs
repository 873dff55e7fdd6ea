//! What the platform keeps about a capture beside its findings: the artifact `pcap-session.json`.
//!
//! Kind `pcap-session`, media type `application/json`, one per capture. Its shape:
//!
//! ```json
//! {
//!   "capture": "ftp-login.pcap",       the input's name
//!   "format": "pcap",                  or `pcapng`, `suricata-eve`, `zeek-tsv`, `zeek-json`
//!   "completeness": "complete",        or `truncated`, `partial`
//!   "packet_count": 88,                records of packets, whatever their link type
//!   "bytes": 7455,                     on the wire
//!   "captured_bytes": 7455,            in the file
//!   "first_time": 1795254509812251000, nanoseconds since 1970, or null without times
//!   "last_time": 1795254516010226000,
//!   "link_types": {"1": 88},           packets by number of the link type
//!   "protocol_stats": {"ipv4": {"packets": 88, "bytes": 7455}, "tcp": {}, "ftp": {}},
//!   "flow_count": 5,                   conversations over TCP and UDP
//!   "top_flows": [{"client": "127.0.0.1", "client_port": 56700, "server": "127.0.0.1", "server_port": 21,
//!                  "transport": "tcp", "protocol": "ftp", "packets": 40, "bytes": 3000,
//!                  "first_packet": 1, "seconds": 1.5}],
//!   "fragments": 0, "malformed": 0, "tagged": 0, "cut_short": 0
//! }
//! ```
//!
//! `protocol_stats` has three layers whose packets each add up to those that were taken apart: network
//! (`ipv4`, `ipv6`, `arp`, `other-network`), what IP carries (`tcp`, `udp`, `icmp`, `icmpv6`, `igmp`,
//! `other-transport`), and what TCP and UDP carry (`dns`, `http`, `tls`, …, `unknown`). Protocols that
//! do not occur are left out. `top_flows` has at most 50 entries, largest first. Names and addresses
//! are all that is kept of contents.
//!
//! A log has a session, too, when it tells of conversations (Suricata's `flow` or `netflow` events, Zeek's
//! `conn`) or of packets (Suricata's `stats`): `packet_count` is then what its writer counted, and
//! `first_packet` is 0.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tamiz_sdk::model::{ArtifactMeta, LogLevel};
use tamiz_sdk::report::Session;

use crate::capture::LinkType;
use crate::statistics::{Amount, Statistics, TopFlow};

/// See the module's description.
#[derive(Debug, Serialize)]
pub(crate) struct CaptureSession {
    capture: String,
    format: &'static str,
    completeness: &'static str,
    packet_count: u64,
    bytes: u64,
    captured_bytes: u64,
    first_time: Option<i64>,
    last_time: Option<i64>,
    link_types: BTreeMap<u32, u64>,
    #[serde(serialize_with = "in_order")]
    protocol_stats: Vec<(&'static str, Amount)>,
    flow_count: u64,
    top_flows: Vec<TopFlow>,
    fragments: u64,
    malformed: u64,
    tagged: u64,
    cut_short: u64,
}

impl CaptureSession {
    pub(crate) fn new(statistics: &mut Statistics, links: &BTreeMap<LinkType, u64>) -> Self {
        Self {
            capture: String::new(),
            format: "",
            completeness: "",
            packet_count: statistics.total.packets,
            bytes: statistics.total.bytes,
            captured_bytes: statistics.captured_bytes,
            first_time: statistics.first_time,
            last_time: statistics.last_time,
            link_types: links.iter().map(|(link, count)| (link.0, *count)).collect(),
            protocol_stats: statistics.protocols().collect(),
            flow_count: statistics.flows,
            top_flows: statistics.top_flows(),
            fragments: statistics.fragments,
            malformed: statistics.malformed,
            tagged: statistics.tagged,
            cut_short: statistics.cut_short,
        }
    }
}

impl CaptureSession {
    /// Says which input it is about, and how much of it was read.
    pub(crate) fn is_of(&mut self, name: &str, format: &'static str, completeness: &'static str) {
        self.capture = tamiz_sdk::clean_line(name, tamiz_sdk::limits::PATH_BYTES).text;
        self.format = format;
        self.completeness = completeness;
    }

    /// Hands it to the platform.
    pub(crate) fn keep(&self, session: &mut Session<'_>) {
        let meta = ArtifactMeta {
            name: "pcap-session.json".to_owned(),
            media_type: "application/json".to_owned(),
            kind: "pcap-session".to_owned(),
        };
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut artifact = session.host().artifact(&meta);
        if let Err(error) = artifact.write(&json).and_then(|()| artifact.finish().map(drop)) {
            let message = format!("the platform did not keep the session ({})", error.name());
            session.tell(LogLevel::Error, "session-not-kept", &message, None);
        }
    }
}

fn in_order<S: Serializer>(stats: &[(&'static str, Amount)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(stats.len()))?;
    for (name, amount) in stats {
        map.serialize_entry(name, amount)?;
    }
    map.end()
}
