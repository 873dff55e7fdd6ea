//! Limits of plugins on the command line: `memory-bytes=128MiB findings-max=default`.

use tamiz_core::plugin::{LimitSet, PluginLimit};

use super::{CliError, parse_word};
use crate::config::{parse_count, parse_duration, parse_size, show_size};

/// What takes a limit away again.
const DEFAULT: &str = "default";

/// What `--help` says about the pairs.
pub(super) const HELP: &str = "\
Limits: memory-bytes, deadline-seconds, findings-max, finding-bytes-max, artifact-bytes-max,
log-lines-max, instances-max (at a time in one worker process). Sizes may be written as 128MiB,
times as 90s or 5m; `default` takes a limit away. Of a plugin's, its tenant's plan's and the
platform's limit the smallest holds.";

/// `set` with what `pairs` say.
///
/// # Errors
/// [`CliError::Usage`] names the pair and what it must be.
pub(super) fn apply(mut set: LimitSet, pairs: &[String]) -> Result<LimitSet, CliError> {
    for pair in pairs {
        let (limit, value) = parse(pair).map_err(|rule| CliError::Usage(format!("{pair}: {rule}")))?;
        set = set.with(limit, value);
    }
    Ok(set)
}

fn parse(pair: &str) -> Result<(PluginLimit, Option<u64>), String> {
    let Some((word, value)) = pair.split_once('=') else {
        return Err("must be LIMIT=VALUE, such as memory-bytes=128MiB".to_owned());
    };
    let limit: PluginLimit = parse_word(word)?;
    if value == DEFAULT {
        return Ok((limit, None));
    }
    let parsed = match limit.unit() {
        "bytes" => parse_size(value),
        "seconds" => parse_duration(value).and_then(|duration| match duration.subsec_nanos() {
            0 => Ok(duration.as_secs()),
            _ => Err("whole seconds".to_owned()),
        }),
        _ => parse_count(value),
    };
    match parsed {
        Ok(0) => Err("must be more than 0".to_owned()),
        Ok(number) if i64::try_from(number).is_err() => Err("is more than can be kept".to_owned()),
        Ok(number) => Ok((limit, Some(number))),
        Err(rule) => Err(format!("must be {rule}")),
    }
}

/// The limits as they are written, or `none of its own`.
pub(super) fn show(set: &LimitSet) -> String {
    let said: Vec<String> = set
        .said()
        .map(|(limit, value)| match limit.unit() {
            "bytes" => format!("{limit}={}", show_size(value)),
            "seconds" => format!("{limit}={value}s"),
            _ => format!("{limit}={value}"),
        })
        .collect();
    if said.is_empty() {
        "none of its own".to_owned()
    } else {
        said.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[&str]) -> Result<LimitSet, CliError> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        apply(LimitSet::NONE, &pairs)
    }

    #[test]
    fn limits_are_written_as_people_write_sizes_and_times_and_read_back() {
        let set = given(&["memory-bytes=128MiB", "deadline-seconds=5m", "findings-max=1_000"]).unwrap();
        assert_eq!(
            show(&set),
            "memory-bytes=128MiB deadline-seconds=300s findings-max=1000"
        );
        let pairs: Vec<String> = show(&set).split(' ').map(str::to_owned).collect();
        assert_eq!(apply(LimitSet::NONE, &pairs).unwrap(), set);
        let without = apply(set, &["memory-bytes=default".to_owned()]).unwrap();
        assert_eq!(show(&without), "deadline-seconds=300s findings-max=1000");
        assert_eq!(show(&LimitSet::NONE), "none of its own");
    }

    #[test]
    fn a_mistake_says_what_the_limit_must_be() {
        for (pair, words) in [
            ("memory-bytes", "LIMIT=VALUE"),
            ("memory=1", "memory-bytes, deadline-seconds"),
            ("memory-bytes=much", "a size such as"),
            ("deadline-seconds=500ms", "whole seconds"),
            ("findings-max=0", "more than 0"),
            ("findings-max=99999999999999999999", "whole number"),
        ] {
            let error = given(&[pair]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
