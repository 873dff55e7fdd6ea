//! tshark's JSON: an array of packets, either whole or as the fields that it was asked for (`-e`).
//!
//! A packet is a finding when it shows a password in a protocol that is not read here otherwise (LDAP,
//! MQTT, PostgreSQL, SOCKS, PPP, IRC), or when Wireshark itself calls it a security problem or malformed;
//! else it is left out by name. What a password is never gets here from our own runs (see [`crate::plan`]);
//! in a packet that is whole it stays where it is.
//!
//! ```json
//! [{"_index": "packets-2026-11-21", "_source": {"layers": {"frame.number": ["4"], "ip.src": ["10.0.0.1"]}}}]
//! ```

use serde::Deserialize;
use serde_json::Value;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::model::{Location, NetworkEndpoint, PacketFlow};
use tamiz_sdk::report::{Format, Head, Recognition, Record, Session, Source, Stop, json_lines};

use crate::rules::{self, Rule};

const TOOL: &str = "tshark";
/// `PI_SECURITY` of Wireshark's expert information.
const GROUP_SECURITY: u64 = 0x0a00_0000;
/// `PI_ERROR`.
const SEVERITY_ERROR: u64 = 0x0080_0000;
/// Values of one field in one packet; tunnels nest a few.
const VALUES_MAX: usize = 64;

/// The fields that are read, wherever in a packet they stand.
const WANTED: [&str; 26] = [
    "frame.number",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "_ws.expert.severity",
    "_ws.expert.group",
    "_ws.expert.message",
    "ldap.authentication",
    "ldap.simple",
    "ldap.name",
    "mqtt.conflag.passwd",
    "mqtt.passwd",
    "mqtt.username",
    "pgsql.type",
    "pgsql.password",
    "pap.peer_id",
    "pap.password",
    "socks.username",
    "socks.password",
    "irc.request.command",
    "frame.protocols",
];

/// The format.
pub(crate) struct Tshark;

#[derive(Deserialize)]
struct Packet {
    #[serde(rename = "_source")]
    source: PacketSource,
}

#[derive(Deserialize)]
struct PacketSource {
    layers: Value,
}

/// What is read of a packet.
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn new(layers: &Value) -> Self {
        let mut fields = Self(Vec::new());
        fields.walk("", layers);
        fields
    }

    /// JSON nests 128 levels at most, so this does, too.
    fn walk(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| self.walk(key, value)),
            Value::Array(entries) => entries.iter().for_each(|value| self.walk(key, value)),
            Value::String(text) => self.add(key, text),
            Value::Number(number) => self.add(key, &number.to_string()),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn add(&mut self, key: &str, text: &str) {
        if let Some(name) = WANTED.iter().find(|name| **name == key)
            && self.all(name).count() < VALUES_MAX
        {
            self.0.push((name, text.to_owned()));
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.0.iter().filter(move |(known, _)| *known == name);
        of_name.map(|(_, text)| text.as_str())
    }

    fn first(&self, names: &[&str]) -> &str {
        let mut texts = names.iter().filter_map(|name| self.all(name).next());
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    fn has(&self, names: &[&str]) -> bool {
        !self.first(names).is_empty()
    }

    /// As [`Fields::first`], of numbers that are written in either base.
    fn has_number(&self, name: &str, wanted: u64) -> bool {
        self.all(name).any(|text| {
            let number = match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => text.parse(),
            };
            number == Ok(wanted)
        })
    }

    /// The rule that a password in the packet breaks, and the user.
    fn credentials(&self) -> Option<(&'static Rule, &str)> {
        let is_set = |name| self.has_number(name, 1) || self.first(&[name]) == "true";
        if self.has(&["ldap.simple"])
            || (self.has_number("ldap.authentication", 0) && self.has(&["ldap.name"]))
        {
            return Some((&rules::LDAP, self.first(&["ldap.name"])));
        }
        if self.has(&["mqtt.passwd"]) || is_set("mqtt.conflag.passwd") {
            return Some((&rules::MQTT, self.first(&["mqtt.username"])));
        }
        if self.has(&["pgsql.password"]) || self.all("pgsql.type").any(|kind| kind == "Password message") {
            return Some((&rules::POSTGRESQL, ""));
        }
        if self.has(&["pap.password", "pap.peer_id"]) {
            return Some((&rules::PAP, self.first(&["pap.peer_id"])));
        }
        if self.has(&["socks.password", "socks.username"]) {
            return Some((&rules::SOCKS, self.first(&["socks.username"])));
        }
        let is_pass = |command: &str| command.eq_ignore_ascii_case("PASS");
        self.all("irc.request.command")
            .any(is_pass)
            .then_some((&rules::IRC, ""))
    }

    fn finding(&self) -> Option<FindingBuilder> {
        let told = self.first(&["_ws.expert.message"]);
        let of =
            |rule: &Rule, subject: &str, message: &str| rule.finding(TOOL, subject, message, rule.severity);
        if let Some((rule, user)) = self.credentials() {
            let who = if user.is_empty() {
                "Somebody".to_owned()
            } else {
                format!("`{user}`")
            };
            let message = format!(
                "{who} sent a password [redacted] to {} without encryption.",
                self.first(&["ip.dst", "ipv6.dst"])
            );
            return Some(of(rule, user, &message));
        }
        if self.has_number("_ws.expert.group", GROUP_SECURITY) {
            return Some(of(&rules::EXPERT, told, told));
        }
        self.has_number("_ws.expert.severity", SEVERITY_ERROR)
            .then(|| of(&rules::MALFORMED, "", told))
    }

    fn place(&self) -> Location {
        let layers = self.first(&["frame.protocols"]);
        let transport = if self.has(&["tcp.srcport"]) {
            "tcp"
        } else if self.has(&["udp.srcport"]) {
            "udp"
        } else {
            ""
        };
        let protocol = match (transport, layers.rsplit(':').next()) {
            ("", _) => None,
            (transport, Some(last)) if !last.is_empty() && last != transport => {
                Some(format!("{transport}/{last}"))
            }
            (transport, _) => Some(transport.to_owned()),
        };
        let end = |hosts: &[&str], ports: &[&str]| NetworkEndpoint {
            host: self.first(hosts).to_owned(),
            port: self.first(ports).parse().ok(),
            protocol: protocol.clone(),
        };
        Location::Flow(PacketFlow {
            source: end(&["ip.src", "ipv6.src"], &["tcp.srcport", "udp.srcport"]),
            destination: end(&["ip.dst", "ipv6.dst"], &["tcp.dstport", "udp.dstport"]),
            packet: self.first(&["frame.number"]).parse().ok(),
        })
    }
}

impl Format for Tshark {
    fn name(&self) -> &'static str {
        "tshark-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["tshark", "wireshark"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.has_all(&["[]._index", "[]._source.layers"]).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let Some(packet) = element.read_or_lose::<Packet>(session, &mut repaired) else {
                return Ok(());
            };
            let fields = Fields::new(&packet.source.layers);
            if let Some(finding) = fields.finding() {
                return session.emit(finding.location(fields.place()), &element);
            }
            let why = match fields.first(&["frame.number"]) {
                "" => format!("({}) has no field that is looked at", Record::name(&element)),
                number => format!("is packet {number}, in which tshark sees nothing wrong"),
            };
            session.leave_out_record("packet-not-a-finding", &element, &why);
            Ok(())
        })
    }
}
