//! Findings and their pages.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamiz_core::{FindingId, Location, ProjectId, Refusal, TaskId};
use tamiz_store::StoreError;
use tamiz_store::finding::{self, FindingParents, FindingPosition, FindingRow};
use tamiz_store::page::{Page, PageLimit};
use uuid::Uuid;

use super::connection::{Listed, connection, decode, encode, limit};
use super::project::Project;
use super::session::Session;
use super::task::{Task, by};
use super::words::{Confidence, Severity};
use crate::api::errors::ApiError;

/// Words of one list of a filter; a longer list is a query that should be two.
const FILTER_WORDS_MAX: usize = 100;

/// One result of one task.
#[derive(Clone)]
pub(crate) struct Finding(pub(super) Arc<FindingRow>);

impl Finding {
    fn position(&self) -> Option<&Location> {
        self.0.locations.0.first()
    }
}

/// One result of one task.
#[Object]
impl Finding {
    /// Its id, a UUID.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?
            .project(self.0.project_id.into())
            .await?
            .map(Project))
    }

    /// Which task found it.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.0.task_id.into()).await?.map(Task))
    }

    /// The producing tool, lower case.
    async fn tool(&self) -> &str {
        &self.0.source_tool
    }

    /// The tool's rule.
    async fn rule_id(&self) -> &str {
        &self.0.rule_id
    }

    /// The rule's readable name.
    async fn rule_name(&self) -> Option<&str> {
        self.0.rule_name.as_deref()
    }

    /// How bad it is, in our words.
    fn severity(&self) -> Result<Severity, ApiError> {
        let severity = tamiz_core::Severity::from_rank(self.0.severity);
        severity
            .map(Into::into)
            .ok_or_else(|| unreadable("severity", self.0.severity))
    }

    /// How bad it is, in the tool's word.
    async fn severity_raw(&self) -> Option<&str> {
        self.0.severity_raw.as_deref()
    }

    /// How sure the tool is.
    fn confidence(&self) -> Result<Confidence, ApiError> {
        let confidence = tamiz_core::Confidence::from_rank(self.0.confidence);
        confidence
            .map(Into::into)
            .ok_or_else(|| unreadable("confidence", self.0.confidence))
    }

    /// `security`, `secret`, …
    async fn category(&self) -> Option<&str> {
        self.0.category.as_deref()
    }

    /// CWE numbers, the first is primary.
    async fn cwe(&self) -> &[i32] {
        &self.0.cwe
    }

    /// Advisory ids (CVE, GHSA, OSV).
    async fn cve(&self) -> &[String] {
        &self.0.cve
    }

    /// As it stood in the report.
    async fn cvss_vector(&self) -> Option<&str> {
        self.0.cvss_vector.as_deref()
    }

    /// One line.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The whole explanation.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    async fn remediation(&self) -> Option<&str> {
        self.0.remediation.as_deref()
    }

    /// `file`, `url`, `endpoint`, `domain` or `flow`; null if the tool names no place.
    async fn location_kind(&self) -> Option<&str> {
        self.0.location_kind.as_deref()
    }

    /// The primary place in one word.
    async fn location(&self) -> Option<&str> {
        self.0.location_label.as_deref()
    }

    /// The file, relative to the scanned root; a label.
    async fn file(&self) -> Option<&str> {
        self.0.file_path.as_deref()
    }

    /// The first line, from 1.
    async fn line(&self) -> Option<i32> {
        self.0.line
    }

    /// The last line, from 1.
    async fn end_line(&self) -> Option<u32> {
        match self.position()? {
            Location::File { end, .. } => end.map(|end| end.line),
            _ => None,
        }
    }

    /// The source text at the place.
    async fn snippet(&self) -> Option<&str> {
        match self.position()? {
            Location::File { snippet, .. } => snippet.as_deref(),
            _ => None,
        }
    }

    /// All places, each an object with a `kind`.
    fn locations(&self) -> Result<Value, ApiError> {
        serde_json::to_value(&self.0.locations.0).map_err(|error| ApiError::fault(&error))
    }

    /// To read more; labels, never fetched.
    async fn references(&self) -> &[String] {
        &self.0.refs.0
    }

    /// Such as `owasp:A03:2021`.
    async fn tags(&self) -> &[String] {
        &self.0.tags.0
    }

    /// The identity that survives line shifts and tool upgrades, in hexadecimal.
    async fn fingerprint(&self) -> String {
        hex::encode(&self.0.fingerprint)
    }

    /// How the fingerprint was made.
    async fn fingerprint_version(&self) -> i32 {
        i32::from(self.0.fingerprint_version)
    }

    /// The tool's own identity for the result.
    async fn tool_fingerprint(&self) -> Option<&str> {
        self.0.tool_fingerprint.as_deref()
    }

    /// Anything else that the tool told.
    async fn extra(&self) -> &Value {
        &self.0.extra
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

fn unreadable(what: &'static str, rank: i16) -> ApiError {
    ApiError::fault(&StoreError::Unreadable {
        what,
        found: rank.to_string(),
    })
}

/// In which order. Ties are broken by id.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FindingOrder {
    /// Worst first, then newest.
    #[default]
    SeverityDesc,
    /// Newest first.
    CreatedDesc,
    /// By file, then line.
    File,
}

impl FindingOrder {
    /// What its cursors are bound to.
    const fn label(self) -> &'static str {
        match self {
            Self::SeverityDesc => "findings/severity_desc",
            Self::CreatedDesc => "findings/created_desc",
            Self::File => "findings/file",
        }
    }

    const fn to_store(self) -> finding::FindingOrder {
        match self {
            Self::SeverityDesc => finding::FindingOrder::SeverityDesc,
            Self::CreatedDesc => finding::FindingOrder::CreatedDesc,
            Self::File => finding::FindingOrder::File,
        }
    }
}

/// Which findings. Several words of one list mean any of them, several lists all of them.
#[derive(InputObject, Debug, Default)]
pub(crate) struct FindingFilter {
    /// Of these severities.
    severity: Option<Vec<Severity>>,
    /// Of these tools.
    tool: Option<Vec<String>>,
    /// Of these rules.
    rule: Option<Vec<String>>,
    /// In this file; a path that ends with `/` means everything below.
    file: Option<String>,
}

impl FindingFilter {
    fn into_store(self) -> Result<finding::FindingFilter, Refusal> {
        let severities = words("severity", self.severity)?;
        Ok(finding::FindingFilter {
            project: None,
            task: None,
            severities: severities.into_iter().map(Into::into).collect(),
            tools: words("tool", self.tool)?,
            rules: words("rule", self.rule)?,
            file: self.file,
        })
    }
}

/// The words of one list of the filter; no list is an empty one.
fn words<Word>(name: &str, list: Option<Vec<Word>>) -> Result<Vec<Word>, Refusal> {
    let list = list.unwrap_or_default();
    if list.len() > FILTER_WORDS_MAX {
        let rule = format!(
            "has {} words, more than the limit of {FILTER_WORDS_MAX}",
            list.len()
        );
        return Err(Refusal::invalid(name, rule).at(&["filter", name]));
    }
    Ok(list)
}

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
    after: Option<FindingPosition>,
    limit: PageLimit,
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
    FindingConnection, FindingEdge, Finding, FindingsCountKey
);

impl FindingConnection {
    pub(super) async fn of(
        session: &Session,
        owner: Owner,
        first: Option<i32>,
        after: Option<&str>,
        order: Option<FindingOrder>,
        filter: Option<FindingFilter>,
    ) -> Result<Self, ApiError> {
        let order = order.unwrap_or_default();
        let filter = filter.unwrap_or_default().into_store()?;
        let after: Option<Key> = after.map(|cursor| decode(order.label(), cursor)).transpose()?;
        let question = Question {
            filter: filter.clone(),
            order: order.to_store(),
            after: after.map(FindingPosition::from),
            limit: limit(session, first)?,
        };
        let has_previous = question.after.is_some();
        let key = FindingPageKey { owner, question };
        let page = session
            .finding_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = page.unwrap_or_else(|| {
            Arc::new(Page {
                rows: Vec::new(),
                has_next: false,
            })
        });
        let rows = page
            .rows
            .iter()
            .map(|row| (encode(order.label(), Key::from(&**row)), Finding(Arc::clone(row))))
            .collect();
        Ok(Self {
            listed: Listed {
                rows,
                has_next: page.has_next,
                has_previous,
            },
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
                    Box::pin(async move {
                        finding::page(tx, &asked.filter, asked.order, asked.after.as_ref(), asked.limit).await
                    })
                })
                .await?;
            let key = FindingPageKey {
                owner: Owner::Tenant,
                question: question.clone(),
            };
            pages.insert(key, Arc::new(shared(page)));
        }
        for parents in parents(&owners).into_iter().filter(|parents| !is_empty(parents)) {
            let (asked, whose) = (question.clone(), parents.clone());
            let found = session
                .read(|tx| {
                    Box::pin(async move {
                        let Question {
                            filter,
                            order,
                            after,
                            limit,
                        } = &asked;
                        finding::pages_of(tx, &whose, filter, *order, after.as_ref(), *limit).await
                    })
                })
                .await?;
            pages.extend(found.into_iter().map(|(id, page)| {
                let key = FindingPageKey {
                    owner: owner_of(&parents, id),
                    question: question.clone(),
                };
                (key, Arc::new(shared(page)))
            }));
        }
    }
    Ok(pages)
}

fn shared(page: Page<FindingRow>) -> FindingPage {
    Page {
        rows: page.rows.into_iter().map(Arc::new).collect(),
        has_next: page.has_next,
    }
}

impl FindingsCountKey {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        let counted = session
            .finding_counts
            .load(self.clone(), async |keys| counts(session, keys).await)
            .await?;
        Ok(counted.unwrap_or(0))
    }
}

async fn counts(
    session: &Session,
    keys: Vec<FindingsCountKey>,
) -> Result<HashMap<FindingsCountKey, i64>, ApiError> {
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
