//! Sightings, gathered into findings: the same thing seen again is another place of one finding.
//!
//! One finding is one rule, one pair of client and server, one subject (a user name, a certificate) and,
//! for credentials, one secret.
//! What is gathered is bounded: a full store is handed over and starts anew, so that nothing is lost
//! and only a later repetition is a finding of its own.
//!
//! A password never comes here: what sees one asks the platform for its identity, a keyed hash, and
//! drops it on the spot.

use std::collections::BTreeMap;

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Location, NetworkEndpoint, PacketFlow, Severity, Span};
use tamiz_sdk::report::Record;

use crate::packet::{Address, Endpoint};
use crate::rules::{Rule, TOOL};

/// Findings that are gathered at once; each has a few hundred bytes.
pub(crate) const GATHERED_MAX: usize = 10_000;
/// Places kept of one finding; more are counted.
const PLACES_MAX: usize = 16;
/// Subjects of one rule between one pair of hosts, before the rest is gathered under one: an attacker
/// who guesses user names must not make a finding of each guess.
const SUBJECTS_MAX: u32 = 32;
/// A user name, a certificate's subject, a domain.
const SUBJECT_BYTES: usize = 200;

/// A finding on its way out, and the packet where it was seen first.
pub(crate) struct Found {
    pub(crate) builder: FindingBuilder,
    pub(crate) first: FirstSeen,
}

/// The packet that shows a finding, as the record that it stands in.
pub(crate) struct FirstSeen {
    packet: u32,
    span: Span,
}

impl Record for FirstSeen {
    fn name(&self) -> String {
        format!("packet {}", self.packet)
    }

    fn span(&self) -> Span {
        self.span
    }
}

/// Where something was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    /// From 1.
    pub(crate) packet: u32,
    /// Its record in the capture.
    pub(crate) span: Span,
    /// Such as `tcp/ftp`.
    pub(crate) protocol: &'static str,
}

/// Something that was seen once.
#[derive(Debug)]
pub(crate) struct Sighting {
    pub(crate) rule: &'static Rule,
    pub(crate) place: Place,
    /// Tells findings of one rule and place apart; text of the capture.
    pub(crate) subject: String,
    pub(crate) message: String,
    /// Other than the rule's own.
    pub(crate) severity: Option<Severity>,
    /// The platform's keyed hash of the secret that was seen; empty for other sightings.
    pub(crate) identity: String,
    /// For a login: what the server said.
    pub(crate) accepted: Option<bool>,
    /// More to know, as key and JSON text.
    pub(crate) extra: Vec<(&'static str, String)>,
}

impl Sighting {
    pub(crate) fn new(rule: &'static Rule, place: Place, subject: &str, message: String) -> Self {
        Self {
            rule,
            place,
            subject: tamiz_sdk::clean_line(subject, SUBJECT_BYTES).text,
            message,
            severity: None,
            identity: String::new(),
            accepted: None,
            extra: Vec::new(),
        }
    }

    /// With the identity of the secret that it is about.
    pub(crate) fn of_secret(mut self, identity: String) -> Self {
        self.identity = identity;
        self
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: &'static str,
    client: Option<Address>,
    server: Endpoint,
    subject: String,
    identity: String,
}

struct Gathered {
    first: Sighting,
    places: Vec<Place>,
    count: u32,
    accepted: u32,
    refused: u32,
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Findings {
    gathered: Vec<Gathered>,
    known: BTreeMap<Key, usize>,
    /// Subjects per rule and pair of hosts.
    subjects: BTreeMap<(&'static str, Option<Address>, Endpoint), u32>,
    /// Full stores that wait to be handed over.
    full: Vec<Found>,
    /// How often the store was full.
    pub(crate) renewed: u32,
}

impl Findings {
    pub(crate) fn see(&mut self, mut sighting: Sighting) {
        let client = (!sighting.rule.of_server).then_some(sighting.place.client.address);
        let pair = (sighting.rule.id, client, sighting.place.server);
        let mut key = Key {
            rule: sighting.rule.id,
            client,
            server: sighting.place.server,
            subject: sighting.subject.clone(),
            identity: sighting.identity.clone(),
        };
        if !self.known.contains_key(&key) {
            let subjects = self.subjects.entry(pair).or_insert(0);
            if *subjects >= SUBJECTS_MAX {
                key.subject = String::new();
                key.identity = String::new();
                sighting.subject = String::new();
                sighting.identity = String::new();
                sighting.message = format!(
                    "More than {SUBJECTS_MAX} of this kind between the two hosts: the further ones are gathered here. {}",
                    sighting.message
                );
            } else {
                *subjects += 1;
            }
        }
        let index = match self.known.get(&key) {
            Some(index) => *index,
            None => self.begin(key, sighting.clone_for_gathering()),
        };
        let Some(gathered) = self.gathered.get_mut(index) else {
            return;
        };
        gathered.count += 1;
        match sighting.accepted {
            Some(true) => gathered.accepted += 1,
            Some(false) => gathered.refused += 1,
            None => {}
        }
        let place = sighting.place;
        let known = gathered
            .places
            .iter()
            .any(|other| (other.client, other.server) == (place.client, place.server));
        if !known && gathered.places.len() < PLACES_MAX {
            gathered.places.push(place);
        }
    }

    fn begin(&mut self, key: Key, first: Sighting) -> usize {
        if self.gathered.len() >= GATHERED_MAX {
            self.renewed += 1;
            self.known.clear();
            self.subjects.clear();
            let gathered = std::mem::take(&mut self.gathered);
            self.full.extend(build_all(gathered));
        }
        self.gathered.push(Gathered {
            first,
            places: Vec::new(),
            count: 0,
            accepted: 0,
            refused: 0,
        });
        let index = self.gathered.len() - 1;
        self.known.insert(key, index);
        index
    }

    /// What a full store held, if one is waiting.
    pub(crate) fn take_full(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.full)
    }

    /// All that is left, in the order of the packets.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = Found> + use<> {
        self.known.clear();
        build_all(std::mem::take(&mut self.gathered))
    }
}

impl Sighting {
    fn clone_for_gathering(&mut self) -> Self {
        Self {
            rule: self.rule,
            place: self.place,
            subject: std::mem::take(&mut self.subject),
            message: std::mem::take(&mut self.message),
            severity: self.severity,
            identity: std::mem::take(&mut self.identity),
            accepted: self.accepted,
            extra: std::mem::take(&mut self.extra),
        }
    }
}

fn build_all(mut gathered: Vec<Gathered>) -> impl Iterator<Item = Found> {
    gathered.sort_by_key(|one| (one.first.place.packet, one.first.rule.id));
    gathered.into_iter().map(build)
}

fn build(gathered: Gathered) -> Found {
    let Gathered {
        first,
        places,
        count,
        accepted,
        refused,
    } = gathered;
    let rule = first.rule;
    let mut severity = first.severity.unwrap_or(rule.severity);
    // What was refused every time tells less than what worked.
    if refused > 0 && refused == count && severity == Severity::High {
        severity = Severity::Medium;
    }
    let message = format!("{}{}", first.message, answers(count, accepted, refused));
    let mut builder = rule
        .finding(TOOL, &first.subject, &message, severity)
        .extra_json("occurrences", &count.to_string());
    for (key, json) in &first.extra {
        builder = builder.extra_json(key, json);
    }
    for place in places {
        builder = builder.location(location(&place));
    }
    Found {
        builder: builder.tool_fingerprint(&first.identity),
        first: FirstSeen {
            packet: first.place.packet,
            span: first.place.span,
        },
    }
}

/// How often it was seen, and what the servers answered.
fn answers(count: u32, accepted: u32, refused: u32) -> String {
    match (count, accepted, refused) {
        (1, 1, _) => " The server accepted it.".to_owned(),
        (1, _, 1) => " The server refused it.".to_owned(),
        (1, ..) => String::new(),
        (_, 0, 0) => format!(" Seen {count} times."),
        _ => format!(" Seen {count} times: {accepted} accepted, {refused} refused by the server."),
    }
}

fn location(place: &Place) -> Location {
    let end = |end: Endpoint| NetworkEndpoint {
        host: end.address.to_string(),
        // Port 0 stands for all of them, in scans.
        port: (end.port > 0).then_some(u32::from(end.port)),
        protocol: Some(place.protocol.to_owned()),
    };
    Location::Flow(PacketFlow {
        source: end(place.client),
        destination: end(place.server),
        packet: Some(place.packet),
    })
}
