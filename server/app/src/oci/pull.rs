//! A component out of a registry, with its signature checked before it is fetched.

use super::artifact::only_layer;
use super::registry::Registry;
use super::sign::fitting;
use super::{Access, OciError, PublicKey, Reference};

/// A component as a registry had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The component.
    pub bytes: Vec<u8>,
    /// The digest of its manifest.
    pub manifest_digest: String,
    /// Where it came from, by that digest: what the operator's records should name.
    pub reference: Reference,
    /// The fingerprint of the key whose signature was checked; `None` when no keys were given.
    pub signed_by: Option<String>,
}

/// Pulls the component that `reference` names.
///
/// With `keys`, one of them must have signed its manifest; an empty list refuses everything.
///
/// # Errors
/// Any of [`OciError`] that comes of registries and signatures.
pub async fn pull_verified(
    reference: &Reference,
    access: &Access,
    keys: Option<&[PublicKey]>,
) -> Result<Pulled, OciError> {
    let registry = Registry::open(reference, access).await?;
    let manifest = registry
        .manifest(reference)
        .await?
        .ok_or_else(|| OciError::NotFound {
            reference: reference.to_string(),
        })?;
    let layer = only_layer(&manifest.bytes, &reference.to_string())?;
    let signed_by = match keys {
        Some(keys) => Some(fitting(&registry, reference, &manifest.digest, keys).await?),
        None => None,
    };
    let what = format!("the component of {reference}");
    let size = layer.size.unsigned_abs();
    let bytes = registry.blob(reference, &layer.digest, size, &what).await?;
    Ok(Pulled {
        bytes,
        reference: reference.with_digest(&manifest.digest),
        manifest_digest: manifest.digest,
        signed_by,
    })
}
