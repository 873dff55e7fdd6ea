//! Which tools look at a server: quickly sslscan and sslyze, usually testssl.sh, thoroughly all three.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{OptionKind, OptionSpec, Options, Profile, tool_run};

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
    let run = |tool, args: &[&str], media_type| tool_run(tool, args, "report", media_type);
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
    Ok(match Profile::planned(&options, "ssl", Profile::Standard)? {
        Profile::Quick => vec![sslscan(), sslyze()],
        Profile::Standard => vec![testssl()],
        Profile::Deep => vec![testssl(), sslscan(), sslyze()],
    })
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
