//! The import of VEX. A refusal is data in the payload's `errors`.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use tamiz_core::{ProjectId, Refusal, UploadId};
use tamiz_store::token::Role;

use super::id::Ref;
use super::mutation::{UserError, refused, rested};
use super::session::Session;
use crate::api::errors::ApiError;
use crate::flow::import_vex::{VexOutcome, import_vex, uploaded};
use crate::flow::{FlowError, require};

/// What became of `importVex`; of a dry run, what would.
#[derive(SimpleObject)]
pub(crate) struct ImportVexPayload {
    /// Statements of the document.
    statements: u32,
    /// Alerts that a statement is about.
    matched: u32,
    /// Of them, those that are dismissed, or dismissed otherwise.
    dismissed: u32,
    /// Those that are open again.
    reopened: u32,
    /// Those that stay open, with the statement's words as a comment.
    commented: u32,
    /// Those that were so already, or of which the statement asks nothing.
    unchanged: u32,
    /// Those that a person decided on after the statement was made.
    kept: u32,
    /// How many statements are about alerts that are fixed already, and about no other: they decide nothing.
    fixed: u32,
    /// How many statements are about no alert.
    unmatched: u32,
    /// Where in the document they stand, such as `statements[3]`; the first hundred.
    unmatched_places: Vec<String>,
    /// What the document says about no package, with the place; the first hundred.
    left_out: Vec<String>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

impl ImportVexPayload {
    fn of(outcome: VexOutcome, errors: Vec<UserError>) -> Self {
        Self {
            statements: outcome.statements,
            matched: outcome.matched,
            dismissed: outcome.dismissed,
            reopened: outcome.reopened,
            commented: outcome.commented,
            unchanged: outcome.unchanged,
            kept: outcome.kept,
            fixed: outcome.fixed,
            unmatched: outcome.unmatched,
            unmatched_places: outcome.unmatched_places,
            left_out: outcome.left_out,
            errors,
        }
    }
}

/// A VEX document that shall decide on a project's alerts: an upload, or its text.
#[derive(InputObject)]
pub(crate) struct ImportVexInput {
    /// The project whose alerts the document is about.
    project_id: Ref<ProjectId>,
    /// An upload of the project with the document, at most 16 MiB.
    upload_id: Option<Ref<UploadId>>,
    /// The document itself, as far as a request has room.
    text: Option<String>,
    /// Whether nothing is written.
    #[graphql(default)]
    dry_run: bool,
}

/// The part of the root of writes that is about VEX.
pub(crate) struct VexMutation;

/// The part of the root of writes that is about VEX.
#[Object]
impl VexMutation {
    /// Lets an OpenVEX or CycloneDX document decide on alerts about packages. Imported again it changes nothing.
    async fn import_vex(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which document, into which project.")] input: ImportVexInput,
    ) -> Result<ImportVexPayload, ApiError> {
        let session = rested(context).await?;
        match imported(session, input).await {
            Ok(outcome) => Ok(ImportVexPayload::of(outcome, Vec::new())),
            Err(error) => Ok(ImportVexPayload::of(VexOutcome::default(), vec![refused(error)?])),
        }
    }
}

async fn imported(session: &Session, input: ImportVexInput) -> Result<VexOutcome, FlowError> {
    let (store, caller) = (session.store(), &session.caller);
    require(caller, Role::Analyst)?;
    let project: ProjectId = input.project_id.into();
    let (field, document) = match (input.upload_id, input.text) {
        (Some(upload), None) => {
            let blobs = &session.state.blobs;
            let document = uploaded(store, blobs, caller, project, upload.into()).await?;
            ("uploadId", document)
        }
        (None, Some(text)) => ("text", text.into_bytes()),
        _ => return Err(Refusal::invalid("uploadId", "give one of uploadId and text").into()),
    };
    import_vex(store, caller, project, (field, &document), input.dry_run).await
}
