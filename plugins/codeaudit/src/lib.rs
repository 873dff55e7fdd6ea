//! Code audit: asks for runs of semgrep and of others over a tree, and reads semgrep's JSON (opengrep's too),
//! any producer's SARIF 2.1.0 and the reports of two dozen tools ([`formats`]) into findings.
//!
//! Every record of a report is accounted for: it becomes a finding, or it is counted as skipped and
//! a diagnostic says where it stood and why. Reading is streaming; memory holds one record at a
//! time, and for SARIF the rules.
//!
//! [`convert`] is the whole converter, callable natively with [`tamiz_sdk::memory`].

mod convert;
mod formats;
mod options;
mod plan;
mod sarif;
mod semgrep;
mod vocabulary;
mod weaknesses;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::Options;
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input, Scanner};

pub use convert::convert;

/// What the tools' words for severities mean: `docs/severities.md` shows these tables.
pub const SEVERITIES: &[&SeverityTable] = formats::SEVERITIES;

/// The plugin.
pub struct CodeAudit;

tamiz_sdk::export_scanner!(super::CodeAudit);

impl Scanner for CodeAudit {
    fn describe() -> Description {
        Description {
            name: "codeaudit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scan_type: "codeaudit".to_owned(),
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

#[cfg(test)]
mod tests {
    use tamiz_sdk::Scanner;

    use super::CodeAudit;

    #[test]
    fn the_options_schema_is_json() {
        let schema: serde_json::Value =
            serde_json::from_str(&CodeAudit::describe().options_schema).expect("JSON");
        assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
    }
}
