//! The box around a native tool: a bubblewrap command line.
//!
//! Inside there is a read-only system (an allow-list of folders, not the host's root), the target at
//! `/src`, rules under `/rules`, one writable file in `/out` for each output, a private `/tmp` of
//! limited size, and nothing else: no home folder, no other process, no capability, an empty network,
//! and only the environment that is given here. Limits are set by `prlimit` inside the box, so they
//! count the box's processes and no one else's.
//!
//! A box with a door stands inside a second, outer bubblewrap, which makes the network namespace: see
//! `door`. Who is in the box has no right over that namespace.
//!
//! Outputs are files that exist before the tool starts and are mounted one by one: a tool can leave
//! no link, no pipe and no other file on the host's disk.
//!
//! A worker that is root maps itself to an unprivileged user inside (65534, without capabilities);
//! what it owns outside, the tool may read if it is mounted. `RLIMIT_NPROC` does not hold for root,
//! so `run` counts processes as well.
//!
//! Not here: starting, watching and ending the tool (`run`).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::catalogue::Limits;
use super::door::{self, NetworkTarget, Reach};

/// The target's folder inside the box.
pub const TARGET: &str = "/src";
/// A target that is one file, inside the box: always by this name, because the upload's may look like
/// an option.
pub const CAPTURE: &str = "/capture";
/// A folder of rules inside the box.
pub const RULES_FOLDER: &str = "/rules";
/// Rules that are one file: always by this name, because the host's may look like an option.
pub const RULES_FILE: &str = "/rules/rules.yml";

/// Nobody's user and group, by convention of all distributions.
const NOBODY: &str = "65534";
/// The system's folders that programs need; linked ones stay links.
const SYSTEM_FOLDERS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// What programs read of `/etc` to start, and nothing that tells of the host or holds secrets.
const SETTINGS: [&str; 7] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
];
/// What tools that have a door read besides: the names of ports and protocols.
const NETWORK_SETTINGS: [&str; 2] = ["/etc/services", "/etc/protocols"];
/// Shared memory between a tool's own processes: semaphores of Python's multiprocessing are tiny.
const SHARED_MEMORY_BYTES: u64 = 16 * 1024 * 1024;
/// A test box runs `true`; on a busy machine that took 40 ms.
const TRIAL_SECONDS_MAX: u64 = 20;

/// An address for documentation, which no machine has.
const DOCUMENTATION_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// Where an output is written inside the box.
pub(super) fn output_path(name: &str) -> String {
    format!("/out/{name}")
}

/// No tool can be boxed on this machine, so none is run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoxUnavailable {
    /// A program is not installed.
    #[error("{program} is not installed, and tools are never run without a box: install {package}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// Bubblewrap is there and cannot make a box.
    #[error(
        "bubblewrap cannot make a box here ({reason}), and tools are never run without one: \
         version 0.7 or newer and user namespaces are needed"
    )]
    Refused {
        /// The first line that it wrote.
        reason: String,
    },
}

/// A bubblewrap that was seen to work.
#[derive(Debug, Clone)]
pub struct Bubblewrap {
    program: PathBuf,
    prlimit: PathBuf,
    /// Version 0.8 can forbid the tool to make user namespaces of its own.
    forbids_nesting: bool,
    /// Why no door can be made here, if so.
    no_door: Option<String>,
}

/// What one box holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoxPlan<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    pub(super) environment: &'a [(String, String)],
    pub(super) read_only: &'a [PathBuf],
    /// A folder, or a single file.
    pub(super) target: Option<&'a Path>,
    pub(super) rules: Option<&'a Path>,
    /// A folder of the catalogue's settings for the tool.
    pub(super) settings: Option<&'a Path>,
    /// Files of the target in the box, and what is mounted over each.
    pub(super) masks: &'a [(PathBuf, PathBuf)],
    /// Each output's name and the file on the host that it becomes.
    pub(super) outputs: &'a [(String, PathBuf)],
    /// The folder of its door, with the settings in it.
    pub(super) door: Option<&'a Path>,
    pub(super) limits: &'a Limits,
}

impl Bubblewrap {
    /// Finds bubblewrap and makes a box around nothing, to see that it can.
    ///
    /// # Errors
    /// When a program is missing or no box can be made here; says what to do.
    pub async fn find() -> Result<Self, BoxUnavailable> {
        let missing = |program, package| BoxUnavailable::Missing { program, package };
        let program = in_system_folders("bwrap").ok_or_else(|| missing("bwrap", "bubblewrap"))?;
        let prlimit = in_system_folders("prlimit").ok_or_else(|| missing("prlimit", "util-linux"))?;
        let mut found = Self {
            program,
            prlimit,
            forbids_nesting: true,
            no_door: None,
        };
        if found.trial(None).await.is_err() {
            found.forbids_nesting = false;
            found
                .trial(None)
                .await
                .map_err(|reason| BoxUnavailable::Refused { reason })?;
        }
        found.no_door = found.trial_of_a_door().await.err();
        Ok(found)
    }

    /// Why tools that call their targets cannot run here; `None` if they can.
    pub(super) fn no_door(&self) -> Option<&str> {
        self.no_door.as_deref()
    }

    /// A box around nothing, with a door to nowhere that listens on a port below 1024 and on an
    /// address that no machine has.
    async fn trial_of_a_door(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let reach = Reach {
            addresses: [DOCUMENTATION_ADDRESS].into(),
            ports: [80].into(),
            connections_max: 1,
            ..Reach::default()
        };
        let settings = door::write_settings(folder.path(), &NetworkTarget::default());
        settings.map_err(|error| error.to_string())?;
        self.trial(Some((folder.path(), &reach))).await
    }

    async fn trial(&self, door: Option<(&Path, &Reach)>) -> Result<(), String> {
        let nothing = in_system_folders("true").ok_or("no program named true")?;
        let limits = Limits {
            wall_seconds: TRIAL_SECONDS_MAX,
            cpu_seconds: TRIAL_SECONDS_MAX,
            address_space_bytes: 1 << 30,
            memory_bytes: 1 << 30,
            stream_bytes: 1 << 16,
            file_bytes: 1 << 16,
            temporary_bytes: 1 << 20,
            open_files: 64,
            processes: 16,
        };
        let plan = BoxPlan {
            program: &nothing,
            arguments: &[],
            environment: &[],
            read_only: &[],
            target: None,
            rules: None,
            settings: None,
            masks: &[],
            outputs: &[],
            door: door.map(|(folder, _)| folder),
            limits: &limits,
        };
        let command = match door {
            Some((_, reach)) => self.command_with_door(&plan, reach),
            None => Ok(self.command(&plan)),
        };
        let mut command = command.map_err(|error| error.to_string())?;
        let trial = command.output();
        let output = tokio::time::timeout(Duration::from_secs(TRIAL_SECONDS_MAX), trial)
            .await
            .map_err(|_| format!("it took more than {TRIAL_SECONDS_MAX} s"))?
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.lines().next().unwrap_or("it said nothing").to_owned())
    }

    /// The command that runs `plan`'s program in its box, with stdout and stderr piped.
    pub(super) fn command(&self, plan: &BoxPlan<'_>) -> Command {
        let mut arguments = self.arguments(plan).into_iter();
        let mut command = Command::new(arguments.next().unwrap_or_default());
        command.args(arguments);
        contain(&mut command);
        command
    }

    /// The same inside a shell that has the network namespace, and in it the inner end of the door.
    ///
    /// The shell hides nothing of the host: in it runs the door, which is our own program, and the box.
    pub(super) fn command_with_door(&self, plan: &BoxPlan<'_>, reach: &Reach) -> io::Result<Command> {
        let folder = plan.door.ok_or(io::ErrorKind::InvalidInput)?;
        door::Order::write(folder, reach, self.arguments(plan))?;
        let mut command = Command::new(&self.program);
        command
            .args([
                "--unshare-user",
                "--unshare-net",
                "--uid",
                NOBODY,
                "--gid",
                NOBODY,
            ])
            .args(["--cap-drop", "ALL"])
            .args(["--cap-add", "CAP_NET_BIND_SERVICE", "--cap-add", "CAP_NET_ADMIN"])
            .args(["--die-with-parent", "--dev-bind", "/", "/", "--chdir"])
            .arg(folder)
            .arg("--")
            .args(door::program()?);
        contain(&mut command);
        Ok(command)
    }

    /// The whole command line of a box, bubblewrap first.
    fn arguments(&self, plan: &BoxPlan<'_>) -> Vec<OsString> {
        let mut arguments = vec![self.program.clone().into_os_string()];
        arguments.extend(self.walls(plan));
        arguments.extend(Self::contents(plan));
        let folder = plan.target.is_some_and(Path::is_dir);
        let start = if folder { TARGET } else { "/tmp" };
        arguments.extend(words(&[
            "--remount-ro",
            "/dev",
            "--remount-ro",
            "/",
            "--chdir",
            start,
            "--",
        ]));
        arguments.push(self.prlimit.clone().into_os_string());
        arguments.extend(limit_arguments(plan.limits).into_iter().map(OsString::from));
        arguments.push("--".into());
        arguments.push(plan.program.into());
        arguments.extend(plan.arguments.iter().map(OsString::from));
        arguments
    }

    fn walls(&self, plan: &BoxPlan<'_>) -> Vec<OsString> {
        let mut walls = words(&[
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--uid",
            NOBODY,
            "--gid",
            NOBODY,
            "--cap-drop",
            "ALL",
            "--hostname",
            "worker",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
        ]);
        if self.forbids_nesting {
            walls.extend(words(&["--disable-userns"]));
        }
        if plan.door.is_none() {
            walls.extend(words(&["--unshare-net"]));
        }
        for (name, value) in plan.environment {
            walls.extend(words(&["--setenv", name, value]));
        }
        walls
    }

    /// The mounts, in the order in which later ones may lie inside earlier ones.
    fn contents(plan: &BoxPlan<'_>) -> Vec<OsString> {
        let temporary = plan.limits.temporary_bytes.to_string();
        let shared = SHARED_MEMORY_BYTES.to_string();
        let mut mounts = system_mounts();
        let network = plan.door.map(|_| NETWORK_SETTINGS);
        for path in SETTINGS.into_iter().chain(network.into_iter().flatten()) {
            mounts.extend(words(&["--ro-bind-try", path, path]));
        }
        for (folder, (name, place)) in plan
            .door
            .iter()
            .flat_map(|folder| door::SETTINGS.map(|one| (folder, one)))
        {
            mounts.extend(mount("--ro-bind", &folder.join(name), OsStr::new(place)));
        }
        mounts.extend(words(&["--proc", "/proc", "--dev", "/dev"]));
        mounts.extend(words(&["--size", &shared, "--tmpfs", "/dev/shm"]));
        mounts.extend(words(&["--size", &temporary, "--tmpfs", "/tmp"]));
        mounts.extend(words(&["--dir", HOME, "--dir", "/out"]));
        for folder in plan.read_only {
            mounts.extend(mount("--ro-bind", folder, folder.as_os_str()));
        }
        if let Some(target) = plan.target {
            let place = if target.is_file() { CAPTURE } else { TARGET };
            mounts.extend(mount("--ro-bind", target, OsStr::new(place)));
        }
        for (place, own) in plan.masks {
            mounts.extend(mount("--ro-bind", own, place.as_os_str()));
        }
        if let Some(rules) = plan.rules {
            mounts.extend(mount("--ro-bind", rules, OsStr::new(rules_place(rules))));
        }
        if let Some(settings) = plan.settings {
            mounts.extend(mount("--ro-bind", settings, OsStr::new("/settings")));
        }
        for (name, file) in plan.outputs {
            mounts.extend(mount("--bind", file, OsStr::new(&output_path(name))));
        }
        mounts
    }
}

/// The home folder inside the box, empty and gone with it.
pub(super) const HOME: &str = "/tmp/home";

/// Where rules that lie at `rules` on the host are found inside the box.
pub(super) fn rules_place(rules: &Path) -> &'static str {
    if rules.is_dir() { RULES_FOLDER } else { RULES_FILE }
}

/// The environment of every box; `bin` is the folder of the tool's program.
pub(super) fn environment(bin: &Path) -> Vec<(String, String)> {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    [
        ("PATH", path.as_str()),
        ("HOME", HOME),
        ("XDG_CONFIG_HOME", "/tmp/home/.config"),
        ("XDG_CACHE_HOME", "/tmp/home/.cache"),
        ("XDG_DATA_HOME", "/tmp/home/.local/share"),
        ("TMPDIR", "/tmp"),
        ("LANG", "C.UTF-8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn system_mounts() -> Vec<OsString> {
    let mut mounts = Vec::new();
    for folder in SYSTEM_FOLDERS {
        let path = Path::new(folder);
        if let Ok(linked) = fs::read_link(path) {
            mounts.extend(mount("--symlink", &linked, path.as_os_str()));
        } else if path.is_dir() {
            mounts.extend(mount("--ro-bind", path, path.as_os_str()));
        }
    }
    mounts
}

/// Soft and hard limits alike: a tool cannot raise what it was given.
fn limit_arguments(limits: &Limits) -> Vec<String> {
    let mut arguments = vec![
        format!("--as={}", limits.address_space_bytes),
        format!("--cpu={}", limits.cpu_seconds),
        format!("--fsize={}", limits.file_bytes),
        format!("--nofile={}", limits.open_files),
        "--core=0".to_owned(),
    ];
    if !rustix::process::geteuid().is_root() {
        arguments.push(format!("--nproc={}", limits.processes));
    }
    arguments
}

/// The program `name` where the box can see it too.
fn in_system_folders(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .into_iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// How every box is started: with stdout and stderr piped, and nothing of the worker's own.
///
/// The command's own environment is empty too, because the box's first process keeps it where
/// the tool could read it. It leads a process group of its own, so that an interrupt typed at the
/// worker's terminal reaches the worker alone, and dies when it is dropped.
fn contain(command: &mut Command) {
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn mount(how: &str, from: &Path, to: &OsStr) -> [OsString; 3] {
    [how.into(), from.into(), to.into()]
}
