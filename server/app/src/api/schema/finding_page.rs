//! Pages and counts of findings: of everything, of projects, of tasks, each kind in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamiz_core::{FindingId, ProjectId, Refusal, TaskId};
use tamiz_store::finding::{self, FindingParents, FindingPosition, FindingRow};
use tamiz_store::page::{Page, Window};
use tamiz_store::row_count::RowCount;
use uuid::Uuid;

use super::connection::{Asked, Listed, bad_cursor, connection, decode, encode, turned_if};
use super::finding::{Finding, FindingFilter, FindingOrder};
use super::session::Session;
use super::task_page::by;
use crate::api::errors::ApiError;

/// Whose findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// All of the tenant.
    Tenant,
    /// Of a project.
    Project(ProjectId),
    /// Of a task.
    Task(TaskId),
}

/// One page of one owner's findings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FindingPageKey {
    owner: Owner,
    question: Question,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    filter: finding::FindingFilter,
    order: finding::FindingOrder,
    window: Window<FindingPosition>,
}

/// The count of one owner's findings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FindingsCountKey {
    owner: Owner,
    filter: finding::FindingFilter,
}

/// Shared rows of a page.
pub(super) type FindingPage = Page<Arc<FindingRow>>;

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
struct Key(i16, String, i32, FindingId);

impl Key {
    fn read(order: FindingOrder, cursor: &str) -> Result<Self, Refusal> {
        let key: Self = decode(order.label(), cursor)?;
        // a forged cursor may hold what no row can
        if tamiz_core::text::is_storable(&key.1) {
            Ok(key)
        } else {
            Err(bad_cursor())
        }
    }
}

impl From<&FindingRow> for Key {
    fn from(row: &FindingRow) -> Self {
        let at = row.position();
        Self(at.severity, at.file_path, at.line, at.id)
    }
}

impl From<Key> for FindingPosition {
    fn from(Key(severity, file_path, line, id): Key) -> Self {
        Self {
            severity,
            file_path,
            line,
            id,
        }
    }
}

connection!(
    /// A page of findings.
    FindingConnection, FindingEdge, Finding,
    /// `Project.findingSeverityCounts` and `scanResult` know all.
    bounded FindingsCountKey
);

impl FindingConnection {
    pub(super) async fn of(
        session: &Session,
        owner: Owner,
        asked: &Asked,
        order: Option<FindingOrder>,
        filter: Option<FindingFilter>,
    ) -> Result<Self, ApiError> {
        let order = order.unwrap_or_default();
        let filter = filter.unwrap_or_default().into_store()?;
        let read = |cursor: &str| Key::read(order, cursor).map(FindingPosition::from);
        let question = Question {
            filter: filter.clone(),
            order: order.to_store(),
            window: turned_if(order.is_turned(), asked.window(session, read)?),
        };
        let key = FindingPageKey { owner, question };
        let page = session
            .batches()
            .finding_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        let page = if order.is_turned() { page.turned() } else { page };
        Ok(Self {
            listed: Listed::of(page, Finding, move |node: &Finding| {
                encode(order.label(), Key::from(&*node.0))
            }),
            counted: FindingsCountKey { owner, filter },
        })
    }
}

/// Owners of one kind, ready for one statement.
fn parents(owners: &[Owner]) -> [FindingParents; 2] {
    let (mut projects, mut tasks) = (Vec::new(), Vec::new());
    for owner in owners {
        match owner {
            Owner::Tenant => {}
            Owner::Project(id) => projects.push(*id),
            Owner::Task(id) => tasks.push(*id),
        }
    }
    [FindingParents::Projects(projects), FindingParents::Tasks(tasks)]
}

fn owner_of(parents: &FindingParents, id: Uuid) -> Owner {
    match parents {
        FindingParents::Projects(_) => Owner::Project(id.into()),
        FindingParents::Tasks(_) => Owner::Task(id.into()),
    }
}

fn is_empty(parents: &FindingParents) -> bool {
    match parents {
        FindingParents::Projects(ids) => ids.is_empty(),
        FindingParents::Tasks(ids) => ids.is_empty(),
    }
}

async fn pages(
    session: &Session,
    keys: Vec<FindingPageKey>,
) -> Result<HashMap<FindingPageKey, Arc<FindingPage>>, ApiError> {
    let mut pages = HashMap::new();
    for (question, owners) in by(keys, |key| (key.question, key.owner)) {
        if owners.contains(&Owner::Tenant) {
            let asked = question.clone();
            let page = session
                .read(|tx| {
                    Box::pin(
                        async move { finding::page(tx, &asked.filter, asked.order, &asked.window).await },
                    )
                })
                .await?;
            let key = FindingPageKey {
                owner: Owner::Tenant,
                question: question.clone(),
            };
            pages.insert(key, Arc::new(page.shared()));
        }
        for parents in parents(&owners).into_iter().filter(|parents| !is_empty(parents)) {
            let (asked, whose) = (question.clone(), parents.clone());
            let found = session
                .read(|tx| {
                    Box::pin(async move {
                        let Question {
                            filter,
                            order,
                            window,
                        } = &asked;
                        finding::pages_of(tx, &whose, filter, *order, window).await
                    })
                })
                .await?;
            pages.extend(found.into_iter().map(|(id, page)| {
                let key = FindingPageKey {
                    owner: owner_of(&parents, id),
                    question: question.clone(),
                };
                (key, Arc::new(page.shared()))
            }));
        }
    }
    Ok(pages)
}

impl FindingsCountKey {
    async fn count(&self, session: &Session) -> Result<RowCount, ApiError> {
        let counted = session
            .batches()
            .finding_counts
            .load(self.clone(), async |keys| counts(session, keys).await)
            .await?;
        Ok(counted.unwrap_or(RowCount::NONE))
    }
}

async fn counts(
    session: &Session,
    keys: Vec<FindingsCountKey>,
) -> Result<HashMap<FindingsCountKey, RowCount>, ApiError> {
    let mut counts = HashMap::new();
    for (filter, owners) in by(keys, |key| (key.filter, key.owner)) {
        if owners.contains(&Owner::Tenant) {
            let asked = filter.clone();
            let count = session
                .read(|tx| Box::pin(async move { finding::count(tx, &asked).await }))
                .await?;
            counts.insert(
                FindingsCountKey {
                    owner: Owner::Tenant,
                    filter: filter.clone(),
                },
                count,
            );
        }
        for parents in parents(&owners).into_iter().filter(|parents| !is_empty(parents)) {
            let (asked, whose) = (filter.clone(), parents.clone());
            let found = session
                .read(|tx| Box::pin(async move { finding::counts_of(tx, &whose, &asked).await }))
                .await?;
            counts.extend(found.into_iter().map(|(id, count)| {
                (
                    FindingsCountKey {
                        owner: owner_of(&parents, id),
                        filter: filter.clone(),
                    },
                    count,
                )
            }));
        }
    }
    Ok(counts)
}
