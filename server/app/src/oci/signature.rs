//! The documents of a signature, as cosign writes and reads them: payload, manifest, tag.
//!
//! Not here: fetching and storing them (`sign`), and keys (`key`).

use std::collections::BTreeMap;

use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::Deserialize;
use serde_json::json;

use super::artifact::describe;
use super::{MANIFEST_TYPE, OciError, Reference};

/// What a payload is.
pub(super) const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where a layer of a signature manifest has its signature, in base64.
pub(super) const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// A payload, in bytes: it names a reference and a digest.
pub(super) const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;
/// Signatures of one artifact: people and machines that vouch for it.
pub(super) const SIGNATURES_MAX: usize = 32;

const KIND: &str = "cosign container image signature";
/// cosign's config has Go's zero time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The tag under which the signatures of `digest` lie.
pub(super) fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}

/// What is signed: that this manifest was meant, under this name.
pub(super) fn payload(reference: &Reference, digest: &str) -> Result<Vec<u8>, OciError> {
    let name = format!("{}/{}", reference.registry(), reference.repository());
    Ok(serde_json::to_vec(&json!({
        "critical": {
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": digest },
            "type": KIND,
        },
        "optional": null,
    }))?)
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    r#type: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    manifest_digest: String,
}

/// Why a payload does not speak of `digest`; `None` when it does.
pub(super) fn objection(payload: &[u8], digest: &str) -> Option<String> {
    let payload: Payload = match serde_json::from_slice(payload) {
        Ok(payload) => payload,
        Err(error) => return Some(format!("its payload is not readable ({error})")),
    };
    let (kind, named) = (payload.critical.r#type, payload.critical.image.manifest_digest);
    if kind != KIND {
        return Some(format!("it is a `{kind}`"));
    }
    (named != digest).then(|| format!("it is of {named}"))
}

/// The signatures in a signature manifest: descriptors of payloads.
///
/// # Errors
/// [`OciError::NotWasm`] when it is no signature manifest at all.
pub(super) fn layers(manifest: &[u8], what: &str) -> Result<Vec<OciDescriptor>, OciError> {
    let not = |why: String| OciError::NotVerified {
        reference: what.to_owned(),
        found: 0,
        why,
    };
    let manifest: OciImageManifest = serde_json::from_slice(manifest).map_err(|error| {
        not(format!(
            "the manifest of its signatures is not readable ({error})"
        ))
    })?;
    let mut layers = manifest.layers;
    layers.retain(|layer| layer.media_type == PAYLOAD_MEDIA_TYPE);
    if layers.len() > SIGNATURES_MAX {
        return Err(not(format!(
            "at most {SIGNATURES_MAX} are looked at, it has {}",
            layers.len()
        )));
    }
    Ok(layers)
}

/// A payload's descriptor with its signature.
pub(super) fn layer(payload: &[u8], signature: String) -> OciDescriptor {
    OciDescriptor {
        annotations: Some(BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), signature)])),
        ..describe(PAYLOAD_MEDIA_TYPE, payload)
    }
}

/// Config and manifest for `layers`.
pub(super) fn documents(layers: Vec<OciDescriptor>) -> Result<(Vec<u8>, Vec<u8>), OciError> {
    let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "",
        "config": {},
        "created": NO_TIME,
        "history": vec![json!({ "created": NO_TIME }); layers.len()],
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests },
    }))?;
    let manifest = serde_json::to_vec(&OciImageManifest {
        media_type: Some(MANIFEST_TYPE.to_owned()),
        config: describe(IMAGE_CONFIG_MEDIA_TYPE, &config),
        layers,
        ..OciImageManifest::default()
    })?;
    Ok((config, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:97fc222cee7991b5b061d4d4afdb5f3428fcb0c9054e1690313786befa1e4e36";

    #[test]
    fn signatures_lie_where_the_specification_of_cosign_says() {
        assert_eq!(
            tag(DIGEST),
            "sha256-97fc222cee7991b5b061d4d4afdb5f3428fcb0c9054e1690313786befa1e4e36.sig"
        );
        let reference = "registry.example/team/demo:1".parse().unwrap();
        let payload = payload(&reference, DIGEST).unwrap();
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/team/demo"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(payload.clone()).unwrap(), expected);
        assert_eq!(objection(&payload, DIGEST), None);
    }

    #[test]
    fn a_payload_of_something_else_is_objected_to() {
        let of = |kind: &str, digest: &str| {
            json!({ "critical": { "identity": {}, "image": { "docker-manifest-digest": digest }, "type": kind } })
                .to_string()
        };
        let object = |payload: &str| objection(payload.as_bytes(), DIGEST);
        assert_eq!(object(&of(KIND, DIGEST)), None);
        assert_eq!(object(&of(KIND, "sha256:00")).unwrap(), "it is of sha256:00");
        assert!(
            object(&of("atomic container signature", DIGEST))
                .unwrap()
                .contains("atomic")
        );
        assert!(object("{}").unwrap().contains("not readable"));
    }

    #[test]
    fn a_signature_manifest_is_read_as_it_was_written() {
        let (config, manifest) = documents(vec![layer(b"{}", "c2ln".to_owned())]).unwrap();
        let read = layers(&manifest, "x").unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(
            read[0].annotations.as_ref().unwrap()[SIGNATURE_ANNOTATION],
            "c2ln"
        );
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], read[0].digest);
        let many = documents(vec![layer(b"{}", String::new()); SIGNATURES_MAX + 1])
            .unwrap()
            .1;
        assert!(layers(&many, "x").is_err());
    }
}
