//! What every fuzz target checks, beside that nothing panics: the promises of a conversion.
//!
//! The targets differ in what they are fed (`scripts/fuzz` gives each the cases of its family) and in
//! the shapes that they let through, so that the fuzzer does not spend its time in another family.

#[expect(
    unreachable_pub,
    dead_code,
    reason = "the unpacker's own source, without the crate around it"
)]
mod unpack;

pub mod records;

use std::io::Write;

use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::model::{Completeness, Outcome, ScanRequest};
use tamiz_sdk::test_kit::Answer;
use tamiz_sdk::{Input, Scanner};
use tokio_util::sync::CancellationToken;

use unpack::UnpackLimits;

/// A file of the scanned upload, whose path the cases name, so that sources are opened too.
const SOURCE: (&str, &[u8]) = (
    "app.py",
    b"import os\n\n\ndef run(command):\n    os.system(command)\n",
);

/// One of so many inputs is converted again in small pieces, which must change nothing.
const AGAIN_EVERY: usize = 8;

/// Limits that a kilobyte of archive can reach.
const LIMITS: UnpackLimits = UnpackLimits {
    entries: 64,
    path_bytes: 256,
    depth: 8,
    file_bytes: 64 * 1024,
    total_bytes: 256 * 1024,
    ratio: 100,
    ratio_free_bytes: 4 * 1024,
};

/// Converts the bytes by the plugin `S` and checks the answer.
///
/// # Panics
/// When the answer breaks a promise.
pub fn convert<S: Scanner>(bytes: &[u8]) {
    let answer = answer::<S>(MemoryInput::new("report", bytes));
    answer.check_sound("fuzzed");
    // Where a damaged document is taken up again may depend on how far it was read ahead.
    let is_whole = |outcome: &Outcome| outcome.completeness == Completeness::Complete;
    if bytes.len() % AGAIN_EVERY == 0 && answer.outcome.as_ref().is_ok_and(is_whole) {
        let again = answer_in_pieces::<S>(bytes);
        assert_eq!(format!("{:?}", again.outcome), format!("{:?}", answer.outcome));
        let (found, said) = (&again.host.findings, &again.host.diagnostics);
        assert!(*found == answer.host.findings, "other findings in pieces");
        assert!(*said == answer.host.diagnostics, "other diagnostics in pieces");
    }
}

/// Whether the bytes open an XML document.
pub fn is_xml(bytes: &[u8]) -> bool {
    first(bytes) == Some(b'<')
}

/// Whether the bytes open a JSON container.
pub fn is_json(bytes: &[u8]) -> bool {
    matches!(first(bytes), Some(b'{' | b'['))
}

/// Unpacks the bytes as an uploaded archive and checks that everything stays in the folder.
///
/// # Panics
/// When something is written beside the folder, or more than the limits allow.
pub fn unpack(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut archive = tempfile::NamedTempFile::new_in(folder.path()).expect("an archive");
    archive.write_all(bytes).expect("an archive");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("a tree");
    let unpacked = unpack::unpack(archive.path(), &tree, &LIMITS, &CancellationToken::new());
    let beside = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(beside, 2, "something was written beside the tree");
    if let Ok(unpacked) = unpacked {
        assert!(unpacked.bytes <= LIMITS.total_bytes && unpacked.files <= LIMITS.entries);
    }
}

fn first(bytes: &[u8]) -> Option<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn answer_in_pieces<S: Scanner>(bytes: &[u8]) -> Answer {
    answer::<S>(MemoryInput::new("report", bytes).with_chunk_bytes(7))
}

fn answer<S: Scanner>(input: MemoryInput) -> Answer {
    let mut host = MemoryHost::default();
    host.sources.insert(SOURCE.0.to_owned(), SOURCE.1.to_vec());
    let inputs: Vec<Box<dyn Input>> = vec![Box::new(input)];
    Answer {
        outcome: S::convert(inputs, &ScanRequest::report("{}"), &mut host),
        host,
    }
}
