//! Where things lie in the checkout, and the program under test.

use std::path::{Path, PathBuf};

/// The checkout's folder.
pub(crate) fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("tests/e2e lies two folders deep")
        .to_owned()
}

/// A file that the checkout holds.
pub(crate) fn read(path: &str) -> Vec<u8> {
    let path = checkout().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder of the checkout, by name.
pub(crate) fn files(folder: &str) -> Vec<String> {
    let folder = checkout().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The folder of the build that this test belongs to.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its file");
    test.ancestors().nth(2).expect("tests lie in deps").to_owned()
}

/// `tamiz` of the same build.
pub(crate) fn tamiz() -> PathBuf {
    needed(build().join("tamiz"))
}

/// What the builds share.
fn target() -> PathBuf {
    build().parent().expect("a build has a target folder").to_owned()
}

/// A component that the platform comes with.
pub(crate) fn plugin(name: &str) -> PathBuf {
    needed(target().join("plugins").join(name))
}

/// A guest that only tests load.
pub(crate) fn test_plugin(name: &str) -> PathBuf {
    needed(target().join("test-plugins").join(name))
}

/// Compiled plugins, shared by all tests so that each component is compiled once.
pub(crate) fn plugin_cache() -> PathBuf {
    target().join("test-plugin-cache")
}

/// A program that a script of the set-up finds on the `PATH` or unpacks into this file of the checkout.
pub(crate) fn program(name: &str, unpacked: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .chain([checkout().join(unpacked)])
        .find(|path| path.is_file())
}

fn needed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `make test`", path.display());
    path
}
