//! Hosts and ports, as the tools write them.

use tamiz_sdk::model::{Location, NetworkEndpoint};

/// A server that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: Option<u32>,
}

impl Endpoint {
    /// A host and a port that is text.
    pub(crate) fn new(host: &str, port: &str) -> Self {
        Self {
            host: host.trim().to_owned(),
            port: port
                .trim()
                .parse()
                .ok()
                .filter(|port| (1..=PORT_MAX).contains(port)),
        }
    }

    /// `host:port`, `[host]:port` or a host alone.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                Self::new(host.trim_start_matches('[').trim_end_matches(']'), port)
            }
            _ => Self::new(text, ""),
        }
    }

    /// The place, if there is one.
    pub(crate) fn location(&self, protocol: &str) -> Option<Location> {
        (!self.host.is_empty()).then(|| {
            Location::Endpoint(NetworkEndpoint {
                host: self.host.clone(),
                port: self.port,
                protocol: Some(protocol.to_owned()),
            })
        })
    }

    /// As a message shows it.
    pub(crate) fn shown(&self) -> String {
        match (self.host.as_str(), self.port) {
            ("", _) => "the server".to_owned(),
            (host, Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        }
    }
}

/// The highest port.
const PORT_MAX: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("a.example:443", "a.example", Some(443)),
            ("[2001:db8::1]:993", "2001:db8::1", Some(993)),
            ("2001:db8::1", "2001:db8::1", None),
            ("a.example", "a.example", None),
            ("a.example:70000", "a.example", None),
        ] {
            let endpoint = Endpoint::parse(text);
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{text}");
        }
    }
}
