//! Bringing a task's bytes to where they can be worked on: a scratch folder of the attempt's own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tamiz_core::{RefusalCode, UploadId};
use tamiz_store::upload::Upload;
use tokio_util::sync::CancellationToken;

use super::attempt::AttemptName;
use super::desk::TaskDesk;
use super::failure::Failure;
use super::stop::Stop;
use crate::config::ArchiveSettings;
use crate::tool::unpack::{self, UnpackError, UnpackLimits};

/// A gzip-compressed report may unpack to this many bytes: twice the largest upload of the default plan.
const REPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where in the scratch folder an upload is unpacked.
pub(super) const TREE: &str = "tree";

/// A scratch folder that goes with its value.
pub(crate) struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// A fresh folder below `root`.
    pub(crate) fn create(root: &Path, of: &AttemptName) -> io::Result<Self> {
        let prefix = format!("{}-{}-", of.task, of.attempt);
        Ok(Self {
            folder: tempfile::Builder::new().prefix(&prefix).tempdir_in(root)?,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Removes it off the async threads: a large tree takes a while.
    pub(crate) async fn remove(self) {
        let removed = tokio::task::spawn_blocking(move || self.folder.close()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "a scratch folder could not be removed");
        }
    }
}

/// Refuses rules that no tool can read: whatever their format, it is text. The size was checked when
/// they were ordered.
pub(crate) async fn check_rules(path: &Path, file_name: &str) -> Result<(), Failure> {
    let bytes = tokio::fs::read(path).await?;
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(()),
        Err(error) => {
            let position = error.valid_up_to();
            let message = format!("{file_name:?}: rules are UTF-8 text, and byte {position} is not");
            Err(Failure::refused(RefusalCode::RulesInvalid, message))
        }
    }
}

/// Copies an upload's bytes to `path`, checked against their hash.
pub(crate) async fn fetch(
    desk: &TaskDesk,
    id: UploadId,
    path: &Path,
    stop: &Stop,
) -> Result<Upload, Failure> {
    let Some(upload) = stop.unless_stopped(desk.upload(id)).await? else {
        return Err(Failure::refused(
            RefusalCode::NotFound,
            format!("the upload {id} is not there any more"),
        ));
    };
    stop.unless_stopped(desk.fetch(&upload, path)).await?;
    Ok(upload)
}

/// Unpacks the archive into the folder `into`; answers how many files there are.
pub(crate) async fn unpack_tree(
    archive: PathBuf,
    into: PathBuf,
    settings: ArchiveSettings,
    stop: CancellationToken,
) -> Result<u64, Failure> {
    let limits = UnpackLimits {
        entries: settings.entries_max,
        file_bytes: settings.file_bytes_max,
        total_bytes: settings.bytes_max,
        ..UnpackLimits::default()
    };
    let unpacked = tokio::task::spawn_blocking(move || {
        std::fs::create_dir(&into).map_err(|source| UnpackError::Storage {
            doing: "making the folder",
            source,
        })?;
        unpack::unpack(&archive, &into, &limits, &stop)
    })
    .await?;
    match unpacked {
        Ok(unpacked) => Ok(unpacked.files),
        Err(error) => match error.refusal() {
            Some(refusal) => Err(Failure::Refused(refusal)),
            None => Err(Failure::may_pass("unpacking the upload", error)),
        },
    }
}

/// The report as plain bytes: gzip is taken off, up to a limit.
pub(crate) async fn plain_report(path: PathBuf) -> Result<PathBuf, Failure> {
    tokio::task::spawn_blocking(move || plain(&path)).await?
}

fn plain(path: &Path) -> Result<PathBuf, Failure> {
    let mut magic = [0; 2];
    let mut file = File::open(path)?;
    if file.read(&mut magic)? < magic.len() || magic != GZIP_MAGIC {
        return Ok(path.to_owned());
    }
    let target = path.with_extension("plain");
    let mut from = flate2::read::MultiGzDecoder::new(File::open(path)?).take(REPORT_BYTES_MAX + 1);
    let mut into = io::BufWriter::new(File::create_new(&target)?);
    let copied = io::copy(&mut from, &mut into).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Failure::refused(
                RefusalCode::ReportCorrupt,
                format!("the gzip report cannot be unpacked: {error}"),
            )
        }
        _ => error.into(),
    })?;
    into.flush()?;
    if copied > REPORT_BYTES_MAX {
        let message = format!("the gzip report unpacks to more than {REPORT_BYTES_MAX} bytes");
        return Err(Failure::refused(RefusalCode::ArchiveRefused, message));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;

    #[tokio::test]
    async fn a_tree_is_held_to_the_configured_limits() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("upload");
        let mut writer = zip::ZipWriter::new(File::create(&archive).unwrap());
        for name in ["a.py", "b.py", "c.py"] {
            writer
                .start_file(name, zip::write::SimpleFileOptions::default())
                .unwrap();
            writer.write_all(b"print(1)\n").unwrap();
        }
        writer.finish().unwrap();
        let fitting = ArchiveSettings {
            entries_max: 3,
            file_bytes_max: 9,
            bytes_max: 27,
        };
        for (number, (settings, code)) in [
            (fitting, None),
            (
                ArchiveSettings {
                    entries_max: 2,
                    ..fitting
                },
                Some("ARCHIVE_TOO_MANY_ENTRIES"),
            ),
            (
                ArchiveSettings {
                    file_bytes_max: 8,
                    ..fitting
                },
                Some("ARCHIVE_FILE_TOO_LARGE"),
            ),
            (
                ArchiveSettings {
                    bytes_max: 26,
                    ..fitting
                },
                Some("ARCHIVE_TOO_LARGE"),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let into = folder.path().join(number.to_string());
            let done = unpack_tree(archive.clone(), into, settings, CancellationToken::new()).await;
            match (done, code) {
                (Ok(files), None) => assert_eq!(files, 3),
                (Err(Failure::Refused(refusal)), Some(code)) => {
                    assert!(refusal.message.contains(code), "{refusal:?}");
                }
                (done, code) => panic!("{:?} instead of {code:?}", done.is_ok()),
            }
        }
    }

    #[test]
    fn a_gzip_report_is_unpacked_and_a_cut_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"results\":[]}").unwrap();
        let packed = encoder.finish().unwrap();
        std::fs::write(&path, &packed).unwrap();
        assert_eq!(std::fs::read(plain(&path).unwrap()).unwrap(), b"{\"results\":[]}");

        let cut = folder.path().join("cut");
        std::fs::write(&cut, &packed[..packed.len() - 9]).unwrap();
        assert!(matches!(plain(&cut), Err(Failure::Refused(_))));
        let text = folder.path().join("text");
        std::fs::write(&text, "{}").unwrap();
        assert_eq!(plain(&text).unwrap(), text);
    }
}
