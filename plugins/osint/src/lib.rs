//! What is public about a domain, a name or a mail address: asks for runs of dnsrecon, dnstwist and
//! theHarvester, and reads their reports and those of a dozen others into findings.
//!
//! Most of it is inventory: a name, an address, an account is a finding of severity `info`. What can be
//! used against its owner weighs more: a zone that is handed out, a name that looks like the domain's, a
//! password that leaked.

mod accounts;
mod dnsenum;
mod dnsrecon;
mod dnstwist;
mod found;
mod h8mail;
mod harvester;
mod httpx;
mod plan;
mod shodan;
mod subdomains;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, Severity, ToolRun};
use tamiz_sdk::report::{Converter, Options, RefusedEmptyList};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input, Scanner};

const CONVERTER: Converter = Converter {
    plugin: "osint",
    expected: "expected a report of dnsrecon, dnstwist, dnsenum, theHarvester, subfinder, amass, httpx, Shodan, \
               sherlock, maigret or h8mail",
    formats: &[
        &dnsrecon::Json,
        &dnsrecon::Xml,
        &dnsenum::DnsEnum,
        &dnstwist::Json,
        &dnstwist::Table,
        &harvester::Json,
        &harvester::Xml,
        &h8mail::H8mail,
        &accounts::Sherlock,
        &accounts::MaigretLines,
        &accounts::MaigretSites,
        &shodan::Shodan,
        &httpx::Httpx,
        &subdomains::Subfinder,
        &subdomains::Amass,
        &RefusedEmptyList {
            tools: &["subfinder, dnstwist and others that found nothing, or reached nobody"],
            problem: "the report is an empty list, which names neither a tool nor a target",
        },
    ],
};

/// The others have no word for it.
const INVENTORY: SeverityTable = SeverityTable {
    tool: "dnsenum, subfinder, amass, httpx, sherlock, maigret",
    words: &[("(no word)", Severity::Info)],
};

/// What the tools' words for severities mean: `docs/severities.md` shows these tables.
pub const SEVERITIES: &[&SeverityTable] = &[
    &dnsrecon::SEVERITIES,
    &dnstwist::SEVERITIES,
    &h8mail::SEVERITIES,
    &harvester::SEVERITIES,
    &INVENTORY,
];

/// The plugin.
pub struct Osint;

tamiz_sdk::export_scanner!(super::Osint);

impl Scanner for Osint {
    fn describe() -> Description {
        Description {
            name: "osint".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "osint".to_owned(),
            formats: CONVERTER.formats(),
            options_schema: Options::schema(plan::KNOWN),
            capabilities: Vec::new(),
        }
    }

    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        plan::plan(request)
    }

    fn convert(
        inputs: Vec<Box<dyn Input>>,
        request: &ScanRequest,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        let options = Options::parse(&request.options, CONVERTER.plugin, plan::KNOWN)
            .map_err(ConvertError::BadOptions)?;
        CONVERTER.convert(inputs, options, host)
    }
}
