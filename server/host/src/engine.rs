//! The process's one wasm engine: what guests may use of wasm, how many run at a time, and the clock
//! that lets a deadline act.
//!
//! The pool is the hard cap of all guests together; each run's own limits are in [`crate::run`].
//!
//! Not here: compilation (`compile`), and what a guest may call (`host_impl`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::{v0, v1};
use crate::compile::{CompileError, Compiler};
use crate::limits;
use crate::run::RunState;
use crate::wasi;

/// How often the deadline and the cancel flag of a run are looked at.
const TICK: Duration = Duration::from_millis(10);
/// Native stack of a guest, in bytes: deep enough for recursive parsers, small against a thread's 2 MiB.
const STACK_BYTES_MAX: usize = 512 * 1024;
/// Runs at a time that the address space is laid out for at most: 4 memories of 4 GiB each.
pub const CONCURRENCY_MAX: u32 = 256;

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Plugin calls at a time, `describe` and `plan` included; one more is `HostBusy`. 1 to 256.
    pub concurrency: u32,
    /// The program whose `compile-component` subcommand compiles; `/proc/self/exe` is this one, even
    /// after it was replaced on disk.
    pub compiler: PathBuf,
    /// Folder of the compiled code. Made, or closed to others (mode 0700); refused if another user
    /// owns it.
    pub cache_folder: PathBuf,
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine could not be made: usually no address space for the pool.
    #[error("could not set up the wasm engine for {concurrency} plugin calls at a time: {message}")]
    Engine {
        /// As configured.
        concurrency: u32,
        /// In wasmtime's words.
        message: String,
    },
    /// The thread that ticks could not be started.
    #[error("could not start the clock thread of the wasm engine")]
    Clock(#[source] std::io::Error),
    /// The cache folder cannot be used.
    #[error("could not set up the cache of compiled plugins")]
    Cache(#[source] CompileError),
}

/// The plugin host of this process. Clones share one engine; make one per process.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<RunState>,
    compiler: Compiler,
}

impl Host {
    /// Sets up the engine, its clock and the cache folder.
    ///
    /// # Errors
    /// [`HostError`]; each says what to change.
    pub fn start(config: HostConfig) -> Result<Self, HostError> {
        let concurrency = config.concurrency.clamp(1, CONCURRENCY_MAX);
        let refused = |error: wasmtime::Error| HostError::Engine {
            concurrency,
            message: format!("{error:#}"),
        };
        let mut engine_config = engine_config();
        engine_config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(concurrency)));
        let engine = Engine::new(&engine_config).map_err(refused)?;
        let mut linker = Linker::new(&engine);
        v0::Scanner::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(refused)?;
        v1::Scanner::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(refused)?;
        wasi::add_to_linker(&mut linker).map_err(refused)?;
        let compiler =
            Compiler::open(&engine, config.compiler, &config.cache_folder).map_err(HostError::Cache)?;
        start_clock(&engine).map_err(HostError::Clock)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                compiler,
            }),
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn linker(&self) -> &Linker<RunState> {
        &self.inner.linker
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.inner.compiler
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Host").finish_non_exhaustive()
    }
}

/// What both the running engine and the compiling child agree on: all that shapes native code.
pub(crate) fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // equal results on every machine, for nothing
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        // off, it makes the compiler panic on a harmless composed component
        .wasm_multi_memory(true)
        // names in a backtrace are the guest's words, of any length
        .wasm_backtrace_max_frames(None);
    config
}

/// Memory protection keys, which only pack slots tighter, are not compiled in.
fn pool(concurrency: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(concurrency)
        .total_component_instances(concurrency)
        .total_core_instances(concurrency * limits::CORE_INSTANCES_MAX)
        .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
        .total_memories(concurrency * limits::MEMORIES_MAX)
        .max_memories_per_component(limits::MEMORIES_MAX)
        .max_memory_size(limits::MEMORY_BYTES_CEILING)
        .total_tables(concurrency * limits::TABLES_MAX)
        .max_tables_per_component(limits::TABLES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        // pages go back to the system, which zeroes them before anybody else sees them
        .linear_memory_keep_resident(0)
        .table_keep_resident(0);
    pool
}

/// Ticks until the engine is gone. A thread of the system, so that a busy runtime cannot starve it.
fn start_clock(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("wasm-clock".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(drop)
}
