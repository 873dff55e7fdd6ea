//! What scanners of dependencies have in common: a package, its version, and an advisory about it.

use tamiz_sdk::FindingBuilder;
use tamiz_sdk::vocabulary::is_advisory;

/// A package that an advisory is about.
#[derive(Default)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Versions without the problem, as the tool writes them; empty when there are none.
    pub(super) fixed: &'a str,
    /// Its package URL, when the tool has one.
    pub(super) url: &'a str,
}

impl Package<'_> {
    /// A finding about the package: the title names it, so that one advisory about two packages in
    /// one file makes two findings.
    pub(super) fn finding(&self, tool: &str, advisory: &str, summary: &str) -> FindingBuilder {
        let subject = format!("{} {}", self.name, self.version);
        let subject = subject.trim();
        let summary = if summary.is_empty() { advisory } else { summary };
        let title = if subject.is_empty() {
            summary.to_owned()
        } else {
            format!("{subject}: {summary}")
        };
        let mut finding = FindingBuilder::new(tool, advisory)
            .title(&title)
            .category("dependency");
        for (key, value) in [
            ("package", self.name),
            ("version", self.version),
            ("fixed-version", self.fixed),
            ("package-url", self.url),
        ] {
            if !value.is_empty() {
                finding = finding.extra_text(key, value);
            }
        }
        if self.fixed.is_empty() {
            return finding;
        }
        finding.remediation(&format!("Update {} to {}.", self.name, self.fixed))
    }
}

/// Adds the ids that are ids, each once.
pub(super) fn advisories<'a>(
    mut finding: FindingBuilder,
    ids: impl IntoIterator<Item = &'a str>,
) -> FindingBuilder {
    for id in ids {
        let id = id.trim();
        if is_advisory(id) {
            finding = finding.cve(id);
        }
    }
    finding
}
