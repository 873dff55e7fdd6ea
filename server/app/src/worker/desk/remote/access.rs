//! Where the server is, and by which token it is asked.
//!
//! The token goes over the line with every claim, so the line is HTTPS, or stays on this machine.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use tamiz_core::worker_token::WorkerToken;
use url::{Host, Url};

use crate::wire::ROOT;

/// A token has 53 characters; whoever names another file by mistake is told soon.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// A server's address and the worker's token.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) root: String,
    /// Nothing leaves this machine.
    pub(super) stays_here: bool,
    pub(super) token: WorkerToken,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Not an address.
    #[error("--server must be the address of a server, such as https://tamiz.example: {0}")]
    Address(String),
    /// The token would go over a network in the clear.
    #[error("--server {0} would send the worker's token in the clear: use https, or say --insecure-http")]
    Clear(String),
    /// Not a token; it is not repeated.
    #[error(
        "this is no worker's token: `tamiz worker token create` makes one, tmw_ and 49 letters and digits"
    )]
    Token,
    /// No token file.
    #[error("the token file {path} cannot be read")]
    File {
        /// As it was said.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Access {
    /// Checks both; nothing is sent.
    ///
    /// # Errors
    /// [`AccessError`] says what to do.
    pub fn new(server: &str, token: &str, insecure_http: bool) -> Result<Self, AccessError> {
        let url = Url::parse(server).map_err(|error| AccessError::Address(error.to_string()))?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_bare = !has_user && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare {
            let why = "only http and https, without a user, parameters and a fragment";
            return Err(AccessError::Address(why.to_owned()));
        }
        let stays_here = is_here(&url);
        if url.scheme() == "http" && !insecure_http && !stays_here {
            return Err(AccessError::Clear(url.to_string()));
        }
        let token = WorkerToken::parse(token.trim()).map_err(|_| AccessError::Token)?;
        Ok(Self {
            root: format!("{}{ROOT}", url.as_str().trim_end_matches('/')),
            stays_here,
            token,
        })
    }

    /// The token that stands in a file.
    ///
    /// # Errors
    /// [`AccessError::File`].
    pub fn token_in(path: &Path) -> Result<String, AccessError> {
        let failed = |source| AccessError::File {
            path: path.display().to_string(),
            source,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        file.take(TOKEN_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Ok(text)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.root.trim_end_matches(ROOT))
    }
}

/// Whether it never leaves this machine. A name other than `localhost` may be anybody's.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(server: &str, insecure: bool) -> Result<Access, AccessError> {
        let token = WorkerToken::from_random([1; 32]);
        Access::new(server, &format!("{}\n", token.reveal()), insecure)
    }

    #[test]
    fn a_token_goes_in_the_clear_only_on_this_machine_or_where_it_is_asked_for() {
        for here in [
            "http://127.0.0.1:8600",
            "http://localhost/",
            "http://[::1]:1",
            "https://tamiz.example/x",
        ] {
            let access = access(here, false).unwrap();
            // where a proxy of the environment is not asked
            assert_eq!(access.stays_here, !here.contains("tamiz.example"), "{here}");
        }
        for away in [
            "http://tamiz.example",
            "http://10.0.0.1:8600",
            "http://localhost.example",
        ] {
            assert!(
                matches!(access(away, false), Err(AccessError::Clear(_))),
                "{away}"
            );
            assert!(access(away, true).is_ok(), "{away}");
        }
        for bad in [
            "tamiz.example",
            "ftp://127.0.0.1",
            "https://me:pw@tamiz.example",
            "https://x/?a=b",
            "https://x/#a",
            "",
        ] {
            assert!(matches!(access(bad, true), Err(AccessError::Address(_))), "{bad}");
        }
        let root = access("https://tamiz.example/below/", false).unwrap();
        assert_eq!(root.root, "https://tamiz.example/below/worker/v1");
        assert_eq!(root.to_string(), "https://tamiz.example/below");
    }

    #[test]
    fn a_wrong_token_is_told_and_not_repeated() {
        let wrong = Access::new("https://tamiz.example", "tmz_secret", false).unwrap_err();
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
        let good = access("https://tamiz.example", false).unwrap();
        assert!(
            !format!("{good:?}").contains(&good.token.reveal()[12..]),
            "{good:?}"
        );
    }
}
