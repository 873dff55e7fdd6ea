//! Suricata's events about conversations and its own counters, for the session.
//!
//! `flow` events tell both directions of a conversation, `netflow` events one of them each: a log that
//! has both is counted by its flows alone.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Object, Text, Whole};
use tamiz_sdk::report::Session;

use super::Event;
use crate::observed::{Counted, LoggedFlow, Observed};
use crate::statistics::{Amount, Protocol};
use crate::time;

/// Of `flow` and of `netflow`.
#[derive(Deserialize)]
pub(super) struct Flow<'a> {
    #[serde(default)]
    pkts_toserver: Whole,
    #[serde(default)]
    pkts_toclient: Whole,
    #[serde(default)]
    bytes_toserver: Whole,
    #[serde(default)]
    bytes_toclient: Whole,
    #[serde(default)]
    pkts: Whole,
    #[serde(default)]
    bytes: Whole,
    #[serde(borrow, default)]
    start: Text<'a>,
    #[serde(borrow, default)]
    end: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Stats {
    #[serde(default)]
    decoder: Field<Object<Decoder>>,
}

#[derive(Deserialize)]
struct Decoder {
    #[serde(default)]
    pkts: Whole,
    #[serde(default)]
    bytes: Whole,
    #[serde(default)]
    ipv4: Whole,
    #[serde(default)]
    ipv6: Whole,
    #[serde(default)]
    arp: Whole,
    #[serde(default)]
    tcp: Whole,
    #[serde(default)]
    udp: Whole,
    #[serde(default)]
    icmpv4: Whole,
    #[serde(default)]
    icmpv6: Whole,
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Traffic {
    flows: Observed,
    directions: Observed,
    has_flows: bool,
}

impl Traffic {
    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event.kind.text() {
            "flow" => {
                let Some(flow) = event.flow.object() else { return };
                self.has_flows = true;
                let packets = number(&flow.pkts_toserver) + number(&flow.pkts_toclient);
                let bytes = number(&flow.bytes_toserver) + number(&flow.bytes_toclient);
                self.flows.flow(&logged(event, flow, Amount { packets, bytes }));
            }
            "netflow" if !self.has_flows => {
                let Some(flow) = event.netflow.object() else {
                    return;
                };
                let (packets, bytes) = (number(&flow.pkts), number(&flow.bytes));
                self.directions
                    .flow(&logged(event, flow, Amount { packets, bytes }));
            }
            "stats" => {
                if let Some(decoder) = event.stats.object().and_then(|stats| stats.decoder.object()) {
                    self.flows.counted(counted(decoder));
                    self.directions.counted(counted(decoder));
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(self, name: &str, completeness: &'static str, session: &mut Session<'_>) {
        let told = if self.has_flows {
            self.flows
        } else {
            self.directions
        };
        told.finish(name, "suricata-eve", completeness, session);
    }
}

fn logged<'event>(event: &'event Event<'_>, flow: &'event Flow<'_>, amount: Amount) -> LoggedFlow<'event> {
    let port = |port: &Whole| port.get().and_then(|port| u16::try_from(*port).ok()).unwrap_or(0);
    LoggedFlow {
        client: (event.src_ip.text(), port(&event.src_port)),
        server: (event.dest_ip.text(), port(&event.dest_port)),
        transport: event.proto.text(),
        protocol: event.app_proto.text(),
        amount,
        begin: time::nanoseconds(flow.start.text()),
        end: time::nanoseconds(flow.end.text()),
    }
}

fn counted(decoder: &Decoder) -> Counted {
    let packets = [
        (Protocol::Ipv4, &decoder.ipv4),
        (Protocol::Ipv6, &decoder.ipv6),
        (Protocol::Arp, &decoder.arp),
        (Protocol::Tcp, &decoder.tcp),
        (Protocol::Udp, &decoder.udp),
        (Protocol::Icmp, &decoder.icmpv4),
        (Protocol::Icmpv6, &decoder.icmpv6),
    ];
    Counted {
        total: Amount {
            packets: number(&decoder.pkts),
            bytes: number(&decoder.bytes),
        },
        packets: packets.map(|(protocol, count)| (protocol, number(count))).into(),
    }
}

/// Bounded, so that sums of a log's numbers stay in range.
fn number(field: &Whole) -> u64 {
    const COUNT_MAX: u64 = 1 << 40;
    field
        .get()
        .and_then(|count| u64::try_from(*count).ok())
        .unwrap_or(0)
        .min(COUNT_MAX)
}
