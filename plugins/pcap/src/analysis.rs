//! One capture, from its first packet to its findings and its session.

use std::collections::BTreeMap;

use tamiz_sdk::Host;
use tamiz_sdk::model::Span;

use crate::capture::{LinkType, Record};
use crate::detect::{Beacons, DnsWatch, Moment, Scans};
use crate::findings::{Findings, Found, GATHERED_MAX};
use crate::flows::{Flows, Watch};
use crate::fragments::{Fragments, Joined};
use crate::packet::{self, Carried};
use crate::session::CaptureSession;
use crate::statistics::{Amount, Statistics};
use crate::stream::{Budget, STREAM_KIB};

/// Link types of one capture that are counted; a machine has a handful.
const LINKS_MAX: usize = 64;

/// Everything that is kept about a capture. All of it is bounded.
pub(crate) struct Analysis {
    number: u32,
    time: i64,
    flows: Flows,
    fragments: Fragments,
    watch: Watch,
    /// The last packets' link type, and how many they are.
    link: Option<(LinkType, u64)>,
    links: BTreeMap<LinkType, u64>,
}

impl Analysis {
    pub(crate) fn new() -> Self {
        Self {
            number: 0,
            time: 0,
            flows: Flows::new(),
            fragments: Fragments::new(),
            watch: Watch {
                findings: Findings::default(),
                statistics: Statistics::default(),
                scans: Scans::new(),
                beacons: Beacons::new(),
                dns: DnsWatch::new(),
                budget: Budget::default(),
            },
            link: None,
            links: BTreeMap::new(),
        }
    }

    /// Packets so far.
    pub(crate) fn packets(&self) -> u64 {
        self.watch.statistics.total.packets
    }

    /// Takes the next packet.
    pub(crate) fn packet(&mut self, record: &Record, data: &[u8], offset: u64, host: &mut dyn Host) {
        self.number = self.number.saturating_add(1);
        let bytes = u64::from(record.original_bytes);
        let statistics = &mut self.watch.statistics;
        statistics.total.add(1, bytes);
        statistics.captured_bytes += data.len() as u64;
        statistics.cut_short += u64::from(data.len() < record.original_bytes as usize);
        if let Some(time) = record.time {
            self.time = time;
            statistics.time(time);
        }
        match &mut self.link {
            Some((link, count)) if *link == record.link => *count += 1,
            _ => self.change_link(record.link),
        }
        if !packet::is_decoded(record.link) {
            return;
        }
        let packet = packet::decode(record.link, data);
        self.watch.statistics.packet(&packet, bytes);
        if !matches!(packet.carried, Carried::Tcp | Carried::Udp | Carried::Fragment) {
            return;
        }
        let moment = Moment {
            packet: self.number,
            time: self.time,
            // A report of more than 4 GiB is refused before it comes here.
            span: Span::new(
                u32::try_from(offset).unwrap_or(u32::MAX),
                record.whole_bytes as u32,
            ),
        };
        if packet.carried == Carried::Fragment {
            let joined = self.fragments.take(&packet, bytes, moment);
            self.joined(&joined, host);
            return;
        }
        let amount = Amount { packets: 1, bytes };
        self.flows.packet(&packet, amount, moment, &mut self.watch, host);
    }

    /// Packets of one link type mostly come in a row: only a change is looked up.
    fn change_link(&mut self, link: LinkType) {
        self.count_links();
        self.link = Some((link, 1));
    }

    fn count_links(&mut self) {
        let Some((link, count)) = self.link.take() else {
            return;
        };
        if let Some(known) = self.links.get_mut(&link) {
            *known += count;
        } else if self.links.len() < LINKS_MAX {
            self.links.insert(link, count);
        }
    }

    /// Takes packets that were put together.
    fn joined(&mut self, joined: &[Joined], host: &mut dyn Host) {
        for joined in joined {
            let packet = packet::joined(joined);
            if matches!(packet.carried, Carried::Tcp | Carried::Udp) {
                // Its number is that of the piece that came last: a table's clock must not go back.
                let moment = Moment {
                    packet: self.number,
                    ..joined.first
                };
                self.flows
                    .packet(&packet, joined.amount, moment, &mut self.watch, host);
            }
        }
    }

    /// Findings of a store that was full, to be handed over before the end.
    pub(crate) fn take_full(&mut self) -> Vec<Found> {
        self.watch.findings.take_full()
    }

    /// Packets whose link type is not taken apart, by type.
    pub(crate) fn undecoded(&mut self) -> Vec<(u32, u64)> {
        self.count_links();
        let links = self.links.iter();
        links
            .filter(|(link, _)| !packet::is_decoded(**link))
            .map(|(link, count)| (link.0, *count))
            .collect()
    }

    /// What the end of the capture tells: findings, the session, and which bounds were reached.
    pub(crate) fn finish(mut self, host: &mut dyn Host) -> Ended {
        self.count_links();
        let incomplete = self.fragments.finish();
        self.joined(&incomplete, host);
        let Self {
            flows,
            fragments,
            mut watch,
            links,
            ..
        } = self;
        let flows_evicted = flows.evicted();
        flows.finish(&mut watch, host);
        let Watch {
            mut findings,
            mut statistics,
            scans,
            beacons,
            dns,
            budget,
        } = watch;
        let forgotten = scans.forgotten() + beacons.forgotten() + dns.forgotten();
        scans.finish(&mut findings);
        beacons.finish(&mut findings);
        dns.finish(&mut findings);
        let evicted = (flows_evicted, forgotten);
        let bounds = bounds(
            evicted,
            findings.renewed,
            statistics.cut_short,
            &budget,
            &fragments,
        );
        let mut found = findings.take_full();
        found.extend(findings.finish());
        let session = CaptureSession::new(&mut statistics, &links);
        Ended {
            findings: found,
            session,
            malformed: statistics.malformed,
            bounds,
        }
    }
}

/// See [`Analysis::finish`].
pub(crate) struct Ended {
    pub(crate) findings: Vec<Found>,
    pub(crate) session: CaptureSession,
    pub(crate) malformed: u64,
    /// A code and a message for each bound that was reached.
    pub(crate) bounds: Vec<(&'static str, String)>,
}

fn bounds(
    (flows, forgotten): (u64, u64),
    renewed: u32,
    cut_short: u64,
    budget: &Budget,
    fragments: &Fragments,
) -> Vec<(&'static str, String)> {
    let mut bounds = Vec::new();
    let mut add = |count: u64, code, message: &str| {
        if count > 0 {
            bounds.push((code, format!("{count} {message}")));
        }
    };
    add(
        flows,
        "flows-evicted",
        "conversations were taken for ended early, because too many were open at once",
    );
    add(
        forgotten,
        "watches-evicted",
        "watches for scans, beacons and DNS were ended early, because too many hosts were active at once",
    );
    add(
        budget.refused,
        "reassembly-limit",
        "connections were not followed further, because too much waited for missing packets",
    );
    add(
        budget.gaps,
        "reassembly-gap",
        "gaps in connections did not close, because packets are missing in the capture: what stood there was not read",
    );
    add(
        cut_short,
        "packets-cut",
        "packets were not captured whole: what the capture does not have of them was not read",
    );
    add(
        budget.long,
        "stream-limit",
        &format!(
            "directions of connections were read as far as their first {STREAM_KIB} KiB; what they said after that was \
             not looked into"
        ),
    );
    add(
        fragments.incomplete,
        "fragments-incomplete",
        "packets in fragments are not all there; of each its beginning was read",
    );
    add(
        fragments.refused,
        "fragments-limit",
        "fragments were not kept, because too many waited for others",
    );
    if renewed > 0 {
        let message = format!(
            "more than {GATHERED_MAX} findings were gathered, {renewed} times: what was seen again later is a finding of its own"
        );
        bounds.push(("findings-regrouped", message));
    }
    bounds
}
