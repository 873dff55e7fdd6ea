//! Words about installed plugins: where one came from, whether it serves, what it may do and use up, and
//! in which order those of one scan type are asked.
//!
//! Not here: what a plugin says about itself (the host reads that from the component), and the rows (store).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Whether a plugin serves new tasks.
    PluginState {
        /// It serves.
        Active = "active",
        /// An operator switched it off; nothing runs it, waiting tasks that want it fail.
        Disabled = "disabled",
        /// A newer one of its name replaced it; tasks that were planned with it still run.
        Retired = "retired",
    } known "active, disabled, retired"
}

words! {
    /// How a plugin came to the platform.
    PluginSource {
        /// From the server's plugin folder.
        Bundled = "bundled",
        /// By an operator's command.
        Installed = "installed",
    } known "bundled, installed"
}

words! {
    /// What a plugin may be granted beyond conversion.
    Capability {
        /// Sockets to the task's target alone.
        Network = "network",
        /// The time.
        Clock = "clock",
        /// Random bytes.
        Randomness = "randomness",
    } known "network, clock, randomness"
}

words! {
    /// What a run of a plugin may use up.
    PluginLimit {
        /// All memories of one run.
        MemoryBytes = "memory-bytes",
        /// Wall time of one run.
        DeadlineSeconds = "deadline-seconds",
        /// Findings kept of one run.
        FindingsMax = "findings-max",
        /// Their text together.
        FindingBytesMax = "finding-bytes-max",
        /// All artifacts of one run together.
        ArtifactBytesMax = "artifact-bytes-max",
        /// Log lines kept of one run.
        LogLinesMax = "log-lines-max",
        /// Runs at a time in one worker process.
        InstancesMax = "instances-max",
    } known "memory-bytes, deadline-seconds, findings-max, finding-bytes-max, artifact-bytes-max, \
            log-lines-max, instances-max"
}

impl PluginLimit {
    /// What its number counts.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::MemoryBytes | Self::FindingBytesMax | Self::ArtifactBytesMax => "bytes",
            Self::DeadlineSeconds => "seconds",
            Self::FindingsMax => "findings",
            Self::LogLinesMax => "lines",
            Self::InstancesMax => "instances",
        }
    }
}

/// A value for each [`PluginLimit`], or none: then somebody else's holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LimitSet {
    values: [Option<u64>; PluginLimit::ALL.len()],
}

impl LimitSet {
    /// No limit is said.
    pub const NONE: Self = Self {
        values: [None; PluginLimit::ALL.len()],
    };

    /// What is said about one limit.
    pub const fn get(&self, limit: PluginLimit) -> Option<u64> {
        self.values[limit as usize]
    }

    /// The same with one limit said, or no longer.
    #[must_use]
    pub const fn with(mut self, limit: PluginLimit, value: Option<u64>) -> Self {
        self.values[limit as usize] = value;
        self
    }

    /// Of each limit the smaller value that is said.
    #[must_use]
    pub fn tightest(self, other: Self) -> Self {
        PluginLimit::ALL.iter().fold(self, |set, &limit| {
            let smaller = [self.get(limit), other.get(limit)].into_iter().flatten().min();
            set.with(limit, smaller)
        })
    }

    /// The limits that are said.
    pub fn said(&self) -> impl Iterator<Item = (PluginLimit, u64)> {
        let set = *self;
        PluginLimit::ALL
            .iter()
            .filter_map(move |&limit| set.get(limit).map(|value| (limit, value)))
    }
}

/// Why a plugin stands where it stands among those of its scan type; the smaller is asked first.
///
/// One that does not recognise its input lets the next one try, so that choosing one plugin takes nothing
/// away that only another one reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// The tenant chose it.
    TenantChoice,
    /// The operator chose it for everybody.
    PlatformChoice,
    /// It came with the server; those are asked by name.
    Bundled,
    /// It was installed; the longest installed is asked first.
    Installed,
}

impl Precedence {
    /// Of a plugin of `source`.
    pub const fn of(source: PluginSource, tenant_chose_it: bool, platform_chose_it: bool) -> Self {
        if tenant_chose_it {
            Self::TenantChoice
        } else if platform_chose_it {
            Self::PlatformChoice
        } else {
            match source {
                PluginSource::Bundled => Self::Bundled,
                PluginSource::Installed => Self::Installed,
            }
        }
    }
}

/// The SHA-256 of a component: which bytes run, whatever their name. Written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ComponentDigest([u8; 32]);

/// Not 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in lower-case hex")]
pub struct NotADigest;

impl ComponentDigest {
    /// Of these bytes.
    pub fn of(component: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(component).into())
    }

    /// The bytes of the hash.
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for ComponentDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for ComponentDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let bytes = hex::decode(text).map_err(|_| NotADigest)?;
        let digest = Self(bytes.try_into().map_err(|_| NotADigest)?);
        // upper case would be a second name of the same bytes
        (digest.to_string() == text).then_some(digest).ok_or(NotADigest)
    }
}

impl TryFrom<String> for ComponentDigest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<ComponentDigest> for String {
    fn from(digest: ComponentDigest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for ComponentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for &limit in PluginLimit::ALL {
            assert_eq!(limit.as_str().parse(), Ok(limit));
        }
        for &capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(capability));
        }
        for &state in PluginState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("Network".parse::<Capability>().is_err());
    }

    #[test]
    fn the_smaller_of_two_limits_holds_and_silence_holds_nobody() {
        let plan = LimitSet::NONE
            .with(PluginLimit::MemoryBytes, Some(100))
            .with(PluginLimit::InstancesMax, Some(2));
        let plugin = LimitSet::NONE
            .with(PluginLimit::MemoryBytes, Some(50))
            .with(PluginLimit::LogLinesMax, Some(7));
        let both: Vec<_> = plan.tightest(plugin).said().collect();
        assert_eq!(
            both,
            [
                (PluginLimit::MemoryBytes, 50),
                (PluginLimit::LogLinesMax, 7),
                (PluginLimit::InstancesMax, 2)
            ]
        );
        assert_eq!(plan.tightest(plugin), plugin.tightest(plan));
        assert_eq!(LimitSet::NONE.tightest(LimitSet::NONE), LimitSet::NONE);
    }

    #[test]
    fn a_choice_of_the_tenant_goes_before_the_platforms_and_both_before_what_came_with_the_server() {
        let installed = PluginSource::Installed;
        let order = [
            Precedence::of(installed, true, true),
            Precedence::of(installed, false, true),
            Precedence::of(PluginSource::Bundled, false, false),
            Precedence::of(installed, false, false),
        ];
        assert!(order.is_sorted());
        assert_eq!(order[0], Precedence::TenantChoice);
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = ComponentDigest::of(b"");
        let text = digest.to_string();
        assert!(text.starts_with("e3b0c442"), "{text}");
        assert_eq!(text.parse(), Ok(digest));
        for bad in [text.to_uppercase(), text[1..].to_owned(), String::new()] {
            assert_eq!(bad.parse::<ComponentDigest>(), Err(NotADigest), "{bad}");
        }
    }
}
