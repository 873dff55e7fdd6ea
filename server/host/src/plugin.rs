//! A loaded plugin and its three calls: describe, plan, convert.
//!
//! Loading checks the component once, so that a task only meets failures of its own. A plugin is
//! cheap to share between threads; each call has a store of its own.
//!
//! Not here: choosing a plugin for a task (`registry`).

use std::path::Path;

use sha2::{Digest, Sha256};
use tamiz_core::limits::OPTIONS_BYTES_MAX;
use tamiz_core::plugin::Capability;
use tamiz_core::{Diagnostic, Finding, LogLevel};
use wasmtime::Store;

use crate::bindings::v1::plugin as wit;
use crate::description::{self, Description};
use crate::drive;
use crate::engine::Host;
use crate::failure::{ConvertFailure, PlanError, PluginError};
use crate::guest::{Guest, World};
use crate::host_impl::{OpenInput, too_large};
use crate::input::{CancelFlag, Input};
use crate::limits::{INPUTS_MAX, RunLimits};
use crate::outcome::{Converted, Outcome};
use crate::request::{ConvertRequest, Grants, ScanRequest};
use crate::run::RunState;
use crate::services::NoServices;
use crate::sink::{ArtifactHandle, ArtifactMeta, ConvertSink, SinkError, StoredArtifact};
use crate::tool_run::{self, ToolRun};
use crate::walk::COMPONENT_BYTES_MAX;
use crate::words::message as bounded;

/// A component that fits a world and described itself.
#[derive(Clone)]
pub struct Plugin {
    host: Host,
    guest: Guest,
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
        let guest = Guest::link(host.linker(), &component).map_err(|error| PluginError::WrongWorld {
            message: bounded(&format!("{error:#}")),
        })?;
        let described = short_call(host, &guest, &RunLimits::default(), async |store| {
            guest.describe(store).await
        });
        Ok(Self {
            host: host.clone(),
            description: description::checked(described.map_err(PluginError::Describe)?)?,
            guest,
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

    /// The world that the component was built against.
    pub const fn world(&self) -> World {
        self.guest.world()
    }

    /// The component's size.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The interfaces that the component imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Asks which tools are to run, within `limits` and at most five seconds.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&self, request: &ScanRequest, limits: &RunLimits) -> Result<Vec<ToolRun>, PlanError> {
        check_options(&request.options).map_err(PlanError::Failed)?;
        let request = request.to_wit(&[]);
        let planned = short_call(&self.host, &self.guest, limits, async |store| {
            self.guest.plan(store, &request).await
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
        let refusal = check_options(&request.request.options)
            .and_then(|()| check_inputs(&request.inputs))
            .err();
        let grants = self.allowed(request.grants);
        let addresses = grants
            .network
            .as_ref()
            .map_or(&[][..], |network| &network.addresses);
        let asked = request.request.to_wit(addresses);
        let state = RunState::new(
            request.limits,
            request.sink,
            request.services,
            request.cancel,
            grants,
            self.description.name.clone(),
        );
        let mut store = state.into_store(&self.host);
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None => self.call_convert(&mut store, request.inputs, &asked),
        };
        let mut state = store.into_data();
        let printed = state.keep_output(true);
        // too many last words are no reason beside the one that a failed run has
        let answer = answer.and_then(|outcome| match printed {
            Ok(()) => Ok(outcome),
            Err(error) => Err(state.verdict(&error)),
        });
        state.counts.memory_bytes = state.memory_bytes();
        let outcome = answer.and_then(|outcome| self.checked_outcome(&mut state, outcome));
        // what is missing is missing, however politely the guest ended
        let outcome = outcome.and_then(|outcome| state.overstepped().map_or(Ok(outcome), Err));
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

    /// What was granted and declared.
    fn allowed(&self, granted: Grants) -> Grants {
        let declared = |capability| self.description.capabilities.contains(&capability);
        Grants {
            network: granted.network.filter(|_| declared(Capability::Network)),
            clock: granted.clock && declared(Capability::Clock),
            randomness: granted.randomness && declared(Capability::Randomness),
        }
    }

    fn call_convert(
        &self,
        store: &mut Store<RunState>,
        inputs: Vec<Input>,
        request: &wit::ScanRequest,
    ) -> Result<wit::Outcome, ConvertFailure> {
        let mut handles = Vec::with_capacity(inputs.len());
        for (index, input) in (0..).zip(inputs) {
            let handle = store.data_mut().resources.push(OpenInput::new(input, index));
            handles.push(handle.map_err(|error| store.data_mut().verdict(&error.into()))?);
        }
        let answered = drive(&self.guest, store, async |store| {
            self.guest.convert(store, &handles, request).await
        });
        answered?.map_err(|mut error| {
            let state = store.data_mut();
            if let ConvertFailure::Corrupt { so_far, .. } = &mut error.failure {
                let (kept, over) = (state.counts.findings, state.is_over_limit());
                *so_far = error.so_far.map(|it| Box::new(Outcome::checked(it, kept, over)));
            }
            state.guest_error(error.failure)
        })
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
        Ok(Outcome::checked(outcome, kept, state.is_over_limit()))
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
fn short_call<T: Send>(
    host: &Host,
    guest: &Guest,
    limits: &RunLimits,
    ask: impl AsyncFnOnce(&mut Store<RunState>) -> wasmtime::Result<T> + Send,
) -> Result<T, ConvertFailure> {
    let state = RunState::new(
        limits.of_short_call(),
        Box::new(Nowhere),
        Box::new(NoServices),
        CancelFlag::new(),
        Grants::none(),
        String::new(),
    );
    drive(guest, &mut state.into_store(host), ask)
}

fn drive<T: Send>(
    guest: &Guest,
    store: &mut Store<RunState>,
    ask: impl AsyncFnOnce(&mut Store<RunState>) -> wasmtime::Result<T> + Send,
) -> Result<T, ConvertFailure> {
    let answered = if guest.waits() {
        let patience = store.data().patience.clone();
        drive::patiently(|| ask(store), &patience).unwrap_or_else(|error| {
            tracing::warn!("no thread for a plugin that may wait: {error}");
            Some(Err(store.data_mut().stop(ConvertFailure::HostBusy)))
        })
    } else {
        drive::at_once(ask(store))
    };
    match answered {
        Some(answer) => answer.map_err(|error| store.data_mut().verdict(&error)),
        None => Err(store.data_mut().gave_up()),
    }
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
