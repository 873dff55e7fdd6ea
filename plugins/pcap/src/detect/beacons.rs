//! Beacons: a host that connects to the same place again and again, as regular as a clock.
//!
//! Intervals between the starts of conversations are kept as a running mean and variance (Welford),
//! so that a watch has the same size after three and after three million of them.

use super::{Moment, seconds};
use crate::findings::{Findings, Place, Sighting};
use crate::packet::{Address, Endpoint};
use crate::rules;
use crate::table::Table;

/// Conversations from which on regularity means something.
const CONNECTIONS_MIN: u32 = 10;
/// Standard deviation of the intervals, as a part of their mean: people and load vary by more.
const JITTER_MAX: f64 = 0.1;
/// Faster repetition is polling, a scan or load, and shows elsewhere.
const INTERVAL_SECONDS_MIN: f64 = 2.0;
/// Clients with one place that are watched.
const WATCHED_MAX: usize = 16_384;
/// Services that are regular by nature: name resolution, time, addresses, discovery.
const REGULAR_PORTS: [u16; 11] = [53, 67, 68, 123, 137, 138, 161, 500, 546, 1900, 5353];

struct Watched {
    first: Moment,
    last: i64,
    source: Endpoint,
    connections: u32,
    mean: f64,
    squares: f64,
}

/// See the module's description.
pub(crate) struct Beacons {
    watched: Table<(Address, Endpoint, bool), Watched>,
    forgotten: u64,
}

impl Beacons {
    pub(crate) fn new() -> Self {
        Self {
            watched: Table::new(WATCHED_MAX),
            forgotten: 0,
        }
    }

    /// A conversation began: a datagram, or a connection that was answered. Attempts that are not are
    /// the scans' business, and would push the others out.
    pub(crate) fn begin(
        &mut self,
        (client, server): (Endpoint, Endpoint),
        tcp: bool,
        moment: Moment,
        findings: &mut Findings,
    ) {
        if REGULAR_PORTS.contains(&server.port) || server.address.is_group() {
            return;
        }
        let key = (client.address, server, tcp);
        let found = self.watched.find(key, moment.packet, || Watched {
            first: moment,
            last: moment.time,
            source: client,
            connections: 0,
            mean: 0.0,
            squares: 0.0,
        });
        if let Some((key, watched)) = found.evicted {
            self.forgotten += u64::from(watched.connections > 1);
            tell(key, &watched, findings);
        }
        let watched = self.watched.at(found.slot);
        watched.connections += 1;
        if found.is_new {
            return;
        }
        let interval = seconds(moment.time.saturating_sub(watched.last)).max(0.0);
        watched.last = moment.time;
        let count = f64::from(watched.connections - 1);
        let distance = interval - watched.mean;
        watched.mean += distance / count;
        watched.squares += distance * (interval - watched.mean);
    }

    /// How many had seen a repetition and had to end early.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn finish(self, findings: &mut Findings) {
        for (key, watched) in self.watched.into_entries() {
            tell(key, &watched, findings);
        }
    }
}

fn tell((_, server, tcp): (Address, Endpoint, bool), watched: &Watched, findings: &mut Findings) {
    if watched.connections < CONNECTIONS_MIN || watched.mean < INTERVAL_SECONDS_MIN {
        return;
    }
    let intervals = f64::from(watched.connections - 1);
    let deviation = (watched.squares / intervals).max(0.0).sqrt();
    let jitter = deviation / watched.mean;
    if jitter > JITTER_MAX {
        return;
    }
    let place = Place {
        client: watched.source,
        server,
        packet: watched.first.packet,
        span: watched.first.span,
        protocol: if tcp { "tcp" } else { "udp" },
    };
    let message = format!(
        "{} connected {} times to {} port {}, every {:.1} s with a jitter of {:.1} %, for {:.0} s.",
        place.client.address,
        watched.connections,
        server.address,
        server.port,
        watched.mean,
        jitter * 100.0,
        seconds(watched.last.saturating_sub(watched.first.time)),
    );
    let mut sighting = Sighting::new(&rules::BEACON, place, "", message);
    sighting.extra = vec![
        ("connections", watched.connections.to_string()),
        ("interval-seconds", format!("{:.3}", watched.mean)),
        ("jitter", format!("{jitter:.4}")),
    ];
    findings.see(sighting);
}
