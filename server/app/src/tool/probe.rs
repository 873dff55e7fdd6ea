//! Which tools of the catalogue work on this machine, and in which version.
//!
//! A tool counts as available when its program answers the version question inside a box: what only
//! works outside is of no use. All tools are asked at once, each for a bounded time.
//!
//! A tool's program is looked up in the configured folders first, then in `.tools/NAME/bin` (where
//! `scripts/setup` and `scripts/tools` install it) above the working folder and above the server's own
//! program, then in `PATH`; the first that answers is taken. What another tool brought along, such as
//! the semgrep inside njsscan, is not looked at.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::boxed::{self, BoxPlan, Bubblewrap};
use super::catalogue::{Catalogue, INSTALL, Limits, Network, ToolEntry};
use super::outcome::{Captured, ToolEnd};
use super::run::{Stage, execute};

/// For a version answer: semgrep needs 1 s, and ten times that on a busy machine.
const VERSION_SECONDS_MAX: u64 = 30;
/// Of a version answer.
const VERSION_ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Of a version itself: `1.182.0`, `4.99.3-1+deb12u1`.
const VERSION_BYTES_MAX: usize = 64;
/// Programs of one name that are asked before giving up.
const CANDIDATES_MAX: usize = 4;
/// Folders above the server's program that may hold `.tools`: a checkout is three up.
const ANCESTORS_MAX: usize = 6;

/// A tool that works here.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The operator's word on it.
    pub entry: ToolEntry,
    /// Its program.
    pub binary: PathBuf,
    /// As it answered; none if it has no word for it.
    pub version: Option<String>,
    pub(super) boxed: Bubblewrap,
    /// What `${install}` stands for.
    install: Option<PathBuf>,
}

/// A tool that does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTool {
    /// Its name in the catalogue.
    pub name: String,
    /// What cannot be scanned for want of it.
    pub scan_types: Vec<String>,
    /// Why, and what to do.
    pub reason: String,
}

/// What of a catalogue works here.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// In the order of the catalogue.
    pub available: Vec<Tool>,
    /// The rest.
    pub missing: Vec<MissingTool>,
}

impl Inventory {
    /// The available tool of this name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.available.iter().find(|tool| tool.entry.name == name)
    }

    /// Why the tool of this name is not available, if the catalogue has it.
    pub fn missing(&self, name: &str) -> Option<&MissingTool> {
        self.missing.iter().find(|tool| tool.name == name)
    }

    /// The scan types that some available tool serves.
    pub fn scan_types(&self) -> BTreeSet<&str> {
        let types = self.available.iter().flat_map(|tool| &tool.entry.scan_types);
        types.map(String::as_str).collect()
    }
}

/// Where programs are looked up, in order.
#[derive(Debug, Clone, Default)]
pub struct ToolFolders {
    /// Named by the operator: what is around them is the tool's.
    configured: Vec<PathBuf>,
    /// Folders called `.tools`, with a folder for each tool.
    installed: Vec<PathBuf>,
    /// Of `PATH`: what is around them may be anyone's, a home folder for one.
    shared: Vec<PathBuf>,
}

/// A program, and the folder that is installed with it, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    path: PathBuf,
    install: Option<PathBuf>,
}

impl ToolFolders {
    /// The folders of this process; `configured` is a list like `PATH` (`TAMIZ_TOOL_PATH`).
    pub fn of_this_process(configured: Option<&OsStr>) -> Self {
        let working = env::current_dir().ok();
        let program = env::current_exe().ok();
        let above = |path: &PathBuf| -> Vec<PathBuf> {
            path.ancestors().take(ANCESTORS_MAX).map(Path::to_owned).collect()
        };
        let roots: Vec<PathBuf> = working.iter().chain(&program).flat_map(above).collect();
        let path = env::var_os("PATH");
        Self::new(configured, &roots, path.as_deref())
    }

    /// `configured`, then `.tools/NAME/bin` below each of `roots`, then `path`.
    pub fn new(configured: Option<&OsStr>, roots: &[PathBuf], path: Option<&OsStr>) -> Self {
        let split = |list: Option<&OsStr>| -> Vec<PathBuf> {
            list.map(|list| env::split_paths(list).collect())
                .unwrap_or_default()
        };
        let mut seen = BTreeSet::new();
        let mut real = |folders: Vec<PathBuf>| -> Vec<PathBuf> {
            // Only folders are resolved: a program that is a link may look at its own name.
            let real = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok());
            real.filter(|folder| seen.insert(folder.clone())).collect()
        };
        Self {
            configured: real(split(configured)),
            installed: real(roots.iter().map(|root| root.join(".tools")).collect()),
            shared: real(split(path)),
        }
    }

    /// The programs called `program` of the tool `tool`, in the order in which they are tried.
    fn programs(&self, tool: &str, program: &str) -> Vec<Program> {
        let installed = self.installed.iter().map(|tools| tools.join(tool).join("bin"));
        let own = self.configured.iter().cloned().chain(installed);
        let own = own.map(|folder| Program {
            path: folder.join(program),
            install: folder
                .parent()
                .filter(|above| !holds_a_home(above))
                .map(Path::to_owned),
        });
        let shared = self.shared.iter().map(|folder| Program {
            path: folder.join(program),
            install: None,
        });
        let programs = own.chain(shared).filter(|program| program.path.is_file());
        programs.take(CANDIDATES_MAX).collect()
    }
}

/// Whether a tool that reads all of `folder` reads the worker's home folder.
fn holds_a_home(folder: &Path) -> bool {
    let home = env::var_os("HOME").map(PathBuf::from);
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    folder.parent().is_none() || home.is_some_and(|home| home.starts_with(folder))
}

impl Catalogue {
    /// Finds out which tools work here. Never fails: what does not work is listed with the reason.
    pub async fn probe(&self, folders: &ToolFolders) -> Inventory {
        let boxed = Bubblewrap::find().await.map_err(|error| error.to_string());
        let asked = join_all(self.tools.iter().map(|entry| ask(entry, &boxed, folders))).await;
        let mut inventory = Inventory::default();
        for (entry, answer) in self.tools.iter().zip(asked) {
            match answer {
                Ok(tool) => inventory.available.push(tool),
                Err(reason) => inventory.missing.push(MissingTool {
                    name: entry.name.clone(),
                    scan_types: entry.scan_types.clone(),
                    reason,
                }),
            }
        }
        inventory
    }
}

async fn ask(
    entry: &ToolEntry,
    boxed: &Result<Bubblewrap, String>,
    folders: &ToolFolders,
) -> Result<Tool, String> {
    let boxed = boxed.clone()?;
    if let Some(why) = boxed.no_door().filter(|_| entry.network != Network::None) {
        return Err(format!(
            "it calls its target, and this machine can make no door to one ({why}): user and network \
             namespaces inside one another are needed"
        ));
    }
    let mut reason = format!("no program {} was found", entry.binary);
    let names = std::iter::once(&entry.binary).chain(&entry.other_binaries);
    for program in names.flat_map(|name| folders.programs(&entry.name, name)) {
        let mut tool = Tool {
            entry: entry.clone(),
            binary: program.path,
            version: None,
            boxed: boxed.clone(),
            install: program.install,
        };
        match tool.ask_version().await {
            Ok(version) => {
                tool.version = version;
                return Ok(tool);
            }
            Err(why) => reason = format!("{} did not tell its version: {why}", tool.binary.display()),
        }
    }
    Err(format!("{reason}; {}", entry.install))
}

impl Tool {
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let bin = self.binary.parent().unwrap_or(Path::new("/usr/bin"));
        let own = self.entry.environment.iter();
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        boxed::environment(bin).into_iter().chain(own).collect()
    }

    pub(super) fn read_only(&self) -> Vec<PathBuf> {
        let folder = |folder: &String| match folder.as_str() {
            INSTALL => self.install.clone(),
            other => Some(PathBuf::from(other)),
        };
        let folders = self.entry.read_only.iter().filter_map(folder);
        // The system's folders are there anyway, and not every distribution has all the others.
        folders
            .filter(|folder| !folder.starts_with("/usr") && folder.exists())
            .collect()
    }

    async fn ask_version(&self) -> Result<Option<String>, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let limits = Limits {
            wall_seconds: VERSION_SECONDS_MAX,
            stream_bytes: VERSION_ANSWER_BYTES_MAX,
            ..self.entry.limits
        };
        let plan = BoxPlan {
            program: &self.binary,
            arguments: &self.entry.version.args,
            environment: &self.environment(),
            read_only: &self.read_only(),
            target: None,
            rules: None,
            settings: None,
            masks: &[],
            outputs: &[],
            door: None,
            limits: &limits,
        };
        let never = CancellationToken::new();
        let stage = Stage {
            tool: &self.entry.name,
            boxed: &self.boxed,
            scratch: scratch.path(),
            cancel: &never,
        };
        let answer = execute(stage, &plan, None).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !matches!(answer.end, ToolEnd::Exited(_)) {
            return Err(answer.end.to_string());
        }
        if self.entry.version.untold {
            return match answer.end {
                ToolEnd::Exited(0) => Ok(None),
                end => Err(end.to_string()),
            };
        }
        // Some tools answer on stderr.
        [&answer.stdout, &answer.stderr]
            .into_iter()
            .find_map(|stream| version_in(&text_of(stream), &self.entry.version.after))
            .map(Some)
            .ok_or_else(|| format!("{}, and its answer holds no version", answer.end))
    }
}

fn text_of(stream: &Captured) -> String {
    let bytes = fs::read(&stream.path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first word after `after` that begins with a digit, or with `v` and a digit.
fn version_in(answer: &str, after: &str) -> Option<String> {
    let (_, rest) = answer.split_once(after)?;
    let word = rest
        .split_whitespace()
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let version: String = word
        .chars()
        .take_while(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '+' | '_' | '~'))
        .take(VERSION_BYTES_MAX)
        .collect();
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_after_its_marker() {
        for (answer, after, version) in [
            ("1.182.0\n", "", Some("1.182.0")),
            ("Nmap version 7.93 ( https://nmap.org )", "version", Some("7.93")),
            ("tool built 2024, v8.0.0,\n", "built 2024", Some("8.0.0")),
            ("Usage: x", "", None),
            ("1.2.3", "version", None),
            ("", "", None),
        ] {
            assert_eq!(version_in(answer, after).as_deref(), version, "{answer}");
        }
    }

    #[test]
    fn folders_are_configured_ones_first_then_the_checkout_then_path() {
        let root = tempfile::tempdir().expect("root");
        for folder in [
            "mine",
            ".tools/other/bin",
            "below/.tools/scan/bin",
            ".tools/scan/bin",
            "system",
        ] {
            fs::create_dir_all(root.path().join(folder)).expect("folder");
            fs::write(root.path().join(folder).join("scanner"), "").expect("program");
        }
        let list = env::join_paths([root.path().join("mine"), root.path().join("absent")]);
        let path = root.path().join("system");
        let folders = ToolFolders::new(
            list.ok().as_deref(),
            &[root.path().join("below"), root.path().to_owned()],
            Some(path.as_os_str()),
        );
        let programs = folders.programs("scan", "scanner");
        let found = programs.iter().map(|program| program.path.clone());
        let expected = ["mine", "below/.tools/scan/bin", ".tools/scan/bin", "system"];
        let expected = expected.map(|folder| root.path().join(folder).join("scanner"));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let installs = programs.iter().map(|program| program.install.clone());
        let expected = [".", "below/.tools/scan", ".tools/scan"];
        let expected = expected.map(|folder| Some(root.path().join(folder).components().collect()));
        assert_eq!(installs.collect::<Vec<_>>(), [&expected[..], &[None]].concat());
    }

    #[test]
    fn a_home_folder_is_never_installed_with_a_tool() {
        let home = PathBuf::from(env::var_os("HOME").expect("home"));
        assert!(holds_a_home(&home));
        assert!(holds_a_home(Path::new("/")));
        assert!(!holds_a_home(&home.join(".tools/semgrep")));
    }
}
