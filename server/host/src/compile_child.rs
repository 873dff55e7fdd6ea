//! The throw-away process that compiles one component: limits itself, looks at the component, compiles,
//! writes, ends.
//!
//! Compiling is the one step whose cost a hostile component chooses (a 0.5 MB module took 2.5 GB), so
//! it happens where running out of memory or time kills nobody else. The child gets no environment, no
//! input but the file, and nothing that is worth stealing.
//!
//! Not here: the parent's side, which also writes the cache (`compile`).

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};
use serde::{Deserialize, Serialize};
use tamiz_core::text;
use wasmtime::Engine;

use crate::compile::CompileError;
use crate::engine::engine_config;
use crate::limits::VERDICT_BYTES_MAX;
use crate::walk::{self, ComponentRefusal};

/// All address space of the child, in bytes: program, allocator reserves, two compiler threads.
const ADDRESS_SPACE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Writable memory of the child, in bytes. `CPython` needs less than half.
const DATA_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Processor time of the child: `CPython` takes 11 s with an optimised compiler.
const CPU_SECONDS_MAX: u64 = 60;
/// The compiled code, in bytes: about five times the component.
pub(crate) const CODE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How far the child stands back for whoever runs tasks on the same cores: a share of about a quarter.
const NICENESS: i32 = 5;
/// The kernel's first choice when memory runs out.
const OUT_OF_MEMORY_SCORE: &str = "1000";

/// What the child leaves beside its output when there is no code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "why", rename_all = "kebab-case")]
pub(crate) enum ChildRefusal {
    Refused(ComponentRefusal),
    Invalid(String),
}

/// What the child used up when this signal ended it.
pub(crate) fn used_up(signal: i32) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    match Signal::from_named_raw(signal) {
        Some(Signal::XCPU) => format!("its {CPU_SECONDS_MAX} seconds of processor time"),
        // how Rust ends a program that gets no memory
        Some(Signal::ABORT) => format!("its {} MiB of memory", DATA_BYTES_MAX / MEBIBYTE),
        Some(Signal::XFSZ) => format!("the {} MiB that its code may have", CODE_BYTES_MAX / MEBIBYTE),
        Some(Signal::SEGV) => "its stack".to_owned(),
        _ => "its memory or time".to_owned(),
    }
}

/// Where the child of `output` says why there is no code.
pub(crate) fn refusal_path(output: &Path) -> PathBuf {
    output.with_extension("refusal")
}

/// The whole work of `compile-component --input F --output F`; call it from a process that does nothing
/// else, and exit with a failure if it returns one. Limits the calling process for good.
///
/// # Errors
/// [`CompileError`]; a refusal of the component is also written beside `output`, for the parent.
pub fn compile_child_main(input: &Path, output: &Path) -> Result<(), CompileError> {
    limit_this_process().map_err(|source| CompileError::Io {
        doing: "limit the compiling process",
        source,
    })?;
    let component = fs::read(input).map_err(|source| CompileError::Io {
        doing: "read the component",
        source,
    })?;
    match compile(&component) {
        Ok(code) => fs::write(output, code).map_err(|source| CompileError::Io {
            doing: "write the compiled code",
            source,
        }),
        Err(refusal) => {
            let json = serde_json::to_vec(&refusal).unwrap_or_default();
            fs::write(refusal_path(output), json).map_err(|source| CompileError::Io {
                doing: "write the refusal",
                source,
            })?;
            Err(refusal.into())
        }
    }
}

fn compile(component: &[u8]) -> Result<Vec<u8>, ChildRefusal> {
    walk::walk(component).map_err(ChildRefusal::Refused)?;
    let invalid = |error: wasmtime::Error| {
        let message = format!("{error:#}");
        ChildRefusal::Invalid(text::cut(&text::printable(&message), VERDICT_BYTES_MAX).to_owned())
    };
    let engine = Engine::new(&engine_config()).map_err(invalid)?;
    engine.precompile_component(component).map_err(invalid)
}

fn limit_this_process() -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // a second more before the kernel kills: the signal of the first limit says what was used up
    for (resource, limit, maximum) in [
        (Resource::As, ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX),
        (Resource::Data, DATA_BYTES_MAX, DATA_BYTES_MAX),
        (Resource::Cpu, CPU_SECONDS_MAX, CPU_SECONDS_MAX + 1),
        (Resource::Fsize, CODE_BYTES_MAX, CODE_BYTES_MAX),
        (Resource::Core, 0, 0),
    ] {
        // where the system allows less, less it is
        let given = getrlimit(resource);
        let at_most = |limit: u64, given: Option<u64>| Some(given.map_or(limit, |given| given.min(limit)));
        setrlimit(
            resource,
            Rlimit {
                current: at_most(limit, given.current),
                maximum: at_most(maximum, given.maximum),
            },
        )?;
    }
    nice(NICENESS)?;
    // only makes a difference when memory is short; some containers forbid it
    let _ = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    Ok(())
}
