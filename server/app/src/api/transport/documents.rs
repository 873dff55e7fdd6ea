//! Documents that are known by the SHA-256 of their text.
//!
//! Two kinds: the trusted ones of a manifest that an operator brings, the same for everybody and parsed once; and
//! those that clients of a tenant said before, with their hashes (automatic persisted queries). The latter belong to
//! their tenant: another one that names the same hash is told that nobody knows it. With
//! `trusted_documents_only` nothing runs but the manifest.

mod persisted;
mod trusted;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::ServerError;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::asked::{Asked, Document};
use crate::api::cost::with_code;
use persisted::Persisted;
pub use trusted::{ManifestError, TrustedDocuments};

/// The SHA-256 of a document's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    /// That of `text`.
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// From 64 hex digits, with or without `sha256:` before them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

/// All documents that this server knows. Clones share them.
#[derive(Clone, Default)]
pub struct Documents {
    trusted: Arc<TrustedDocuments>,
    trusted_only: bool,
    persisted: Arc<Mutex<Persisted>>,
}

/// What is to be done once the document has been let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It came with the request.
    Said,
    /// It came with its hash, under which it is to be kept.
    New(Hash),
    /// It was known.
    Known,
}

impl Documents {
    /// Those of a manifest, and whether there are no others.
    pub fn new(trusted: Arc<TrustedDocuments>, trusted_only: bool) -> Self {
        Self {
            trusted,
            trusted_only,
            persisted: Arc::default(),
        }
    }

    /// Puts the document that `asked` names into its request. `account` is whose clients' documents count.
    pub(super) fn find(&self, account: Uuid, asked: &mut Asked) -> Result<Found, ServerError> {
        let hash = match asked.document {
            Document::Text if !self.trusted_only => return Ok(Found::Said),
            Document::Text => Hash::of(&asked.request.query),
            Document::TextOf(hash) if hash == Hash::of(&asked.request.query) => hash,
            Document::TextOf(_) => {
                let message = "the hash is not that of the query";
                return Err(with_code("PERSISTED_QUERY_HASH_MISMATCH", message.to_owned()));
            }
            Document::Persisted(hash) | Document::Id(Some(hash)) => hash,
            Document::Id(None) => return Err(self.unknown(asked.document)),
        };
        if let Some(document) = self.trusted.get(&hash) {
            asked.request.set_parsed_query(document.clone());
            return Ok(Found::Known);
        }
        match asked.document {
            Document::Persisted(_) if !self.trusted_only => {
                let text = self.persisted().get(account, &hash);
                let text = text.ok_or_else(|| self.unknown(asked.document))?;
                text.as_ref().clone_into(&mut asked.request.query);
                Ok(Found::Known)
            }
            Document::TextOf(_) if !self.trusted_only => Ok(Found::New(hash)),
            document => Err(self.unknown(document)),
        }
    }

    /// Keeps a document of `account` that was let in.
    pub(super) fn keep(&self, account: Uuid, hash: Hash, text: &str) {
        self.persisted().put(account, hash, text);
    }

    fn persisted(&self) -> std::sync::MutexGuard<'_, Persisted> {
        self.persisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self, document: Document) -> ServerError {
        if self.trusted_only {
            let message = "this server runs the documents of its manifest alone, and this is none of them";
            return with_code("DOCUMENT_NOT_TRUSTED", message.to_owned());
        }
        match document {
            // clients know the protocol's own words, and send the document then
            Document::Persisted(_) => {
                with_code("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound".to_owned())
            }
            _ => with_code("DOCUMENT_NOT_FOUND", "no trusted document has this id".to_owned()),
        }
    }
}
