//! Refusals: what was asked for cannot be, and the asker can do something about it.
//!
//! A refusal is data, not a fault: it has a stable code that programs may rely on and a sentence
//! for people that names the input, the rule it broke and the limit. Faults (a database that is
//! away) are other types and are opaque to clients.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quota::ReachedLimit;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// The stable codes. A code is never reused for another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RefusalCode { $($(#[$doc])* $name,)* }

        impl RefusalCode {
            /// All codes, for the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that clients see.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

codes! {
    /// The named thing does not exist in this tenant.
    NotFound = "NOT_FOUND",
    /// A value breaks a rule of its field.
    InvalidInput = "INVALID_INPUT",
    /// The name is taken.
    AlreadyExists = "ALREADY_EXISTS",
    /// The task's state does not allow this.
    WrongState = "WRONG_STATE",
    /// No plugin or worker serves this scan type.
    UnsupportedScanType = "UNSUPPORTED_SCAN_TYPE",
    /// The options do not fit the plugin's schema.
    BadOptions = "BAD_OPTIONS",
    /// The upload is larger than the tenant may send.
    UploadTooLarge = "UPLOAD_TOO_LARGE",
    /// The upload has no bytes.
    UploadEmpty = "UPLOAD_EMPTY",
    /// The caller's role does not allow this.
    NotAllowed = "NOT_ALLOWED",
    /// Too many rows asked for.
    PageTooLarge = "PAGE_TOO_LARGE",
    /// The answer would hold too many bytes.
    ResponseTooLarge = "RESPONSE_TOO_LARGE",
    /// A limit of the tenant or of its plan is reached; the refusal names it.
    QuotaExceeded = "QUOTA_EXCEEDED",
    /// The tenant has too many requests running; trying again later helps.
    TooManyAtOnce = "TOO_MANY_AT_ONCE",
    /// The cursor was not made by this list.
    BadCursor = "BAD_CURSOR",
    /// What came after the cursor is no longer there.
    CursorExpired = "CURSOR_EXPIRED",
    /// The target cannot be read, or breaks a rule of its kind.
    TargetInvalid = "TARGET_INVALID",
    /// The target's host has an address that may not be scanned.
    TargetForbidden = "TARGET_FORBIDDEN",
    /// The target's host has no address now.
    TargetUnresolved = "TARGET_UNRESOLVED",
    /// The target does not answer.
    TargetUnreachable = "TARGET_UNREACHABLE",
    /// The archive breaks a rule (escape, link, duplicate, bomb, …).
    ArchiveRefused = "ARCHIVE_REFUSED",
    /// No plugin recognises the report.
    ReportUnrecognized = "REPORT_UNRECOGNIZED",
    /// The report's envelope cannot be read, or none of its records.
    ReportCorrupt = "REPORT_CORRUPT",
    /// The report ends too early; what was readable is kept.
    ReportTruncated = "REPORT_TRUNCATED",
    /// The plugin overstepped a limit or trapped.
    PluginFailed = "PLUGIN_FAILED",
    /// The tool cannot use the rules that came with the task.
    RulesInvalid = "RULES_INVALID",
    /// The worker that has the task does not have the tool that its plugin planned with.
    ToolUnavailable = "TOOL_UNAVAILABLE",
    /// The tool ended in a way that means it did not run.
    ToolFailed = "TOOL_FAILED",
    /// The tool used up its time.
    ToolTimeout = "TOOL_TIMEOUT",
    /// The attempt used up the task's time.
    TaskTimeout = "TASK_TIMEOUT",
    /// The tool overstepped a limit of its box.
    ToolLimit = "TOOL_LIMIT",
    /// The worker of an attempt was silent for longer than its lease.
    AttemptLost = "ATTEMPT_LOST",
    /// The attempts are used up without a result.
    AttemptsExhausted = "ATTEMPTS_EXHAUSTED",
    /// The platform failed; it is not the input's fault.
    Internal = "INTERNAL",
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A typed "no" with a reason that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// One of [`RefusalCode`]'s words.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// The input field concerned, as a path such as `["input", "name"]`.
    pub path: Vec<String>,
    /// The tenant's limit that is reached, with [`RefusalCode::QuotaExceeded`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Box<ReachedLimit>>,
}

impl Refusal {
    /// A refusal that concerns no field in particular.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code.as_str()),
            message: message.into(),
            path: Vec::new(),
            limit: None,
        }
    }

    /// The same, about one input field.
    #[must_use]
    pub fn at(mut self, path: &[&str]) -> Self {
        self.path = path.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// `what` with `id` is not in this tenant (or at all: the two look alike).
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(RefusalCode::NotFound, format!("no {what} with id {id}"))
    }

    /// A value breaks `rule`.
    pub fn invalid(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(RefusalCode::InvalidInput, format!("{field}: {rule}")).at(&["input", field])
    }
}
