//! What stored parts come to under the version of this program.

use std::collections::HashMap;

use tamiz_core::identity::ordinals::Position;
use tamiz_core::identity::{self, Fingerprint, Kind, Lines, PartHash, Parts};
use tamiz_core::related::Traits;
use tamiz_core::{Finding, ProjectId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::finding::{self, CONTENTS_PER_INSERT};
use crate::tenant_tx::TenantTx;

/// How many numbers beyond those of a group an alert may have: equals that went and came.
pub(super) const NUMBERS_BEYOND: u32 = 64;

/// An identity made anew.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) kind: Kind,
    pub(super) base: Fingerprint,
    /// Which of an identity's places it is.
    pub(super) place: PartHash,
    pub(super) position: Position,
    pub(super) traits: Traits,
}

impl Mark {
    fn of(finding: &Finding, content: Uuid, lines: Option<&[u8]>) -> Self {
        let parts = Parts::of(finding, lines.and_then(Lines::from_bytes));
        let (line, column) = identity::line_and_column(finding);
        Self {
            kind: parts.kind,
            base: parts.base(),
            place: identity::place(parts.kind, finding),
            position: (line, column, content.into_bytes()),
            traits: Traits::of(finding),
        }
    }

    /// Whether it is known by one of the numbers that such a group has.
    pub(super) fn has(&self, print: Fingerprint, group: usize) -> bool {
        let group = u32::try_from(group).unwrap_or(u32::MAX);
        (0..group.saturating_add(NUMBERS_BEYOND)).any(|number| self.base.numbered(number) == print)
    }
}

/// The marks of contents with the lines of their source, in order; none where the content is not there.
pub(super) async fn marks(
    tx: &mut TenantTx,
    project: ProjectId,
    stored: &[(Uuid, Option<Vec<u8>>)],
) -> Result<Vec<Option<Mark>>, StoreError> {
    let mut marks = Vec::with_capacity(stored.len());
    for part in stored.chunks(CONTENTS_PER_INSERT) {
        let ids: Vec<Uuid> = part.iter().map(|(content, _)| *content).collect();
        let findings: HashMap<Uuid, Finding> = finding::contents(tx, project, &ids, None).await?;
        marks.extend(part.iter().map(|(content, lines)| {
            let finding = findings.get(content)?;
            Some(Mark::of(finding, *content, lines.as_deref()))
        }));
    }
    Ok(marks)
}
