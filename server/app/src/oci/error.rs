//! What can go wrong between a plugin's file and a registry.

use std::path::PathBuf;

/// Why something was not packaged, pushed, pulled, signed or verified.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not a reference, or not one that names what it must.
    #[error("`{text}` is no reference to a plugin: {why}, such as registry.example/team/name:1.0.0")]
    Reference {
        /// What was given.
        text: String,
        /// The rule.
        why: String,
    },
    /// No password for a user, or credentials that cannot be read.
    #[error("the credentials for {registry} cannot be used: {why}")]
    Credentials {
        /// Whose they are.
        registry: String,
        /// What is wrong.
        why: String,
    },
    /// The registry does not let us.
    #[error(
        "{registry} refuses access: log in with `docker login`, or give --username and TAMIZ_REGISTRY_PASSWORD"
    )]
    Denied {
        /// Who refuses.
        registry: String,
    },
    /// Nobody answers, or not in time.
    #[error("cannot reach {registry}{hint}")]
    Unreachable {
        /// Who was asked.
        registry: String,
        /// What may help, beginning with a space; or empty.
        hint: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{registry} did not finish within {seconds} seconds")]
    TimedOut {
        /// Who was asked.
        registry: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The registry said no in some other way.
    #[error("{registry} answers {status} when asked for {what}")]
    Answered {
        /// Who was asked.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
    },
    /// The registry does not take what is pushed.
    #[error("{registry} does not take {what}")]
    Push {
        /// Who was asked.
        registry: String,
        /// What was pushed.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<oci_client::errors::OciDistributionError>,
    },
    /// There is nothing under this name.
    #[error("there is no {reference} in the registry")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// Something else lies there.
    #[error("{what} is no wasm artifact: {why}")]
    NotWasm {
        /// What was looked at.
        what: String,
        /// What it has instead.
        why: String,
    },
    /// More bytes than are read.
    #[error("{what} has more than {limit} bytes, which is the limit")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The bytes are not those that were named.
    #[error("{what} is damaged or not what was asked for: {expected} was expected, {found} came")]
    Damaged {
        /// What was read.
        what: String,
        /// The digest or size that was named.
        expected: String,
        /// What came instead.
        found: String,
    },
    /// Nobody signed it, and a signature is wanted.
    #[error("{reference} is not signed")]
    Unsigned {
        /// What was looked at.
        reference: String,
    },
    /// It is signed by others, or for something else.
    #[error("{reference} has {found} signatures, and none of them fits: {why}")]
    NotVerified {
        /// What was looked at.
        reference: String,
        /// How many there are.
        found: usize,
        /// What is wrong with the last one that was tried.
        why: String,
    },
    /// A key that is no Ed25519 key in PEM.
    #[error("this is no Ed25519 {kind} key in PEM: {why}")]
    Key {
        /// `private` or `public`.
        kind: &'static str,
        /// The reader's words.
        why: String,
    },
    /// A file of a package cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document of ours cannot be written as JSON.
    #[error("cannot write a document")]
    Document(#[from] serde_json::Error),
}
