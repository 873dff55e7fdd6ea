//! The operator's list of tools: what each is called, how it may be run, and within which limits.
//!
//! The bundled list is `server/app/tools.toml`, whose head explains every key; a worker may be given
//! another file. Unknown keys are refused, so that a misspelt limit is not silently absent.
//!
//! Not here: whether a tool is installed (`probe`) and how its limits are enforced (`boxed`, `run`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The list that the binary carries.
const BUNDLED: &str = include_str!("../../tools.toml");
/// A list longer than this is not a list of tools; the bundled one has 3 KB.
const CATALOGUE_BYTES_MAX: u64 = 1024 * 1024;

/// A catalogue that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file is away, unreadable or too large.
    #[error("tool catalogue {path} cannot be read (at most {CATALOGUE_BYTES_MAX} bytes)")]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The text is not a catalogue.
    #[error("tool catalogue {origin} is not valid: {message}")]
    Parse {
        /// The file, or `bundled`.
        origin: String,
        /// Where and why.
        message: String,
    },
    /// One entry contradicts itself or another one.
    #[error("tool catalogue: tool {tool:?}: {rule}")]
    Entry {
        /// The entry's name.
        tool: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// All tools that this worker may run, installed or not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// In the order of the file.
    #[serde(rename = "tool")]
    pub tools: Vec<ToolEntry>,
}

/// One tool, as the operator describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolEntry {
    /// What plugins call it.
    pub name: String,
    /// The file name of its program.
    pub binary: String,
    /// What other distributions call it; asked for after `binary`.
    #[serde(default)]
    pub other_binaries: Vec<String>,
    /// What to do when it is missing, for people.
    pub install: String,
    /// What a worker with this tool can serve.
    pub scan_types: Vec<String>,
    /// Which kinds of target it works on: `tree`, `url`, `endpoint`, `domain`, `capture`.
    pub targets: BTreeSet<String>,
    /// The files of a tree that it reads, as globs; a tree without one is no work for it, and
    /// `${files}` stands for all of them. None: it looks for itself.
    #[serde(default)]
    pub files: Vec<String>,
    /// How to ask for its version.
    pub version: VersionQuestion,
    /// Its first argument, if it has any.
    #[serde(default)]
    pub subcommand: Option<String>,
    /// The operator's arguments, which precede the plugin's.
    #[serde(default)]
    pub always: Vec<String>,
    /// Its environment, besides what every box sets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Folders that it may read besides the system's; `${install}` is the folder above its bin folder.
    #[serde(default)]
    pub read_only: Vec<String>,
    /// Files of ours that the box has as `/settings/NAME`, by name; for tools that would else look for
    /// settings in the upload.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Files that the tree has in the box with these texts instead of its own, by file name, wherever
    /// they lie; for tools that can be told of no other settings.
    #[serde(default)]
    pub masks: BTreeMap<String, String>,
    /// What of the network it may use.
    pub network: Network,
    /// How much of it, for tools that may.
    #[serde(default)]
    pub door: Option<DoorLimits>,
    /// What its exit codes mean.
    pub exit_codes: ExitCodes,
    /// What it writes to stderr only when it came to its end, for tools whose exit codes do not tell.
    #[serde(default)]
    pub completion: Option<String>,
    /// Which arguments a plugin may give it.
    #[serde(default)]
    pub arguments: ArgumentPolicy,
    /// What it may use up.
    pub limits: Limits,
}

/// How to ask a tool for its version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionQuestion {
    /// The arguments of the question.
    pub args: Vec<String>,
    /// The text before the version in the answer; empty if the answer begins with it.
    #[serde(default)]
    pub after: String,
    /// Whether the tool has no word for its version; that it answers with exit code 0 is enough then.
    #[serde(default)]
    pub untold: bool,
}

/// The network that a box has: a loopback of its own, and what a door lets through to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// No door.
    None,
    /// The pinned addresses and ports of the task's target.
    Target,
    /// The operator's resolvers.
    Dns,
}

/// What may go through the door of one run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorLimits {
    /// Both ways together.
    pub bytes: u64,
    /// Open at once; more wait.
    pub connections: usize,
}

/// What a tool's exit codes mean; all others mean that it did not do its work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExitCodes {
    /// It did its work, with findings or without.
    pub ran: Vec<i32>,
    /// It did some of its work: its report is worth reading, its silence proves nothing.
    #[serde(default)]
    pub partly: Vec<i32>,
    /// It refused what it was given beside the target, such as its rules.
    #[serde(default)]
    pub input: Vec<i32>,
}

/// Which arguments a plugin may give.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentPolicy {
    /// Options without a value, whole.
    #[serde(default)]
    pub flags: BTreeSet<String>,
    /// Options whose next element is a placeholder.
    #[serde(default)]
    pub paths: BTreeSet<String>,
    /// Options whose next element is taken as it stands, if it does not look like an option.
    #[serde(default)]
    pub values: BTreeSet<String>,
    /// Whether a placeholder may stand where no option wants it.
    #[serde(default)]
    pub positional: bool,
}

/// What one run may use up. No default: a limit that nobody chose is no limit.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// From start to end, by the clock on the wall.
    pub wall_seconds: u64,
    /// Of processor time, for each process.
    pub cpu_seconds: u64,
    /// Of address space, for each process: what some runtimes merely reserve counts too.
    pub address_space_bytes: u64,
    /// Of memory in use, for all its processes together, looked at ten times a second.
    pub memory_bytes: u64,
    /// Of stdout, and again of stderr.
    pub stream_bytes: u64,
    /// Of each file that it writes, reports among them.
    pub file_bytes: u64,
    /// Of its private folder for temporary files, which is memory.
    pub temporary_bytes: u64,
    /// Open at once in each process.
    pub open_files: u64,
    /// Processes at once.
    pub processes: u64,
}

impl Catalogue {
    /// The catalogue in `path`, or the bundled one.
    ///
    /// # Errors
    /// When the file cannot be read or is not a catalogue.
    pub fn load(path: Option<&Path>) -> Result<Self, CatalogueError> {
        let Some(path) = path else {
            return Self::parse("bundled", BUNDLED);
        };
        let read_error = |source| CatalogueError::Read {
            path: path.to_owned(),
            source,
        };
        if std::fs::metadata(path).map_err(read_error)?.len() > CATALOGUE_BYTES_MAX {
            return Err(read_error(std::io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read_to_string(path).map_err(read_error)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The catalogue that `text` describes; `origin` names it in errors.
    ///
    /// # Errors
    /// When the text is not a catalogue.
    pub fn parse(origin: &str, text: &str) -> Result<Self, CatalogueError> {
        let catalogue: Self = toml::from_str(text).map_err(|error| CatalogueError::Parse {
            origin: origin.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let mut names = BTreeSet::new();
        for entry in &catalogue.tools {
            let refuse = |rule| CatalogueError::Entry {
                tool: entry.name.clone(),
                rule,
            };
            if !names.insert(&entry.name) {
                return Err(refuse("the name is used twice"));
            }
            entry.check().map_err(refuse)?;
        }
        Ok(catalogue)
    }
}

impl ToolEntry {
    fn check(&self) -> Result<(), &'static str> {
        if !is_word(&self.name) {
            return Err("the name is not a word of lower-case letters, digits, '-', '_' and '.'");
        }
        let mut binaries = std::iter::once(&self.binary).chain(&self.other_binaries);
        if binaries.any(|name| name.is_empty() || name.contains('/')) {
            return Err("binary is not a file name");
        }
        if !self.settings.keys().all(|name| is_word(name)) {
            return Err("a name in settings is not a plain word");
        }
        if !self
            .masks
            .keys()
            .all(|name| is_word(name.trim_start_matches('.')))
        {
            return Err("a name in masks is not a plain file name");
        }
        if self.targets.is_empty() || !self.targets.iter().all(|kind| TARGETS.contains(&kind.as_str())) {
            return Err("targets is empty or has a word that is no kind of target");
        }
        match (self.network, &self.door) {
            (Network::None, Some(_)) => return Err("door is given, but network is none"),
            (Network::Target | Network::Dns, None) => return Err("network wants a door's limits"),
            (_, Some(door)) if door.bytes == 0 || door.connections == 0 => return Err("a limit is 0"),
            _ => {}
        }
        if self.completion.as_deref() == Some("") {
            return Err("completion is empty");
        }
        if self.exit_codes.ran.is_empty() {
            return Err("exit_codes.ran is empty");
        }
        let options = [
            &self.arguments.flags,
            &self.arguments.paths,
            &self.arguments.values,
        ];
        if options
            .into_iter()
            .flatten()
            .any(|option| !option.starts_with('-'))
        {
            return Err("an option in arguments does not begin with '-'");
        }
        if self
            .environment
            .keys()
            .any(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err("a name in environment is not one");
        }
        if self
            .read_only
            .iter()
            .any(|folder| folder != INSTALL && !folder.starts_with('/'))
        {
            return Err("a folder in read_only is neither absolute nor ${install}");
        }
        if self.limits.all().contains(&0) {
            return Err("a limit is 0");
        }
        Ok(())
    }
}

/// The kinds of target that plugins plan for.
const TARGETS: [&str; 5] = ["tree", "url", "endpoint", "domain", "capture"];

/// In `read_only`: the folder above the one where the tool's program was found.
pub(super) const INSTALL: &str = "${install}";

impl Limits {
    fn all(&self) -> [u64; 9] {
        [
            self.wall_seconds,
            self.cpu_seconds,
            self.address_space_bytes,
            self.memory_bytes,
            self.stream_bytes,
            self.file_bytes,
            self.temporary_bytes,
            self.open_files,
            self.processes,
        ]
    }
}

/// A name that is safe as a file name and on a command line.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        })
}

/// Names of tools and outputs; the longest known tool's name has 14 bytes.
const WORD_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_catalogue_has_semgrep_for_codeaudit() {
        let catalogue = Catalogue::load(None).expect("bundled");
        let semgrep = &catalogue.tools[0];
        assert_eq!(
            (semgrep.name.as_str(), semgrep.network),
            ("semgrep", Network::None)
        );
        assert_eq!(semgrep.scan_types, ["codeaudit"]);
    }

    #[test]
    fn a_catalogue_with_a_mistake_is_refused_and_says_where() {
        for (find, put, says) in [
            ("wall_seconds = 900", "wall_secs = 900", "wall_secs"),
            ("wall_seconds = 900", "wall_seconds = 0", "a limit is 0"),
            ("wall_seconds = 900", "", "wall_seconds"),
            ("name = \"semgrep\"", "name = \"../semgrep\"", "not a word"),
            ("binary = \"semgrep\"", "binary = \"/bin/sh\"", "not a file name"),
            ("ran = [0, 1]", "ran = []", "exit_codes.ran"),
            ("\"--severity\"", "\"severity\"", "does not begin"),
            (
                "read_only = [\"${install}\"]",
                "read_only = [\"tools\"]",
                "read_only",
            ),
            ("network = \"none\"", "network = \"host\"", "network"),
            ("network = \"none\"", "network = \"target\"", "door"),
            ("targets = [\"tree\"]", "targets = [\"forest\"]", "targets"),
        ] {
            assert!(BUNDLED.contains(find), "{find}");
            let error = Catalogue::parse("test", &BUNDLED.replacen(find, put, 1)).expect_err(put);
            assert!(error.to_string().contains(says), "{put}: {error}");
        }
        let twice = format!("{BUNDLED}\n{BUNDLED}");
        let error = Catalogue::parse("test", &twice).expect_err("twice");
        assert!(error.to_string().contains("used twice"), "{error}");
    }

    #[test]
    fn a_catalogue_that_is_not_there_is_named() {
        let error = Catalogue::load(Some(Path::new("/nonexistent/tools.toml"))).expect_err("absent");
        assert!(error.to_string().contains("/nonexistent/tools.toml"));
    }
}
