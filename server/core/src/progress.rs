//! What a task is doing right now, as its watchers see it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::severity::UnknownWord;

/// The stretch of the way a task is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for a worker.
    Queued,
    /// Bytes are fetched and unpacked.
    Preparing,
    /// A native tool runs.
    Scanning,
    /// A plugin reads the report.
    Converting,
    /// Findings go into the database.
    Storing,
    /// Nothing more to do.
    Done,
}

impl Phase {
    /// In order.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Preparing,
        Self::Scanning,
        Self::Converting,
        Self::Storing,
        Self::Done,
    ];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Scanning => "scanning",
            Self::Converting => "converting",
            Self::Storing => "storing",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| UnknownWord {
                word: text.to_owned(),
                known: "queued, preparing, scanning, converting, storing, done",
            })
    }
}
