//! Makes a project.

use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::{Refusal, RefusalCode};
use tamiz_store::Store;
use tamiz_store::project::{self, Project};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, label, require};

/// Makes a project with a name that is new in the tenant.
///
/// # Errors
/// Refused when the role is below analyst, the name breaks its rule, or it is taken.
pub async fn create_project(store: &Store, caller: &Caller, name: &str) -> Result<Project, FlowError> {
    require(caller, Role::Analyst)?;
    let name = label("name", name, NAME_CHARACTERS_MAX)?;
    let mut tx = store.begin(&caller.scope).await?;
    let Some(project) = project::create(&mut tx, name).await? else {
        let message = format!("a project named {name:?} exists already");
        return Err(Refusal::new(RefusalCode::AlreadyExists, message)
            .at(&["input", "name"])
            .into());
    };
    tx.commit().await?;
    Ok(project)
}
