//! `tamiz plugin package`, `push`, `pull`, `sign` and `verify` against a real registry. What only a
//! registry that lies shows is tested beside the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::registry::{LOGIN, OciRegistry};
use crate::harness::{Plan, checkout};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Somebody with a folder, and docker's configuration in it.
struct Publisher {
    folder: tempfile::TempDir,
}

impl Publisher {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let cache = format!("plugin_cache_dir={}", checkout::plugin_cache().display());
        let mut command = Command::new(checkout::tamiz());
        command
            .args([
                "--config",
                "/dev/null",
                "--set",
                &cache,
                "--data-dir",
                "data",
                "plugin",
            ])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path());
        command
    }

    fn runs(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it printed when all went well.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.runs(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Fails with this exit code, saying this.
    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        refused(&self.runs(arguments), code, says);
    }

    /// What the component says its version is.
    fn version(&self) -> String {
        self.does(&["package", text(&component()), "-o", "layout"]);
        let index = fs::read(self.path("layout/index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let annotations = &index["manifests"][0]["annotations"];
        annotations["org.opencontainers.image.ref.name"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn key(&self, name: &str) -> String {
        field(&self.does(&["key", "generate", name]), "fingerprint")
    }
}

fn refused(output: &Output, code: i32, says: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(stderr(output).contains(says), "{says}: {}", stderr(output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The value in a line `NAME  VALUE`.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .to_owned()
}

fn component() -> PathBuf {
    checkout::plugin("osint.wasm")
}

/// Another component that says the same: a custom section more.
fn other_component(folder: &Path) -> PathBuf {
    let mut bytes = fs::read(component()).unwrap();
    bytes.extend(b"\0\x05\x04more");
    let path = folder.join("other.wasm");
    fs::write(&path, bytes).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn manifest(registry: &OciRegistry, repository: &str, tag: &str) -> Vec<u8> {
    let url = registry.url(&format!("{repository}/manifests/{tag}"));
    let answer = reqwest::Client::new()
        .get(url)
        .header(ACCEPT, MANIFEST)
        .send()
        .await
        .unwrap();
    answer.error_for_status().unwrap().bytes().await.unwrap().to_vec()
}

#[test]
fn a_plugin_goes_to_a_registry_and_comes_back_byte_for_byte() {
    let (registry, me) = (OciRegistry::open(), Publisher::new());
    let reference = registry.reference("team/osint:1");
    let pushed = me.does(&["push", text(&component()), &reference]);
    let digest = field(&pushed, "digest");

    let pulled = me.does(&["pull", &reference]);
    assert_eq!(field(&pulled, "reference"), field(&pushed, "reference"));
    let bytes = fs::read(component()).unwrap();
    assert!(fs::read(me.path("osint.wasm")).unwrap() == bytes);
    me.does(&[
        "pull",
        &registry.reference(&format!("team/osint@{digest}")),
        "-o",
        "again.wasm",
    ]);
    assert!(fs::read(me.path("again.wasm")).unwrap() == bytes);

    let again = me.does(&[
        "push",
        text(&component()),
        &registry.reference("team/osint:latest"),
    ]);
    assert_eq!(
        field(&again, "digest"),
        digest,
        "the same plugin is the same artifact"
    );
    me.fails(&["pull", &registry.reference("team/osint:9")], 1, "there is no");
    me.fails(&["pull", &registry.reference("team/none:1")], 1, "there is no");
    me.fails(
        &["pull", &registry.reference("team/osint")],
        2,
        "must end with a tag or a digest",
    );
    me.fails(
        &["push", text(&component()), "osint:1"],
        2,
        "must begin with its registry",
    );
}

#[tokio::test]
async fn a_project_is_pushed_with_what_its_manifest_says() {
    let (registry, me) = (OciRegistry::open(), Publisher::new());
    let version = me.version();
    let says = format!(
        "name = \"osint\"\nversion = \"{version}\"\nlanguage = \"rust\"\nentry = \"src/lib.rs\"\n\
         license = \"Apache-2.0\"\nhomepage = \"https://example.org/osint\"\ndescription = \"Names.\"\n"
    );
    fs::create_dir_all(me.path("project/target")).unwrap();
    fs::write(me.path("project/tamiz-plugin.toml"), &says).unwrap();
    let reference = registry.reference("team/osint:1");
    me.fails(&["push", "project", &reference], 2, "run `tamiz plugin build`");
    fs::copy(component(), me.path("project/target/osint.wasm")).unwrap();
    let digest = field(&me.does(&["push", "project", &reference]), "digest");

    let bytes = manifest(&registry, "team/osint", "1").await;
    assert_eq!(digest, format!("sha256:{}", hex::encode(Sha256::digest(&bytes))));
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let annotations = &manifest["annotations"];
    for (word, value) in [
        ("title", "osint"),
        ("version", version.as_str()),
        ("licenses", "Apache-2.0"),
        ("source", "https://example.org/osint"),
        ("description", "Names."),
    ] {
        assert_eq!(annotations[format!("org.opencontainers.image.{word}")], value);
    }
    let url = registry.url(&format!(
        "team/osint/blobs/{}",
        manifest["config"]["digest"].as_str().unwrap()
    ));
    let config: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(config["os"], "wasip2");
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let export = config["component"]["exports"][0].as_str().unwrap();
    assert!(export.starts_with("tamiz:scanner/plugin@"), "{export}");

    fs::write(
        me.path("project/tamiz-plugin.toml"),
        says.replace(&version, "99.0.0"),
    )
    .unwrap();
    me.fails(&["push", "project", &reference], 1, "build it again");
}

#[tokio::test]
async fn a_signature_is_checked_against_what_is_pulled() {
    let (registry, me) = (OciRegistry::open(), Publisher::new());
    let (acme, other) = (me.key("acme"), me.key("other"));
    let reference = registry.reference("team/osint:1");
    let pushed = me.does(&["push", text(&component()), &reference]);
    me.fails(&["pull", &reference, "--verify", "acme.pub"], 1, "is not signed");
    assert!(
        !me.path("osint.wasm").exists(),
        "nothing is written that was not verified"
    );

    me.does(&["sign", &reference, "--key", "acme.key"]);
    let signed = manifest(&registry, "team/osint", &signature_tag(&pushed)).await;
    me.does(&["sign", &reference, "--key", "acme.key"]);
    assert!(manifest(&registry, "team/osint", &signature_tag(&pushed)).await == signed);
    let pulled = me.does(&[
        "pull",
        &reference,
        "--verify",
        "other.pub",
        "--verify",
        "acme.pub",
    ]);
    assert_eq!(field(&pulled, "signed by"), acme);
    me.fails(&["verify", &reference, "--key", "other.pub"], 1, "of another key");

    me.does(&["sign", &reference, "--key", "other.key"]);
    for (key, fingerprint) in [("acme.pub", &acme), ("other.pub", &other)] {
        let verified = me.does(&["verify", &reference, "--key", key]);
        assert_eq!(field(&verified, "signed by"), *fingerprint);
    }

    // The tag means something else now, and the old signatures are put beside it.
    let moved = me.does(&["push", text(&other_component(me.folder.path())), &reference]);
    me.fails(&["verify", &reference, "--key", "acme.pub"], 1, "is not signed");
    let document = manifest(&registry, "team/osint", &signature_tag(&pushed)).await;
    let place = registry.url(&format!("team/osint/manifests/{}", signature_tag(&moved)));
    let put = reqwest::Client::new()
        .put(place)
        .header(CONTENT_TYPE, MANIFEST)
        .body(document);
    put.send().await.unwrap().error_for_status().unwrap();
    me.fails(
        &["pull", &reference, "--verify", "acme.pub"],
        1,
        "none of them fits",
    );
    me.does(&["verify", &field(&pushed, "reference"), "--key", "acme.pub"]);
}

fn signature_tag(pushed: &str) -> String {
    format!("{}.sig", field(pushed, "digest").replace(':', "-"))
}

#[test]
fn a_registry_with_a_login_is_used_by_whoever_has_one() {
    let (registry, me) = (OciRegistry::with_login(), Publisher::new());
    let acme = me.key("acme");
    let (reference, file) = (registry.reference("team/osint:1"), component());
    let push = ["push", text(&file), &reference, "--sign", "acme.key"];
    me.fails(&push, 1, "refuses access");
    let with = |arguments: &[&str], password: &str| {
        let mut command = me.command(arguments);
        command
            .args(["--username", LOGIN.0])
            .env("TAMIZ_REGISTRY_PASSWORD", password);
        command.output().unwrap()
    };
    refused(&with(&push, "wrong"), 1, "refuses access");
    me.fails(
        &["pull", &reference, "--username", "tester"],
        2,
        "TAMIZ_REGISTRY_PASSWORD",
    );
    let pushed = with(&push, LOGIN.1);
    assert!(pushed.status.success(), "{}", stderr(&pushed));
    me.fails(&["pull", &reference], 1, "refuses access");
    refused(&with(&["pull", &reference], "wrong"), 1, "refuses access");

    let auth = STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    let registry = reference.split('/').next().unwrap();
    fs::create_dir(me.path(".docker")).unwrap();
    let config = format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#);
    fs::write(me.path(".docker/config.json"), config).unwrap();
    let pulled = me.does(&["pull", &reference, "--verify", "acme.pub"]);
    assert_eq!(field(&pulled, "signed by"), acme);
}

#[test]
fn packages_and_signatures_of_files_are_the_same_each_time() {
    let me = Publisher::new();
    let file = component();
    me.key("acme");
    me.key("other");
    let first = me.does(&["package", text(&file), "-o", "first.tar"]);
    let second = me.does(&["package", text(&file), "-o", "second.tar"]);
    assert_eq!(field(&first, "digest"), field(&second, "digest"));
    assert!(fs::read(me.path("first.tar")).unwrap() == fs::read(me.path("second.tar")).unwrap());
    me.does(&["package", text(&file), "-o", "layout"]);
    me.fails(&["package", text(&file), "-o", "layout"], 2, "is there already");
    let index: Value = serde_json::from_slice(&fs::read(me.path("layout/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], field(&first, "digest"));
    let blob = field(&first, "digest").replace(':', "/");
    assert!(me.path("layout/blobs").join(blob).is_file());
    fs::write(me.path("none.wasm"), "no wasm").unwrap();
    me.fails(
        &["package", "none.wasm", "-o", "none.tar"],
        1,
        "not readable wasm",
    );

    me.does(&["sign", text(&file), "--key", "acme.key", "-o", "osint.sig"]);
    me.does(&["verify", text(&file), "osint.sig", "--key", "acme.pub"]);
    me.fails(
        &["verify", text(&file), "osint.sig", "--key", "other.pub"],
        1,
        "another key",
    );
    let other = other_component(me.folder.path());
    me.fails(
        &["verify", text(&other), "osint.sig", "--key", "acme.pub"],
        1,
        "other bytes",
    );
    me.fails(&["key", "generate", "acme"], 1, "cannot write");
}

#[tokio::test]
async fn a_server_installs_from_a_registry_only_what_a_trusted_key_signed() {
    let (registry, me) = (OciRegistry::open(), Publisher::new());
    let (acme, _) = (me.key("acme"), me.key("other"));
    let reference = registry.reference("team/osint:1");
    let pushed = me.does(&["push", text(&component()), &reference]);

    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        checkout::test_plugin("hostile.wasm"),
        folder.path().join("hostile.wasm"),
    )
    .unwrap();
    let app = Plan::new()
        .set("plugin_dir", folder.path().display())
        .start()
        .await;
    let (trusted, other) = (me.path("acme.pub"), me.path("other.pub"));
    let install = |key: &Path| app.run(&["plugin", "install", &reference, "--verify-key", text(key)]);
    refused(&install(&trusted), 1, "is not signed");
    me.does(&["sign", &reference, "--key", "acme.key"]);
    refused(&install(&other), 1, "of another key");
    let count = "select count(*) from control.plugin where source = 'installed'";
    assert_eq!(app.sql(count).trim(), "0");
    let done = install(&trusted);
    assert!(done.status.success(), "{}", stderr(&done));
    let row = app.sql("select signed_by, origin from control.plugin where source = 'installed'");
    assert!(
        row.contains(&acme) && row.contains(&field(&pushed, "reference")),
        "{row}"
    );
}
