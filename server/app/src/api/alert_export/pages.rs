//! The bytes of one file, a few alerts at a time: no transaction is held while bytes are sent.

use std::vec;

use axum::body::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use tamiz_core::ProjectId;
use tamiz_core::export::sarif::{Limits, Sarif};
use tamiz_core::export::{Exported, Format, Head, Writer};
use tamiz_store::alert::export::{self, ALERTS_PER_READ};
use tamiz_store::shares::Place;
use tamiz_store::{Store, StoreError, TenantScope};
use uuid::Uuid;

use super::asked::{Asked, Next};
use crate::api::errors::log_fault;

/// What writes a file.
enum Making {
    /// Files go on behind each other.
    Sarif {
        writer: Box<Sarif>,
        /// Runs of the first alert's tool in earlier files.
        before: u32,
    },
    Other(Box<dyn Writer + Send>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Open,
    Ended,
}

/// A file that is being written.
pub(super) struct Pages {
    store: Store,
    scope: TenantScope,
    project: ProjectId,
    ids: vec::IntoIter<Uuid>,
    head: Head,
    making: Making,
    stage: Stage,
    next: Option<Next>,
    /// Given back when the last byte is sent.
    _place: Place,
}

impl Pages {
    pub(super) fn new(
        store: Store,
        scope: TenantScope,
        project: ProjectId,
        ids: Vec<Uuid>,
        asked: &Asked,
        head: Head,
        place: Place,
    ) -> Self {
        let making = match asked.format {
            Format::Sarif => Making::Sarif {
                writer: Box::new(Sarif::new(head.clone(), Limits::GITHUB)),
                before: asked.next.map_or(0, |next| next.parts),
            },
            other => Making::Other(other.writer(head.clone())),
        };
        Self {
            store,
            scope,
            project,
            ids: ids.into_iter(),
            head,
            making,
            stage: Stage::New,
            next: None,
            _place: place,
        }
    }

    /// Where the file ended for want of room.
    pub(super) const fn next(&self) -> Option<Next> {
        self.next
    }

    /// The next piece of the file; `None` at its end.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.stage == Stage::Ended {
            return Ok(None);
        }
        let ids: Vec<Uuid> = self.ids.by_ref().take(ALERTS_PER_READ).collect();
        let alerts = if ids.is_empty() {
            Vec::new()
        } else {
            let mut tx = self.store.begin(&self.scope).await?;
            let alerts = export::read(&mut tx, self.project, &ids).await?;
            tx.commit().await?;
            alerts
        };
        Ok(Some(self.write(&alerts, ids.is_empty()).into()))
    }

    fn write(&mut self, alerts: &[Exported], is_end: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if self.stage == Stage::New {
            self.stage = Stage::Open;
            if let (Making::Sarif { writer, before }, Some(first)) = (&mut self.making, alerts.first())
                && *before > 0
            {
                let tool = first.finding.tool.clone();
                **writer = Sarif::continued(self.head.clone(), Limits::GITHUB, tool, *before);
            }
            self.making.writer().begin(&mut out);
        }
        for alert in alerts {
            if self.making.writer().next_file_before(alert) {
                self.next = Some(self.making.next(alert));
                self.stage = Stage::Ended;
                break;
            }
            self.making.writer().alert(alert, &mut out);
        }
        if is_end {
            self.stage = Stage::Ended;
        }
        if self.stage == Stage::Ended {
            self.making.writer().end(&mut out);
        }
        out
    }

    /// The file as a body. After a failure the connection breaks off, so that nobody takes a part for all.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
        try_unfold(self, |mut pages| async move {
            let piece = pages.read().await.inspect_err(|error| {
                log_fault(error);
            })?;
            Ok(piece.map(|piece| (piece, pages)))
        })
    }
}

impl Making {
    fn writer(&mut self) -> &mut dyn Writer {
        match self {
            Self::Sarif { writer, .. } => writer.as_mut(),
            Self::Other(writer) => writer.as_mut(),
        }
    }

    fn next(&self, alert: &Exported) -> Next {
        let parts = match self {
            Self::Sarif { writer, .. } => writer.parts_of(&alert.finding.tool),
            Self::Other(_) => 0,
        };
        Next {
            alert: alert.id,
            parts,
        }
    }
}
