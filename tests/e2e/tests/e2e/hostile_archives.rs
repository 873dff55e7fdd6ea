//! Archives that want to escape, to explode or to lie: each gets its good answer.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::tool::{Script, Tools, WRITE_REPORT, install};
use crate::harness::{App, Plan, checkout, report, text};

const FOLDER: &str = "tests/fixtures/hostile/archive";

/// A good answer.
enum Good {
    /// Scanned, so many files.
    Scanned(u32),
    /// Refused, in words that name the rule.
    Refused(&'static str),
}
use Good::{Refused, Scanned};

fn good_answers() -> Vec<(&'static str, Good)> {
    vec![
        ("gzip-bomb-100m.tar.gz", Refused("not a zip archive")),
        ("not-a-zip.zip", Refused("not a zip archive")),
        ("tar-devices.tar.gz", Refused("not a zip archive")),
        ("tar-links.tar.gz", Refused("not a zip archive")),
        ("tar-slip.tar.gz", Refused("not a zip archive")),
        ("zip-bad-crc.zip", Refused("is damaged")),
        ("zip-bomb-nested-1g.zip", Scanned(10)),
        ("zip-bomb-overlap-1g.zip", Refused("shares its bytes")),
        ("zip-bomb-overlap-same-name-1g.zip", Refused("twice")),
        ("zip-duplicate-names.zip", Refused("twice")),
        ("zip-empty.zip", Refused("nothing to scan")),
        ("zip-encrypted-flag.zip", Refused("is encrypted")),
        ("zip-entries-20000.zip", Refused("at most 10000")),
        ("zip-file-and-dir.zip", Refused("a file as well as a folder")),
        ("zip-flat-100m.zip", Refused("times its packed size")),
        ("zip-long-name.zip", Refused("has a name of")),
        ("zip-lying-size.zip", Refused("is damaged")),
        ("zip-odd-names.zip", Scanned(10)),
        ("zip-prefixed.zip", Scanned(1)),
        ("zip-setuid.zip", Refused("special file")),
        ("zip-slip.zip", Refused("leads out of the archive")),
        ("zip-symlink.zip", Refused("is a link")),
        ("zip-tool-config.zip", Scanned(7)),
        ("zip-truncated.zip", Refused("not a zip archive")),
    ]
}

/// Archives of our own.
fn more() -> Vec<(&'static str, Vec<u8>, Good)> {
    let deep = "a/".repeat(65) + "x.py";
    let one = |name: &str| report::archive([(name, b"1".as_slice())]);
    let many = report::large_archive(10_001);
    vec![
        ("deep", one(&deep), Refused("at most 64 are allowed")),
        ("parent", one("a/../../x.py"), Refused("leads out of the archive")),
        (
            "backslashes",
            one("..\\..\\x.py"),
            Refused("leads out of the archive"),
        ),
        (
            "absolute",
            one("/tmp/tamiz-slip-own"),
            Refused("leads out of the archive"),
        ),
        ("many", many, Refused("at most 10000")),
        ("control", one("a\nb.py"), Refused("has a bad name")),
        (
            "folders only",
            report::archive([("a/", b"".as_slice())]),
            Refused("nothing to scan"),
        ),
        ("hooks", one(".git/hooks/post-checkout"), Scanned(1)),
    ]
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
    let rows: BTreeSet<String> = good_answers()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
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
    for (name, bytes, good) in good_answers().into_iter().map(of_file).chain(more()) {
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
            Refused(rule) => {
                assert_eq!(task["status"], "FAILED", "{name}: {task:#}");
                assert_eq!(task["error"]["code"], "ARCHIVE_REFUSED", "{name}");
                let message = text(&task["error"]["message"]);
                assert!(
                    message.contains(rule) && message.len() < 5000,
                    "{name}: {message}"
                );
                assert_eq!(task["attempt"], 1, "{name}: trying again would not help");
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
    let scratch = app.data_dir().join("scratch");
    crate::harness::until(
        "an empty scratch folder",
        crate::harness::wait::SOON,
        async || (fs::read_dir(&scratch).unwrap().count() == 0).then_some(()),
    )
    .await;
}
