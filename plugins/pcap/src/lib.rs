//! Network captures into findings: raw pcap and pcapng, taken apart inside the component.
//!
//! Reading is streaming, and everything that is kept is bounded: conversations, reassembly, watches
//! and findings have limits, the oldest goes first, and a diagnostic says that it happened.
//!
//! The way of a packet: [`capture`] finds its record, [`packet`] takes its headers apart, [`flows`]
//! finds its conversation ([`fragments`] puts cut packets together before), [`stream`] puts its bytes in order, [`dialogue`] reads what is said, and
//! [`detect`] watches what only shows over many; [`findings`] gathers what they see, [`statistics`]
//! counts, [`session`] is what the platform keeps beside the findings.
//!
//! [`convert`] is the whole converter, callable natively with [`tamiz_sdk::memory`].

mod analysis;
mod capture;
mod convert;
mod detect;
mod dialogue;
mod eve;
mod findings;
mod flows;
mod fragments;
mod observed;
mod packet;
mod plan;
mod raw;
mod rules;
mod session;
mod statistics;
mod stream;
mod table;
mod time;
mod tshark;
mod zeek;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::Options;
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input, Scanner};

use convert::CONVERTER;

pub use convert::convert;

/// What the tools' words for severities mean, for `docs/severities.md`.
pub const SEVERITIES: &[&SeverityTable] = &[&eve::SURICATA, &zeek::ZEEK];

/// The plugin.
pub struct Pcap;

tamiz_sdk::export_scanner!(super::Pcap);

impl Scanner for Pcap {
    fn describe() -> Description {
        Description {
            name: "pcap".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "pcap".to_owned(),
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
        convert(inputs, request, host)
    }
}
