//! Port scans: one host tries many ports of another (a scan), or one port of many hosts (a sweep).
//!
//! What tells a scan from a busy client is failure: at least half of what was tried is refused or
//! not answered. Passive FTP and browsers reach many ports and hosts, and most of them answer.

use std::collections::BTreeSet;

use super::{Moment, seconds};
use crate::findings::{Findings, Place, Sighting};
use crate::packet::{Address, Endpoint};
use crate::rules;
use crate::table::Table;

/// Ports of one host, or hosts on one port, from which on it is a scan.
const TRIED_MIN: u32 = 20;
/// Pairs of hosts that are watched, and as many sources with a port.
const WATCHED_MAX: usize = 8192;
/// Ports of a pair as a list, before they are worth a bit each.
const LISTED_PORTS: usize = 32;
/// Pairs with a bit for each port: 8 KiB each, 4 MiB together. Further pairs stay at their list.
const BITMAPS_MAX: usize = 512;
/// Hosts that one source is watched trying on one port; more are a sweep in any case.
const HOSTS_MAX: usize = 1024;
/// Hosts in all lists together: about 8 MB.
const HOSTS_TOTAL: usize = 200_000;
/// Open ports that a message names.
const OPEN_NAMED: usize = 20;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The port is open.
    Opened,
    /// The port is closed.
    Refused,
    /// The connection was made whole, not torn down at once.
    Completed,
}

#[derive(Default)]
struct Tally {
    tried: u32,
    opened: u32,
    refused: u32,
    completed: u32,
    stealth: u32,
}

impl Tally {
    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Opened => self.opened += 1,
            Answer::Refused => self.refused += 1,
            Answer::Completed => self.completed += 1,
        }
    }

    fn mostly_fails(&self) -> bool {
        self.opened.saturating_mul(2) <= self.tried
    }

    fn words(&self, span_nanoseconds: i64) -> String {
        format!(
            "{} connection attempts in {:.1} s: {} answered, {} refused, {} without an answer, {} completed.",
            self.tried,
            seconds(span_nanoseconds),
            self.opened,
            self.refused,
            self.tried.saturating_sub(self.opened + self.refused),
            self.completed
        )
    }

    fn kind(&self) -> &'static str {
        if self.stealth * 2 > self.tried {
            "stealth scan (packets without SYN)"
        } else if self.completed > 0 && self.completed >= self.opened.div_ceil(2) {
            "connect scan"
        } else {
            "SYN scan"
        }
    }
}

enum Ports {
    Listed(Vec<u16>),
    Mapped(Box<[u64; 1024]>),
}

struct Pair {
    first: Moment,
    last: i64,
    ports: Ports,
    distinct: u32,
    open: Vec<u16>,
    tally: Tally,
}

struct Sweep {
    first: Moment,
    last: i64,
    /// The first host; most sources never have another.
    target: Address,
    /// The others.
    hosts: BTreeSet<Address>,
    tally: Tally,
}

/// See the module's description.
pub(crate) struct Scans {
    pairs: Table<(Address, Address), Pair>,
    sweeps: Table<(Address, u16), Sweep>,
    bitmaps: usize,
    hosts: usize,
    forgotten: u64,
}

impl Scans {
    pub(crate) fn new() -> Self {
        Self {
            pairs: Table::new(WATCHED_MAX),
            sweeps: Table::new(WATCHED_MAX),
            bitmaps: 0,
            hosts: 0,
            forgotten: 0,
        }
    }

    /// A connection was tried; `stealth` is one that does not begin as the protocol wants it.
    pub(crate) fn attempt(
        &mut self,
        (client, server): (Endpoint, Endpoint),
        moment: Moment,
        stealth: bool,
        findings: &mut Findings,
    ) {
        let slot = self.pair((client.address, server.address), moment, findings);
        let pair = self.pairs.at(slot);
        pair.last = moment.time;
        pair.tally.tried += 1;
        pair.tally.stealth += u32::from(stealth);
        add_port(pair, server.port, &mut self.bitmaps);
        // Every port of a scan would be watched for a sweep, and push the others out.
        if pair.distinct > LISTED_PORTS as u32 {
            return;
        }
        let room = self.hosts < HOSTS_TOTAL;
        let sweep = self.sweep((client, server), moment, findings);
        sweep.last = moment.time;
        sweep.tally.tried += 1;
        let other = server.address != sweep.target;
        let added = other && room && sweep.hosts.len() < HOSTS_MAX && sweep.hosts.insert(server.address);
        self.hosts += usize::from(added);
    }

    /// An attempt was answered. Only of attempts that were told.
    pub(crate) fn answered(
        &mut self,
        (client, server): (Endpoint, Endpoint),
        moment: Moment,
        answer: Answer,
        findings: &mut Findings,
    ) {
        let slot = self.pair((client.address, server.address), moment, findings);
        let pair = self.pairs.at(slot);
        pair.tally.answer(answer);
        let open = answer == Answer::Opened && pair.open.len() < OPEN_NAMED;
        if open && !pair.open.contains(&server.port) {
            pair.open.push(server.port);
        }
        if pair.distinct > LISTED_PORTS as u32 {
            return;
        }
        self.sweep((client, server), moment, findings)
            .tally
            .answer(answer);
    }

    fn pair(&mut self, key: (Address, Address), moment: Moment, findings: &mut Findings) -> usize {
        let found = self.pairs.find(key, moment.packet, || Pair {
            first: moment,
            last: moment.time,
            ports: Ports::Listed(Vec::new()),
            distinct: 0,
            open: Vec::new(),
            tally: Tally::default(),
        });
        if let Some((key, pair)) = found.evicted {
            self.bitmaps -= usize::from(matches!(pair.ports, Ports::Mapped(_)));
            self.forgotten += u64::from(pair.distinct > 1);
            tell_scan(key, &pair, findings);
        }
        found.slot
    }

    fn sweep(
        &mut self,
        (client, server): (Endpoint, Endpoint),
        moment: Moment,
        findings: &mut Findings,
    ) -> &mut Sweep {
        let key = (client.address, server.port);
        let found = self.sweeps.find(key, moment.packet, || Sweep {
            first: moment,
            last: moment.time,
            target: server.address,
            hosts: BTreeSet::new(),
            tally: Tally::default(),
        });
        if let Some((key, sweep)) = found.evicted {
            self.hosts -= sweep.hosts.len();
            self.forgotten += u64::from(!sweep.hosts.is_empty());
            tell_sweep(key, &sweep, findings);
        }
        self.sweeps.at(found.slot)
    }

    /// How many had seen more than one port or host and had to end early.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn finish(self, findings: &mut Findings) {
        for (key, pair) in self.pairs.into_entries() {
            tell_scan(key, &pair, findings);
        }
        for (key, sweep) in self.sweeps.into_entries() {
            tell_sweep(key, &sweep, findings);
        }
    }
}

fn add_port(pair: &mut Pair, port: u16, bitmaps: &mut usize) {
    if let Ports::Listed(listed) = &mut pair.ports {
        if listed.contains(&port) {
            return;
        }
        if listed.len() < LISTED_PORTS {
            listed.push(port);
            pair.distinct += 1;
            return;
        }
        if *bitmaps >= BITMAPS_MAX {
            return;
        }
        *bitmaps += 1;
        let mut map = Box::new([0_u64; 1024]);
        for port in listed.iter() {
            map[usize::from(*port >> 6)] |= 1 << (port & 63);
        }
        pair.ports = Ports::Mapped(map);
    }
    if let Ports::Mapped(map) = &mut pair.ports {
        let word = &mut map[usize::from(port >> 6)];
        let bit = 1 << (port & 63);
        pair.distinct += u32::from(*word & bit == 0);
        *word |= bit;
    }
}

fn tell_scan((client, server): (Address, Address), pair: &Pair, findings: &mut Findings) {
    if pair.distinct < TRIED_MIN || !pair.tally.mostly_fails() {
        return;
    }
    let open: Vec<String> = pair.open.iter().map(u16::to_string).collect();
    let open = match open.len() {
        0 => "No port was seen to be open.".to_owned(),
        _ if pair.tally.opened as usize > OPEN_NAMED => format!("Open among others: {}.", open.join(", ")),
        _ => format!("Open: {}.", open.join(", ")),
    };
    let message = format!(
        "{client} tried {} ports of {server}: a {}. {} {open}",
        pair.distinct,
        pair.tally.kind(),
        pair.tally.words(pair.last - pair.first.time),
    );
    let mut sighting = Sighting::new(
        &rules::SCAN_VERTICAL,
        place(client, server, 0, pair.first),
        "",
        message,
    );
    sighting.extra = vec![
        ("ports", pair.distinct.to_string()),
        ("scan-kind", format!("\"{}\"", pair.tally.kind())),
    ];
    findings.see(sighting);
}

fn tell_sweep((client, port): (Address, u16), sweep: &Sweep, findings: &mut Findings) {
    let hosts = sweep.hosts.len() as u32 + 1;
    if hosts < TRIED_MIN || !sweep.tally.mostly_fails() {
        return;
    }
    let more = if sweep.hosts.len() == HOSTS_MAX {
        " or more"
    } else {
        ""
    };
    let message = format!(
        "{client} tried port {port} of {hosts}{more} hosts, first of {}. {}",
        sweep.target,
        sweep.tally.words(sweep.last - sweep.first.time),
    );
    let mut sighting = Sighting::new(
        &rules::SCAN_HORIZONTAL,
        place(client, sweep.target, port, sweep.first),
        "",
        message,
    );
    sighting.extra = vec![("hosts", hosts.to_string())];
    findings.see(sighting);
}

fn place(client: Address, server: Address, port: u16, first: Moment) -> Place {
    Place {
        client: Endpoint {
            address: client,
            port: 0,
        },
        server: Endpoint {
            address: server,
            port,
        },
        packet: first.packet,
        span: first.span,
        protocol: "tcp",
    }
}
