//! From a project's sources to its component, by the tools of its language.
//!
//! Nothing is packed twice: what went into a component is remembered beside it as one digest of sources,
//! tools and `tamiz`. Cargo knows by itself what is to be built, also outside of the project's folder.
//!
//! Not here: whether the component may run. The caller loads it with the real host.

mod inputs;
mod packed;
mod rust;

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::child::ChildError;
use super::file_error::{FileError, cannot};
use super::manifest::Language;
use super::project::Project;
use super::tools::ToolError;

/// A component, in bytes: what the host accepts is less.
const COMPONENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool of the language is missing.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// No Rust that can build for wasm.
    #[error("{0}")]
    Toolchain(String),
    /// A tool failed; its output is in the text.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The sources are more than a plugin's.
    #[error("{} has more than {limit} {what} of sources; is something in it that should be in target/?", folder.display())]
    TooMuch {
        /// Files or bytes.
        what: &'static str,
        /// How many are looked at.
        limit: u64,
        /// The project.
        folder: PathBuf,
    },
    /// The manifest names no file that is there.
    #[error("the entry {entry} is not in {}", folder.display())]
    NoEntry {
        /// As the manifest says.
        entry: String,
        /// The project.
        folder: PathBuf,
    },
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The component.
    pub component: PathBuf,
    /// Whether it was there already, of the same sources.
    pub unchanged: bool,
    /// What the author should know.
    pub notes: Vec<String>,
}

/// Builds the project, unless nothing changed.
///
/// # Errors
/// [`BuildError`].
pub fn build(project: &Project) -> Result<Built, BuildError> {
    let entry = &project.manifest.entry;
    if !project.folder.join(entry).is_file() {
        return Err(BuildError::NoEntry {
            entry: entry.clone(),
            folder: project.folder.clone(),
        });
    }
    let component = project.component();
    let target = project.folder.join("target");
    fs::create_dir_all(&target).map_err(cannot("make", &target))?;
    let packing = match project.manifest.language {
        Language::Rust => {
            let made = rust::Toolchain::choose(&project.folder)?.build(project)?;
            return put(&made, component, Vec::new());
        }
        Language::Python => packed::Packing::python(project)?,
        Language::Javascript => packed::Packing::javascript(project)?,
    };
    let mark = component.with_extension("inputs");
    let digest = inputs::digest(project, &packing.identity())?;
    if component.is_file() && fs::read_to_string(&mark).is_ok_and(|mark| mark == digest) {
        return Ok(Built {
            component,
            unchanged: true,
            notes: Vec::new(),
        });
    }
    remove(&mark)?;
    let made = component.with_extension("wasm.packed");
    remove(&made)?;
    let notes = packing.build(project, &made)?;
    let mut built = put(&made, component, notes)?;
    built.unchanged = false;
    remove(&made)?;
    fs::write(&mark, digest).map_err(cannot("write", &mark))?;
    Ok(built)
}

/// Puts what a tool made where the component belongs.
fn put(made: &Path, component: PathBuf, notes: Vec<String>) -> Result<Built, BuildError> {
    let length = fs::metadata(made).map_err(cannot("find", made))?.len();
    if length > COMPONENT_BYTES_MAX {
        return Err(cannot("use", made)(io::ErrorKind::FileTooLarge.into()).into());
    }
    let bytes = fs::read(made).map_err(cannot("read", made))?;
    let unchanged = fs::read(&component).is_ok_and(|before| before == bytes);
    if !unchanged {
        let fresh = component.with_extension("wasm.new");
        remove(&fresh)?;
        fs::write(&fresh, bytes).map_err(cannot("write", &fresh))?;
        // Renamed into place: whoever reads it now sees the old or the new one, never half.
        fs::rename(&fresh, &component).map_err(cannot("write", &component))?;
    }
    Ok(Built {
        component,
        unchanged,
        notes,
    })
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path)(error).into()),
        _ => Ok(()),
    }
}
