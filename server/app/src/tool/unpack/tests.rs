//! Hostile archives and the answer that each gets.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::PathBuf;

use flate2::Crc;
use tempfile::TempDir;

use super::*;

/// What an archive should be answered: the number of files, or the code of a refusal.
type Answer = Result<u64, &'static str>;

fn sample(name: &str) -> PathBuf {
    let samples = "../../tests/fixtures/hostile/archive";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(samples).join(name)
}

/// Unpacks into `tree` of a new folder.
fn try_unpack(archive: &Path, limits: &UnpackLimits) -> (TempDir, Result<Unpacked, UnpackError>) {
    let folder = tempfile::tempdir().expect("folder");
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).expect("tree");
    let unpacked = unpack(archive, &tree, limits, &CancellationToken::new());
    (folder, unpacked)
}

fn unpack_bytes(bytes: &[u8], limits: &UnpackLimits) -> (TempDir, Result<Unpacked, UnpackError>) {
    let archive = tempfile::NamedTempFile::new().expect("archive");
    fs::write(archive.path(), bytes).expect("archive");
    try_unpack(archive.path(), limits)
}

fn answer(unpacked: &Result<Unpacked, UnpackError>) -> Answer {
    match unpacked {
        Ok(unpacked) => Ok(unpacked.files),
        Err(error) => Err(error.code()),
    }
}

/// Every path below `folder`, and that all of them are plain files or folders.
fn listing(folder: &Path) -> BTreeSet<String> {
    let mut pending = vec![folder.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).expect("folder").flatten() {
            let kind = entry.file_type().expect("type");
            assert!(kind.is_file() || kind.is_dir(), "{:?}", entry.path());
            let path = entry.path();
            if kind.is_dir() {
                pending.push(path.clone());
            }
            found.insert(
                path.strip_prefix(folder)
                    .expect("below")
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
    found
}

/// One entry of an archive made here, with every lie spelled out.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    data: Vec<u8>,
    declared: u32,
    mode: u32,
    flags: u16,
    method: u16,
}

fn entry(name: &str) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        data: b"x".to_vec(),
        declared: 1,
        mode: 0o100_644,
        flags: 0,
        method: 0,
    }
}

/// A stored archive; `count` is what its end says of the number of entries.
fn archive(entries: &[Entry], count: u16) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = u32::try_from(body.len()).expect("small");
        let mut crc = Crc::new();
        crc.update(&entry.data);
        let packed = u32::try_from(entry.data.len()).expect("small");
        let name_length = u16::try_from(entry.name.len()).expect("short");
        let mut common = Vec::new();
        for word in [20, entry.flags, entry.method, 0, 0x21] {
            common.extend(word.to_le_bytes());
        }
        for word in [crc.sum(), packed, entry.declared] {
            common.extend(word.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        body.extend(b"PK\x03\x04");
        body.extend(&common);
        body.extend(&entry.name);
        body.extend(&entry.data);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
    }
    let start = u32::try_from(body.len()).expect("small");
    let size = u32::try_from(directory.len()).expect("small");
    body.extend(&directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    body.extend(count.to_le_bytes());
    body.extend(count.to_le_bytes());
    body.extend(size.to_le_bytes());
    body.extend(start.to_le_bytes());
    body.extend([0, 0]);
    body
}

fn answer_to(entries: &[Entry]) -> Answer {
    let bytes = archive(entries, u16::try_from(entries.len()).expect("few"));
    answer(&unpack_bytes(&bytes, &UnpackLimits::default()).1)
}

#[test]
fn every_hostile_sample_gets_its_answer_and_leaves_nothing_outside() {
    let table: [(&str, Answer); 24] = [
        ("gzip-bomb-100m.tar.gz", Err("ARCHIVE_NOT_ZIP")),
        ("not-a-zip.zip", Err("ARCHIVE_NOT_ZIP")),
        ("tar-devices.tar.gz", Err("ARCHIVE_NOT_ZIP")),
        ("tar-links.tar.gz", Err("ARCHIVE_NOT_ZIP")),
        ("tar-slip.tar.gz", Err("ARCHIVE_NOT_ZIP")),
        ("zip-bad-crc.zip", Err("ARCHIVE_DAMAGED")),
        ("zip-bomb-nested-1g.zip", Ok(10)),
        ("zip-bomb-overlap-1g.zip", Err("ARCHIVE_DAMAGED")),
        ("zip-bomb-overlap-same-name-1g.zip", Err("ARCHIVE_DUPLICATE_NAME")),
        ("zip-duplicate-names.zip", Err("ARCHIVE_DUPLICATE_NAME")),
        ("zip-empty.zip", Err("ARCHIVE_EMPTY")),
        ("zip-encrypted-flag.zip", Err("ARCHIVE_ENCRYPTED")),
        ("zip-entries-20000.zip", Err("ARCHIVE_TOO_MANY_ENTRIES")),
        ("zip-file-and-dir.zip", Err("ARCHIVE_FILE_AND_FOLDER")),
        ("zip-flat-100m.zip", Err("ARCHIVE_FILE_TOO_LARGE")),
        ("zip-long-name.zip", Err("ARCHIVE_NAME_TOO_LONG")),
        ("zip-lying-size.zip", Err("ARCHIVE_DAMAGED")),
        ("zip-odd-names.zip", Ok(10)),
        ("zip-prefixed.zip", Ok(1)),
        ("zip-setuid.zip", Err("ARCHIVE_SPECIAL_FILE")),
        ("zip-slip.zip", Err("ARCHIVE_PATH_ESCAPES")),
        ("zip-symlink.zip", Err("ARCHIVE_LINK")),
        ("zip-tool-config.zip", Ok(7)),
        ("zip-truncated.zip", Err("ARCHIVE_NOT_ZIP")),
    ];
    let names: BTreeSet<String> = listing(&sample(""));
    assert_eq!(names, table.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (name, expected) in table {
        let (folder, unpacked) = try_unpack(&sample(name), &UnpackLimits::default());
        assert_eq!(answer(&unpacked), expected, "{name}: {unpacked:?}");
        let outside: Vec<String> = listing(folder.path())
            .into_iter()
            .filter(|path| !path.starts_with("tree"))
            .collect();
        assert!(outside.is_empty(), "{name}: {outside:?}");
        if let Err(error) = unpacked {
            let refusal = error.refusal().expect("a refusal");
            assert_eq!(refusal.code, "ARCHIVE_REFUSED");
            assert!(refusal.message.contains(error.code()), "{refusal}");
        }
    }
    for escaped in 1..=6 {
        assert!(!Path::new(&format!("/tmp/tamiz-slip-{escaped}.txt")).exists());
    }
}

#[test]
fn a_bomb_is_stopped_early_whatever_the_limits_that_it_slips_under() {
    let wide = UnpackLimits {
        file_bytes: u64::MAX,
        total_bytes: u64::MAX,
        ..UnpackLimits::default()
    };
    let (folder, unpacked) = try_unpack(&sample("zip-flat-100m.zip"), &wide);
    assert_eq!(answer(&unpacked), Err("ARCHIVE_RATIO"));
    let written = fs::metadata(folder.path().join("tree/zeros.bin"))
        .expect("zeros")
        .len();
    assert!(written <= 101_923 * wide.ratio, "{written}");
    let (folder, unpacked) = try_unpack(&sample("zip-bomb-overlap-1g.zip"), &wide);
    assert!(unpacked.is_err());
    assert_eq!(listing(&folder.path().join("tree")).len(), 0);
}

#[test]
fn an_entry_hidden_in_the_bytes_of_another_is_refused() {
    let inner = Entry {
        data: vec![b'x'; 20],
        declared: 20,
        ..entry("inner")
    };
    let whole = archive(std::slice::from_ref(&inner), 1);
    let record = whole[..30 + 5 + 20].to_vec();
    let declared = u32::try_from(record.len()).expect("small");
    let outer = Entry {
        data: record,
        declared,
        ..entry("outer")
    };
    let mut bytes = archive(&[outer, inner], 2);
    let directory = bytes
        .windows(4)
        .rposition(|window| window == b"PK\x01\x02")
        .expect("inner");
    // The second entry's place becomes that of the record inside the first one.
    bytes[directory + 42..directory + 46].copy_from_slice(&35_u32.to_le_bytes());
    let (folder, unpacked) = unpack_bytes(&bytes, &UnpackLimits::default());
    assert_eq!(answer(&unpacked), Err("ARCHIVE_OVERLAP"), "{unpacked:?}");
    assert_eq!(listing(&folder.path().join("tree")).len(), 0);
}

#[test]
fn a_good_archive_comes_out_as_it_went_in_with_modes_ignored() {
    use std::os::unix::fs::PermissionsExt;
    let entries = [
        Entry {
            mode: 0o104_777,
            ..entry("./a/run.sh")
        },
        Entry {
            data: vec![],
            declared: 0,
            mode: 0o040_700,
            ..entry("a/")
        },
        Entry {
            data: vec![],
            declared: 0,
            mode: 0o040_700,
            ..entry("a/")
        },
        Entry {
            data: vec![],
            declared: 0,
            mode: 0,
            ..entry("./")
        },
        Entry {
            mode: 0,
            ..entry("A/run.sh")
        },
        Entry {
            name: "é.py".into(),
            ..entry("")
        },
        Entry {
            name: b"caf\x82.py".to_vec(),
            ..entry("")
        },
        Entry {
            data: vec![],
            declared: 0,
            ..entry("empty")
        },
    ];
    let bytes = archive(&entries, 8);
    let (folder, unpacked) = unpack_bytes(&bytes, &UnpackLimits::default());
    assert_eq!(unpacked.expect("unpacked"), Unpacked { files: 5, bytes: 4 });
    let tree = folder.path().join("tree");
    let expected = ["A", "A/run.sh", "a", "a/run.sh", "café.py", "empty", "é.py"];
    assert_eq!(listing(&tree), expected.map(str::to_owned).into());
    let mode = fs::metadata(tree.join("a/run.sh"))
        .expect("file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7111, 0, "{mode:o}");
}

#[test]
fn entries_with_names_that_are_none_are_refused() {
    let below = |folders: usize| format!("{}x", "d/".repeat(folders));
    for (name, expected) in [
        ("C:\\windows\\x", "ARCHIVE_PATH_ESCAPES"),
        ("\\\\host\\share\\x", "ARCHIVE_PATH_ESCAPES"),
        ("a\0.py", "ARCHIVE_BAD_NAME"),
        ("", "ARCHIVE_BAD_NAME"),
        ("folder/", "ARCHIVE_BAD_NAME"),
        (&below(70), "ARCHIVE_TOO_DEEP"),
        (&below(500), "ARCHIVE_TOO_DEEP"),
        (&below(600), "ARCHIVE_NAME_TOO_LONG"),
    ] {
        assert_eq!(
            answer_to(&[entry("good"), entry(name)]),
            Err(expected),
            "{name:?}"
        );
    }
}

#[test]
fn entries_that_are_no_files_or_lie_about_themselves_are_refused() {
    let of_mode = |name, mode| Entry { mode, ..entry(name) };
    let declaring = |name, declared| Entry {
        declared,
        ..entry(name)
    };
    let packed_by = |name, method| Entry {
        method,
        ..entry(name)
    };
    let locked = Entry {
        flags: 1,
        ..entry("locked")
    };
    for (lie, expected) in [
        (of_mode("link", 0o120_777), "ARCHIVE_LINK"),
        (of_mode("socket", 0o140_777), "ARCHIVE_SPECIAL_FILE"),
        (of_mode("disk", 0o060_777), "ARCHIVE_SPECIAL_FILE"),
        (locked, "ARCHIVE_ENCRYPTED"),
        (packed_by("lzma", 14), "ARCHIVE_UNSUPPORTED_METHOD"),
        (packed_by("not deflate", 8), "ARCHIVE_DAMAGED"),
        (declaring("short", 2), "ARCHIVE_DAMAGED"),
        (declaring("long", 0), "ARCHIVE_DAMAGED"),
        (declaring("huge", 1 << 30), "ARCHIVE_FILE_TOO_LARGE"),
        // A size that only a zip64 field could hold, and no such field.
        (declaring("zip64", u32::MAX), "ARCHIVE_FILE_TOO_LARGE"),
    ] {
        let name = String::from_utf8_lossy(&lie.name).into_owned();
        assert_eq!(answer_to(&[entry("good"), lie]), Err(expected), "{name:?}");
    }
}

#[test]
fn names_that_collide_are_refused_and_case_does_not_matter() {
    for (names, expected) in [
        (&["a", "a"][..], Err("ARCHIVE_DUPLICATE_NAME")),
        (&["a", "./a"], Err("ARCHIVE_DUPLICATE_NAME")),
        (&["d/a", "d//a"], Err("ARCHIVE_DUPLICATE_NAME")),
        (&["a", "a/b"], Err("ARCHIVE_FILE_AND_FOLDER")),
        (&["a/b", "a"], Err("ARCHIVE_FILE_AND_FOLDER")),
        (&["a/b/c/d", "a/b"], Err("ARCHIVE_FILE_AND_FOLDER")),
        (&["a", "A", "b/c", "B/c"], Ok(4)),
    ] {
        let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
        assert_eq!(answer_to(&entries), expected, "{names:?}");
    }
}

#[test]
fn an_archive_whose_end_lies_is_refused() {
    let entries = [entry("a"), entry("b"), entry("c")];
    assert_eq!(
        answer(&unpack_bytes(&archive(&entries, 3), &UnpackLimits::default()).1),
        Ok(3)
    );
    for count in [4, 9_999, u16::MAX] {
        let (_folder, unpacked) = unpack_bytes(&archive(&entries, count), &UnpackLimits::default());
        assert!(unpacked.is_err(), "{count}");
    }
}

#[test]
fn a_local_header_that_names_another_file_is_refused() {
    let mut bytes = archive(&[entry("safe.py")], 1);
    let local = bytes
        .windows(7)
        .position(|window| window == b"safe.py")
        .expect("name");
    bytes[local..local + 7].copy_from_slice(b"evil.py");
    let (_folder, unpacked) = unpack_bytes(&bytes, &UnpackLimits::default());
    assert_eq!(answer(&unpacked), Err("ARCHIVE_DAMAGED"));
}

#[test]
fn each_limit_is_kept_to_the_byte() {
    let entries: Vec<Entry> = (0..4).map(|number| entry(&format!("d/{number}"))).collect();
    let bytes = archive(&entries, 4);
    let exact = UnpackLimits {
        entries: 4,
        path_bytes: 3,
        depth: 1,
        file_bytes: 1,
        total_bytes: 4,
        ..UnpackLimits::default()
    };
    assert_eq!(answer(&unpack_bytes(&bytes, &exact).1), Ok(4));
    for (limits, expected) in [
        (UnpackLimits { entries: 3, ..exact }, "ARCHIVE_TOO_MANY_ENTRIES"),
        (
            UnpackLimits {
                path_bytes: 2,
                ..exact
            },
            "ARCHIVE_NAME_TOO_LONG",
        ),
        (UnpackLimits { depth: 0, ..exact }, "ARCHIVE_TOO_DEEP"),
        (
            UnpackLimits {
                file_bytes: 0,
                ..exact
            },
            "ARCHIVE_FILE_TOO_LARGE",
        ),
        (
            UnpackLimits {
                total_bytes: 3,
                ..exact
            },
            "ARCHIVE_TOO_LARGE",
        ),
    ] {
        assert_eq!(answer(&unpack_bytes(&bytes, &limits).1), Err(expected));
    }
}

#[test]
fn folders_that_are_only_implied_are_limited_too() {
    let limits = UnpackLimits {
        entries: 4,
        ..UnpackLimits::default()
    };
    // the archive's own folder counts
    for (name, expected) in [
        ("a/b/c/d/e/f/x", Ok(1)),
        ("a/b/c/d/e/f/g/x", Err("ARCHIVE_TOO_MANY_ENTRIES")),
    ] {
        let (folder, unpacked) = unpack_bytes(&archive(&[entry(name)], 1), &limits);
        assert_eq!(answer(&unpacked), expected, "{name}");
        assert_eq!(folder.path().join("tree/a").exists(), expected.is_ok(), "{name}");
    }
}

#[test]
fn a_cancel_is_seen_between_two_entries() {
    let cancel = CancellationToken::new();
    let folder = tempfile::tempdir().expect("folder");
    let limits = UnpackLimits::default();
    let mut reader = Cursor::new(archive(&[entry("a/b/c")], 1));
    let planned = plan(&mut reader, &limits, &cancel).expect("planned");
    cancel.cancel();
    let mut unpacking = Unpacking {
        into: folder.path(),
        limits: &limits,
        cancel: &cancel,
        packed_bytes: 100,
        unpacked: Unpacked::default(),
    };
    let placed = unpacking.place(&mut reader, planned.into_iter().next().expect("one"));
    assert!(matches!(placed, Err(UnpackError::Cancelled)));
    assert!(!folder.path().join("a").exists());
}

#[test]
fn an_archive_cut_or_changed_anywhere_is_answered_and_never_panics() {
    let bytes = fs::read(sample("zip-tool-config.zip")).expect("sample");
    for length in 0..bytes.len() {
        let (_folder, unpacked) = unpack_bytes(&bytes[..length], &UnpackLimits::default());
        assert!(unpacked.is_err(), "cut at {length}");
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0xff;
        // Some bytes (times, comments) may change without harm; none may bring the process down.
        let (folder, _unpacked) = unpack_bytes(&changed, &UnpackLimits::default());
        assert!(listing(folder.path()).iter().all(|path| path.starts_with("tree")));
    }
}

#[test]
fn unpacking_stops_when_it_is_cancelled() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let folder = tempfile::tempdir().expect("folder");
    let unpacked = unpack(
        &sample("zip-tool-config.zip"),
        folder.path(),
        &UnpackLimits::default(),
        &cancel,
    );
    assert!(matches!(unpacked, Err(UnpackError::Cancelled)));
    assert!(UnpackError::Cancelled.refusal().is_none());
}

#[test]
fn a_directory_that_points_at_itself_ends() {
    let mut bytes = archive(&[entry("a")], 1);
    let end = bytes.len() - 22;
    // The directory's offset becomes that of the archive's end.
    let offset = u32::try_from(end).expect("small").to_le_bytes();
    bytes[end + 16..end + 20].copy_from_slice(&offset);
    let mut cursor = Cursor::new(bytes);
    let planned = plan(&mut cursor, &UnpackLimits::default(), &CancellationToken::new());
    assert!(planned.is_err());
}
