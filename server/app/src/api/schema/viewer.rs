//! Who asks.

use std::sync::Arc;

use async_graphql::{Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::session::Session;
use super::tenant::Tenant;
use super::words::{BigInt, RoleName};
use crate::api::intake::upload_bytes_max;

/// Whoever bears the token of this request.
pub(crate) struct Viewer(pub(super) Arc<Session>);

/// What this tenant may ask of the server.
#[derive(SimpleObject)]
#[expect(
    clippy::struct_field_names,
    reason = "the schema's names say that they are limits"
)]
pub(crate) struct Limits {
    /// One upload, in bytes.
    upload_bytes_max: BigInt,
    /// Files and folders of one uploaded archive.
    archive_entries_max: BigInt,
    /// Rows of one page.
    page_rows_max: i32,
}

/// Whoever bears the token of this request.
#[Object]
impl Viewer {
    /// The customer that the token belongs to.
    async fn tenant(&self) -> Tenant {
        Tenant::own(&self.0)
    }

    /// What the token may do.
    async fn role(&self) -> RoleName {
        self.0.caller.role.into()
    }

    /// What the token is for.
    async fn token_name(&self) -> &str {
        &self.0.caller.token_name
    }

    /// When the token ends by itself.
    async fn token_expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.caller.expires_at
    }

    /// What this tenant may ask of the server.
    async fn limits(&self) -> Limits {
        let settings = &self.0.state.settings;
        Limits {
            upload_bytes_max: upload_bytes_max(settings, &self.0.caller).into(),
            archive_entries_max: settings.archive_entries_max.into(),
            page_rows_max: i32::try_from(settings.graphql_page_max).unwrap_or(i32::MAX),
        }
    }
}
