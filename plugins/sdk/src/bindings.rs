//! What `wit-bindgen` makes of `wit/scanner.wit`, world 1.0.
//!
//! `wit` is a link to the repository's `wit/v1`; a vendored copy of this crate has the file in its place.
//! Not meant to be read: plugins see the re-exports of the crate root and [`crate::model`].

#![expect(
    missing_docs,
    clippy::pedantic,
    reason = "generated: the canonical ABI is made of raw pointers"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "scanner",
    pub_export_macro: true,
    default_bindings_module: "tamiz_sdk::bindings",
    additional_derives: [PartialEq, Eq, serde::Serialize],
});
