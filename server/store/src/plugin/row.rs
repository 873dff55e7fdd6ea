//! The row of a plugin, read in one place for tenants and the operator.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use tamiz_core::plugin::{
    Capability, ComponentDigest, LimitSet, PluginLimit, PluginSource, PluginState, Precedence,
};
use tamiz_core::{PluginId, ScanType, TenantId};
use uuid::Uuid;

use super::PLUGINS_READ_MAX;
use crate::error::{StoreError, word};

/// A plugin that is installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstalledPlugin {
    /// Its id; the same bytes have one id per tenant, and one for the platform.
    pub id: PluginId,
    /// Whose it is; `None` is everybody's.
    pub tenant: Option<TenantId>,
    /// What it calls itself.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// Its bytes.
    pub sha256: ComponentDigest,
    /// How many they are.
    pub size_bytes: u64,
    /// The contract's version that it was built against.
    pub world: String,
    /// What it scans.
    pub scan_type: ScanType,
    /// What it reads.
    pub formats: Vec<PluginFormat>,
    /// The JSON Schema of its options.
    pub options_schema: Value,
    /// What it wants beyond conversion; open words.
    pub wanted: Vec<String>,
    /// What an operator granted of that.
    pub granted: Vec<Capability>,
    /// How it came.
    pub source: PluginSource,
    /// The file or reference that it came from.
    pub origin: String,
    /// The key that its signature was checked with.
    pub signed_by: Option<String>,
    /// Whether it serves.
    pub state: PluginState,
    /// Since when.
    pub installed_at: DateTime<Utc>,
    /// Its own limits; the plan's and the platform's hold besides.
    pub limits: LimitSet,
    /// The transaction's tenant chose it for its scan type.
    pub chosen_by_tenant: bool,
    /// The operator chose it for everybody.
    pub chosen_by_platform: bool,
}

/// One format that a plugin reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFormat {
    /// A plain word such as `semgrep-json`.
    pub name: String,
    /// The tools that write it.
    pub tools: Vec<String>,
}

impl InstalledPlugin {
    /// Where it stands among those of its scan type.
    pub const fn precedence(&self) -> Precedence {
        Precedence::of(self.source, self.chosen_by_tenant, self.chosen_by_platform)
    }

    /// The order of [`super::candidates`].
    pub(super) fn asked_before(one: &Self, other: &Self) -> Ordering {
        let by_class = one.precedence().cmp(&other.precedence());
        by_class.then_with(|| match one.precedence() {
            Precedence::Bundled => one.name.cmp(&other.name),
            _ => (one.installed_at, one.id).cmp(&(other.installed_at, other.id)),
        })
    }
}

/// Which rows; what is not said does not matter. What is said is asked of the database, so that
/// [`PLUGINS_READ_MAX`] cuts what is wanted and not what is passed over.
pub(super) struct Wanted<'a> {
    pub(super) owner: Owner,
    pub(super) ids: Option<&'a [Uuid]>,
    pub(super) digests: Option<&'a [Vec<u8>]>,
    pub(super) scan_type: Option<&'a ScanType>,
    pub(super) name: Option<&'a str>,
    pub(super) names: Option<&'a [String]>,
    pub(super) meant: Option<Meant<'a>>,
    pub(super) source: Option<PluginSource>,
    pub(super) state: Option<PluginState>,
    /// Those that are retired are not wanted.
    pub(super) not_retired: bool,
    pub(super) older_than: Option<PluginId>,
    pub(super) newer_than: Option<PluginId>,
    /// Else the newest come first.
    pub(super) oldest_first: bool,
    pub(super) rows_max: i64,
}

/// Whose plugins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// Of all that the reader sees.
    Any,
    /// The platform's alone, or one tenant's alone.
    Only(Option<TenantId>),
}

/// Plugins as people name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meant<'a> {
    /// `NAME` or `NAME@VERSION`.
    pub(super) name: &'a str,
    /// The beginning of an id or digest, in small letters.
    pub(super) prefix: Option<&'a str>,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            owner: Owner::Any,
            ids: None,
            digests: None,
            scan_type: None,
            name: None,
            names: None,
            meant: None,
            source: None,
            state: None,
            not_retired: false,
            older_than: None,
            newer_than: None,
            oldest_first: false,
            rows_max: PLUGINS_READ_MAX,
        }
    }
}

/// The rows, newest first if nothing else is wanted. `tenant` sees its own and the platform's; none is the operator, who sees all.
pub(super) async fn read(
    connection: &mut PgConnection,
    tenant: Option<Uuid>,
    wanted: &Wanted<'_>,
) -> Result<Vec<InstalledPlugin>, StoreError> {
    let (by_owner, tenant_id) = match wanted.owner {
        Owner::Any => (false, None),
        Owner::Only(owner) => (true, owner),
    };
    let rows = sqlx::query_as!(
        Row,
        r#"
        select p.id, p.tenant_id, p.name, p.version, p.sha256, p.size_bytes, p.world, p.scan_type,
               p.formats, p.options_schema, p.capabilities, p.source, p.origin, p.signed_by, p.state,
               p.installed_at, p.memory_bytes, p.deadline_seconds, p.findings_max, p.finding_bytes_max,
               p.artifact_bytes_max, p.log_lines_max, p.instances_max,
               array(select g.capability from control.plugin_grant g
                     where g.plugin_id = p.id order by g.capability) as "granted!",
               exists (select from control.plugin_choice c
                       where c.plugin_id = p.id and c.tenant_id = $1) as "chosen_by_tenant!",
               exists (select from control.plugin_choice c
                       where c.plugin_id = p.id and c.tenant_id is null) as "chosen_by_platform!"
        from control.plugin p
        where ($1::uuid is null or p.tenant_id is null or p.tenant_id = $1)
          and ($2::uuid[] is null or p.id = any($2))
          and ($3::bytea[] is null or p.sha256 = any($3))
          and ($4::text is null or p.scan_type = $4)
          and ($5::text is null or p.state = $5)
          and ($6::uuid is null or p.id < $6)
          and (not $8::boolean or p.tenant_id is not distinct from $9::uuid)
          and ($10::text is null or p.name = $10)
          and ($11::text is null or p.source = $11)
          and (not $12::boolean or p.state <> 'retired')
          and ($13::text is null or p.name = $13 or p.name || '@' || p.version = $13
               or starts_with(p.id::text, $14::text) or starts_with(encode(p.sha256, 'hex'), $14))
          and ($15::uuid is null or p.id > $15)
          and ($17::text[] is null or p.name = any($17))
        order by case when $16 then p.id end, p.id desc limit $7
        "#,
        tenant,
        wanted.ids,
        wanted.digests,
        wanted.scan_type.map(ScanType::as_str),
        wanted.state.map(PluginState::as_str),
        wanted.older_than.map(PluginId::uuid),
        wanted.rows_max,
        by_owner,
        tenant_id.map(TenantId::uuid),
        wanted.name,
        wanted.source.map(PluginSource::as_str),
        wanted.not_retired,
        wanted.meant.map(|meant| meant.name),
        wanted.meant.and_then(|meant| meant.prefix),
        wanted.newer_than.map(PluginId::uuid),
        wanted.oldest_first,
        wanted.names
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(InstalledPlugin::try_from).collect()
}

struct Row {
    id: Uuid,
    tenant_id: Option<Uuid>,
    name: String,
    version: String,
    sha256: Vec<u8>,
    size_bytes: i64,
    world: String,
    scan_type: String,
    formats: Value,
    options_schema: Value,
    capabilities: Vec<String>,
    source: String,
    origin: String,
    signed_by: Option<String>,
    state: String,
    installed_at: DateTime<Utc>,
    memory_bytes: Option<i64>,
    deadline_seconds: Option<i64>,
    findings_max: Option<i64>,
    finding_bytes_max: Option<i64>,
    artifact_bytes_max: Option<i64>,
    log_lines_max: Option<i64>,
    instances_max: Option<i64>,
    granted: Vec<String>,
    chosen_by_tenant: bool,
    chosen_by_platform: bool,
}

impl TryFrom<Row> for InstalledPlugin {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let limits = LimitColumns {
            memory_bytes: row.memory_bytes,
            deadline_seconds: row.deadline_seconds,
            findings_max: row.findings_max,
            finding_bytes_max: row.finding_bytes_max,
            artifact_bytes_max: row.artifact_bytes_max,
            log_lines_max: row.log_lines_max,
            instances_max: row.instances_max,
        };
        let granted: Result<Vec<Capability>, StoreError> =
            row.granted.iter().map(|text| word("capability", text)).collect();
        Ok(Self {
            id: row.id.into(),
            tenant: row.tenant_id.map(TenantId::from),
            name: row.name,
            version: row.version,
            sha256: digest(&row.sha256)?,
            size_bytes: row.size_bytes.unsigned_abs(),
            world: row.world,
            scan_type: scan_type(&row.scan_type)?,
            formats: serde_json::from_value(row.formats)
                .map_err(|error| StoreError::unreadable("list of formats", &error.to_string()))?,
            options_schema: row.options_schema,
            wanted: row.capabilities,
            granted: granted?,
            source: word("plugin source", &row.source)?,
            origin: row.origin,
            signed_by: row.signed_by,
            state: word("plugin state", &row.state)?,
            installed_at: row.installed_at,
            limits: limits.into(),
            chosen_by_tenant: row.chosen_by_tenant,
            chosen_by_platform: row.chosen_by_platform,
        })
    }
}

/// The limits as their columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitColumns {
    pub(crate) memory_bytes: Option<i64>,
    pub(crate) deadline_seconds: Option<i64>,
    pub(crate) findings_max: Option<i64>,
    pub(crate) finding_bytes_max: Option<i64>,
    pub(crate) artifact_bytes_max: Option<i64>,
    pub(crate) log_lines_max: Option<i64>,
    pub(crate) instances_max: Option<i64>,
}

impl From<LimitColumns> for LimitSet {
    fn from(columns: LimitColumns) -> Self {
        let said = |value: Option<i64>| value.map(i64::unsigned_abs);
        Self::NONE
            .with(PluginLimit::MemoryBytes, said(columns.memory_bytes))
            .with(PluginLimit::DeadlineSeconds, said(columns.deadline_seconds))
            .with(PluginLimit::FindingsMax, said(columns.findings_max))
            .with(PluginLimit::FindingBytesMax, said(columns.finding_bytes_max))
            .with(PluginLimit::ArtifactBytesMax, said(columns.artifact_bytes_max))
            .with(PluginLimit::LogLinesMax, said(columns.log_lines_max))
            .with(PluginLimit::InstancesMax, said(columns.instances_max))
    }
}

impl From<LimitSet> for LimitColumns {
    fn from(set: LimitSet) -> Self {
        // what is beyond the column's range is no limit that anything could reach
        let column = |limit| {
            set.get(limit)
                .map(|value| i64::try_from(value).unwrap_or(i64::MAX))
        };
        Self {
            memory_bytes: column(PluginLimit::MemoryBytes),
            deadline_seconds: column(PluginLimit::DeadlineSeconds),
            findings_max: column(PluginLimit::FindingsMax),
            finding_bytes_max: column(PluginLimit::FindingBytesMax),
            artifact_bytes_max: column(PluginLimit::ArtifactBytesMax),
            log_lines_max: column(PluginLimit::LogLinesMax),
            instances_max: column(PluginLimit::InstancesMax),
        }
    }
}

pub(super) fn scan_type(text: &str) -> Result<ScanType, StoreError> {
    ScanType::parse(text).map_err(|_| StoreError::unreadable("scan type", text))
}

pub(super) fn digest(bytes: &[u8]) -> Result<ComponentDigest, StoreError> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| StoreError::unreadable("digest", "another length"))?;
    Ok(bytes.into())
}
