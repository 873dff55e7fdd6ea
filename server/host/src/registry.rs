//! The plugins of one folder, by name.
//!
//! Not here: versions, zones and promotion; which folders hold trusted plugins is the caller's choice.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::Host;
use crate::failure::PluginError;
use crate::plugin::Plugin;

/// Components in one folder: far more than any installation has.
const PLUGINS_MAX: usize = 256;

/// Why a folder of plugins could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The folder itself.
    #[error("could not list the plugin folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Too many files.
    #[error("the plugin folder {} has more than {PLUGINS_MAX} components", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
    },
}

/// Loaded plugins, ordered by name.
#[derive(Debug, Default)]
pub struct Registry {
    /// Each with its file.
    plugins: Vec<(PathBuf, Arc<Plugin>)>,
    refused: Vec<(PathBuf, PluginError)>,
}

impl Registry {
    /// Loads every `*.wasm` of `folder`. One that is refused does not hinder the others; see
    /// [`Registry::refused`].
    ///
    /// # Errors
    /// [`RegistryError`] when the folder cannot be listed.
    pub fn load_folder(host: &Host, folder: &Path) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for path in components_of(folder)? {
            match Plugin::load(host, &path) {
                Ok(plugin) => registry.add(path, plugin),
                Err(error) => {
                    tracing::error!(path = %path.display(), error = &error as &dyn std::error::Error, "plugin refused");
                    registry.refused.push((path, error));
                }
            }
        }
        registry
            .plugins
            .sort_by(|(_, one), (_, other)| one.description().name.cmp(&other.description().name));
        Ok(registry)
    }

    fn add(&mut self, path: PathBuf, plugin: Plugin) {
        let name = plugin.description().name.clone();
        if self.by_name(&name).is_some() {
            let message = format!("another component in the folder is named {name}, too");
            self.refused.push((path, PluginError::Description { message }));
        } else {
            self.plugins.push((path, Arc::new(plugin)));
        }
    }

    /// All plugins, by name.
    pub fn plugins(&self) -> impl ExactSizeIterator<Item = &Arc<Plugin>> {
        self.plugins.iter().map(|(_, plugin)| plugin)
    }

    /// All plugins, by name, and the files that they were loaded from.
    pub fn files(&self) -> &[(PathBuf, Arc<Plugin>)] {
        &self.plugins
    }

    /// Components of the folder that are no plugins, and why.
    pub fn refused(&self) -> &[(PathBuf, PluginError)] {
        &self.refused
    }

    /// The plugin of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.plugins().find(|plugin| plugin.description().name == name)
    }
}

fn components_of(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let failed = |source| RegistryError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
        if paths.len() > PLUGINS_MAX {
            return Err(RegistryError::TooMany {
                folder: folder.to_owned(),
            });
        }
    }
    paths.sort();
    Ok(paths)
}
