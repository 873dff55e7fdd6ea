//! Which tools look at a tree, by profile. The worker passes over those whose files are not in the tree
//! (its catalogue has the globs), and says which it lacks.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{Profile, tool_run};

use crate::options;

const JSON: &str = "application/json";
const XML: &str = "application/xml";

/// The output that is a tool's own standard output.
const STDOUT: &str = "stdout";

/// The runs for a request.
///
/// # Errors
/// [`PlanError`] when the options do not fit or the target is no tree.
pub(crate) fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
    let options = options::parse(&request.options).map_err(PlanError::BadOptions)?;
    let profile = options::profile(&options).map_err(PlanError::BadOptions)?;
    if request.target_kind != "tree" {
        return Err(PlanError::Unsupported(format!(
            "codeaudit scans a tree of files, not a target of kind `{}`",
            request.target_kind
        )));
    }
    Ok(match profile {
        Profile::Quick => vec![semgrep()],
        Profile::Standard => vec![semgrep(), bandit(), gitleaks()],
        Profile::Deep => vec![
            semgrep(),
            bandit(),
            gitleaks(),
            ruff(),
            shellcheck(),
            hadolint(),
            zizmor(),
            cppcheck(),
            njsscan(),
            checkov(),
        ],
    })
}

// The worker's catalogue adds what makes each run safe: no network, no settings of the tree.

fn semgrep() -> ToolRun {
    let args = [
        "--json",
        "--output",
        "${out.report}",
        "--config",
        "${rules}",
        "${target}",
    ];
    tool_run("semgrep", &args, "report", JSON)
}

fn bandit() -> ToolRun {
    let args = ["-f", "json", "-o", "${out.report}", "${target}"];
    tool_run("bandit", &args, "report", JSON)
}

fn gitleaks() -> ToolRun {
    let args = ["-f", "json", "-r", "${out.report}", "-s", "${target}"];
    tool_run("gitleaks", &args, "report", JSON)
}

/// Only the rules about security, which are flake8-bandit's.
fn ruff() -> ToolRun {
    let args = [
        "--select",
        "S",
        "--output-format",
        "json",
        "-o",
        "${out.report}",
        "${target}",
    ];
    tool_run("ruff", &args, "report", JSON)
}

fn shellcheck() -> ToolRun {
    tool_run("shellcheck", &["-f", "json1", "${files}"], STDOUT, JSON)
}

fn hadolint() -> ToolRun {
    tool_run("hadolint", &["-f", "json", "${files}"], STDOUT, JSON)
}

fn zizmor() -> ToolRun {
    tool_run("zizmor", &["--format", "json", "${target}"], STDOUT, JSON)
}

fn cppcheck() -> ToolRun {
    let args = ["--enable=all", "--output-file=${out.report}", "${target}"];
    tool_run("cppcheck", &args, "report", XML)
}

fn njsscan() -> ToolRun {
    tool_run(
        "njsscan",
        &["--json", "-o", "${out.report}", "${target}"],
        "report",
        JSON,
    )
}

fn checkov() -> ToolRun {
    tool_run("checkov", &["-d", "${target}", "-o", "json"], STDOUT, JSON)
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::model::{PlanError, ScanRequest};

    use super::plan;

    fn request(target_kind: &str, options: &str) -> ScanRequest {
        ScanRequest {
            target_kind: target_kind.to_owned(),
            target: String::new(),
            addresses: Vec::new(),
            options: options.to_owned(),
        }
    }

    #[test]
    fn the_profile_chooses_the_tools() {
        let tools = |options: &str| -> Vec<String> {
            let runs = plan(&request("tree", options)).expect(options);
            runs.into_iter().map(|run| run.tool).collect()
        };
        assert_eq!(tools(r#"{"profile":"quick"}"#), ["semgrep"]);
        assert_eq!(tools("{}"), ["semgrep"]);
        assert_eq!(tools(r#"{"profile":"deep"}"#).len(), 10);
    }

    #[test]
    fn every_run_writes_where_the_worker_says() {
        for run in plan(&request("tree", r#"{"profile":"deep"}"#)).expect("a tree") {
            let output = &run.outputs[0].name;
            let written = run.args.iter().any(|argument| argument.contains("${out.report}"));
            assert!(written || output == "stdout", "{}", run.tool);
            let looked_at = |argument: &String| argument == "${target}" || argument == "${files}";
            assert!(run.args.iter().any(looked_at), "{}", run.tool);
        }
    }

    #[test]
    fn another_target_or_an_unknown_option_is_refused() {
        assert!(matches!(
            plan(&request("url", "{}")),
            Err(PlanError::Unsupported(_))
        ));
        for options in [r#"{"x":1}"#, r#"{"profile":"slow"}"#] {
            assert!(matches!(
                plan(&request("tree", options)),
                Err(PlanError::BadOptions(_))
            ));
        }
    }
}
