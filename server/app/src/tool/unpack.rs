//! From an uploaded zip archive to a folder of plain files.
//!
//! Everything is checked twice: once for all entries by the archive's directory before anything is
//! written, and once by the bytes that really come out while they are written, because a directory
//! may lie. One bad entry refuses the whole archive: a scan of the rest would look complete. Modes and
//! times are ignored. Archives inside the archive stay files.
//!
//! Blocking: call it from `spawn_blocking`. After a refusal the folder may hold some files; it belongs
//! to the caller, who throws it away.
//!
//! Not here: other formats (they are "not a zip archive"), and what may be uploaded (`api`).

mod names;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;
use zip::CompressionMethod;
use zip::read::{Config, OwnedZipFileEntry, ZipReadOptions};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use names::{Kind, SafePath};
pub use refusal::UnpackError;

/// What one archive may hold. The defaults suit source trees; an operator may change entries and bytes
/// (`archive_…` keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files and folders that are listed. A large framework has 7,000.
    pub entries: u64,
    /// Of one path, in UTF-8.
    pub path_bytes: usize,
    /// Folders above a file.
    pub depth: usize,
    /// Of one file, unpacked.
    pub file_bytes: u64,
    /// Of all files, unpacked.
    pub total_bytes: u64,
    /// How many times larger than packed a file, or the whole, may become. Text packs to a tenth;
    /// only bombs come near the 1,032 that the format can reach.
    pub ratio: u64,
    /// Below this size unpacked no ratio is asked for: a short file of blanks is no bomb.
    pub ratio_free_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            path_bytes: 1024,
            depth: 64,
            file_bytes: 64 * 1024 * 1024,
            total_bytes: 512 * 1024 * 1024,
            ratio: 100,
            ratio_free_bytes: 4 * 1024 * 1024,
        }
    }
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files.
    pub files: u64,
    /// In them.
    pub bytes: u64,
}

/// Files and folders that may be made, for each entry that may be listed: one entry names up to
/// [`UnpackLimits::depth`] folders that are not listed, but real trees have fewer folders than files.
const NAMES_PER_ENTRY: u64 = 2;
/// Copied at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// An entry that passed the checks by name.
struct Planned {
    entry: OwnedZipFileEntry,
    path: SafePath,
    kind: Kind,
}

/// Unpacks the zip archive in the file `archive` into the existing, empty folder `into`.
///
/// # Errors
/// A refusal names the entry, the rule and the limit; see [`UnpackError::code`].
pub fn unpack(
    archive: &Path,
    into: &Path,
    limits: &UnpackLimits,
    cancel: &CancellationToken,
) -> Result<Unpacked, UnpackError> {
    let storage = |source| UnpackError::Storage {
        doing: "opening the archive",
        source,
    };
    let file = File::open(archive).map_err(storage)?;
    let packed_bytes = file.metadata().map_err(storage)?.len();
    let mut reader = BufReader::new(file);
    let planned = plan(&mut reader, limits, cancel)?;
    refuse_overlaps(&mut reader, &planned)?;
    let mut unpacking = Unpacking {
        into,
        limits,
        cancel,
        packed_bytes,
        unpacked: Unpacked::default(),
    };
    for planned in planned {
        unpacking.place(&mut reader, planned)?;
    }
    if unpacking.unpacked.files == 0 {
        return Err(UnpackError::Empty);
    }
    Ok(unpacking.unpacked)
}

/// Reads the archive's directory and checks all entries against each other, writing nothing.
fn plan<R: Read + Seek>(
    reader: R,
    limits: &UnpackLimits,
    cancel: &CancellationToken,
) -> Result<Vec<Planned>, UnpackError> {
    // Walks the directory entry by entry: the crate's usual reader would first build all of it in
    // memory, and forget entries whose names come twice.
    let mut archive = ZipIterable::try_new(reader, Config::default())
        .map_err(|error| refusal::not_zip(&error))?
        // A local header that names another file than the directory would show other tools another
        // archive than the one that was checked.
        .enforce_header_consistency(true);
    let listed = archive.len() as u64;
    if listed == 0 {
        return Err(UnpackError::Empty);
    }
    if listed > limits.entries {
        return Err(UnpackError::TooManyEntries {
            listed,
            limit: limits.entries,
        });
    }
    let mut planned = Vec::with_capacity(archive.len());
    let mut taken = HashMap::new();
    let names_max = limits.entries.saturating_mul(NAMES_PER_ENTRY);
    let mut declared_bytes: u64 = 0;
    for entry in archive.files().map_err(|error| refusal::not_zip(&error))? {
        if cancel.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        let position = planned.len() + 1;
        let entry = entry.map_err(|error| refusal::damaged(&format!("number {position}"), &error))?;
        let planned_entry = check(entry.into(), limits)?;
        planned_entry.path.claim(planned_entry.kind, &mut taken)?;
        if taken.len() as u64 > names_max {
            return Err(UnpackError::TooManyNames { limit: names_max });
        }
        declared_bytes = declared_bytes.saturating_add(planned_entry.entry.size());
        planned.push(planned_entry);
    }
    // What an honest archive says of itself is refused before the disk is filled.
    if declared_bytes > limits.total_bytes {
        return Err(UnpackError::TooLarge {
            limit_bytes: limits.total_bytes,
        });
    }
    Ok(planned)
}

/// Checks one entry by itself.
fn check(entry: OwnedZipFileEntry, limits: &UnpackLimits) -> Result<Planned, UnpackError> {
    let path = SafePath::parse(&entry, limits)?;
    let shown = || path.shown();
    if entry.encrypted() {
        return Err(UnpackError::Encrypted { entry: shown() });
    }
    let kind = Kind::of(&entry, &path)?;
    let method = entry.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(UnpackError::UnsupportedMethod {
            entry: shown(),
            method: method.to_string(),
        });
    }
    if entry.size() > limits.file_bytes {
        return Err(UnpackError::FileTooLarge {
            entry: shown(),
            limit_bytes: limits.file_bytes,
        });
    }
    Ok(Planned { entry, path, kind })
}

/// Refuses archives in which two entries share packed bytes: a small file could become many large ones.
fn refuse_overlaps<R: Read + Seek>(reader: &mut R, planned: &[Planned]) -> Result<(), UnpackError> {
    let mut ranges = Vec::with_capacity(planned.len());
    let directory_start = planned
        .iter()
        .map(|planned| planned.entry.central_header_start())
        .min();
    for (index, planned) in planned.iter().enumerate() {
        let start = planned.entry.header_start();
        let packed = planned.entry.compressed_size();
        let file = planned
            .entry
            .as_ref()
            .with_reader(&mut *reader, ZipReadOptions::new());
        let file = file.map_err(|error| refusal::damaged(&planned.path.shown(), &error))?;
        let data_start = file.data_start().unwrap_or(start);
        ranges.push((start, data_start.saturating_add(packed), index));
    }
    ranges.sort_unstable();
    let shown = |index: usize| planned[index].path.shown();
    for pair in ranges.windows(2) {
        if pair[0].1 > pair[1].0 {
            return Err(UnpackError::Overlap {
                entry: shown(pair[1].2),
                other: shown(pair[0].2),
            });
        }
    }
    match (ranges.last(), directory_start) {
        (Some(&(_, end, index)), Some(start)) if end > start => Err(UnpackError::Overlap {
            entry: shown(index),
            other: "the archive's directory".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Writing the files of one archive, and what has been written.
struct Unpacking<'a> {
    into: &'a Path,
    limits: &'a UnpackLimits,
    cancel: &'a CancellationToken,
    packed_bytes: u64,
    unpacked: Unpacked,
}

impl Unpacking<'_> {
    fn place<R: Read + Seek>(&mut self, reader: &mut R, planned: Planned) -> Result<(), UnpackError> {
        if self.cancel.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        let path = self.into.join(planned.path.as_path());
        let folder = match planned.kind {
            Kind::Folder => Some(path.as_path()),
            Kind::File => path.parent(),
        };
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|source| UnpackError::Storage {
                doing: "making a folder",
                source,
            })?;
        }
        if planned.kind == Kind::Folder {
            return Ok(());
        }
        let storage = |source| UnpackError::Storage {
            doing: "writing a file",
            source,
        };
        let shown = planned.path.shown();
        let declared = planned.entry.size();
        let packed = planned.entry.compressed_size();
        let mut source = planned
            .entry
            .as_ref()
            .with_reader(reader, ZipReadOptions::new())
            .map_err(|error| refusal::damaged(&shown, &error))?;
        // `create_new` follows no link, and nothing in this folder was made by anyone else.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(storage)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut written: u64 = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(UnpackError::Cancelled);
            }
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(refusal::damaged(&shown, &ZipError::Io(error))),
            };
            written += read as u64;
            self.unpacked.bytes += read as u64;
            self.check_sizes(&shown, written, packed, declared)?;
            file.write_all(&buffer[..read]).map_err(storage)?;
        }
        if written != declared {
            return Err(UnpackError::Damaged {
                entry: shown,
                reason: format!("it holds {written} bytes and was declared with {declared}"),
            });
        }
        self.unpacked.files += 1;
        Ok(())
    }

    /// The limits again, by what came out.
    fn check_sizes(&self, entry: &str, written: u64, packed: u64, declared: u64) -> Result<(), UnpackError> {
        let limits = self.limits;
        let too_dense = |unpacked: u64, packed: u64| {
            unpacked > limits.ratio_free_bytes && unpacked > packed.saturating_mul(limits.ratio)
        };
        let entry = || entry.to_owned();
        if written > declared {
            return Err(UnpackError::Damaged {
                entry: entry(),
                reason: format!("it holds more than the {declared} bytes that were declared"),
            });
        }
        if written > limits.file_bytes {
            return Err(UnpackError::FileTooLarge {
                entry: entry(),
                limit_bytes: limits.file_bytes,
            });
        }
        if self.unpacked.bytes > limits.total_bytes {
            return Err(UnpackError::TooLarge {
                limit_bytes: limits.total_bytes,
            });
        }
        if too_dense(written, packed) || too_dense(self.unpacked.bytes, self.packed_bytes) {
            return Err(UnpackError::Ratio {
                entry: entry(),
                limit: limits.ratio,
            });
        }
        Ok(())
    }
}
