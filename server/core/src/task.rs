//! The task's state machine.
//!
//! ```text
//! queued -> running -> completed
//!              |-> retrying -> running …   (a failure that may pass)
//!              |-> failed                  (bad input: trying again would not help)
//!              |-> timeout                 (the tool's time was used up)
//!              `-> dead_letter             (the attempts are used up)
//! queued | retrying | running -> cancelled
//! failed | timeout | dead_letter | cancelled -> queued   (a person sends it back)
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::severity::UnknownWord;

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Waits for a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Failed, waits for its next attempt.
    Retrying,
    /// Its tool ran out of time.
    Timeout,
    /// Its findings are stored.
    Completed,
    /// Its input is bad; trying again would not help.
    Failed,
    /// Its attempts are used up.
    DeadLetter,
    /// Somebody did not want it any more.
    Cancelled,
}

impl TaskStatus {
    /// All, in the order of the picture.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Timeout,
        Self::Completed,
        Self::Failed,
        Self::DeadLetter,
        Self::Cancelled,
    ];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Timeout => "timeout",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::DeadLetter => "dead_letter",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing happens any more unless a person asks.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Retrying)
    }

    /// A person may send it back to the queue.
    pub const fn may_be_retried(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Timeout | Self::DeadLetter | Self::Cancelled
        )
    }

    /// Whether the machine above has an arrow from `self` to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Cancelled),
            Self::Retrying => matches!(next, Self::Running | Self::Cancelled | Self::DeadLetter),
            // running again: the lease was lost and another worker claimed it
            Self::Running => !matches!(next, Self::Queued),
            Self::Completed => false,
            _ => matches!(next, Self::Queued),
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for TaskStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownWord {
                word: text.to_owned(),
                known: "queued, running, retrying, timeout, completed, failed, dead_letter, cancelled",
            })
    }
}

/// What kind of scan: one of ours, or a third party's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScanType(String);

impl ScanType {
    /// Longest accepted word, in bytes.
    pub const BYTES_MAX: usize = 40;

    /// Whether such scans look at what happened for a while, as captures of traffic do: what one of them does not show
    /// may be there all the same.
    pub fn is_of_a_moment(&self) -> bool {
        self.0 == "pcap"
    }

    /// `word` if it is lower-case letters, digits and inner hyphens.
    ///
    /// # Errors
    /// [`UnknownWord`] for anything else.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        let fits = !word.is_empty()
            && word.len() <= Self::BYTES_MAX
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !word.starts_with('-')
            && !word.ends_with('-');
        if fits {
            Ok(Self(word.to_owned()))
        } else {
            Err(UnknownWord {
                word: crate::text::cut(word, Self::BYTES_MAX).to_owned(),
                known: "codeaudit, web, osint, ssl, pcap or a plugin's lower-case word",
            })
        }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScanType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completed_task_never_changes_again() {
        for next in TaskStatus::ALL {
            assert!(!TaskStatus::Completed.may_become(next), "{next}");
        }
    }

    #[test]
    fn only_unfinished_tasks_can_be_cancelled_and_only_ended_ones_retried() {
        for status in TaskStatus::ALL {
            assert_eq!(
                status.may_become(TaskStatus::Cancelled),
                !status.is_final(),
                "{status}"
            );
            assert_eq!(
                status.may_become(TaskStatus::Queued),
                status.may_be_retried(),
                "{status}"
            );
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }

    #[test]
    fn a_scan_type_is_a_plain_word() {
        assert!(ScanType::parse("codeaudit").is_ok());
        for bad in ["", "Web", "a b", "-x", "../x", &"x".repeat(41)] {
            assert!(ScanType::parse(bad).is_err(), "{bad}");
        }
    }
}
