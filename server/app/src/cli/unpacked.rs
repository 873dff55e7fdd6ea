//! A file's plain bytes: what was packed by gzip is unpacked, as a worker does it, and what comes
//! through a pipe is kept until it has ended, because readers go back to the first byte.
//!
//! The copy has no name in the file system and goes with its handle.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// A copy may have this many bytes: what a plugin can count.
const REPORT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024 - 1;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Of a path: standard input.
const STDIN: &str = "-";

/// The file at `path`, as plain bytes and from its beginning.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if path.as_os_str() == STDIN {
        return unpacked(copied(io::stdin().lock())?);
    }
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    unpacked(if kind.is_file() { file } else { copied(file)? })
}

/// The file itself, or what it unpacks to.
fn unpacked(mut file: File) -> io::Result<File> {
    let mut magic = Vec::new();
    (&file).take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    if magic != GZIP_MAGIC {
        return Ok(file);
    }
    copied(flate2::read::MultiGzDecoder::new(file))
}

/// All that `from` says, in a file of its own.
fn copied(from: impl Read) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    let mut into = io::BufWriter::new(&mut copy);
    let bytes = io::copy(&mut from.take(REPORT_BYTES_MAX + 1), &mut into)?;
    into.flush()?;
    drop(into);
    if bytes > REPORT_BYTES_MAX {
        let message = format!("it has more than {REPORT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    copy.rewind()?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_packed_report_is_unpacked_and_a_plain_one_is_itself() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{}").unwrap();
        let packed = packed.finish().unwrap();
        let twice = [&packed[..], &packed[..]].concat();
        for (bytes, plain) in [
            (&b""[..], &b""[..]),
            (b"{", b"{"),
            (b"[]", b"[]"),
            (&packed, b"{}"),
            (&twice, b"{}{}"),
        ] {
            let mut text = Vec::new();
            unpacked(file(bytes)).unwrap().read_to_end(&mut text).unwrap();
            assert_eq!(text, plain);
        }
        assert!(unpacked(file(&packed[..packed.len() - 3])).is_err());
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_a_folder_is_no_report() {
        use std::os::fd::AsRawFd;

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"{\"results\": []}").unwrap();
        drop(writer);
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut report = open(Path::new(&path)).unwrap();
        for _ in 0..2 {
            let mut text = String::new();
            report.rewind().unwrap();
            report.read_to_string(&mut text).unwrap();
            assert_eq!(text, "{\"results\": []}");
        }
        let folder = tempfile::tempdir().unwrap();
        let refused = open(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
    }
}
