//! How bad a finding is, and how sure its tool.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Ordered from harmless to worst; stored as 0 to 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; also what an unknown word of a tool becomes.
    Info,
    /// Little harm, or hard to reach.
    Low,
    /// Harm under conditions.
    Medium,
    /// Harm likely.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// From harmless to worst.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The stored number, 0 (info) to 4 (critical).
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The severity stored as `rank`; `None` outside 0 to 4.
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.rank() == rank)
    }

    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownWord {
                word: text.to_owned(),
                known: "info, low, medium, high, critical",
            })
    }
}

/// How sure the tool is; stored as 0 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The tool does not say.
    Unknown,
    /// Often wrong.
    Low,
    /// Sometimes wrong.
    Medium,
    /// Rarely wrong.
    High,
}

impl Confidence {
    /// From unsaid to sure.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Low, Self::Medium, Self::High];

    /// The stored number, 0 (unknown) to 3 (high).
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The confidence stored as `rank`; `None` outside 0 to 3.
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|confidence| confidence.rank() == rank)
    }
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {known}")]
pub struct UnknownWord {
    /// What was said.
    pub word: String,
    /// What could have been said.
    pub known: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_severity_survives_its_rank_and_its_word() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_rank(severity.rank()), Some(severity));
            assert_eq!(severity.as_str().parse(), Ok(severity));
        }
        assert_eq!(Severity::from_rank(5), None);
        assert!(
            "urgent"
                .parse::<Severity>()
                .unwrap_err()
                .to_string()
                .contains("urgent")
        );
    }
}
