//! The real semgrep, by the bundled catalogue and rules, on uploads that try to silence it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::unpack::{UnpackLimits, unpack};
use super::*;

/// What the codeaudit plugin asks for.
const ARGUMENTS: [&str; 6] = [
    "--json",
    "--output",
    "${out.report}",
    "--config",
    "${rules}",
    "${target}",
];

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The bundled vulnerable application, unpacked, in a folder where more may be put.
fn vulnshop() -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    let never = CancellationToken::new();
    let archive = checkout("demo/vulnshop.zip");
    unpack(&archive, folder.path(), &UnpackLimits::default(), &never).expect("unpacked");
    folder
}

async fn semgrep() -> Tool {
    let inventory = Catalogue::load(None)
        .expect("bundled")
        .probe(&ToolFolders::of_this_process(None))
        .await;
    let missing = inventory.missing("semgrep").map(|tool| tool.reason.clone());
    assert_eq!(missing, None);
    inventory.tool("semgrep").expect("semgrep").clone()
}

struct Scan {
    outcome: ToolOutcome,
    report: serde_json::Value,
}

impl Scan {
    /// `rule\tfile\tline`, sorted.
    fn findings(&self) -> Vec<String> {
        let results = self.report["results"].as_array().expect("results");
        let mut lines: Vec<String> = results
            .iter()
            .map(|result| {
                let rule = result["check_id"].as_str().expect("rule").rsplit('.').next();
                let path = result["path"].as_str().expect("path");
                format!("{}\t{path}\t{}", rule.expect("rule"), result["start"]["line"])
            })
            .collect();
        lines.sort();
        lines
    }
}

async fn scan(target: &Path, rules: &Path) -> Scan {
    scan_with(&semgrep().await, target, rules).await
}

async fn scan_with(tool: &Tool, target: &Path, rules: &Path) -> Scan {
    let scratch = tempfile::tempdir().expect("scratch");
    let outcome = run_semgrep(tool, target, rules, scratch.path()).await;
    let report = outcome
        .outputs
        .first()
        .map(|report| fs::read(&report.path).expect("report"));
    let report = report.map(|bytes| serde_json::from_slice(&bytes).expect("JSON"));
    Scan {
        outcome,
        report: report.unwrap_or_default(),
    }
}

async fn run_semgrep(tool: &Tool, target: &Path, rules: &Path, scratch: &Path) -> ToolOutcome {
    let outputs = [ToolOutput {
        name: "report".to_owned(),
        media_type: "application/json".to_owned(),
    }];
    let request = ToolRequest {
        args: &ARGUMENTS.map(str::to_owned),
        outputs: &outputs,
        target: Some(target),
        network: None,
        rules: Some(rules),
        scratch,
        cancel: &CancellationToken::new(),
    };
    run(tool, request).await.expect("a run")
}

fn bundled_rules() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let rules = rules::bundled(folder.path()).expect("rules");
    (folder, rules)
}

fn expected() -> Vec<String> {
    let table = fs::read_to_string(checkout("demo/expected-findings.tsv")).expect("table");
    let mut lines: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Files that some tool takes for settings, for code to run or for options.
fn put_settings(target: &Path) {
    let files: [(&str, &str); 24] = [
        (".semgrepignore", "*\n"),
        ("python/.semgrepignore", ":include .gitignore\n*.py\n"),
        ("js/.semgrepignore", "*\n"),
        (".gitignore", "*\n"),
        ("js/.gitignore", "*\n"),
        (".semgrep.yml", "rules: []\n"),
        ("semgrep.yml", "rules: []\n"),
        (".semgrep/rules.yml", "rules: []\n"),
        (".semgreprc", "{\"exclude\": [\"*\"]}\n"),
        (".git/HEAD", "ref: refs/heads/main\n"),
        (
            ".git/config",
            "[core]\n\trepositoryformatversion = 0\n\tfsmonitor = \"echo > /out/report\"\n",
        ),
        (".git/info/exclude", "*\n"),
        (".git/objects/.keep", ""),
        (".git/refs/heads/.keep", ""),
        ("pyproject.toml", "[tool.semgrep]\nexclude = [\"*\"]\n"),
        ("setup.cfg", "[semgrep]\nexclude = *\n"),
        (".env", "SEMGREP_RULES=none\nPATH=.\n"),
        (
            "sitecustomize.py",
            "open('/out/report', 'w').write('{}')\nraise SystemExit(0)\n",
        ),
        ("json.py", "raise SystemExit(0)\n"),
        ("semgrep/__init__.py", "raise SystemExit(0)\n"),
        ("bin/semgrep-core", "#!/bin/sh\nexit 0\n"),
        ("--config=none", "x\n"),
        ("--exclude", "x\n"),
        ("-o", "x\n"),
    ];
    for (name, text) in files {
        let path = target.join(name);
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        fs::write(path, text).expect("file");
    }
}

#[tokio::test]
async fn the_demo_has_its_expected_findings() {
    let (shop, (_folder, rules)) = (vulnshop(), bundled_rules());
    let scan = scan(shop.path(), &rules).await;
    assert_eq!(scan.outcome.verdict, Verdict::Ran, "{:?}", scan.outcome);
    assert_eq!(scan.findings().len(), 48);
    assert_eq!(scan.findings(), expected());
}

#[tokio::test]
async fn no_file_of_the_upload_silences_configures_or_runs_anything() {
    let (shop, (_folder, rules)) = (vulnshop(), bundled_rules());
    put_settings(shop.path());
    let path = shop.path().join("python/app.py");
    let source = fs::read_to_string(&path).expect("source");
    let silenced: Vec<String> = source.lines().map(|line| format!("{line} # nosemgrep")).collect();
    fs::write(&path, silenced.join("\n")).expect("source");
    let scan = scan(shop.path(), &rules).await;
    assert_eq!(scan.outcome.verdict, Verdict::Ran, "{:?}", scan.outcome);
    assert_eq!(scan.findings(), expected());
}

#[tokio::test]
async fn folders_that_scanners_like_to_skip_are_scanned() {
    let (shop, (_folder, rules)) = (vulnshop(), bundled_rules());
    let source = fs::read(shop.path().join("python/app.py")).expect("source");
    let target = tempfile::tempdir().expect("target");
    let folders = [
        "tests",
        "node_modules/x",
        "vendor",
        ".hidden",
        "build",
        ".git",
        ".venv/lib",
        "__pycache__",
    ];
    for folder in folders {
        fs::create_dir_all(target.path().join(folder)).expect("folder");
        fs::write(target.path().join(folder).join("app.min.py"), &source).expect("source");
    }
    let scan = scan(target.path(), &rules).await;
    let mut by_folder = BTreeMap::new();
    for finding in scan.findings() {
        let path = finding.split('\t').nth(1).expect("path").to_owned();
        *by_folder.entry(path).or_insert(0) += 1;
    }
    assert_eq!(by_folder.len(), folders.len(), "{by_folder:?}");
    assert_eq!(
        by_folder.values().min(),
        by_folder.values().max(),
        "{by_folder:?}"
    );
}

#[tokio::test]
async fn a_padded_file_is_scanned_and_one_too_large_is_listed() {
    let (shop, (_folder, rules)) = (vulnshop(), bundled_rules());
    let source = fs::read_to_string(shop.path().join("python/app.py")).expect("source");
    let target = tempfile::tempdir().expect("target");
    for (name, padding) in [("padded.py", 2 << 20), ("huge.py", 17 << 20)] {
        let text = format!("{source}\n# {}\n", "x".repeat(padding));
        fs::write(target.path().join(name), text).expect("source");
    }
    let scan = scan(target.path(), &rules).await;
    assert_eq!(scan.outcome.verdict, Verdict::Ran, "{:?}", scan.outcome);
    assert!(
        scan.findings()
            .iter()
            .any(|finding| finding.contains("\tpadded.py\t"))
    );
    let skipped = &scan.report["paths"]["skipped"];
    assert_eq!(skipped[0]["path"], "huge.py", "{skipped}");
}

#[tokio::test]
async fn rules_of_a_task_may_be_partly_wrong_or_all_wrong() {
    let (shop, (folder, rules)) = (vulnshop(), bundled_rules());
    let own = folder.path().join("--own rules.yml");
    let text = fs::read_to_string(&rules).expect("rules");
    let wrong =
        "  - id: wrong\n    languages: [java]\n    severity: ERROR\n    message: m\n    pattern: '{{{'\n";
    fs::write(&own, format!("{}\n{wrong}", text.trim_end())).expect("rules");
    let partly = scan(shop.path(), &own).await;
    assert_eq!(partly.outcome.verdict, Verdict::RanPartly, "{:?}", partly.outcome);
    assert_eq!(partly.findings(), expected());

    for (wrong, verdict) in [
        ("rules: 7\n", Verdict::Failed),
        ("rules: [\n", Verdict::InputRefused),
        ("rules:\n  - id: half\n    message: m\n", Verdict::InputRefused),
    ] {
        fs::write(&own, wrong).expect("rules");
        let refused = scan(shop.path(), &own).await;
        assert_eq!(refused.outcome.verdict, verdict, "{wrong} {:?}", refused.outcome);
    }
}

#[tokio::test]
async fn an_engine_that_dies_is_no_clean_scan() {
    let (shop, (_folder, rules)) = (vulnshop(), bundled_rules());
    let mut tool = semgrep().await;
    // Enough for the program around the engine, not for the engine on this file.
    tool.entry.limits.address_space_bytes = 4 << 30;
    let source = fs::read_to_string(shop.path().join("python/app.py")).expect("source");
    for name in ["a.py", "b.py", "c.py"] {
        let text = format!("{source}\n{}", "x = 1\n".repeat(500_000));
        fs::write(shop.path().join(name), text).expect("source");
    }
    let scan = scan_with(&tool, shop.path(), &rules).await;
    assert_eq!(scan.outcome.end, ToolEnd::Unfinished(2));
    assert_eq!(scan.outcome.verdict, Verdict::Failed);
    assert_eq!(
        scan.outcome.problem("semgrep").expect("problem").code,
        "TOOL_FAILED"
    );
}
