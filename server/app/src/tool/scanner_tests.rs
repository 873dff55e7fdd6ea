//! Every scanner of the bundled catalogue that is installed here, with the arguments that plugins
//! propose, on local targets. `scripts/tools` installs more of them.

mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use servers::{TlsServer, serve_names, serve_web};
use tokio_util::sync::CancellationToken;

use super::unpack::{UnpackLimits, unpack};
use super::*;

/// A scanner, its arguments, its one output, and a word that its report holds.
struct Case {
    tool: &'static str,
    args: &'static [&'static str],
    output: &'static str,
    says: &'static str,
}

const TREE: [Case; 9] = [
    Case {
        tool: "bandit",
        args: &["-f", "json", "-o", "${out.report}", "${target}"],
        output: "report",
        says: "\"test_id\": \"B",
    },
    Case {
        tool: "ruff",
        args: &[
            "check",
            "--select",
            "S",
            "--output-format",
            "sarif",
            "-o",
            "${out.report}",
            "${target}",
        ],
        output: "report",
        says: "\"S1",
    },
    Case {
        tool: "gitleaks",
        args: &["detect", "-f", "json", "-r", "${out.report}", "-s", "${target}"],
        output: "report",
        says: "\"RuleID\"",
    },
    Case {
        tool: "shellcheck",
        args: &["-f", "json1", "${files}"],
        output: "stdout",
        says: "\"code\":2086",
    },
    Case {
        tool: "hadolint",
        args: &["-f", "json", "${files}"],
        output: "stdout",
        says: "\"code\":\"DL3",
    },
    Case {
        tool: "zizmor",
        args: &["--format", "json", "${target}"],
        output: "stdout",
        says: "\"ident\"",
    },
    Case {
        tool: "cppcheck",
        args: &["--enable=all", "--output-file=${out.report}", "${target}"],
        output: "report",
        says: "<error id=",
    },
    Case {
        tool: "njsscan",
        args: &["--json", "-o", "${out.report}", "${target}"],
        output: "report",
        says: "\"match_lines\"",
    },
    Case {
        tool: "checkov",
        args: &["-d", "${target}", "-o", "json"],
        output: "stdout",
        says: "\"check_id\"",
    },
];

const WEB: [Case; 5] = [
    Case {
        tool: "nikto",
        args: &[
            "-h",
            "${target.url}",
            "-Format",
            "xml",
            "-o",
            "${out.report}",
            "-Tuning",
            "b",
        ],
        output: "report",
        says: "<scandetails targetip=\"127.0.0.1\" targethostname=\"shop.example\"",
    },
    Case {
        tool: "wapiti",
        args: &[
            "-u",
            "${target.url}",
            "-f",
            "json",
            "-o",
            "${out.report}",
            "-m",
            "http_headers",
        ],
        output: "report",
        says: "X-Frame-Options",
    },
    Case {
        tool: "whatweb",
        args: &["-a", "3", "--log-json=${out.report}", "${target.url}"],
        output: "report",
        says: "\"http_status\":200",
    },
    Case {
        tool: "wafw00f",
        args: &["-f", "json", "-o", "${out.report}", "${target.url}"],
        output: "report",
        says: "\"detected\"",
    },
    Case {
        tool: "nmap",
        args: &[
            "-sV",
            "--script",
            "http-title",
            "-p",
            "${target.port}",
            "-oX",
            "${out.report}",
            "${target.host}",
        ],
        output: "report",
        says: "state=\"open\"",
    },
];

const SSL: [Case; 3] = [
    Case {
        tool: "sslscan",
        args: &["--show-certificate", "--xml=${out.report}", "${target.endpoint}"],
        output: "report",
        says: "<protocol type=\"tls\" version=\"1.2\" enabled=\"1\"",
    },
    Case {
        tool: "sslyze",
        args: &["--json_out", "${out.report}", "${target.endpoint}"],
        output: "report",
        says: "\"connectivity_status\": \"COMPLETED\"",
    },
    Case {
        tool: "testssl",
        args: &["-p", "-S", "--jsonfile", "${out.report}", "${target.endpoint}"],
        output: "report",
        says: "\"TLS1_2\"",
    },
];

const OSINT: [Case; 2] = [
    Case {
        tool: "dnsrecon",
        args: &[
            "-d",
            "${target.host}",
            "-n",
            "${resolver}",
            "-t",
            "std",
            "-j",
            "${out.report}",
        ],
        output: "report",
        says: "203.0.113.9",
    },
    Case {
        tool: "dnstwist",
        args: &[
            "--nameservers",
            "${resolver}",
            "-r",
            "--format",
            "json",
            "--fuzzers",
            "bitsquatting",
            "${target.host}",
        ],
        output: "stdout",
        says: "203.0.113.9",
    },
];

const CAPTURE: [Case; 2] = [
    Case {
        tool: "tshark",
        args: &[
            "-r",
            "${target}",
            "-T",
            "json",
            "-Y",
            "_ws.expert.group == 0x0a000000 || http.request",
            "-e",
            "frame.number",
            "-e",
            "_ws.expert.message",
        ],
        output: "stdout",
        says: "\"frame.number\"",
    },
    Case {
        tool: "suricata",
        args: &["-r", "${target}"],
        output: "report",
        says: "Log4Shell lookup in a request",
    },
];

/// Where a case finds what it works on.
#[derive(Clone, Copy, Default)]
struct Work<'a> {
    files: Option<&'a Path>,
    network: Option<&'a NetworkTarget>,
}

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

async fn inventory() -> Inventory {
    let catalogue = Catalogue::load(None).expect("bundled");
    catalogue.probe(&ToolFolders::of_this_process(None)).await
}

/// Runs those cases whose scanner is installed; how often each report holds its word.
async fn check_all(cases: &[Case], work: Work<'_>) -> BTreeMap<&'static str, usize> {
    let inventory = inventory().await;
    let mut counts = BTreeMap::new();
    for case in cases {
        let Some(tool) = inventory.tool(case.tool) else {
            // It is known to be absent, with a reason, or the catalogue lacks it.
            assert!(inventory.missing(case.tool).is_some(), "{}", case.tool);
            continue;
        };
        let scratch = tempfile::tempdir().expect("scratch");
        let args: Vec<String> = case.args.iter().map(|&argument| argument.to_owned()).collect();
        let output = ToolOutput {
            name: case.output.to_owned(),
            media_type: "application/json".to_owned(),
        };
        let request = ToolRequest {
            args: &args,
            outputs: &[output],
            target: work.files,
            network: work.network,
            rules: None,
            scratch: scratch.path(),
            cancel: &CancellationToken::new(),
        };
        let outcome = run(tool, request).await.expect(case.tool);
        let said = |stream: &Captured| fs::read_to_string(&stream.path).unwrap_or_default();
        let (stdout, stderr) = (said(&outcome.stdout), said(&outcome.stderr));
        assert_eq!(outcome.verdict, Verdict::Ran, "{outcome:?}\n{stdout}\n{stderr}");
        let report = fs::read_to_string(&outcome.outputs[0].path).expect("text");
        counts.insert(case.tool, report.matches(case.says).count());
        assert!(
            report.contains(case.says),
            "{}: {report}\n{stdout}\n{stderr}",
            case.tool
        );
        if work.network.is_some() {
            assert!(outcome.traffic.expect("door").bytes_received > 0, "{}", case.tool);
        }
    }
    counts
}

/// The settings by which an upload silences the scanners that read it (each was seen to work).
fn silence(tree: &Path) {
    for (path, text) in [
        (".bandit", "[bandit]\nexclude: /\nskips: B101,B105,B301,B602\n"),
        (
            "pyproject.toml",
            "[tool.ruff]\nexclude = [\"*\"]\n[tool.bandit]\nexclude_dirs = [\".\"]\n",
        ),
        ("ruff.toml", "exclude = [\"*\"]\n"),
        (".gitignore", "*\n"),
        (".gitleaks.toml", "[allowlist]\npaths = ['''.*''']\n"),
        (
            ".gitleaksignore",
            "config/settings.env:generic-api-key:3\nconfig/settings.env:aws-access-token:2\n\
             config/settings.env:github-pat:4\nconfig/test-key.pem:private-key:1\n",
        ),
        (".shellcheckrc", "disable=all\n"),
        (".hadolint.yaml", "ignored: [DL3006, DL3007, DL3008, DL3002]\n"),
        (
            ".github/zizmor.yml",
            "rules:\n  unpinned-uses:\n    disable: true\n",
        ),
        (
            ".njsscan",
            "---\n- ignore-paths: [js]\n- ignore-extensions: [.js, .html]\n",
        ),
        (".semgrepignore", "*\n"),
        ("js/.semgrepignore", "*\n"),
        (
            ".checkov.yaml",
            "skip-path: [deploy, js]\nexternal-checks-dir: [checks]\n",
        ),
        ("checks/__init__.py", "raise SystemExit(0)\n"),
        ("zizmor.yml", "rules:\n  template-injection:\n    disable: true\n"),
    ] {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        fs::write(path, text).expect("file");
    }
}

#[tokio::test]
async fn scanners_of_a_tree_find_the_same_whatever_settings_it_brings() {
    let folder = tempfile::tempdir().expect("folder");
    let archive = checkout("demo/vulnshop.zip");
    let never = CancellationToken::new();
    unpack(&archive, folder.path(), &UnpackLimits::default(), &never).expect("unpacked");
    let work = Work {
        files: Some(folder.path()),
        network: None,
    };
    let found = check_all(&TREE, work).await;
    silence(folder.path());
    assert_eq!(check_all(&TREE, work).await, found);
}

#[tokio::test]
async fn a_tree_without_a_scanners_files_is_no_work_for_it() {
    let inventory = inventory().await;
    let empty = tempfile::tempdir().expect("folder");
    for tool in inventory
        .available
        .iter()
        .filter(|tool| !tool.entry.files.is_empty())
    {
        let scratch = tempfile::tempdir().expect("scratch");
        let request = ToolRequest {
            args: &[],
            outputs: &[],
            target: Some(empty.path()),
            network: None,
            rules: None,
            scratch: scratch.path(),
            cancel: &never(),
        };
        let refused = run(tool, request).await;
        assert!(
            matches!(refused, Err(ToolError::NothingToRead { .. })),
            "{refused:?}"
        );
    }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test]
async fn scanners_of_the_web_reach_their_target_and_report_it() {
    let server = serve_web();
    let target = NetworkTarget {
        url: Some(format!("http://shop.example:{}/", server.port())),
        host: "shop.example".to_owned(),
        ports: vec![server.port()],
        addresses: vec![server.ip()],
        resolvers: vec![],
    };
    let work = Work {
        network: Some(&target),
        ..Work::default()
    };
    check_all(&WEB, work).await;
}

#[tokio::test]
async fn scanners_of_tls_reach_their_target_and_report_it() {
    let Some(server) = TlsServer::start() else {
        assert_eq!(inventory().await.tool("testssl").map(|tool| &tool.version), None);
        return;
    };
    let target = NetworkTarget {
        url: None,
        host: "shop.example".to_owned(),
        ports: vec![server.port],
        addresses: vec![[127, 0, 0, 1].into()],
        resolvers: vec![],
    };
    let work = Work {
        network: Some(&target),
        ..Work::default()
    };
    check_all(&SSL, work).await;
}

#[tokio::test]
async fn scanners_of_names_ask_the_resolver_and_report_its_answers() {
    let target = NetworkTarget {
        host: "shop.example".to_owned(),
        resolvers: vec![serve_names()],
        ..NetworkTarget::default()
    };
    let work = Work {
        network: Some(&target),
        ..Work::default()
    };
    check_all(&OSINT, work).await;
}

#[tokio::test]
async fn scanners_of_captures_read_them() {
    let capture = checkout("plugins/pcap/cases/captures/http-basic-auth-attacks.pcap");
    let work = Work {
        files: Some(&capture),
        ..Work::default()
    };
    check_all(&CAPTURE, work).await;
}
