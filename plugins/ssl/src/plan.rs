//! Which tools look at a server: quickly sslscan and sslyze, usually testssl.sh, thoroughly all three.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolOutput, ToolRun};
use tamiz_sdk::report::{OptionKind, OptionSpec, Options};

/// What a task may set.
pub(crate) const KNOWN: &[OptionSpec] = &[OptionSpec {
    name: "profile",
    kind: OptionKind::Text,
    description: "quick (sslscan and sslyze), standard (testssl.sh) or deep (all three)",
}];

/// The runs for a target.
pub(crate) fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
    let options = Options::parse(&request.options, "ssl", KNOWN).map_err(PlanError::BadOptions)?;
    if request.target_kind != "endpoint" {
        return Err(PlanError::Unsupported(format!(
            "ssl scans a host and port, not a target of kind `{}`",
            request.target_kind
        )));
    }
    let json = "application/json";
    let sslscan = || {
        let args = ["--show-certificate", "--xml=${out.report}", "${target.endpoint}"];
        run("sslscan", &args, "application/xml")
    };
    let testssl = || {
        run(
            "testssl",
            &["--jsonfile", "${out.report}", "${target.endpoint}"],
            json,
        )
    };
    let sslyze = || {
        run(
            "sslyze",
            &["--json_out", "${out.report}", "${target.endpoint}"],
            json,
        )
    };
    match options.text("profile").unwrap_or("standard") {
        "quick" => Ok(vec![sslscan(), sslyze()]),
        "standard" => Ok(vec![testssl()]),
        "deep" => Ok(vec![testssl(), sslscan(), sslyze()]),
        other => Err(PlanError::BadOptions(format!(
            "`profile` is `{other}`, not quick, standard or deep"
        ))),
    }
}

fn run(tool: &str, args: &[&str], media_type: &str) -> ToolRun {
    ToolRun {
        tool: tool.to_owned(),
        args: args.iter().map(|&argument| argument.to_owned()).collect(),
        outputs: vec![ToolOutput {
            name: "report".to_owned(),
            media_type: media_type.to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::model::{PlanError, ScanRequest};

    use super::plan;

    fn request(target_kind: &str, options: &str) -> ScanRequest {
        ScanRequest {
            target_kind: target_kind.to_owned(),
            target: String::new(),
            options: options.to_owned(),
        }
    }

    #[test]
    fn the_profile_chooses_the_tools() {
        for (options, tools) in [
            (r#"{"profile":"quick"}"#, &["sslscan", "sslyze"][..]),
            ("{}", &["testssl"][..]),
            (r#"{"profile":"deep"}"#, &["testssl", "sslscan", "sslyze"][..]),
        ] {
            let runs = plan(&request("endpoint", options)).expect(options);
            let planned: Vec<_> = runs.iter().map(|run| run.tool.as_str()).collect();
            assert_eq!(planned, tools, "{options}");
            assert!(
                runs.iter()
                    .all(|run| run.args.contains(&"${target.endpoint}".to_owned()))
            );
        }
    }

    #[test]
    fn other_targets_and_options_are_refused() {
        assert!(matches!(
            plan(&request("tree", "{}")),
            Err(PlanError::Unsupported(_))
        ));
        for options in [r#"{"x":1}"#, r#"{"profile":"slow"}"#] {
            let refused = plan(&request("endpoint", options));
            assert!(matches!(refused, Err(PlanError::BadOptions(_))), "{options}");
        }
    }
}
