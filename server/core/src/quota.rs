//! What a tenant may use: the names of the limits, whose value holds, when there is room again.
//!
//! A limit's value is the tenant's own if an operator said one, else its plan's, else the platform's. A
//! limit that nobody says and that has no default does not exist for the tenant.
//!
//! Not here: the limits of one run of a plugin (see [`crate::plugin`]), and counting (store).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, RefusalCode};
use crate::severity::UnknownWord;
use crate::task::ScanType;

/// Usage is counted in windows of so many seconds: short enough for a sliding hour that is at most a twelfth
/// too strict, long enough for 288 rows a day.
pub const WINDOW_SECONDS: i64 = 300;

/// Running at once: more than the slots of one large worker. Weights share the workers; this only keeps a
/// flood from holding all of a large crew.
pub const TASKS_RUNNING_DEFAULT: u64 = 64;
/// Waiting at once: a repository with thousands of packages scanned in one go still fits, an endless loop
/// in somebody's pipeline does not.
pub const TASKS_QUEUED_DEFAULT: u64 = 10_000;
/// Asked for in an hour: nearly three a second, which no honest pipeline keeps up.
pub const TASKS_PER_HOUR_DEFAULT: u64 = 10_000;
/// Asked for in a day: five hours at the hourly limit.
pub const TASKS_PER_DAY_DEFAULT: u64 = 50_000;
/// Of the API: fifty a second over all clients of the tenant; each client has its own limit before it.
pub const REQUESTS_PER_MINUTE_DEFAULT: u64 = 3_000;
/// Kept bytes: a disk of a small server with room to spare, two hundred of the largest uploads.
pub const STORED_BYTES_DEFAULT: u64 = 100 << 30;
/// Of language models in a day: a few hundred reviewed findings, so that a mistake costs an evening's money.
pub const TOKENS_PER_DAY_DEFAULT: u64 = 1_000_000;
/// Of language models in a month: ten full days.
pub const TOKENS_PER_MONTH_DEFAULT: u64 = 10_000_000;
/// The highest priority: all of them, because priority orders the tenant's own tasks.
pub const PRIORITY_DEFAULT: u64 = crate::limits::PRIORITY_MAX as u64;
/// Shares of the workers: in the middle, so that operators can go both ways.
pub const WEIGHT_DEFAULT: u64 = 100;
/// The largest weight: a hundred times the default, more would starve the others in effect.
const WEIGHT_MAX: u64 = 10_000;
/// The longest retention in days: a century, beyond which dates stop being exact.
const RETENTION_DAYS_MAX: u64 = 36_500;
/// The most that a count may be: what the queue's integer columns hold.
const COUNT_MAX: u64 = i32::MAX as u64;
/// The most bytes and tokens: what the database's integers hold.
const AMOUNT_MAX: u64 = i64::MAX as u64;

/// One limit of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaLimit {
    /// Tasks running at once.
    TasksRunning,
    /// Tasks waiting or put off at once.
    TasksQueued,
    /// Tasks asked for in a sliding hour; also how many may be started in one.
    TasksPerHour,
    /// Tasks asked for in a sliding day; also how many may be started in one.
    TasksPerDay,
    /// Requests to the API in a minute.
    RequestsPerMinute,
    /// One upload.
    UploadBytes,
    /// All uploads and artifacts together, equal bytes once.
    StoredBytes,
    /// Tokens of language models in a sliding day.
    TokensPerDay,
    /// Tokens of language models in thirty sliding days.
    TokensPerMonth,
    /// How long ended tasks and what belongs to them are kept.
    RetentionDays,
    /// The highest priority that a task may have.
    PriorityMax,
    /// The tenant's share of the workers against the weights of others.
    Weight,
}

impl QuotaLimit {
    /// All, in the order in which they are shown.
    pub const ALL: &'static [Self] = &[
        Self::TasksRunning,
        Self::TasksQueued,
        Self::TasksPerHour,
        Self::TasksPerDay,
        Self::RequestsPerMinute,
        Self::UploadBytes,
        Self::StoredBytes,
        Self::TokensPerDay,
        Self::TokensPerMonth,
        Self::RetentionDays,
        Self::PriorityMax,
        Self::Weight,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TasksRunning => "tasks-running",
            Self::TasksQueued => "tasks-queued",
            Self::TasksPerHour => "tasks-per-hour",
            Self::TasksPerDay => "tasks-per-day",
            Self::RequestsPerMinute => "requests-per-minute",
            Self::UploadBytes => "upload-bytes",
            Self::StoredBytes => "stored-bytes",
            Self::TokensPerDay => "tokens-per-day",
            Self::TokensPerMonth => "tokens-per-month",
            Self::RetentionDays => "retention-days",
            Self::PriorityMax => "priority-max",
            Self::Weight => "weight",
        }
    }

    /// What holds where neither tenant nor plan says anything; `None` is no limit.
    pub const fn platform_default(self) -> Option<u64> {
        Some(match self {
            Self::TasksRunning => TASKS_RUNNING_DEFAULT,
            Self::TasksQueued => TASKS_QUEUED_DEFAULT,
            Self::TasksPerHour => TASKS_PER_HOUR_DEFAULT,
            Self::TasksPerDay => TASKS_PER_DAY_DEFAULT,
            Self::RequestsPerMinute => REQUESTS_PER_MINUTE_DEFAULT,
            Self::StoredBytes => STORED_BYTES_DEFAULT,
            Self::TokensPerDay => TOKENS_PER_DAY_DEFAULT,
            Self::TokensPerMonth => TOKENS_PER_MONTH_DEFAULT,
            Self::PriorityMax => PRIORITY_DEFAULT,
            Self::Weight => WEIGHT_DEFAULT,
            // the server's setting holds for uploads; nothing is deleted unless somebody says so
            Self::UploadBytes | Self::RetentionDays => return None,
        })
    }

    /// The smallest and the largest value that may be said. Zero stops a tenant where that makes sense.
    pub const fn range(self) -> (u64, u64) {
        match self {
            Self::TasksRunning | Self::TasksQueued | Self::TasksPerHour | Self::TasksPerDay => (0, COUNT_MAX),
            Self::RequestsPerMinute => (1, COUNT_MAX),
            Self::UploadBytes => (1, AMOUNT_MAX),
            Self::StoredBytes | Self::TokensPerDay | Self::TokensPerMonth => (0, AMOUNT_MAX),
            Self::RetentionDays => (1, RETENTION_DAYS_MAX),
            Self::PriorityMax => (0, PRIORITY_DEFAULT),
            Self::Weight => (1, WEIGHT_MAX),
        }
    }

    /// Whether its number counts bytes.
    pub const fn is_bytes(self) -> bool {
        matches!(self, Self::UploadBytes | Self::StoredBytes)
    }
}

impl fmt::Display for QuotaLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A limit, or the limit on running tasks of one scan type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuotaName {
    /// Of everything.
    Of(QuotaLimit),
    /// Running at once of this scan type; written `tasks-running.web`.
    TasksRunningOf(ScanType),
}

impl QuotaName {
    /// The limit whose rules hold for its value.
    pub const fn limit(&self) -> QuotaLimit {
        match self {
            Self::Of(limit) => *limit,
            Self::TasksRunningOf(_) => QuotaLimit::TasksRunning,
        }
    }
}

impl From<QuotaLimit> for QuotaName {
    fn from(limit: QuotaLimit) -> Self {
        Self::Of(limit)
    }
}

impl fmt::Display for QuotaName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(limit) => formatter.pad(limit.as_str()),
            Self::TasksRunningOf(scan_type) => {
                formatter.pad(&format!("{}.{scan_type}", QuotaLimit::TasksRunning))
            }
        }
    }
}

/// The words of [`QuotaLimit::ALL`], for a person who wrote another one.
const KNOWN: &str = "tasks-running, tasks-running.SCAN-TYPE, tasks-queued, tasks-per-hour, tasks-per-day, \
                     requests-per-minute, upload-bytes, stored-bytes, tokens-per-day, tokens-per-month, \
                     retention-days, priority-max, weight";

impl FromStr for QuotaName {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let unknown = || UnknownWord {
            word: crate::text::cut(text, 100).to_owned(),
            known: KNOWN,
        };
        if let Some((limit, scan_type)) = text.split_once('.') {
            let scan_type = ScanType::parse(scan_type).map_err(|_| unknown())?;
            let fits = limit == QuotaLimit::TasksRunning.as_str();
            return fits
                .then_some(Self::TasksRunningOf(scan_type))
                .ok_or_else(unknown);
        }
        let found = QuotaLimit::ALL.iter().find(|limit| limit.as_str() == text);
        found.map(|&limit| Self::Of(limit)).ok_or_else(unknown)
    }
}

/// Limits that a plan or an operator says; the rest is left to whoever comes next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaSet(BTreeMap<QuotaName, u64>);

impl QuotaSet {
    /// What is said about one limit.
    pub fn get(&self, name: &QuotaName) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Says one limit, or takes it back.
    pub fn say(&mut self, name: QuotaName, value: Option<u64>) {
        match value {
            Some(value) => _ = self.0.insert(name, value),
            None => _ = self.0.remove(&name),
        }
    }

    /// The limits that are said, by name.
    pub fn said(&self) -> impl Iterator<Item = (&QuotaName, u64)> {
        self.0.iter().map(|(name, &value)| (name, value))
    }
}

/// Who said the value that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaOrigin {
    /// An operator, for this tenant.
    Tenant,
    /// Its plan.
    Plan,
    /// Nobody: it is the platform's default.
    Platform,
}

impl QuotaOrigin {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Plan => "plan",
            Self::Platform => "platform",
        }
    }
}

/// The limits of one tenant as they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveQuota(BTreeMap<QuotaName, (u64, QuotaOrigin)>);

impl EffectiveQuota {
    /// The tenant's own value, else its plan's, else the platform's.
    pub fn of(own: &QuotaSet, plan: &QuotaSet) -> Self {
        let defaults = QuotaLimit::ALL.iter().filter_map(|&limit| {
            let value = limit.platform_default()?;
            Some((QuotaName::Of(limit), (value, QuotaOrigin::Platform)))
        });
        let said = |set: &QuotaSet, origin| -> Vec<_> {
            set.said()
                .map(|(name, value)| (name.clone(), (value, origin)))
                .collect()
        };
        // later ones replace earlier ones
        let all = defaults
            .chain(said(plan, QuotaOrigin::Plan))
            .chain(said(own, QuotaOrigin::Tenant));
        Self(all.collect())
    }

    /// What holds; `None` is no limit.
    pub fn value(&self, limit: QuotaLimit) -> Option<u64> {
        self.0.get(&QuotaName::Of(limit)).map(|&(value, _)| value)
    }

    /// All limits that hold, with where each came from.
    pub fn all(&self) -> impl Iterator<Item = (&QuotaName, u64, QuotaOrigin)> {
        self.0
            .iter()
            .map(|(name, &(value, origin))| (name, value, origin))
    }

    /// The limits on running tasks of one scan type each.
    pub fn running_of_types(&self) -> impl Iterator<Item = (&ScanType, u64)> {
        self.0.iter().filter_map(|(name, &(value, _))| match name {
            QuotaName::TasksRunningOf(scan_type) => Some((scan_type, value)),
            QuotaName::Of(_) => None,
        })
    }
}

/// What was counted in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// When the window began.
    pub window_start: DateTime<Utc>,
    /// How many.
    pub count: u64,
}

/// Whether `asked` more fit into `limit` over the `span` that ends now.
///
/// `counted` are the windows that end after `now - span`, oldest first; the oldest counts whole though only
/// a part of it lies in the span, so the limit is never passed, and is at most one window too strict.
///
/// # Errors
/// How much is used, and when so much of it will have gone that `asked` fit; never, if they exceed the limit
/// by themselves.
pub fn fits_sliding(
    counted: &[Counted],
    span: TimeDelta,
    limit: u64,
    asked: u64,
) -> Result<(), (u64, Option<DateTime<Utc>>)> {
    let used: u64 = counted.iter().map(|window| window.count).sum();
    if used.saturating_add(asked) <= limit {
        return Ok(());
    }
    let mut left = used;
    let room = counted.iter().find(|window| {
        left -= window.count;
        left.saturating_add(asked) <= limit
    });
    let window = TimeDelta::seconds(WINDOW_SECONDS);
    Err((used, room.map(|last| last.window_start + window + span)))
}

/// A limit that is reached, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedLimit {
    /// The word of a [`QuotaName`].
    pub name: String,
    /// What it is.
    pub value: u64,
    /// How much of it is used.
    pub used: u64,
    /// When there is room again; not known where it takes the end of a task or somebody's deletion.
    pub room_at: Option<DateTime<Utc>>,
}

/// Why a tenant may not have more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, {used} are used")]
pub struct QuotaRefusal {
    /// Which limit.
    pub name: QuotaName,
    /// What it is.
    pub value: u64,
    /// How much of it is used.
    pub used: u64,
    /// How much more was asked for.
    pub asked: u64,
    /// When there is room again.
    pub room_at: Option<DateTime<Utc>>,
}

impl From<QuotaRefusal> for Refusal {
    fn from(refused: QuotaRefusal) -> Self {
        let QuotaRefusal {
            name,
            value,
            used,
            asked,
            room_at,
        } = refused;
        let when = match (&room_at, name.limit()) {
            (Some(at), _) => format!("there is room again at {}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            (None, QuotaLimit::TasksQueued) => "there is room when tasks begin or are cancelled".to_owned(),
            (None, QuotaLimit::StoredBytes) => "there is room when something is deleted".to_owned(),
            (None, _) => "only a change of the limit helps".to_owned(),
        };
        let message =
            format!("the limit {name} is {value}; {used} are used and {asked} more do not fit: {when}");
        let mut refusal = Refusal::new(RefusalCode::QuotaExceeded, message);
        refusal.limit = Some(Box::new(ReachedLimit {
            name: name.to_string(),
            value,
            used,
            room_at,
        }));
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn counted(windows: &[(i64, u64)]) -> Vec<Counted> {
        windows
            .iter()
            .map(|&(minute, count)| Counted {
                window_start: at(minute),
                count,
            })
            .collect()
    }

    #[test]
    fn the_tenants_value_holds_before_the_plans_and_the_platforms() {
        let (mut own, mut plan) = (QuotaSet::default(), QuotaSet::default());
        plan.say(QuotaLimit::TasksRunning.into(), Some(4));
        plan.say(QuotaLimit::TasksQueued.into(), Some(50));
        own.say(QuotaLimit::TasksRunning.into(), Some(8));
        own.say("tasks-running.web".parse().unwrap(), Some(2));
        let holds = EffectiveQuota::of(&own, &plan);
        let of = |word: &str| {
            let name: QuotaName = word.parse().unwrap();
            let found = holds.all().find(|(known, ..)| **known == name);
            found.map(|(_, value, origin)| (value, origin))
        };
        assert_eq!(of("tasks-running"), Some((8, QuotaOrigin::Tenant)));
        assert_eq!(of("tasks-running.web"), Some((2, QuotaOrigin::Tenant)));
        assert_eq!(of("tasks-queued"), Some((50, QuotaOrigin::Plan)));
        assert_eq!(of("weight"), Some((WEIGHT_DEFAULT, QuotaOrigin::Platform)));
        assert_eq!(of("retention-days"), None);
        own.say(QuotaLimit::TasksRunning.into(), None);
        let holds = EffectiveQuota::of(&own, &plan);
        assert_eq!(holds.value(QuotaLimit::TasksRunning), Some(4));
    }

    #[test]
    fn every_name_is_read_as_it_is_written_and_another_one_names_them() {
        for limit in QuotaLimit::ALL {
            assert_eq!(limit.as_str().parse(), Ok(QuotaName::Of(*limit)));
            assert!(KNOWN.contains(limit.as_str()));
            let (least, most) = limit.range();
            assert!(
                limit
                    .platform_default()
                    .is_none_or(|value| (least..=most).contains(&value))
            );
        }
        for bad in ["tasks", "tasks-queued.web", "tasks-running.", "weight.web"] {
            assert!(bad.parse::<QuotaName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sliding_limit_counts_the_oldest_window_whole_and_knows_when_it_goes() {
        let hour = TimeDelta::hours(1);
        let windows = counted(&[(0, 3), (30, 4), (55, 2)]);
        assert_eq!(fits_sliding(&windows, hour, 10, 1), Ok(()));
        assert_eq!(fits_sliding(&windows, hour, 9, 1), Err((9, Some(at(65)))));
        // 7 more need the window of minute 30 gone, too
        assert_eq!(fits_sliding(&windows, hour, 9, 7), Err((9, Some(at(95)))));
        assert_eq!(fits_sliding(&windows, hour, 9, 10), Err((9, None)));
        assert_eq!(fits_sliding(&[], hour, 0, 1), Err((0, None)));
        assert_eq!(fits_sliding(&[], hour, 5, 5), Ok(()));
    }

    #[test]
    fn a_refusal_says_the_limit_what_is_used_and_when_there_is_room() {
        let refused = QuotaRefusal {
            name: QuotaLimit::TasksPerHour.into(),
            value: 9,
            used: 9,
            asked: 1,
            room_at: Some(at(65)),
        };
        let refusal = Refusal::from(refused);
        assert_eq!(refusal.code, "QUOTA_EXCEEDED");
        let words =
            "the limit tasks-per-hour is 9; 9 are used and 1 more do not fit: there is room again at 2027";
        assert!(refusal.message.starts_with(words), "{}", refusal.message);
        let limit = refusal.limit.unwrap();
        assert_eq!((limit.value, limit.used, limit.room_at), (9, 9, Some(at(65))));
    }
}
