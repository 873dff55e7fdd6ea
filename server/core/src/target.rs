//! What a scan goes to when it is no upload: a web address, an endpoint, a name, a person's handle.
//!
//! Parsing is the first half of the guard: a [`Target`] exists only in the spelling that the URL
//! standard gives it (`0x7f.1` is `127.0.0.1`, names are lower-case ASCII), without credentials, and
//! no part of it that a tool may see as an argument begins with a dash.
//!
//! Not here: which addresses are allowed (see [`crate::address`]), and resolving names.

use core::net::IpAddr;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::limits::PLACE_BYTES_MAX;
use crate::refusal::{Refusal, RefusalCode};
use crate::severity::UnknownWord;
use crate::text::cut;

/// A name in the DNS, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// One part of a name, in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;
/// The part of a mail address before the `@`, in bytes (RFC 5321).
const LOCAL_PART_BYTES_MAX: usize = 64;
/// A user's name, in characters: longer than any service allows.
const USERNAME_CHARACTERS_MAX: usize = 64;
/// Of the input that an error repeats, in bytes.
const QUOTED_BYTES_MAX: usize = 100;

/// What plugins call a kind of thing to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// An unpacked upload.
    Tree,
    /// An uploaded capture of network traffic.
    Capture,
    /// A web application.
    Url,
    /// A port of a host.
    Endpoint,
    /// A name in the DNS.
    Domain,
    /// A mail address.
    Email,
    /// A handle on some service.
    Username,
}

impl TargetKind {
    /// All, uploads first.
    pub const ALL: [Self; 7] = [
        Self::Tree,
        Self::Capture,
        Self::Url,
        Self::Endpoint,
        Self::Domain,
        Self::Email,
        Self::Username,
    ];

    /// The word of the plugin interface and of the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Capture => "capture",
            Self::Url => "url",
            Self::Endpoint => "endpoint",
            Self::Domain => "domain",
            Self::Email => "email",
            Self::Username => "username",
        }
    }
}

impl FromStr for TargetKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| UnknownWord {
            word: cut(text, QUOTED_BYTES_MAX).to_owned(),
            known: "tree, capture, url, endpoint, domain, email, username",
        })
    }
}

/// How thorough a scan is: it chooses tools and their flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Minutes; what can be seen at once.
    Quick,
    /// What is worth it.
    Standard,
    /// Everything, however long it takes.
    Deep,
}

impl Profile {
    /// The word in a plugin's options.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Deep => "deep",
        }
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It cannot be parsed.
    #[error("{text:?} is no {what}: {why}")]
    Unreadable {
        /// The beginning of the input.
        text: String,
        /// What it should have been.
        what: &'static str,
        /// What the parser or the rule says.
        why: String,
    },
    /// A web address that is not of the web.
    #[error("only http and https addresses can be scanned, not {scheme}:")]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// Credentials would end up in arguments, logs and reports.
    #[error("the address must not hold a user name or password")]
    Credentials,
    /// A tool would take it for an option.
    #[error("{text:?} begins with a dash, which a tool would take for an option")]
    Dash {
        /// The part.
        text: String,
    },
}

impl TargetError {
    fn unreadable(text: &str, what: &'static str, why: impl ToString) -> Self {
        // what stands before an @ may be a password
        let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
        Self::Unreadable {
            text: cut(text, QUOTED_BYTES_MAX).to_owned(),
            what,
            why: why.to_string(),
        }
    }
}

impl From<TargetError> for Refusal {
    fn from(error: TargetError) -> Self {
        Self::new(RefusalCode::TargetInvalid, error.to_string()).at(&["input", "target"])
    }
}

/// What a scan goes to. Made by its parsers only; read back from the database as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Target {
    /// A web application.
    Url {
        /// As the URL standard writes it, without a fragment.
        url: String,
        /// Its host: a name, or an address without brackets.
        host: String,
        /// Its port, written or implied.
        port: u16,
    },
    /// A port of a host.
    Endpoint {
        /// A name, or an address without brackets.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A name in the DNS.
    Domain {
        /// Lower-case ASCII without a trailing dot.
        name: String,
    },
    /// A mail address. Asked about elsewhere, never contacted.
    Email {
        /// With its domain in lower-case ASCII.
        address: String,
    },
    /// A handle on some service. Asked about elsewhere, never contacted.
    Username {
        /// Letters, digits, `.`, `_`, `-`.
        name: String,
    },
}

/// A target with the addresses that its host had when the task was asked for. Nothing else is ever
/// contacted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedTarget {
    /// What to scan.
    pub target: Target,
    /// Where its host is; empty for targets without one.
    pub addresses: Vec<IpAddr>,
}

impl Target {
    /// A web address.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that `text` breaks.
    pub fn url(text: &str) -> Result<Self, TargetError> {
        let unreadable = |why: &dyn ToString| TargetError::unreadable(text, "web address", why.to_string());
        if text.len() > PLACE_BYTES_MAX {
            return Err(unreadable(&format!("more than {PLACE_BYTES_MAX} bytes")));
        }
        let mut url = Url::parse(text).map_err(|error| unreadable(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme {
                scheme: cut(url.scheme(), QUOTED_BYTES_MAX).to_owned(),
            });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let host = url.host().map(|host| host.to_owned());
        let host = spelled(host.ok_or_else(|| unreadable(&"it has no host"))?)?;
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or_else(|| unreadable(&"port 0"))?;
        if url.host_str().is_some_and(|written| written.ends_with('.')) {
            url.set_host(Some(&host)).map_err(|error| unreadable(&error))?;
        }
        url.set_fragment(None);
        if url.as_str().len() > PLACE_BYTES_MAX {
            return Err(unreadable(&format!("more than {PLACE_BYTES_MAX} bytes")));
        }
        Ok(Self::Url {
            url: url.into(),
            host,
            port,
        })
    }

    /// A port of a host.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that is broken.
    pub fn endpoint(host: &str, port: i64) -> Result<Self, TargetError> {
        let number = u16::try_from(port).ok().filter(|port| *port != 0);
        let port = number
            .ok_or_else(|| TargetError::unreadable(&port.to_string(), "port", "it must be 1 to 65535"))?;
        Ok(Self::Endpoint {
            host: spelled(host_of(host)?)?,
            port,
        })
    }

    /// A name in the DNS.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that is broken.
    pub fn domain(text: &str) -> Result<Self, TargetError> {
        match host_of(text)? {
            host @ Host::Domain(_) => Ok(Self::Domain { name: spelled(host)? }),
            Host::Ipv4(_) | Host::Ipv6(_) => {
                Err(TargetError::unreadable(text, "domain name", "it is an address"))
            }
        }
    }

    /// A mail address.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that is broken.
    pub fn email(text: &str) -> Result<Self, TargetError> {
        let unreadable = |why: &str| TargetError::unreadable(text, "mail address", why);
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| unreadable("it has no @"))?;
        no_dash(local)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
        if local.is_empty() || local.len() > LOCAL_PART_BYTES_MAX || !local.bytes().all(fits) {
            return Err(unreadable("the part before the @ is not plain"));
        }
        match Self::domain(domain)? {
            Self::Domain { name } if name.contains('.') => Ok(Self::Email {
                address: format!("{local}@{name}"),
            }),
            _ => Err(unreadable("the part after the @ has no dot")),
        }
    }

    /// A handle on some service.
    ///
    /// # Errors
    /// [`TargetError`] names the rule that is broken.
    pub fn username(text: &str) -> Result<Self, TargetError> {
        no_dash(text)?;
        let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
        let count = text.chars().count();
        if count == 0 || count > USERNAME_CHARACTERS_MAX || !text.chars().all(fits) {
            let why = format!("it must be 1 to {USERNAME_CHARACTERS_MAX} letters, digits, '.', '_' or '-'");
            return Err(TargetError::unreadable(text, "user name", why));
        }
        Ok(Self::Username {
            name: text.to_owned(),
        })
    }

    /// Its kind.
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::Url { .. } => TargetKind::Url,
            Self::Endpoint { .. } => TargetKind::Endpoint,
            Self::Domain { .. } => TargetKind::Domain,
            Self::Email { .. } => TargetKind::Email,
            Self::Username { .. } => TargetKind::Username,
        }
    }

    /// The target in one word, as plugins and tools get it: the address, `host:port`, the name.
    pub fn text(&self) -> String {
        match self {
            Self::Url { url, .. } => url.clone(),
            Self::Endpoint { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Endpoint { host, port } => format!("{host}:{port}"),
            Self::Domain { name } | Self::Username { name } => name.clone(),
            Self::Email { address } => address.clone(),
        }
    }

    /// The host that tools will contact; none for what is only asked about elsewhere.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Url { host, .. } | Self::Endpoint { host, .. } => Some(host),
            Self::Domain { name } => Some(name),
            Self::Email { .. } | Self::Username { .. } => None,
        }
    }

    /// The port that tools will contact, where there is one.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Url { port, .. } | Self::Endpoint { port, .. } => Some(*port),
            Self::Domain { .. } | Self::Email { .. } | Self::Username { .. } => None,
        }
    }
}

/// Parses a host as the URL standard does, for odd spellings of addresses; brackets may be left out.
fn host_of(text: &str) -> Result<Host<String>, TargetError> {
    if text.len() > PLACE_BYTES_MAX {
        return Err(TargetError::unreadable(text, "host", "it is too long"));
    }
    if let Ok(address) = text.parse::<core::net::Ipv6Addr>() {
        return Ok(Host::Ipv6(address));
    }
    no_dash(text)?;
    Host::parse(text).map_err(|error| TargetError::unreadable(text, "host", error))
}

/// The one spelling of a host.
fn spelled(host: Host<String>) -> Result<String, TargetError> {
    let name = match host {
        Host::Ipv4(address) => return Ok(address.to_string()),
        Host::Ipv6(address) => return Ok(address.to_string()),
        Host::Domain(name) => name,
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let fits = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(plain)
    };
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(fits) {
        let why = "its parts must be 1 to 63 letters, digits, '-' or '_'";
        return Err(TargetError::unreadable(name, "host name", why));
    }
    for label in name.split('.') {
        no_dash(label)?;
    }
    Ok(name.to_owned())
}

fn no_dash(text: &str) -> Result<(), TargetError> {
    if text.starts_with('-') {
        let text = cut(text, QUOTED_BYTES_MAX).to_owned();
        return Err(TargetError::Dash { text });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
