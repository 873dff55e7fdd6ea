//! What a log about a capture tells of its conversations: the same statistics and flows as are counted
//! from packets, for the session.
//!
//! Not here: what is wrong in a conversation (see [`crate::eve`] and [`crate::zeek`]).

use std::net::IpAddr;

use tamiz_sdk::report::{Session, Stop};

use crate::packet::{Address, Endpoint};
use crate::session::CaptureSession;
use crate::statistics::{Amount, EndedFlow, Protocol, Statistics};

/// One conversation as a log tells it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoggedFlow<'log> {
    /// Address and port of who began.
    pub(crate) client: (&'log str, u16),
    pub(crate) server: (&'log str, u16),
    /// `tcp`, `UDP`, `icmp`, …
    pub(crate) transport: &'log str,
    /// `http`, `ssl`, …; of several between commas the last that is known.
    pub(crate) protocol: &'log str,
    /// In both directions.
    pub(crate) amount: Amount,
    /// In nanoseconds.
    pub(crate) begin: Option<i64>,
    pub(crate) end: Option<i64>,
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Observed {
    statistics: Statistics,
    /// What the log's writer counted itself, conversations or not.
    counted: Option<Counted>,
}

/// Packets and bytes that the writer read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    pub(crate) total: Amount,
    pub(crate) packets: Vec<(Protocol, u64)>,
}

impl Observed {
    /// Takes a conversation.
    pub(crate) fn flow(&mut self, flow: &LoggedFlow<'_>) {
        let statistics = &mut self.statistics;
        let Amount { packets, bytes } = flow.amount;
        statistics.total.add(packets, bytes);
        for time in [flow.begin, flow.end].into_iter().flatten() {
            statistics.time(time);
        }
        let addresses = (flow.client.0.parse::<IpAddr>(), flow.server.0.parse::<IpAddr>());
        let network = match &addresses {
            (Ok(IpAddr::V6(_)), _) => Protocol::Ipv6,
            (Ok(IpAddr::V4(_)), _) => Protocol::Ipv4,
            _ => Protocol::OtherNetwork,
        };
        statistics.count(network, packets, bytes);
        let transport = Protocol::of_transport(flow.transport, network);
        statistics.count(transport, packets, bytes);
        if !matches!(transport, Protocol::Tcp | Protocol::Udp) {
            return;
        }
        let end = |address: Result<IpAddr, _>, port| Endpoint {
            address: address.map_or(Address::NOWHERE, Address::from),
            port,
        };
        statistics.flow(EndedFlow {
            client: end(addresses.0, flow.client.1),
            server: end(addresses.1, flow.server.1),
            transport,
            protocol: Protocol::of_name(flow.protocol),
            amount: flow.amount,
            first_packet: 0,
            nanoseconds: flow
                .end
                .zip(flow.begin)
                .map_or(0, |(end, begin)| end.saturating_sub(begin).max(0)),
        });
    }

    /// Takes the writer's own counters, which only grow.
    pub(crate) fn counted(&mut self, counted: Counted) {
        let known = self.counted.as_ref().map_or(0, |known| known.total.packets);
        if counted.total.packets >= known {
            self.counted = Some(counted);
        }
    }

    /// Keeps the session, if the log told of any packet.
    pub(crate) fn finish(
        self,
        name: &str,
        format: &'static str,
        completeness: &'static str,
        session: &mut Session<'_>,
    ) {
        let Self {
            mut statistics,
            counted,
        } = self;
        let has_flows = statistics.total.packets > 0 || statistics.flows > 0;
        let Some(counted) = counted.or_else(|| has_flows.then(Counted::default)) else {
            return;
        };
        if counted.total.packets > statistics.total.packets {
            statistics.total = counted.total;
        }
        if !has_flows {
            for (protocol, packets) in &counted.packets {
                statistics.count(*protocol, *packets, 0);
            }
        }
        let mut kept = CaptureSession::new(&mut statistics, &std::collections::BTreeMap::new());
        kept.is_of(name, format, completeness);
        kept.keep(session);
    }
}

/// What a session says about a log that was read so.
pub(crate) fn completeness(read: &Result<(), Stop>, session: &Session<'_>) -> &'static str {
    match read {
        Err(Stop::Full(_)) => "partial",
        Err(_) => "truncated",
        Ok(()) if session.is_partial() => "partial",
        Ok(()) => "complete",
    }
}
