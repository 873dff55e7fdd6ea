//! Semgrep's words in the platform's; what tools have in common is in [`tamiz_sdk::vocabulary`].

use tamiz_sdk::model::Severity;
pub(crate) use tamiz_sdk::vocabulary::{
    Label, SeverityTable, confidence, cvss_vector, cwe, cwes, is_advisory, label, owasp, score_severity,
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
        ("MODERATE", Severity::Medium),
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

/// The advisories that a rule's id names. Tools put the package behind one (`CVE-2008-0732-javamail_1.4`,
/// grype), or one advisory into parentheses behind another (`BDSA-2020-1001 (CVE-2020-11022)`, Black Duck).
pub(crate) fn advisories(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | ':');
    let words = text.split(move |character: char| !is_part(character));
    words.filter_map(|word| {
        let word = word.trim_matches(':');
        let parts = if word.starts_with("GHSA-") { 4 } else { 3 };
        let end = word
            .match_indices('-')
            .nth(parts - 1)
            .map_or(word.len(), |(end, _)| end);
        let id = if word.starts_with("GHSA-") || is_dated(word) {
            &word[..end]
        } else {
            word
        };
        is_advisory(id).then_some(id)
    })
}

/// Whether an id has a year behind its prefix, and thus three parts.
fn is_dated(id: &str) -> bool {
    let mut parts = id.split('-').skip(1);
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let year = parts
        .next()
        .is_some_and(|year| year.len() == 4 && is_number(year));
    year && parts
        .next()
        .is_some_and(|number| !number.is_empty() && is_number(number))
}

/// The CWEs of a text that is known to name some: bare numbers count. None when it names none.
pub(crate) fn weaknesses(text: &str) -> Vec<u32> {
    let first = cwe(text);
    let mut numbers: Vec<u32> = first.into_iter().collect();
    numbers.extend(cwes(text).filter(|number| Some(*number) != first));
    numbers
}

/// The words that open-source semgrep writes where it gives nothing.
pub(crate) fn unless_placeholder(text: &str) -> &str {
    if text.trim().eq_ignore_ascii_case("requires login") {
        ""
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{advisories, weaknesses};

    #[test]
    fn an_id_is_found_with_a_package_behind_it() {
        for (text, ids) in [
            ("CVE-2021-44228", &["CVE-2021-44228"][..]),
            ("CVE-2008-0732-geronimo-javamail_1.4_mail", &["CVE-2008-0732"]),
            ("GHSA-jfh8-c2jp-5v3q-log4j-core", &["GHSA-jfh8-c2jp-5v3q"]),
            ("BDSA-2020-1001 (CVE-2020-11022)", &["CVE-2020-11022"]),
            ("RUSTSEC-2020-0071", &["RUSTSEC-2020-0071"]),
            ("SNYK-JS-LODASH-567746", &["SNYK-JS-LODASH-567746"]),
            ("RHSA-2020:1234", &["RHSA-2020:1234"]),
            ("py/sql-injection", &[]),
        ] {
            assert_eq!(advisories(text).collect::<Vec<_>>(), ids, "{text}");
        }
    }

    #[test]
    fn weaknesses_are_found_in_any_text_that_is_about_them() {
        for (text, numbers) in [
            ("79", &[79][..]),
            ("CWE-79: Cross-site Scripting", &[79]),
            ("CWE: 79", &[79]),
            ("CWE-79, CWE-80", &[79, 80]),
            ("Improper Neutralization (CWE-89)", &[89]),
            ("https://cwe.mitre.org/data/definitions/259.html", &[259]),
            ("Injection", &[]),
        ] {
            assert_eq!(weaknesses(text), numbers, "{text}");
        }
    }
}
