//! Tools of a test's worker: none, the real semgrep, or a shell script that stands in its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, SemaphorePermit};

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
    /// A shell script called `semgrep`.
    Script(Script),
}

/// A tool that does as a test wants. Inside its box, `$install` is a folder that the test writes to.
pub(crate) struct Script {
    body: String,
    limits: BTreeMap<&'static str, u64>,
}

/// Writes the report that the test put beside it.
pub(crate) const WRITE_REPORT: &str = "cat \"$install/report.json\" > /out/report";
/// Waits until the test says go, and then writes the report.
pub(crate) const WAIT_FOR_GO: &str =
    "until [ -e \"$install/go\" ]; do sleep 0.05; done; cat \"$install/report.json\" > /out/report";

impl Script {
    pub(crate) fn new(body: &str) -> Self {
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
            body: body.to_owned(),
            limits: limits.into(),
        }
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
        let catalogue = format!(
            "[[tool]]\nname = \"semgrep\"\nbinary = \"stand-in\"\ninstall = \"a test writes it\"\n\
             scan_types = [\"codeaudit\"]\nversion = {{ args = [\"--version\"], after = \"stand-in\" }}\n\
             read_only = [\"${{install}}\"]\nnetwork = \"none\"\ntargets = [\"tree\"]\nexit_codes = {{ ran = [0, 1], partly = [2], input = [7] }}\n\
             [tool.arguments]\nflags = [\"--json\"]\npaths = [\"--output\", \"--config\"]\npositional = true\n\
             [tool.limits]\n{}\n",
            limits.join("\n")
        );
        fs::write(folder.join("tools.toml"), catalogue).expect("a catalogue");
    }
}

/// The folder that the script sees as `$install`.
pub(crate) fn install(folder: &Path) -> PathBuf {
    folder.join("stand-in")
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
