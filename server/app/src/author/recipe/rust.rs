//! Rust: cargo for `wasm32-unknown-unknown`, linked in one step by the toolchain's own
//! `wasm-component-ld`, so that the component imports nothing but `tamiz:scanner`.
//!
//! The target's std is rustup's; where only Debian's Rust is, std is built from Debian's sources. The
//! flags are those of `scripts/build-plugins`, which builds the first-party plugins.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use super::BuildError;
use crate::author::child;
use crate::author::file_error::cannot;
use crate::author::project::Project;

const TARGET: &str = "wasm32-unknown-unknown";
/// A first build compiles the SDK's dependencies, with Debian's Rust std as well, on slow machines.
const BUILD_LIMIT: Duration = Duration::from_mins(30);
/// A compiler says where its files are at once.
const ASK_LIMIT: Duration = Duration::from_mins(1);
/// Chooses one toolchain for a test, as in `scripts/build-plugins`.
const CHOICE_VARIABLE: &str = "TAMIZ_PLUGIN_TOOLCHAIN";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// Where Debian's Rust expects its linker; a link to nowhere without the package `lld-NN`.
const DEBIAN_LLD: &str = "/usr/bin/rust-lld";
const HOW_TO_INSTALL: &str = "no Rust that builds for wasm32-unknown-unknown: `rustup target add wasm32-unknown-unknown` (with rustup), or on Debian `apt-get install rustc-web cargo-web rust-web-src`";
const HOW_TO_INSTALL_LLD: &str =
    "no wasm-ld: on Debian `apt-get install lld-NN`, with the number that `readlink /usr/bin/rust-lld` names";

/// A Rust that can build components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toolchain {
    origin: Origin,
    cargo: PathBuf,
    /// `wasm-component-ld`, which knows how to make a component.
    linker: PathBuf,
    /// A program that is `wasm-ld` when it is called by that name.
    wasm_ld: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// With the target's std.
    Rustup,
    /// Builds the target's std.
    Debian,
}

/// What one compiler says about itself.
struct Compiler {
    sysroot: PathBuf,
    host: String,
}

impl Toolchain {
    /// The toolchain for a project: the one of `PATH` with the wasm target, else Debian's.
    pub(super) fn choose(folder: &Path) -> Result<Self, BuildError> {
        let wanted = env::var(CHOICE_VARIABLE).unwrap_or_default();
        let found = match wanted.as_str() {
            "rustup" => Self::rustup(folder),
            "debian" => Self::debian(folder),
            _ => Self::rustup(folder).or_else(|| Self::debian(folder)),
        };
        let toolchain = found.ok_or_else(|| BuildError::Toolchain(HOW_TO_INSTALL.to_owned()))?;
        if toolchain.wasm_ld.as_os_str().is_empty() {
            return Err(BuildError::Toolchain(HOW_TO_INSTALL_LLD.to_owned()));
        }
        Ok(toolchain)
    }

    /// The folder matters: a rust-toolchain file there would choose another toolchain.
    fn rustup(folder: &Path) -> Option<Self> {
        let compiler = Compiler::ask(Path::new("rustc"), folder)?;
        let std = compiler.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        has_std(&std).then_some(())?;
        Some(Self {
            origin: Origin::Rustup,
            cargo: PathBuf::from("cargo"),
            linker: compiler.component_linker()?,
            wasm_ld: wasm_ld(&compiler, None).unwrap_or_default(),
        })
    }

    fn debian(folder: &Path) -> Option<Self> {
        let whole = [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD];
        whole.iter().all(|path| Path::new(path).exists()).then_some(())?;
        let compiler = Compiler::ask(Path::new(DEBIAN_RUSTC), folder)?;
        let other = Compiler::ask(Path::new("rustc"), folder);
        Some(Self {
            origin: Origin::Debian,
            cargo: PathBuf::from(DEBIAN_CARGO),
            linker: compiler.component_linker()?,
            wasm_ld: wasm_ld(&compiler, other.as_ref()).unwrap_or_default(),
        })
    }

    /// Where cargo put the component.
    pub(super) fn build(&self, project: &Project) -> Result<PathBuf, BuildError> {
        let target = project.folder.join("target");
        let library = library(project)?;
        let linker_folder = self.linker_folder(&target)?;
        child::run(self.command(project, &linker_folder), BUILD_LIMIT)?;
        Ok(target
            .join(TARGET)
            .join("release")
            .join(format!("{library}.wasm")))
    }

    fn command(&self, project: &Project, linker_folder: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(&project.folder).arg("build");
        if self.origin == Origin::Debian {
            // The std of another target is built with the program: an unstable option of a stable compiler.
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command.args(["--release", "--target", TARGET, "--target-dir", "target"]);
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        command.env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "-Clinker-flavor=wasm-ld -Ctarget-feature=+simd128",
        );
        // Flags for the author's own machine say things that this target does not know.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [linker_folder.to_owned()]
            .into_iter()
            .chain(env::split_paths(&path));
        // A folder whose name has the separator cannot be on a path; then the author's own is left.
        command.env("PATH", env::join_paths(folders).unwrap_or(path));
        command
    }

    /// A folder where the linker is found as `wasm-ld`: it takes its role from the name.
    fn linker_folder(&self, target: &Path) -> Result<PathBuf, BuildError> {
        if self.wasm_ld.file_name() == Some(OsString::from("wasm-ld").as_os_str()) {
            return Ok(self.wasm_ld.parent().unwrap_or(target).to_owned());
        }
        let folder = target.join("wasm-ld");
        let link = folder.join("wasm-ld");
        fs::create_dir_all(&folder).map_err(cannot("make", &folder))?;
        super::remove(&link)?;
        std::os::unix::fs::symlink(&self.wasm_ld, &link).map_err(cannot("make", &link))?;
        Ok(folder)
    }
}

impl Compiler {
    /// Nothing when there is no such compiler, or none that works in this folder.
    fn ask(rustc: &Path, folder: &Path) -> Option<Self> {
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(rustc);
            command.current_dir(folder).args(arguments);
            child::run(command, ASK_LIMIT).ok()
        };
        let version = ask(&["-vV"])?;
        let sysroot = ask(&["--print", "sysroot"])?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))?
            .to_owned();
        Some(Self {
            // rustup may say before it what it installs.
            sysroot: PathBuf::from(sysroot.lines().last()?),
            host,
        })
    }

    /// The toolchain's own tools for its host.
    fn tools(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }

    fn component_linker(&self) -> Option<PathBuf> {
        let linker = self.tools().join("wasm-component-ld");
        linker.is_file().then_some(linker)
    }
}

/// What cargo calls the library, by the project's `Cargo.toml`.
fn library(project: &Project) -> Result<String, BuildError> {
    let path = project.folder.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(cannot("read", &path))?;
    let wrong = |why: String| BuildError::Toolchain(format!("{} {why}", path.display()));
    let manifest: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(format!("cannot be read: {error}")))?;
    let name = |section: &str| manifest.get(section)?.get("name")?.as_str();
    let name = name("lib").or_else(|| name("package"));
    Ok(name
        .ok_or_else(|| wrong("names no package".to_owned()))?
        .replace('-', "_"))
}

fn has_std(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.any(|name| name.starts_with("libstd-"))
    })
}

/// rustup ships it beside `wasm-component-ld`; Debian has it in a package of its own.
fn wasm_ld(compiler: &Compiler, other: Option<&Compiler>) -> Option<PathBuf> {
    let shipped = [Some(compiler), other].into_iter().flatten();
    let shipped = shipped.map(|compiler| compiler.tools().join("gcc-ld/wasm-ld"));
    let path = env::var_os("PATH").unwrap_or_default();
    let named = ["wasm-ld", "lld"].into_iter().flat_map(|name| {
        let folders: Vec<_> = env::split_paths(&path).collect();
        folders.into_iter().map(move |folder| folder.join(name))
    });
    shipped
        .chain([PathBuf::from(DEBIAN_LLD)])
        .chain(named)
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::manifest::Language;
    use crate::author::project::NewProject;

    fn toolchain(origin: Origin) -> Toolchain {
        Toolchain {
            origin,
            cargo: PathBuf::from("cargo"),
            linker: PathBuf::from("/opt/wasm-component-ld"),
            wasm_ld: PathBuf::from("/opt/lld"),
        }
    }

    fn project() -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        let hello = NewProject {
            name: "hello".to_owned(),
            language: Language::Rust,
            scan_type: "codeaudit".to_owned(),
        };
        hello.create(folder.path()).unwrap();
        let project = Project::open(folder.path()).unwrap();
        (folder, project)
    }

    #[test]
    fn only_debians_rust_builds_std() {
        let (_folder, project) = project();
        let builds_std = |origin| {
            let command = toolchain(origin).command(&project, Path::new("/opt"));
            command
                .get_args()
                .any(|argument| argument == "-Zbuild-std=std,panic_abort")
        };
        assert!(builds_std(Origin::Debian));
        assert!(!builds_std(Origin::Rustup));
    }

    #[test]
    fn the_component_has_the_name_of_the_library_else_of_the_package() {
        let (_folder, project) = project();
        assert_eq!(library(&project).unwrap(), "plugin");
        let manifest = project.folder.join("Cargo.toml");
        fs::write(&manifest, "[package]\nname = \"my-tool\"\n").unwrap();
        assert_eq!(library(&project).unwrap(), "my_tool");
        fs::write(&manifest, "[package]\n").unwrap();
        assert!(
            library(&project)
                .unwrap_err()
                .to_string()
                .contains("names no package")
        );
    }

    #[test]
    fn a_linker_of_another_name_is_linked_as_wasm_ld() {
        let (_folder, project) = project();
        let target = project.folder.join("target");
        let folder = toolchain(Origin::Debian).linker_folder(&target).unwrap();
        assert_eq!(
            fs::read_link(folder.join("wasm-ld")).unwrap(),
            Path::new("/opt/lld")
        );
        let mut shipped = toolchain(Origin::Rustup);
        shipped.wasm_ld = PathBuf::from("/opt/gcc-ld/wasm-ld");
        assert_eq!(shipped.linker_folder(&target).unwrap(), Path::new("/opt/gcc-ld"));
    }

    #[test]
    fn the_linker_and_its_flags_are_those_of_the_first_party_plugins() {
        let (_folder, project) = project();
        let command = toolchain(Origin::Rustup).command(&project, Path::new("/opt"));
        let script = include_str!("../../../../../scripts/build-plugins");
        for name in [
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        ] {
            let (_, value) = command.get_envs().find(|(key, _)| *key == name).unwrap();
            let value = value.unwrap().to_str().unwrap();
            assert!(script.contains(name));
            assert!(value.starts_with('/') || script.contains(value), "{value}");
        }
    }
}
