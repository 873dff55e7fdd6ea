//! Where a plugin lies: `registry/repository:tag`, `…@sha256:…`, or both.
//!
//! The registry and the version must be said: a plugin that nobody named a version of is not what anybody
//! meant, and no registry is more ours than another.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::OciError;

/// A checked reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(oci_client::Reference);

impl Reference {
    /// Host and port of the registry.
    pub fn registry(&self) -> &str {
        self.0.resolve_registry()
    }

    /// The last part of the repository's name: lower case, digits, and `.`, `_`, `-` between them.
    pub fn name(&self) -> &str {
        self.0.repository().rsplit('/').next().unwrap_or_default()
    }

    /// The repository, such as `team/name`.
    pub(super) fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The digest that the manifest must have.
    pub(super) fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// What a registry is asked for: the digest before the tag.
    pub(super) fn version(&self) -> &str {
        self.0.digest().or(self.0.tag()).unwrap_or_default()
    }

    /// The same repository under another tag.
    pub(super) fn with_tag(&self, tag: String) -> Self {
        let (registry, repository) = (self.0.registry().to_owned(), self.repository().to_owned());
        Reference(oci_client::Reference::with_tag(registry, repository, tag))
    }

    /// The same repository by a digest, which can never mean anything else.
    #[must_use]
    pub fn with_digest(&self, digest: &str) -> Self {
        let (registry, repository) = (self.0.registry().to_owned(), self.repository().to_owned());
        Reference(oci_client::Reference::with_digest(
            registry,
            repository,
            digest.to_owned(),
        ))
    }

    pub(super) fn inner(&self) -> &oci_client::Reference {
        &self.0
    }

    /// Whether the registry is this machine, where nobody listens in.
    pub(super) fn is_here(&self) -> bool {
        let host = match self.registry().rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => self.registry(),
        };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Reference {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        let wrong = |why: &str| OciError::Reference {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (registry, rest) = text
            .split_once('/')
            .filter(|(registry, _)| registry.contains(['.', ':']) || *registry == "localhost")
            .ok_or_else(|| wrong("it must begin with its registry"))?;
        if registry.contains('@') {
            return Err(wrong("it has no place for credentials"));
        }
        if !rest.contains([':', '@']) {
            return Err(wrong("it must end with a tag or a digest"));
        }
        let inner = oci_client::Reference::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        match inner.digest() {
            Some(digest) if !is_sha256(digest) => Err(wrong("its digest must be of SHA-256")),
            _ => Ok(Reference(inner)),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// `sha256:` and 64 hexadecimal digits in lower case.
pub(super) fn is_sha256(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hash| {
        hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_registry_and_version() {
        let reference: Reference = "127.0.0.1:5000/team/clippy:1.0.0".parse().unwrap();
        assert_eq!(
            (
                reference.registry(),
                reference.repository(),
                reference.version(),
                reference.name()
            ),
            ("127.0.0.1:5000", "team/clippy", "1.0.0", "clippy")
        );
        assert_eq!(reference.to_string(), "127.0.0.1:5000/team/clippy:1.0.0");
        let digest = format!("sha256:{}", "a".repeat(64));
        let both: Reference = format!("registry.example/x:1@{digest}").parse().unwrap();
        assert_eq!(both.version(), digest);
        for (text, says) in [
            ("clippy:1.0.0", "begin with its registry"),
            ("team/clippy:1.0.0", "begin with its registry"),
            ("registry.example/clippy", "end with a tag or a digest"),
            ("registry.example:5000/clippy", "end with a tag or a digest"),
            ("me:secret@registry.example/x:1", "no place for credentials"),
            ("registry.example/UP:1", "is no reference"),
            ("registry.example/../x:1", "is no reference"),
            ("registry.example/x@sha512:00", "is no reference"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn only_this_machine_is_here() {
        for (text, here) in [
            ("localhost/x:1", true),
            ("localhost:5000/x:1", true),
            ("127.8.9.1:5000/x:1", true),
            ("localhost.example/x:1", false),
            ("10.0.0.1:5000/x:1", false),
            ("registry.example:5000/x:1", false),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().is_here(), here, "{text}");
        }
    }
}
