//! From idea to component in each language: `tamiz plugin new`, `test`, `build`, `inspect`, with the
//! languages' real tools and the real host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::tool::{Tools, semgrep_turn};
use crate::harness::{Plan, checkout};
use crate::whole_road::{expected_places, vulnshop};

/// One project, as a stranger makes it: in a folder of its own, with the tools of the checkout.
struct Author {
    folder: tempfile::TempDir,
}

impl Author {
    fn begins(language: &str) -> Author {
        let author = Author {
            folder: tempfile::tempdir().unwrap(),
        };
        let project = author.project();
        let made = author.runs(&["new", "hello", "--lang", language, "--path", &project]);
        assert!(made.status.success(), "{}", said(&made));
        assert!(said(&made).contains("tamiz plugin test"), "{}", said(&made));
        author
    }

    fn project(&self) -> String {
        self.path("").to_str().unwrap().trim_end_matches('/').to_owned()
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join("hello").join(inner)
    }

    /// In the checkout's folder, from where `.tools` is found.
    fn runs(&self, arguments: &[&str]) -> Output {
        let cache = format!("plugin_cache_dir={}", checkout::plugin_cache().display());
        Command::new(checkout::tamiz())
            .args(["--config", "/dev/null", "--data-dir"])
            .arg(self.folder.path().join("data"))
            .args(["--set", &cache, "plugin"])
            .args(arguments)
            .current_dir(checkout::checkout())
            .output()
            .unwrap()
    }

    fn tests(&self, more: &[&str]) -> Output {
        let project = self.project();
        self.runs(&[&["test", project.as_str()], more].concat())
    }

    /// The answers that the project came with are the plugin's own, a changed one is told and refused,
    /// and blessing gives back the very file.
    fn passes_its_cases_and_sees_a_difference(&self) {
        let first = self.tests(&[]);
        assert!(first.status.success(), "{}", said(&first));
        assert!(
            said(&first).contains("1 cases passed, 0 failed"),
            "{}",
            said(&first)
        );
        assert!(said(&first).contains("cut in half: no crash"), "{}", said(&first));

        let path = self.path("cases/example.jsonl.expected.json");
        let expected = fs::read_to_string(&path).unwrap();
        fs::write(&path, expected.replace("\"high\"", "\"low\"")).unwrap();
        let changed = self.tests(&["--no-build"]);
        assert_eq!(changed.status.code(), Some(1), "{}", said(&changed));
        assert!(
            said(&changed).contains("+      \"severity\": \"high\""),
            "{}",
            said(&changed)
        );

        let blessed = self.tests(&["--no-build", "--bless"]);
        assert!(blessed.status.success(), "{}", said(&blessed));
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);

        let again = self.runs(&["build", &self.project()]);
        assert!(said(&again).contains("nothing changed"), "{}", said(&again));
    }

    /// World 1.0 and nothing beside it.
    fn imports_nothing_but_the_platform(&self) {
        let output = self.runs(&["inspect", &self.project(), "--format", "json"]);
        assert!(output.status.success(), "{}", said(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["plugin"]["name"], "hello");
        assert_eq!(document["plugin"]["world"], "1.0");
        assert_eq!(document["plugin"]["formats"][0]["name"], "hello-jsonl");
        let imports = document["imports"].as_array().unwrap();
        let foreign = |import: &&Value| !import["name"].as_str().unwrap().starts_with("tamiz:scanner/");
        assert_eq!(imports.iter().find(foreign), None);
        for counted in document["census"].as_array().unwrap() {
            let (found, ceiling) = (counted["found"].as_u64(), counted["ceiling"].as_u64());
            assert!(found.unwrap() <= ceiling.unwrap(), "{counted}");
        }
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text))
        .concat()
}

/// Loudly, with the command: these tools are no part of any crate.
fn needs(tool: &str) {
    let path: &Path = &checkout::checkout().join(".tools").join(tool);
    assert!(
        path.exists(),
        "{} is missing: run `scripts/setup-plugins`",
        path.display()
    );
}

#[test]
fn a_new_project_in_rust_builds_and_passes_its_cases() {
    let author = Author::begins("rust");
    author.passes_its_cases_and_sees_a_difference();
    author.imports_nothing_but_the_platform();
}

#[test]
fn a_new_project_in_python_builds_and_passes_its_cases() {
    needs("componentize-py/bin/componentize-py");
    let author = Author::begins("python");
    author.passes_its_cases_and_sees_a_difference();
    author.imports_nothing_but_the_platform();
}

#[test]
fn a_new_project_in_javascript_builds_and_passes_its_cases() {
    needs("jco/node_modules/.bin/jco");
    let author = Author::begins("javascript");
    author.passes_its_cases_and_sees_a_difference();
    author.imports_nothing_but_the_platform();
}

#[test]
fn a_plugin_that_wants_a_capability_imports_wasi_and_inspect_says_which() {
    needs("jco/node_modules/.bin/jco");
    let author = Author::begins("javascript");
    let manifest = fs::read_to_string(author.path("tamiz-plugin.toml")).unwrap();
    let manifest = manifest.replace("capabilities = []", "capabilities = [\"clock\"]");
    fs::write(author.path("tamiz-plugin.toml"), manifest).unwrap();
    let source = fs::read_to_string(author.path("convert.js")).unwrap();
    let source = source.replace("  read,\n", "  capabilities: [\"clock\"],\n  read,\n");
    fs::write(author.path("convert.js"), source).unwrap();
    let built = author.runs(&["build", &author.project()]);
    assert!(built.status.success(), "{}", said(&built));
    let output = author.runs(&["inspect", &author.project()]);
    assert!(said(&output).contains("wants      clock"), "{}", said(&output));
    assert!(
        said(&output).contains("imports    wasi:clocks/"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_plugin_whose_source_is_broken_shows_what_its_compiler_said() {
    needs("componentize-py/bin/componentize-py");
    let author = Author::begins("python");
    fs::write(author.path("convert.py"), "def broken(:\n").unwrap();
    let output = author.tests(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("SyntaxError"), "{}", said(&output));
}

#[test]
fn a_plugin_called_otherwise_than_its_manifest_is_refused() {
    needs("jco/node_modules/.bin/jco");
    let author = Author::begins("javascript");
    let source = fs::read_to_string(author.path("convert.js")).unwrap();
    fs::write(
        author.path("convert.js"),
        source.replace("version: \"0.1.0\"", "version: \"0.2.0\""),
    )
    .unwrap();
    let output = author.runs(&["build", &author.project()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("make them the same"), "{}", said(&output));
}

#[tokio::test]
async fn a_chosen_plugin_that_only_reads_reports_leaves_scans_to_the_next() {
    needs("jco/node_modules/.bin/jco");
    let author = Author::begins("javascript");
    let built = author.runs(&["build", &author.project()]);
    assert!(built.status.success(), "{}", said(&built));
    let _turn = semgrep_turn().await;
    let app = Plan::new().tools(Tools::Bundled).start().await;
    let component = author.path("target/hello.wasm");
    app.says(&["plugin", "install", component.to_str().unwrap(), "--choose"]);
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;

    let task = acme.scan(&project, "vulnshop.zip", vulnshop()).await;
    acme.ends_as(&task, "COMPLETED").await;
    assert_eq!(acme.places(&task).await, expected_places());

    let lines = fs::read(author.path("cases/example.jsonl")).unwrap();
    let imported = acme.import(&project, "example.jsonl", lines).await;
    acme.ended(&imported).await;
    assert!(!acme.findings(&imported).await.is_empty());
}
