//! What a plugin's author does on their own machine: a project, its component, its cases.
//!
//! ```text
//! project::create(...)      templates and the SDK, embedded in this program -> a folder
//! Project::open(folder)     tamiz-plugin.toml, checked
//!   recipe::build(project)  sources -> target/NAME.wasm, by the language's own tools
//!   cases::run(plugin, …)   every input of cases/ through the real host, beside what is expected
//! inspection::of(plugin, …) what a component is and wants
//! ```
//!
//! Nothing here speaks with a server; the only network is what cargo fetches for itself.
//!
//! Not here: what is printed (`cli/plugin`), and packing, signing and publishing.

pub mod advice;
pub mod cases;
mod child;
mod file_error;
pub mod inspection;
pub mod manifest;
pub mod project;
pub mod recipe;
mod sources;
pub mod tools;

pub use file_error::FileError;
pub use manifest::{Language, Manifest, ManifestError};
pub use project::Project;
