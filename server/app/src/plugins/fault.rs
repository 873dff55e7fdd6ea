//! What a failed call says about its plugin: a stable reason, and the limit if one was overstepped.
//!
//! Limits that an operator can change have the words of `tamiz plugin limit`; those of the host alone have
//! words of their own.

use tamiz_core::plugin::PluginLimit;
use tamiz_core::{OversteppedLimit, PluginFault};
use tamiz_host::ConvertFailure;

/// The fault behind `failure`.
pub(crate) fn fault(failure: &ConvertFailure) -> PluginFault {
    PluginFault {
        reason: failure.code().to_owned(),
        limit: limit(failure),
    }
}

fn limit(failure: &ConvertFailure) -> Option<OversteppedLimit> {
    match failure {
        ConvertFailure::Deadline { seconds } => Some(adjustable(PluginLimit::DeadlineSeconds, *seconds)),
        ConvertFailure::OutOfMemory { limit_bytes } => {
            Some(adjustable(PluginLimit::MemoryBytes, *limit_bytes))
        }
        ConvertFailure::OverLimit { what, limit } => Some(match *what {
            "findings" => adjustable(PluginLimit::FindingsMax, *limit),
            "bytes of findings" => adjustable(PluginLimit::FindingBytesMax, *limit),
            "bytes of artifacts" => adjustable(PluginLimit::ArtifactBytesMax, *limit),
            "log lines" => adjustable(PluginLimit::LogLinesMax, *limit),
            "artifacts" => fixed("artifacts", *limit, "artifacts"),
            "handles at a time" | "record readers at a time" => fixed("handles", *limit, "handles"),
            "diagnostics" => fixed("diagnostics", *limit, "diagnostics"),
            "inputs" => fixed("inputs", *limit, "inputs"),
            "bytes of log lines" => fixed("log-bytes", *limit, "bytes"),
            "bytes of one input" => fixed("input-bytes", *limit, "bytes"),
            bytes if bytes.starts_with("bytes") => fixed("call-bytes", *limit, "bytes"),
            _ => fixed("calls", *limit, "calls"),
        }),
        _ => None,
    }
}

fn adjustable(limit: PluginLimit, value: u64) -> OversteppedLimit {
    fixed(limit.as_str(), value, limit.unit())
}

fn fixed(name: &str, value: u64, unit: &str) -> OversteppedLimit {
    OversteppedLimit {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_the_operator_sets_it() {
        let overstepped = |what| {
            let failure = ConvertFailure::OverLimit { what, limit: 7 };
            limit(&failure).map(|limit| (limit.name, limit.value, limit.unit))
        };
        for (what, name, unit) in [
            ("findings", "findings-max", "findings"),
            ("bytes of artifacts", "artifact-bytes-max", "bytes"),
            ("log lines", "log-lines-max", "lines"),
            ("artifacts", "artifacts", "artifacts"),
            ("bytes handed over in one call", "call-bytes", "bytes"),
            ("calls without effect", "calls", "calls"),
            ("handles at a time", "handles", "handles"),
        ] {
            assert_eq!(
                overstepped(what),
                Some((name.to_owned(), 7, unit.to_owned())),
                "{what}"
            );
        }
        let trap = fault(&ConvertFailure::StackOverflow);
        assert_eq!((&*trap.reason, trap.limit), ("plugin-stack-overflow", None));
    }
}
