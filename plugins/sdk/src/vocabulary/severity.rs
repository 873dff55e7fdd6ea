//! Severities: one readable table per tool.

use std::fmt::Write as _;

use crate::model::Severity;

/// What the words of one tool mean.
#[derive(Debug, Clone, Copy)]
pub struct SeverityTable {
    /// The tool, or tools.
    pub tool: &'static str,
    /// Its words and what they mean here. Case does not matter.
    pub words: &'static [(&'static str, Severity)],
}

impl SeverityTable {
    /// What a word means; nothing for one that is not in the table. Prefer
    /// [`crate::report::Session::severity`], which tells the unknown ones.
    pub fn get(&self, word: &str) -> Option<Severity> {
        let word = word.trim();
        let mut words = self.words.iter();
        words
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, severity)| *severity)
    }
}

/// The bands of CVSS 3 and 4. Nothing for a score that is none.
pub fn score_severity(score: f64) -> Option<Severity> {
    match score {
        score if !(0.0..=10.0).contains(&score) => None,
        score if score >= 9.0 => Some(Severity::Critical),
        score if score >= 7.0 => Some(Severity::High),
        score if score >= 4.0 => Some(Severity::Medium),
        score if score > 0.0 => Some(Severity::Low),
        _ => Some(Severity::Info),
    }
}

/// A plugin's part of `docs/severities.md`: one row per tool, one column per severity.
pub fn severity_document(plugin: &str, tables: &[&SeverityTable]) -> String {
    const COLUMNS: [Severity; 5] = [
        Severity::Critical,
        Severity::High,
        Severity::Medium,
        Severity::Low,
        Severity::Info,
    ];
    let mut text = format!(
        "## {plugin}\n\n| tool | critical | high | medium | low | info |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for table in tables {
        let _ = write!(text, "| {} |", table.tool);
        for column in COLUMNS {
            let words = table.words.iter().filter(|(_, severity)| *severity == column);
            let words: Vec<_> = words.map(|(word, _)| format!("`{word}`")).collect();
            let _ = write!(text, " {} |", words.join(", "));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{SeverityTable, score_severity, severity_document};
    use crate::model::Severity;

    const DEMO: SeverityTable = SeverityTable {
        tool: "demo",
        words: &[
            ("HIGH", Severity::High),
            ("LOW", Severity::Low),
            ("NOTE", Severity::Low),
        ],
    };

    #[test]
    fn a_table_is_read_and_shown() {
        assert_eq!(DEMO.get(" high "), Some(Severity::High));
        assert_eq!(DEMO.get("higher"), None);
        let text = severity_document("codeaudit", &[&DEMO]);
        assert!(
            text.contains("\n| demo |  | `HIGH` |  | `LOW`, `NOTE` |  |\n"),
            "{text}"
        );
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
