//! Typed ids. All are UUIDv7 (RFC 9562 §5.7), so that keys sort by time of creation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::cut;

/// An id with the name of what it names: how ids are told to clients, and how `node(id:)` knows where to look.
///
/// The text is the type's name in the GraphQL schema, `_` and the UUID: `Task_019a8b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b`.
/// It tells nothing about whether there is such a thing.
pub trait GlobalId: Copy + From<Uuid> + Into<Uuid> {
    /// The type's name in the GraphQL schema.
    const TYPE: &'static str;

    /// The id as clients get it.
    fn global(self) -> String {
        format!("{}_{}", Self::TYPE, self.into())
    }

    /// The id in what a client sent: [`Self::global`], or the bare UUID, as logs and exports have it.
    ///
    /// # Errors
    /// [`IdError`] when it is neither, or names a thing of another type.
    fn from_global(text: &str) -> Result<Self, IdError> {
        let bare = match split_global(text) {
            None => text,
            Some((found, bare)) if found == Self::TYPE => bare,
            Some((found, _)) => {
                return Err(IdError::OfAnother {
                    wanted: Self::TYPE,
                    found: cut(found, TYPE_BYTES_SHOWN).to_owned(),
                });
            }
        };
        let uuid = Uuid::parse_str(bare).map_err(|_| IdError::NoId { wanted: Self::TYPE })?;
        Ok(uuid.into())
    }
}

/// How much of a wrong type's name an error repeats.
const TYPE_BYTES_SHOWN: usize = 40;

/// The type's name and the UUID's text in an id of whatever type; `None` where no type is said.
pub fn split_global(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('_')
}

/// A text is not the id that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is no id at all.
    #[error(
        "not an id of {wanted}: it looks like `{wanted}_019a8b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b`, or is the UUID alone"
    )]
    NoId {
        /// The type that is wanted.
        wanted: &'static str,
    },
    /// It names something else.
    #[error("the id of {found}, where that of {wanted} is wanted")]
    OfAnother {
        /// The type that is wanted.
        wanted: &'static str,
        /// The type that it says.
        found: String,
    },
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $type_name:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id that sorts after all earlier ones of this process.
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare UUID, for the edges that speak it (SQL, GraphQL).
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl GlobalId for $name {
            const TYPE: &'static str = $type_name;
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::from_global(text)
            }
        }
    };
}

typed_id!(
    /// A customer, kept apart from every other one.
    TenantId, "Tenant"
);
typed_id!(
    /// Groups tasks and findings inside a tenant.
    ProjectId, "Project"
);
typed_id!(
    /// One scan asked for.
    TaskId, "Task"
);
typed_id!(
    /// The totals of one task, whose UUID they have: a task has one.
    ScanResultId, "ScanResult"
);
typed_id!(
    /// One result of one task.
    FindingId, "Finding"
);
typed_id!(
    /// What people manage: the identity behind findings.
    AlertId, "Alert"
);
typed_id!(
    /// What acts on alerts by itself.
    AlertRuleId, "AlertRule"
);
typed_id!(
    /// Bytes worth keeping.
    ArtifactId, "Artifact"
);
typed_id!(
    /// Bytes a client sent, not yet or already bound to a task.
    UploadId, "Upload"
);
typed_id!(
    /// One run of a native tool.
    ToolExecutionId, "ToolExecution"
);
typed_id!(
    /// An API token.
    TokenId, "ApiToken"
);
typed_id!(
    /// Something in the audit log.
    AuditEventId, "AuditEvent"
);
typed_id!(
    /// The token of workers without the database.
    WorkerTokenId, "WorkerToken"
);
typed_id!(
    /// A process that holds leases.
    WorkerId, "Worker"
);
typed_id!(
    /// One version of a plugin, installed for all tenants or for one.
    PluginId, "Plugin"
);
typed_id!(
    /// Tasks that finish together.
    GroupId, "TaskGroup"
);
typed_id!(
    /// Tasks that are asked for again and again.
    ScheduleId, "Schedule"
);
typed_id!(
    /// Where webhooks are sent.
    WebhookEndpointId, "WebhookEndpoint"
);
typed_id!(
    /// What a webhook tells, the same at every try.
    WebhookMessageId, "WebhookMessage"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_its_type_and_the_bare_uuid_is_taken_too() {
        let id = TaskId::fresh();
        assert_eq!(TaskId::from_global(&id.global()), Ok(id));
        assert_eq!(TaskId::from_global(&id.to_string()), Ok(id));
        assert!(id.global().starts_with("Task_"));
        assert_eq!(
            ProjectId::from_global(&id.global()),
            Err(IdError::OfAnother {
                wanted: "Project",
                found: "Task".to_owned()
            })
        );
        for text in ["", "Task_", "Task_x", "x", "_"] {
            assert!(TaskId::from_global(text).is_err(), "{text}");
        }
    }
}
