//! One run of a guest: its store with limits and deadline, its budgets, and the verdict when it fails.
//!
//! A store serves one call and is dropped; nothing of one run is seen by the next.
//!
//! Not here: what the guest may call (`host_impl` works on the [`RunState`] kept here).

use std::collections::BTreeSet;
use std::time::Instant;

use tamiz_core::{Diagnostic, LogLevel, text};
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use crate::drive::Patience;
use crate::engine::Host;
use crate::failure::{ConvertFailure, TrapKind};
use crate::input::CancelFlag;
use crate::limits::{self, IGNORED_BYTES_MAX, IGNORED_CALLS_MAX, REFUSALS_MAX, RunLimits, VERDICT_BYTES_MAX};
use crate::outcome::Counts;
use crate::request::Grants;
use crate::services::ConvertServices;
use crate::sink::{ArtifactHandle, ConvertSink, SinkError};
use crate::wasi::Surroundings;

/// What belongs to one run; the store's data.
pub(crate) struct RunState {
    pub(crate) resources: ResourceTable,
    pub(crate) limits: RunLimits,
    pub(crate) sink: Box<dyn ConvertSink>,
    pub(crate) services: Box<dyn ConvertServices>,
    pub(crate) sources_opened: u32,
    pub(crate) readers_open: u32,
    pub(crate) counts: Counts,
    pub(crate) finding_bytes: u64,
    pub(crate) log_bytes: usize,
    pub(crate) open_artifacts: BTreeSet<ArtifactHandle>,
    pub(crate) artifacts_opened: u32,
    pub(crate) progress_sent_at: Option<Instant>,
    /// Used instead of an empty tool name of a finding.
    pub(crate) plugin_name: String,
    /// Fields that were cut in this run; each is told once.
    pub(crate) fields_cut: BTreeSet<&'static str>,
    limiter: Limiter,
    pub(crate) patience: Patience,
    pub(crate) grants: Grants,
    /// Made when the guest first calls WASI.
    pub(crate) surroundings: Option<Box<Surroundings>>,
    /// The host's own verdict, which beats whatever wasmtime reports.
    stop: Option<ConvertFailure>,
    /// The first budget that was used up.
    over: Option<(&'static str, u64)>,
    refusals: u32,
    ignored_calls: u32,
    ignored_bytes: usize,
}

impl RunState {
    pub(crate) fn new(
        limits: RunLimits,
        sink: Box<dyn ConvertSink>,
        services: Box<dyn ConvertServices>,
        cancel: CancelFlag,
        grants: Grants,
        plugin_name: String,
    ) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits::HANDLES_MAX);
        Self {
            resources,
            limiter: Limiter::new(limits.memory_bytes),
            patience: Patience {
                deadline_at: Instant::now().checked_add(limits.deadline),
                cancel,
            },
            grants,
            surroundings: None,
            limits,
            sink,
            services,
            sources_opened: 0,
            readers_open: 0,
            counts: Counts::default(),
            finding_bytes: 0,
            log_bytes: 0,
            open_artifacts: BTreeSet::new(),
            artifacts_opened: 0,
            progress_sent_at: None,
            plugin_name,
            fields_cut: BTreeSet::new(),
            stop: None,
            over: None,
            refusals: 0,
            ignored_calls: 0,
            ignored_bytes: 0,
        }
    }

    /// A store for this run, with its limits and its clock armed.
    pub(crate) fn into_store(self, host: &Host) -> Store<Self> {
        let mut store = Store::new(host.engine(), self);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits::HOSTCALL_BYTES_MAX);
        store.set_max_component_handles(limits::HANDLES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context: StoreContextMut<'_, Self>| {
            context.data_mut().look_at_the_clock()?;
            Ok(UpdateDeadline::Continue(1))
        });
        store
    }

    /// What the guest's memories have grown to.
    pub(crate) const fn memory_bytes(&self) -> u64 {
        self.limiter.memory_bytes as u64
    }

    /// Ends the run if it was cancelled or its time is used up.
    pub(crate) fn look_at_the_clock(&mut self) -> wasmtime::Result<()> {
        if self.patience.is_over() {
            let verdict = self.out_of_patience();
            return Err(self.stop(verdict));
        }
        Ok(())
    }

    fn out_of_patience(&self) -> ConvertFailure {
        if self.patience.cancel.is_cancelled() {
            return ConvertFailure::Cancelled;
        }
        let seconds = self.limits.deadline.as_millis().div_ceil(1_000) as u64;
        ConvertFailure::Deadline { seconds }
    }

    /// The verdict on a call that was given up while it waited.
    pub(crate) fn gave_up(&mut self) -> ConvertFailure {
        self.stop.take().unwrap_or_else(|| self.out_of_patience())
    }

    /// Notes the host's verdict; the error returned ends the guest.
    pub(crate) fn stop(&mut self, verdict: ConvertFailure) -> wasmtime::Error {
        if self.stop.is_none() {
            self.stop = Some(verdict);
        }
        wasmtime::Error::msg("ended by the host")
    }

    pub(crate) fn sink_failed(&mut self, error: SinkError) -> wasmtime::Error {
        self.stop(ConvertFailure::Sink(error))
    }

    /// Counts a call that is answered with an error.
    ///
    /// # Errors
    /// Ends the guest that does not listen.
    pub(crate) fn refused(&mut self, what: &'static str, limit: u64) -> wasmtime::Result<()> {
        self.refusals += 1;
        if self.refusals <= REFUSALS_MAX {
            return Ok(());
        }
        let (what, limit) = self.over.unwrap_or((what, limit));
        Err(self.stop(ConvertFailure::OverLimit { what, limit }))
    }

    /// A budget is used up: told once per budget, refused each time.
    pub(crate) fn over_limit(&mut self, what: &'static str, limit: u64) -> wasmtime::Result<()> {
        if self.over.is_none_or(|(first, _)| first != what) {
            let message = format!("the plugin may keep at most {limit} {what} per run, the rest is missing");
            self.tell(LogLevel::Error, "over-limit", message)?;
            self.over.get_or_insert((what, limit));
        }
        self.refused(what, limit)
    }

    /// Counts a call that has no effect.
    pub(crate) fn ignored(&mut self) -> wasmtime::Result<()> {
        self.ignored_beyond("calls without effect", u64::from(IGNORED_CALLS_MAX), 0)
    }

    /// Counts a call that has no effect because its budget is used up, and the text that it handed over.
    pub(crate) fn ignored_beyond(
        &mut self,
        what: &'static str,
        limit: u64,
        bytes: usize,
    ) -> wasmtime::Result<()> {
        self.ignored_calls += 1;
        self.ignored_bytes += bytes;
        if self.ignored_calls <= IGNORED_CALLS_MAX && self.ignored_bytes <= IGNORED_BYTES_MAX {
            return Ok(());
        }
        Err(self.stop(ConvertFailure::OverLimit { what, limit }))
    }

    /// A diagnostic of the host's own. They are few by construction, so no budget is asked.
    pub(crate) fn tell(&mut self, level: LogLevel, code: &str, message: String) -> wasmtime::Result<()> {
        let diagnostic = Diagnostic {
            level,
            code: code.to_owned(),
            message,
            at: None,
        };
        match self.sink.diagnostic(diagnostic) {
            Ok(()) => {
                self.counts.diagnostics += 1;
                Ok(())
            }
            Err(error) => Err(self.sink_failed(error)),
        }
    }

    /// Whether a budget was used up, so that the guest's own numbers cannot be right.
    pub(crate) const fn is_over_limit(&self) -> bool {
        self.over.is_some()
    }

    /// The verdict on a run that used up a budget and went on to its end.
    pub(crate) fn overstepped(&self) -> Option<ConvertFailure> {
        self.over
            .map(|(what, limit)| ConvertFailure::OverLimit { what, limit })
    }

    /// What a polite failure of the guest means, given what the host knows.
    pub(crate) fn guest_error(&mut self, error: ConvertFailure) -> ConvertFailure {
        match (self.stop.take(), self.over) {
            (Some(verdict), _) => verdict,
            (None, None)
                if matches!(error, ConvertFailure::Unrecognized { .. }) && self.counts.findings > 0 =>
            {
                let message = format!(
                    "it emitted {} findings of a format that it does not know",
                    self.counts.findings
                );
                ConvertFailure::WrongAnswer { message }
            }
            (None, Some((what, limit))) => ConvertFailure::OverLimit { what, limit },
            (None, None) => error,
        }
    }

    /// Why wasmtime gave up, in our words: the host's own reasons first.
    pub(crate) fn verdict(&mut self, error: &wasmtime::Error) -> ConvertFailure {
        if let Some(stop) = self.stop.take() {
            return stop;
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return ConvertFailure::HostBusy;
        }
        if let Some((what, limit)) = self.over {
            return ConvertFailure::OverLimit { what, limit };
        }
        let trap = error.downcast_ref::<Trap>().copied();
        if trap == Some(Trap::StackOverflow) {
            return ConvertFailure::StackOverflow;
        }
        if self.limiter.denied {
            return ConvertFailure::OutOfMemory {
                limit_bytes: self.limits.memory_bytes as u64,
            };
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return ConvertFailure::Trap {
                kind: TrapKind::Other,
                message: self.with_last_words(format!("it ended itself with status {}", exit.0)),
            };
        }
        let cause = error.root_cause().to_string();
        let is_full = matches!(error.downcast_ref(), Some(ResourceTableError::Full));
        // the errors' types are private to wasmtime; tests hold these texts
        if is_full || cause.contains("handle limit exceeded") {
            return ConvertFailure::OverLimit {
                what: "handles at a time",
                limit: limits::HANDLES_MAX as u64,
            };
        }
        if cause.contains("fuel allocated for hostcalls") {
            return ConvertFailure::OverLimit {
                what: "bytes handed over in one call",
                limit: limits::HOSTCALL_BYTES_MAX as u64,
            };
        }
        ConvertFailure::Trap {
            kind: trap.map_or(TrapKind::Boundary, trap_kind),
            message: self.with_last_words(text::printable(&cause).into_owned()),
        }
    }

    /// Languages print their exceptions before they end.
    fn with_last_words(&self, message: String) -> String {
        let message = match self.last_words() {
            Some(words) => format!("{message}: {}", text::printable(&words)),
            None => message,
        };
        text::cut(&message, VERDICT_BYTES_MAX).to_owned()
    }

    /// Forgets what the guest left unfinished.
    pub(crate) fn drop_open_artifacts(&mut self) {
        for handle in std::mem::take(&mut self.open_artifacts) {
            self.sink.artifact_drop(handle);
        }
    }
}

const fn trap_kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => {
            TrapKind::Arithmetic
        }
        Trap::IndirectCallToNull | Trap::BadSignature | Trap::TableOutOfBounds => TrapKind::IndirectCall,
        Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::InvalidChar
        | Trap::UnalignedPointer
        | Trap::CannotEnterComponent
        | Trap::CannotLeaveComponent => TrapKind::Boundary,
        _ => TrapKind::Other,
    }
}

/// Memory and tables of one run. Remembers that it said no: the trap that follows only says
/// "unreachable".
struct Limiter {
    memory_bytes_max: usize,
    memory_bytes: usize,
    /// What the last permitted growth added, taken back if it fails after all.
    last_growth_bytes: usize,
    denied: bool,
}

impl Limiter {
    const fn new(memory_bytes_max: usize) -> Self {
        Self {
            memory_bytes_max,
            memory_bytes: 0,
            last_growth_bytes: 0,
            denied: false,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(growth);
        if total > self.memory_bytes_max || desired > limits::MEMORY_BYTES_CEILING {
            self.denied = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        self.last_growth_bytes = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes -= std::mem::take(&mut self.last_growth_bytes);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= limits::TABLE_ELEMENTS_MAX;
        self.denied |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX as usize
    }
}
