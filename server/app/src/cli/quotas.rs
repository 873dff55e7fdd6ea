//! What tenants may use on the command line: `tasks-running=8 tasks-running.web=2 stored-bytes=default`.

use tamiz_core::quota::{EffectiveQuota, QuotaName, QuotaSet};

use super::{CliError, answer, parse_word};
use crate::config::{parse_count, parse_size, show_size};

/// What takes a limit away again.
const DEFAULT: &str = "default";

/// What `--help` says about the pairs.
pub(super) const HELP: &str = "\
What a tenant may use: tasks-running, tasks-running.SCAN-TYPE, tasks-queued, tasks-per-hour,
tasks-per-day, requests-per-minute, upload-bytes, stored-bytes, tokens-per-day, tokens-per-month,
retention-days (how long ended tasks are kept; for ever, if not said), priority-max (0 to 100),
weight (share of the workers, 100 is everybody's). A tenant's own value holds before its plan's, and
that before the platform's; `default` takes a value away. Sizes may be written as 128MiB.";

/// Whether the pair is one of these, and not a limit of plugins.
pub(super) fn is_quota(pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(word, _)| word.parse::<QuotaName>().is_ok())
}

/// Says in `set` what `pairs` say.
///
/// # Errors
/// [`CliError::Usage`] names the pair and what it must be.
pub(super) fn apply(set: &mut QuotaSet, pairs: &[String]) -> Result<(), CliError> {
    for pair in pairs {
        let (name, value) = parse(pair).map_err(|rule| CliError::Usage(format!("{pair}: {rule}")))?;
        set.say(name, value);
    }
    Ok(())
}

fn parse(pair: &str) -> Result<(QuotaName, Option<u64>), String> {
    let Some((word, value)) = pair.split_once('=') else {
        return Err("must be LIMIT=VALUE, such as tasks-running=8".to_owned());
    };
    let name: QuotaName = parse_word(word)?;
    if value == DEFAULT {
        return Ok((name, None));
    }
    let limit = name.limit();
    let parsed = if limit.is_bytes() {
        parse_size(value)
    } else {
        parse_count(value)
    };
    let number = parsed.map_err(|rule| format!("must be {rule}"))?;
    let (least, most) = limit.range();
    if (least..=most).contains(&number) {
        Ok((name, Some(number)))
    } else {
        Err(format!("must be {least} to {most}"))
    }
}

/// One value as it is written.
pub(super) fn show_value(name: &QuotaName, value: u64) -> String {
    if name.limit().is_bytes() {
        show_size(value)
    } else {
        value.to_string()
    }
}

/// The limits as they are written, or nothing.
pub(super) fn show(set: &QuotaSet) -> String {
    let said: Vec<String> = set
        .said()
        .map(|(name, value)| format!("{name}={}", show_value(name, value)))
        .collect();
    said.join(" ")
}

/// What holds for a tenant, with where each came from, as a table.
pub(super) fn table(holds: &EffectiveQuota) -> String {
    let mut table = answer::table(["LIMIT", "VALUE", "FROM"]);
    for (name, value, origin) in holds.all() {
        let value = show_value(name, value);
        table.add_row([name.to_string(), value, origin.as_str().to_owned()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[&str]) -> Result<QuotaSet, CliError> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let mut set = QuotaSet::default();
        apply(&mut set, &pairs)?;
        Ok(set)
    }

    #[test]
    fn limits_are_written_as_people_write_them_and_read_back() {
        let mut set = given(&["tasks-running=8", "tasks-running.web=2", "stored-bytes=10GiB"]).unwrap();
        let words = "tasks-running=8 stored-bytes=10GiB tasks-running.web=2";
        assert_eq!(show(&set), words);
        let pairs: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let mut again = QuotaSet::default();
        apply(&mut again, &pairs).unwrap();
        assert_eq!(again, set);
        apply(&mut set, &["tasks-running=default".to_owned()]).unwrap();
        assert_eq!(show(&set), "stored-bytes=10GiB tasks-running.web=2");
    }

    #[test]
    fn a_mistake_says_what_the_limit_must_be() {
        for (pair, words) in [
            ("tasks-running", "LIMIT=VALUE"),
            ("tasks=1", "tasks-running, tasks-running.SCAN-TYPE"),
            ("stored-bytes=much", "a size such as"),
            ("priority-max=101", "0 to 100"),
            ("weight=0", "1 to 10000"),
            ("tasks-queued=99999999999", "0 to 2147483647"),
        ] {
            let error = given(&[pair]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
