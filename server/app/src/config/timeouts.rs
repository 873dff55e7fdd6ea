//! How long one attempt at a task may take, by scan type.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use tamiz_core::ScanType;

use super::value;

/// The longest time that a task or its scan type may be given: a week is longer than any scan, the limit is
/// there for what hangs.
pub const TASK_TIMEOUT_SECONDS_MAX: u64 = 604_800;

/// How long one attempt at a task may take whose order does not say it.
#[derive(Debug, Clone)]
pub struct TaskTimeouts {
    others: Duration,
    by_type: BTreeMap<ScanType, Duration>,
}

impl TaskTimeouts {
    pub(super) fn new(others: Duration, by_type: Vec<TypeTimeout>) -> Self {
        let by_type = by_type.into_iter();
        let by_type = by_type.map(|TypeTimeout(scan_type, timeout)| (scan_type, timeout));
        Self {
            others,
            by_type: by_type.collect(),
        }
    }

    /// That of a scan type.
    pub fn of(&self, scan_type: &ScanType) -> Duration {
        self.by_type.get(scan_type).copied().unwrap_or(self.others)
    }
}

/// One scan type's: `web=2h`.
#[derive(Debug)]
pub(super) struct TypeTimeout(ScanType, Duration);

impl FromStr for TypeTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "scan types with durations from 1s to 7d such as web=2h,ssl=10m".to_owned();
        let (scan_type, timeout) = text.split_once('=').ok_or_else(rule)?;
        let scan_type = ScanType::parse(scan_type.trim()).map_err(|_| rule())?;
        let timeout = value::duration(timeout)?;
        let bounds = Duration::from_secs(1)..=Duration::from_secs(TASK_TIMEOUT_SECONDS_MAX);
        if !bounds.contains(&timeout) {
            return Err(rule());
        }
        Ok(Self(scan_type, timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_type_has_its_own_time_or_that_of_all_others() {
        let web = "web = 2h".parse().unwrap();
        let timeouts = TaskTimeouts::new(Duration::from_mins(5), vec![web]);
        let of = |word: &str| timeouts.of(&ScanType::parse(word).unwrap());
        assert_eq!(
            (of("web"), of("ssl")),
            (Duration::from_hours(2), Duration::from_mins(5))
        );
        for bad in ["web", "web=", "=1h", "Web=1h", "web=0s", "web=8d", "web=200h"] {
            assert!(bad.parse::<TypeTimeout>().is_err(), "{bad}");
        }
    }
}
