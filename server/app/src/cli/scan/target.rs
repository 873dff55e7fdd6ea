//! What `--target` means for each type of scan, as the API wants it said.
//!
//! Guessing is all that is done here; what a target may be is the server's to judge.

use serde_json::{Value, json};
use url::{Host, Url};

use super::super::CliError;

/// The port of a TLS endpoint that names none.
const TLS_PORT: u16 = 443;

/// As `TargetInput`.
pub(super) fn input(scan_type: &str, text: &str) -> Result<Value, CliError> {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    match scan_type {
        "web" => Ok(json!({ "url": text })),
        "ssl" => endpoint(text),
        "osint" => Ok(json!({ "osint": osint(text) })),
        _ if is_web => Ok(json!({ "url": text })),
        _ if text.contains(':') => endpoint(text),
        _ => Ok(json!({ "domain": text })),
    }
}

/// `host`, `host:port`, `[v6]:port`, `v6`, or a web address whose host and port are meant.
fn endpoint(text: &str) -> Result<Value, CliError> {
    let said = |host: &str, port: u16| Ok(json!({ "endpoint": { "host": host, "port": port } }));
    if let Ok(url) = Url::parse(text)
        && let Some(host) = url.host()
    {
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        return said(&host, url.port_or_known_default().unwrap_or(TLS_PORT));
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() || text.ends_with(']') {
        return said(text, TLS_PORT);
    }
    match text.rsplit_once(':') {
        None => said(text, TLS_PORT),
        Some((host, port)) => match port.parse() {
            Ok(port) => said(host, port),
            Err(_) => Err(CliError::Usage(format!("--target {text}: {port:?} is no port"))),
        },
    }
}

/// A mail address has an `@`, a domain has a dot, all else is a user name; or as a prefix says.
fn osint(text: &str) -> Value {
    let prefixes = [
        ("domain:", "DOMAIN"),
        ("email:", "EMAIL"),
        ("username:", "USERNAME"),
    ];
    for (prefix, kind) in prefixes {
        if let Some(value) = text.strip_prefix(prefix) {
            return json!({ "type": kind, "value": value });
        }
    }
    let kind = if text.contains('@') {
        "EMAIL"
    } else if text.contains('.') {
        "DOMAIN"
    } else {
        "USERNAME"
    };
    json!({ "type": kind, "value": text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_said_as_its_type_of_scan_wants_it() {
        let endpoint = |host: &str, port: u16| json!({ "endpoint": { "host": host, "port": port } });
        let osint = |kind: &str, value: &str| json!({ "osint": { "type": kind, "value": value } });
        for (scan_type, text, said) in [
            (
                "web",
                "https://a.example/x",
                json!({ "url": "https://a.example/x" }),
            ),
            ("ssl", "a.example", endpoint("a.example", 443)),
            ("ssl", "a.example:8443", endpoint("a.example", 8443)),
            ("ssl", "https://a.example:444/x", endpoint("a.example", 444)),
            ("ssl", "[2001:db8::1]:993", endpoint("[2001:db8::1]", 993)),
            ("ssl", "2001:db8::1", endpoint("2001:db8::1", 443)),
            ("ssl", "127.0.0.1:4433", endpoint("127.0.0.1", 4433)),
            ("osint", "a.example", osint("DOMAIN", "a.example")),
            ("osint", "jo@a.example", osint("EMAIL", "jo@a.example")),
            ("osint", "jo", osint("USERNAME", "jo")),
            ("osint", "username:jo.doe", osint("USERNAME", "jo.doe")),
            ("mine", "http://a.example", json!({ "url": "http://a.example" })),
            ("mine", "a.example:25", endpoint("a.example", 25)),
            ("mine", "a.example", json!({ "domain": "a.example" })),
        ] {
            assert_eq!(input(scan_type, text).unwrap(), said, "{scan_type} {text}");
        }
        assert!(matches!(input("ssl", "a.example:https"), Err(CliError::Usage(_))));
    }
}
