//! Weakness classes, OWASP entries, confidences and tags.

use super::ids::is_advisory;
use crate::model::Confidence;

/// Semgrep's `confidence` and SARIF's `precision`.
pub fn confidence(word: &str) -> Option<Confidence> {
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
pub enum Label {
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
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Owasp(text) | Self::Cve(text) | Self::Tag(text) => text.len(),
            Self::Cwe(_) | Self::Confidence(_) => 0,
        }
    }
}

/// Understands one tag.
pub fn label(text: &str) -> Label {
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
pub fn cwe(text: &str) -> Option<u32> {
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
pub fn owasp(text: &str) -> Option<String> {
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

/// All CWE numbers in a text, each as often as it stands there: `79`, `CWE-79, CWE-80`,
/// `CWE-89: SQL Injection`, `https://cwe.mitre.org/data/definitions/259.html`.
pub fn cwes(text: &str) -> impl Iterator<Item = u32> {
    let text = text.trim();
    let definition = text
        .split_once("/definitions/")
        .map(|(_, rest)| rest.strip_suffix(".html").unwrap_or(rest));
    let bare: Option<u32> = definition.unwrap_or(text).parse().ok();
    let bare = bare.filter(|number| (1..=9999).contains(number));
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | ':');
    let words = text.split(move |character: char| !is_part(character));
    bare.into_iter().chain(words.filter_map(cwe))
}

#[cfg(test)]
mod tests {
    use super::{Label, cwe, cwes, label, owasp};
    use crate::model::Confidence;

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
    fn every_form_of_a_list_of_cwes_is_read() {
        let check =
            |text: &str, numbers: &[u32]| assert_eq!(cwes(text).collect::<Vec<_>>(), numbers, "{text}");
        check("79", &[79]);
        check("CWE-79, CWE-80 and cwe:352", &[79, 80, 352]);
        check("https://cwe.mitre.org/data/definitions/259.html", &[259]);
        check("CWE-89: Improper Neutralization (SQL Injection)", &[89]);
        check("0", &[]);
        check("-1", &[]);
        check("89 ways", &[]);
        check("", &[]);
    }
}
