//! theHarvester's JSON (4.x) and XML (3.x and 4.x): hosts, addresses, people.
//!
//! Each entry of a list is a record. Shape: <https://github.com/laramies/theHarvester>,
//! `theHarvester/__main__.py`.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::Texts;
use tamiz_sdk::json::{Kind, Located};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{
    Element, Event, Format, Head, Recognition, Record, Session, Source, Stop, each, members, walk,
};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::found;

const TOOL: &str = "theharvester";

/// What an entry means; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "theHarvester",
    words: &[("takeover", Severity::Medium), ("(no word)", Severity::Info)],
};

pub(crate) struct Json;

pub(crate) struct Xml;

/// What an entry of a list is.
#[derive(Clone, Copy)]
enum What {
    /// `name` or `name:address`.
    Host,
    Address,
    Mail,
    Url,
    Network,
    Person,
    /// A row of a table: address, names, organization, services.
    Shodan,
    Takeover,
    /// What a later version lists.
    Other,
}

/// The lists of a JSON report.
const LISTS: [(&str, What); 16] = [
    ("hosts", What::Host),
    ("vhosts", What::Host),
    ("ips", What::Address),
    ("emails", What::Mail),
    ("interesting_urls", What::Url),
    ("trello_urls", What::Url),
    ("linkedin_links", What::Url),
    ("takeover_results", What::Takeover),
    ("urls", What::Url),
    ("prefixes", What::Network),
    ("asns", What::Network),
    ("people", What::Person),
    ("linkedin_people", What::Person),
    ("twitter_people", What::Person),
    ("shodan", What::Shodan),
    ("api_endpoints", What::Url),
];

impl Format for Json {
    fn name(&self) -> &'static str {
        "theharvester-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["theHarvester"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let by_command = head
            .text("cmd")
            .is_some_and(|command| command.to_ascii_lowercase().contains("theharvester"));
        let is_list = |list: &str| head.kind(list) == Some(Kind::Array);
        let lists = LISTS.iter().filter(|(list, _)| is_list(list));
        // The command since 4.0 is without its own name.
        let count = lists.count() + usize::from(head.kind("cmd") == Some(Kind::String));
        let texts = head.kind("hosts[]").is_none_or(|kind| kind == Kind::String);
        if by_command || texts && count >= 3 {
            return Recognition::Certain;
        }
        if texts && (count >= 2 || is_list("hosts")) {
            return Recognition::Likely;
        }
        Recognition::No
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            let known = LISTS.iter().find(|(list, _)| *list == key);
            let what = known.map_or(What::Other, |(_, what)| *what);
            match kind {
                // A later version's own business.
                Kind::Object if known.is_none() => return Ok(false),
                Kind::Array => each(reader, session, key, |session, element| {
                    read(session, &element, key, what)
                })?,
                Kind::Object => members(reader, session, |reader, session, name, kind| {
                    let place = format!("{key}.{name}");
                    if kind == Kind::Array {
                        each(reader, session, &place, |session, element| {
                            read(session, &element, name, what)
                        })?;
                        return Ok(true);
                    }
                    match reader.value(RECORD_BYTES)? {
                        Located::Whole { bytes, span } => {
                            read(session, &Element::named(&place, bytes, span), name, what)?;
                        }
                        Located::TooLarge { span } | Located::TooDeep { span } => {
                            session.lose(
                                "record-too-large",
                                &format!("{place} is too large or too deep"),
                                span,
                            );
                        }
                    }
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

/// An entry of a list: a text, or for people and tables anything.
fn read(session: &mut Session<'_>, element: &Element<'_>, list: &str, what: What) -> Result<(), Stop> {
    if let Ok(text) = serde_json::from_slice::<String>(element.bytes()) {
        return entry(session, element, what, &text, list);
    }
    let text = String::from_utf8_lossy(element.bytes());
    let is_table = text.starts_with(['{', '[']);
    if matches!(what, What::Shodan) && text.starts_with('[') {
        let row = serde_json::from_slice::<Texts<'_>>(element.bytes()).unwrap_or_default();
        let row: Vec<&str> = row.texts().collect();
        return entry(session, element, what, &row.join(", "), list);
    }
    match what {
        What::Person | What::Takeover | What::Other if is_table => entry(session, element, what, &text, list),
        What::Shodan if is_table => entry(session, element, What::Other, &text, list),
        What::Other => Ok(()),
        _ => {
            session.lose_record(
                "record-unreadable",
                element,
                "could not be read: it is not a text",
            );
            Ok(())
        }
    }
}

impl Format for Xml {
    fn name(&self) -> &'static str {
        "theharvester-xml"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["theHarvester"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        head.root().eq_ignore_ascii_case("theHarvester").into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let records = ["host", "vhost", "email", "url", "person", "asn", "shodan"];
        let mut reader = source.xml()?;
        walk(&mut reader, session, &records, &[], |session, event| {
            let Event::Record(record) = event else {
                return Ok(());
            };
            let node = record.node;
            let (own, mut name, mut address) =
                (node.text(), node.child_text("hostname"), node.child_text("ip"));
            // What is found by its address has them the wrong way round.
            if is_address(&name) && !address.is_empty() && !is_address(&address) {
                std::mem::swap(&mut name, &mut address);
            }
            if node.name() == "shodan" {
                let service = format!("{}, {}", node.child_text("host"), node.child_text("port"));
                return entry(session, &record, What::Shodan, &service, "");
            }
            let (what, text) = match node.name() {
                "email" => (What::Mail, own),
                "url" => (What::Url, own),
                "person" => (What::Person, own),
                "asn" => (What::Network, own),
                _ if !name.is_empty() => (What::Host, name),
                _ if own.is_empty() => (What::Address, address.clone()),
                _ => (What::Host, own),
            };
            entry(session, &record, what, &text, &address)
        })
    }
}

/// `beside` is the address of a host from XML, and the list's name for entries of JSON.
fn entry(
    session: &mut Session<'_>,
    record: &dyn Record,
    what: What,
    text: &str,
    beside: &str,
) -> Result<(), Stop> {
    let text = text.trim();
    found::emit(session, record, "thing that was found", text, || {
        let new = |rule: &str, title: String| {
            FindingBuilder::new(TOOL, rule)
                .title(&title)
                .message(&title)
                .category("discovery")
        };
        match what {
            What::Host => {
                let (name, after) = split_host(text);
                // In a list the address is behind the name, in XML beside it.
                let address = if after.is_empty() && is_address(beside) {
                    beside
                } else {
                    after
                };
                let finding = new("host-found", format!("{name} exists"));
                found::extras(found::name(finding, name, ""), &[("addresses", address)])
            }
            What::Address => found::host(
                new("address-found", format!("{text} belongs to the domain")),
                text,
                None,
                "",
            ),
            What::Mail => found::mail(new("mail-address-found", format!("{text} is public")), text),
            What::Url => found::url(new("url-found", format!("{text} may be interesting")), text),
            What::Network => new("network-found", format!("the domain is in {text}")),
            What::Person => new("person-found", format!("in public: {text}")),
            What::Shodan => {
                let (address, services) = text.split_once(", ").unwrap_or((text, ""));
                let finding = new("service-found", format!("Shodan knows {address}: {services}"));
                found::host(finding, address, services.parse().ok(), "")
            }
            What::Takeover => {
                let title = match beside {
                    "" | "takeover_results" => format!("may be taken over: {text}"),
                    service => format!("may be taken over: {text} ({service})"),
                };
                let is_place = |text: &&str| text.contains('.') && !text.contains([' ', '{', '[']);
                let place = [text, beside].into_iter().find(is_place).unwrap_or_default();
                let severity = SEVERITIES.get("takeover").unwrap_or(Severity::Info);
                let finding = new("takeover-possible", title).severity(severity, None).cwe(672);
                found::url(finding, place)
            }
            What::Other => new("entry-found", format!("{beside}: {text}")),
        }
    })
}

/// `name:address, address`, or before 3.0 `address:name`; an IPv6 address has colons itself.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((address, name)) if is_address(address) && !is_address(name.trim()) && !name.is_empty() => {
            (name.trim(), address)
        }
        Some((name, address)) if !name.is_empty() => (name, address.trim()),
        _ => (text, ""),
    }
}

fn is_address(text: &str) -> bool {
    text.split(',')
        .all(|address| address.trim().parse::<std::net::IpAddr>().is_ok())
}
