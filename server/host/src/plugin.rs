//! A loaded plugin and its three calls: describe, plan, convert.
//!
//! Loading checks the component once, so that a task only meets failures of its own. A plugin is
//! cheap to share between threads; each call has a store of its own.
//!
//! Not here: choosing a plugin for a task (`registry`).

use std::path::Path;

use sha2::{Digest, Sha256};
use tamiz_core::limits::OPTIONS_BYTES_MAX;
use tamiz_core::{Diagnostic, Finding, LogLevel};
use wasmtime::Store;

use crate::bindings::{ScannerPre, plugin as wit};
use crate::description::{self, Description};
use crate::engine::Host;
use crate::failure::{ConvertFailure, PlanError, PluginError};
use crate::host_impl::{OpenInput, too_large};
use crate::input::{CancelFlag, Input};
use crate::limits::{INPUTS_MAX, RunLimits};
use crate::run::RunState;
use crate::services::{ConvertServices, NoServices};
use crate::sink::{ArtifactHandle, ArtifactMeta, ConvertSink, Progress, SinkError, StoredArtifact};
use crate::tool_run::{self, ToolRun};
use crate::walk::COMPONENT_BYTES_MAX;
use crate::words::{label, message as bounded};

/// What is to be scanned, as far as a plugin may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRequest {
    /// `tree`, `url`, `endpoint`, `domain`, `capture`.
    pub target_kind: String,
    /// Empty for a tree.
    pub target: String,
    /// JSON.
    pub options: String,
}

/// One conversion.
pub struct ConvertRequest {
    /// The reports.
    pub inputs: Vec<Input>,
    /// JSON.
    pub options: String,
    /// What it may use up.
    pub limits: RunLimits,
    /// Where the results go.
    pub sink: Box<dyn ConvertSink>,
    /// What the plugin may ask for.
    pub services: Box<dyn ConvertServices>,
    /// Stops it.
    pub cancel: CancelFlag,
}

/// How a conversion ended.
pub struct Converted {
    /// What the plugin says at its end, or why it has no end.
    pub outcome: Result<Outcome, ConvertFailure>,
    /// What was kept, as the host counted it, whatever the outcome.
    pub counts: Counts,
    /// Given back. `(sink as Box<dyn Any>).downcast::<S>()` has the caller's type.
    pub sink: Box<dyn ConvertSink>,
}

/// What went through the host in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed to the sink.
    pub findings: u32,
    /// Handed to the sink.
    pub diagnostics: u32,
    /// Beyond the limit.
    pub diagnostics_dropped: u32,
    /// Finished.
    pub artifacts: u32,
    /// Written, of dropped artifacts, too.
    pub artifact_bytes: u64,
    /// Read, by a second reading, too.
    pub input_bytes: u64,
    /// Handed to the sink.
    pub log_lines: u32,
    /// Beyond the limit.
    pub log_lines_dropped: u32,
    /// The last report.
    pub progress: Option<Progress>,
    /// The guest's memories at their largest: they never shrink.
    pub memory_bytes: u64,
}

/// How much of a report was readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All.
    Complete,
    /// It ended too early.
    Truncated,
    /// Something in the middle was not readable, or a budget was used up.
    Partial,
}

impl Completeness {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Partial => "partial",
        }
    }
}

/// What a plugin says at the end of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How much was readable.
    pub completeness: Completeness,
    /// The format recognised.
    pub format: String,
    /// The producing tool.
    pub tool: Option<String>,
    /// Its version.
    pub tool_version: Option<String>,
    /// Seen in the report, as the plugin counts.
    pub records: u32,
    /// Kept, as the host counts.
    pub findings: u32,
    /// Not readable, as the plugin counts.
    pub skipped: u32,
}

/// A component that fits the world and described itself.
#[derive(Clone)]
pub struct Plugin {
    host: Host,
    pre: ScannerPre<RunState>,
    description: Description,
    sha256: String,
    size_bytes: u64,
    imports: Vec<String>,
}

impl Plugin {
    /// Loads the component in the file `path`; compiles it if this program has not done so before.
    ///
    /// # Errors
    /// [`PluginError`].
    pub fn load(host: &Host, path: &Path) -> Result<Self, PluginError> {
        let read = |source| PluginError::Read {
            path: path.to_owned(),
            source,
        };
        // one byte more than allowed is enough to be refused with the limit
        let bytes = crate::compile::read_up_to(path, COMPONENT_BYTES_MAX as u64 + 1).map_err(read)?;
        Self::from_bytes(host, &bytes)
    }

    /// Loads the component `bytes`.
    ///
    /// # Errors
    /// [`PluginError`].
    pub fn from_bytes(host: &Host, bytes: &[u8]) -> Result<Self, PluginError> {
        let sha256 = hex::encode(Sha256::digest(bytes));
        let component = host
            .compiler()
            .component(host.engine(), &sha256, bytes)
            .map_err(PluginError::Compile)?;
        let imports = component
            .component_type()
            .imports(host.engine())
            .map(|(name, _)| name.to_owned())
            .collect();
        let pre = host
            .linker()
            .instantiate_pre(&component)
            .and_then(ScannerPre::new)
            .map_err(|error| PluginError::WrongWorld {
                message: bounded(&format!("{error:#}")),
            })?;
        let described = call(host, &pre, RunLimits::short_call(), |guest, store| {
            guest.call_describe(store)
        });
        Ok(Self {
            host: host.clone(),
            pre,
            description: description::checked(described.map_err(PluginError::Describe)?)?,
            sha256,
            size_bytes: bytes.len() as u64,
            imports,
        })
    }

    /// What the plugin said about itself when it was loaded.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// The component's SHA-256 in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The component's size.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The interfaces that the component imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Asks which tools are to run.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&self, request: &ScanRequest) -> Result<Vec<ToolRun>, PlanError> {
        check_options(&request.options).map_err(PlanError::Failed)?;
        let request = wit::ScanRequest {
            target_kind: request.target_kind.clone(),
            target: request.target.clone(),
            options: request.options.clone(),
        };
        let planned = call(&self.host, &self.pre, RunLimits::short_call(), |guest, store| {
            guest.call_plan(store, &request)
        });
        match planned.map_err(PlanError::Failed)? {
            Ok(runs) => tool_run::checked(runs).map_err(PlanError::Failed),
            Err(wit::PlanError::BadOptions(message)) => Err(PlanError::BadOptions {
                message: bounded(&message),
            }),
            Err(wit::PlanError::Unsupported(message)) => Err(PlanError::Unsupported {
                message: bounded(&message),
            }),
        }
    }

    /// Reads reports and hands their findings to the sink. Blocks until the end, at most for the
    /// deadline plus one call of a reader or the sink.
    pub fn convert(&self, request: ConvertRequest) -> Converted {
        let refusal = check_options(&request.options)
            .and_then(|()| check_inputs(&request.inputs))
            .err();
        let state = RunState::new(
            request.limits,
            request.sink,
            request.services,
            request.cancel,
            self.description.name.clone(),
        );
        let mut store = state.into_store(&self.host);
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None => self.call_convert(&mut store, request.inputs, &request.options),
        };
        let mut state = store.into_data();
        state.counts.memory_bytes = state.memory_bytes();
        let outcome = answer.and_then(|outcome| self.checked_outcome(&mut state, outcome));
        state.drop_open_artifacts();
        if let Some(mut progress) = state.counts.progress {
            progress.findings = state.counts.findings;
            state.sink.progress(progress);
        }
        Converted {
            outcome,
            counts: state.counts,
            sink: state.sink,
        }
    }

    fn call_convert(
        &self,
        store: &mut Store<RunState>,
        inputs: Vec<Input>,
        options: &str,
    ) -> Result<wit::Outcome, ConvertFailure> {
        let answered = (|| {
            let mut handles = Vec::with_capacity(inputs.len());
            for input in inputs {
                handles.push(store.data_mut().resources.push(OpenInput::new(input))?);
            }
            let instance = self.pre.instantiate(&mut *store)?;
            instance
                .tamiz_scanner_plugin()
                .call_convert(&mut *store, &handles, options)
        })();
        match answered {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(error)) => Err(store.data_mut().guest_error(convert_failure(error))),
            Err(error) => Err(store.data_mut().verdict(&error)),
        }
    }

    /// The plugin's last words, with the host's numbers where they differ.
    fn checked_outcome(
        &self,
        state: &mut RunState,
        outcome: wit::Outcome,
    ) -> Result<Outcome, ConvertFailure> {
        let kept = state.counts.findings;
        let adds_up = outcome.records == outcome.findings.saturating_add(outcome.skipped);
        if !state.is_over_limit() && (outcome.findings != kept || !adds_up) {
            let message = format!(
                "plugin {} says {} findings and {} skipped of {} records, {kept} findings were kept",
                self.description.name, outcome.findings, outcome.skipped, outcome.records
            );
            if let Err(error) = state.tell(LogLevel::Warn, "count-mismatch", message) {
                return Err(state.verdict(&error));
            }
        }
        let completeness = match outcome.completeness {
            wit::Completeness::Complete if state.is_over_limit() => Completeness::Partial,
            wit::Completeness::Complete => Completeness::Complete,
            wit::Completeness::Truncated => Completeness::Truncated,
            wit::Completeness::Partial => Completeness::Partial,
        };
        Ok(Outcome {
            completeness,
            format: label(&outcome.format),
            tool: outcome.tool.as_deref().map(label),
            tool_version: outcome.tool_version.as_deref().map(label),
            records: outcome.records,
            findings: kept,
            skipped: outcome.skipped,
        })
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Plugin")
            .field("name", &self.description.name)
            .field("version", &self.description.version)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// One call that emits nothing.
fn call<T>(
    host: &Host,
    pre: &ScannerPre<RunState>,
    limits: RunLimits,
    ask: impl FnOnce(&wit::Guest, &mut Store<RunState>) -> wasmtime::Result<T>,
) -> Result<T, ConvertFailure> {
    let state = RunState::new(
        limits,
        Box::new(Nowhere),
        Box::new(NoServices),
        CancelFlag::new(),
        String::new(),
    );
    let mut store = state.into_store(host);
    let answered = pre
        .instantiate(&mut store)
        .and_then(|instance| ask(instance.tamiz_scanner_plugin(), &mut store));
    answered.map_err(|error| store.data_mut().verdict(&error))
}

/// Takes what `describe` and `plan` say on the side; their budgets leave only diagnostics and log.
struct Nowhere;

impl ConvertSink for Nowhere {
    fn findings(&mut self, _batch: Vec<Finding>) -> Result<(), SinkError> {
        Ok(())
    }

    fn diagnostic(&mut self, _diagnostic: Diagnostic) -> Result<(), SinkError> {
        Ok(())
    }

    fn artifact_open(&mut self, _handle: ArtifactHandle, _meta: ArtifactMeta) -> Result<(), SinkError> {
        Err(SinkError::new("only convert has artifacts"))
    }

    fn artifact_write(&mut self, _handle: ArtifactHandle, _chunk: &[u8]) -> Result<(), SinkError> {
        Err(SinkError::new("only convert has artifacts"))
    }

    fn artifact_finish(&mut self, _handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        Err(SinkError::new("only convert has artifacts"))
    }

    fn artifact_drop(&mut self, _handle: ArtifactHandle) {}
}

fn convert_failure(error: wit::ConvertError) -> ConvertFailure {
    match error {
        wit::ConvertError::Unrecognized(message) => ConvertFailure::Unrecognized {
            message: bounded(&message),
        },
        wit::ConvertError::BadOptions(message) => ConvertFailure::BadOptions {
            message: bounded(&message),
        },
        wit::ConvertError::Corrupt(message) => ConvertFailure::Corrupt {
            message: bounded(&message),
        },
    }
}

fn check_options(options: &str) -> Result<(), ConvertFailure> {
    if options.len() <= OPTIONS_BYTES_MAX {
        return Ok(());
    }
    Err(ConvertFailure::OverLimit {
        what: "bytes of options",
        limit: OPTIONS_BYTES_MAX as u64,
    })
}

fn check_inputs(inputs: &[Input]) -> Result<(), ConvertFailure> {
    if inputs.len() > INPUTS_MAX {
        return Err(ConvertFailure::OverLimit {
            what: "inputs",
            limit: INPUTS_MAX as u64,
        });
    }
    let too_big = |input: &Input| input.size_bytes.is_some_and(|size| size > u64::from(u32::MAX));
    if inputs.iter().any(too_big) {
        return Err(too_large());
    }
    Ok(())
}
