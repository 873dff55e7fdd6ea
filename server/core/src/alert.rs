//! What people manage: the long-lived identity behind equal findings of a project.
//!
//! An alert is *present* while one of the scopes that its tool scans holds it. Its state follows from that until a
//! person, a rule or an imported VEX document dismisses it: then it stays dismissed, seen or not, until somebody opens
//! it again or its acceptance expires.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Where an alert stands.
    AlertState {
        /// There, and never known to be gone.
        Open = "open",
        /// There again: after it was gone, or after its acceptance expired.
        Reopened = "reopened",
        /// Somebody decided not to act on it.
        Dismissed = "dismissed",
        /// No longer there.
        Fixed = "fixed",
    } known "open, reopened, dismissed, fixed"
}

words! {
    /// Why somebody decided not to act.
    DismissalReason {
        /// The tool is wrong.
        FalsePositive = "false-positive",
        /// It is right, and the risk is taken; may expire.
        AcceptedRisk = "accepted-risk",
        /// It is right, and nobody will mend it.
        WontFix = "wont-fix",
        /// It is in code that only tests run.
        UsedInTests = "used-in-tests",
    } known "false-positive, accepted-risk, wont-fix, used-in-tests"
}

impl AlertState {
    /// The stored number: 0 open, 1 reopened, 2 dismissed, 3 fixed.
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The state stored as `rank`; `None` outside 0 to 3.
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.rank() == rank)
    }

    /// Whether somebody should act: open or reopened.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Reopened)
    }
}

/// A decision not to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissal {
    /// Why.
    pub reason: DismissalReason,
    /// In words.
    pub comment: Option<String>,
    /// Who: a token's name, `rule:` and its name, `vex`.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when, of an accepted risk; then it opens again if it is there.
    pub until: Option<DateTime<Utc>>,
}
