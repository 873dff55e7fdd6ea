//! Ids of advisories in one spelling each: `CVE-2021-44228`, `GHSA-jfh8-c2jp-5v3q`, `RUSTSEC-2021-0001`.
//!
//! Tools write one id in several ways; here it is known by one. Most sources give an id to one flaw. Bulletins of
//! distributions (`DSA-5020-1`, `RHSA-2021:5094`) speak of several at once and are told apart by their family, so that
//! nobody takes two flaws of one bulletin for the same.
//!
//! Not here: which ids are of the same flaw ([`crate::aliases`]), and finding ids in texts (the plugins' SDK).

use std::fmt;

/// An id in bytes; the longest that sources give has under 60.
pub const ADVISORY_BYTES_MAX: usize = 64;
/// Sources whose ids are of one flaw each, beside CVE and GHSA.
const FLAWS: [&str; 14] = [
    "BDSA", "BIT", "EUVD", "GMS", "GO", "GSD", "HSEC", "MAL", "OSV", "PSF", "PYSEC", "RSEC", "RUSTSEC",
    "SNYK",
];
/// Sources whose ids are of one update each, which may mend several flaws.
const BULLETINS: [&str; 16] = [
    "ALAS", "ALAS2", "ALSA", "CESA", "DLA", "DSA", "ELSA", "FEDORA", "GLSA", "MGASA", "RHBA", "RHEA", "RHSA",
    "RLSA", "SUSE", "USN",
];
/// Put in front of a CVE by databases of distributions: the flaw is that CVE.
const MIRRORS: [&str; 3] = ["ALPINE-", "DEBIAN-", "UBUNTU-"];
/// What the three groups of a GHSA are made of.
const GHSA_ALPHABET: &[u8] = b"23456789cfghjmpqrvwx";

/// Where an id is from, the best known first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The list that the others refer to.
    Cve,
    /// GitHub's database.
    Ghsa,
    /// Any other whose ids are of one flaw each.
    Flaw,
    /// Updates of a distribution.
    Bulletin,
}

/// The id of an advisory. Ordered by family, then as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Advisory {
    family: Family,
    id: Box<str>,
}

impl Advisory {
    /// The id that a text is, and nothing else; `None` for other texts and unknown sources.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > ADVISORY_BYTES_MAX || !text.is_ascii() {
            return None;
        }
        let mut id = text.to_ascii_uppercase();
        if let Some(rest) = MIRRORS.iter().find_map(|mirror| id.strip_prefix(mirror)) {
            id = is_cve(rest).then(|| rest.to_owned())?;
        }
        let family = family(&id)?;
        if family == Family::Ghsa {
            id = format!("GHSA{}", id[4..].to_ascii_lowercase());
        }
        let id = id.into_boxed_str();
        Some(Self { family, id })
    }

    /// Where it is from.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The id.
    pub const fn as_str(&self) -> &str {
        &self.id
    }

    /// What stands in front of the first dash: ids with the same are from one source.
    pub fn source(&self) -> &str {
        self.id.split('-').next().unwrap_or_default()
    }
}

impl fmt::Display for Advisory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.id)
    }
}

/// The family of an id in capital letters.
fn family(id: &str) -> Option<Family> {
    let (source, rest) = id.split_once('-')?;
    match source {
        "CVE" => is_cve(id).then_some(Family::Cve),
        "GHSA" => is_ghsa(rest).then_some(Family::Ghsa),
        _ if FLAWS.contains(&source) => is_numbered(rest).then_some(Family::Flaw),
        _ if BULLETINS.contains(&source) => is_numbered(rest).then_some(Family::Bulletin),
        _ => None,
    }
}

/// A year and four to nineteen digits (CVE record format, 5.1).
fn is_cve(id: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    id.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| {
            year.len() == 4 && (4..=19).contains(&number.len()) && digits(year) && digits(number)
        })
}

fn is_ghsa(rest: &str) -> bool {
    let mut groups = 0;
    let fit = rest.split('-').all(|group| {
        groups += 1;
        let known = |byte: u8| GHSA_ALPHABET.contains(&byte.to_ascii_lowercase());
        group.len() == 4 && group.bytes().all(known)
    });
    fit && groups == 3
}

/// Words between dashes and colons, with a digit somewhere.
fn is_numbered(rest: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    rest.split(['-', ':']).all(is_word) && rest.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        for (text, id) in [
            (" cve-2021-44228 ", "CVE-2021-44228"),
            ("UBUNTU-CVE-2021-44228", "CVE-2021-44228"),
            ("GHSA-JFH8-C2JP-5V3Q", "GHSA-jfh8-c2jp-5v3q"),
            ("ghsa-jfh8-c2jp-5v3q", "GHSA-jfh8-c2jp-5v3q"),
            ("PYSEC-2021-19", "PYSEC-2021-19"),
            ("RustSec-2021-0001", "RUSTSEC-2021-0001"),
            ("GO-2022-0001", "GO-2022-0001"),
            ("snyk-js-lodash-590103", "SNYK-JS-LODASH-590103"),
            ("RHSA-2021:5094", "RHSA-2021:5094"),
            ("DSA-5020-1", "DSA-5020-1"),
        ] {
            let advisory = Advisory::parse(text);
            assert_eq!(advisory.as_ref().map(Advisory::as_str), Some(id), "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        let long = format!("CVE-2021-{}", "1".repeat(20));
        for text in [
            "",
            "CVE",
            "CVE-2021-123",
            "CVE-21-1234",
            "CVE-2021-1234 and more",
            "CVE-2021-1234-javamail",
            "GHSA-aaaa-bbbb",
            "GHSA-jfh8-c2jp-5v3a",
            "GO-",
            "GO-lang",
            "SNYK--1",
            "DEBIAN-5020",
            "CWE-79",
            "python.lang.security.sql-injection-1",
            "CVE-２０２１-1234",
            long.as_str(),
        ] {
            assert_eq!(Advisory::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_best_known_source_comes_first() {
        let mut ids: Vec<Advisory> = [
            "DSA-5020-1",
            "PYSEC-2021-19",
            "GO-2022-0001",
            "GHSA-jfh8-c2jp-5v3q",
            "CVE-2022-0001",
            "CVE-2021-44228",
        ]
        .iter()
        .filter_map(|text| Advisory::parse(text))
        .collect();
        ids.sort();
        let ids: Vec<String> = ids.iter().map(Advisory::to_string).collect();
        let expected = [
            "CVE-2021-44228",
            "CVE-2022-0001",
            "GHSA-jfh8-c2jp-5v3q",
            "GO-2022-0001",
            "PYSEC-2021-19",
            "DSA-5020-1",
        ];
        assert_eq!(ids, expected);
        assert_eq!(Advisory::parse("GO-2022-0001").unwrap().source(), "GO");
    }
}
