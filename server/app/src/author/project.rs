//! A project's folder: made from the templates, opened by its manifest.
//!
//! Everything that a project needs is in its folder; only the compilers of its language are elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file_error::{FileError, cannot};
use super::manifest::{Language, MANIFEST_FILE, Manifest, ManifestError, NAME_RULE, is_name};
use super::sources;

/// The manifest, in bytes.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// Where a Rust project keeps the SDK.
const SDK_FOLDER: &str = "vendor/tamiz-sdk";

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Nothing that could be a file's name everywhere.
    #[error("the name {0:?} {NAME_RULE}")]
    Name(String),
    /// Nothing that a plugin may say of itself.
    #[error("the scan type {0:?} is not a plain word")]
    ScanType(String),
    /// Nothing is overwritten.
    #[error("{} is there already; nothing was written", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder is no project.
    #[error("{} is no plugin project: it has no {MANIFEST_FILE}; `tamiz plugin new NAME` makes one", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest does not do.
    #[error("{}: {source}", folder.display())]
    Manifest {
        /// The project.
        folder: PathBuf,
        /// Why not.
        source: ManifestError,
    },
}

/// A folder with a manifest that does.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

impl Project {
    /// Reads the manifest of the project in `folder`.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let path = folder.join(MANIFEST_FILE);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder.to_owned();
                return Err(ProjectError::NoManifest { folder });
            }
            Err(error) => return Err(cannot("read", &path)(error).into()),
        };
        if size > MANIFEST_BYTES_MAX {
            return Err(cannot("read", &path)(io::ErrorKind::FileTooLarge.into()).into());
        }
        let text = fs::read_to_string(&path).map_err(cannot("read", &path))?;
        let manifest = Manifest::parse(&text).map_err(|source| ProjectError::Manifest {
            folder: folder.to_owned(),
            source,
        })?;
        let folder = folder.canonicalize().map_err(cannot("find", folder))?;
        Ok(Self { folder, manifest })
    }

    /// Where the build puts the component.
    pub fn component(&self) -> PathBuf {
        self.folder
            .join("target")
            .join(format!("{}.wasm", self.manifest.name))
    }

    /// Where the inputs of the tests lie.
    pub fn cases(&self) -> PathBuf {
        self.folder.join("cases")
    }
}

/// What a new project is to be.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// The plugin's name.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// What it scans.
    pub scan_type: String,
}

impl NewProject {
    /// Writes the project into `folder`, which must not be there or be empty.
    ///
    /// # Errors
    /// [`ProjectError`]; what was begun is left as it is.
    pub fn create(&self, folder: &Path) -> Result<(), ProjectError> {
        if !is_name(&self.name) {
            return Err(ProjectError::Name(self.name.clone()));
        }
        if !is_name(&self.scan_type) {
            return Err(ProjectError::ScanType(self.scan_type.clone()));
        }
        // `metadata` would follow a link to a place that is not the author's.
        match fs::symlink_metadata(folder) {
            Ok(metadata) if metadata.is_dir() && is_empty(folder) => {}
            Ok(_) => {
                let path = folder.to_owned();
                return Err(ProjectError::Exists { path });
            }
            Err(_) => {}
        }
        for (path, content) in self.files() {
            write(&folder.join(path), &content)?;
        }
        Ok(())
    }

    /// Paths in the project, and what stands there.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let template = format!("templates/{}", self.language.as_str());
        for (path, bytes) in sources::below(&template) {
            files.push((path.to_owned(), self.filled(bytes)));
        }
        let shared = |name: &str| sources::file(&format!("templates/shared/{name}")).to_vec();
        files.push((".gitignore".to_owned(), shared("gitignore")));
        files.push(("cases/example.jsonl".to_owned(), shared("example.jsonl")));
        let wit = match self.language {
            Language::Rust => format!("{SDK_FOLDER}/wit"),
            Language::Python | Language::Javascript => "wit".to_owned(),
        };
        for (path, bytes) in sources::below("wit") {
            files.push((format!("{wit}/{path}"), bytes.to_vec()));
        }
        if self.language == Language::Rust {
            for (path, bytes) in sources::below("sdk/src") {
                files.push((format!("{SDK_FOLDER}/src/{path}"), bytes.to_vec()));
            }
            let manifest = sources::file("sdk/Cargo.toml").to_vec();
            files.push((format!("{SDK_FOLDER}/Cargo.toml"), manifest));
            // Cargo takes the versions from it that the SDK is tested with, and drops the rest.
            let lock = sources::file("plugins/Cargo.lock").to_vec();
            files.push(("Cargo.lock".to_owned(), lock));
        }
        files
    }

    fn filled(&self, template: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(template);
        text.replace("{{name}}", &self.name)
            .replace("{{scan_type}}", &self.scan_type)
            .into_bytes()
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn write(path: &Path, content: &[u8]) -> Result<(), ProjectError> {
    let written = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, content)),
        None => fs::write(path, content),
    };
    Ok(written.map_err(cannot("write", path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(language: Language) -> NewProject {
        NewProject {
            name: "hello".to_owned(),
            language,
            scan_type: "codeaudit".to_owned(),
        }
    }

    #[test]
    fn a_new_project_opens_has_its_entry_and_no_placeholder_in_each_language() {
        for language in [Language::Rust, Language::Python, Language::Javascript] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path().join("hello");
            hello(language).create(&folder).unwrap();
            let project = Project::open(&folder).unwrap();
            assert_eq!(project.manifest.language, language);
            assert!(folder.join(&project.manifest.entry).is_file(), "{language:?}");
            for (path, content) in hello(language).files() {
                let text = String::from_utf8(content).unwrap();
                assert!(
                    !text.contains("{{name}}") && !text.contains("{{scan_type}}"),
                    "{path}"
                );
                assert!(folder.join(&path).is_file(), "{path}");
            }
            assert!(folder.join("cases/example.jsonl.expected.json").is_file());
        }
    }

    #[test]
    fn nothing_is_overwritten_and_an_empty_folder_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        hello(Language::Python).create(folder.path()).unwrap();
        let error = hello(Language::Python).create(folder.path()).unwrap_err();
        assert!(matches!(error, ProjectError::Exists { .. }), "{error}");
        let file = folder.path().join("README.md");
        assert!(matches!(
            hello(Language::Python).create(&file),
            Err(ProjectError::Exists { .. })
        ));
    }

    #[test]
    fn a_bad_name_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("x");
        for name in ["../x", "Hello", ""] {
            let mut project = hello(Language::Rust);
            project.name = name.to_owned();
            assert!(
                matches!(project.create(&inner), Err(ProjectError::Name(_))),
                "{name}"
            );
        }
        assert!(!inner.exists());
    }

    #[test]
    fn a_folder_without_a_manifest_says_how_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tamiz plugin new NAME"), "{error}");
    }
}
