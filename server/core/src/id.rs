//! Typed ids. All are UUIDv7 (RFC 9562 §5.7), so that keys sort by time of creation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident) => {
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
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

typed_id!(
    /// A customer, kept apart from every other one.
    TenantId
);
typed_id!(
    /// Groups tasks and findings inside a tenant.
    ProjectId
);
typed_id!(
    /// One scan asked for.
    TaskId
);
typed_id!(
    /// One result of one task.
    FindingId
);
typed_id!(
    /// What people manage: the identity behind findings.
    AlertId
);
typed_id!(
    /// What acts on alerts by itself.
    AlertRuleId
);
typed_id!(
    /// Bytes worth keeping.
    ArtifactId
);
typed_id!(
    /// Bytes a client sent, not yet or already bound to a task.
    UploadId
);
typed_id!(
    /// One run of a native tool.
    ToolExecutionId
);
typed_id!(
    /// An API token.
    TokenId
);
typed_id!(
    /// The token of workers without the database.
    WorkerTokenId
);
typed_id!(
    /// A process that holds leases.
    WorkerId
);
typed_id!(
    /// One version of a plugin, installed for all tenants or for one.
    PluginId
);
typed_id!(
    /// Tasks that finish together.
    GroupId
);
typed_id!(
    /// Tasks that are asked for again and again.
    ScheduleId
);
typed_id!(
    /// Where webhooks are sent.
    WebhookEndpointId
);
typed_id!(
    /// What a webhook tells, the same at every try.
    WebhookMessageId
);
