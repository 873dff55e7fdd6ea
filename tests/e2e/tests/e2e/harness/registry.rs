//! An OCI registry of its own for a test: Debian's `docker-registry` on a free port of this machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::checkout;
use super::process::Process;
use super::wait::{SOON, until_blocking};

/// `docker` asks for it; the hash is bcrypt's with the least cost.
pub(crate) const LOGIN: (&str, &str) = ("tester", "hunter2");
const LOGIN_FILE: &str = "tester:$2b$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm\n";

/// A running registry; it ends, and what it holds goes, with its value.
pub(crate) struct OciRegistry {
    address: String,
    _process: Process,
    _folder: TempDir,
}

impl OciRegistry {
    /// Anybody may push and pull.
    pub(crate) fn open() -> Self {
        Self::start("")
    }

    /// Only [`LOGIN`] may.
    pub(crate) fn with_login() -> Self {
        Self::start("auth: { htpasswd: { realm: test, path: htpasswd } }\n")
    }

    fn start(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let settings = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: blobs }} }}\n\
             http: {{ addr: \"127.0.0.1:0\", secret: test }}\n{more}"
        );
        fs::write(path("registry.yml"), settings).expect("written");
        fs::write(path("htpasswd"), LOGIN_FILE).expect("written");
        let mut command = Command::new(program());
        command.args(["serve", "registry.yml"]).current_dir(folder.path());
        command.env_clear();
        let mut process = Process::spawn(&mut command, &path("log"));
        let address = until_blocking("the registry's address", SOON, || {
            let running = process.is_running();
            let log = process.log();
            assert!(running, "the registry ended: {log}");
            let (_, rest) = log.split_once("listening on ")?;
            let (address, _) = rest.split_once('"')?;
            Some(address.to_owned())
        });
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// `127.0.0.1:PORT/PATH`.
    pub(crate) fn reference(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// An address of its HTTP interface.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/v2/{path}", self.address)
    }
}

/// Where `scripts/setup-registry` finds or puts it.
fn program() -> PathBuf {
    let unpacked = ".tools/docker-registry/usr/bin/docker-registry";
    checkout::program("docker-registry", unpacked).expect(
        "docker-registry is missing: run scripts/setup-registry (Debian: apt install docker-registry)",
    )
}
