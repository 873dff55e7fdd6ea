//! Plugins of the registry named as people do.

use tamiz_core::plugin::PluginState;
use tamiz_store::ControlTx;
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::plugin::operate;

use super::super::CliError;
use super::super::operator::away;

/// Characters of a digest that are shown, and that name a plugin well enough.
pub(super) const SHORT: usize = 12;
/// Fewer would name another plugin tomorrow.
const PREFIX_CHARACTERS_MIN: usize = 4;

/// The plugin that `name` means: the beginning of an id or digest, `NAME@VERSION`, or a name that only one
/// has.
///
/// # Errors
/// [`CliError::Failed`] when there is none, or more than one; then they are listed.
pub(super) async fn find(tx: &mut ControlTx, name: &str) -> Result<InstalledPlugin, CliError> {
    let plugins = operate::named(tx, name, prefix(name).as_deref())
        .await
        .map_err(away)?;
    pick(plugins, name)
}

fn pick(plugins: Vec<InstalledPlugin>, name: &str) -> Result<InstalledPlugin, CliError> {
    let mut found: Vec<_> = plugins
        .into_iter()
        .filter(|plugin| is_meant(plugin, name))
        .collect();
    // the one that is not retired is meant, unless it is named by its very bytes
    if found.len() > 1 {
        found.retain(|plugin| plugin.state != PluginState::Retired);
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(CliError::Failed(format!(
            "no installed plugin is named {name}; see `tamiz plugin list`"
        ))),
        _ => {
            let listed: Vec<String> = found.iter().map(in_words).collect();
            Err(CliError::Failed(format!(
                "{name} is one of {}; say its id",
                listed.join(", ")
            )))
        }
    }
}

fn is_meant(plugin: &InstalledPlugin, name: &str) -> bool {
    let begins = prefix(name).is_some_and(|prefix| {
        plugin.id.to_string().starts_with(&prefix) || plugin.sha256.to_string().starts_with(&prefix)
    });
    begins || plugin.name == name || name.split_once('@') == Some((&plugin.name, &plugin.version))
}

/// The name as the beginning of an id or digest, if it is long enough for one.
fn prefix(name: &str) -> Option<String> {
    (name.len() >= PREFIX_CHARACTERS_MIN).then(|| name.to_ascii_lowercase())
}

/// A plugin in a sentence: `clippy 1.0.0 (plugin 0192…)`.
pub(super) fn in_words(plugin: &InstalledPlugin) -> String {
    format!("{} {} (plugin {})", plugin.name, plugin.version, plugin.id)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use tamiz_core::plugin::{ComponentDigest, LimitSet, PluginSource};
    use tamiz_core::{PluginId, ScanType};

    use super::*;

    fn plugin(name: &str, version: &str, state: PluginState) -> InstalledPlugin {
        InstalledPlugin {
            id: PluginId::fresh(),
            tenant: None,
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: ComponentDigest::of(version.as_bytes()),
            size_bytes: 1,
            world: "1.0".to_owned(),
            scan_type: ScanType::parse("codeaudit").unwrap(),
            formats: Vec::new(),
            options_schema: json!({}),
            wanted: Vec::new(),
            granted: Vec::new(),
            source: PluginSource::Installed,
            origin: String::new(),
            signed_by: None,
            state,
            installed_at: DateTime::UNIX_EPOCH,
            limits: LimitSet::NONE,
            chosen_by_tenant: false,
            chosen_by_platform: false,
        }
    }

    #[test]
    fn a_plugin_is_named_by_id_digest_version_or_a_name_that_only_one_has() {
        let plugins = vec![
            plugin("clippy", "2.0.0", PluginState::Active),
            plugin("clippy", "1.0.0", PluginState::Retired),
            plugin("ruff", "1.0.0", PluginState::Active),
            plugin("ruff", "2.0.0", PluginState::Disabled),
        ];
        let id = plugins[3].id.to_string();
        for (name, version) in [
            (&*id, "2.0.0"),
            ("clippy@1.0.0", "1.0.0"),
            ("clippy", "2.0.0"),
            ("ruff@1.0.0", "1.0.0"),
        ] {
            assert_eq!(pick(plugins.clone(), name).unwrap().version, version, "{name}");
        }
        let digest = plugins[1].sha256.to_string();
        let clippys = plugins[..2].to_vec();
        assert_eq!(pick(clippys, &digest[..SHORT]).unwrap().version, "1.0.0");
        let error = pick(plugins.clone(), "ruff").unwrap_err().to_string();
        assert!(error.contains(&id) && error.contains("ruff 1.0.0"), "{error}");
        for unknown in ["nobody", "clippy@3", "", "0"] {
            let error = pick(plugins.clone(), unknown).unwrap_err().to_string();
            assert!(error.contains("tamiz plugin list"), "{error}");
        }
    }
}
