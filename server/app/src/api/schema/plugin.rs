//! Installed plugins: what each is, what it may do and use up, and which one serves.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::plugin::{Capability, LimitSet, PluginLimit};
use tamiz_core::{PluginRef, Refusal, ScanType};
use tamiz_store::plugin::{self, InstalledPlugin, PluginFilter};

use super::answer_bytes::paid;
use super::batch::grouped;
use super::connection::{Asked, Listed, connection, decode, encode};
use super::id::id_of;
use super::scalars::JsonOf;
use super::session::Session;
use super::words::BigInt;
use crate::api::errors::ApiError;

const ORDER: &str = "plugins";

/// Whether a plugin serves new tasks.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tamiz_core::plugin::PluginState")]
pub(crate) enum PluginState {
    /// It serves.
    Active,
    /// The operator switched it off: nothing runs with it.
    Disabled,
    /// A newer one of its name replaced it; tasks that were ordered before still run with it.
    Retired,
}

/// How a plugin came to the platform.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tamiz_core::plugin::PluginSource")]
pub(crate) enum PluginSource {
    /// With the server.
    Bundled,
    /// By the operator's command.
    Installed,
}

/// A report format that a plugin reads.
#[derive(SimpleObject)]
pub(crate) struct PluginFormat {
    /// A plain word such as `semgrep-json`.
    name: String,
    /// The tools that write it.
    tools: Vec<String>,
}

/// What one run of a plugin for your tenant may use up: the smallest of what the platform, your plan and
/// the operator say.
#[derive(SimpleObject)]
pub(crate) struct PluginLimits {
    /// All of its memory.
    memory_bytes: BigInt,
    /// From its start to its end.
    deadline_seconds: BigInt,
    /// Findings that it emits.
    findings: BigInt,
    /// Their text together.
    finding_bytes: BigInt,
    /// All artifacts together.
    artifact_bytes: BigInt,
    /// Lines that it logs.
    log_lines: BigInt,
    /// Runs at a time in one worker process; null when only the worker's slots are the limit.
    instances: Option<BigInt>,
}

impl PluginLimits {
    fn of(set: &LimitSet) -> Self {
        let said = |limit| set.get(limit).map(BigInt::from);
        // the platform says all but one
        let most = |limit| said(limit).unwrap_or(BigInt(i64::MAX));
        Self {
            memory_bytes: most(PluginLimit::MemoryBytes),
            deadline_seconds: most(PluginLimit::DeadlineSeconds),
            findings: most(PluginLimit::FindingsMax),
            finding_bytes: most(PluginLimit::FindingBytesMax),
            artifact_bytes: most(PluginLimit::ArtifactBytesMax),
            log_lines: most(PluginLimit::LogLinesMax),
            instances: said(PluginLimit::InstancesMax),
        }
    }
}

/// One version of a plugin, installed for everybody or for your tenant alone.
#[derive(Clone)]
pub(crate) struct Plugin(pub(super) Arc<InstalledPlugin>);

/// One version of a plugin, installed for everybody or for your tenant alone.
#[Object]
impl Plugin {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// What it calls itself.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Its version, in its own words.
    async fn version(&self) -> &str {
        &self.0.version
    }

    /// Of its component, in hexadecimal.
    async fn sha256(&self) -> String {
        self.0.sha256.to_string()
    }

    /// Of its component.
    async fn size_bytes(&self) -> BigInt {
        self.0.size_bytes.into()
    }

    /// Which scans it serves.
    async fn scan_type(&self) -> &str {
        self.0.scan_type.as_str()
    }

    /// The version of the contract that it was built for, such as `1.0`.
    async fn world(&self) -> &str {
        &self.0.world
    }

    /// What it reads.
    async fn formats(&self) -> Vec<PluginFormat> {
        let format = |format: &plugin::PluginFormat| PluginFormat {
            name: format.name.clone(),
            tools: format.tools.clone(),
        };
        self.0.formats.iter().map(format).collect()
    }

    /// The JSON Schema of its options.
    fn options_schema(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.options_schema).map(JsonOf)
    }

    /// What it wants beyond conversion: `network`, `clock`, `randomness`.
    async fn capabilities_wanted(&self) -> &[String] {
        &self.0.wanted
    }

    /// What of that the operator granted; it has nothing else.
    async fn capabilities_granted(&self) -> Vec<&str> {
        self.0.granted.iter().copied().map(Capability::as_str).collect()
    }

    /// Whether it serves new tasks.
    async fn state(&self) -> PluginState {
        self.0.state.into()
    }

    /// How it came to the platform.
    async fn source(&self) -> PluginSource {
        self.0.source.into()
    }

    /// The key that its signature was checked with; null when nobody checked one.
    async fn signed_by(&self) -> Option<&str> {
        self.0.signed_by.as_deref()
    }

    /// Since when.
    async fn installed_at(&self) -> DateTime<Utc> {
        self.0.installed_at
    }

    /// What one run of it may use up.
    async fn limits(&self, context: &Context<'_>) -> Result<PluginLimits, ApiError> {
        let session = Session::of(context)?;
        let plan = session.plan_limits().await?;
        let set = session.state.plugin_limits.tightest(plan);
        Ok(PluginLimits::of(&set.tightest(self.0.limits)))
    }

    /// All installed versions of its name that you see, itself among them, newest first. Names are anybody's choice: look
    /// at `isOwn` and `source` for whose each is.
    async fn versions(&self, context: &Context<'_>) -> Result<Vec<Plugin>, ApiError> {
        let session = Session::of(context)?;
        let fetch = async |names: Vec<String>| {
            let rows = session
                .read(|tx| Box::pin(async move { plugin::by_names(tx, &names).await }))
                .await?;
            Ok(grouped(rows.into_iter().map(|row| (row.name.clone(), row))))
        };
        let versions = session
            .batches()
            .plugin_versions
            .load(self.0.name.clone(), fetch)
            .await?;
        let versions = versions.unwrap_or_default();
        Ok(versions.iter().cloned().map(Plugin).collect())
    }

    /// Your tenant chose it for its scan type.
    async fn is_chosen(&self) -> bool {
        self.0.chosen_by_tenant
    }

    /// The operator chose it for everybody who does not choose.
    async fn is_default(&self) -> bool {
        self.0.chosen_by_platform
    }

    /// It is your tenant's alone.
    async fn is_own(&self) -> bool {
        self.0.tenant.is_some()
    }
}

/// The plugin of one task, as the task remembers it.
pub(crate) struct TaskPlugin {
    pub(super) plugin: PluginRef,
    pub(super) has_run: bool,
}

/// The plugin of one task, as the task remembers it.
#[Object]
impl TaskPlugin {
    /// Of the installed plugin, a UUID.
    async fn id(&self) -> ID {
        id_of(self.plugin.id)
    }

    /// What it calls itself.
    async fn name(&self) -> &str {
        &self.plugin.name
    }

    /// Its version, in its own words.
    async fn version(&self) -> &str {
        &self.plugin.version
    }

    /// Of its component, in hexadecimal.
    async fn sha256(&self) -> String {
        self.plugin.sha256.to_string()
    }

    /// The version of the contract that it was built for.
    async fn world(&self) -> &str {
        &self.plugin.world
    }

    /// Whether it read the report; else it is the one that is asked first.
    async fn has_run(&self) -> bool {
        self.has_run
    }

    /// The installed plugin; null when it is there no more.
    async fn installed(&self, context: &Context<'_>) -> Result<Option<Plugin>, ApiError> {
        Ok(Session::of(context)?.plugin(self.plugin.id).await?.map(Plugin))
    }
}

/// How `totalCount` of plugins is found.
pub(super) struct PluginsCount(PluginFilter);

impl PluginsCount {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        let filter = self.0.clone();
        session
            .read(|tx| Box::pin(async move { plugin::count(tx, &filter).await }))
            .await
    }
}

connection!(
    /// A page of plugins.
    PluginConnection, PluginEdge, Plugin,
    /// Cheap: plugins are few.
    PluginsCount
);

impl PluginConnection {
    pub(super) async fn page(
        session: &Session,
        scan_type: Option<&str>,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let scan_type = scan_type
            .map(ScanType::parse)
            .transpose()
            .map_err(|error| Refusal::invalid("scanType", error).at(&["scanType"]))?;
        let filter = PluginFilter {
            scan_type,
            state: None,
        };
        let wanted = filter.clone();
        let page = session
            .read(|tx| Box::pin(async move { plugin::visible(tx, &wanted, window).await }))
            .await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| Plugin(Arc::new(row)),
                |node: &Plugin| encode(ORDER, node.0.id),
            ),
            counted: PluginsCount(filter),
        })
    }
}
