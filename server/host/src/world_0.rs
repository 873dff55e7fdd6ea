//! World 0.1 in the words of world 1.0: every value is moved, nothing is decided.

use crate::bindings::v0;
use crate::bindings::v1::{host, plugin, types};

/// Enums that say the same in both worlds.
macro_rules! same_cases {
    ($($from:path => $to:path { $($case:ident),* })*) => {$(
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                match from { $(<$from>::$case => Self::$case),* }
            }
        }
    )*};
}

same_cases! {
    v0::types::Severity => types::Severity { Info, Low, Medium, High, Critical }
    v0::types::Confidence => types::Confidence { Unknown, Low, Medium, High }
    v0::types::LogLevel => types::LogLevel { Debug, Info, Warn, Error }
    v0::plugin::Completeness => plugin::Completeness { Complete, Truncated, Partial }
    host::IoError => v0::host::IoError { Closed, OverLimit, Unavailable }
}

/// Records whose every field says the same in both worlds; `into` converts each.
macro_rules! same_fields {
    ($($from:path => $to:path { $($field:ident),* })*) => {$(
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                Self { $($field: from.$field.into_world_1()),* }
            }
        }
    )*};
}

same_fields! {
    v0::types::Position => types::Position { line, column }
    v0::types::FileLocation => types::FileLocation { path, start, end, snippet }
    v0::types::UrlLocation => types::UrlLocation { url, method, parameter, evidence }
    v0::types::NetworkEndpoint => types::NetworkEndpoint { host, port, protocol }
    v0::types::DomainName => types::DomainName { name, record_type }
    v0::types::PacketFlow => types::PacketFlow { source, destination, packet }
    v0::types::ArtifactMeta => types::ArtifactMeta { name, media_type, kind }
    v0::types::Diagnostic => types::Diagnostic { level, code, message, at }
    v0::plugin::Format => plugin::Format { name, tools }
    v0::plugin::ToolOutput => plugin::ToolOutput { name, media_type }
    v0::plugin::ToolRun => plugin::ToolRun { tool, args, outputs }
}

/// `Into`, through options and lists, too.
trait IntoWorld1<T> {
    fn into_world_1(self) -> T;
}

macro_rules! as_it_is {
    ($($kind:ty),*) => {$(
        impl IntoWorld1<$kind> for $kind {
            fn into_world_1(self) -> $kind {
                self
            }
        }
    )*};
}

as_it_is!(u32, String, Option<u32>, Option<String>, Vec<String>);

macro_rules! by_from {
    ($($from:path => $to:path),*) => {$(
        impl IntoWorld1<$to> for $from {
            fn into_world_1(self) -> $to {
                self.into()
            }
        }

        impl IntoWorld1<Option<$to>> for Option<$from> {
            fn into_world_1(self) -> Option<$to> {
                self.map(Into::into)
            }
        }

        impl IntoWorld1<Vec<$to>> for Vec<$from> {
            fn into_world_1(self) -> Vec<$to> {
                self.into_iter().map(Into::into).collect()
            }
        }
    )*};
}

by_from!(
    v0::types::Position => types::Position,
    v0::types::NetworkEndpoint => types::NetworkEndpoint,
    v0::types::Location => types::Location,
    v0::types::LogLevel => types::LogLevel,
    v0::types::Span => types::Span,
    v0::plugin::Format => plugin::Format,
    v0::plugin::ToolOutput => plugin::ToolOutput
);

impl From<v0::types::Location> for types::Location {
    fn from(from: v0::types::Location) -> Self {
        match from {
            v0::types::Location::File(it) => Self::File(it.into()),
            v0::types::Location::Url(it) => Self::Url(it.into()),
            v0::types::Location::Endpoint(it) => Self::Endpoint(it.into()),
            v0::types::Location::Domain(it) => Self::Domain(it.into()),
            v0::types::Location::Flow(it) => Self::Flow(it.into()),
        }
    }
}

/// World 0.1 could not name the input: of several it was the first more often than not.
impl From<v0::types::Span> for types::Span {
    fn from(from: v0::types::Span) -> Self {
        Self {
            input: 0,
            offset: from.offset,
            length: from.length,
        }
    }
}

impl From<v0::types::Finding> for types::Finding {
    fn from(from: v0::types::Finding) -> Self {
        Self {
            tool: from.tool,
            rule_id: from.rule_id,
            rule_name: from.rule_name,
            title: from.title,
            message: from.message,
            severity: from.severity.into(),
            severity_raw: from.severity_raw,
            confidence: from.confidence.into(),
            category: from.category,
            locations: from.locations.into_world_1(),
            cwe: from.cwe,
            cve: from.cve,
            cvss_vector: from.cvss_vector,
            references: from.references,
            tags: from.tags,
            remediation: from.remediation,
            fix: None,
            suppressions: Vec::new(),
            code_flow: Vec::new(),
            tool_fingerprint: from.tool_fingerprint,
            origin: from.origin.into_world_1(),
            extra: from.extra,
        }
    }
}

impl From<v0::plugin::Description> for plugin::Description {
    fn from(from: v0::plugin::Description) -> Self {
        Self {
            name: from.name,
            version: from.version,
            scan_type: from.scan_type,
            formats: from.formats.into_world_1(),
            options_schema: from.options_schema,
            capabilities: Vec::new(),
        }
    }
}

/// The other way: world 0.1 plans without addresses.
impl From<&plugin::ScanRequest> for v0::plugin::ScanRequest {
    fn from(from: &plugin::ScanRequest) -> Self {
        Self {
            target_kind: from.target_kind.clone(),
            target: from.target.clone(),
            options: from.options.clone(),
        }
    }
}

impl From<v0::plugin::PlanError> for plugin::PlanError {
    fn from(from: v0::plugin::PlanError) -> Self {
        match from {
            v0::plugin::PlanError::BadOptions(message) => Self::BadOptions(message),
            v0::plugin::PlanError::Unsupported(message) => Self::Unsupported(message),
        }
    }
}

/// World 0.1 did not tell what its tool had looked at.
impl From<v0::plugin::Outcome> for plugin::Outcome {
    fn from(from: v0::plugin::Outcome) -> Self {
        Self {
            completeness: from.completeness.into(),
            coverage: plugin::Coverage::Unknown,
            format: from.format,
            tool: from.tool,
            tool_version: from.tool_version,
            records: from.records,
            findings: from.findings,
            skipped: from.skipped,
        }
    }
}
