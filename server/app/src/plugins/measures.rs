//! What is counted about runs of plugins.
//!
//! A plugin's name is a third party's word and becomes a label, so only names of the registry get here, and
//! of those only so many.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tamiz_host::PlanError;

use super::fault::fault;

/// Names that have labels of their own; more are counted as [`REST`]. An installation has a dozen.
const NAMES_MAX: usize = 200;
/// No plugin is called that: names are plain words.
const REST: &str = "(other)";

static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A run that is going on; counted among the instances until it is dropped.
#[derive(Debug)]
pub(crate) struct Run {
    plugin: String,
}

impl Run {
    /// Of the installed plugin `name`.
    pub(crate) fn begin(name: &str) -> Self {
        let plugin = labelled(name);
        metrics::gauge!("tamiz_plugin_instances", "plugin" => plugin.clone()).increment(1.0);
        Self { plugin }
    }

    /// It ended like this; `limit` is the one that it overstepped.
    pub(crate) fn end(self, outcome: &'static str, limit: Option<&str>, took: Duration) {
        let plugin = self.plugin.clone();
        ended(&plugin, outcome);
        metrics::histogram!("tamiz_plugin_run_seconds", "plugin" => plugin.clone())
            .record(took.as_secs_f64());
        if let Some(limit) = limit {
            violated(plugin, limit);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        metrics::gauge!("tamiz_plugin_instances", "plugin" => self.plugin.clone()).decrement(1.0);
    }
}

/// The installed plugin `name` made no plan. Only its own failures count: a plan that is made is followed by
/// a conversion, and refusing bad options is good work.
pub(crate) fn plan_failed(name: &str, error: &PlanError) {
    let PlanError::Failed(failure) = error else {
        return;
    };
    if failure.is_the_hosts() {
        return;
    }
    let plugin = labelled(name);
    ended(&plugin, failure.code());
    if let Some(limit) = fault(failure).limit {
        violated(plugin, &limit.name);
    }
}

/// The installed plugin `name` could not even start, for this `reason`.
pub(crate) fn not_started(name: &str, reason: &'static str) {
    ended(&labelled(name), reason);
}

/// The installed plugin `name` stood at `limit` for so long that its task was put off.
pub(crate) fn overstepped(name: &str, limit: &'static str) {
    violated(labelled(name), limit);
}

fn ended(plugin: &str, outcome: &'static str) {
    let plugin = plugin.to_owned();
    metrics::counter!("tamiz_plugin_runs_total", "plugin" => plugin, "outcome" => outcome).increment(1);
}

fn violated(plugin: String, limit: &str) {
    let limit = limit.to_owned();
    metrics::counter!("tamiz_plugin_violations_total", "plugin" => plugin, "limit" => limit).increment(1);
}

fn labelled(name: &str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    label(&mut names, name).to_owned()
}

fn label<'a>(names: &mut BTreeSet<String>, name: &'a str) -> &'a str {
    if names.contains(name) {
        return name;
    }
    if names.len() == NAMES_MAX {
        return REST;
    }
    names.insert(name.to_owned());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_are_counted_as_one_rest() {
        let mut names = BTreeSet::new();
        for number in 0..NAMES_MAX + 5 {
            let name = format!("plugin-{number}");
            let expected = if number < NAMES_MAX { &*name } else { REST };
            assert_eq!(label(&mut names, &name), expected);
        }
        assert_eq!(label(&mut names, "plugin-0"), "plugin-0");
        assert_eq!(names.len(), NAMES_MAX);
    }
}
