//! Finding the tools that pack Python and JavaScript: a variable, then `PATH`, then `.tools/` of a
//! checkout above the project or above the current folder.
//!
//! The versions are pinned because what they make is tested with them: another one is used, with a note.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::child;

/// A tool says its version at once; one that does not is broken.
const VERSION_LIMIT: Duration = Duration::from_mins(1);

/// A tool that packs plugins of one language.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// What it is called on `PATH`.
    pub program: &'static str,
    /// The version that plugins are tested with.
    pub version: &'static str,
    /// The variable that names it.
    pub variable: &'static str,
    /// Where `scripts/setup-plugins` puts it.
    pub in_checkout: &'static str,
    /// How a person installs it.
    pub install: &'static str,
}

/// Packs Python.
pub const COMPONENTIZE_PY: Tool = Tool {
    program: "componentize-py",
    version: "0.25.1",
    variable: "TAMIZ_COMPONENTIZE_PY",
    in_checkout: ".tools/componentize-py/bin/componentize-py",
    install: "pip install componentize-py==0.25.1",
};

/// Packs JavaScript, with `QuickJS`.
pub const JCO: Tool = Tool {
    program: "jco",
    version: "1.35.0",
    variable: "TAMIZ_JCO",
    in_checkout: ".tools/jco/node_modules/.bin/jco",
    install: "npm install --global @bytecodealliance/jco@1.35.0",
};

/// Why there is no tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Nowhere.
    #[error(
        "{program} is not installed: `{install}`, or `scripts/setup-plugins` in a checkout of Tamiz; {variable} may name it"
    )]
    Missing {
        /// The tool.
        program: &'static str,
        /// The command.
        install: &'static str,
        /// The variable.
        variable: &'static str,
    },
    /// The variable is wrong.
    #[error("{variable} names {}, where no program is", path.display())]
    Variable {
        /// The variable.
        variable: &'static str,
        /// What it says.
        path: PathBuf,
    },
}

impl Tool {
    /// Where the tool is, for a project in `folder`.
    ///
    /// # Errors
    /// [`ToolError`].
    pub fn find(&self, folder: &Path) -> Result<PathBuf, ToolError> {
        let here = env::current_dir().unwrap_or_default();
        let found = self.search(env::var_os(self.variable), env::var_os("PATH"), &[folder, &here])?;
        // It is started in the project's folder, where a relative path would lead elsewhere.
        Ok(std::path::absolute(&found).unwrap_or(found))
    }

    fn search(
        &self,
        named: Option<OsString>,
        path: Option<OsString>,
        folders: &[&Path],
    ) -> Result<PathBuf, ToolError> {
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            let path = PathBuf::from(named);
            return if path.is_file() {
                Ok(path)
            } else {
                let variable = self.variable;
                Err(ToolError::Variable { variable, path })
            };
        }
        let on_path = path
            .iter()
            .flat_map(env::split_paths)
            .map(|folder| folder.join(self.program));
        let above = folders.iter().flat_map(|folder| folder.ancestors());
        let in_checkouts = above.map(|folder| folder.join(self.in_checkout));
        let mut candidates = on_path.chain(in_checkouts);
        candidates.find(|path| path.is_file()).ok_or(ToolError::Missing {
            program: self.program,
            install: self.install,
            variable: self.variable,
        })
    }

    /// A note when the tool at `path` is another version than the tested one.
    pub fn version_note(&self, path: &Path) -> Option<String> {
        let mut command = Command::new(path);
        command.arg("--version");
        let said = child::run(command, VERSION_LIMIT).unwrap_or_else(|error| error.to_string());
        let version = said.split_whitespace().last().unwrap_or("no version");
        (version != self.version).then(|| {
            format!(
                "{} says {version}; plugins are tested with {}",
                self.program, self.version
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_variable_comes_before_the_path_and_the_path_before_a_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let own = put("own/tool");
        let on_path = put("bin/jco");
        let in_checkout = put(".tools/jco/node_modules/.bin/jco");
        let path = Some(OsString::from(folder.path().join("bin")));
        let below = folder.path().join("plugins/mine");
        let search = |named: Option<&PathBuf>, path: Option<OsString>| {
            JCO.search(named.map(|named| named.clone().into()), path, &[&below])
                .unwrap()
        };
        assert_eq!(search(Some(&own), path.clone()), own);
        assert_eq!(search(None, path), on_path);
        assert_eq!(search(None, None), in_checkout);
    }

    #[test]
    fn a_missing_tool_says_the_command_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = COMPONENTIZE_PY
            .search(None, None, &[folder.path()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("`pip install componentize-py==0.25.1`"), "{error}");
        let gone = Some(folder.path().join("gone").into());
        let error = JCO.search(gone, None, &[]).unwrap_err().to_string();
        assert!(error.starts_with("TAMIZ_JCO names "), "{error}");
    }

    #[test]
    fn a_person_and_the_checkout_install_the_tested_versions() {
        for tool in [COMPONENTIZE_PY, JCO] {
            assert!(tool.install.ends_with(tool.version), "{tool:?}");
        }
        let requirements = include_str!("../../../../scripts/plugin-requirements.txt");
        assert!(requirements.contains(&format!("componentize-py=={}\n", COMPONENTIZE_PY.version)));
        let packages = include_str!("../../../../plugins/packing/package.json");
        assert!(packages.contains(&format!("\"@bytecodealliance/jco\": \"{}\"", JCO.version)));
    }
}
