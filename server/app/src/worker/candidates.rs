//! The plugins that may serve a task: those that it remembers from when it was ordered, as they may run now.
//!
//! What an operator changed meanwhile holds: a plugin that is disabled does not run any more, limits and
//! grants are those of now. What somebody chose meanwhile does not matter: the task keeps its version.
//!
//! Not here: the run itself (`convert`), and the component's way into memory (`crate::plugins`).

use std::sync::Arc;

use tamiz_core::plugin::{LimitSet, PluginState};
use tamiz_core::{PluginFault, Refusal, RefusalCode};
use tamiz_host::{Plugin, RunLimits};
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::task::Task;

use super::attempt::Bench;
use super::failure::Failure;
use crate::flow::serve_attempt::Serving;
use crate::plugins::LoadError;
use crate::plugins::measures;

/// Why a task whose plugins were all switched off fails.
const DISABLED: &str = "plugin-disabled";
/// Why a task fails whose plugins nobody knows any more.
const MISSING: &str = "plugin-missing";

/// The plugins of one task, in the order in which they are asked, and what its tenant may use up.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(super) plugins: Vec<Arc<InstalledPlugin>>,
    plan: LimitSet,
}

impl Candidates {
    /// What the plugins of the tenant may use up together.
    pub(super) const fn plan(&self) -> &LimitSet {
        &self.plan
    }
}

/// What may serve `task` now; never empty.
pub(super) async fn of_task(bench: &Bench, task: &Task) -> Result<Candidates, Failure> {
    let Serving { plan, plugins } = bench.stop.unless_stopped(bench.desk.plugins(task)).await?;
    if plugins.is_empty() && task.payload.plugins.is_empty() {
        let message = format!("no plugin serves {}", bench.scan_type);
        return Err(Failure::refused(RefusalCode::UnsupportedScanType, message));
    }
    let enabled: Vec<_> = plugins
        .iter()
        .filter(|plugin| plugin.state != PluginState::Disabled)
        .cloned()
        .map(Arc::new)
        .collect();
    if enabled.is_empty() {
        return Err(none_left(&plugins, task));
    }
    Ok(Candidates {
        plugins: enabled,
        plan,
    })
}

fn none_left(plugins: &[InstalledPlugin], task: &Task) -> Failure {
    if let Some(plugin) = plugins.first() {
        let message = format!("{} is disabled by the operator", called(plugin));
        return broken(&plugin.name, DISABLED, message);
    }
    let name = task.payload.plugins.first().map_or("", |plugin| &plugin.name);
    let message = "the plugin of this task is not installed any more".to_owned();
    broken(name, MISSING, message)
}

/// The component of `plugin`, loaded; what hinders it in the task's words.
pub(super) async fn load(bench: &Bench, plugin: &InstalledPlugin) -> Result<Arc<Plugin>, Failure> {
    let loading = async {
        let (desk, plugins) = (&bench.desk, &bench.plugins);
        let loaded = desk.load(plugins, plugin.sha256, plugin.size_bytes).await;
        loaded.map_err(|error| not_loaded(plugin, error))
    };
    bench.stop.unless_stopped(loading).await
}

fn not_loaded(plugin: &InstalledPlugin, error: LoadError) -> Failure {
    let Some(reason) = error.reason() else {
        return Failure::may_pass("loading the plugin", error);
    };
    tracing::error!(plugin = plugin.name, sha256 = %plugin.sha256,
        error = &error as &dyn std::error::Error, "a plugin cannot be loaded");
    let message = format!("{} cannot run: {error}", called(plugin));
    broken(&plugin.name, reason, message)
}

/// The failure of a task whose plugin could not start, counted.
fn broken(name: &str, reason: &'static str, message: String) -> Failure {
    measures::not_started(name, reason);
    Failure::Plugin {
        refusal: Refusal::new(RefusalCode::PluginFailed, message),
        fault: Box::new(PluginFault {
            reason: reason.to_owned(),
            limit: None,
        }),
    }
}

fn called(plugin: &InstalledPlugin) -> String {
    format!("the plugin {} {}", plugin.name, plugin.version)
}

/// What a run of `plugin` for this task may use up.
pub(super) fn limits_of(bench: &Bench, plugin: &InstalledPlugin) -> RunLimits {
    let plan = *bench.candidates.plan();
    bench.plugins.limits(plan, plugin)
}
