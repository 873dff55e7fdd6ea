//! Lets a VEX document decide on a project's alerts about packages.
//!
//! A statement is about an alert when it names its package and one of its advisories, by any of the names that the
//! document and the project's findings give it. Of several the latest counts. What a person decided after a statement
//! was made stands. What is about fixed alerts alone is counted, and decides nothing. The alerts are decided on a few hundred at a time, in a transaction each; a document imported again
//! changes nothing.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as _;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use serde_json::json;
use tamiz_core::advisory::Advisory;
use tamiz_core::aliases::{self, Groups};
use tamiz_core::export::vex::{self, DOCUMENT_BYTES_MAX, Imported, Index, Request, Status, VexStatement};
use tamiz_core::export::{Package, advisories};
use tamiz_core::{AlertId, AlertState, DismissalReason, Finding, ProjectId, Refusal, UploadId};
use tamiz_store::alert::hold_project;
use tamiz_store::alert::triage::{self, Change, Decision, Standing};
use tamiz_store::alert::vex::{self as alerts, ALERTS_AT_ONCE, PackageAlert};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx, audit, upload};

use super::triage::{COMMENT_CHARACTERS_MAX, end};
use super::{FlowError, known_project, require};
use crate::blob::{BlobKey, BlobKind, BlobStore};

/// Statements without an alert that are named; more are counted.
const NAMED_MAX: usize = 100;

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VexOutcome {
    /// Statements of the document.
    pub statements: u32,
    /// Alerts that a statement is about.
    pub matched: u32,
    /// Of them, those that are dismissed, or dismissed otherwise.
    pub dismissed: u32,
    /// Those that are open again.
    pub reopened: u32,
    /// Those that stay open with the statement's words as a comment.
    pub commented: u32,
    /// Those that are as the statement says already, or of which it asks nothing.
    pub unchanged: u32,
    /// Those that a person decided on after the statement was made.
    pub kept: u32,
    /// How many statements are about alerts that are fixed already, and about no other.
    pub fixed: u32,
    /// How many statements are about no alert.
    pub unmatched: u32,
    /// Where in the document they stand; the first hundred.
    pub unmatched_places: Vec<String>,
    /// What the document says about no package, with the place; the first hundred.
    pub left_out: Vec<String>,
}

/// The bytes of an uploaded document.
///
/// # Errors
/// Refused when the upload is not there, is of another project or is too large.
pub async fn uploaded(
    store: &Store,
    blobs: &BlobStore,
    caller: &Caller,
    project: ProjectId,
    id: UploadId,
) -> Result<Vec<u8>, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    let upload = upload::get(&mut tx, id).await?;
    tx.commit().await?;
    let Some(upload) = upload.filter(|upload| upload.project_id == project) else {
        let refusal = Refusal::not_found("upload of this project", id);
        return Err(refusal.at(&["input", "uploadId"]).into());
    };
    let size = upload.blob.size_bytes;
    if size > DOCUMENT_BYTES_MAX as u64 {
        let rule = format_args!("has {size} bytes, and at most {DOCUMENT_BYTES_MAX} are read");
        return Err(Refusal::invalid("uploadId", rule).into());
    }
    let failed = |error| FlowError::fault("reading the document", error);
    let key = BlobKey::new(&caller.scope, BlobKind::Upload, upload.blob.hash);
    let mut reader = blobs.read(&key, size).await.map_err(failed)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece.map_err(failed)?);
    }
    Ok(bytes)
}

/// Decides on the project's alerts as the document says; a dry run tells what it would do.
///
/// # Errors
/// Refused when the role is below analyst, the project is not there or the document cannot be read; `field` names the
/// input that it came in.
pub async fn import_vex(
    store: &Store,
    caller: &Caller,
    project: ProjectId,
    (field, document): (&str, &[u8]),
    is_dry_run: bool,
) -> Result<VexOutcome, FlowError> {
    require(caller, Role::Analyst)?;
    let Imported {
        statements, left_out, ..
    } = vex::read(document).map_err(|error| {
        let source = error
            .source()
            .map_or_else(String::new, |source| format!(": {source}"));
        Refusal::invalid(field, format_args!("cannot be read: {error}{source}"))
    })?;
    let mut tx = store.begin(&caller.scope).await?;
    known_project(&mut tx, project).await?;
    let packages = alerts::package_alerts(&mut tx, project, alerts::DECIDABLE).await?;
    let mut groups = Groups::default();
    join_named(&mut groups, &statements)?;
    join_found(&mut groups, &mut tx, project, &packages).await?;
    if !is_dry_run {
        note(&mut tx, caller, project, statements.len()).await?;
    }
    tx.commit().await?;
    let index = Index::new(&statements);
    let mut import = Import {
        groups,
        index,
        used: BTreeSet::new(),
        outcome: VexOutcome {
            statements: u32::try_from(statements.len()).unwrap_or(u32::MAX),
            left_out,
            ..VexOutcome::default()
        },
    };
    for part in packages.chunks(ALERTS_AT_ONCE) {
        let mut tx = store.begin(&caller.scope).await?;
        hold_project(&mut tx, project).await?;
        import.part(&mut tx, project, part, is_dry_run).await?;
        if !is_dry_run {
            tx.commit().await?;
        }
    }
    if import.used.len() < statements.len() {
        let mut tx = store.begin(&caller.scope).await?;
        import.fixed(&mut tx, project).await?;
        tx.commit().await?;
    }
    let unused = statements.iter().filter(|one| !import.used.contains(&one.number));
    let unused: Vec<&VexStatement> = unused.collect();
    let mut outcome = import.outcome;
    outcome.unmatched = u32::try_from(unused.len()).unwrap_or(u32::MAX);
    let places = unused.into_iter().take(NAMED_MAX).map(|one| one.place.clone());
    outcome.unmatched_places = places.collect();
    Ok(outcome)
}

/// Joins the advisories that are of one flaw, as the document tells.
fn join_named(groups: &mut Groups, statements: &[VexStatement]) -> Result<(), FlowError> {
    for statement in statements {
        let named = aliases::named_in(statement.advisories.iter().map(String::as_str));
        groups.join(aliases::told(&named)).map_err(too_many)?;
    }
    Ok(())
}

/// Joins the advisories that are of one flaw, as the findings of these alerts tell.
async fn join_found(
    groups: &mut Groups,
    tx: &mut TenantTx,
    project: ProjectId,
    packages: &[PackageAlert],
) -> Result<(), FlowError> {
    for part in packages.chunks(ALERTS_AT_ONCE) {
        for finding in alerts::findings(tx, project, part).await?.values() {
            groups
                .join(aliases::told(&aliases::named(finding)))
                .map_err(too_many)?;
        }
    }
    Ok(())
}

fn too_many(error: impl std::error::Error + Send + Sync + 'static) -> FlowError {
    FlowError::fault("grouping advisories", error)
}

/// An import under way.
struct Import<'a> {
    groups: Groups,
    index: Index<'a>,
    /// The numbers of statements that are about an alert, in the end also a fixed one.
    used: BTreeSet<usize>,
    outcome: VexOutcome,
}

impl<'a> Import<'a> {
    /// Some alerts of the project, which is held.
    async fn part(
        &mut self,
        tx: &mut TenantTx,
        project: ProjectId,
        part: &[PackageAlert],
        is_dry_run: bool,
    ) -> Result<(), FlowError> {
        let findings = alerts::findings(tx, project, part).await?;
        let about = part.iter().filter_map(|(alert, content)| {
            let statement = self.statement(findings.get(content)?)?;
            Some((*alert, statement))
        });
        let about: HashMap<AlertId, &'a VexStatement> = about.collect();
        self.used.extend(about.values().map(|statement| statement.number));
        self.outcome.matched += u32::try_from(about.len()).unwrap_or(u32::MAX);
        let ids: BTreeSet<AlertId> = about.keys().copied().collect();
        let listed: Vec<AlertId> = ids.iter().copied().collect();
        let decided = alerts::decided_at(tx, &listed).await?;
        let (standings, moment) = triage::read(tx, project, &ids, alerts::ACTOR).await?;
        let wishes: Vec<(&Standing, Option<Decision>)> = standings
            .iter()
            .map(|alert| (alert, decision(about[&alert.id], alert, moment.at)))
            .collect();
        let comments = wishes.iter().filter_map(|(alert, wish)| match wish {
            Some(Decision::Comment(text)) => Some((alert.id, text.clone())),
            _ => None,
        });
        let said = alerts::said_already(tx, &comments.collect::<Vec<_>>()).await?;
        let mut changes = Vec::new();
        for (alert, wish) in wishes {
            let is_said = said.contains(&alert.id);
            let wish = wish.filter(|wish| !(is_said && matches!(wish, Decision::Comment(_))));
            let change = wish.and_then(|wish| Some((wish.on(alert, moment)?, wish)));
            let decided = decided.get(&alert.id).copied();
            changes.extend(self.counted(change, about[&alert.id].at, decided));
        }
        if !is_dry_run {
            triage::write(tx, project, moment, &changes).await?;
        }
        Ok(())
    }

    /// Counts the statements that are about alerts that are fixed, and about no other: nothing is to be decided there.
    async fn fixed(&mut self, tx: &mut TenantTx, project: ProjectId) -> Result<(), FlowError> {
        let packages = alerts::package_alerts(tx, project, alerts::FIXED).await?;
        join_found(&mut self.groups, tx, project, &packages).await?;
        let mut about = BTreeSet::new();
        for part in packages.chunks(ALERTS_AT_ONCE) {
            let findings = alerts::findings(tx, project, part).await?;
            let statements = findings.values().filter_map(|finding| self.statement(finding));
            about.extend(statements.map(|statement| statement.number));
        }
        let alone = about.difference(&self.used).count();
        self.outcome.fixed = u32::try_from(alone).unwrap_or(u32::MAX);
        self.used.extend(about);
        Ok(())
    }

    /// The statement that counts for a finding about a package.
    fn statement(&self, finding: &Finding) -> Option<&'a VexStatement> {
        let package = Package::of(finding)?;
        let mut ids: Vec<&str> = advisories(finding);
        ids.push(&finding.rule_id);
        let named: Vec<Advisory> = aliases::named(finding);
        // one that names several flaws speaks of each, and the others' names are not its own
        let others = named.iter().flat_map(|id| self.groups.members(id));
        ids.extend(others.map(Advisory::as_str));
        self.index.latest(&package.url, &ids)
    }

    /// Counts what becomes of an alert, and answers what is to be written.
    fn counted(
        &mut self,
        change: Option<(Change, Decision)>,
        said_at: Option<DateTime<Utc>>,
        decided_at: Option<DateTime<Utc>>,
    ) -> Option<Change> {
        let Some((change, decision)) = change else {
            self.outcome.unchanged += 1;
            return None;
        };
        // what says nothing of its time is not later than a person
        let is_later = decided_at.is_none_or(|decided| said_at.is_some_and(|said| said > decided));
        if !is_later && !matches!(decision, Decision::Comment(_)) {
            self.outcome.kept += 1;
            return None;
        }
        match decision {
            Decision::Dismiss { .. } => self.outcome.dismissed += 1,
            Decision::Reopen { .. } => self.outcome.reopened += 1,
            _ => self.outcome.commented += 1,
        }
        Some(change)
    }
}

/// What a statement makes of an alert; none where it asks nothing of it.
fn decision(statement: &VexStatement, alert: &Standing, now: DateTime<Utc>) -> Option<Decision> {
    let bounded = |text: &String| text.chars().take(COMMENT_CHARACTERS_MAX).collect::<String>();
    match statement.request() {
        Request::Nothing => None,
        Request::Open if alert.state == AlertState::Dismissed => Some(Decision::Reopen {
            comment: statement.text.as_ref().map(bounded),
        }),
        Request::Open => statement
            .text
            .as_ref()
            .filter(|_| statement.status == Status::Affected)
            .map(|text| Decision::Comment(bounded(text))),
        Request::Dismiss(asked) => {
            let until = asked
                .until
                .filter(|_| asked.reason == DismissalReason::AcceptedRisk);
            // an acceptance that is over accepts nothing
            let until = end(asked.reason, until, now).ok()?;
            Some(Decision::Dismiss {
                reason: asked.reason,
                comment: asked.comment.as_ref().map(bounded),
                until,
            })
        }
    }
}

async fn note(
    tx: &mut TenantTx,
    caller: &Caller,
    project: ProjectId,
    statements: usize,
) -> Result<(), FlowError> {
    let entry = audit::Entry {
        token: Some(caller.token),
        action: "vex.imported",
        resource_type: "project",
        resource_id: Some(&project.to_string()),
        metadata: json!({ "statements": statements }),
    };
    Ok(audit::record(tx, &entry).await?)
}
