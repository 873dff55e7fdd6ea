//! What a run may use up, from everybody who has a say: the platform's configuration, the tenant's plan,
//! the plugin's own row. The smallest value holds.

use std::time::Duration;

use tamiz_core::plugin::{LimitSet, PluginLimit};
use tamiz_host::RunLimits;

use crate::config::PluginSettings;

/// The platform's own limits; it has none for instances, of which the worker's slots are the most.
pub(crate) fn of_platform(settings: &PluginSettings) -> LimitSet {
    let run = RunLimits::default();
    let deadline_seconds = settings.deadline.as_millis().div_ceil(1_000);
    LimitSet::NONE
        .with(PluginLimit::MemoryBytes, Some(settings.memory_bytes_max))
        .with(
            PluginLimit::DeadlineSeconds,
            Some(u64::try_from(deadline_seconds).unwrap_or(u64::MAX)),
        )
        .with(PluginLimit::FindingsMax, Some(u64::from(run.findings_max)))
        .with(PluginLimit::FindingBytesMax, Some(run.finding_bytes_max))
        .with(PluginLimit::ArtifactBytesMax, Some(run.artifact_bytes_max))
        .with(PluginLimit::LogLinesMax, Some(u64::from(run.log_lines_max)))
}

/// The limits of one run by `set`, which has all that [`of_platform`] has.
pub(crate) fn of_run(settings: &PluginSettings, set: &LimitSet) -> RunLimits {
    let run = RunLimits::default();
    let small = |limit, otherwise: u32| {
        set.get(limit)
            .map_or(otherwise, |value| u32::try_from(value).unwrap_or(u32::MAX))
    };
    let seconds = set.get(PluginLimit::DeadlineSeconds).unwrap_or(u64::MAX);
    let memory_bytes = set
        .get(PluginLimit::MemoryBytes)
        .unwrap_or(settings.memory_bytes_max);
    RunLimits {
        memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
        deadline: settings.deadline.min(Duration::from_secs(seconds)),
        findings_max: small(PluginLimit::FindingsMax, run.findings_max),
        finding_bytes_max: set
            .get(PluginLimit::FindingBytesMax)
            .unwrap_or(run.finding_bytes_max),
        artifact_bytes_max: set
            .get(PluginLimit::ArtifactBytesMax)
            .unwrap_or(run.artifact_bytes_max),
        log_lines_max: small(PluginLimit::LogLinesMax, run.log_lines_max),
        ..run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_of_all_limits_holds_for_the_run() {
        let settings = PluginSettings {
            dir: "plugins".into(),
            cache_dir: "cache".into(),
            memory_bytes_max: 64 << 20,
            deadline: Duration::from_millis(1_500),
        };
        let platform = of_platform(&settings);
        assert_eq!(platform.get(PluginLimit::DeadlineSeconds), Some(2));
        assert_eq!(
            of_run(&settings, &platform).deadline,
            Duration::from_millis(1_500)
        );

        let said = LimitSet::NONE
            .with(PluginLimit::DeadlineSeconds, Some(1))
            .with(PluginLimit::MemoryBytes, Some(1 << 40))
            .with(PluginLimit::FindingsMax, Some(7));
        let run = of_run(&settings, &platform.tightest(said));
        assert_eq!(run.deadline, Duration::from_secs(1));
        assert_eq!(
            run.memory_bytes,
            64 << 20,
            "nobody is given more than the platform has"
        );
        assert_eq!(
            (run.findings_max, run.log_lines_max),
            (7, RunLimits::default().log_lines_max)
        );
    }
}
