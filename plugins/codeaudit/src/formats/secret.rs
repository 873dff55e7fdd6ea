//! What scanners of secrets have in common: none of them grades its findings, and each quotes the
//! secret, which must not be kept.

use tamiz_sdk::model::Severity;
use tamiz_sdk::vocabulary::SeverityTable;
use tamiz_sdk::{hide, redact};

/// A secret in the source is as bad as what it opens, which nobody knows; one that was seen to work is
/// worse.
pub(super) const SEVERITIES: SeverityTable = SeverityTable {
    tool: "gitleaks, betterleaks, trufflehog, kingfisher, detect-secrets",
    words: &[("(seen to work)", VERIFIED), ("(any other secret)", FOUND)],
};

/// Of a secret.
pub(super) const FOUND: Severity = Severity::High;

/// Of a secret that the tool tried and that opened something.
pub(super) const VERIFIED: Severity = Severity::Critical;

/// CWE-798, use of hard-coded credentials: none of these tools names a class.
pub(super) const CWE: u32 = 798;

/// Tools whose SARIF quotes secrets as snippets.
const SCANNERS: [&str; 8] = [
    "betterleaks",
    "detect-secrets",
    "ggshield",
    "gitleaks",
    "kingfisher",
    "noseyparker",
    "titus",
    "trufflehog",
];

/// Whether a tool of this name looks for secrets.
pub(crate) fn is_secret_scanner(tool: &str) -> bool {
    SCANNERS.contains(&tool)
}

/// The quoted text with its secret hidden. When the secret does not stand in it as it is, for it is
/// decoded or cut, nobody can tell which part is the secret, and all of it is hidden.
pub(crate) fn hidden_snippet(quoted: &str, secret: &str) -> String {
    if quoted.is_empty() {
        String::new()
    } else if !secret.is_empty() && quoted.contains(secret) {
        hide(quoted, secret)
    } else {
        redact(quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::{hidden_snippet, is_secret_scanner};

    #[test]
    fn a_quoted_secret_is_hidden_also_when_it_cannot_be_found() {
        let secret = "correct horse battery";
        assert_eq!(
            hidden_snippet("key = 'correct horse battery'", secret),
            "key = 'corr********y'"
        );
        for (quoted, secret) in [("hunter2", "another"), ("hunter2", "")] {
            assert!(!hidden_snippet(quoted, secret).contains("hunter2"));
        }
        assert_eq!(hidden_snippet("", ""), "");
        assert!(is_secret_scanner("gitleaks") && !is_secret_scanner("semgrep"));
    }
}
