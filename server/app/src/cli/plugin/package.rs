//! `tamiz plugin package`: a plugin as an OCI image layout, and what every command packages.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tamiz_host::Plugin;

use super::super::{CliError, answer, error, open};
use super::registry_access::failed;
use crate::author::Project;
use crate::config::Config;
use crate::oci::{self, About, Artifact, COMPONENT_BYTES_MAX};

/// What is packaged, and where to.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// The component, or a plugin's folder
    path: PathBuf,
    /// Where to: a file that ends in `.tar`, or a folder that is not there yet
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
}

pub(super) fn run(args: &PackageArgs, config: &Config) -> Result<(), CliError> {
    let artifact = artifact(&args.path, config)?;
    let written = if args.output.extension().is_some_and(|ending| ending == "tar") {
        oci::write_tar(&artifact, &args.output)
    } else if args.output.exists() {
        let text = format!("{} is there already", args.output.display());
        return Err(CliError::Usage(text));
    } else {
        oci::write_folder(&artifact, &args.output)
    };
    written.map_err(|error| failed(&error))?;
    answer::print(&format!(
        "package  {}\ndigest   {}\n",
        args.output.display(),
        artifact.digest()
    ))
}

/// The artifact of a component, or of a plugin's folder: checked by the host, with what it says about
/// itself and what its `tamiz-plugin.toml` adds.
///
/// # Errors
/// [`CliError`] when it cannot be read, is no plugin, or its parts disagree.
pub(super) fn artifact(path: &Path, config: &Config) -> Result<Artifact, CliError> {
    let (file, mut about) = if path.is_dir() {
        project(path)?
    } else {
        (path.to_owned(), About::default())
    };
    let bytes = read(&file)?;
    let plugin =
        Plugin::from_bytes(&open::host(config)?, &bytes).map_err(|error| CliError::failed(&error))?;
    let says = plugin.description();
    let same = about.title == says.name && about.version == says.version;
    if path.is_dir() && !same {
        return Err(CliError::Failed(format!(
            "tamiz-plugin.toml says {} {}, the component {} {}: build it again",
            about.title, about.version, says.name, says.version
        )));
    }
    about.title.clone_from(&says.name);
    about.version.clone_from(&says.version);
    Artifact::new(bytes, &about).map_err(|error| failed(&error))
}

/// A component's bytes, not more than are ever compiled.
///
/// # Errors
/// [`CliError::Usage`] when there are none or too many.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| CliError::Usage(format!("{} cannot be read: {error}", path.display())))?;
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        let text = format!("{} has more than {COMPONENT_BYTES_MAX} bytes", path.display());
        return Err(CliError::Usage(text));
    }
    Ok(bytes)
}

/// The built component of a project, and what its manifest says.
fn project(folder: &Path) -> Result<(PathBuf, About), CliError> {
    let project = Project::open(folder).map_err(|error| CliError::Usage(error::chain(&error)))?;
    let component = project.component();
    if !component.is_file() {
        let text = format!("{} is not built: run `tamiz plugin build`", folder.display());
        return Err(CliError::Usage(text));
    }
    let manifest = project.manifest;
    let about = About {
        title: manifest.name,
        version: manifest.version,
        licenses: manifest.license,
        source: manifest.homepage,
        description: manifest.description,
    };
    Ok((component, about))
}
