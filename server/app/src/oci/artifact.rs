//! The three documents of an artifact: component, config, manifest. The same input makes the same bytes.
//!
//! Not here: where they are written to (`layout`, `push`).

use std::collections::BTreeMap;

use oci_client::manifest::{OciDescriptor, OciImageManifest};
use serde::Serialize;
use tamiz_host::Surface;

use super::reference::is_sha256;
use super::{COMPONENT_BYTES_MAX, CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, OciError, digest_of};

/// Packages have no date of their own: one would make every packaging another artifact.
const CREATED: &str = "1970-01-01T00:00:00Z";
const ARCHITECTURE: &str = "wasm";
/// What `wkg` calls the system of every component.
const SYSTEM: &str = "wasip2";
/// Before the words that the image specification defines.
const ANNOTATION: &str = "org.opencontainers.image.";

/// What people read about a plugin in a registry's pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The plugin's name.
    pub title: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression.
    pub licenses: Option<String>,
    /// Where its source lies.
    pub source: Option<String>,
    /// One sentence.
    pub description: Option<String>,
}

impl About {
    fn annotations(&self) -> BTreeMap<String, String> {
        let words = [
            ("title", Some(&self.title)),
            ("version", Some(&self.version)),
            ("licenses", self.licenses.as_ref()),
            ("source", self.source.as_ref()),
            ("description", self.description.as_ref()),
        ];
        let named = |(word, text): (&str, Option<&String>)| {
            let text = text.filter(|text| !text.is_empty())?;
            Some((format!("{ANNOTATION}{word}"), text.clone()))
        };
        words.into_iter().filter_map(named).collect()
    }
}

/// A component with its config and manifest, ready to be written or pushed.
#[derive(Debug, Clone)]
pub struct Artifact {
    pub(super) component: Vec<u8>,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) version: String,
}

/// The config, field by field as `wkg` reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    author: Option<&'a str>,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [&'a str; 1],
    component: Outside<'a>,
}

#[derive(Serialize)]
struct Outside<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

impl Artifact {
    /// Packages `component`.
    ///
    /// # Errors
    /// [`OciError::TooLarge`], [`OciError::NotWasm`].
    pub fn new(component: Vec<u8>, about: &About) -> Result<Self, OciError> {
        if component.len() as u64 > COMPONENT_BYTES_MAX {
            return Err(OciError::TooLarge {
                what: "the component".to_owned(),
                limit: COMPONENT_BYTES_MAX,
            });
        }
        let surface = Surface::of(&component).map_err(|refusal| OciError::NotWasm {
            what: "the component".to_owned(),
            why: refusal.to_string(),
        })?;
        let digest = digest_of(&component);
        let config = serde_json::to_vec(&Config {
            created: CREATED,
            author: None,
            architecture: ARCHITECTURE,
            os: SYSTEM,
            layer_digests: [&digest],
            component: Outside {
                exports: &surface.exports,
                imports: &surface.imports,
                target: None,
            },
        })?;
        // The name of the file that general tools write when they pull it.
        let file = BTreeMap::from([(format!("{ANNOTATION}title"), format!("{}.wasm", about.title))]);
        let layer = OciDescriptor {
            annotations: Some(file),
            ..describe(LAYER_TYPE, &component)
        };
        let manifest = serde_json::to_vec(&OciImageManifest {
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: describe(CONFIG_TYPE, &config),
            layers: vec![layer],
            annotations: Some(about.annotations()),
            ..OciImageManifest::default()
        })?;
        Ok(Artifact {
            component,
            config,
            manifest,
            version: about.version.clone(),
        })
    }

    /// What the manifest is called by its bytes.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(&self.manifest)
    }
}

/// How a manifest names `bytes`.
pub(super) fn describe(media_type: &str, bytes: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest_of(bytes),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// The component's descriptor in a manifest that somebody else wrote.
///
/// # Errors
/// [`OciError::NotWasm`] says what it is instead, [`OciError::TooLarge`] that it is not worth asking for.
pub(super) fn only_layer(manifest: &[u8], what: &str) -> Result<OciDescriptor, OciError> {
    let not = |why: String| OciError::NotWasm {
        what: what.to_owned(),
        why,
    };
    let document: serde_json::Value = serde_json::from_slice(manifest)
        .map_err(|error| not(format!("its manifest is not readable ({error})")))?;
    if document.get("manifests").is_some() {
        return Err(not("it is an index of several images".to_owned()));
    }
    let manifest: OciImageManifest = serde_json::from_value(document)
        .map_err(|error| not(format!("its manifest is not readable ({error})")))?;
    if manifest.config.media_type != CONFIG_TYPE {
        let kind = &manifest.config.media_type;
        return Err(not(format!("its config is `{kind}`, not `{CONFIG_TYPE}`")));
    }
    let [layer] = <[OciDescriptor; 1]>::try_from(manifest.layers)
        .map_err(|layers| not(format!("it has {} layers, not one", layers.len())))?;
    if layer.media_type != LAYER_TYPE {
        return Err(not(format!(
            "its layer is `{}`, not `{LAYER_TYPE}`",
            layer.media_type
        )));
    }
    if !is_sha256(&layer.digest) {
        return Err(not(format!(
            "its layer is named `{}`, not by SHA-256",
            layer.digest
        )));
    }
    match u64::try_from(layer.size) {
        Ok(size) if size <= COMPONENT_BYTES_MAX => Ok(layer),
        Ok(_) => Err(OciError::TooLarge {
            what: format!("the component of {what}"),
            limit: COMPONENT_BYTES_MAX,
        }),
        Err(_) => Err(not(format!("its layer has {} bytes", layer.size))),
    }
}
