//! Native tools: which ones this machine has, and how one is run without trusting it.
//!
//! [`catalogue`] is the operator's list; [`probe`] finds what of it works here; [`run`] runs one tool
//! in a box made by [`boxed`], through a [`door`] if it calls its target, and hands back what it wrote; [`unpack`] turns an uploaded archive into
//! a folder to scan; [`rules`] keeps the bundled rules as files.
//!
//! A caller must know: a tool never runs unboxed, never through a shell, and never with arguments
//! that its catalogue entry does not allow. What a run says about itself (exit code, files) is data
//! from a program that an upload may have taken over: it is bounded, but not to be believed.
//!
//! Not here: what a tool's report means (plugins), and which task wants which tool (`worker`).

pub mod catalogue;
pub mod probe;

mod arguments;
pub mod outcome;
pub mod run;

pub mod boxed;
mod capture;
pub mod door;
mod files;
mod groundwork;
mod spawn;
mod tree;

pub mod rules;
pub mod unpack;

#[cfg(test)]
mod box_tests;
#[cfg(test)]
mod door_tests;
#[cfg(test)]
mod scanner_tests;
#[cfg(test)]
mod semgrep_tests;

pub use catalogue::{Catalogue, CatalogueError};
pub use door::inside::run as door;
pub use door::{NetworkTarget, Traffic};
pub use outcome::{Captured, OutputFile, OutputPart, ToolEnd, ToolOutcome, Verdict};
pub use probe::{Inventory, MissingTool, Tool, ToolFolders};
pub use run::{ToolError, ToolOutput, ToolRequest, run};
