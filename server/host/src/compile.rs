//! From component bytes to native code: from the cache, or by a throw-away child process.
//!
//! One compilation at a time per process, so that a burst of uploads costs one core. The child's
//! output is native code that will run in this process: it is only ever taken from the child's private
//! folder and from the cache that this program wrote (see [`crate::cache`]).
//!
//! Not here: what the child does (`compile_child`), and what it refuses (`walk`).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tamiz_core::text;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::CodeCache;
use crate::compile_child::{CODE_BYTES_MAX, ChildRefusal, refusal_path, used_up};
use crate::limits::VERDICT_BYTES_MAX;
use crate::walk::{COMPONENT_BYTES_MAX, ComponentRefusal};

/// The hidden subcommand that the compiler program must have.
pub const COMPILE_CHILD_SUBCOMMAND: &str = "compile-component";
/// Wall time of one compilation: five times its processor time, for a busy machine, where it stands back.
const COMPILE_SECONDS_MAX: u64 = 300;

/// Why a component has no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Refused by the look at it.
    #[error("the component is refused: {0}")]
    Refused(ComponentRefusal),
    /// The compiler refused it.
    #[error("the component is not valid: {message}")]
    Invalid {
        /// In wasmtime's words.
        message: String,
    },
    /// The compiling process used up its memory, stack or processor time.
    #[error("compiling the component used up {} (signal {signal})", used_up(*signal))]
    UsedUp {
        /// What ended the process.
        signal: i32,
    },
    /// The compiling process did not end.
    #[error("compiling the component did not end within {seconds} seconds")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// The compiling process ended without a result.
    #[error("the compiling process failed ({status}): {message}")]
    Child {
        /// Its exit status.
        status: ExitStatus,
        /// The end of what it wrote to stderr.
        message: String,
    },
    /// The cache folder or its key cannot be trusted.
    #[error("{} is not usable: {reason}", path.display())]
    CacheFolder {
        /// Folder or file.
        path: PathBuf,
        /// What to change.
        reason: String,
    },
    /// The system refused something.
    #[error("could not {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<ChildRefusal> for CompileError {
    fn from(refusal: ChildRefusal) -> Self {
        match refusal {
            ChildRefusal::Refused(refusal) => Self::Refused(refusal),
            ChildRefusal::Invalid(message) => Self::Invalid { message },
        }
    }
}

/// Turns components into loadable code.
pub(crate) struct Compiler {
    program: PathBuf,
    cache: CodeCache,
    turn: Mutex<()>,
}

impl Compiler {
    /// # Errors
    /// [`CompileError::CacheFolder`] and [`CompileError::Io`].
    pub(crate) fn open(engine: &Engine, program: PathBuf, cache_folder: &Path) -> Result<Self, CompileError> {
        let cache = CodeCache::open(cache_folder, &engine_id(engine, &program))?;
        Ok(Self {
            program,
            cache,
            turn: Mutex::new(()),
        })
    }

    /// The component of `bytes`, whose SHA-256 is `digest`, ready to be linked.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Component, CompileError> {
        if let Some(component) = self.cached(engine, digest) {
            return Ok(component);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // somebody else may have compiled it while this call waited
        if let Some(component) = self.cached(engine, digest) {
            return Ok(component);
        }
        let code = self.compile(bytes)?;
        if let Err(error) = self.cache.store(digest, &code) {
            // a full disk costs the next start a compilation, not this one the plugin
            tracing::warn!(
                digest,
                error = &error as &dyn std::error::Error,
                "compiled plugin is not cached"
            );
        }
        deserialize(engine, &code).map_err(|error| CompileError::Invalid {
            message: format!("{error:#}"),
        })
    }

    fn cached(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let code = self.cache.load(digest)?;
        match deserialize(engine, &code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(
                    digest,
                    "compiled plugin does not fit this engine, compiling again: {error:#}"
                );
                None
            }
        }
    }

    fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let size = bytes.len() as u64;
        if size > COMPONENT_BYTES_MAX as u64 {
            return Err(CompileError::Refused(ComponentRefusal::TooMuch {
                what: "bytes".to_owned(),
                found: size,
                limit: COMPONENT_BYTES_MAX as u64,
            }));
        }
        let job = self.cache.job_folder()?;
        let input = job.path().join("component.wasm");
        let output = job.path().join("component.code");
        let errors = job.path().join("stderr");
        fs::write(&input, bytes).map_err(io("write the component for the compiling process"))?;
        let status = self.run_child(job.path(), &input, &output, &errors)?;
        if status.success() {
            return read_up_to(&output, CODE_BYTES_MAX).map_err(io("read the compiled code"));
        }
        if let Ok(refusal) = fs::read(refusal_path(&output))
            && let Ok(refusal) = serde_json::from_slice::<ChildRefusal>(&refusal)
        {
            return Err(refusal.into());
        }
        if let Some(signal) = status.signal() {
            return Err(CompileError::UsedUp { signal });
        }
        let message = read_up_to(&errors, VERDICT_BYTES_MAX as u64).unwrap_or_default();
        Err(CompileError::Child {
            status,
            message: text::printable(String::from_utf8_lossy(&message).trim()).into_owned(),
        })
    }

    fn run_child(
        &self,
        folder: &Path,
        input: &Path,
        output: &Path,
        errors: &Path,
    ) -> Result<ExitStatus, CompileError> {
        let stderr = File::create(errors).map_err(io("make a file for the compiling process"))?;
        let mut child = Command::new(&self.program)
            .args([
                OsStr::new(COMPILE_CHILD_SUBCOMMAND),
                OsStr::new("--input"),
                input.as_os_str(),
                OsStr::new("--output"),
                output.as_os_str(),
            ])
            .env_clear()
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(io("start the compiling process"))?;
        let ended = wait_at_most(&child, Duration::from_secs(COMPILE_SECONDS_MAX));
        if !matches!(ended, Ok(true)) {
            // it may have ended in between; `wait` below tells
            let _ = child.kill();
        }
        let status = child.wait().map_err(io("wait for the compiling process"))?;
        match ended {
            Ok(true) => Ok(status),
            Ok(false) => Err(CompileError::Timeout {
                seconds: COMPILE_SECONDS_MAX,
            }),
            Err(source) => Err(io("watch the compiling process")(source)),
        }
    }
}

/// Whether the child ended within `limit`; does not collect its status.
fn wait_at_most(child: &Child, limit: Duration) -> io::Result<bool> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = std::time::Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[expect(
    unsafe_code,
    reason = "native code cannot be checked; these bytes come from the child just now or from the cache, \
              whose MAC was verified over the very bytes that are loaded"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what `Engine::precompile_component` wrote in a process that this one started
    unsafe { Component::deserialize(engine, code) }
}

/// Names everything that shapes native code: the engine's settings and the very build of the program,
/// since a wasmtime that was patched for a miscompilation keeps its settings.
fn engine_id(engine: &Engine, program: &Path) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    if let Ok(metadata) = fs::metadata(program) {
        (metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

pub(crate) fn read_up_to(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> CompileError {
    move |source| CompileError::Io { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_child_ends_with_it_or_with_the_time() {
        let mut slow = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!wait_at_most(&slow, Duration::from_millis(20)).unwrap());
        slow.kill().unwrap();
        assert!(wait_at_most(&slow, Duration::from_secs(10)).unwrap());
        slow.wait().unwrap();
    }
}
