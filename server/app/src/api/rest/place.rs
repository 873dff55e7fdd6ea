//! The project that a request belongs to: named by its id or by its name, and made if it is asked for.

use axum::http::StatusCode;
use tamiz_core::text::cut;
use tamiz_core::{ProjectId, Refusal, RefusalCode};
use tamiz_store::page::{PageLimit, Window};
use tamiz_store::project::{self, Project};
use tamiz_store::token::Caller;

use super::Rest;
use super::fields::{Fields, invalid};
use crate::api::refused::{Refused, unreached};
use crate::flow::FlowError;
use crate::flow::create_project::create_project;

/// What names a project.
pub(super) struct Place<'a> {
    pub(super) project: &'a str,
    /// Whether one of that name is made when there is none.
    pub(super) create: bool,
}

impl<'a> Place<'a> {
    /// As the fields `project` and `createProject` say.
    pub(super) fn of(fields: &'a Fields) -> Result<Self, Refused> {
        let project = fields.text("project");
        let project = project.ok_or_else(|| invalid("project", "say the project's id or name"))?;
        let create = fields.flag("createProject")?;
        Ok(Self { project, create })
    }

    /// The project; another tenant's is not there.
    pub(super) async fn find(&self, rest: &Rest, caller: &Caller) -> Result<Project, Refused> {
        if let Some(project) = self.known(rest, caller).await? {
            return Ok(project);
        }
        let looks_like_id = self.project.parse::<ProjectId>().is_ok();
        if !self.create || looks_like_id {
            let message = format!("no project with the id or name {}", cut(self.project, 200));
            let refusal = Refusal::new(RefusalCode::NotFound, message).at(&["project"]);
            return Err(Refused::from_refusal(StatusCode::NOT_FOUND, refusal));
        }
        match create_project(&rest.state.store, caller, self.project).await {
            // another request made it in between
            Err(FlowError::Refused(refusal)) if refusal.code == RefusalCode::AlreadyExists.as_str() => {
                let known = self.known(rest, caller).await?;
                known.ok_or_else(|| crate::api::intake::refused(refusal.into()))
            }
            made => rest.noted(caller, made).await,
        }
    }

    async fn known(&self, rest: &Rest, caller: &Caller) -> Result<Option<Project>, Refused> {
        let fault = |error| unreached(&error);
        let mut tx = rest.state.store.begin(&caller.scope).await.map_err(fault)?;
        let mut found = None;
        if let Ok(id) = self.project.parse() {
            found = project::get(&mut tx, id).await.map_err(fault)?;
        }
        // what a person may have called a project, and what the database takes
        let name = self.project.trim();
        if found.is_none() && tamiz_core::text::is_storable(name) {
            let page = project::page(&mut tx, Some(name), Window::first(PageLimit::ONE)).await;
            found = page.map_err(fault)?.rows.pop();
        }
        tx.commit().await.map_err(fault)?;
        Ok(found)
    }
}
