//! What a run needs before its box is made: output files, the files that it reads, settings, a door.
//!
//! Everything lies in the run's own scratch folder, and goes with it.

use std::io;
use std::path::{Path, PathBuf};

use super::boxed;
use super::catalogue::{Network, is_word};
use super::door::outside::Outside;
use super::door::{self, Reach};
use super::files::{self, Found};
use super::probe::Tool;
use super::run::{ToolError, ToolOutput, ToolRequest};

/// Outputs of one run: one report, or a few of a tool that writes several.
pub(super) const OUTPUTS_MAX: usize = 16;
/// The output that is the tool's own stdout, for tools that write their report there.
pub(super) const STDOUT: &str = "stdout";

/// Makes the empty files that the box mounts as outputs.
pub(super) async fn prepare_outputs(
    tool: &str,
    request: ToolRequest<'_>,
) -> Result<Vec<(String, PathBuf)>, ToolError> {
    let system = |source| ToolError::System {
        tool: tool.to_owned(),
        doing: "making its output files",
        source,
    };
    let folder = request.scratch.join("out");
    tokio::fs::create_dir(&folder).await.map_err(system)?;
    let mut outputs: Vec<(String, PathBuf)> = Vec::with_capacity(request.outputs.len());
    for ToolOutput { name, .. } in request.outputs.iter().filter(|output| output.name != STDOUT) {
        if !is_word(name) || outputs.len() == OUTPUTS_MAX || outputs.iter().any(|(other, _)| other == name) {
            return Err(ToolError::Outputs {
                tool: tool.to_owned(),
                name: name.clone(),
            });
        }
        let path = folder.join(name);
        tokio::fs::File::create_new(&path).await.map_err(system)?;
        outputs.push((name.clone(), path));
    }
    Ok(outputs)
}

/// The files that a tool reads; those of a tool that looks for itself are nobody's business here.
pub(super) async fn find_files(tool: &Tool, request: ToolRequest<'_>) -> Result<Found, ToolError> {
    let Some(tree) = request.target.filter(|target| target.is_dir()) else {
        return Ok(Found::default());
    };
    if tool.entry.files.is_empty() {
        return Ok(Found::default());
    }
    let (tree, globs) = (tree.to_owned(), tool.entry.files.clone());
    let found = tokio::task::spawn_blocking(move || files::find(&tree, &globs)).await;
    let found = found
        .map_err(io::Error::other)
        .and_then(|found| found.map_err(io::Error::other));
    let found = found.map_err(|source| ToolError::System {
        tool: tool.entry.name.clone(),
        doing: "looking for its files",
        source,
    })?;
    if found.files.is_empty() {
        return Err(ToolError::NothingToRead {
            tool: tool.entry.name.clone(),
            wanted: tool.entry.files.join(", "),
        });
    }
    Ok(found)
}

/// The catalogue's settings for the tool, as files.
pub(super) fn write_settings(tool: &Tool, scratch: &Path) -> Result<Option<PathBuf>, ToolError> {
    if tool.entry.settings.is_empty() {
        return Ok(None);
    }
    let folder = scratch.join("settings");
    let mut written = std::fs::create_dir(&folder);
    for (name, text) in &tool.entry.settings {
        written = written.and_then(|()| std::fs::write(folder.join(name), text));
    }
    written.map_err(|source| ToolError::System {
        tool: tool.entry.name.clone(),
        doing: "writing its settings",
        source,
    })?;
    Ok(Some(folder))
}

/// Masks of one tree; a box with thousands of mounts takes seconds to make.
const MASKS_MAX: usize = 1000;

/// For each file of the tree that the tool must not see: where it is in the box, and what is seen there.
pub(super) async fn prepare_masks(
    tool: &Tool,
    request: ToolRequest<'_>,
) -> Result<Vec<(PathBuf, PathBuf)>, ToolError> {
    let Some(tree) = request.target.filter(|target| target.is_dir()) else {
        return Ok(Vec::new());
    };
    let masks = &tool.entry.masks;
    if masks.is_empty() {
        return Ok(Vec::new());
    }
    let system = |source| ToolError::System {
        tool: tool.entry.name.clone(),
        doing: "masking the upload's settings",
        source,
    };
    let folder = request.scratch.join("masks");
    std::fs::create_dir(&folder).map_err(system)?;
    for (name, text) in masks {
        std::fs::write(folder.join(name), text).map_err(system)?;
    }
    let (tree, globs) = (tree.to_owned(), masks.keys().cloned().collect::<Vec<_>>());
    let found = tokio::task::spawn_blocking(move || files::find(&tree, &globs)).await;
    let found = found
        .map_err(io::Error::other)
        .and_then(|found| found.map_err(io::Error::other))
        .map_err(system)?;
    if found.is_cut || found.files.len() > MASKS_MAX {
        return Err(ToolError::TooManySettings {
            tool: tool.entry.name.clone(),
        });
    }
    let places = found.files.iter().map(PathBuf::from);
    let pairs = places.filter_map(|place| {
        let own = folder.join(place.file_name()?);
        Some((Path::new(boxed::TARGET).join(place.strip_prefix(".").ok()?), own))
    });
    Ok(pairs.collect())
}

/// A door that is open, and its folder.
pub(super) struct Door {
    pub(super) folder: PathBuf,
    pub(super) reach: Reach,
    pub(super) outside: Outside,
}

/// Opens the door of a tool that has one.
pub(super) fn open_door(tool: &Tool, request: ToolRequest<'_>) -> Result<Option<Door>, ToolError> {
    let Some(limits) = tool.entry.door else {
        return Ok(None);
    };
    let target = request.network.ok_or_else(|| ToolError::NoTarget {
        tool: tool.entry.name.clone(),
    })?;
    let mut reach = Reach {
        bytes_max: limits.bytes,
        connections_max: limits.connections,
        ..Reach::default()
    };
    match tool.entry.network {
        Network::None => {}
        Network::Target => {
            reach.addresses = target.addresses.iter().copied().collect();
            reach.ports = target.ports.iter().copied().collect();
        }
        Network::Dns => reach.resolvers.clone_from(&target.resolvers),
    }
    let folder = request.scratch.join("door");
    let opened = std::fs::create_dir(&folder)
        .and_then(|()| door::write_settings(&folder, target))
        .and_then(|()| Outside::open(&folder, reach.clone()));
    let outside = opened.map_err(|source| ToolError::System {
        tool: tool.entry.name.clone(),
        doing: "opening its door",
        source,
    })?;
    Ok(Some(Door {
        folder,
        reach,
        outside,
    }))
}
