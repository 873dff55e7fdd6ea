//! Why a task or one of its attempts ended badly.

use async_graphql::SimpleObject;
use tamiz_core::{OversteppedLimit, PluginFault};

use super::words::BigInt;

/// Why a task ended badly.
#[derive(SimpleObject)]
pub(crate) struct TaskError {
    /// A stable code.
    code: String,
    /// A sentence.
    message: String,
    /// What the plugin did, as a stable word such as `plugin-deadline`; null when it is not to blame.
    reason: Option<String>,
    /// The limit that the plugin overstepped; null when it was none.
    limit: Option<TaskLimit>,
}

/// A limit that a plugin overstepped.
#[derive(SimpleObject)]
pub(crate) struct TaskLimit {
    /// A stable word such as `memory-bytes`.
    name: String,
    /// How much was allowed.
    value: BigInt,
    /// Of what: `bytes`, `seconds`, `findings`, `artifacts`, `lines`, `calls`, ….
    unit: String,
}

impl From<&OversteppedLimit> for TaskLimit {
    fn from(limit: &OversteppedLimit) -> Self {
        Self {
            name: limit.name.clone(),
            value: limit.value.into(),
            unit: limit.unit.clone(),
        }
    }
}

impl TaskError {
    pub(super) fn of(code: Option<&str>, message: Option<&str>, fault: Option<&PluginFault>) -> Option<Self> {
        Some(Self {
            code: code?.to_owned(),
            message: message.unwrap_or_default().to_owned(),
            reason: fault.map(|fault| fault.reason.clone()),
            limit: fault.and_then(|fault| fault.limit.as_ref()).map(Into::into),
        })
    }
}
