//! Signatures in a registry: adding ours to those that are there, and finding one that fits.

use oci_client::manifest::OciDescriptor;

use super::registry::Registry;
use super::signature::{self, PAYLOAD_BYTES_MAX, SIGNATURE_ANNOTATION, SIGNATURES_MAX};
use super::{Access, OciError, PrivateKey, PublicKey, Reference};

/// Signs what `reference` names now, and gives the digest of its manifest.
///
/// # Errors
/// Any of [`OciError`] that comes of registries.
pub async fn sign(reference: &Reference, access: &Access, key: &PrivateKey) -> Result<String, OciError> {
    let registry = Registry::open(reference, access).await?;
    let digest = digest_in(&registry, reference).await?;
    attach(&registry, reference, &digest, key).await?;
    Ok(digest)
}

/// Checks that one of `keys` signed what `reference` names now; gives the digest of its manifest and the
/// fingerprint of the key.
///
/// # Errors
/// [`OciError::Unsigned`], [`OciError::NotVerified`], and what comes of registries.
pub async fn verify(
    reference: &Reference,
    access: &Access,
    keys: &[PublicKey],
) -> Result<(String, String), OciError> {
    let registry = Registry::open(reference, access).await?;
    let digest = digest_in(&registry, reference).await?;
    let signed_by = fitting(&registry, reference, &digest, keys).await?;
    Ok((digest, signed_by))
}

async fn digest_in(registry: &Registry, reference: &Reference) -> Result<String, OciError> {
    match registry.manifest(reference).await? {
        Some(manifest) => Ok(manifest.digest),
        None => Err(OciError::NotFound {
            reference: reference.to_string(),
        }),
    }
}

/// Adds a signature of `digest` to those that are there; one that the key already made is left alone.
pub(super) async fn attach(
    registry: &Registry,
    reference: &Reference,
    digest: &str,
    key: &PrivateKey,
) -> Result<(), OciError> {
    let place = reference.with_tag(signature::tag(digest));
    let mut layers = match registry.manifest(&place).await? {
        Some(manifest) => signature::layers(&manifest.bytes, &reference.to_string())?,
        None => Vec::new(),
    };
    let payload = signature::payload(reference, digest)?;
    let ours = signature::layer(&payload, key.sign(&payload));
    // Ed25519 signs the same bytes the same way each time.
    if layers.iter().any(|layer| is_same(layer, &ours)) {
        return Ok(());
    }
    if layers.len() == SIGNATURES_MAX {
        return Err(OciError::NotVerified {
            reference: reference.to_string(),
            found: layers.len(),
            why: "no more are looked at".to_owned(),
        });
    }
    layers.push(ours);
    let (config, manifest) = signature::documents(layers)?;
    let blobs = [
        ("the signature's payload", payload.as_slice()),
        ("the signature's config", config.as_slice()),
    ];
    registry.put(&place, &blobs, manifest).await
}

fn is_same(one: &OciDescriptor, other: &OciDescriptor) -> bool {
    one.digest == other.digest && one.annotations == other.annotations
}

/// The fingerprint of the first of `keys` that signed `digest`.
pub(super) async fn fitting(
    registry: &Registry,
    reference: &Reference,
    digest: &str,
    keys: &[PublicKey],
) -> Result<String, OciError> {
    let name = reference.to_string();
    let place = reference.with_tag(signature::tag(digest));
    let layers = match registry.manifest(&place).await? {
        Some(manifest) => signature::layers(&manifest.bytes, &name)?,
        None => Vec::new(),
    };
    let found = layers.len();
    let mut why = None;
    for layer in layers {
        match check(registry, reference, &layer, digest, keys).await? {
            Ok(fingerprint) => return Ok(fingerprint),
            Err(objection) => why = Some(objection),
        }
    }
    Err(match why {
        Some(why) => OciError::NotVerified {
            reference: name,
            found,
            why,
        },
        None => OciError::Unsigned { reference: name },
    })
}

/// The key that made this signature of `digest`, or what is wrong with it. Whoever can write to the
/// repository can add signatures, so a bad one must not hide a good one: only a registry that does not
/// answer ends the search.
async fn check(
    registry: &Registry,
    reference: &Reference,
    layer: &OciDescriptor,
    digest: &str,
    keys: &[PublicKey],
) -> Result<Result<String, String>, OciError> {
    let signature = layer
        .annotations
        .as_ref()
        .and_then(|all| all.get(SIGNATURE_ANNOTATION));
    let Some(signature) = signature else {
        return Ok(Err("it has no signature".to_owned()));
    };
    let size = layer.size.unsigned_abs();
    if layer.size < 0 || size > PAYLOAD_BYTES_MAX || !super::reference::is_sha256(&layer.digest) {
        return Ok(Err("its payload is not what signatures have".to_owned()));
    }
    let what = format!("a signature of {reference}");
    let payload = match registry.blob(reference, &layer.digest, size, &what).await {
        Ok(payload) => payload,
        Err(error @ (OciError::Damaged { .. } | OciError::TooLarge { .. } | OciError::NotFound { .. })) => {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let Some(key) = keys.iter().find(|key| key.fits(&payload, signature)) else {
        return Ok(Err("it is of another key".to_owned()));
    };
    Ok(match signature::objection(&payload, digest) {
        None => Ok(key.fingerprint()),
        Some(objection) => Err(objection),
    })
}
