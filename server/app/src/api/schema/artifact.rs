//! Artifacts: what tasks left, by name; the bytes are at `/v1/artifacts/{id}`.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use tamiz_store::artifact;

use super::id::id_of;
use super::session::Session;
use super::task::Task;
use super::words::BigInt;
use crate::api::errors::ApiError;

/// Bytes worth keeping.
#[derive(Clone)]
pub(crate) struct Artifact(pub(super) Arc<artifact::Artifact>);

/// Bytes worth keeping.
#[Object]
impl Artifact {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Where it came from.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.0.task_id).await?.map(Task))
    }

    /// `report`, `stdout`, `stderr`, `evidence`, …
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Whether the bytes may hold secrets in the clear, which findings have redacted: reports, captures and
    /// whatever else a tool or an uploader wrote. Hand them on with care.
    async fn is_sensitive(&self) -> bool {
        self.0.is_sensitive()
    }

    /// A file name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What the bytes are.
    async fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// How many.
    async fn size_bytes(&self) -> BigInt {
        self.0.blob.size_bytes.into()
    }

    /// SHA-256 of the bytes, in hexadecimal.
    async fn sha256(&self) -> String {
        hex::encode(self.0.blob.hash)
    }

    /// Where to get the bytes with the same token, relative to the server.
    async fn path(&self) -> String {
        format!("/v1/artifacts/{}", self.0.id)
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
