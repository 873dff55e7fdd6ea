//! The tools' words in the platform's: severities, confidences, CWE numbers, OWASP tags.

use tamiz_sdk::model::{Confidence, Severity};

/// Semgrep's words, old and new. Nothing for a word that is not known.
pub(crate) fn semgrep_severity(word: &str) -> Option<Severity> {
    const WORDS: [(&str, Severity); 9] = [
        ("ERROR", Severity::High),
        ("WARNING", Severity::Medium),
        ("INFO", Severity::Low),
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::High),
        ("MEDIUM", Severity::Medium),
        ("LOW", Severity::Low),
        ("INVENTORY", Severity::Info),
        ("EXPERIMENT", Severity::Info),
    ];
    WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|(_, severity)| *severity)
}

/// SARIF's levels. Nothing for a word that is not known.
pub(crate) fn sarif_severity(level: &str) -> Option<Severity> {
    match level {
        "error" => Some(Severity::High),
        "warning" => Some(Severity::Medium),
        "note" => Some(Severity::Low),
        "none" => Some(Severity::Info),
        _ => None,
    }
}

/// The bands of CVSS 3 and 4, for `security-severity`. Nothing for a score that is none.
pub(crate) fn score_severity(score: f64) -> Option<Severity> {
    match score {
        score if !(0.0..=10.0).contains(&score) => None,
        score if score >= 9.0 => Some(Severity::Critical),
        score if score >= 7.0 => Some(Severity::High),
        score if score >= 4.0 => Some(Severity::Medium),
        score if score > 0.0 => Some(Severity::Low),
        _ => Some(Severity::Info),
    }
}

/// Semgrep's `confidence` and SARIF's `precision`.
pub(crate) fn confidence(word: &str) -> Option<Confidence> {
    const WORDS: [(&str, Confidence); 4] = [
        ("low", Confidence::Low),
        ("medium", Confidence::Medium),
        ("high", Confidence::High),
        ("very-high", Confidence::High),
    ];
    WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word))
        .map(|(_, confidence)| *confidence)
}

/// What a tag or a taxonomy entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    /// A weakness class.
    Cwe(u32),
    /// An OWASP list's entry, such as `owasp:A03:2021`.
    Owasp(String),
    /// An advisory.
    Cve(String),
    /// `MEDIUM CONFIDENCE`, as semgrep writes it among SARIF tags.
    Confidence(Confidence),
    /// Anything else, lower case.
    Tag(String),
}

impl Label {
    /// What its text costs to keep.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Owasp(text) | Self::Cve(text) | Self::Tag(text) => text.len(),
            Self::Cwe(_) | Self::Confidence(_) => 0,
        }
    }
}

/// Understands one tag.
pub(crate) fn label(text: &str) -> Label {
    let text = text.trim();
    if let Some(number) = cwe(text) {
        return Label::Cwe(number);
    }
    if let Some(tag) = owasp_marked(text) {
        return Label::Owasp(tag);
    }
    if is_advisory(text) {
        return Label::Cve(text.to_owned());
    }
    let lower = text.to_lowercase();
    match lower.strip_suffix(" confidence").and_then(confidence) {
        Some(confidence) => Label::Confidence(confidence),
        None => Label::Tag(lower),
    }
}

/// The number in `CWE-89: SQL Injection`, `cwe89`, `external/cwe/cwe-089` and the like.
pub(crate) fn cwe(text: &str) -> Option<u32> {
    let last = text.rsplit('/').next().unwrap_or(text).trim();
    let rest = last
        .get(..3)
        .filter(|start| start.eq_ignore_ascii_case("cwe"))
        .map(|_| &last[3..])?;
    let digits = rest.trim_start_matches(['-', '_', ':', ' ']);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    // `cwe-798-secrets` names one; `cwe2021` is a word. CWE numbers have at most four digits.
    let ends = digits[length..]
        .chars()
        .next()
        .is_none_or(|next| !next.is_alphanumeric());
    digits[..length]
        .parse()
        .ok()
        .filter(|number| ends && (1..=9999).contains(number))
}

/// `A03:2021 - Injection`, `A3: Sensitive Data Exposure`, `API1:2019`, `M1` as `owasp:A03:2021`.
pub(crate) fn owasp(text: &str) -> Option<String> {
    let text = text.trim();
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let list = text[..letters].to_ascii_uppercase();
    let rest = &text[letters..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: u32 = rest[..digits].parse().ok()?;
    if !matches!(list.as_str(), "A" | "M" | "API" | "LLM") || !(1..=10).contains(&number) {
        return None;
    }
    let after = &rest[digits..];
    let year = after
        .strip_prefix([':', '-', '_', ' '])
        .map(str::trim_start)
        .and_then(|year| year.get(..4))
        .filter(|year| year.starts_with("20") && year.bytes().all(|byte| byte.is_ascii_digit()));
    Some(match year {
        Some(year) => format!("owasp:{list}{number:02}:{year}"),
        None => format!("owasp:{list}{number:02}"),
    })
}

/// Among other tags an OWASP entry has to say that it is one.
fn owasp_marked(text: &str) -> Option<String> {
    let start = text
        .get(..5)
        .filter(|start| start.eq_ignore_ascii_case("owasp"))?;
    let rest = text[start.len()..].trim_start_matches(['-', ':', '_', ' ', '/']);
    owasp(rest.strip_prefix("top10/").unwrap_or(rest))
}

/// Whether a text is the id of an advisory and nothing else.
pub(crate) fn is_advisory(text: &str) -> bool {
    let mut parts = text.split('-');
    let known = matches!(
        parts.next(),
        Some("CVE" | "GHSA" | "OSV" | "RUSTSEC" | "PYSEC" | "GO")
    );
    let mut count = 0;
    let rest_fits = parts.all(|part| {
        count += 1;
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    known && rest_fits && count >= 2 && text.bytes().any(|byte| byte.is_ascii_digit())
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
    use tamiz_sdk::model::{Confidence, Severity};

    use super::{Label, cwe, is_advisory, label, owasp, score_severity};

    #[test]
    fn cwe_numbers_are_found_in_every_spelling() {
        for (text, number) in [
            ("CWE-89: SQL Injection", Some(89)),
            ("external/cwe/cwe-089", Some(89)),
            ("cwe-79", Some(79)),
            ("CWE79", Some(79)),
            ("CWE_22", Some(22)),
            ("CWE-0", None),
            ("CWE-99999999999", None),
            ("cwe", None),
            ("security", None),
            ("…we-1", None),
        ] {
            assert_eq!(cwe(text), number, "{text}");
        }
    }

    #[test]
    fn owasp_entries_get_one_spelling() {
        for (text, tag) in [
            ("A03:2021 - Injection", Some("owasp:A03:2021")),
            ("A3: Sensitive Data Exposure", Some("owasp:A03")),
            ("A10-2017", Some("owasp:A10:2017")),
            ("API1:2019", Some("owasp:API01:2019")),
            ("M1", Some("owasp:M01")),
            ("A11:2021", None),
            ("Ax", None),
            ("", None),
        ] {
            assert_eq!(owasp(text).as_deref(), tag, "{text}");
        }
    }

    #[test]
    fn tags_are_told_apart() {
        assert_eq!(
            label("OWASP-A06:2021 - Vulnerable and Outdated"),
            Label::Owasp("owasp:A06:2021".to_owned())
        );
        assert_eq!(label("MEDIUM CONFIDENCE"), Label::Confidence(Confidence::Medium));
        assert_eq!(label("external/cwe/cwe-798"), Label::Cwe(798));
        assert_eq!(label("CVE-2021-44228"), Label::Cve("CVE-2021-44228".to_owned()));
        assert_eq!(label(" Security "), Label::Tag("security".to_owned()));
        assert_eq!(label("a1 sauce"), Label::Tag("a1 sauce".to_owned()));
    }

    #[test]
    fn advisories_are_ids_and_nothing_else() {
        assert!(is_advisory("GHSA-jfh8-c2jp-5v3q"));
        assert!(!is_advisory("CVE"));
        assert!(!is_advisory("CVE-2021-44228 in log4j"));
        assert!(!is_advisory("GO-FAST-NOW"));
    }

    #[test]
    fn scores_fall_into_their_bands() {
        for (score, severity) in [
            (0.0, Some(Severity::Info)),
            (0.1, Some(Severity::Low)),
            (4.0, Some(Severity::Medium)),
            (8.9, Some(Severity::High)),
            (9.0, Some(Severity::Critical)),
            (10.0, Some(Severity::Critical)),
            (10.1, None),
            (-1.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(score_severity(score), severity, "{score}");
        }
    }
}
