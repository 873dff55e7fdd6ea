//! Web: asks for scans of a site's address, and reads the reports of web scanners into findings.
//!
//! Every record of a report is accounted for: it becomes a finding, or it is counted as skipped and
//! a diagnostic says where it stood and why. A report that does not prove that its target answered is
//! refused: a dead target is no clean one. Reading is streaming; memory holds one record at a time.
//!
//! [`convert()`] is the whole converter, callable natively with [`tamiz_sdk::memory`].

mod appended;
mod arachni;
mod arjun;
mod burp;
mod convert;
mod dirsearch;
mod discovery;
mod ffuf;
mod gobuster;
mod html;
mod nikto;
mod nmap;
mod nuclei;
mod options;
mod place;
mod plan;
mod sqlmap;
mod wafw00f;
mod wapiti;
mod wfuzz;
mod whatweb;
mod words;
mod wpscan;
mod zap;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::Options;
use tamiz_sdk::{Host, Input, Scanner};

pub use convert::{SEVERITIES, convert};

/// The plugin.
pub struct Web;

tamiz_sdk::export_scanner!(super::Web);

impl Scanner for Web {
    fn describe() -> Description {
        Description {
            name: "web".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "web".to_owned(),
            formats: convert::CONVERTER.formats(),
            options_schema: Options::schema(options::KNOWN),
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
