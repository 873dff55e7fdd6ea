//! Which tools look at a capture besides this plugin, by profile. The capture itself is read in any case,
//! so a worker without the tools passes over them and says so.
//!
//! What they add: Suricata knows attacks by their signatures, tshark takes apart hundreds of protocols. Of
//! what tshark knows only that is asked for which is a finding, and never a password: its output is kept.

use tamiz_sdk::model::{PlanError, ScanRequest, ToolRun};
use tamiz_sdk::report::{OptionKind, OptionSpec, Options, Profile, tool_run};

/// What a task may set.
pub(crate) const KNOWN: &[OptionSpec] = &[OptionSpec {
    name: "profile",
    kind: OptionKind::Text,
    description: "who reads the capture: quick (tamiz alone), standard (Suricata, too; what is taken when nothing is \
                  said) or deep (Suricata and tshark, too)",
}];

/// Packets that show a password in one of the protocols that the plugin itself does not read, and those
/// of which Wireshark says that they are a security problem (group 0x0a000000).
const FILTER: &str = "_ws.expert.group == 0x0a000000 || ldap.simple != \"\" || mqtt.passwd || pgsql.password || \
                      pap.password || socks.password || irc.request.command == \"PASS\"";

/// Who, whom, and by what; no field that holds a secret.
const FIELDS: [&str; 21] = [
    "frame.number",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "_ws.expert.severity",
    "_ws.expert.group",
    "_ws.expert.message",
    "ldap.authentication",
    "ldap.name",
    "mqtt.conflag.passwd",
    "mqtt.username",
    "pgsql.type",
    "pap.peer_id",
    "socks.username",
    "irc.request.command",
];

const JSON: &str = "application/json";

/// The runs for a request.
///
/// # Errors
/// [`PlanError`] when the options do not fit or the target is no capture.
pub(crate) fn plan(request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
    let options = Options::parse(&request.options, "pcap", KNOWN).map_err(PlanError::BadOptions)?;
    let runs = match Profile::planned(&options, "pcap", Profile::Standard)? {
        Profile::Quick => Vec::new(),
        Profile::Standard => vec![suricata()],
        Profile::Deep => vec![suricata(), tshark()],
    };
    if request.target_kind != "capture" {
        return Err(PlanError::Unsupported(format!(
            "pcap reads captures, it scans no target of kind `{}`",
            request.target_kind
        )));
    }
    Ok(runs)
}

/// Its settings, which are the worker's, let it write its log to the output named `report`.
fn suricata() -> ToolRun {
    tool_run("suricata", &["-r", "${target}"], "report", JSON)
}

fn tshark() -> ToolRun {
    let mut args = vec!["-r", "${target}", "-T", "json", "-Y", FILTER];
    args.extend(FIELDS.iter().flat_map(|field| ["-e", field]));
    tool_run("tshark", &args, "stdout", JSON)
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
            let runs = plan(&request("capture", options)).expect(options);
            runs.into_iter().map(|run| run.tool).collect()
        };
        assert!(tools(r#"{"profile":"quick"}"#).is_empty());
        assert_eq!(tools("{}"), ["suricata"]);
        assert_eq!(tools(r#"{"profile":"standard"}"#), ["suricata"]);
        assert_eq!(tools(r#"{"profile":"deep"}"#), ["suricata", "tshark"]);
    }

    #[test]
    fn every_run_reads_the_capture_and_asks_for_no_password() {
        for run in plan(&request("capture", r#"{"profile":"deep"}"#)).expect("a capture") {
            assert!(
                run.args.windows(2).any(|pair| pair == ["-r", "${target}"]),
                "{}",
                run.tool
            );
            let fields = run.args.iter().zip(run.args.iter().skip(1));
            let mut printed = fields
                .filter(|(option, _)| *option == "-e")
                .map(|(_, field)| field.as_str());
            let secret = [
                "ldap.simple",
                "mqtt.passwd",
                "pgsql.password",
                "pap.password",
                "socks.password",
            ];
            assert!(
                !printed.any(|field| secret.contains(&field) || field == "irc.request.command_parameter")
            );
        }
    }

    #[test]
    fn another_target_or_an_unknown_option_is_refused() {
        for kind in ["tree", "url"] {
            assert!(matches!(
                plan(&request(kind, "{}")),
                Err(PlanError::Unsupported(_))
            ));
        }
        for options in [r#"{"x":1}"#, r#"{"profile":"slow"}"#] {
            assert!(matches!(
                plan(&request("capture", options)),
                Err(PlanError::BadOptions(_))
            ));
        }
    }
}
