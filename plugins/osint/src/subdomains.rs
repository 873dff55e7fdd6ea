//! subfinder's JSON lines (`-oJ`, 2.x) and amass's (`-json`, 3.x): names under a domain.
//!
//! Shapes: <https://github.com/projectdiscovery/subfinder>, <https://github.com/owasp-amass/amass>. Also as
//! a list.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Field, Objects, Text, Texts};
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, json_lines};

use crate::found;

pub(crate) struct Subfinder;

pub(crate) struct Amass;

#[derive(Deserialize)]
struct Host<'a> {
    #[serde(borrow, default, rename = "host")]
    name: Text<'a>,
    #[serde(borrow, default)]
    input: Text<'a>,
    #[serde(borrow, default)]
    ip: Text<'a>,
    #[serde(borrow, default, alias = "sources")]
    source: Texts<'a>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow, default, rename = "name")]
    full: Text<'a>,
    #[serde(borrow, default)]
    domain: Text<'a>,
    #[serde(borrow, default)]
    addresses: Field<Objects<Address<'a>>>,
    #[serde(borrow, default)]
    tag: Text<'a>,
    #[serde(borrow, default, alias = "source")]
    sources: Texts<'a>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow, default)]
    ip: Text<'a>,
}

/// Whether the first records have this key, as lines or as a list.
fn has(head: &Head, key: &str) -> bool {
    head.has(key) || head.has(&format!("[].{key}"))
}

impl Format for Subfinder {
    fn name(&self) -> &'static str {
        "subfinder-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["subfinder"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let source = has(head, "source") || has(head, "sources");
        let named = has(head, "host") && has(head, "ip")
            || (has(head, "host") || has(head, "input")) && source
            || has(head, "host") && has(head, "input");
        let more = [
            "url",
            "name",
            "port",
            "ip_str",
            "status_code",
            "status-code",
            "timestamp",
        ];
        (named && !more.iter().any(|key| has(head, key))).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("subfinder", None);
        json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let Some(host) = element.read_or_lose::<Host<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            let fields = [
                ("host", host.name.is_wrong()),
                ("input", host.input.is_wrong()),
                ("ip", host.ip.is_wrong()),
            ];
            element.tell_wrong(session, &fields);
            let sources = host.source.texts().collect::<Vec<_>>().join(", ");
            let pairs = [
                ("domain", host.input.text()),
                ("address", host.ip.text()),
                ("sources", sources.as_str()),
            ];
            found::emit(session, &element, "host", host.name.text(), || {
                found::extras(finding("subfinder", host.name.text(), &sources), &pairs)
            })
        })
    }
}

impl Format for Amass {
    fn name(&self) -> &'static str {
        "amass-jsonl"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["amass"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let more = ["addresses", "tag", "sources"]
            .iter()
            .filter(|key| has(head, key))
            .count();
        (has(head, "name") && (has(head, "domain") && more >= 1 || more >= 2)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is("amass", None);
        json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let Some(name) = element.read_or_lose::<Name<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            let fields = [
                ("name", name.full.is_wrong()),
                ("domain", name.domain.is_wrong()),
                ("addresses", name.addresses.is_wrong()),
            ];
            element.tell_wrong(session, &fields);
            let addresses = name.addresses.objects().iter().map(|address| address.ip.text());
            let addresses = addresses
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", ");
            let sources = name.sources.texts().collect::<Vec<_>>().join(", ");
            let pairs = [
                ("domain", name.domain.text()),
                ("addresses", addresses.as_str()),
                ("tag", name.tag.text()),
                ("sources", sources.as_str()),
            ];
            found::emit(session, &element, "name", name.full.text(), || {
                found::extras(finding("amass", name.full.text(), &sources), &pairs)
            })
        })
    }
}

fn finding(tool: &str, name: &str, sources: &str) -> FindingBuilder {
    let title = format!("{name} exists");
    let message = match sources {
        "" => title.clone(),
        sources => format!("{title}, says {sources}"),
    };
    let finding = FindingBuilder::new(tool, "subdomain-found")
        .title(&title)
        .message(&message)
        .category("discovery");
    found::name(finding, name, "")
}
