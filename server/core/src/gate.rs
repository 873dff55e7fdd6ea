//! Whether a pipeline goes on: what a scan found, held against what its owner wants to fail on.
//!
//! `tamiz scan --fail-on` and `POST /v1/reports` mean the same by the same words: `high` looks at every finding of
//! the scan, `new-high` only at alerts that it opened or brought back and that nobody dismissed.

use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::severity::{Severity, UnknownWord};
use crate::text::cut;

/// What stands before a severity when only what is new counts.
const NEW: &str = "new-";
/// What fails on nothing.
const NEVER: &str = "never";

/// How many there are of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeverityCounts([u32; 5]);

impl SeverityCounts {
    /// `count` more of this severity.
    pub fn add(&mut self, severity: Severity, count: u32) {
        let slot = &mut self.0[severity as usize];
        *slot = slot.saturating_add(count);
    }

    /// How many have this severity.
    pub const fn of(&self, severity: Severity) -> u32 {
        self.0[severity as usize]
    }

    /// How many are that severe or worse.
    pub fn at_least(&self, severity: Severity) -> u32 {
        self.0[severity as usize..].iter().sum()
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.at_least(Severity::Info)
    }
}

impl FromIterator<(Severity, u32)> for SeverityCounts {
    fn from_iter<Counted: IntoIterator<Item = (Severity, u32)>>(counted: Counted) -> Self {
        let mut counts = Self::default();
        for (severity, count) in counted {
            counts.add(severity, count);
        }
        counts
    }
}

/// An object with all five, the worst first.
impl Serialize for SeverityCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(Severity::ALL.len()))?;
        for severity in Severity::ALL.into_iter().rev() {
            object.serialize_entry(severity.as_str(), &self.of(severity))?;
        }
        object.end()
    }
}

/// What a pipeline fails on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailOn {
    /// On nothing that is found.
    #[default]
    Never,
    /// On findings that are at least so severe.
    Findings(Severity),
    /// On alerts that are new and at least so severe.
    New(Severity),
}

impl FailOn {
    /// Whether what is new has to be counted.
    pub const fn looks_at_new(self) -> bool {
        matches!(self, Self::New(_))
    }

    /// The verdict on what was counted: all findings, or for [`FailOn::New`] the new alerts.
    pub fn judge(self, counts: &SeverityCounts) -> Verdict {
        let (level, what) = match self {
            Self::Never => {
                return Verdict {
                    passed: true,
                    reason: "nothing that is found fails it".to_owned(),
                };
            }
            Self::Findings(level) => (level, "findings"),
            Self::New(level) => (level, "new alerts"),
        };
        let (reached, total) = (counts.at_least(level), counts.total());
        Verdict {
            passed: reached == 0,
            reason: format!("{reached} of {total} {what} are {}", or_worse(level)),
        }
    }
}

/// `high or worse`; of the worst, just `critical`.
fn or_worse(level: Severity) -> String {
    match level {
        Severity::Critical => level.to_string(),
        _ => format!("{level} or worse"),
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => formatter.pad(NEVER),
            Self::Findings(level) => level.fmt(formatter),
            Self::New(level) => write!(formatter, "{NEW}{level}"),
        }
    }
}

impl FromStr for FailOn {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord {
            word: cut(text, 100).to_owned(),
            known: "critical, high, medium, low, info, any of them after `new-`, never",
        };
        let lower = text.to_ascii_lowercase();
        if lower == NEVER {
            return Ok(Self::Never);
        }
        let (is_new, level) = match lower.strip_prefix(NEW) {
            Some(level) => (true, level),
            None => (false, lower.as_str()),
        };
        let level: Severity = level.parse().map_err(|_| unknown())?;
        Ok(if is_new {
            Self::New(level)
        } else {
            Self::Findings(level)
        })
    }
}

/// Whether it goes on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Nothing stands against it.
    pub passed: bool,
    /// In words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> SeverityCounts {
        [(Severity::High, 2), (Severity::Low, 5), (Severity::High, 1)]
            .into_iter()
            .collect()
    }

    #[test]
    fn what_is_as_severe_or_worse_fails_it() {
        for (word, passed, reason) in [
            ("never", true, "nothing that is found fails it"),
            ("critical", true, "0 of 8 findings are critical"),
            ("HIGH", false, "3 of 8 findings are high or worse"),
            ("medium", false, "3 of 8 findings are medium or worse"),
            ("new-low", false, "8 of 8 new alerts are low or worse"),
            ("New-Critical", true, "0 of 8 new alerts are critical"),
        ] {
            let fail_on: FailOn = word.parse().unwrap();
            let verdict = fail_on.judge(&counts());
            assert_eq!(
                (verdict.passed, verdict.reason.as_str()),
                (passed, reason),
                "{word}"
            );
            assert_eq!(fail_on.to_string(), word.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_word_that_is_mistyped_fails_nothing_silently() {
        for bad in ["", "new", "new-", "new-never", "severe", "higher", "high "] {
            let said = bad.parse::<FailOn>().unwrap_err().to_string();
            assert!(said.contains("never"), "{bad:?}: {said}");
        }
    }

    #[test]
    fn counts_are_an_object_with_all_severities() {
        let told = serde_json::to_string(&counts()).unwrap();
        assert_eq!(told, r#"{"critical":0,"high":3,"medium":0,"low":5,"info":0}"#);
    }
}
