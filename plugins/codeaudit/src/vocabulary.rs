//! Semgrep's words in the platform's; what tools have in common is in [`tamiz_sdk::vocabulary`].

use tamiz_sdk::model::Severity;
pub(crate) use tamiz_sdk::vocabulary::{
    Label, SeverityTable, confidence, cwe, is_advisory, label, owasp, score_severity,
};

/// Semgrep's words, old and new.
pub(crate) const SEMGREP: SeverityTable = SeverityTable {
    tool: "semgrep, opengrep",
    words: &[
        ("ERROR", Severity::High),
        ("WARNING", Severity::Medium),
        ("INFO", Severity::Low),
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("INVENTORY", Severity::Info),
        ("EXPERIMENT", Severity::Info),
    ],
};

/// SARIF's levels; a `security-severity` beats them.
pub(crate) const SARIF: SeverityTable = SeverityTable {
    tool: "SARIF levels",
    words: &[
        ("error", Severity::High),
        ("warning", Severity::Medium),
        ("note", Severity::Low),
        ("none", Severity::Info),
    ],
};

/// The words that open-source semgrep writes where it gives nothing.
pub(crate) fn unless_placeholder(text: &str) -> &str {
    const PLACEHOLDER: &str = "requires login";
    if text.len() >= PLACEHOLDER.len() && text.trim().eq_ignore_ascii_case(PLACEHOLDER) {
        ""
    } else {
        text
    }
}
