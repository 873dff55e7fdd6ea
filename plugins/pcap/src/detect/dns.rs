//! DNS used for other ends than names: zone transfers, data smuggled in names, floods of names that
//! do not exist.
//!
//! Only the head and the first question of a message are read, by hand: it is all that is needed, it
//! is fifteen lines, and `simple-dns`, which was tried, refuses query types that no standard names,
//! which are just what tunnels use. A question's name is never compressed, so no pointer is followed.

use super::Moment;
use crate::findings::{Findings, Place, Sighting};
use crate::packet::Address;
use crate::rules;
use crate::table::Table;

const HEAD_BYTES: usize = 12;
/// Of a name on the wire, by the standard.
const NAME_BYTES: usize = 255;
const RESPONSE: u16 = 0x8000;
const CODE_MASK: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;
const IXFR: u16 = 251;
const AXFR: u16 = 252;
/// A label this long is rarely made by a person.
const LONG_LABEL: usize = 40;
/// A shorter one counts when it is a hexadecimal number, or its characters are as mixed as encoded
/// data: bits per character.
const MIXED_LABEL: usize = 24;
const MIXED_BITS: f64 = 3.6;
const HEXADECIMAL_BITS: f64 = 2.5;
/// Queries of one client below one domain from which on it is a tunnel: content networks and mail
/// filters ask single long names too.
const TUNNEL_QUERIES: u32 = 10;
/// Names that do not exist, from which on it is a flood, when they are also half of the answers.
const FLOOD_NAMES: u32 = 50;
/// Clients with a domain, and clients, that are watched.
const WATCHED_MAX: usize = 8192;
/// The last queries of a watch, so that one that is repeated counts once.
const REMEMBERED: usize = 8;

/// What a message's head and first question say.
#[derive(Debug)]
pub(crate) struct Message {
    response: bool,
    code: u16,
    answers: u16,
    kind: u16,
    name: String,
    longest: usize,
    bits: f64,
    hexadecimal: bool,
    labels: usize,
}

impl Message {
    /// Reads the head and the first question; nothing when there is none or it is no DNS.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let word = bytes.get(at..)?.first_chunk()?;
            Some(u16::from_be_bytes(*word))
        };
        let (flags, questions, answers) = (word(2)?, word(4)?, word(6)?);
        if questions == 0 {
            return None;
        }
        let mut message = Self {
            response: flags & RESPONSE != 0,
            code: flags & CODE_MASK,
            answers,
            kind: 0,
            name: String::new(),
            longest: 0,
            bits: 0.0,
            hexadecimal: false,
            labels: 0,
        };
        let mut at = HEAD_BYTES;
        loop {
            let length = usize::from(*bytes.get(at)?);
            if length == 0 {
                break;
            }
            if length > 63 || at + length > HEAD_BYTES + NAME_BYTES {
                return None;
            }
            message.label(bytes.get(at + 1..at + 1 + length)?);
            at += 1 + length;
        }
        message.kind = word(at + 1)?;
        Some(message)
    }

    fn label(&mut self, label: &[u8]) {
        if label.len() > self.longest {
            self.longest = label.len();
            self.bits = entropy(label);
            self.hexadecimal = label.iter().all(u8::is_ascii_hexdigit);
        }
        if self.labels > 0 {
            self.name.push('.');
        }
        self.labels += 1;
        for byte in label {
            if byte.is_ascii_graphic() && *byte != b'.' {
                self.name.push(byte.to_ascii_lowercase().into());
            } else {
                self.name.push('?');
            }
        }
    }

    fn looks_encoded(&self) -> bool {
        let bits_min = if self.hexadecimal {
            HEXADECIMAL_BITS
        } else {
            MIXED_BITS
        };
        self.longest >= LONG_LABEL || (self.longest >= MIXED_LABEL && self.bits >= bits_min)
    }

    /// The last two labels: close enough to what somebody registered. Nothing when they are encoded
    /// themselves, as when a tunnel talks to its server without a domain.
    fn domain(&self) -> &str {
        let mut dots = self.name.rmatch_indices('.').map(|(at, _)| at);
        let second = dots.nth(1);
        let domain = second
            .and_then(|at| self.name.get(at + 1..))
            .unwrap_or(&self.name);
        let readable = domain.split('.').all(|label| label.len() < MIXED_LABEL);
        if readable && second.is_some() { domain } else { "" }
    }
}

/// Bits per character.
fn entropy(label: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in label {
        counts[usize::from(byte.to_ascii_lowercase())] += 1;
    }
    let length = label.len() as f64;
    let used = counts.iter().filter(|count| **count > 0);
    used.map(|count| f64::from(*count) / length)
        .map(|part| -part * part.log2())
        .sum()
}

struct Tunnel {
    place: Place,
    domain: String,
    queries: u32,
    encoded: u32,
    bytes: u64,
    longest: usize,
    recent: [u64; REMEMBERED],
}

struct Asker {
    place: Place,
    answers: u32,
    missing: u32,
    example: String,
}

/// See the module's description.
pub(crate) struct DnsWatch {
    tunnels: Table<(Address, u64), Tunnel>,
    askers: Table<Address, Asker>,
    /// Watches that had seen something and had to end early.
    forgotten: u64,
}

impl DnsWatch {
    pub(crate) fn new() -> Self {
        Self {
            tunnels: Table::new(WATCHED_MAX),
            askers: Table::new(WATCHED_MAX),
            forgotten: 0,
        }
    }

    /// A message between the place's client and server.
    pub(crate) fn message(
        &mut self,
        message: &Message,
        place: Place,
        moment: Moment,
        findings: &mut Findings,
    ) {
        if matches!(message.kind, AXFR | IXFR) {
            transfer(message, place, findings);
        }
        if message.response {
            self.answer(message, place, moment, findings);
        } else if message.looks_encoded() {
            self.encoded(message, place, moment, findings);
        }
    }

    fn encoded(&mut self, message: &Message, place: Place, moment: Moment, findings: &mut Findings) {
        let domain = message.domain();
        let key = (place.client.address, hash(domain.as_bytes()));
        let found = self.tunnels.find(key, moment.packet, || Tunnel {
            place,
            domain: domain.to_owned(),
            queries: 0,
            encoded: 0,
            bytes: 0,
            longest: 0,
            recent: [0; REMEMBERED],
        });
        if let Some((_, tunnel)) = found.evicted {
            self.forgotten += u64::from(tunnel.encoded > 1);
            tell_tunnel(&tunnel, findings);
        }
        let tunnel = self.tunnels.at(found.slot);
        tunnel.queries += 1;
        let query = hash(message.name.as_bytes());
        if tunnel.recent.contains(&query) {
            return;
        }
        tunnel.recent[tunnel.encoded as usize % REMEMBERED] = query;
        tunnel.encoded += 1;
        tunnel.bytes += message.name.len().saturating_sub(domain.len() + 1) as u64;
        tunnel.longest = tunnel.longest.max(message.longest);
    }

    fn answer(&mut self, message: &Message, place: Place, moment: Moment, findings: &mut Findings) {
        let missing = message.code == NO_SUCH_NAME;
        let found = self.askers.find(place.client.address, moment.packet, || Asker {
            place,
            answers: 0,
            missing: 0,
            example: String::new(),
        });
        if let Some((_, asker)) = found.evicted {
            self.forgotten += u64::from(asker.missing > 1);
            tell_flood(&asker, findings);
        }
        let asker = self.askers.at(found.slot);
        asker.answers += 1;
        if missing {
            if asker.missing == 0 {
                asker.place = place;
                asker.example.clone_from(&message.name);
            }
            asker.missing += 1;
        }
    }

    /// How many watches had seen something and had to end early.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn finish(self, findings: &mut Findings) {
        for (_, tunnel) in self.tunnels.into_entries() {
            tell_tunnel(&tunnel, findings);
        }
        for (_, asker) in self.askers.into_entries() {
            tell_flood(&asker, findings);
        }
    }
}

/// The question is told when it is asked, and told again when it is granted; a refusal is the good end.
fn transfer(message: &Message, place: Place, findings: &mut Findings) {
    let kind = if message.kind == AXFR { "AXFR" } else { "IXFR" };
    let (client, server) = (place.client.address, place.server.address);
    if !message.response {
        let text = format!(
            "{client} asked {server} for the whole zone `{}` ({kind}).",
            message.name
        );
        findings.see(Sighting::new(&rules::DNS_TRANSFER, place, &message.name, text));
    } else if message.code == 0 && message.answers > 0 {
        let text = format!(
            "{server} handed the whole zone `{}` to {client} ({kind}).",
            message.name
        );
        let rule = &rules::DNS_TRANSFER_GRANTED;
        findings.see(Sighting::new(rule, place, &message.name, text));
    }
}

fn tell_tunnel(tunnel: &Tunnel, findings: &mut Findings) {
    if tunnel.encoded < TUNNEL_QUERIES {
        return;
    }
    let below = if tunnel.domain.is_empty() {
        "without a domain".to_owned()
    } else {
        format!("below `{}`", tunnel.domain)
    };
    let message = format!(
        "{} asked {} for {} different names {below} with labels of up to {} characters: {} bytes of names that look \
         like encoded data.",
        tunnel.place.client.address,
        tunnel.place.server.address,
        tunnel.encoded,
        tunnel.longest,
        tunnel.bytes
    );
    let mut sighting = Sighting::new(&rules::DNS_TUNNEL, tunnel.place, &tunnel.domain, message);
    sighting.extra = vec![
        ("queries", tunnel.queries.to_string()),
        ("name-bytes", tunnel.bytes.to_string()),
    ];
    findings.see(sighting);
}

fn tell_flood(asker: &Asker, findings: &mut Findings) {
    if asker.missing < FLOOD_NAMES || asker.missing.saturating_mul(2) < asker.answers {
        return;
    }
    let message = format!(
        "{} of {} answers to {} were that the name does not exist, such as `{}`.",
        asker.missing, asker.answers, asker.place.client.address, asker.example
    );
    let mut sighting = Sighting::new(&rules::DNS_FLOOD, asker.place, "", message);
    sighting.extra = vec![("names", asker.missing.to_string())];
    findings.see(sighting);
}

/// FNV-1a; only the place in a bounded table depends on it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::Message;

    fn query(labels: &[&str], kind: u16) -> Vec<u8> {
        let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_read_and_a_cut_one_is_none() {
        let bytes = query(&["WWW", "Example", "test"], 252);
        let message = Message::read(&bytes).expect("whole");
        assert_eq!((message.name.as_str(), message.kind), ("www.example.test", 252));
        assert_eq!(message.domain(), "example.test");
        assert!((0..bytes.len() - 2).all(|end| Message::read(&bytes[..end]).is_none()));
    }

    #[test]
    fn encoded_labels_are_told_from_words() {
        let looks = |label: &str| {
            Message::read(&query(&[label, "example", "test"], 1))
                .expect("whole")
                .looks_encoded()
        };
        assert!(looks("7f3a9c0e5b1d48f6a2c7e9b03d5f8a1c6e4b7d90"));
        assert!(looks("mzxw6ytboi4dkn3vpe2gq5lr"));
        assert!(!looks("selector1"));
        assert!(!looks("autodiscover-settings"));
        assert!(!looks("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }
}
