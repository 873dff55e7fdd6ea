//! A guest that tries what lies beyond conversion: sockets, clocks, randomness, files, the record reader.
//! The host's tests run it and look at what it got; each line of its log is one answer.
//!
//! `convert` does what its options name: `{"do": "connect"}`. The first-party build does not ship it;
//! `scripts/build-plugins reach` makes it. Not here: misbehaviour inside the world (`hostile`).

#[cfg(target_arch = "wasm32")]
mod deeds;
#[cfg(target_arch = "wasm32")]
mod guest;
#[cfg(target_arch = "wasm32")]
mod network;
#[cfg(target_arch = "wasm32")]
mod rows;
