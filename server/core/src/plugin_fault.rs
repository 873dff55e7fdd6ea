//! Which plugin a task runs with, and why one that ran made its task fail.
//!
//! Both are kept with the task in words and numbers of their own: the registry lives elsewhere, and a
//! plugin may be gone from it when somebody asks.
//!
//! Not here: what is installed, who may use it and what it may do (the registry of the store).

use serde::{Deserialize, Serialize};

use crate::id::PluginId;
use crate::plugin::ComponentDigest;

/// One version of a plugin, as a task remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRef {
    /// In the registry.
    pub id: PluginId,
    /// What it calls itself.
    pub name: String,
    /// Its own word.
    pub version: String,
    /// Of the component.
    pub sha256: ComponentDigest,
    /// The version of the world that it was built for, such as `1.0`.
    pub world: String,
}

/// Why a plugin did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFault {
    /// A stable word, such as `plugin-deadline`.
    pub reason: String,
    /// The limit that was overstepped, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<OversteppedLimit>,
}

/// A limit that a plugin overstepped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OversteppedLimit {
    /// A stable word, such as `memory-bytes`.
    pub name: String,
    /// How much was allowed.
    pub value: u64,
    /// Of what, such as `bytes`.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_without_a_limit_says_nothing_of_one() {
        let fault = PluginFault {
            reason: "plugin-trap".to_owned(),
            limit: None,
        };
        let written = serde_json::to_string(&fault).unwrap();
        assert_eq!(written, r#"{"reason":"plugin-trap"}"#);
        assert_eq!(serde_json::from_str::<PluginFault>(&written).unwrap(), fault);
    }
}
