//! dnstwist's JSON and CSV (2020 to 2025): names that look like a domain's.
//!
//! Each name is a record, the domain's own too. One that is registered (it has an address, a mail or a
//! name server) can be used against the domain's users. Answers such as `!ServFail` are none. Shape: <https://github.com/elceef/dnstwist>.

use serde::Deserialize;
use tamiz_sdk::FindingBuilder;
use tamiz_sdk::json::lenient::{Text, Texts};
use tamiz_sdk::model::Severity;
use tamiz_sdk::report::{Format, Head, Recognition, Record, Session, Source, Stop, each, rows};
use tamiz_sdk::vocabulary::SeverityTable;

use crate::found;

const TOOL: &str = "dnstwist";

/// What a name is; docs/severities.md shows it.
pub(crate) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "dnstwist",
    words: &[
        ("takes mail", Severity::Medium),
        ("registered", Severity::Low),
        ("free", Severity::Info),
        ("original", Severity::Info),
    ],
};

pub(crate) struct Json;

pub(crate) struct Table;

/// The names with dashes are those up to 2020. A name's answers were a text when there was one.
#[derive(Deserialize)]
struct Twist<'a> {
    #[serde(borrow, default)]
    fuzzer: Text<'a>,
    #[serde(borrow, default, alias = "domain-name")]
    domain: Text<'a>,
    #[serde(borrow, default, alias = "dns-a")]
    dns_a: Texts<'a>,
    #[serde(borrow, default, alias = "dns-aaaa")]
    dns_aaaa: Texts<'a>,
    #[serde(borrow, default, alias = "dns-mx")]
    dns_mx: Texts<'a>,
    #[serde(borrow, default, alias = "dns-ns")]
    dns_ns: Texts<'a>,
    #[serde(borrow, default, alias = "whois-registrar", alias = "registrar")]
    whois_registrar: Text<'a>,
    #[serde(borrow, default, alias = "geoip-country", alias = "geoip_country")]
    geoip: Text<'a>,
}

/// A name, from either form.
struct Name<'a> {
    fuzzer: &'a str,
    domain: &'a str,
    addresses: String,
    mail: String,
    servers: String,
    registrar: &'a str,
    country: &'a str,
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "dnstwist-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dnstwist"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.has("[].fuzzer") && head.has_any(&["[].domain", "[].domain-name", "[].dns_a", "[].dns-a"]))
            .into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut reader = source.json()?;
        each(&mut reader, session, "", |session, element| {
            let mut repaired = Vec::new();
            let Some(twist) = element.read_or_lose::<Twist<'_>>(session, &mut repaired) else {
                return Ok(());
            };
            let fields = [
                ("fuzzer", twist.fuzzer.is_wrong()),
                ("domain", twist.domain.is_wrong()),
                ("dns_a", twist.dns_a.is_wrong()),
                ("dns_mx", twist.dns_mx.is_wrong()),
                ("dns_ns", twist.dns_ns.is_wrong()),
            ];
            element.tell_wrong(session, &fields);
            let list = |texts: &Texts<'_>| {
                let answers = texts
                    .texts()
                    .filter(|text| !text.is_empty() && !text.starts_with('!'));
                answers.collect::<Vec<_>>().join(", ")
            };
            let addresses = [list(&twist.dns_a), list(&twist.dns_aaaa)];
            let addresses: Vec<_> = addresses.into_iter().filter(|text| !text.is_empty()).collect();
            let name = Name {
                fuzzer: twist.fuzzer.text(),
                domain: twist.domain.text(),
                addresses: addresses.join(", "),
                mail: list(&twist.dns_mx),
                servers: list(&twist.dns_ns),
                registrar: twist.whois_registrar.text(),
                country: twist.geoip.text(),
            };
            name.emit(session, &element)
        })?;
        Ok(reader.finish()?)
    }
}

impl Format for Table {
    fn name(&self) -> &'static str {
        "dnstwist-csv"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["dnstwist"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        (head.has_columns(&["fuzzer", "domain"]) || head.has_columns(&["fuzzer", "domain-name"])).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let before = session.records();
        let mut table = source.table()?;
        rows(&mut table, session, |session, row| {
            let cell = |new: &str, old: &str| match row.get(new) {
                text if text.is_empty() => row.get(old).into_owned(),
                text => text.into_owned(),
            };
            let list = |new: &str, old: &str| {
                let all = cell(new, old);
                let answers = all.split(';').map(str::trim);
                let answers = answers.filter(|text| !text.is_empty() && !text.starts_with('!'));
                answers.collect::<Vec<_>>().join(", ")
            };
            let addresses = [list("dns_a", "dns-a"), list("dns_aaaa", "dns-aaaa")];
            let addresses: Vec<_> = addresses.into_iter().filter(|text| !text.is_empty()).collect();
            let name = Name {
                fuzzer: &row.get("fuzzer"),
                domain: &cell("domain", "domain-name"),
                addresses: addresses.join(", "),
                mail: list("dns_mx", "dns-mx"),
                servers: list("dns_ns", "dns-ns"),
                registrar: &cell("whois_registrar", "whois-registrar"),
                country: &cell("geoip", "geoip-country"),
            };
            name.emit(session, &row)
        })?;
        if session.records() == before {
            let problem = "the table has no row, not even the domain's own";
            return Err(Stop::Ended(problem.to_owned()));
        }
        Ok(())
    }
}

impl Name<'_> {
    fn emit(&self, session: &mut Session<'_>, record: &dyn Record) -> Result<(), Stop> {
        found::emit(session, record, "domain", self.domain, || self.finding())
    }

    fn finding(&self) -> FindingBuilder {
        let word = if self.fuzzer.trim_matches('*').eq_ignore_ascii_case("original") {
            "original"
        } else if !self.mail.is_empty() {
            "takes mail"
        } else if !self.addresses.is_empty() || !self.servers.is_empty() {
            "registered"
        } else {
            "free"
        };
        let title = match word {
            "original" => format!("{} is the domain itself", self.domain),
            "free" => format!("{} looks like the domain, and nobody has it", self.domain),
            "registered" => format!("{} looks like the domain, and somebody has it", self.domain),
            _ => format!("{} looks like the domain, and takes mail", self.domain),
        };
        let rule = if word == "original" {
            "original"
        } else {
            "lookalike-domain"
        };
        let severity = SEVERITIES.get(word).unwrap_or(Severity::Info);
        let mut finding = FindingBuilder::new(TOOL, rule)
            .rule_name(self.fuzzer)
            .title(&title)
            .message(&title)
            .severity(severity, None)
            .category("phishing");
        if severity > Severity::Info {
            // Insufficient visual distinction of homoglyphs, the nearest there is.
            finding = finding.cwe(1007);
        }
        let pairs = [
            ("fuzzer", self.fuzzer),
            ("addresses", self.addresses.as_str()),
            ("mail-servers", self.mail.as_str()),
            ("name-servers", self.servers.as_str()),
            ("registrar", self.registrar),
            ("country", self.country),
        ];
        found::extras(found::name(finding, self.domain, ""), &pairs)
    }
}
