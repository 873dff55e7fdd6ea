//! A folder made into one zip file: what git would not ignore, in a stable order.
//!
//! The same tree gives the same bytes (no times, no owners), so the server stores it once. Hidden files
//! go along, `.git` and symbolic links do not; nothing outside the folder is ever read.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A piece of a file on its way into the archive.
const PIECE_BYTES: usize = 64 * 1024;
/// What comes through a pipe is kept in a file; no server takes more.
const STREAM_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Why a folder could not be packed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    /// Neither a folder nor a zip.
    #[error("{} cannot be scanned: {reason}", path.display())]
    Path {
        /// as given
        path: PathBuf,
        /// what is wrong with it
        reason: String,
    },
    /// Nothing in it.
    #[error("there is nothing to scan in {} (.gitignore is honoured)", path.display())]
    Empty {
        /// as given
        path: PathBuf,
    },
    /// Too much in it.
    #[error(
        "{} holds more than {files_max} files, which is the server's limit (archive_entries_max); scan a part of it",
        path.display()
    )]
    TooMany {
        /// as given
        path: PathBuf,
        /// what the server takes
        files_max: u64,
    },
    /// The archive could not be written.
    #[error("cannot write the temporary archive")]
    Archive(#[from] zip::result::ZipError),
    /// The archive could not be written.
    #[error("cannot write the temporary archive")]
    Write(#[from] io::Error),
}

/// A file to be uploaded.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
    pub(super) files: u64,
    pub(super) warnings: Vec<String>,
    file: Source,
}

#[derive(Debug)]
enum Source {
    Packed(NamedTempFile),
    Given(PathBuf),
}

impl Package {
    /// Packs a folder of at most `files_max` files, or takes a zip file as it is.
    pub(super) fn of(path: &Path, files_max: u64) -> Result<Package, PackError> {
        let wrong = |reason: &str| PackError::Path {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let metadata = std::fs::metadata(path).map_err(|error| wrong(&error.to_string()))?;
        if metadata.is_dir() {
            return pack(path, files_max);
        }
        let is_zip = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
        if !metadata.is_file() || !is_zip {
            return Err(wrong("it is neither a folder nor a .zip file"));
        }
        Package::as_it_is(path, "application/zip")
    }

    /// A file that needs no packing.
    pub(super) fn as_it_is(path: &Path, media_type: &str) -> Result<Package, PackError> {
        let wrong = |error: io::Error| PackError::Path {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let file = File::open(path).map_err(wrong)?;
        let kind = file.metadata().map_err(wrong)?.file_type();
        // A pipe says everything once, and a try may have to be repeated.
        let source = if kind.is_file() || kind.is_dir() {
            Source::Given(path.to_owned())
        } else {
            let copy = NamedTempFile::new()?;
            let bytes = io::copy(&mut file.take(STREAM_BYTES_MAX + 1), &mut copy.as_file()).map_err(wrong)?;
            if bytes > STREAM_BYTES_MAX {
                return Err(wrong(io::ErrorKind::FileTooLarge.into()));
            }
            Source::Packed(copy)
        };
        let (sha256, size_bytes) = source.open().and_then(hash).map_err(wrong)?;
        Ok(Package {
            name: file_name(path),
            media_type: media_type.to_owned(),
            size_bytes,
            sha256,
            files: 1,
            warnings: Vec::new(),
            file: source,
        })
    }

    /// The file from its start; may be called again for another try.
    pub(super) fn open(&self) -> io::Result<File> {
        self.file.open()
    }
}

impl Source {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::Packed(file) => file.reopen(),
            Self::Given(path) => File::open(path),
        }
    }
}

fn pack(root: &Path, files_max: u64) -> Result<Package, PackError> {
    let mut archive = ZipWriter::new(NamedTempFile::new()?);
    let mut warnings = Vec::new();
    let mut files = 0;
    for entry in walk(root) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                warnings.push(format!("left out: {error}"));
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        if files == files_max {
            return Err(PackError::TooMany {
                path: root.to_owned(),
                files_max,
            });
        }
        let name = archive_name(root, entry.path());
        match File::open(entry.path()) {
            Ok(file) => {
                add(&mut archive, &name, file, &mut warnings)?;
                files += 1;
            }
            Err(error) => warnings.push(format!("left out {name}: {error}")),
        }
    }
    if files == 0 {
        return Err(PackError::Empty {
            path: root.to_owned(),
        });
    }
    let mut file = archive.finish()?;
    file.flush()?;
    let (sha256, size_bytes) = hash(file.reopen()?)?;
    Ok(Package {
        name: format!("{}.zip", file_name(&std::path::absolute(root)?)),
        media_type: "application/zip".to_owned(),
        size_bytes,
        sha256,
        files,
        warnings,
        file: Source::Packed(file),
    })
}

/// All entries below a folder that git would see, sorted by path.
fn walk(root: &Path) -> impl Iterator<Item = Result<DirEntry, ignore::Error>> {
    // Ignore files above the folder count only when it is part of a repository; otherwise they are
    // somebody else's.
    let in_repository = std::path::absolute(root)
        .is_ok_and(|path| path.ancestors().any(|parent| parent.join(".git").exists()));
    WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        .git_exclude(true)
        .require_git(false)
        .parents(in_repository)
        .follow_links(false)
        .sort_by_file_path(Path::cmp)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
}

/// A file that shrinks, grows or breaks while it is read goes in as far as it was read.
fn add<W: Write + Seek>(
    archive: &mut ZipWriter<W>,
    name: &str,
    mut file: File,
    warnings: &mut Vec<String>,
) -> Result<(), PackError> {
    let large = file
        .metadata()
        .is_ok_and(|metadata| metadata.len() > u64::from(u32::MAX));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644)
        .large_file(large);
    archive.start_file(name, options)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => archive.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                warnings.push(format!("{name} was cut: {error}"));
                return Ok(());
            }
        }
    }
}

/// The path below the root with `/` between its parts.
fn archive_name(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| "upload".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn hash(mut file: File) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut size_bytes = 0;
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok((hex::encode(hasher.finalize()), size_bytes));
        }
        hasher.update(&piece[..count]);
        size_bytes += count as u64;
    }
}

#[cfg(test)]
mod tests {
    /// Of a server with default settings.
    const FILES_MAX: u64 = 10_000;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(package: &Package) -> Vec<String> {
        let mut archive = zip::ZipArchive::new(package.open().unwrap()).unwrap();
        (0..archive.len())
            .map(|index| archive.by_index(index).unwrap().name().unwrap().into_owned())
            .collect()
    }

    #[test]
    fn gitignore_holds_hidden_files_go_along_and_links_do_not() {
        let folder = tree(&[
            (".gitignore", "*.log\nbuild/\n"),
            (".env", "SECRET=1"),
            (".git/config", "x"),
            ("a/.gitignore", "!keep.log"),
            ("a/keep.log", "kept"),
            ("a/drop.tmp.log", "dropped"),
            ("build/out.js", "x"),
            ("b.py", "print()"),
            ("c/.ignore", "b.py"),
        ]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("folder")).unwrap();
        let package = Package::of(folder.path(), FILES_MAX).unwrap();
        assert_eq!(
            names(&package),
            [
                ".env",
                ".gitignore",
                "a/.gitignore",
                "a/keep.log",
                "b.py",
                "c/.ignore"
            ]
        );
        assert_eq!(package.files, 6);
        assert_eq!(Path::new(&package.name).extension().unwrap(), "zip");
    }

    #[test]
    fn ignore_files_above_the_folder_count_only_inside_a_repository() {
        let folder = tree(&[(".gitignore", "*.log"), ("app/a.log", "x"), ("app/b.py", "x")]);
        let app = folder.path().join("app");
        assert_eq!(names(&Package::of(&app, FILES_MAX).unwrap()), ["a.log", "b.py"]);
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        assert_eq!(names(&Package::of(&app, FILES_MAX).unwrap()), ["b.py"]);
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let files = [("z.py", "1"), ("a/b.py", "2"), ("a.py", "3")];
        let (first, second) = (tree(&files), tree(&files));
        File::open(second.path().join("z.py"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        let (first, second) = (
            Package::of(first.path(), FILES_MAX).unwrap(),
            Package::of(second.path(), FILES_MAX).unwrap(),
        );
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(first.size_bytes, first.open().unwrap().metadata().unwrap().len());
    }

    #[test]
    fn a_zip_is_taken_as_it_is_and_anything_else_is_refused() {
        let folder = tree(&[("app.ZIP", "not looked into"), ("app.tar", "x")]);
        let package = Package::of(&folder.path().join("app.ZIP"), FILES_MAX).unwrap();
        assert_eq!((package.name.as_str(), package.size_bytes), ("app.ZIP", 15));
        let error = Package::of(&folder.path().join("app.tar"), FILES_MAX).unwrap_err();
        assert!(matches!(error, PackError::Path { .. }), "{error}");
        assert!(matches!(
            Package::of(&folder.path().join("no"), FILES_MAX),
            Err(PackError::Path { .. })
        ));
        let empty = tree(&[("a.log", ""), (".gitignore", "*")]);
        assert!(matches!(
            Package::of(empty.path(), FILES_MAX),
            Err(PackError::Empty { .. })
        ));
    }
}
