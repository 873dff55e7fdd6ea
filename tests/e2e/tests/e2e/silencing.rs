//! An upload that wants its scanner to see nothing.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use crate::harness::tool::{Tools, semgrep_turn};
use crate::harness::{Plan, report, text};
use crate::whole_road::{expected_places, vulnshop};

/// What a program of the upload says on stderr, if it is ever run.
const RAN: &str = "tamiz-slip-ran";

/// Settings that silence or steer semgrep, or run a program, wherever they are obeyed.
const SETTINGS: [(&str, &str); 18] = [
    (".semgrepignore", "*\n**/*\n"),
    ("python/.semgrepignore", "*\n"),
    (".gitignore", "*\n"),
    (".ignore", "*\n"),
    (".semgrep.yml", "rules: []\n"),
    ("semgrep.yml", "rules: []\n"),
    (".semgrep/rules.yml", "rules: []\n"),
    (".semgrep/settings.yml", "disabled: true\n"),
    (".semgrepconfig", "exclude: ['*']\n"),
    (".semgrepconfig.yml", "exclude: ['*']\n"),
    ("pyproject.toml", "[tool.semgrep]\nexclude = ['*']\n"),
    (
        ".git/config",
        "[core]\n\tfsmonitor = \"echo tamiz-slip-ran >&2\"\n\tpager = \"echo tamiz-slip-ran >&2\"\n\tbare = false\n",
    ),
    (".git/HEAD", "ref: refs/heads/main\n"),
    (".git/info/exclude", "*\n"),
    (
        ".gitattributes",
        "* linguist-generated=true linguist-vendored=true\n",
    ),
    ("sitecustomize.py", "raise SystemExit('tamiz-slip-ran')\n"),
    ("usercustomize.py", "raise SystemExit('tamiz-slip-ran')\n"),
    ("semgrep/__init__.py", "raise SystemExit('tamiz-slip-ran')\n"),
];

/// Folders that semgrep leaves out by itself.
const UNPOPULAR: [&str; 6] = ["tests", "node_modules", "vendor", ".venv", "build", ".hidden"];
/// What lies in each of them, too.
const COPIED: &str = "python/app.py";

/// How a comment begins in a file of that name.
fn comment(name: &str) -> &'static str {
    match name.rsplit(['.', '/']).next() {
        Some("py" | "Dockerfile") => "#",
        _ => "//",
    }
}

/// The bundled application with every settings file, and `nosem` at the end of every line with a flaw.
fn silenced() -> Vec<u8> {
    let mut flaws: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for place in expected_places() {
        let mut parts = place.split('\t').skip(1);
        let file = parts.next().unwrap().to_owned();
        flaws
            .entry(file)
            .or_default()
            .push(parts.next().unwrap().parse().unwrap());
    }
    let mut original = zip::ZipArchive::new(Cursor::new(vulnshop())).unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = SETTINGS
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect();
    for index in 0..original.len() {
        let mut entry = original.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(lines) = flaws.remove(&name) {
            let text = String::from_utf8(bytes).unwrap();
            let marked = text.lines().enumerate().map(|(index, line)| {
                let mark = format!(" {} nosem nosemgrep noqa NOSONAR", comment(&name));
                if lines.contains(&(index + 1)) {
                    format!("{line}{mark}\n")
                } else {
                    format!("{line}\n")
                }
            });
            bytes = marked.collect::<String>().into_bytes();
        }
        if name == COPIED {
            for folder in UNPOPULAR {
                files.insert(format!("{folder}/{name}"), bytes.clone());
            }
        }
        files.insert(name, bytes);
    }
    assert!(flaws.is_empty(), "not in the archive: {flaws:?}");
    report::archive(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    )
}

/// The flaws of the application, and those of the copies.
fn expected() -> Vec<String> {
    let mut places = expected_places();
    for place in expected_places() {
        if place.contains(&format!("\t{COPIED}\t")) {
            places.extend(UNPOPULAR.map(|folder| place.replace(COPIED, &format!("{folder}/{COPIED}"))));
        }
    }
    places.sort();
    places
}

#[tokio::test]
async fn no_file_of_an_upload_silences_its_scan() {
    let _turn = semgrep_turn().await;
    let app = Plan::new().tools(Tools::Bundled).start().await;
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    let task = acme.scan(&project, "silenced.zip", silenced()).await;
    let done = acme.ends_as(&task, "COMPLETED").await;
    let found = acme.places(&task).await;
    let expected = expected();
    let missing: Vec<&String> = expected.iter().filter(|place| !found.contains(place)).collect();
    assert!(missing.is_empty(), "silenced: {missing:#?}");
    assert_eq!(found, expected);
    let run = &done["toolExecutions"][0];
    assert_eq!(run["exitCode"], 0, "{run:#}");
    let said = acme.bytes(&text(&run["stderr"]["id"])).await;
    assert!(
        !String::from_utf8_lossy(&said).contains(RAN),
        "the upload was run"
    );
}
