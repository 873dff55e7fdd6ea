//! Scores of CVSS vectors of the versions 2, 3.0, 3.1 and 4.0.
//!
//! The score is the number that the public databases show beside a vector: of versions 2 and 3 the base
//! score, of version 4 the one score of everything that the vector says. A vector that is none, or lacks a
//! metric that its version demands, has no score and stays the text that it is.
//!
//! Not here: severities. A tool's own word for a finding outweighs the arithmetic.

use std::collections::HashMap;
use std::str::FromStr;

use ::cvss::Cvss;

use crate::finding::{Diagnostic, Finding, LogLevel};
use crate::text::cut;

/// A vector in bytes; one of version 4 with all its metrics has under 200.
const VECTOR_BYTES_MAX: usize = 512;
/// Vectors remembered with their scores, 600 bytes each at most: a report has few different ones.
const VECTORS_KNOWN_MAX: usize = 4_096;
/// Unreadable vectors that one report's diagnostics name. A tool that writes them all wrong must not push
/// everything else out.
const VECTORS_NOTED_MAX: usize = 20;
/// What a diagnostic quotes, in bytes.
const QUOTE_BYTES_MAX: usize = 200;

/// What a vector comes to, 0.0 to 10.0 in tenths. Version 2 may stand in parentheses or with a prefix.
pub fn score(vector: &str) -> Option<f64> {
    let vector = vector.trim();
    if vector.len() > VECTOR_BYTES_MAX {
        return None;
    }
    let bare = vector
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
        .unwrap_or(vector);
    let bare = bare.strip_prefix("CVSS:2.0/").unwrap_or(bare);
    let parsed = Cvss::from_str(bare).ok()?;
    // of version 3 the crate takes half a vector, and counts what is not there as nothing
    if let Cvss::CvssV30(half) | Cvss::CvssV31(half) = &parsed {
        let _whole = (
            half.av?, half.ac?, half.pr?, half.ui?, half.s?, half.c?, half.i?, half.a?,
        );
    }
    let score = (parsed.score() * 10.0).round() / 10.0;
    (0.0..=10.0).contains(&score).then_some(score)
}

/// The scores of one report's findings.
#[derive(Debug, Default)]
pub struct Scores {
    known: HashMap<String, Option<f64>>,
    noted: usize,
}

impl Scores {
    /// The score of a finding that has a readable vector, and what is to be said about another one.
    pub fn of(&mut self, finding: &Finding) -> (Option<f64>, Option<Diagnostic>) {
        let Some(vector) = finding.cvss_vector.as_deref() else {
            return (None, None);
        };
        if let Some(score) = self.known.get(vector) {
            return (*score, None);
        }
        let score = score(vector);
        if self.known.len() < VECTORS_KNOWN_MAX && vector.len() <= VECTOR_BYTES_MAX {
            self.known.insert(vector.to_owned(), score);
        }
        if score.is_some() || self.noted == VECTORS_NOTED_MAX {
            return (score, None);
        }
        self.noted += 1;
        let note = Diagnostic {
            level: LogLevel::Warn,
            code: "cvss-unreadable".to_owned(),
            message: format!(
                "the CVSS vector `{}` of {} has no score; it is kept as text",
                cut(vector, QUOTE_BYTES_MAX),
                cut(&finding.rule_id, QUOTE_BYTES_MAX)
            ),
            at: finding.origin,
        };
        (None, Some(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIRST's documents of examples (versions 3.1 and 4.0), its guide (version 2), and the NVD.
    const KNOWN: [(&str, f64); 19] = [
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2),
        ("(AV:N/AC:L/Au:N/C:P/I:N/A:N)", 5.0),
        ("CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.0/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 6.8),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
        ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        (
            "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            7.3,
        ),
        (
            "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            7.7,
        ),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N/E:A",
            8.7,
        ),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
            10.0,
        ),
    ];

    #[test]
    fn vectors_of_all_versions_come_to_their_published_scores() {
        for (vector, expected) in KNOWN {
            assert_eq!(score(vector), Some(expected), "{vector}");
        }
    }

    /// Of version 4, beyond the base metrics: a threat, requirements, safety. From a second implementation.
    #[test]
    fn threats_and_surroundings_count_in_version_4() {
        let base = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
        for (more, expected) in [
            ("", 9.3),
            ("/E:U", 8.1),
            ("/E:P/CR:L/IR:L/AR:L", 7.9),
            ("/R:U/U:Red", 9.3),
            ("/MVC:N/MVI:N/MVA:N", 0.0),
            ("/MSI:S", 10.0),
        ] {
            assert_eq!(score(&format!("{base}{more}")), Some(expected), "{more}");
        }
    }

    const V2: [(&str, &str); 6] = [
        ("AV", "LAN"),
        ("AC", "HML"),
        ("Au", "MSN"),
        ("C", "NPC"),
        ("I", "NPC"),
        ("A", "NPC"),
    ];
    const V3: [(&str, &str); 8] = [
        ("AV", "NALP"),
        ("AC", "LH"),
        ("PR", "NLH"),
        ("UI", "NR"),
        ("S", "UC"),
        ("C", "HLN"),
        ("I", "HLN"),
        ("A", "HLN"),
    ];
    const V4: [(&str, &str); 11] = [
        ("AV", "NALP"),
        ("AC", "LH"),
        ("AT", "NP"),
        ("PR", "NLH"),
        ("UI", "NPA"),
        ("VC", "HLN"),
        ("VI", "HLN"),
        ("VA", "HLN"),
        ("SC", "HLN"),
        ("SI", "HLN"),
        ("SA", "HLN"),
    ];

    /// Every vector of these metrics.
    fn every(prefix: &str, metrics: &[(&str, &str)]) -> Vec<String> {
        metrics
            .iter()
            .fold(vec![prefix.to_owned()], |vectors, (metric, values)| {
                let one_more = |vector: &String| {
                    let slash = if vector.is_empty() || vector.ends_with('/') {
                        ""
                    } else {
                        "/"
                    };
                    let start = format!("{vector}{slash}{metric}:");
                    values
                        .chars()
                        .map(move |value| format!("{start}{value}"))
                        .collect::<Vec<_>>()
                };
                vectors.iter().flat_map(one_more).collect()
            })
    }

    /// What all vectors of base metrics come to, in tenths, and their squares. A second implementation (Red Hat's
    /// `cvss` for Python, 3.6) agreed on every single one when these were written.
    #[test]
    fn every_vector_of_base_metrics_has_the_score_of_a_second_implementation() {
        for (prefix, metrics, count, sum, squares) in [
            ("", &V2[..], 729, 38_007, 2_289_913),
            ("CVSS:3.0/", &V3[..], 2_592, 142_706, 8_922_088),
            ("CVSS:3.1/", &V3[..], 2_592, 142_706, 8_922_088),
            ("CVSS:4.0/", &V4[..], 104_976, 5_964_883, 381_356_573),
        ] {
            let tenths = |vector: &String| {
                let score = score(vector).unwrap_or_else(|| panic!("{vector} has a score"));
                format!("{score:.1}").replace('.', "").parse::<u64>().unwrap()
            };
            let tenths: Vec<u64> = every(prefix, metrics).iter().map(tenths).collect();
            assert_eq!(tenths.len(), count, "{prefix}");
            assert_eq!(tenths.iter().sum::<u64>(), sum, "{prefix}");
            assert_eq!(
                tenths.iter().map(|one| one * one).sum::<u64>(),
                squares,
                "{prefix}"
            );
        }
    }

    #[test]
    fn what_is_no_whole_vector_has_no_score() {
        let long = format!("CVSS:3.1/{}", "AV:N/".repeat(200));
        for text in [
            "",
            "7.5",
            "AV:N/AC:L",
            "CVSS:3.1/AV:N",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:Q",
            "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H",
            "CVSS:5.0/AV:N/AC:L",
            "CVSS:3.1/ÄÖ:Ü",
            "(",
            long.as_str(),
        ] {
            assert_eq!(score(text), None, "{text}");
        }
    }

    fn finding(vector: &str) -> Finding {
        Finding {
            cvss_vector: Some(vector.to_owned()),
            ..crate::finding::tests::plain()
        }
    }

    #[test]
    fn each_unreadable_vector_is_noted_once_and_only_so_many() {
        let mut scores = Scores::default();
        let (score, note) = scores.of(&finding("CVSS:9.9/AV:N"));
        let note = note.unwrap();
        assert_eq!((score, note.code.as_str()), (None, "cvss-unreadable"));
        assert!(note.message.contains("`CVSS:9.9/AV:N`"), "{}", note.message);
        assert_eq!(scores.of(&finding("CVSS:9.9/AV:N")), (None, None));
        let notes = (0..1_000)
            .filter_map(|number| scores.of(&finding(&format!("AV:{number}"))).1)
            .count();
        assert_eq!(notes, VECTORS_NOTED_MAX - 1);
        let known = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        for _ in 0..2 {
            assert_eq!(scores.of(&finding(known)), (Some(9.8), None));
        }
        assert_eq!(scores.of(&crate::finding::tests::plain()), (None, None));
    }
}
