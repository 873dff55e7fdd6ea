//! From a project's sources to its component, by the tools of its language.
//!
//! What went into a component is remembered beside it as one digest: the same sources, the same tools
//! and the same `tamiz` are not built twice.
//!
//! Not here: whether the component may run. The caller loads it with the real host.

mod inputs;
mod packed;
mod rust;

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::child::ChildError;
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
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
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
    // No linker writes through a link to elsewhere: what is there goes first.
    let mark = component.with_extension("inputs");
    let recipe = match project.manifest.language {
        Language::Rust => Recipe::Rust(rust::Toolchain::choose(&project.folder)?),
        Language::Python => Recipe::Packed(packed::Packing::python(project)?),
        Language::Javascript => Recipe::Packed(packed::Packing::javascript(project)?),
    };
    let digest = inputs::digest(project, &recipe.identity())?;
    if component.is_file() && fs::read_to_string(&mark).is_ok_and(|mark| mark == digest) {
        return Ok(Built {
            component,
            unchanged: true,
            notes: Vec::new(),
        });
    }
    remove(&mark)?;
    let fresh = component.with_extension("wasm.new");
    remove(&fresh)?;
    let notes = match &recipe {
        Recipe::Rust(toolchain) => toolchain.build(project, &fresh)?,
        Recipe::Packed(packing) => packing.build(project, &fresh)?,
    };
    let made = fs::metadata(&fresh).map_err(cannot("find", &fresh))?;
    if made.len() > COMPONENT_BYTES_MAX {
        return Err(cannot("use", &fresh)(io::ErrorKind::FileTooLarge.into()));
    }
    // Renamed into place: whoever reads it now sees the old or the new one, never half.
    fs::rename(&fresh, &component).map_err(cannot("write", &component))?;
    fs::write(&mark, digest).map_err(cannot("write", &mark))?;
    Ok(Built {
        component,
        unchanged: false,
        notes,
    })
}

enum Recipe {
    Rust(rust::Toolchain),
    Packed(packed::Packing),
}

impl Recipe {
    /// What would make another component of the same sources.
    fn identity(&self) -> String {
        match self {
            Self::Rust(toolchain) => toolchain.identity(),
            Self::Packed(packing) => packing.identity(),
        }
    }
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot("remove", path)(error)),
        _ => Ok(()),
    }
}

fn cannot(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::File { what, path, source }
}
