//! One digest of everything that a component is made from: the project's files and the recipe.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BuildError;
use crate::author::file_error::cannot;
use crate::author::project::Project;

/// Files of one project: a vendored SDK has a hundred.
const FILES_MAX: usize = 20_000;
/// All of them together, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Folders inside each other.
const DEPTH_MAX: usize = 32;
/// What goes into no component: what was built, what is converted, what tools keep.
const LEFT_OUT: &[&str] = &["target", "cases", "__pycache__", "node_modules"];

/// The digest of the project's sources and of the recipe, in hex.
pub(super) fn digest(project: &Project, recipe: &str) -> Result<String, BuildError> {
    let mut files = Vec::new();
    walk(project, &project.folder, 0, &mut files)?;
    files.sort();
    let mut all = Sha256::new();
    // Which `tamiz` it is: the recipe's flags are in its code.
    all.update(env!("CARGO_PKG_VERSION"));
    add(&mut all, recipe.as_bytes());
    let mut bytes = 0_u64;
    for path in files {
        let inner = path.strip_prefix(&project.folder).unwrap_or(&path);
        add(&mut all, inner.as_os_str().as_encoded_bytes());
        let mut one = Sha256::new();
        let mut file = File::open(&path).map_err(cannot("read", &path))?;
        bytes += io::copy(&mut file, &mut Writer(&mut one)).map_err(cannot("read", &path))?;
        if bytes > BYTES_MAX {
            return Err(too_much("bytes", BYTES_MAX, project));
        }
        all.update(one.finalize());
    }
    Ok(hex::encode(all.finalize()))
}

/// With its length, so that two parts are never taken for one.
fn add(all: &mut Sha256, part: &[u8]) {
    all.update((part.len() as u64).to_le_bytes());
    all.update(part);
}

/// `Sha256` takes bytes, `io::copy` wants a writer.
struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Files below a folder. Links are followed, because tools follow them; the limits end a circle of them.
fn walk(project: &Project, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    if depth > DEPTH_MAX {
        return Err(too_much("folders deep", DEPTH_MAX as u64, project));
    }
    for entry in fs::read_dir(folder).map_err(cannot("read", folder))? {
        let entry = entry.map_err(cannot("read", folder))?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if hidden || LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let path = entry.path();
        // A link to nowhere is nobody's source.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => walk(project, &path, depth + 1, files)?,
            Ok(metadata) if metadata.is_file() => files.push(path),
            _ => {}
        }
        if files.len() > FILES_MAX {
            return Err(too_much("files", FILES_MAX as u64, project));
        }
    }
    Ok(())
}

fn too_much(what: &'static str, limit: u64, project: &Project) -> BuildError {
    BuildError::TooMuch {
        what,
        limit,
        folder: project.folder.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::manifest::Language;
    use crate::author::project::NewProject;

    #[test]
    fn only_sources_and_the_recipe_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let hello = NewProject {
            name: "hello".to_owned(),
            language: Language::Python,
            scan_type: "codeaudit".to_owned(),
        };
        hello.create(folder.path()).unwrap();
        let project = Project::open(folder.path()).unwrap();
        let first = digest(&project, "a").unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        fs::write(folder.path().join("target/hello.wasm"), "x").unwrap();
        fs::write(folder.path().join("cases/more.jsonl"), "{}").unwrap();
        assert_eq!(digest(&project, "a").unwrap(), first);
        assert_ne!(digest(&project, "b").unwrap(), first);
        fs::write(folder.path().join("more.py"), "").unwrap();
        assert_ne!(digest(&project, "a").unwrap(), first);
    }
}
