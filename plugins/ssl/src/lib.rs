//! TLS and SSH servers: asks for runs of sslscan, testssl.sh and sslyze, and reads their reports, those of
//! SSL Labs and those of ssh-audit into findings.
//!
//! A record is what a server accepts or shows: a cipher suite, an outdated protocol version, a weakness,
//! an entry of testssl.sh. One that is no weakness is a finding of severity `info`. A report about a
//! server that did not answer is refused: it is no proof of anything.

mod ahead;
mod endpoint;
mod plan;
mod ssh_audit;
mod ssllabs;
mod sslscan;
mod sslyze;
mod suite;
mod testssl;
mod weakness;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{Converter, Options, RefusedEmptyList};
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input, Scanner};

const CONVERTER: Converter = Converter {
    plugin: "ssl",
    expected: "expected a report of testssl.sh (JSON, CSV), sslscan (XML), sslyze, SSL Labs or ssh-audit (JSON)",
    formats: &[
        &testssl::Flat,
        &testssl::Pretty,
        &testssl::Table,
        &sslscan::SslScan,
        &sslyze::Sslyze,
        &ssllabs::SslLabs,
        &ssh_audit::SshAudit,
        &RefusedEmptyList {
            tools: &["testssl.sh, stopped before its first check"],
            problem: "the report is an empty list, without a server that answered",
        },
    ],
};

/// What the tools' words for severities mean: `docs/severities.md` shows these tables.
pub const SEVERITIES: &[&SeverityTable] = &[
    &testssl::SEVERITIES,
    &sslscan::STRENGTHS,
    &suite::SEVERITIES,
    &weakness::SEVERITIES,
    &ssllabs::GRADES,
    &ssh_audit::SEVERITIES,
];

/// The plugin.
pub struct Ssl;

tamiz_sdk::export_scanner!(super::Ssl);

impl Scanner for Ssl {
    fn describe() -> Description {
        Description {
            name: "ssl".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "ssl".to_owned(),
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
