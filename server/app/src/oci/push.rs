//! An artifact into a registry, signed if a key is given.

use super::registry::Registry;
use super::sign::attach;
use super::{Access, Artifact, OciError, PrivateKey, Reference};

/// What now lies in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest, which is what signatures name.
    pub manifest_digest: String,
    /// The fingerprint of the key that signed it.
    pub signed_by: Option<String>,
}

/// Pushes `artifact` to `reference`, which must have a tag, and signs it.
///
/// # Errors
/// Any of [`OciError`] that comes of registries.
pub async fn push(
    artifact: &Artifact,
    reference: &Reference,
    access: &Access,
    key: Option<&PrivateKey>,
) -> Result<Pushed, OciError> {
    if let Some(digest) = reference.digest() {
        return Err(OciError::Reference {
            text: reference.to_string(),
            why: format!("pushing needs a tag, and {digest} is a digest"),
        });
    }
    let registry = Registry::open(reference, access).await?;
    let blobs = [
        ("the component", artifact.component.as_slice()),
        ("the config", artifact.config.as_slice()),
    ];
    registry.put(reference, &blobs, artifact.manifest.clone()).await?;
    let manifest_digest = artifact.digest();
    if let Some(key) = key {
        attach(&registry, reference, &manifest_digest, key).await?;
    }
    Ok(Pushed {
        manifest_digest,
        signed_by: key.map(|key| key.public().fingerprint()),
    })
}
