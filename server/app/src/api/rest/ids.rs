//! Ids as clients write them: the bare UUID, or with its kind before it as GraphQL shows it (`Task_…`).
//!
//! Whatever is no id of the kind is an id of nothing: it is not there, like another tenant's.

use tamiz_core::{ProjectId, TaskId, UploadId};
use uuid::Uuid;

/// What an id may be of.
pub(super) trait Named: From<Uuid> {
    /// What stands before its UUID.
    const KIND: &'static str;
}

impl Named for TaskId {
    const KIND: &'static str = "Task";
}

impl Named for ProjectId {
    const KIND: &'static str = "Project";
}

impl Named for UploadId {
    const KIND: &'static str = "Upload";
}

/// The id that `text` writes.
pub(super) fn id<Id: Named>(text: &str) -> Option<Id> {
    let bare = match text.split_once('_') {
        Some((kind, bare)) => (kind == Id::KIND).then_some(bare)?,
        None => text,
    };
    Uuid::parse_str(bare).ok().map(Id::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_bare_or_says_its_kind() {
        let task = TaskId::fresh();
        assert_eq!(id(&task.to_string()), Some(task));
        assert_eq!(id(&format!("Task_{task}")), Some(task));
        for bad in [
            format!("Project_{task}"),
            format!("task_{task}"),
            "Task_".to_owned(),
            "x".to_owned(),
        ] {
            assert_eq!(id::<TaskId>(&bad), None, "{bad}");
        }
    }
}
