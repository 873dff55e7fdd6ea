//! dnsrecon's JSON and XML (0.10 to 1.3): one entry per DNS record.
//!
//! A zone transfer that succeeded is an entry of its own (`info`, `zone_transfer`). The entry `ScanInfo`
//! is the tool's about itself, and no record. What reverse look-ups find are lists of entries in the list;
//! the XML has records by domain since 1.2. Shape: <https://github.com/darkoperator/dnsrecon>.
//!
//! Without any entry no name server answered, and the report is refused, unless names were only guessed.

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::Text;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Event, Format, Head, Recognition, Record, Session, Source, Stop, each, walk,
};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::found;

const TOOL: &str = "dnsrecon";

/// Where name servers listen.
const DNS_PORT: i64 = 53;

/// What an entry says about the domain; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "dnsrecon",
    words: &[
        ("zone transfer", Severity::High),
        ("open resolver", Severity::Medium),
        ("SPF +all", Severity::Medium),
        ("record", Severity::Info),
    ],
};

pub(crate) struct Json;

pub(crate) struct Xml;

#[derive(Deserialize, Default)]
struct Entry<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    target: Text<'a>,
    #[serde(borrow, default)]
    exchange: Text<'a>,
    #[serde(borrow, default)]
    mname: Text<'a>,
    #[serde(borrow, default)]
    domain: Text<'a>,
    #[serde(borrow, default)]
    address: Text<'a>,
    #[serde(borrow, default)]
    port: Text<'a>,
    #[serde(borrow, default)]
    strings: Text<'a>,
    #[serde(borrow, default)]
    recursive: Text<'a>,
    #[serde(borrow, default, rename = "Version")]
    version: Text<'a>,
    #[serde(borrow, default, alias = "zonetransfer")]
    zone_transfer: Text<'a>,
    #[serde(borrow, default)]
    ns_server: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "dnsrecon-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dnsrecon"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let info = head.has_all(&["[].arguments", "[].date", "[].type"]);
        let entries = [
            "[].address",
            "[].target",
            "[].domain",
            "[].zone_server",
            "[].ns_server",
            "[].exchange",
            "[].strings",
            "[].mname",
        ];
        let some = head.has("[].type") && head.count(&entries) >= 2 && !head.has("[].fuzzer");
        (info || some).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut guessing = false;
        let mut reader = source.json()?;
        each(&mut reader, session, "", |session, element| {
            if !element.bytes().starts_with(b"[") {
                return one(session, &element, &mut guessing);
            }
            let Ok(parts) = serde_json::from_slice::<Vec<&RawValue>>(element.bytes()) else {
                return one(session, &element, &mut guessing);
            };
            for (index, part) in parts.iter().enumerate() {
                let name = format!("{}[{index}]", element.name());
                one(session, &element.part(&name, part), &mut guessing)?;
            }
            Ok(())
        })?;
        reader.finish()?;
        answered(session.records() > before || guessing)
    }
}

/// An entry of the list, or of a list in it.
fn one(session: &mut Session<'_>, element: &Element<'_>, guessing: &mut bool) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(entry) = element.read_or_lose::<Entry<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    if entry.kind.text() == "ScanInfo" {
        *guessing = is_guessing(entry.arguments.text());
        return Ok(());
    }
    let fields = [
        ("type", entry.kind.is_wrong()),
        ("name", entry.name.is_wrong()),
        ("target", entry.target.is_wrong()),
        ("address", entry.address.is_wrong()),
        ("domain", entry.domain.is_wrong()),
        ("strings", entry.strings.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    entry.emit(session, element)
}

impl Format for Xml {
    fn name(&self) -> &'static str {
        "dnsrecon-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dnsrecon"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let inner = ["records.record", "records.scaninfo", "records.domain"];
        (head.root() == "dnsrecon" || head.root() == "records" && head.has_any(&inner)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut guessing = false;
        let mut within = String::new();
        let mut reader = source.xml()?;
        walk(
            &mut reader,
            session,
            &["record"],
            &["scaninfo"],
            |session, event| {
                let record = match event {
                    Event::Record(record) => record,
                    Event::Open(node) if node.name() == "domain" => {
                        node.attribute("domain_name")
                            .unwrap_or_default()
                            .clone_into(&mut within);
                        return Ok(());
                    }
                    Event::Open(_) | Event::Close(_) => return Ok(()),
                };
                let node = record.node;
                let text = |name: &str| match node.attribute(name) {
                    Some(value) => Text::Present(value.into()),
                    None => Text::Absent,
                };
                if node.name() == "scaninfo" {
                    guessing = is_guessing(text("arguments").text());
                    return Ok(());
                }
                let entry = Entry {
                    kind: text("type"),
                    name: text("name"),
                    target: text("target"),
                    exchange: text("exchange"),
                    mname: text("mname"),
                    domain: match text("domain") {
                        Text::Absent if !within.is_empty() => Text::Present(within.as_str().into()),
                        domain => domain,
                    },
                    port: text("port"),
                    address: text("address"),
                    strings: text("strings"),
                    recursive: text("recursive"),
                    version: text("Version"),
                    zone_transfer: text("zone_transfer"),
                    ns_server: text("ns_server"),
                    arguments: Text::Absent,
                };
                entry.emit(session, &record)
            },
        )?;
        answered(session.records() > before || guessing)
    }
}

/// Whether only names were guessed, addresses looked up, or a zone was asked for: to find none is an answer,
/// too.
fn is_guessing(arguments: &str) -> bool {
    let mut words = arguments.split_whitespace();
    let guesses = ["axfr", "brt", "rvl", "srv", "snoop", "tld"];
    match words
        .clone()
        .skip_while(|word| !matches!(*word, "-t" | "--type"))
        .nth(1)
    {
        Some(kinds) => kinds.split(',').all(|kind| guesses.contains(&kind)),
        None => words.any(|word| matches!(word, "-r" | "--range")),
    }
}

fn answered(answered: bool) -> Result<(), Stop> {
    if answered {
        return Ok(());
    }
    let problem = "dnsrecon found no record at all: no name server answered for the domain";
    Err(Stop::Broken(problem.to_owned()))
}

impl Entry<'_> {
    fn emit(&self, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
        let kind = self.kind.text();
        if kind.is_empty() {
            session.lose_record("record-without-rule", record, "names no type of DNS record");
            return Ok(());
        }
        session.emit(self.finding(), record)
    }

    fn finding(&self) -> FindingBuilder {
        let kind = self.kind.text();
        let places = [
            &self.name,
            &self.target,
            &self.exchange,
            &self.mname,
            &self.domain,
            &self.ns_server,
        ];
        let name = places
            .iter()
            .map(|text| text.text())
            .find(|text| !text.is_empty());
        let name = name.unwrap_or_default();
        let (rule, word, cwe) = if self.zone_transfer.text() == "success" {
            ("zone-transfer", "zone transfer", Some(200))
        } else if self.recursive.text().eq_ignore_ascii_case("true") {
            ("open-resolver", "open resolver", Some(406))
        } else if self.strings.text().contains("v=spf1") && self.strings.text().contains("+all") {
            ("spf-allows-all", "SPF +all", Some(290))
        } else {
            ("dns-record", "record", None)
        };
        let data = [&self.address, &self.target, &self.exchange, &self.strings];
        let data = data
            .iter()
            .map(|text| text.text())
            .find(|text| !text.is_empty() && *text != name);
        let what = match (rule, name) {
            ("zone-transfer", server) => format!("{server} hands its whole zone to anybody"),
            ("open-resolver", server) => format!("{server} resolves names for anybody"),
            ("spf-allows-all", _) => "SPF allows mail from everywhere".to_owned(),
            (_, "") => format!("{kind} record"),
            (_, name) => format!("{kind} record of {name}"),
        };
        let message = data.map_or(what.clone(), |data| format!("{what}: {data}"));
        let severity = SEVERITIES.get(word).unwrap_or(Severity::Info);
        let mut finding = FindingBuilder::new(TOOL, rule)
            .title(if name.is_empty() { &message } else { &what })
            .message(&message)
            .severity(severity, None)
            .category("dns");
        if let Some(number) = cwe {
            finding = finding.cwe(number);
        }
        let pairs = [
            ("address", self.address.text()),
            ("port", self.port.text()),
            ("strings", self.strings.text()),
            ("version", self.version.text()),
            ("domain", self.domain.text()),
        ];
        let finding = if rule == "zone-transfer" {
            found::host(finding, name, Some(DNS_PORT), "tcp/dns")
        } else {
            found::name(finding, name, kind)
        };
        found::extras(finding, &pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::is_guessing;

    #[test]
    fn only_a_guess_may_find_nothing() {
        for (arguments, guesses) in [
            ("dnsrecon -d a.example -t std -j o", false),
            ("dnsrecon -d a.example -t std,axfr -j o", false),
            ("dnsrecon -d a.example -j o", false),
            ("dnsrecon -d a.example -t axfr -j o", true),
            ("dnsrecon -d a.example --type brt,srv", true),
            ("dnsrecon -r 192.0.2.0/28 -j o", true),
        ] {
            assert_eq!(is_guessing(arguments), guesses, "{arguments}");
        }
    }
}
