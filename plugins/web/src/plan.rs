//! Which tools look at an address, by profile. The worker runs those that it has, and says what it lacks.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{Profile, tool_run};

use crate::options;

/// nmap's scripts that only look.
const NMAP_SCRIPTS: &str = "http-title,http-headers,http-methods,http-git,http-server-header,\
                            http-security-headers";

const JSON: &str = "application/json";
const XML: &str = "application/xml";

/// The tool runs for a request.
///
/// # Errors
/// [`PlanError`] when the options do not fit, or the target is no address of a site.
pub(crate) fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
    let options = options::parse(&request.options).map_err(PlanError::BadOptions)?;
    let profile = options::profile(&options).map_err(PlanError::BadOptions)?;
    if request.target_kind != "url" {
        return Err(PlanError::Unsupported(format!(
            "web scans the address of a site, not a target of kind `{}`",
            request.target_kind
        )));
    }
    Ok(match profile {
        Profile::Quick => vec![whatweb("1"), wafw00f()],
        Profile::Standard => vec![whatweb("3"), nikto(), wapiti()],
        Profile::Deep => vec![whatweb("3"), wafw00f(), nmap(), nikto(), wapiti(), nuclei()],
    })
}

// The worker's catalogue adds what makes each run safe, and its deadline.

fn whatweb(aggression: &str) -> ToolRun {
    run(
        "whatweb",
        &["-a", aggression, "--log-json=${out.report}", "${target.url}"],
        JSON,
    )
}

fn wafw00f() -> ToolRun {
    run(
        "wafw00f",
        &["-f", "json", "-o", "${out.report}", "${target.url}"],
        JSON,
    )
}

fn nmap() -> ToolRun {
    let args = [
        "-sV",
        "--script",
        NMAP_SCRIPTS,
        "-p",
        "${target.port}",
        "-oX",
        "${out.report}",
        "${target.host}",
    ];
    run("nmap", &args, XML)
}

/// In XML: 2.1.5, which Debian has, writes no JSON.
fn nikto() -> ToolRun {
    run(
        "nikto",
        &[
            "-host",
            "${target.url}",
            "-Format",
            "xml",
            "-output",
            "${out.report}",
        ],
        XML,
    )
}

fn wapiti() -> ToolRun {
    let args = [
        "-u",
        "${target.url}",
        "--scope",
        "folder",
        "-f",
        "json",
        "-o",
        "${out.report}",
    ];
    run("wapiti", &args, JSON)
}

fn nuclei() -> ToolRun {
    run(
        "nuclei",
        &["-u", "${target.url}", "-jsonl", "-silent", "-o", "${out.report}"],
        "application/jsonl",
    )
}

fn run(tool: &str, args: &[&str], media_type: &str) -> ToolRun {
    tool_run(tool, args, "report", media_type)
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::model::{PlanError, ScanRequest};

    use super::plan;

    fn tools(kind: &str, options: &str) -> Result<Vec<String>, PlanError> {
        let request = ScanRequest {
            target_kind: kind.to_owned(),
            target: "http://a.test/".to_owned(),
            addresses: Vec::new(),
            options: options.to_owned(),
        };
        plan(&request).map(|runs| runs.into_iter().map(|run| run.tool).collect())
    }

    #[test]
    fn profiles_choose_the_tools() {
        let quick = tools("url", r#"{"profile":"quick"}"#).expect("a plan");
        assert_eq!(quick, ["whatweb", "wafw00f"]);
        assert_eq!(
            tools("url", "{}").expect("a plan"),
            ["whatweb", "nikto", "wapiti"]
        );
        let deep = tools("url", r#"{"profile":"deep"}"#).expect("a plan");
        assert_eq!(deep, ["whatweb", "wafw00f", "nmap", "nikto", "wapiti", "nuclei"]);
    }

    #[test]
    fn other_targets_and_options_are_refused() {
        assert!(matches!(tools("tree", "{}"), Err(PlanError::Unsupported(_))));
        assert!(matches!(
            tools("url", r#"{"x":1}"#),
            Err(PlanError::BadOptions(_))
        ));
        assert!(matches!(
            tools("url", r#"{"profile":"x"}"#),
            Err(PlanError::BadOptions(_))
        ));
    }
}
