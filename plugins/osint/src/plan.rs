//! Which tools look at a domain: quickly dnsrecon, usually also dnstwist, thoroughly also a zone
//! transfer, in the same run of dnsrecon, and all that theHarvester finds by DNS.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{OptionKind, OptionSpec, Options, Profile, tool_run};

/// What a task may set.
pub(crate) const KNOWN: &[OptionSpec] = &[OptionSpec {
    name: "profile",
    kind: OptionKind::Text,
    description: "quick (dnsrecon), standard (dnsrecon and dnstwist) or deep (a zone transfer and theHarvester, too)",
}];

const JSON: &str = "application/json";

/// The runs for a target.
pub(crate) fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
    let options = Options::parse(&request.options, "osint", KNOWN).map_err(PlanError::BadOptions)?;
    if request.target_kind != "domain" {
        return Err(PlanError::Unsupported(format!(
            "osint scans a domain, not a target of kind `{}`",
            request.target_kind
        )));
    }
    let records = || dnsrecon("std");
    let lookalikes = || {
        let args = [
            "--nameservers",
            "${resolver}",
            "-r",
            "--format",
            "json",
            "${target.host}",
        ];
        tool_run("dnstwist", &args, "stdout", JSON)
    };
    let harvest = || {
        let args = [
            "-d",
            "${target.host}",
            "-b",
            "crtsh",
            "-c",
            "-e",
            "${resolver}",
            "-f",
            "${out.report.json}",
        ];
        tool_run("theharvester", &args, "report.json", JSON)
    };
    Ok(match Profile::planned(&options, "osint", Profile::Standard)? {
        Profile::Quick => vec![records()],
        Profile::Standard => vec![records(), lookalikes()],
        Profile::Deep => vec![dnsrecon("std,axfr"), lookalikes(), harvest()],
    })
}

fn dnsrecon(kind: &str) -> ToolRun {
    let args = [
        "-d",
        "${target.host}",
        "-n",
        "${resolver}",
        "-t",
        kind,
        "-j",
        "${out.report}",
    ];
    tool_run("dnsrecon", &args, "report", JSON)
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
            (r#"{"profile":"quick"}"#, &["dnsrecon"][..]),
            ("{}", &["dnsrecon", "dnstwist"][..]),
            (
                r#"{"profile":"deep"}"#,
                &["dnsrecon", "dnstwist", "theharvester"][..],
            ),
        ] {
            let runs = plan(&request("domain", options)).expect(options);
            let planned: Vec<_> = runs.iter().map(|run| run.tool.as_str()).collect();
            assert_eq!(planned, tools, "{options}");
            assert!(
                runs.iter()
                    .all(|run| run.args.contains(&"${target.host}".to_owned()))
            );
        }
    }

    #[test]
    fn only_a_deep_scan_asks_for_the_zone() {
        for (options, kinds) in [("{}", "std"), (r#"{"profile":"deep"}"#, "std,axfr")] {
            let runs = plan(&request("domain", options)).expect(options);
            assert!(runs[0].args.contains(&kinds.to_owned()), "{options}");
        }
    }

    #[test]
    fn other_targets_and_options_are_refused() {
        assert!(matches!(
            plan(&request("url", "{}")),
            Err(PlanError::Unsupported(_))
        ));
        for options in [r#"{"x":1}"#, r#"{"profile":"slow"}"#] {
            let refused = plan(&request("domain", options));
            assert!(matches!(refused, Err(PlanError::BadOptions(_))), "{options}");
        }
    }
}
