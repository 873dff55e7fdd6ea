//! What a hostile or broken tool can do from inside a real box: shell scripts that try.

mod limits;
mod walls;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

/// For a condition that other processes bring about.
const PATIENCE: Duration = Duration::from_secs(20);

/// A script as a tool of a catalogue, with room for what it writes.
struct Script {
    folder: TempDir,
    tool: Tool,
    cancel: CancellationToken,
}

impl Script {
    /// `changes` are lines of limits that replace the usual ones.
    async fn new(script: &str, changes: &[(&str, u64)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let bin = folder.path().join("install/bin");
        fs::create_dir_all(&bin).expect("bin");
        let text = format!("#!/bin/bash\n[ \"$1\" = --version ] && exec echo script 1.0\n{script}\n");
        fs::write(bin.join("script"), text).expect("script");
        fs::set_permissions(bin.join("script"), fs::Permissions::from_mode(0o755)).expect("mode");
        let mut limits = vec![
            ("wall_seconds", 20),
            ("cpu_seconds", 20),
            ("address_space_bytes", 1 << 30),
            ("memory_bytes", 128 << 20),
            ("stream_bytes", 64 << 10),
            ("file_bytes", 64 << 10),
            ("temporary_bytes", 1 << 20),
            ("open_files", 64),
            ("processes", 24),
        ];
        for (name, value) in &mut limits {
            if let Some((_, change)) = changes.iter().find(|(changed, _)| changed == name) {
                *value = *change;
            }
        }
        let limits: Vec<String> = limits
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let catalogue = format!(
            "[[tool]]\nname = \"script\"\nbinary = \"script\"\ninstall = \"write it\"\nscan_types = [\"test\"]\n\
             targets = [\"tree\"]\n\
             version = {{ args = [\"--version\"], after = \"script\" }}\nread_only = [\"${{install}}\"]\n\
             network = \"none\"\nexit_codes = {{ ran = [0], partly = [2] }}\n\
             arguments = {{ values = [\"--text\"], paths = [\"--file\"] }}\n[tool.limits]\n{}",
            limits.join("\n")
        );
        let catalogue = Catalogue::parse("test", &catalogue).expect("catalogue");
        let inventory = catalogue
            .probe(&ToolFolders::new(Some(bin.as_os_str()), &[], None))
            .await;
        let tool = inventory
            .tool("script")
            .unwrap_or_else(|| panic!("{:?}", inventory.missing))
            .clone();
        assert_eq!(tool.version.as_deref(), Some("1.0"));
        fs::create_dir(folder.path().join("target")).expect("target");
        fs::write(folder.path().join("target/file"), "text").expect("file");
        Self {
            folder,
            tool,
            cancel: CancellationToken::new(),
        }
    }

    async fn try_run(&self, args: &[&str], outputs: &[&str]) -> Result<ToolOutcome, ToolError> {
        let scratch = tempfile::tempdir_in(&self.folder).expect("scratch").keep();
        let args: Vec<String> = args.iter().map(|&argument| argument.to_owned()).collect();
        let output = |name: &&str| ToolOutput {
            name: (*name).to_owned(),
            media_type: "text/plain".to_owned(),
        };
        let outputs: Vec<ToolOutput> = outputs.iter().map(output).collect();
        let request = ToolRequest {
            args: &args,
            outputs: &outputs,
            target: Some(&self.folder.path().join("target")),
            network: None,
            rules: None,
            scratch: &scratch,
            cancel: &self.cancel,
        };
        run(&self.tool, request).await
    }

    async fn run(&self) -> ToolOutcome {
        self.try_run(&[], &["report"]).await.expect("a run")
    }
}

/// An outcome with the folder that its files are in.
struct Ran {
    outcome: ToolOutcome,
    _script: Script,
}

impl std::ops::Deref for Ran {
    type Target = ToolOutcome;

    fn deref(&self) -> &ToolOutcome {
        &self.outcome
    }
}

async fn run_script(script: &str, changes: &[(&str, u64)]) -> Ran {
    let script = Script::new(script, changes).await;
    Ran {
        outcome: script.run().await,
        _script: script,
    }
}

fn text(stream: &Captured) -> String {
    fs::read_to_string(&stream.path).expect("stream")
}

/// A number of seconds for `sleep` by which its process is recognised from outside.
fn unique_seconds() -> String {
    let id = uuid::Uuid::now_v7().as_u128() % 1_000_000_000;
    format!("7{id:09}")
}

fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|&byte| byte == 0)
                .any(|word| word == argument.as_bytes())
        })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        looks.tick().await;
    }
}
