//! How a plugin's call can fail, in types. Every hostile act has its own verdict.

use std::path::PathBuf;

use crate::compile::CompileError;
use crate::outcome::Outcome;
use crate::sink::SinkError;

/// Why a conversion has no outcome. What was emitted before stays in the sink.
#[derive(Debug, thiserror::Error)]
pub enum ConvertFailure {
    /// Not one of this plugin's formats: ask the next plugin.
    #[error("the plugin does not know this format: {message}")]
    Unrecognized {
        /// The plugin's words.
        message: String,
    },
    /// The task's options do not suit the plugin.
    #[error("the plugin refuses the options: {message}")]
    BadOptions {
        /// The plugin's words.
        message: String,
    },
    /// The report's envelope could not be read.
    #[error("the report is corrupt: {message}")]
    Corrupt {
        /// The plugin's words.
        message: String,
        /// How far it came, as it says; a plugin of world 0.1 cannot.
        so_far: Option<Box<Outcome>>,
    },
    /// The wall time was used up.
    #[error("the plugin did not finish within {seconds} seconds")]
    Deadline {
        /// The limit.
        seconds: u64,
    },
    /// The [`crate::CancelFlag`] was raised.
    #[error("the conversion was cancelled")]
    Cancelled,
    /// The guest asked for more memory or table space than it may have, and then failed.
    #[error("the plugin ran out of its {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// The limit.
        limit_bytes: u64,
    },
    /// Too deep recursion.
    #[error("the plugin used up its stack")]
    StackOverflow,
    /// The guest ended itself.
    #[error("the plugin crashed ({}): {message}", kind.as_str())]
    Trap {
        /// In our words.
        kind: TrapKind,
        /// In wasmtime's words.
        message: String,
    },
    /// A budget of the run was overstepped and the plugin did not stop by itself, or an input is
    /// larger than any plugin may see.
    #[error("the plugin oversteps the limit of {limit} {what}")]
    OverLimit {
        /// Such as `findings`.
        what: &'static str,
        /// How much was allowed.
        limit: u64,
    },
    /// All slots of the pool are in use: try later. Says nothing about the plugin.
    #[error("all plugin slots of this process are in use")]
    HostBusy,
    /// The sink failed. Says nothing about the plugin.
    #[error("the results could not be kept")]
    Sink(#[source] SinkError),
    /// A reader failed. Says nothing about the plugin.
    #[error("input `{name}` could not be read")]
    Input {
        /// The input's name.
        name: String,
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// The answer breaks the contract of the world.
    #[error("the plugin answered against its contract: {message}")]
    WrongAnswer {
        /// Which rule.
        message: String,
    },
}

impl ConvertFailure {
    /// Whether trying again later may help: the host, not the plugin or its input, was at fault.
    pub const fn is_the_hosts(&self) -> bool {
        matches!(self, Self::HostBusy | Self::Sink(_) | Self::Input { .. })
    }

    /// A stable word for the API, the database and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unrecognized { .. } => "report-unrecognized",
            Self::BadOptions { .. } => "options-bad",
            Self::Corrupt { .. } => "report-corrupt",
            Self::Deadline { .. } => "plugin-deadline",
            Self::Cancelled => "cancelled",
            Self::OutOfMemory { .. } => "plugin-out-of-memory",
            Self::StackOverflow => "plugin-stack-overflow",
            Self::Trap { .. } => "plugin-trap",
            Self::OverLimit { .. } => "plugin-over-limit",
            Self::HostBusy => "host-busy",
            Self::Sink(_) => "sink-failed",
            Self::Input { .. } => "input-failed",
            Self::WrongAnswer { .. } => "plugin-wrong-answer",
        }
    }
}

/// Why guest code stopped, coarsely; stable words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrapKind {
    /// A panic or abort of the guest.
    Unreachable,
    /// A bad pointer; in languages with their own stack also too deep recursion.
    MemoryOutOfBounds,
    /// Division by zero, overflow, a bad conversion.
    Arithmetic,
    /// A bad function pointer.
    IndirectCall,
    /// A broken value or handle at the border between guest and host.
    Boundary,
    /// Anything else.
    Other,
}

impl TrapKind {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::MemoryOutOfBounds => "memory-out-of-bounds",
            Self::Arithmetic => "arithmetic",
            Self::IndirectCall => "indirect-call",
            Self::Boundary => "boundary",
            Self::Other => "other",
        }
    }
}

/// Why a plugin has no plan for a task.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The task's options do not suit the plugin.
    #[error("the plugin refuses the options: {message}")]
    BadOptions {
        /// The plugin's words.
        message: String,
    },
    /// This plugin cannot scan such a target.
    #[error("the plugin cannot scan this target: {message}")]
    Unsupported {
        /// The plugin's words.
        message: String,
    },
    /// The call itself failed.
    #[error("the plugin made no plan")]
    Failed(#[source] ConvertFailure),
}

/// Why a component is no plugin of this host.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Its file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It could not be compiled.
    #[error("could not compile the component")]
    Compile(#[source] CompileError),
    /// It compiled, but its imports or exports are not those of the world, or the host's pool cannot
    /// hold it.
    #[error("the component does not fit the world tamiz:scanner: {message}")]
    WrongWorld {
        /// In wasmtime's words.
        message: String,
    },
    /// `describe` failed.
    #[error("the plugin did not describe itself")]
    Describe(#[source] ConvertFailure),
    /// The description breaks a rule.
    #[error("the plugin's description is refused: {message}")]
    Description {
        /// Which rule.
        message: String,
    },
}
