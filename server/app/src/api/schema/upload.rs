//! Uploads: what clients sent, by name; what became of it is the task's.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{ProjectId, UploadId};
use tamiz_store::page::{Page, Window};
use tamiz_store::upload::{self, list};

use super::connection::{Asked, Listed, connection, decode, encode};
use super::id::{Ref, id_of};
use super::project::Project;
use super::session::Session;
use super::task::Task;
use super::task_page::by;
use super::words::BigInt;
use crate::api::errors::ApiError;

const ORDER: &str = "uploads";

/// What an upload is for so far.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadState {
    /// No task was ordered with it yet.
    Unused,
    /// A task scans it, or has.
    Used,
}

/// Bytes that a client sent.
#[derive(Clone)]
pub(crate) struct Upload(pub(super) Arc<upload::Upload>);

/// Bytes that a client sent.
#[Object]
impl Upload {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        let project = Session::of(context)?.project(self.0.project_id).await?;
        Ok(project.map(Project))
    }

    /// The first task that was ordered with it; null before, and after that task was deleted.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        match self.0.task_id {
            Some(id) => Ok(Session::of(context)?.task(id).await?.map(Task)),
            None => Ok(None),
        }
    }

    /// What it is for so far.
    async fn state(&self) -> UploadState {
        match self.0.task_id {
            Some(_) => UploadState::Used,
            None => UploadState::Unused,
        }
    }

    /// As the client named it.
    async fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// As the client declared it.
    async fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// How many bytes.
    async fn size_bytes(&self) -> BigInt {
        self.0.blob.size_bytes.into()
    }

    /// SHA-256 of the bytes, in hexadecimal.
    async fn sha256(&self) -> String {
        hex::encode(self.0.blob.hash)
    }

    /// When it was acknowledged.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// One page of one project's uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UploadPageKey {
    project: ProjectId,
    window: Window<UploadId>,
}

/// Shared rows of a page.
pub(super) type UploadPage = Page<Arc<upload::Upload>>;

connection!(
    /// A page of uploads.
    UploadConnection, UploadEdge, Upload
);

impl UploadConnection {
    /// Of one project, or of the tenant.
    pub(super) async fn page(
        session: &Session,
        project: Option<Ref<ProjectId>>,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        if let Some(project) = project {
            return Self::of_project(session, project.into(), asked).await;
        }
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let page = session.read(|tx| Box::pin(list::page(tx, window))).await?;
        Ok(Self::listed(page.shared()))
    }

    pub(super) async fn of_project(
        session: &Session,
        project: ProjectId,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let key = UploadPageKey {
            project,
            window: asked.window(session, |cursor| decode(ORDER, cursor))?,
        };
        let fetch = async |keys| pages(session, keys).await;
        let page = session.batches().upload_pages.load(key, fetch).await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self::listed(page))
    }

    fn listed(page: UploadPage) -> Self {
        Self {
            listed: Listed::of(page, Upload, |node: &Upload| encode(ORDER, node.0.id)),
        }
    }
}

async fn pages(
    session: &Session,
    keys: Vec<UploadPageKey>,
) -> Result<HashMap<UploadPageKey, Arc<UploadPage>>, ApiError> {
    let mut pages = HashMap::new();
    for (window, projects) in by(keys, |key| (key.window, key.project)) {
        let found = session
            .read(|tx| Box::pin(async move { list::pages_of_projects(tx, &projects, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(project, page)| {
            let key = UploadPageKey { project, window };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}

/// One upload.
pub(super) async fn upload_of(session: &Session, id: UploadId) -> Result<Option<Upload>, ApiError> {
    let fetch = async |ids: Vec<UploadId>| {
        let rows = session
            .read(|tx| Box::pin(async move { list::by_ids(tx, &ids).await }))
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    };
    Ok(session.batches().uploads.load(id, fetch).await?.map(Upload))
}
