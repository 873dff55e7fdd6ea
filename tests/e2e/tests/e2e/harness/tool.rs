//! Tools of a test's worker: none, the real semgrep, or a shell script that stands in its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::app::{App, Plan};
use super::client::Client;
use super::report;

/// Scans with the real semgrep that run at once: each keeps both cores of a small machine busy.
static SEMGREP_TURNS: Semaphore = Semaphore::const_new(1);

/// Waits for the turn to run a real semgrep.
pub(crate) async fn semgrep_turn() -> SemaphorePermit<'static> {
    SEMGREP_TURNS.acquire().await.expect("never closed")
}

/// What a worker finds in its catalogue.
pub(crate) enum Tools {
    /// Nothing: reports can be imported.
    None,
    /// The bundled catalogue.
    Bundled,
    /// A shell script called `semgrep`, or another tool.
    Script(Script),
}

/// A tool that does as a test wants. Inside its box, `$install` is a folder that the test writes to.
pub(crate) struct Script {
    /// Its entries in the catalogue, up to their limits.
    entries: Vec<&'static str>,
    body: String,
    limits: BTreeMap<&'static str, u64>,
}

/// A tool of trees, with the arguments that codeaudit plans.
const SEMGREP: &str = r#"name = "semgrep"
scan_types = ["codeaudit"]
targets = ["tree"]
network = "none"
exit_codes = { ran = [0, 1], partly = [2], input = [7] }
arguments = { flags = ["--json"], paths = ["--output", "--config"], positional = true }
"#;
/// A tool that calls a web address, with the arguments that web plans. It gets 1 MiB through the door.
const WHATWEB: &str = r#"name = "whatweb"
scan_types = ["web"]
targets = ["url"]
network = "target"
door = { bytes = 1048576, connections = 8 }
exit_codes = { ran = [0] }
arguments = { paths = ["--log-json="], values = ["-a"], positional = true }
"#;

/// The other tool of a quick web scan.
const WAFW00F: &str = r#"name = "wafw00f"
scan_types = ["web"]
targets = ["url"]
network = "target"
door = { bytes = 1048576, connections = 8 }
exit_codes = { ran = [0] }
arguments = { paths = ["-o"], values = ["-f"], positional = true }
"#;

/// A tool of captures, with the arguments that pcap plans.
const SURICATA: &str = r#"name = "suricata"
scan_types = ["pcap"]
targets = ["capture"]
network = "none"
exit_codes = { ran = [0] }
arguments = { paths = ["-r"] }
"#;

/// Writes the report that the test put beside it.
pub(crate) const WRITE_REPORT: &str = "cat \"$install/report.json\" > /out/report";
/// Waits until the test says go, and then writes the report.
pub(crate) const WAIT_FOR_GO: &str =
    "until [ -e \"$install/go\" ]; do sleep 0.05; done; cat \"$install/report.json\" > /out/report";

impl Script {
    pub(crate) fn new(body: &str) -> Self {
        Self::of(SEMGREP, body)
    }

    /// A tool called `whatweb`, which finds its target as the last argument, `$url`.
    pub(crate) fn whatweb(body: &str) -> Self {
        Self::of(WHATWEB, &format!("url=\"${{@: -1}}\"\n{body}"))
    }

    /// A tool called `suricata`, which finds the capture as `$capture`.
    pub(crate) fn suricata(body: &str) -> Self {
        Self::of(SURICATA, &format!("capture=\"${{@: -1}}\"\n{body}"))
    }

    fn of(entry: &'static str, body: &str) -> Self {
        let limits = [
            ("wall_seconds", 120),
            ("cpu_seconds", 60),
            ("address_space_bytes", 1 << 30),
            ("memory_bytes", 256 << 20),
            ("stream_bytes", 64 << 10),
            ("file_bytes", 64 << 20),
            ("temporary_bytes", 1 << 20),
            ("open_files", 64),
            ("processes", 24),
        ];
        Self {
            entries: vec![entry],
            body: body.to_owned(),
            limits: limits.into(),
        }
    }

    /// It is called `wafw00f`, too, which comes after `whatweb`.
    pub(crate) fn and_wafw00f(mut self) -> Self {
        self.entries.push(WAFW00F);
        self
    }

    pub(crate) fn limit(mut self, name: &'static str, value: u64) -> Self {
        self.limits.insert(name, value).expect("a known limit");
        self
    }

    fn write(&self, folder: &Path) {
        let install = install(folder);
        fs::create_dir_all(install.join("bin")).expect("a folder");
        let program = install.join("bin/stand-in");
        let text = format!(
            "#!/bin/bash\n[ \"$1\" = --version ] && exec echo stand-in 9.9.9\ninstall=\"$(dirname \"$0\")/..\"\n{}\n",
            self.body
        );
        fs::write(&program, text).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::set_permissions(&install, fs::Permissions::from_mode(0o755)).expect("a mode");
        let limits: Vec<String> = self
            .limits
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let entry = |entry: &&str| {
            format!(
                "[[tool]]\nbinary = \"stand-in\"\ninstall = \"a test writes it\"\n\
                 version = {{ args = [\"--version\"], after = \"stand-in\" }}\n\
                 read_only = [\"${{install}}\"]\n{entry}[tool.limits]\n{}\n",
                limits.join("\n")
            )
        };
        let catalogue: String = self.entries.iter().map(entry).collect();
        fs::write(folder.join("tools.toml"), catalogue).expect("a catalogue");
    }
}

/// The folder that the script sees as `$install`.
pub(crate) fn install(folder: &Path) -> PathBuf {
    folder.join("stand-in")
}

/// A server whose semgrep is this script, with a report of four findings to write; a tenant of it and a project.
pub(crate) async fn stand_in(plan: Plan, body: &str) -> (App, Client, String) {
    let app = plan.tools(Tools::Script(Script::new(body))).start().await;
    fs::write(install(app.folder()).join("report.json"), report::semgrep(4)).expect("a report");
    let acme = app.tenant("acme");
    let project = acme.project("shop").await;
    (app, acme, project)
}

impl App {
    /// Lets scripts go on that wait as [`WAIT_FOR_GO`] does.
    pub(crate) fn go(&self) {
        fs::write(install(self.folder()).join("go"), "").expect("a file");
    }
}

impl Tools {
    pub(super) fn install(&self, folder: &Path, settings: &mut BTreeMap<&'static str, String>) {
        match self {
            Self::Bundled => return,
            Self::None => fs::write(folder.join("tools.toml"), "tool = []\n").expect("a catalogue"),
            Self::Script(script) => {
                script.write(folder);
                settings.insert("tool_path", install(folder).join("bin").display().to_string());
            }
        }
        settings.insert("tools_file", folder.join("tools.toml").display().to_string());
    }
}
