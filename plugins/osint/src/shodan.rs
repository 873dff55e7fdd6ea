//! Shodan's JSON: a host of its API (`data`), a search (`matches`), and the banners, one per line, that
//! `shodan download` writes.
//!
//! A record is a banner, a service that answered, and each vulnerability that Shodan derives from its
//! version. What the service said (`data`) is not kept: it may hold what is secret. Shape:
//! <https://datapedia.shodan.io>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::Kind;
use tamiz_sdk::json::lenient::{Decimal, Field, Object, Text, Texts, Whole};
use tamiz_sdk::model::{Confidence, Severity};
use tamiz_sdk::report::{
    Element, Format, Head, Recognition, Session, Shape, Source, Stop, each, json_lines, members,
};
use tamiz_sdk::vocabulary::score_severity;

use crate::found;

const TOOL: &str = "shodan";

pub(crate) struct Shodan;

#[derive(Deserialize)]
struct Banner<'a> {
    #[serde(borrow, default)]
    ip_str: Text<'a>,
    #[serde(default)]
    port: Whole,
    #[serde(borrow, default)]
    transport: Text<'a>,
    #[serde(borrow, default)]
    product: Text<'a>,
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    org: Text<'a>,
    #[serde(borrow, default)]
    hostnames: Texts<'a>,
    #[serde(borrow, default)]
    tags: Texts<'a>,
    #[serde(borrow, default)]
    vulns: Option<&'a RawValue>,
    #[serde(borrow, default)]
    opts: Field<Object<Tests<'a>>>,
    /// Of a host without its banners.
    #[serde(borrow, default)]
    ports: Option<&'a RawValue>,
}

/// What was tested, in older banners: ids, with `!` in front of one that is not there.
#[derive(Deserialize)]
struct Tests<'a> {
    #[serde(borrow, default)]
    vulns: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Vulnerability<'a> {
    #[serde(default)]
    cvss: Field<Decimal>,
    #[serde(borrow, default)]
    summary: Text<'a>,
    #[serde(default)]
    verified: Field<bool>,
    #[serde(borrow, default)]
    references: Texts<'a>,
}

impl Format for Shodan {
    fn name(&self) -> &'static str {
        "shodan-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["shodan"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let banner = [
            "ip_str",
            "port",
            "ports",
            "transport",
            "_shodan",
            "hostnames",
            "isp",
            "asn",
        ];
        let count = |prefix: &str| {
            let found = banner.iter().filter(|key| head.has(&format!("{prefix}{key}")));
            found.count() >= 3
        };
        (["", "[].", "matches[].", "data[]."].into_iter().any(count)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let head = source.head();
        let nested = head.has("data[]") || head.has("matches");
        if head.shape() != Shape::Object || !nested {
            return json_lines(source, session, |session, element| banner(session, &element, ""));
        }
        let host = head.text("ip_str").unwrap_or_default().to_owned();
        let mut reader = source.json()?;
        members(&mut reader, session, |reader, session, key, kind| {
            if !matches!(key, "data" | "matches") || kind != Kind::Array {
                return Ok(false);
            }
            each(reader, session, key, |session, element| {
                banner(session, &element, &host)
            })?;
            Ok(true)
        })?;
        Ok(reader.finish()?)
    }
}

fn banner(session: &mut Session<'_>, element: &Element<'_>, host: &str) -> Result<(), Stop> {
    let mut repaired = Vec::new();
    let Some(banner) = element.read_or_lose::<Banner<'_>>(session, &mut repaired) else {
        return Ok(());
    };
    let fields = [
        ("ip_str", banner.ip_str.is_wrong()),
        ("port", banner.port.is_wrong()),
        ("product", banner.product.is_wrong()),
        ("version", banner.version.is_wrong()),
        ("hostnames", banner.hostnames.is_wrong()),
    ];
    element.tell_wrong(session, &fields);
    let host = match banner.ip_str.text() {
        "" => host,
        address => address,
    };
    let ports = match banner.port.get() {
        Some(port) => vec![*port],
        None => ports(banner.ports),
    };
    let first = ports.first().copied();
    let place = |finding: FindingBuilder, port: Option<i64>| {
        let transport = match banner.transport.text() {
            "" => "tcp",
            transport => transport,
        };
        found::host(finding, host, port, transport)
    };
    let product = format!("{} {}", banner.product.text(), banner.version.text());
    let service = |port: Option<i64>| {
        let title = match port {
            Some(port) => format!("{host} port {port} is open {}", product.trim()),
            None => format!("{host} is known {}", product.trim()),
        };
        let mut finding = FindingBuilder::new(TOOL, "service-found")
            .title(title.trim())
            .message(title.trim())
            .category("discovery");
        for tag in banner.tags.texts() {
            finding = finding.tag(tag);
        }
        let names = banner.hostnames.texts().collect::<Vec<_>>().join(", ");
        let pairs = [
            ("product", product.trim()),
            ("hostnames", names.as_str()),
            ("organization", banner.org.text()),
        ];
        found::extras(place(finding, port), &pairs)
    };
    found::emit(session, element, "host", host, || service(first))?;
    for port in ports.iter().skip(1) {
        session.emit(service(Some(*port)), element)?;
    }
    let mut found = vulnerabilities(session, element, banner.vulns);
    let tested = banner.opts.object().and_then(|tests| tests.vulns);
    for (id, vulnerability) in vulnerabilities(session, element, tested) {
        found.entry(id).or_insert(vulnerability);
    }
    let port = if ports.len() > 1 { None } else { first };
    for (id, details) in &found {
        let finding = vulnerability(id, details.object(), product.trim());
        session.emit(place(finding, port), element)?;
    }
    Ok(())
}

/// What Shodan says of one id.
fn vulnerability(id: &str, details: Option<&Vulnerability<'_>>, product: &str) -> FindingBuilder {
    let score = details
        .and_then(|details| details.cvss.get())
        .map(|score| score.0);
    let raw = score.map(|score| score.to_string());
    let severity = score.and_then(score_severity).unwrap_or(Severity::Info);
    let verified = details.is_some_and(|details| details.verified.get() == Some(&true));
    let sure = [Confidence::Low, Confidence::High][usize::from(verified)];
    let mut finding = FindingBuilder::new(TOOL, id)
        .title(format!("{id} in {product}").trim_end_matches(" in "))
        .message(details.map_or("", |details| details.summary.text()))
        .severity(severity, raw.as_deref())
        .confidence(sure)
        .category("vulnerability")
        .cwe(1395)
        .cve(id)
        .remediation("update the product");
    for address in details.iter().flat_map(|details| details.references.texts()) {
        finding = finding.reference(address);
    }
    finding
}

/// Ports of a host that is told without its banners.
fn ports(raw: Option<&RawValue>) -> Vec<i64> {
    let ports = raw.and_then(|raw| serde_json::from_str::<Vec<Whole>>(raw.get()).ok());
    let ports = ports.unwrap_or_default();
    ports.iter().filter_map(|port| port.get().copied()).collect()
}

/// What Shodan derives from a version: by id with details, or ids alone. An id with `!` in front was tested
/// and is none.
fn vulnerabilities<'a>(
    session: &mut Session<'_>,
    element: &Element<'_>,
    raw: Option<&'a RawValue>,
) -> BTreeMap<String, Field<Object<Vulnerability<'a>>>> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return BTreeMap::new();
    };
    let details = serde_json::from_str::<BTreeMap<String, Field<Object<Vulnerability<'a>>>>>(raw.get());
    let ids = || serde_json::from_str::<Vec<String>>(raw.get());
    let mut found = match (details, ids()) {
        (Ok(details), _) => details,
        (Err(_), Ok(ids)) => ids.into_iter().map(|id| (id, Field::Absent)).collect(),
        (Err(_), Err(_)) => {
            session.tell_wrong(element, &[("vulns", true)]);
            BTreeMap::new()
        }
    };
    found.retain(|id, _| !id.is_empty() && !id.starts_with('!'));
    found
}
