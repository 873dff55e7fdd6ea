//! What people mean by a target that they write in one word, for each type of scan.
//!
//! Guessing is all that is done here; what a target may be is said by [`crate::target`].

use core::net::Ipv6Addr;

use url::{Host, Url};

use crate::target::{Target, TargetError};

/// The port of a TLS endpoint that names none.
const TLS_PORT: u16 = 443;

/// What is likely meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeantTarget {
    /// A web address.
    Url(String),
    /// A port of a host.
    Endpoint {
        /// A name or an address.
        host: String,
        /// Which one.
        port: u16,
    },
    /// A name in the DNS.
    Domain(String),
    /// A mail address.
    Email(String),
    /// A handle on some service.
    Username(String),
}

impl MeantTarget {
    /// What `text` means to a scan of this type.
    ///
    /// # Errors
    /// The part that should be a port and is none.
    pub fn of(scan_type: &str, text: &str) -> Result<Self, String> {
        let is_web = text.starts_with("http://") || text.starts_with("https://");
        match scan_type {
            "web" => Ok(Self::Url(text.to_owned())),
            "ssl" => endpoint(text),
            "osint" => Ok(osint(text)),
            _ if is_web => Ok(Self::Url(text.to_owned())),
            _ if text.contains(':') => endpoint(text),
            _ => Ok(Self::Domain(text.to_owned())),
        }
    }

    /// The target in its one spelling.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that it breaks.
    pub fn target(&self) -> Result<Target, TargetError> {
        match self {
            Self::Url(url) => Target::url(url),
            Self::Endpoint { host, port } => Target::endpoint(host, i64::from(*port)),
            Self::Domain(name) => Target::domain(name),
            Self::Email(address) => Target::email(address),
            Self::Username(name) => Target::username(name),
        }
    }
}

/// `host`, `host:port`, `[v6]:port`, `v6`, or a web address whose host and port are meant.
fn endpoint(text: &str) -> Result<MeantTarget, String> {
    let said = |host: &str, port: u16| {
        let host = host.to_owned();
        Ok(MeantTarget::Endpoint { host, port })
    };
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
    if text.parse::<Ipv6Addr>().is_ok() || text.ends_with(']') {
        return said(text, TLS_PORT);
    }
    match text.rsplit_once(':') {
        None => said(text, TLS_PORT),
        Some((host, port)) => match port.parse() {
            Ok(port) => said(host, port),
            Err(_) => Err(port.to_owned()),
        },
    }
}

/// A mail address has an `@`, a domain has a dot, all else is a user name; or as a prefix says.
fn osint(text: &str) -> MeantTarget {
    type Kind = fn(String) -> MeantTarget;
    let prefixes: [(&str, Kind); 3] = [
        ("domain:", MeantTarget::Domain),
        ("email:", MeantTarget::Email),
        ("username:", MeantTarget::Username),
    ];
    for (prefix, kind) in prefixes {
        if let Some(value) = text.strip_prefix(prefix) {
            return kind(value.to_owned());
        }
    }
    let kind = if text.contains('@') {
        MeantTarget::Email
    } else if text.contains('.') {
        MeantTarget::Domain
    } else {
        MeantTarget::Username
    };
    kind(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_meant_as_its_type_of_scan_wants_it() {
        let endpoint = |host: &str, port: u16| MeantTarget::Endpoint {
            host: host.to_owned(),
            port,
        };
        let url = |text: &str| MeantTarget::Url(text.to_owned());
        let domain = |text: &str| MeantTarget::Domain(text.to_owned());
        let username = |text: &str| MeantTarget::Username(text.to_owned());
        for (scan_type, text, meant) in [
            ("web", "https://a.example/x", url("https://a.example/x")),
            ("ssl", "a.example", endpoint("a.example", 443)),
            ("ssl", "a.example:8443", endpoint("a.example", 8443)),
            ("ssl", "https://a.example:444/x", endpoint("a.example", 444)),
            ("ssl", "[2001:db8::1]:993", endpoint("[2001:db8::1]", 993)),
            ("ssl", "2001:db8::1", endpoint("2001:db8::1", 443)),
            ("ssl", "127.0.0.1:4433", endpoint("127.0.0.1", 4433)),
            ("osint", "a.example", domain("a.example")),
            (
                "osint",
                "jo@a.example",
                MeantTarget::Email("jo@a.example".to_owned()),
            ),
            ("osint", "jo", username("jo")),
            ("osint", "username:jo.doe", username("jo.doe")),
            ("mine", "http://a.example", url("http://a.example")),
            ("mine", "a.example:25", endpoint("a.example", 25)),
            ("mine", "a.example", domain("a.example")),
        ] {
            assert_eq!(MeantTarget::of(scan_type, text), Ok(meant), "{scan_type} {text}");
        }
        assert_eq!(MeantTarget::of("ssl", "a.example:https"), Err("https".to_owned()));
    }

    #[test]
    fn what_is_meant_is_judged_like_any_target() {
        let meant = MeantTarget::of("ssl", "a.example:8443").unwrap();
        assert_eq!(meant.target().unwrap().text(), "a.example:8443");
        let meant = MeantTarget::of("web", "ftp://a.example").unwrap();
        assert!(matches!(meant.target(), Err(TargetError::Scheme { .. })));
    }
}
