//! The files of the checkout, without what `.gitignore` leaves out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One file.
pub(crate) struct File {
    /// From the checkout's folder, with `/`.
    pub(crate) path: String,
    /// `None` when it is not UTF-8.
    pub(crate) text: Option<String>,
}

impl File {
    pub(crate) fn extension(&self) -> &str {
        Path::new(&self.path)
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether all of it is tests.
    pub(crate) fn is_test(&self) -> bool {
        let folders = ["/tests/", "_tests/"];
        self.path.starts_with("tests/")
            || folders.iter().any(|folder| self.path.contains(folder))
            || self.name().ends_with("tests.rs")
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let root = root();
    let ignored = ignored_folders(&root);
    let mut files = Vec::new();
    walk(&root, "", &ignored, &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
});

/// All files.
pub(crate) fn files() -> impl Iterator<Item = &'static File> {
    FILES.iter()
}

/// All Rust files.
pub(crate) fn rust() -> impl Iterator<Item = &'static File> {
    files().filter(|file| file.extension() == "rs")
}

/// A file that must be there.
pub(crate) fn file(path: &str) -> &'static File {
    files()
        .find(|file| file.path == path)
        .unwrap_or_else(|| panic!("there is no {path}"))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The lines of `.gitignore` that name a folder: `/target/`, `__pycache__/`.
fn ignored_folders(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(".gitignore")).unwrap();
    let folders = text.lines().filter_map(|line| line.strip_suffix('/'));
    folders
        .map(|folder| folder.trim_start_matches('/').to_owned())
        .chain([".git".to_owned()])
        .collect()
}

fn walk(folder: &Path, prefix: &str, ignored: &[String], files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            if !ignored.contains(&path) && !ignored.contains(&name) {
                walk(&entry.path(), &format!("{path}/"), ignored, files);
            }
        } else if kind.is_file() {
            // Another process may be writing temporary files here; what is gone is not ours.
            let Ok(bytes) = fs::read(entry.path()) else {
                continue;
            };
            let text = String::from_utf8(bytes).ok();
            files.push(File { path, text });
        }
    }
}
