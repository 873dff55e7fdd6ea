//! The files of a tree that a tool reads, by their names.
//!
//! For tools that take files instead of a folder, and to know whether a tree holds work for a tool at
//! all. No link is followed and no settings file of the tree is obeyed.

use std::path::Path;

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

/// Files on one command line; a tree of 100,000 scripts is not scanned file by file.
pub(super) const FILES_MAX: usize = 2000;
/// Of all their names: a command line of the kernel holds 2 MiB, the environment included.
const NAME_BYTES_MAX: usize = 1024 * 1024;
/// Looked at: what unpacking allows.
const ENTRIES_MAX: usize = 1_000_000;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Each begins with `./`, sorted.
    pub(super) files: Vec<String>,
    /// Whether some were left out.
    pub(super) is_cut: bool,
}

/// The files below `tree` that match one of `globs`, as `.gitignore` writes them.
///
/// Blocks: it reads every folder.
///
/// # Errors
/// When a glob is not one; what it says is for the catalogue's author.
pub(super) fn find(tree: &Path, globs: &[String]) -> Result<Found, ignore::Error> {
    let mut overrides = OverrideBuilder::new(tree);
    for glob in globs {
        overrides.add(glob)?;
    }
    let overrides = overrides.build()?;
    let walk = WalkBuilder::new(tree)
        .standard_filters(false)
        .follow_links(false)
        .overrides(overrides)
        .sort_by_file_name(std::ffi::OsStr::cmp)
        .build();
    let mut found = Found::default();
    let mut bytes = 0;
    // An entry that cannot be read is none that the tool could read.
    for (seen, entry) in walk.enumerate() {
        if seen == ENTRIES_MAX {
            found.is_cut = true;
            break;
        }
        let Ok(entry) = entry else { continue };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let name = entry.path().strip_prefix(tree).ok().and_then(Path::to_str);
        let Some(name) = name else { continue };
        bytes += name.len() + 3;
        if found.files.len() == FILES_MAX || bytes > NAME_BYTES_MAX {
            found.is_cut = true;
            break;
        }
        found.files.push(format!("./{name}"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_whatever_the_tree_says() {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in [
            (".gitignore", "*"),
            (".ignore", "*.sh"),
            ("-rf.sh", ""),
            ("a/b.sh", ""),
            ("a/b.py", ""),
            (".hidden/c.sh", ""),
            ("deploy/Dockerfile", ""),
            ("deploy/Dockerfile.old/x", ""),
        ] {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("link.sh")).unwrap();
        let find = |globs: &[&str]| {
            let globs: Vec<String> = globs.iter().map(|&glob| glob.to_owned()).collect();
            find(tree.path(), &globs).unwrap().files
        };
        assert_eq!(find(&["*.sh"]), ["./-rf.sh", "./.hidden/c.sh", "./a/b.sh"]);
        assert_eq!(find(&["Dockerfile", "*.py"]), ["./a/b.py", "./deploy/Dockerfile"]);
        assert!(find(&["*.go"]).is_empty());
    }
}
