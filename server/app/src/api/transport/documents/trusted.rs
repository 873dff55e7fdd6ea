//! The manifest of trusted documents: a JSON object from hashes to documents, as Relay's compiler and
//! graphql-codegen write it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;

use super::Hash;
use crate::api::cost::QUERY_BYTES_MAX;

/// A manifest in bytes: thousands of documents of some KiB each.
const MANIFEST_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Why a manifest is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read the trusted documents in {0}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is too large.
    #[error("the trusted documents in {0} have more than {MANIFEST_BYTES_MAX} bytes")]
    TooLarge(PathBuf),
    /// The file is no JSON object of strings.
    #[error("{0} is no JSON object from hashes to documents")]
    NotJson(PathBuf, #[source] serde_json::Error),
    /// A key is no hash of its document.
    #[error("the key {key} is not the SHA-256 of its document in hex digits")]
    WrongHash {
        /// The key.
        key: String,
    },
    /// A document is no GraphQL, or too large.
    #[error("the document {key} is no GraphQL document of at most {QUERY_BYTES_MAX} bytes")]
    NotGraphql {
        /// Its key.
        key: String,
    },
}

/// Documents that an operator trusts, parsed.
#[derive(Default)]
pub struct TrustedDocuments(HashMap<Hash, ExecutableDocument>);

impl TrustedDocuments {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] with the first mistake.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let unreadable = |error| ManifestError::Unreadable(path.to_owned(), error);
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(path.to_owned()));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let documents: HashMap<String, String> =
            serde_json::from_slice(&bytes).map_err(|error| ManifestError::NotJson(path.to_owned(), error))?;
        Self::new(documents)
    }

    /// Documents under their hashes.
    ///
    /// # Errors
    /// [`ManifestError::WrongHash`] and [`ManifestError::NotGraphql`].
    pub fn new(documents: HashMap<String, String>) -> Result<Self, ManifestError> {
        let mut parsed = HashMap::with_capacity(documents.len());
        for (key, text) in documents {
            let Some(hash) = Hash::parse(&key).filter(|hash| *hash == Hash::of(&text)) else {
                return Err(ManifestError::WrongHash { key });
            };
            match parse_query(&text) {
                Ok(document) if text.len() <= QUERY_BYTES_MAX => parsed.insert(hash, document),
                _ => return Err(ManifestError::NotGraphql { key }),
            };
        }
        Ok(Self(parsed))
    }

    /// The document of that hash.
    pub(super) fn get(&self, hash: &Hash) -> Option<&ExecutableDocument> {
        self.0.get(hash)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<usize, ManifestError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        TrustedDocuments::load(file.path()).map(|documents| documents.count())
    }

    #[test]
    fn a_manifest_has_documents_under_their_hashes() {
        let hash = |text| format!("{:?}", Hash::of(text));
        let (one, two) = (hash("{ a }"), hash("{ b }"));
        let manifest = format!(r#"{{ "{one}": "{{ a }}", "sha256:{two}": "{{ b }}" }}"#);
        assert_eq!(read(&manifest).unwrap(), 2);
        assert_eq!(read("{}").unwrap(), 0);
    }

    #[test]
    fn a_wrong_manifest_is_refused_with_its_mistake() {
        assert!(matches!(read("[]"), Err(ManifestError::NotJson(..))));
        let wrong = format!(r#"{{ "{}": "{{ a }}" }}"#, "0".repeat(64));
        assert!(matches!(read(&wrong), Err(ManifestError::WrongHash { .. })));
        let nonsense = format!(r#"{{ "{:?}": "nonsense" }}"#, Hash::of("nonsense"));
        assert!(matches!(read(&nonsense), Err(ManifestError::NotGraphql { .. })));
        let nowhere = TrustedDocuments::load(Path::new("/nowhere/manifest.json")).map(drop);
        assert!(matches!(nowhere, Err(ManifestError::Unreadable(..))));
    }
}
