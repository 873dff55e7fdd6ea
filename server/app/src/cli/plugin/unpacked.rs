//! A report's plain bytes: what was packed by gzip is unpacked, as a worker does it.
//!
//! The copy has no name in the file system and goes with its handle.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// A gzip report may unpack to this many bytes: what a plugin can count.
const REPORT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024 - 1;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The file itself, or what it unpacks to.
pub(super) fn unpacked(mut file: File) -> io::Result<File> {
    let mut magic = Vec::new();
    (&file).take(GZIP_MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    if magic != GZIP_MAGIC {
        return Ok(file);
    }
    let mut plain = tempfile::tempfile()?;
    let mut from = flate2::read::MultiGzDecoder::new(file).take(REPORT_BYTES_MAX + 1);
    let mut into = io::BufWriter::new(&mut plain);
    let copied = io::copy(&mut from, &mut into)?;
    into.flush()?;
    drop(into);
    if copied > REPORT_BYTES_MAX {
        let message = format!("it unpacks to more than {REPORT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    plain.rewind()?;
    Ok(plain)
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
}
