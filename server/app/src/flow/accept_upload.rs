//! Acknowledges an upload whose bytes are already in the object store.
//!
//! The bytes come first and the row last: a crash in between leaves bytes that no row names, which are noted as
//! such, never a row without its bytes.

use std::slice::from_ref;

use tamiz_core::limits::FILE_NAME_BYTES_MAX;
use tamiz_core::text::{cut, printable};
use tamiz_core::{ProjectId, Refusal, RefusalCode, UploadId};
use tamiz_store::token::{Caller, Role};
use tamiz_store::upload::{self, NewUpload, StoredBlob};
use tamiz_store::{Store, StoreError, project};

use super::name_bytes::{are_there, note_put};
use super::reserve_storage::UploadRoom;
use super::{FlowError, require};
use crate::blob::BlobStore;

/// What a client says about its upload.
#[derive(Debug, Clone)]
pub struct UploadLabel<'a> {
    /// Where it belongs.
    pub project: ProjectId,
    /// The client's file name; a label, never a path of ours.
    pub file_name: &'a str,
    /// The declared type; a hint.
    pub media_type: &'a str,
}

/// Checks, before a byte is read, that the caller may upload to the project.
///
/// # Errors
/// Refused when the role is below analyst or the project is not there.
pub async fn may_upload(store: &Store, caller: &Caller, project: ProjectId) -> Result<(), FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    match project::get(&mut tx, project).await? {
        Some(_) => Ok(()),
        None => Err(Refusal::not_found("project", project).at(&["project"]).into()),
    }
}

/// Commits the upload's row and settles its reservation; from then on it is acknowledged.
///
/// # Errors
/// Refused when it has no bytes, the project went away meanwhile, or there is no room any more.
pub async fn accept_upload(
    store: &Store,
    blobs: &BlobStore,
    caller: &Caller,
    label: &UploadLabel<'_>,
    blob: &StoredBlob,
    room: UploadRoom,
) -> Result<UploadId, FlowError> {
    if blob.size_bytes == 0 {
        return Err(Refusal::new(RefusalCode::UploadEmpty, "the upload has no bytes").into());
    }
    note_put(store, &caller.scope, blob).await?;
    let id = UploadId::fresh();
    let mut written = write(store, caller, label, blob, id, &room).await;
    if let Err(FlowError::Store(StoreError::BeingDeleted)) = written
        && are_there(store, blobs, &caller.scope, from_ref(blob)).await?
    {
        written = write(store, caller, label, blob, id, &room).await;
    }
    written?;
    room.is_settled();
    Ok(id)
}

async fn write(
    store: &Store,
    caller: &Caller,
    label: &UploadLabel<'_>,
    blob: &StoredBlob,
    id: UploadId,
    room: &UploadRoom,
) -> Result<(), FlowError> {
    let mut tx = store.begin(&caller.scope).await?;
    let new = NewUpload {
        id,
        project: label.project,
        file_name: &file_name(label.file_name),
        media_type: &printable(cut(label.media_type, 100)),
        blob,
    };
    let Some(new_bytes) = upload::create(&mut tx, &new).await? else {
        return Err(Refusal::not_found("project", label.project)
            .at(&["project"])
            .into());
    };
    room.settle(&mut tx, new_bytes).await?;
    Ok(tx.commit().await?)
}

/// The last part of whatever path a client sent, printable and bounded.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|character| !character.is_control()).collect();
    let cut = cut(clean.trim(), FILE_NAME_BYTES_MAX);
    if matches!(cut, "" | "." | "..") {
        "upload".to_owned()
    } else {
        cut.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_the_last_part_and_never_a_path() {
        for (given, kept) in [
            ("src.zip", "src.zip"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.zip", "y.zip"),
            ("a\u{1b}[31mb\n", "a[31mb"),
            ("..", "upload"),
            ("", "upload"),
        ] {
            assert_eq!(file_name(given), kept, "{given:?}");
        }
    }
}
