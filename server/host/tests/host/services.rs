//! What a guest may ask for: files of the upload, by paths that stay in it, and identities of secrets.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use tamiz_host::{ConvertServices, Input, SecretKey};

use crate::world::{hostile, request, run, text, tight};

/// One file, and a note of every path that was asked for.
struct OneFile {
    key: SecretKey,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConvertServices for OneFile {
    fn secret_identity(&mut self, value: &[u8]) -> String {
        self.key.identity(value)
    }

    fn open_source(&mut self, path: &str) -> Option<Input> {
        self.asked.lock().unwrap().push(path.to_owned());
        (path == "src/app.py").then(|| Input::seekable(path, Cursor::new(b"import os\n".to_vec())))
    }
}

/// Lets the guest ask for each path of its input's lines; answers what it got, and what reached us.
fn ask(paths: &str) -> (Vec<String>, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut request = request(r#"{"do":"open-sources"}"#, vec![text(paths)], tight());
    request.services = Box::new(OneFile {
        key: SecretKey::new(b"a tenant's key"),
        asked: asked.clone(),
    });
    let run = run(hostile(), request);
    run.outcome.unwrap();
    let got = run.kept.findings.iter().map(|finding| finding.message.clone());
    let asked = asked.lock().unwrap().clone();
    (got.collect(), asked)
}

#[test]
fn a_guest_reads_the_files_of_the_upload_and_nothing_else() {
    let (got, asked) =
        ask("src/app.py\nsrc/none.py\n../app.py\n/etc/passwd\nsrc/../src/app.py\nsrc//app.py\n");
    assert_eq!(got[0], "import os\n");
    assert!(got[1..].iter().all(|answer| answer == "none"), "{got:?}");
    assert_eq!(got.len(), 6);
    assert_eq!(asked, ["src/app.py", "src/none.py"]);
}

#[test]
fn a_guest_that_opens_files_for_ever_ends() {
    let paths = "src/app.py\n".repeat(2_000);
    let mut request = request(r#"{"do":"keep-sources"}"#, vec![text(&paths)], tight());
    request.services = Box::new(OneFile {
        key: SecretKey::new(b"a tenant's key"),
        asked: Arc::default(),
    });
    let run = run(hostile(), request);
    assert!(run.outcome.is_err(), "{:?}", run.outcome);
}

#[test]
fn a_secret_has_one_identity_under_one_key() {
    let run = run(
        hostile(),
        request(
            r#"{"do":"name-secrets"}"#,
            vec![text("hunter2\nother\nhunter2\n")],
            tight(),
        ),
    );
    let names: Vec<_> = run
        .kept
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    let key = SecretKey::new(b"a tenant's key");
    let expected = [
        key.identity(b"hunter2"),
        key.identity(b"other"),
        key.identity(b"hunter2"),
    ];
    assert_eq!(names, expected);
}
