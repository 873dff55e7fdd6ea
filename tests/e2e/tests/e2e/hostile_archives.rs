//! Archives that want to escape, to explode or to lie: each gets its good answer.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::harness::tool::{Script, Tools, WRITE_REPORT, install};
use crate::harness::{App, Plan, checkout, report, text};

const FOLDER: &str = "tests/fixtures/hostile/archive";

/// A good answer.
enum Good {
    /// Scanned, so many files.
    Scanned(u32),
    /// Refused, with the archive's code and words that name the entry, the rule and the limit.
    Refused(&'static str, &'static str),
}
use Good::{Refused, Scanned};

const NOT_ZIP: Good = Refused("ARCHIVE_NOT_ZIP", "the upload is not a zip archive");

const GOOD_ANSWERS: [(&str, Good); 24] = [
    ("gzip-bomb-100m.tar.gz", NOT_ZIP),
    ("not-a-zip.zip", NOT_ZIP),
    ("tar-devices.tar.gz", NOT_ZIP),
    ("tar-links.tar.gz", NOT_ZIP),
    ("tar-slip.tar.gz", NOT_ZIP),
    (
        "zip-bad-crc.zip",
        Refused(
            "ARCHIVE_DAMAGED",
            r#"entry "a.txt" is damaged: i/o error: Invalid checksum"#,
        ),
    ),
    ("zip-bomb-nested-1g.zip", Scanned(10)),
    (
        "zip-bomb-overlap-1g.zip",
        Refused("ARCHIVE_DAMAGED", r#"entry "number 2" is damaged"#),
    ),
    (
        "zip-bomb-overlap-same-name-1g.zip",
        Refused(
            "ARCHIVE_DUPLICATE_NAME",
            r#"entry "a000.txt" is in the archive twice"#,
        ),
    ),
    (
        "zip-duplicate-names.zip",
        Refused(
            "ARCHIVE_DUPLICATE_NAME",
            r#"entry "src/a.py" is in the archive twice"#,
        ),
    ),
    (
        "zip-empty.zip",
        Refused("ARCHIVE_EMPTY", "the archive holds no file: nothing to scan"),
    ),
    (
        "zip-encrypted-flag.zip",
        Refused("ARCHIVE_ENCRYPTED", r#"entry "src/app.py" is encrypted"#),
    ),
    (
        "zip-entries-20000.zip",
        Refused(
            "ARCHIVE_TOO_MANY_ENTRIES",
            "the archive lists 20000 entries, at most 10000 are allowed",
        ),
    ),
    (
        "zip-file-and-dir.zip",
        Refused(
            "ARCHIVE_FILE_AND_FOLDER",
            r#"entry "x" is a file as well as a folder"#,
        ),
    ),
    (
        "zip-flat-100m.zip",
        Refused(
            "ARCHIVE_FILE_TOO_LARGE",
            r#"entry "zeros.bin" has more than the 67108864 bytes that one file may have"#,
        ),
    ),
    (
        "zip-long-name.zip",
        Refused(
            "ARCHIVE_NAME_TOO_LONG",
            "has a name of 60305 bytes, at most 1024 are allowed",
        ),
    ),
    (
        "zip-lying-size.zip",
        Refused(
            "ARCHIVE_DAMAGED",
            r#"entry "small.txt" is damaged: i/o error: File is larger than its declared"#,
        ),
    ),
    ("zip-odd-names.zip", Scanned(10)),
    ("zip-prefixed.zip", Scanned(1)),
    (
        "zip-setuid.zip",
        Refused("ARCHIVE_SPECIAL_FILE", r#"entry "fifo" is a special file"#),
    ),
    (
        "zip-slip.zip",
        Refused(
            "ARCHIVE_PATH_ESCAPES",
            r#"entry "../../../../tmp/tamiz-slip-1.txt" leads out of the archive: it has a part '..'"#,
        ),
    ),
    (
        "zip-symlink.zip",
        Refused("ARCHIVE_LINK", r#"entry "link-file" is a link"#),
    ),
    ("zip-tool-config.zip", Scanned(7)),
    ("zip-truncated.zip", NOT_ZIP),
];

/// Archives of our own.
fn more() -> Vec<(&'static str, Vec<u8>, Good)> {
    let mut archives = odd_names();
    archives.extend([
        (
            "many",
            report::large_archive(10_001),
            Refused(
                "ARCHIVE_TOO_MANY_ENTRIES",
                "the archive lists 10001 entries, at most 10000 are allowed",
            ),
        ),
        (
            "bomb",
            zeros(50 << 20),
            Refused(
                "ARCHIVE_RATIO",
                r#"entry "zeros.bin" unpacks to more than 100 times its packed size"#,
            ),
        ),
        (
            "folders only",
            report::archive([("a/", b"".as_slice())]),
            Refused("ARCHIVE_EMPTY", "nothing to scan"),
        ),
    ]);
    archives
}

/// Archives of one entry, by its name.
fn odd_names() -> Vec<(&'static str, Vec<u8>, Good)> {
    let deep = "a/".repeat(65) + "x.py";
    let one = |name: &str| report::archive([(name, b"1".as_slice())]);
    vec![
        (
            "deep",
            one(&deep),
            Refused(
                "ARCHIVE_TOO_DEEP",
                "lies below 65 folders, at most 64 are allowed",
            ),
        ),
        (
            "parent",
            one("a/../../x.py"),
            Refused("ARCHIVE_PATH_ESCAPES", r#"entry "a/../../x.py" leads out"#),
        ),
        (
            "backslashes",
            one("..\\..\\x.py"),
            Refused("ARCHIVE_PATH_ESCAPES", "it has a backslash"),
        ),
        (
            "absolute",
            one("/tmp/tamiz-slip-own"),
            Refused(
                "ARCHIVE_PATH_ESCAPES",
                r#"entry "/tmp/tamiz-slip-own" leads out of the archive: it begins with a slash"#,
            ),
        ),
        (
            "NUL",
            one("a\0b.py"),
            Refused(
                "ARCHIVE_BAD_NAME",
                "has a bad name: a name is not empty and has no NUL byte",
            ),
        ),
        ("line break", one("a\nb.py"), Scanned(1)),
        (
            "long part",
            one(&"n".repeat(256)),
            Refused(
                "ARCHIVE_NAME_TOO_LONG",
                "has a name of 256 bytes, at most 255 are allowed",
            ),
        ),
        ("hooks", one(".git/hooks/post-checkout"), Scanned(1)),
    ]
}

/// An archive of one file of so many zeros.
fn zeros(bytes: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("zeros.bin", SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![0; bytes]).unwrap();
    zip.finish().unwrap().into_inner()
}

/// What the hostile archives try to leave behind.
fn escaped() -> Vec<String> {
    let names = fs::read_dir("/tmp")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with("tamiz-slip-"))
        .collect()
}

#[tokio::test]
async fn every_hostile_archive_gets_its_good_answer() {
    let files: BTreeSet<String> = checkout::files(FOLDER).into_iter().collect();
    let rows: BTreeSet<String> = GOOD_ANSWERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, rows, "one row per file");
    assert_eq!(escaped(), Vec::<String>::new(), "left by somebody else");

    let app = Plan::new()
        .tools(Tools::Script(Script::new(WRITE_REPORT)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(1)).unwrap();
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let of_file = |(name, good)| (name, checkout::read(&format!("{FOLDER}/{name}")), good);
    let mut orders = Vec::new();
    for (name, bytes, good) in GOOD_ANSWERS.into_iter().map(of_file).chain(more()) {
        orders.push((name, good, acme.scan(&project, name, bytes).await));
    }
    for (name, good, task) in orders {
        let task = acme.ended(&task).await;
        match good {
            Scanned(files) => {
                assert_eq!(task["status"], "COMPLETED", "{name}: {task:#}");
                let events = acme.all_events(&text(&task["id"])).await;
                let says = format!("unpacked {files} files");
                assert!(
                    events.iter().any(|event| text(&event["message"]) == says),
                    "{name}: {events:#?}"
                );
            }
            Refused(code, rule) => {
                assert_eq!(task["status"], "FAILED", "{name}: {task:#}");
                assert_eq!(task["error"]["code"], "ARCHIVE_REFUSED", "{name}");
                let message = text(&task["error"]["message"]);
                assert!(
                    message.starts_with(&format!("{name:?}: "))
                        && message.contains(rule)
                        && message.ends_with(&format!("({code})"))
                        && message.len() < 500,
                    "{name}: {message}"
                );
                assert_eq!(task["attempt"], 1, "{name}: trying again would not help");
                assert!(task["scanResult"].is_null(), "{name}: {task:#}");
            }
        }
    }
    assert_eq!(escaped(), Vec::<String>::new());
    still_well(&app).await;
}

/// The server goes on, and no unpacked tree is left on its disk.
async fn still_well(app: &App) {
    let other = app.tenant("other");
    let project = other.project("shop").await;
    let task = other.import(&project, "report.json", report::semgrep(2)).await;
    other.ends_as(&task, "COMPLETED").await;
    app.leaves_no_scratch().await;
}
