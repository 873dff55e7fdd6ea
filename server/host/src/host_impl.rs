//! What a guest may call: the `host` interface of both worlds, every call against a budget.
//!
//! `Ok(Err(io-error))` answers the guest; `Err` ends it with the verdict noted in [`RunState`].
//! Nothing here blocks except the caller's own readers and sink. What the worlds' functions have in common
//! is all of it, so each is written once, on [`RunState`], in the types of world 1.0.

use std::io::{Read, Seek};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tamiz_core::{Diagnostic, LogLevel, text};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::v1::host::IoError;
use crate::bindings::v1::types;
use crate::bindings::{v0, v1};
use crate::failure::ConvertFailure;
use crate::input::{Input, Source};
use crate::limits::{
    LOG_LINE_BYTES_MAX, PROGRESS_INTERVAL, READ_BYTES_MAX, REFUSALS_MAX, SOURCES_OPENED_MAX,
};
use crate::model::{self, Shaper};
use crate::run::RunState;
use crate::services::stays_inside;
use crate::sink::{ArtifactHandle, ArtifactMeta, Progress, SinkError};
use crate::words;

/// An input while a guest reads it.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenInput {
    input: Input,
    /// Which of the conversion's inputs; files of the upload have no number.
    pub(crate) index: u32,
    /// Since the last rewind.
    read_bytes: u64,
    /// The guest has seen the empty list.
    ended: bool,
}

impl OpenInput {
    pub(crate) const fn new(input: Input, index: u32) -> Self {
        Self {
            input,
            index,
            read_bytes: 0,
            ended: false,
        }
    }
}

/// An artifact while a guest writes it; `handle` is `None` when it was refused or has ended.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenArtifact {
    handle: Option<ArtifactHandle>,
    refused: bool,
    hash: Sha256,
    size_bytes: u64,
}

impl RunState {
    fn keep_findings(
        &mut self,
        batch: impl ExactSizeIterator<Item = types::Finding>,
    ) -> Result<Result<(), IoError>> {
        let offered = batch.len();
        if offered == 0 {
            self.ignored()?;
            return Ok(Ok(()));
        }
        let room = self.limits.findings_max.saturating_sub(self.counts.findings) as usize;
        let mut kept = Vec::with_capacity(offered.min(room));
        let mut shaper = Shaper::new(&self.plugin_name);
        for finding in batch.take(room) {
            let finding = shaper.finding(finding);
            if self.finding_bytes + shaper.bytes() > self.limits.finding_bytes_max {
                break;
            }
            kept.push(finding);
        }
        self.finding_bytes += shaper.bytes();
        let complete = kept.len() == offered;
        let notes = shaper.notes();
        if !kept.is_empty() {
            let count = kept.len() as u32;
            if let Err(error) = self.sink.findings(kept) {
                return Err(self.sink_failed(error));
            }
            self.counts.findings += count;
        }
        for note in notes {
            if self.fields_cut.insert(note.field) {
                self.tell(LogLevel::Warn, note.code, note.message())?;
            }
        }
        if complete {
            return Ok(Ok(()));
        }
        if offered > room {
            self.over_limit("findings", u64::from(self.limits.findings_max))?;
        } else {
            self.over_limit("bytes of findings", self.limits.finding_bytes_max)?;
        }
        Ok(Err(IoError::OverLimit))
    }

    fn keep_diagnostic(&mut self, what: types::Diagnostic) -> Result<()> {
        if self.counts.diagnostics as usize >= self.limits.diagnostics_max {
            self.counts.diagnostics_dropped = self.counts.diagnostics_dropped.saturating_add(1);
            let limit = self.limits.diagnostics_max as u64;
            return self.ignored_beyond("diagnostics", limit, what.message.len());
        }
        let diagnostic = Diagnostic {
            level: model::level(what.level),
            code: words::label(&what.code),
            message: text::cut(&text::printable(&what.message), LOG_LINE_BYTES_MAX).to_owned(),
            at: what.at.map(model::span),
        };
        match self.sink.diagnostic(diagnostic) {
            Ok(()) => {
                self.counts.diagnostics += 1;
                Ok(())
            }
            Err(error) => Err(self.sink_failed(error)),
        }
    }

    fn note_progress(&mut self, done: u32, total: Option<u32>) -> Result<()> {
        let progress = Progress {
            done,
            total,
            findings: self.counts.findings,
        };
        self.counts.progress = Some(progress);
        let now = Instant::now();
        if self
            .progress_sent_at
            .is_some_and(|sent| now.duration_since(sent) < PROGRESS_INTERVAL)
        {
            return self.ignored();
        }
        self.progress_sent_at = Some(now);
        self.sink.progress(progress);
        Ok(())
    }

    fn open_file(&mut self, path: String) -> Result<Option<Resource<OpenInput>>> {
        if self.sources_opened >= SOURCES_OPENED_MAX || !stays_inside(&path) {
            self.ignored()?;
            return Ok(None);
        }
        self.sources_opened += 1;
        let Some(input) = self.services.open_source(&path) else {
            return Ok(None);
        };
        // as for the conversion's own inputs: 32 bits have to name each byte
        if input.size_bytes.is_some_and(|size| size > u64::from(u32::MAX)) {
            return Ok(None);
        }
        Ok(Some(self.resources.push(OpenInput::new(input, 0))?))
    }

    pub(crate) fn keep_log_line(&mut self, level: LogLevel, message: &str) -> Result<()> {
        let line = text::printable(text::cut(message, LOG_LINE_BYTES_MAX));
        let bytes = self.log_bytes + line.len();
        let has_lines = self.counts.log_lines < self.limits.log_lines_max;
        if !has_lines || bytes > self.limits.log_bytes_max {
            self.counts.log_lines_dropped = self.counts.log_lines_dropped.saturating_add(1);
            return if has_lines {
                self.over_limit("bytes of log lines", self.limits.log_bytes_max as u64)
            } else {
                self.over_limit("log lines", u64::from(self.limits.log_lines_max))
            };
        }
        self.log_bytes = bytes;
        self.counts.log_lines += 1;
        self.sink.log(level, &line);
        Ok(())
    }

    fn read_input(&mut self, this: &Resource<OpenInput>, max: u32) -> Result<Result<Vec<u8>, IoError>> {
        let open = self.resources.get_mut(this)?;
        if open.ended {
            self.refused("reads after the end", u64::from(REFUSALS_MAX))?;
            return Ok(Err(IoError::Closed));
        }
        match open.read_chunk(max) {
            Ok(chunk) => {
                self.counts.input_bytes += chunk.len() as u64;
                if open.is_too_large() {
                    return Err(self.stop(too_large()));
                }
                Ok(Ok(chunk))
            }
            Err(source) => {
                let name = open.input.name.clone();
                Err(self.stop(ConvertFailure::Input { name, source }))
            }
        }
    }

    fn rewind_input(&mut self, this: &Resource<OpenInput>) -> Result<Result<(), IoError>> {
        let open = self.resources.get_mut(this)?;
        if !open.can_rewind() {
            self.refused("rewinds of an input that cannot", u64::from(REFUSALS_MAX))?;
            return Ok(Err(IoError::Unavailable));
        }
        if let Err(source) = open.rewind() {
            let name = open.input.name.clone();
            return Err(self.stop(ConvertFailure::Input { name, source }));
        }
        Ok(Ok(()))
    }

    /// As [`OpenInput::rewind`], for one that is in no guest's hands.
    pub(crate) fn rewind_open(&mut self, open: &mut OpenInput) -> Result<()> {
        open.rewind().map_err(|source| {
            let name = open.input.name.clone();
            self.stop(ConvertFailure::Input { name, source })
        })
    }
}

/// No plugin sees an input that its 32-bit offsets cannot name.
pub(crate) const fn too_large() -> ConvertFailure {
    ConvertFailure::OverLimit {
        what: "bytes of one input",
        limit: u32::MAX as u64,
    }
}

impl OpenInput {
    pub(crate) fn name(&self) -> &str {
        &self.input.name
    }

    /// Whether something of it was read since the last rewind.
    pub(crate) const fn is_begun(&self) -> bool {
        self.read_bytes > 0 || self.ended
    }

    pub(crate) const fn is_too_large(&self) -> bool {
        self.read_bytes > u32::MAX as u64
    }

    pub(crate) const fn can_rewind(&self) -> bool {
        matches!(self.input.reader, Source::Again(_))
    }

    pub(crate) fn rewind(&mut self) -> std::io::Result<()> {
        let Source::Again(reader) = &mut self.input.reader else {
            return Err(std::io::ErrorKind::NotSeekable.into());
        };
        reader.rewind()?;
        self.ended = false;
        self.read_bytes = 0;
        Ok(())
    }

    /// At most `max` bytes; none are the end. An empty list is the end, so a reader that asks for nothing
    /// still gets a byte.
    pub(crate) fn read_chunk(&mut self, max: u32) -> std::io::Result<Vec<u8>> {
        let chunk = self.fill(max.clamp(1, READ_BYTES_MAX))?;
        self.ended = chunk.is_empty();
        self.read_bytes += chunk.len() as u64;
        Ok(chunk)
    }

    /// Exactly `max` bytes, fewer only at the end: the same input gives the same chunks every time.
    fn fill(&mut self, max: u32) -> std::io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(max as usize);
        match &mut self.input.reader {
            Source::Once(reader) => reader.take(u64::from(max)).read_to_end(&mut chunk),
            Source::Again(reader) => reader.take(u64::from(max)).read_to_end(&mut chunk),
        }?;
        Ok(chunk)
    }
}

impl RunState {
    fn open_artifact(&mut self, meta: types::ArtifactMeta) -> Result<Resource<OpenArtifact>> {
        let mut artifact = OpenArtifact {
            handle: None,
            refused: false,
            hash: Sha256::new(),
            size_bytes: 0,
        };
        if self.artifacts_opened >= self.limits.artifacts_max {
            // a constructor cannot refuse; the first write does
            artifact.refused = true;
            self.over_limit("artifacts", u64::from(self.limits.artifacts_max))?;
        } else {
            self.artifacts_opened += 1;
            let handle = ArtifactHandle(self.artifacts_opened);
            let meta = ArtifactMeta {
                name: words::file_name(&meta.name),
                media_type: words::label(&meta.media_type),
                kind: words::label(&meta.kind),
            };
            if let Err(error) = self.sink.artifact_open(handle, meta) {
                return Err(self.sink_failed(error));
            }
            self.open_artifacts.insert(handle);
            artifact.handle = Some(handle);
        }
        Ok(self.resources.push(artifact)?)
    }

    fn write_artifact(
        &mut self,
        this: Resource<OpenArtifact>,
        chunk: Vec<u8>,
    ) -> Result<Result<(), IoError>> {
        let artifact = self.resources.get_mut(&this)?;
        let Some(handle) = artifact.handle else {
            return self.refuse_artifact_call(&this);
        };
        let total = self.counts.artifact_bytes + chunk.len() as u64;
        if total > self.limits.artifact_bytes_max {
            self.over_limit("bytes of artifacts", self.limits.artifact_bytes_max)?;
            return Ok(Err(IoError::OverLimit));
        }
        if chunk.is_empty() {
            self.ignored()?;
            return Ok(Ok(()));
        }
        artifact.hash.update(&chunk);
        artifact.size_bytes += chunk.len() as u64;
        self.counts.artifact_bytes = total;
        if let Err(error) = self.sink.artifact_write(handle, &chunk) {
            return Err(self.sink_failed(error));
        }
        Ok(Ok(()))
    }

    fn finish_artifact(&mut self, this: Resource<OpenArtifact>) -> Result<Result<String, IoError>> {
        let artifact = self.resources.get_mut(&this)?;
        let Some(handle) = artifact.handle.take() else {
            return Ok(match self.refuse_artifact_call(&this)? {
                Ok(()) => Err(IoError::Closed),
                Err(error) => Err(error),
            });
        };
        let sha256 = hex::encode(std::mem::take(&mut artifact.hash).finalize());
        let size_bytes = artifact.size_bytes;
        let stored = match self.sink.artifact_finish(handle) {
            Ok(stored) => stored,
            Err(error) => return Err(self.sink_failed(error)),
        };
        // finished or lost: either way the sink no longer has it open
        self.open_artifacts.remove(&handle);
        if stored.sha256 != sha256 || stored.size_bytes != size_bytes {
            let error = SinkError::new(format!(
                "artifact {} was stored as {} bytes {}, the plugin wrote {size_bytes} bytes {sha256}",
                handle.0, stored.size_bytes, stored.sha256
            ));
            return Err(self.sink_failed(error));
        }
        self.counts.artifacts += 1;
        Ok(Ok(sha256))
    }

    fn drop_artifact(&mut self, this: Resource<OpenArtifact>) -> Result<()> {
        let artifact = self.resources.delete(this)?;
        if let Some(handle) = artifact.handle
            && self.open_artifacts.remove(&handle)
        {
            self.sink.artifact_drop(handle);
        }
        Ok(())
    }

    /// Answers a call on an artifact that was refused or has ended.
    fn refuse_artifact_call(&mut self, this: &Resource<OpenArtifact>) -> Result<Result<(), IoError>> {
        let refused = self.resources.get(this)?.refused;
        if refused {
            self.refused("artifacts", u64::from(self.limits.artifacts_max))?;
            Ok(Err(IoError::OverLimit))
        } else {
            self.refused("writes after the end", u64::from(REFUSALS_MAX))?;
            Ok(Err(IoError::Closed))
        }
    }
}

/// One world's `host` interface, each function passed on to the one that both share.
macro_rules! serve {
    ($world:ident) => {
        impl $world::types::Host for RunState {}

        impl $world::host::Host for RunState {
            fn emit_findings(
                &mut self,
                batch: Vec<$world::types::Finding>,
            ) -> Result<Result<(), $world::host::IoError>> {
                let kept = self.keep_findings(batch.into_iter().map(Into::into))?;
                Ok(kept.map_err(Into::into))
            }

            fn emit_diagnostic(&mut self, what: $world::types::Diagnostic) -> Result<()> {
                self.keep_diagnostic(what.into())
            }

            fn progress(&mut self, done: u32, total: Option<u32>) -> Result<()> {
                self.note_progress(done, total)
            }

            fn secret_identity(&mut self, value: Vec<u8>) -> Result<String> {
                Ok(self.services.secret_identity(&value))
            }

            fn open_source(&mut self, path: String) -> Result<Option<Resource<OpenInput>>> {
                self.open_file(path)
            }

            fn log(&mut self, level: $world::types::LogLevel, message: String) -> Result<()> {
                // in the order in which the guest said both
                self.keep_output(false)?;
                self.keep_log_line(model::level(level.into()), &message)
            }
        }

        impl $world::host::HostInput for RunState {
            fn name(&mut self, this: Resource<OpenInput>) -> Result<String> {
                Ok(self.resources.get(&this)?.input.name.clone())
            }

            fn media_type(&mut self, this: Resource<OpenInput>) -> Result<Option<String>> {
                Ok(self.resources.get(&this)?.input.media_type.clone())
            }

            fn size(&mut self, this: Resource<OpenInput>) -> Result<Option<u32>> {
                let size = self.resources.get(&this)?.input.size_bytes;
                Ok(size.and_then(|size| u32::try_from(size).ok()))
            }

            fn read(
                &mut self,
                this: Resource<OpenInput>,
                max: u32,
            ) -> Result<Result<Vec<u8>, $world::host::IoError>> {
                Ok(self.read_input(&this, max)?.map_err(Into::into))
            }

            fn rewind(&mut self, this: Resource<OpenInput>) -> Result<Result<(), $world::host::IoError>> {
                Ok(self.rewind_input(&this)?.map_err(Into::into))
            }

            fn drop(&mut self, this: Resource<OpenInput>) -> Result<()> {
                self.resources.delete(this)?;
                Ok(())
            }
        }

        impl $world::host::HostArtifact for RunState {
            fn new(&mut self, meta: $world::types::ArtifactMeta) -> Result<Resource<OpenArtifact>> {
                self.open_artifact(meta.into())
            }

            fn write(
                &mut self,
                this: Resource<OpenArtifact>,
                chunk: Vec<u8>,
            ) -> Result<Result<(), $world::host::IoError>> {
                Ok(self.write_artifact(this, chunk)?.map_err(Into::into))
            }

            fn finish(
                &mut self,
                this: Resource<OpenArtifact>,
            ) -> Result<Result<String, $world::host::IoError>> {
                Ok(self.finish_artifact(this)?.map_err(Into::into))
            }

            fn drop(&mut self, this: Resource<OpenArtifact>) -> Result<()> {
                self.drop_artifact(this)
            }
        }
    };
}

serve!(v0);
serve!(v1);
