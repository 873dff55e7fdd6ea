//! Plugins as OCI artifacts: packaged, pushed to a registry, pulled from one, signed and verified.
//!
//! The layout is the one that `wkg` reads and writes: an image manifest with a config of
//! `application/vnd.wasm.config.v0+json` and one layer `application/wasm`, the component itself.
//! Signatures are Ed25519 and lie where cosign keeps them: under the tag `sha256-DIGEST.sig`, as
//! simple-signing payloads. [`push`] and [`pull_verified`] are the two ways; without keys the second asks
//! for no signature.
//!
//! What a caller must know:
//! - Everything that a registry says is hostile: sizes are checked before and while reading, every byte
//!   against the digest that names it, and addresses in a manifest are never followed.
//! - HTTPS is spoken, except to this machine or where [`Access::plain_http`] says so.
//! - What is pulled is a wasm artifact with the right bytes. Whether it is a plugin, the host says.
//!
//! Not here: what a plugin may do once it is installed.

mod access;
mod artifact;
mod error;
mod key;
mod layout;
mod pull;
mod push;
mod reference;
mod registry;
mod sign;
mod signature;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use artifact::{About, Artifact};
pub use error::OciError;
pub use key::{PrivateKey, PublicKey};
pub use layout::{write_file, write_folder, write_tar};
pub use pull::{Pulled, pull_verified};
pub use push::{Pushed, push};
pub use reference::Reference;
pub use sign::{sign, verify};

/// A component, in bytes: what the host compiles at most.
pub const COMPONENT_BYTES_MAX: u64 = tamiz_host::COMPONENT_BYTES_MAX as u64;
/// A manifest, in bytes: what registries take, and far more than one with one layer needs.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What image manifests are.
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What the config of a wasm artifact is.
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// What its only layer is.
const LAYER_TYPE: &str = "application/wasm";

/// `sha256:` and the hash, as registries name bytes.
fn digest_of(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
