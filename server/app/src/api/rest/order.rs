//! A task that a request asks for, made once however often the request is sent.
//!
//! What was received is carried out apart from its request: whoever hangs up then loses nothing.

use std::future::Future;

use chrono::Utc;
use serde_json::{Map, Value};
use tamiz_core::scope::ScopeLabels;
use tamiz_core::{Profile, ProjectId, RefusalCode, UploadId};
use tamiz_store::project::Project;
use tamiz_store::task::{Source, Task};
use tamiz_store::token::Caller;
use tamiz_store::upload;
use tracing::Instrument as _;

use super::Rest;
use super::fields::{Fields, invalid};
use super::place::Place;
use super::repeat::{Key, reused};
use crate::api::errors::log_fault;
use crate::api::intake::Receiving;
use crate::api::refused::{Refused, unreached};
use crate::flow::FlowError;
use crate::flow::accept_upload::UploadLabel;
use crate::flow::start_scan::{
    OrderTerms, Rules, ScanOrder, Started, Subject, check_rules, is_served, start_scan,
};

/// What is asked for, but for where it belongs and what it is of.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    scan_type: String,
    pub(super) labels: ScopeLabels,
    pub(super) commit: Option<String>,
    profile: Option<Profile>,
    options: Map<String, Value>,
    priority: i16,
}

impl Wishes {
    /// As fields say it.
    pub(super) fn of(fields: &Fields, scan_type: &str) -> Result<Self, Refused> {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        let options = fields.text("options").map(|text| {
            let rule = |_| invalid("options", "must be a JSON object");
            serde_json::from_str(text).map_err(rule)
        });
        let priority = fields.parsed::<i16>("priority", "must be a whole number")?;
        Ok(Self {
            scan_type: scan_type.to_owned(),
            labels: ScopeLabels {
                branch: text("branch"),
                environment: text("environment"),
                category: text("category"),
            },
            commit: fields.text("commit").map(|commit| commit.trim().to_owned()),
            profile: fields.text("profile").map(profile).transpose()?,
            options: options.transpose()?.unwrap_or_default(),
            priority: priority.unwrap_or(0),
        })
    }

    /// Refuses what can be refused before anything is stored or made for it.
    pub(super) async fn judge(&self, rest: &Rest, caller: &Caller) -> Result<(), Refused> {
        // neither which project nor which upload is looked at
        let order = self.order(ProjectId::fresh(), None, Subject::Upload(UploadId::fresh()));
        rest.noted(caller, check_rules(&order)).await?;
        check_served(rest, caller, &self.scan_type).await
    }

    fn order(&self, project: ProjectId, key: Option<Key>, subject: Subject) -> ScanOrder {
        let wishes = self.clone();
        ScanOrder {
            id: key.map(|key| key.id(Utc::now())),
            project,
            scan_type: wishes.scan_type,
            subject,
            labels: wishes.labels,
            commit: wishes.commit,
            rules: None,
            options: wishes.options,
            profile: wishes.profile,
            priority: wishes.priority,
            terms: OrderTerms::default(),
        }
    }
}

/// The same in its project.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) project: Project,
    pub(super) wishes: Wishes,
}

impl Wanted {
    /// As fields say it. The project is made, if that is asked for, once all else can be read and is served.
    pub(super) async fn of(
        fields: &Fields,
        scan_type: &str,
        rest: &Rest,
        caller: &Caller,
    ) -> Result<Self, Refused> {
        let wishes = Wishes::of(fields, scan_type)?;
        wishes.judge(rest, caller).await?;
        let project = Place::of(fields)?.find(rest, caller).await?;
        Ok(Self { project, wishes })
    }

    fn order(&self, key: Option<Key>, subject: Subject) -> ScanOrder {
        self.wishes.order(self.project.id, key, subject)
    }
}

/// Refuses what nothing serves before anything is stored or made for it.
pub(super) async fn check_served(rest: &Rest, caller: &Caller, scan_type: &str) -> Result<(), Refused> {
    let served = is_served(&rest.state.store, &caller.scope, scan_type).await;
    rest.noted(caller, served).await
}

/// The word of a profile, in any case.
pub(super) fn profile(word: &str) -> Result<Profile, Refused> {
    let word = Value::from(word.to_ascii_lowercase());
    serde_json::from_value(word).map_err(|_| invalid("profile", "must be quick, standard or deep"))
}

/// A file that was received, to be scanned or converted.
pub(super) struct Received {
    pub(super) bytes: Receiving,
    pub(super) file_name: String,
    pub(super) media_type: String,
    /// A report is converted, all else is scanned.
    pub(super) is_report: bool,
}

/// Stores the file and asks for its task, even if the client has gone meanwhile.
pub(super) async fn of_file(
    rest: &Rest,
    caller: &Caller,
    key: Option<Key>,
    wanted: Wanted,
    received: Received,
) -> Result<Started, Refused> {
    let (rest, caller) = (rest.clone(), caller.clone());
    apart(async move { stored_and_started(&rest, &caller, key, &wanted, received).await }).await
}

async fn stored_and_started(
    rest: &Rest,
    caller: &Caller,
    key: Option<Key>,
    wanted: &Wanted,
    received: Received,
) -> Result<Started, Refused> {
    let about = About::File {
        hash: received.bytes.hash(),
        is_report: received.is_report,
    };
    if let Some(key) = key
        && let Some(known) = key.task(rest, caller).await?
    {
        // which upload it would be is not known, and not compared
        let order = wanted.order(None, Subject::Upload(UploadId::fresh()));
        return again(rest, caller, &order, &about, known).await;
    }
    let label = UploadLabel {
        project: wanted.project.id,
        file_name: &received.file_name,
        media_type: &received.media_type,
    };
    let (upload, _) = received.bytes.accept(&label).await?;
    let subject = if received.is_report {
        Subject::Report(upload)
    } else {
        Subject::Upload(upload)
    };
    started(rest, caller, key, wanted.order(key, subject), &about).await
}

/// Asks for a task of something that is there already.
pub(super) async fn of_subject(
    rest: &Rest,
    caller: &Caller,
    key: Option<Key>,
    mut order: ScanOrder,
) -> Result<Started, Refused> {
    let (rest, caller) = (rest.clone(), caller.clone());
    apart(async move {
        let about = About::Subject(order.subject.clone());
        if let Some(key) = key {
            if let Some(known) = key.task(&rest, &caller).await? {
                return again(&rest, &caller, &order, &about, known).await;
            }
            order.id = Some(key.id(Utc::now()));
        }
        started(&rest, &caller, key, order, &about).await
    })
    .await
}

/// Goes on when its caller does not.
async fn apart(
    work: impl Future<Output = Result<Started, Refused>> + Send + 'static,
) -> Result<Started, Refused> {
    let done = tokio::spawn(work.in_current_span()).await;
    done.unwrap_or_else(|error| Err(Refused::internal(log_fault(&error))))
}

async fn started(
    rest: &Rest,
    caller: &Caller,
    key: Option<Key>,
    order: ScanOrder,
    about: &About,
) -> Result<Started, Refused> {
    let state = &rest.state;
    let rules = Rules {
        plugins: &state.plugins,
        targets: &state.targets,
    };
    let outcome = start_scan(&state.store, rules, caller, order.clone()).await;
    if let (Err(FlowError::Refused(refusal)), Some(key)) = (&outcome, key)
        && refusal.code == RefusalCode::AlreadyExists.as_str()
        && let Some(known) = key.task(rest, caller).await?
    {
        // the same request came twice at once
        return again(rest, caller, &order, about, known).await;
    }
    rest.noted(caller, outcome).await
}

/// What an order is of.
enum About {
    Subject(Subject),
    File { hash: [u8; 32], is_report: bool },
}

/// The task that a repeated request made, if it is the same request.
async fn again(
    rest: &Rest,
    caller: &Caller,
    order: &ScanOrder,
    about: &About,
    task: Task,
) -> Result<Started, Refused> {
    let is_same = is_order_of(&task, order)
        && match about {
            About::Subject(subject) => is_subject_of(&task.payload.source, subject),
            About::File { hash, is_report } => {
                let is_import = matches!(task.payload.source, Source::Report { .. });
                is_import == *is_report && is_file_of(rest, caller, &task, hash).await?
            }
        };
    if !is_same {
        return Err(reused());
    }
    Ok(Started { task, existing: true })
}

fn is_order_of(task: &Task, order: &ScanOrder) -> bool {
    let mut options = order.options.clone();
    if let Some(profile) = order.profile {
        options.insert("profile".to_owned(), profile.as_str().into());
    }
    let timeout = order.terms.timeout_seconds.map(u64::from);
    task.project_id == order.project
        && task.scan_type.as_str() == order.scan_type
        && task.payload.labels == order.labels
        && task.payload.commit == order.commit
        && task.payload.rules_upload_id == order.rules
        && task.payload.options == options
        && task.priority == order.priority
        && task.timeout.map(|timeout| timeout.as_secs()) == timeout
}

fn is_subject_of(source: &Source, subject: &Subject) -> bool {
    match (source, subject) {
        (Source::Tree { upload_id } | Source::Capture { upload_id }, Subject::Upload(id))
        | (Source::Report { upload_id }, Subject::Report(id)) => upload_id == id,
        (Source::Target { target }, Subject::Target(asked)) => target == asked,
        _ => false,
    }
}

/// Whether the task works on these bytes. Those that were deleted meanwhile cannot be told from others.
async fn is_file_of(rest: &Rest, caller: &Caller, task: &Task, hash: &[u8; 32]) -> Result<bool, Refused> {
    let Some(id) = task.payload.source.upload_id() else {
        return Ok(false);
    };
    let fault = |error| unreached(&error);
    let mut tx = rest.state.store.begin(&caller.scope).await.map_err(fault)?;
    let upload = upload::get(&mut tx, id).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    Ok(upload.is_none_or(|upload| upload.blob.hash == *hash))
}
