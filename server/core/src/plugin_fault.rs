//! Which plugin served a task, and what it did when the task failed by it. (R2: put yours here again.)

use serde::{Deserialize, Serialize};

use crate::plugin::ComponentDigest;

/// A plugin by its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its bytes.
    pub sha256: ComponentDigest,
}

/// The limit that a plugin overstepped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OversteppedLimit {
    /// Its word.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// What it counts.
    pub unit: String,
}

/// What a plugin did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFault {
    /// The stable word.
    pub reason: String,
    /// The limit, if it was one.
    pub limit: Option<OversteppedLimit>,
}
