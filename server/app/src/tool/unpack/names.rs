//! Names in an archive: from bytes to a relative path that stays inside.
//!
//! Names are data: line breaks, blanks, leading dashes and every other character that a file system
//! takes are kept, because refusing them would keep real trees from being scanned; nothing here or
//! later puts a name on a command line. Names that differ only in case are different.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use zip::read::OwnedZipFileEntry;

use super::{UnpackError, UnpackLimits};

/// One part of a path, on every file system in use.
const PART_BYTES_MAX: usize = 255;
/// Of a name in an error.
const SHOWN_BYTES_MAX: usize = 120;

/// File types in the upper half of a Unix mode.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_LINK: u32 = 0o120_000;

/// What an entry becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A relative path of plain parts, which may be empty (the archive's own folder).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SafePath {
    parts: Vec<String>,
    ends_with_slash: bool,
}

impl SafePath {
    pub(super) fn parse(entry: &OwnedZipFileEntry, limits: &UnpackLimits) -> Result<Self, UnpackError> {
        // Many programs write UTF-8 without saying so; only what is none is read as the format's
        // old alphabet.
        let name = match std::str::from_utf8(entry.name_raw()) {
            Ok(name) => name.to_owned(),
            Err(_) => match entry.name() {
                Ok(name) => name.into_owned(),
                Err(_) => {
                    return Err(UnpackError::BadName {
                        entry: String::from_utf8_lossy(entry.name_raw()).into_owned(),
                        rule: "it is not text",
                    });
                }
            },
        };
        Self::from_name(&name, limits)
    }

    fn from_name(name: &str, limits: &UnpackLimits) -> Result<Self, UnpackError> {
        let shown = || cut(name).to_owned();
        let too_long = |bytes, limit_bytes| UnpackError::NameTooLong {
            entry: shown(),
            bytes,
            limit_bytes,
        };
        if name.len() > limits.path_bytes {
            return Err(too_long(name.len(), limits.path_bytes));
        }
        if name.is_empty() || name.contains('\0') {
            return Err(UnpackError::BadName {
                entry: shown(),
                rule: "a name is not empty and has no NUL byte",
            });
        }
        if let Some(rule) = way_out(name) {
            return Err(UnpackError::Escapes { entry: shown(), rule });
        }
        let plain = |part: &&str| !part.is_empty() && *part != ".";
        let parts: Vec<String> = name.split('/').filter(plain).map(ToOwned::to_owned).collect();
        if let Some(part) = parts.iter().find(|part| part.len() > PART_BYTES_MAX) {
            return Err(too_long(part.len(), PART_BYTES_MAX));
        }
        let depth = parts.len().saturating_sub(1);
        if depth > limits.depth {
            return Err(UnpackError::TooDeep {
                entry: shown(),
                depth,
                limit: limits.depth,
            });
        }
        Ok(Self {
            parts,
            ends_with_slash: name.ends_with('/'),
        })
    }

    pub(super) fn as_path(&self) -> PathBuf {
        self.parts.iter().collect()
    }

    /// For people: whole if it is short.
    pub(super) fn shown(&self) -> String {
        cut(&self.parts.join("/")).to_owned()
    }

    /// Takes this path, and the folders above it, for an entry of `kind`.
    pub(super) fn claim(&self, kind: Kind, taken: &mut HashMap<PathBuf, Kind>) -> Result<(), UnpackError> {
        let path = self.as_path();
        let collides = |path: &Path| UnpackError::FileAndFolder {
            entry: cut(&path.to_string_lossy()).to_owned(),
        };
        match taken.insert(path.clone(), kind) {
            Some(Kind::File) if kind == Kind::File => {
                return Err(UnpackError::DuplicateName { entry: self.shown() });
            }
            Some(before) if before != kind => return Err(collides(&path)),
            // A folder may be listed after its files, and more than once: it holds nothing itself.
            Some(_) | None => {}
        }
        for folder in path.ancestors().skip(1) {
            match taken.get(folder) {
                Some(Kind::File) => return Err(collides(folder)),
                // Whoever took this one took all above it.
                Some(Kind::Folder) => break,
                None => {
                    taken.insert(folder.to_owned(), Kind::Folder);
                }
            }
        }
        Ok(())
    }
}

impl Kind {
    /// By the name's end and the Unix type, which must agree.
    pub(super) fn of(entry: &OwnedZipFileEntry, path: &SafePath) -> Result<Self, UnpackError> {
        let shown = || path.shown();
        let kind = match entry.unix_mode().unwrap_or(0) & TYPE_MASK {
            TYPE_LINK => return Err(UnpackError::Link { entry: shown() }),
            TYPE_FOLDER => Self::Folder,
            0 | TYPE_FILE if path.ends_with_slash || path.parts.is_empty() => Self::Folder,
            0 | TYPE_FILE => Self::File,
            _ => return Err(UnpackError::SpecialFile { entry: shown() }),
        };
        // Bytes behind a folder's name would not be scanned.
        if kind == Self::Folder && entry.size() > 0 {
            return Err(UnpackError::BadName {
                entry: shown(),
                rule: "a folder has no content",
            });
        }
        Ok(kind)
    }
}

/// The rule by which `name` could be taken for a place outside, on any system that reads it.
fn way_out(name: &str) -> Option<&'static str> {
    let drive = name.as_bytes();
    if name.starts_with('/') {
        Some("it begins with a slash")
    } else if name.contains('\\') {
        Some("it has a backslash, which some systems take for a slash")
    } else if drive.len() >= 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' {
        Some("it begins with a drive letter")
    } else if name.split('/').any(|part| part == "..") {
        Some("it has a part '..'")
    } else {
        None
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(SHOWN_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<SafePath, &'static str> {
        SafePath::from_name(name, &UnpackLimits::default()).map_err(|error| error.code())
    }

    #[test]
    fn names_that_some_system_takes_for_an_outside_place_are_refused() {
        for name in [
            "../x",
            "a/../../x",
            "a/..",
            "..",
            "/etc/passwd",
            "//host/share",
            "..\\x",
            "a\\b",
            "C:\\x",
            "c:x",
            "C:/x",
            "\\\\?\\C:\\x",
            "\\\\host\\share",
        ] {
            assert_eq!(parse(name), Err("ARCHIVE_PATH_ESCAPES"), "{name}");
        }
    }

    #[test]
    fn odd_names_that_stay_inside_are_kept_as_they_are() {
        for name in [
            "...",
            "..x",
            "x..",
            "-rf",
            "~",
            "a b",
            "new\nline",
            "$(id)",
            "CON",
            "é",
            "ab:c/d",
            ".git/config",
        ] {
            assert_eq!(parse(name).map(|path| path.as_path()), Ok(PathBuf::from(name)));
        }
        assert_eq!(
            parse("./a//b/./c/").map(|path| path.as_path()),
            Ok(PathBuf::from("a/b/c"))
        );
    }

    #[test]
    fn names_without_bounds_are_refused() {
        assert_eq!(parse(""), Err("ARCHIVE_BAD_NAME"));
        assert_eq!(parse("a\0b"), Err("ARCHIVE_BAD_NAME"));
        assert_eq!(parse(&"a".repeat(256)), Err("ARCHIVE_NAME_TOO_LONG"));
        assert_eq!(parse(&"é/".repeat(400)), Err("ARCHIVE_NAME_TOO_LONG"));
        assert_eq!(parse(&"a/".repeat(66)), Err("ARCHIVE_TOO_DEEP"));
        assert!(parse(&"a/".repeat(65)).is_ok());
    }
}
