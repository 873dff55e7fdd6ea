//! What `--target` means, as the API wants it said. What a target may be is the server's to judge.

use serde_json::{Value, json};
use tamiz_core::target_text::MeantTarget;

use super::super::CliError;

/// As `TargetInput`.
pub(super) fn input(scan_type: &str, text: &str) -> Result<Value, CliError> {
    let osint = |kind: &str, value: String| json!({ "osint": { "type": kind, "value": value } });
    let meant = MeantTarget::of(scan_type, text)
        .map_err(|port| CliError::Usage(format!("--target {text}: {port:?} is no port")))?;
    Ok(match meant {
        MeantTarget::Url(url) => json!({ "url": url }),
        MeantTarget::Endpoint { host, port } => json!({ "endpoint": { "host": host, "port": port } }),
        MeantTarget::Domain(name) if scan_type == "osint" => osint("DOMAIN", name),
        MeantTarget::Domain(name) => json!({ "domain": name }),
        MeantTarget::Email(address) => osint("EMAIL", address),
        MeantTarget::Username(name) => osint("USERNAME", name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_said_as_the_api_wants_it() {
        let osint = |kind: &str, value: &str| json!({ "osint": { "type": kind, "value": value } });
        for (scan_type, text, said) in [
            (
                "web",
                "https://a.example/x",
                json!({ "url": "https://a.example/x" }),
            ),
            (
                "ssl",
                "a.example",
                json!({ "endpoint": { "host": "a.example", "port": 443 } }),
            ),
            ("osint", "a.example", osint("DOMAIN", "a.example")),
            ("osint", "jo@a.example", osint("EMAIL", "jo@a.example")),
            ("osint", "jo", osint("USERNAME", "jo")),
            ("mine", "a.example", json!({ "domain": "a.example" })),
        ] {
            assert_eq!(input(scan_type, text).unwrap(), said, "{scan_type} {text}");
        }
        assert!(matches!(input("ssl", "a.example:https"), Err(CliError::Usage(_))));
    }
}
