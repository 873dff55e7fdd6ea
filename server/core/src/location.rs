//! Where a finding is: a file, a URL, an endpoint, a domain name or a packet flow.

use serde::{Deserialize, Serialize};

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// A place on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// 1 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Transport and service, such as `tcp/https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// One place of a finding. Serialised with a `kind` field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Location {
    /// In a scanned file.
    File {
        /// Relative to the scanned root; a label, never opened.
        path: String,
        /// Where it begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Position>,
        /// Where it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end: Option<Position>,
        /// The source text there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snippet: Option<String>,
    },
    /// In a web application.
    Url {
        /// As the tool wrote it.
        url: String,
        /// HTTP method, upper case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
        /// The parameter concerned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameter: Option<String>,
        /// What was sent or seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    /// On a host.
    Endpoint(Endpoint),
    /// A name in the DNS.
    Domain {
        /// Without a trailing dot.
        name: String,
        /// Such as `MX`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record_type: Option<String>,
    },
    /// A conversation in a capture.
    Flow {
        /// Who began.
        source: Endpoint,
        /// Who answered.
        destination: Endpoint,
        /// Number of the first packet, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packet: Option<u32>,
    },
}

impl Location {
    /// The word that the database and the API use for the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Url { .. } => "url",
            Self::Endpoint(_) => "endpoint",
            Self::Domain { .. } => "domain",
            Self::Flow { .. } => "flow",
        }
    }

    /// The place in one word: a path, a URL, `host:port`, a name, `a:1 > b:2`.
    pub fn label(&self) -> String {
        match self {
            Self::File { path, .. } => path.clone(),
            Self::Url { url, .. } => url.clone(),
            Self::Endpoint(endpoint) => endpoint.label(),
            Self::Domain { name, .. } => name.clone(),
            Self::Flow {
                source, destination, ..
            } => {
                format!("{} > {}", source.label(), destination.label())
            }
        }
    }
}

impl Endpoint {
    /// `host:port`, an IPv6 address in brackets.
    pub fn label(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_colons_is_bracketed_before_its_port() {
        let endpoint = Endpoint {
            host: "::1".into(),
            port: Some(443),
            protocol: None,
        };
        assert_eq!(endpoint.label(), "[::1]:443");
    }
}
