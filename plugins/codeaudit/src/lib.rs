//! Code audit: asks for a semgrep run over a tree, and reads semgrep's JSON (opengrep's too) and any
//! producer's SARIF 2.1.0 into findings.
//!
//! Every record of a report is accounted for: it becomes a finding, or it is counted as skipped and
//! a diagnostic says where it stood and why. Reading is streaming; memory holds one record at a
//! time, and for SARIF the rules.
//!
//! [`convert`] is the whole converter, callable natively with [`tamiz_sdk::memory`].

mod convert;
mod options;
mod sarif;
mod semgrep;
mod vocabulary;

use tamiz_sdk::model::{ConvertError, Description, Outcome, PlanError, ScanRequest, ToolOutput, ToolRun};
use tamiz_sdk::report::Options;
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{Host, Input, Scanner};

pub use convert::convert;

/// What the tools' words for severities mean: `docs/severities.md` shows these tables.
pub const SEVERITIES: &[&SeverityTable] = &[&vocabulary::SEMGREP, &vocabulary::SARIF];

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
        }
    }

    fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        options::parse(&request.options).map_err(PlanError::BadOptions)?;
        if request.target_kind != "tree" {
            return Err(PlanError::Unsupported(format!(
                "codeaudit scans a tree of files, not a target of kind `{}`",
                request.target_kind
            )));
        }
        // The worker's catalogue adds what makes the run safe: no metrics, no settings of the tree.
        let args = [
            "--json",
            "--output",
            "${out.report}",
            "--config",
            "${rules}",
            "${target}",
        ];
        Ok(vec![ToolRun {
            tool: "semgrep".to_owned(),
            args: args.map(str::to_owned).to_vec(),
            outputs: vec![ToolOutput {
                name: "report".to_owned(),
                media_type: "application/json".to_owned(),
            }],
        }])
    }

    fn convert(
        inputs: Vec<Box<dyn Input>>,
        options: &str,
        host: &mut dyn Host,
    ) -> Result<Outcome, ConvertError> {
        convert(inputs, options, host)
    }
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::Scanner;
    use tamiz_sdk::model::{PlanError, ScanRequest};

    use super::CodeAudit;

    fn request(target_kind: &str, options: &str) -> ScanRequest {
        ScanRequest {
            target_kind: target_kind.to_owned(),
            target: String::new(),
            options: options.to_owned(),
        }
    }

    #[test]
    fn a_tree_is_scanned_by_one_semgrep_run() {
        let runs = CodeAudit::plan(&request("tree", "{}")).expect("a tree");
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].tool, "semgrep");
        assert_eq!(runs[0].outputs[0].name, "report");
        let placeholders: Vec<_> = runs[0]
            .args
            .iter()
            .filter(|argument| argument.starts_with("${"))
            .collect();
        assert_eq!(placeholders, ["${out.report}", "${rules}", "${target}"]);
    }

    #[test]
    fn another_target_or_an_unknown_option_is_refused() {
        assert!(matches!(
            CodeAudit::plan(&request("url", "{}")),
            Err(PlanError::Unsupported(_))
        ));
        assert!(matches!(
            CodeAudit::plan(&request("tree", r#"{"x":1}"#)),
            Err(PlanError::BadOptions(_))
        ));
    }

    #[test]
    fn the_options_schema_is_json() {
        let schema: serde_json::Value =
            serde_json::from_str(&CodeAudit::describe().options_schema).expect("JSON");
        assert_eq!(schema["additionalProperties"], serde_json::Value::Bool(false));
    }
}
