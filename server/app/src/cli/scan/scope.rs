//! What a scan is compared with: the earlier one of the same branch, environment and category.

use clap::Args;
use serde::Serialize;

/// A scan finds gone what an earlier one of the same saw. As `ScopeInput`, whose defaults the server knows.
#[derive(Debug, Args, Serialize, Clone, PartialEq, Eq, Default)]
#[command(next_help_heading = "Which earlier scans it is compared with")]
pub(super) struct ScopeArgs {
    /// The branch of the source code
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) branch: Option<String>,
    /// Where it runs, such as staging
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<String>,
    /// What tells apart scans of parts of one project, such as folders or images; the same one each time
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<String>,
}
