//! Network captures into findings: raw pcap and pcapng, taken apart inside the component.
//!
//! Reading is streaming, and everything that is kept is bounded: conversations, reassembly, watches
//! and findings have limits, the oldest goes first, and a diagnostic says that it happened.
//!
//! The way of a packet: [`capture`] finds its record, [`packet`] takes its headers apart, [`flows`]
//! finds its conversation, [`stream`] puts its bytes in order, [`dialogue`] reads what is said, and
//! [`detect`] watches what only shows over many; [`findings`] gathers what they see, [`statistics`]
//! counts, [`session`] is what the platform keeps beside the findings.
//!
//! [`convert`] is the whole converter, callable natively with [`tamiz_sdk::memory`].

mod analysis;
mod capture;
mod convert;
mod detect;
mod dialogue;
mod findings;
mod flows;
mod options;
mod packet;
mod rules;
mod session;
mod statistics;
mod stream;
mod table;

use tamiz_sdk::model::{ConvertError, Description, Format, Outcome, PlanError, ScanRequest, ToolRun};
use tamiz_sdk::{Host, Input, Scanner};

pub use convert::convert;

/// The plugin.
pub struct Pcap;

tamiz_sdk::export_scanner!(super::Pcap);

impl Scanner for Pcap {
    fn describe() -> Description {
        let format = |name: &str, tools: &[&str]| Format {
            name: name.to_owned(),
            tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
        };
        Description {
            name: "pcap".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "pcap".to_owned(),
            formats: vec![
                format("pcap", &["tcpdump", "wireshark", "any writer of pcap"]),
                format("pcapng", &["wireshark", "dumpcap", "any writer of pcapng"]),
            ],
            options_schema: options::SCHEMA.to_owned(),
        }
    }

    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        options::parse(&request.options).map_err(PlanError::BadOptions)?;
        if request.target_kind != "capture" {
            return Err(PlanError::Unsupported(format!(
                "pcap reads captures, it scans no target of kind `{}`",
                request.target_kind
            )));
        }
        // The capture itself is what `convert` reads.
        Ok(Vec::new())
    }

    fn convert(
        inputs: Vec<Box<dyn Input>>,
        options: &str,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        convert(inputs, options, host)
    }
}
