//! Conversations: which packets belong together, who began, and what state a connection is in.
//!
//! The table is bounded; a conversation that has to be forgotten is counted and told as if it had
//! ended, and a later packet of it begins another.

use tamiz_sdk::Host;

use crate::detect::{Answer, Beacons, DnsMessage, DnsWatch, Moment, Scans};
use crate::dialogue::{Scene, Side, snmp_community};
use crate::findings::{Findings, Place, Sighting};
use crate::packet::{Carried, Endpoint, Packet, TcpHead};
use crate::rules;
use crate::statistics::{Amount, EndedFlow, Protocol, Statistics};
use crate::stream::{Budget, Conversation};
use crate::table::Table;

/// Conversations at once: about 15 MB.
const FLOWS_MAX: usize = 65_536;
/// After so long without a packet, the same ports are another conversation.
const UDP_IDLE_NANOSECONDS: i64 = 60_000_000_000;
/// Ports from here on are handed out to clients.
const CLIENT_PORTS: u16 = 1024;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    low: Endpoint,
    high: Endpoint,
    tcp: bool,
}

#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an event that happened or did not"
)]
struct Connection {
    syn: bool,
    answered: bool,
    completed: bool,
    closed: bool,
    /// Whether the scans' watch knows the attempt.
    told: bool,
}

struct Flow {
    client_is_low: bool,
    first: Moment,
    last_time: i64,
    amount: Amount,
    protocol: Protocol,
    connection: Connection,
    next: [Option<u32>; 2],
    conversation: Option<Box<Conversation>>,
}

/// Everything that conversations tell their findings to.
pub(crate) struct Watch {
    pub(crate) findings: Findings,
    pub(crate) statistics: Statistics,
    pub(crate) scans: Scans,
    pub(crate) beacons: Beacons,
    pub(crate) dns: DnsWatch,
    pub(crate) budget: Budget,
}

/// See the module's description.
pub(crate) struct Flows {
    table: Table<Key, Flow>,
}

impl Flows {
    pub(crate) fn new() -> Self {
        Self {
            table: Table::new(FLOWS_MAX),
        }
    }

    /// Takes a packet with ports.
    pub(crate) fn packet(
        &mut self,
        packet: &Packet<'_>,
        amount: Amount,
        moment: Moment,
        watch: &mut Watch,
        host: &mut dyn Host,
    ) {
        let source_is_low = packet.source <= packet.destination;
        let key = if source_is_low {
            (packet.source, packet.destination)
        } else {
            (packet.destination, packet.source)
        };
        let key = Key {
            low: key.0,
            high: key.1,
            tcp: packet.carried == Carried::Tcp,
        };
        let found = self
            .table
            .find(key, moment.packet, || begun(packet, source_is_low, moment));
        if let Some((key, mut flow)) = found.evicted {
            end(key, &mut flow, watch, host);
        }
        let flow = self.table.at(found.slot);
        let mut is_new = found.is_new;
        if !is_new && starts_anew(flow, packet, moment) {
            end(key, flow, watch, host);
            *flow = begun(packet, source_is_low, moment);
            is_new = true;
        }
        flow.amount.add(amount.packets, amount.bytes);
        flow.last_time = flow.last_time.max(moment.time);
        let side = if source_is_low == flow.client_is_low {
            Side::Client
        } else {
            Side::Server
        };
        let (client, server) = match side {
            Side::Client => (packet.source, packet.destination),
            Side::Server => (packet.destination, packet.source),
        };
        let ends = (client, server);
        let Some(tcp) = packet.tcp else {
            datagram(flow, packet.payload, ends, moment, Begins(is_new), watch, host);
            return;
        };
        connection(flow, side, tcp, ends, moment, watch);
        if !packet.payload.is_empty() && !tcp.syn {
            let payload = (tcp.sequence, packet.payload);
            segment(flow, side, payload, ends, moment, watch, host);
        }
    }

    /// How many had to be forgotten before the end.
    pub(crate) fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    pub(crate) fn finish(self, watch: &mut Watch, host: &mut dyn Host) {
        for (key, mut flow) in self.table.into_entries() {
            end(key, &mut flow, watch, host);
        }
    }
}

/// Whoever sends the first packet is the client, unless it answers: then the port tells.
fn begun(packet: &Packet<'_>, source_is_low: bool, moment: Moment) -> Flow {
    let (source, destination) = (packet.source.port, packet.destination.port);
    let from_client = match &packet.tcp {
        Some(tcp) if tcp.syn => !tcp.ack,
        _ => destination <= source || source >= CLIENT_PORTS,
    };
    Flow {
        client_is_low: source_is_low == from_client,
        first: moment,
        last_time: moment.time,
        amount: Amount::default(),
        protocol: Protocol::Unknown,
        connection: Connection::default(),
        next: [None, None],
        conversation: None,
    }
}

fn starts_anew(flow: &Flow, packet: &Packet<'_>, moment: Moment) -> bool {
    match &packet.tcp {
        Some(tcp) => tcp.syn && !tcp.ack && (flow.connection.closed || flow.conversation.is_some()),
        None => moment.time.saturating_sub(flow.last_time) > UDP_IDLE_NANOSECONDS,
    }
}

/// Follows a connection's state, and tells the scans' watch what becomes of an attempt.
fn connection(
    flow: &mut Flow,
    side: Side,
    tcp: TcpHead,
    ends: (Endpoint, Endpoint),
    moment: Moment,
    watch: &mut Watch,
) {
    let state = &mut flow.connection;
    let Watch {
        scans,
        beacons,
        findings,
        ..
    } = watch;
    if tcp.syn {
        flow.next[side as usize] = Some(tcp.sequence.wrapping_add(1));
    }
    match (side, tcp.syn, tcp.ack) {
        (Side::Client, true, false) if !state.syn => {
            *state = Connection {
                syn: true,
                told: true,
                ..*state
            };
            scans.attempt(ends, moment, false, findings);
        }
        (Side::Server, true, true) if !state.answered => {
            state.answered = true;
            beacons.begin(ends, true, moment, findings);
            if state.told {
                scans.answered(ends, moment, Answer::Opened, findings);
            }
        }
        // Nothing begins with FIN, or without any flag, but a scan.
        (Side::Client, false, false) if !state.syn && !tcp.rst && flow.amount.packets == 1 => {
            state.told = true;
            scans.attempt(ends, moment, true, findings);
        }
        (Side::Client, false, true) if state.answered && !state.completed && !tcp.rst => {
            state.completed = true;
            if state.told {
                scans.answered(ends, moment, Answer::Completed, findings);
            }
        }
        _ => {}
    }
    if tcp.rst && side == Side::Server && state.told && !state.answered && !state.closed {
        scans.answered(ends, moment, Answer::Refused, findings);
    }
    state.closed |= tcp.rst || tcp.fin;
}

fn segment(
    flow: &mut Flow,
    side: Side,
    payload: (u32, &[u8]),
    (client, server): (Endpoint, Endpoint),
    moment: Moment,
    watch: &mut Watch,
    host: &mut dyn Host,
) {
    let next = flow.next;
    let conversation = flow
        .conversation
        .get_or_insert_with(|| Box::new(Conversation::new(next)));
    if conversation.is_over() {
        return;
    }
    let mut scene = Scene {
        place: Place {
            client,
            server,
            packet: moment.packet,
            span: moment.span,
            protocol: "tcp",
        },
        moment,
        findings: &mut watch.findings,
        dns: &mut watch.dns,
        host,
    };
    conversation.segment(side, payload, &mut scene, &mut watch.budget);
    if conversation.protocol != Protocol::Unknown {
        flow.protocol = conversation.protocol;
    }
}

/// Whether a datagram is the first of its conversation.
#[derive(Clone, Copy)]
struct Begins(bool);

fn datagram(
    flow: &mut Flow,
    payload: &[u8],
    (client, server): (Endpoint, Endpoint),
    moment: Moment,
    begins: Begins,
    watch: &mut Watch,
    host: &mut dyn Host,
) {
    if begins.0 {
        flow.protocol = Protocol::of_udp_port(server.port)
            .or_else(|| Protocol::of_udp_port(client.port))
            .unwrap_or_default();
        watch
            .beacons
            .begin((client, server), false, moment, &mut watch.findings);
    }
    let place = |protocol| Place {
        client,
        server,
        packet: moment.packet,
        span: moment.span,
        protocol,
    };
    match flow.protocol {
        Protocol::Dns => {
            if let Some(message) = DnsMessage::read(payload) {
                let place = place("udp/dns");
                watch.dns.message(&message, place, moment, &mut watch.findings);
            }
        }
        Protocol::Snmp => {
            let Some(community) = snmp_community(payload) else {
                return;
            };
            let place = place("udp/snmp");
            let rule = rules::of_community(&community.value);
            let message = format!(
                "{} and {} speak SNMP {}; anybody on the way reads the community [redacted].",
                place.client.address, place.server.address, community.version
            );
            let identity = host.secret_identity(&community.value);
            let sighting = Sighting::new(rule, place, community.version, message);
            watch.findings.see(sighting.of_secret(identity));
        }
        _ => {}
    }
}

/// Counts a conversation that is over, and lets its dialogue tell what waits.
fn end(key: Key, flow: &mut Flow, watch: &mut Watch, host: &mut dyn Host) {
    let (client, server) = if flow.client_is_low {
        (key.low, key.high)
    } else {
        (key.high, key.low)
    };
    if let Some(conversation) = &mut flow.conversation {
        let mut scene = Scene {
            place: Place {
                client,
                server,
                packet: flow.first.packet,
                span: flow.first.span,
                protocol: "tcp",
            },
            moment: flow.first,
            findings: &mut watch.findings,
            dns: &mut watch.dns,
            host,
        };
        conversation.finish(&mut scene, &mut watch.budget);
    }
    watch.statistics.flow(EndedFlow {
        client,
        server,
        transport: if key.tcp { Protocol::Tcp } else { Protocol::Udp },
        protocol: flow.protocol,
        amount: flow.amount,
        first_packet: flow.first.packet,
        nanoseconds: flow.last_time.saturating_sub(flow.first.time).max(0),
    });
}
