//! theHarvester's JSON (4.x) and XML (3.x and 4.x): hosts, addresses, people.
//!
//! Each entry of a list is a record. Shape: <https://github.com/laramies/theHarvester>,
//! `theHarvester/__main__.py`.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::report::{
    Event, Format, Head, Recognition, Record, Session, Source, Stop, each, members, walk,
};

use crate::found;

const TOOL: &str = "theharvester";

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
}

/// The lists of a JSON report.
const LISTS: [(&str, What); 14] = [
    ("hosts", What::Host),
    ("vhosts", What::Host),
    ("ips", What::Address),
    ("emails", What::Mail),
    ("interesting_urls", What::Url),
    ("trello_urls", What::Url),
    ("linkedin_links", What::Url),
    ("takeover_results", What::Host),
    ("asns", What::Network),
    ("people", What::Person),
    ("linkedin_people", What::Person),
    ("twitter_people", What::Person),
    ("shodan", What::Person),
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
        let lists = [
            "hosts",
            "ips",
            "emails",
            "interesting_urls",
            "asns",
            "vhosts",
            "shodan",
            "cmd",
        ];
        let by_command = head
            .text("cmd")
            .is_some_and(|command| command.to_ascii_lowercase().contains("theharvester"));
        (by_command || head.count(&lists) >= 3 && head.kind("hosts").is_none_or(|kind| kind == Kind::Array))
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            let Some((_, what)) = LISTS.iter().find(|(list, _)| *list == key) else {
                return Ok(false);
            };
            if kind != Kind::Array {
                return Ok(false);
            }
            each(reader, session, key, |session, element| {
                if let Ok(text) = serde_json::from_slice::<String>(element.bytes()) {
                    return entry(session, &element, *what, &text, "");
                }
                let text = String::from_utf8_lossy(element.bytes());
                if matches!(what, What::Person) && text.starts_with(['{', '[']) {
                    return entry(session, &element, *what, &text, "");
                }
                session.lose_record(
                    "record-unreadable",
                    &element,
                    "could not be read: it is not a text",
                );
                Ok(())
            })?;
            Ok(true)
        })?;
        Ok(reader.finish()?)
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
        let records = ["host", "vhost", "email", "url", "person", "asn"];
        let mut reader = source.xml()?;
        walk(&mut reader, session, &records, &[], |session, event| {
            let Event::Record(record) = event else {
                return Ok(());
            };
            let node = record.node;
            let (own, name, address) = (node.text(), node.child_text("hostname"), node.child_text("ip"));
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

fn entry(
    session: &mut Session<'_>,
    record: &dyn Record,
    what: What,
    text: &str,
    address: &str,
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
                let address = if address.is_empty() { after } else { address };
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
        }
    })
}

/// `name:address, address`; an IPv6 address has colons itself.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((name, address)) if !name.is_empty() => (name, address.trim()),
        _ => (text, ""),
    }
}
