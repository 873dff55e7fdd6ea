//! The tool of the run's scans: a script in semgrep's place that takes a moment and writes a report.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What each of its reports holds.
pub(crate) const FINDINGS: usize = 7;

/// Long enough to be killed in, with a child of its own that must die, too.
const SCRIPT: &str = "#!/bin/bash
[ \"$1\" = --version ] && exec echo stand-in 9.9.9
sleep 0.4 &
wait
cat \"$(dirname \"$0\")/../report.json\" > /out/report
";

const CATALOGUE: &str = r#"[[tool]]
name = "semgrep"
binary = "stand-in"
install = "the chaos run writes it"
version = { args = ["--version"], after = "stand-in" }
read_only = ["${install}"]
scan_types = ["codeaudit"]
targets = ["tree"]
network = "none"
exit_codes = { ran = [0, 1], partly = [2], input = [7] }
arguments = { flags = ["--json"], paths = ["--output", "--config"], positional = true }
[tool.limits]
wall_seconds = 60
cpu_seconds = 60
address_space_bytes = 1073741824
memory_bytes = 268435456
stream_bytes = 65536
file_bytes = 67108864
temporary_bytes = 1048576
open_files = 64
processes = 24
"#;

/// Writes the tool and its catalogue.
pub(crate) fn install(folder: &Path, report: &[u8]) -> std::io::Result<()> {
    let bin = bin(folder);
    std::fs::create_dir_all(&bin)?;
    let program = bin.join("stand-in");
    std::fs::write(&program, SCRIPT)?;
    let everyone = || std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, everyone())?;
    let install = folder.join("stand-in");
    std::fs::set_permissions(&install, everyone())?;
    std::fs::write(install.join("report.json"), report)?;
    std::fs::write(folder.join("tools.toml"), CATALOGUE)
}

/// What tells a worker of it.
pub(crate) fn settings(folder: &Path) -> [(&'static str, String); 2] {
    [
        ("tool_path", bin(folder).display().to_string()),
        ("tools_file", folder.join("tools.toml").display().to_string()),
    ]
}

fn bin(folder: &Path) -> PathBuf {
    folder.join("stand-in/bin")
}
