//! Python and JavaScript: one tool packs the sources with their interpreter into a component.
//!
//! Without capabilities the tool leaves WASI out altogether; with them the component imports it, and the
//! host gives what was granted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::BuildError;
use crate::author::child;
use crate::author::project::Project;
use crate::author::tools::{COMPONENTIZE_PY, JCO, Tool};

/// Packing takes seconds; a first one on a slow disk, a minute.
const PACK_LIMIT: Duration = Duration::from_mins(10);
/// The world of `wit/scanner.wit`.
const WORLD: &str = "scanner";

/// How one project is packed.
pub(super) struct Packing {
    tool: &'static Tool,
    program: PathBuf,
    wants_wasi: bool,
}

impl Packing {
    pub(super) fn python(project: &Project) -> Result<Self, BuildError> {
        Self::by(&COMPONENTIZE_PY, project)
    }

    pub(super) fn javascript(project: &Project) -> Result<Self, BuildError> {
        Self::by(&JCO, project)
    }

    fn by(tool: &'static Tool, project: &Project) -> Result<Self, BuildError> {
        Ok(Self {
            tool,
            program: tool.find(&project.folder)?,
            wants_wasi: !project.manifest.capabilities.is_empty(),
        })
    }

    pub(super) fn identity(&self) -> String {
        format!(
            "{} {} {}",
            self.tool.program,
            self.program.display(),
            self.wants_wasi
        )
    }

    pub(super) fn build(&self, project: &Project, output: &Path) -> Result<Vec<String>, BuildError> {
        let entry = project.manifest.entry.as_str();
        let mut command = Command::new(&self.program);
        command.current_dir(&project.folder);
        command.args(if self.tool == &COMPONENTIZE_PY {
            python(entry, self.wants_wasi)
        } else {
            javascript(entry, self.wants_wasi)
        });
        command.arg("-o").arg(output);
        child::run(command, PACK_LIMIT)?;
        Ok(self.tool.version_note(&self.program).into_iter().collect())
    }
}

/// `sub/convert.py` is the module `convert` in the folder `sub`.
fn python(entry: &str, wants_wasi: bool) -> Vec<String> {
    let (folder, file) = entry.rsplit_once('/').unwrap_or((".", entry));
    let module = file.strip_suffix(".py").unwrap_or(file);
    let mut arguments = words(&[
        "-q",
        "-d",
        "wit",
        "-w",
        WORLD,
        "componentize",
        "-p",
        folder,
        "-p",
        ".",
    ]);
    if !wants_wasi {
        arguments.push("--stub-wasi".to_owned());
    }
    arguments.push(module.to_owned());
    arguments
}

fn javascript(entry: &str, wants_wasi: bool) -> Vec<String> {
    let mut arguments = words(&["componentize", entry, "--wit", "wit", "--world-name", WORLD]);
    // The world has no asynchronous function; the runtime for them would only be larger.
    arguments.extend(words(&["--backend", "quickjs", "--backend-qjs-disable-async"]));
    if !wants_wasi {
        arguments.push("--backend-qjs-stub-wasi".to_owned());
    }
    arguments
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasi_is_left_out_unless_capabilities_are_wanted() {
        assert!(python("convert.py", false).contains(&"--stub-wasi".to_owned()));
        assert!(!python("convert.py", true).contains(&"--stub-wasi".to_owned()));
        assert!(javascript("convert.js", false).contains(&"--backend-qjs-stub-wasi".to_owned()));
        assert!(!javascript("convert.js", true).contains(&"--backend-qjs-stub-wasi".to_owned()));
    }

    #[test]
    fn an_entry_in_a_folder_is_a_module_of_that_folder() {
        let arguments = python("src/convert.py", false);
        assert_eq!(arguments.last().map(String::as_str), Some("convert"));
        assert!(
            arguments.windows(2).any(|pair| pair == ["-p", "src"]),
            "{arguments:?}"
        );
    }
}
