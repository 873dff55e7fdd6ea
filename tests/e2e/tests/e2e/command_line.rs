//! `tamiz scan` and its neighbours, as a person or a pipeline runs them.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::harness::report;
use crate::harness::tool::{Script, Tools, WRITE_REPORT, install, semgrep_turn};
use crate::harness::wait::{LOOK_PAUSE, SOON};
use crate::harness::{App, Client, Plan, checkout, text};
use crate::whole_road::{expected_places, vulnshop};

/// `tamiz scan` as a user's machine runs it: the address and the token are all it knows.
fn scan(app: &App, client: &Client, args: &[&str]) -> Output {
    let mut command = Command::new(checkout::tamiz());
    command
        .arg("scan")
        .args(args)
        .current_dir(app.folder())
        .env_clear();
    command
        .env("TAMIZ_SERVER", client.address())
        .env("TAMIZ_TOKEN", client.token());
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn unpack(archive: Vec<u8>, folder: &Path) {
    zip::ZipArchive::new(Cursor::new(archive))
        .unwrap()
        .extract(folder)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_scanned_and_a_high_finding_fails_the_pipeline() {
    let _turn = semgrep_turn().await;
    let app = Plan::new().tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    unpack(vulnshop(), &app.folder().join("shop"));
    let output = scan(
        &app,
        &acme,
        &[
            "shop",
            "--project",
            "shop",
            "--format",
            "json",
            "--fail-on",
            "high",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("(--fail-on)"), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["task"]["status"], "completed");
    let place = |finding: &Value| {
        format!(
            "{}\t{}\t{}",
            text(&finding["ruleId"]),
            text(&finding["file"]),
            finding["line"]
        )
    };
    let mut places: Vec<String> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(place)
        .collect();
    places.sort();
    assert_eq!(places, expected_places());
}

/// A server whose semgrep writes a report of 5 findings, none worse than high.
async fn stand_in() -> (App, Client) {
    let app = Plan::new()
        .tools(Tools::Script(Script::new(WRITE_REPORT)))
        .start()
        .await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(5)).unwrap();
    fs::create_dir(app.folder().join("src")).unwrap();
    fs::write(app.folder().join("src/app.py"), "print(1)\n").unwrap();
    let client = app.tenant("acme");
    (app, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_below_the_threshold_pass_in_every_format() {
    let (app, acme) = stand_in().await;
    let run = |args: &[&str]| {
        let mut all = vec!["src", "--project", "shop"];
        all.extend(args);
        scan(&app, &acme, &all)
    };
    let sarif = run(&[
        "--format",
        "sarif",
        "--fail-on",
        "critical",
        "--json-output",
        "found.json",
    ]);
    assert_eq!(sarif.status.code(), Some(0), "{}", stderr(&sarif));
    let document: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(document["version"], "2.1.0");
    assert_eq!(document["runs"][0]["results"].as_array().unwrap().len(), 5);
    let written: Value = serde_json::from_slice(&fs::read(app.folder().join("found.json")).unwrap()).unwrap();
    assert_eq!(written["summary"]["total"], 5);

    let table = run(&[]);
    assert_eq!(table.status.code(), Some(0), "{}", stderr(&table));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("demo-rule-0") && table.contains("src/demo-rule0.py"),
        "{table}"
    );
    assert!(
        !table.contains('\u{1b}'),
        "no colour where no terminal is: {table:?}"
    );
    assert_eq!(
        acme.data("{ projects { totalCount } }", Value::Null).await["projects"]["totalCount"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_said_with_its_exit_code() {
    let (app, acme) = stand_in().await;
    let nobody = app.client("tmz_nonsense");
    let away = Client::new("http://127.0.0.1:9", acme.token());
    fs::create_dir(app.folder().join("empty")).unwrap();
    fs::write(app.folder().join("bad.zip"), "no zip").unwrap();
    for (client, path, code, says) in [
        (&acme, "missing", 2, "cannot be scanned"),
        (&acme, "empty", 2, "nothing to scan"),
        (&nobody, "src", 2, "API token"),
        (&acme, "bad.zip", 1, "not a zip archive"),
        (&away, "src", 3, "is `tamiz serve` running there?"),
    ] {
        let output = scan(&app, client, &[path, "--project", "shop"]);
        assert_eq!(output.status.code(), Some(code), "{path}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{path}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn operators_list_tenants_tokens_and_plugins() {
    let app = App::start().await;
    let acme = app.tenant("acme");
    assert!(app.says(&["tenant", "list"]).contains("acme"));
    let again = app.run(&["tenant", "create", "acme"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists already"));
    let tokens = app.says(&["token", "list", "--tenant", "acme"]);
    assert!(
        tokens.contains("a-token") && !tokens.contains(acme.token()),
        "{tokens}"
    );
    assert!(app.says(&["plugin", "list"]).contains("codeaudit"));
    let config = app.says(&["config", "check"]);
    assert!(config.contains("lease_seconds"), "{config}");
}

#[test]
fn the_committed_schema_is_what_the_program_prints() {
    let output = Command::new(checkout::tamiz()).arg("schema").output().unwrap();
    assert!(output.status.success());
    assert!(
        output.stdout == checkout::read("schema.graphql"),
        "schema.graphql is out of date: `tamiz schema > schema.graphql`"
    );
}

/// It comes by itself; what goes on is killed and fails the test.
fn end_of(mut child: Child) -> Output {
    let deadline = Instant::now() + SOON;
    while child.try_wait().expect("our child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("our child");
            panic!("the command goes on");
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    child.wait_with_output().expect("ended")
}

#[tokio::test]
async fn a_command_whose_reader_has_seen_enough_ends_quietly() {
    let app = App::start().await;
    for words in [
        &["schema"][..],
        &["config", "check"],
        &["plugin", "list"],
        &["tenant", "list"],
        &["worker", "--check"],
        // it goes on as long as somebody reads
        &["queue", "top", "--json"],
        &["--help"],
    ] {
        let mut command = app.tamiz();
        command.args(words).stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        drop(child.stdout.take());
        let ended = end_of(child);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        // A worker without tools fails, and says so.
        assert!(
            ended.status.success() || words[0] == "worker",
            "{words:?}: {said}"
        );
    }
}
