//! The `records` interface of world 1.0: reading an input's records for a guest, against its budgets.
//!
//! The guest asks for rows, and the host reads as much of the input as they need; a source that is asked
//! for more looks at the deadline first. Not here: how records are found and picked (`tamiz-records`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tamiz_records::{Ending, Layout, Records, Row, Source};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::v1::host::IoError;
use crate::bindings::v1::records as wit;
use crate::bindings::v1::types::Span;
use crate::drive::Patience;
use crate::failure::ConvertFailure;
use crate::host_impl::{OpenInput, too_large};
use crate::limits::{READERS_MAX, REFUSALS_MAX, ROW_TEXT_BYTES_MAX, ROWS_MAX};
use crate::run::RunState;
use crate::words;

/// An input while its records are read.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenReader {
    records: Records<RunSource>,
    /// Which of the conversion's inputs it is.
    input: u32,
    /// All bytes that the source gave, and those that the run knows of.
    read_bytes: Arc<AtomicU64>,
    counted_bytes: u64,
    /// The guest has seen the empty list.
    ended: bool,
}

/// An input as the records' source.
struct RunSource {
    input: OpenInput,
    patience: Patience,
    read_bytes: Arc<AtomicU64>,
}

/// Why a source gives no more.
#[derive(Debug, Clone, thiserror::Error)]
enum NoMore {
    #[error("the run is over")]
    OutOfPatience,
    #[error("the input is too large")]
    TooLarge,
    #[error("the input cannot be read")]
    Failed(String, #[source] Arc<io::Error>),
}

/// The splitters compare errors in their tests.
impl PartialEq for NoMore {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Eq for NoMore {}

impl Source for RunSource {
    type Error = NoMore;
    type Place = (u64, u64);

    fn read(&mut self, max: u32) -> core::result::Result<Vec<u8>, NoMore> {
        if self.patience.is_over() {
            return Err(NoMore::OutOfPatience);
        }
        let chunk = self
            .input
            .read_chunk(max)
            .map_err(|error| NoMore::Failed(self.input.name().to_owned(), Arc::new(error)))?;
        self.read_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if self.input.is_too_large() {
            return Err(NoMore::TooLarge);
        }
        Ok(chunk)
    }

    fn rewind(&mut self) -> core::result::Result<(), NoMore> {
        self.input
            .rewind()
            .map_err(|error| NoMore::Failed(self.input.name().to_owned(), Arc::new(error)))
    }

    fn place(start: u64, end: u64) -> (u64, u64) {
        (start, end)
    }
}

impl wit::Host for RunState {
    fn open(
        &mut self,
        input: Resource<OpenInput>,
        layout: wit::Layout,
        fields: Vec<String>,
    ) -> Result<core::result::Result<Resource<OpenReader>, wit::OpenError>> {
        let mut input = self.resources.delete(input)?;
        if self.readers_open >= READERS_MAX {
            self.refused("record readers at a time", u64::from(READERS_MAX))?;
            return Ok(Err(wit::OpenError::Io(IoError::OverLimit)));
        }
        if input.is_begun() {
            if !input.can_rewind() {
                self.refused("rewinds of an input that cannot", u64::from(REFUSALS_MAX))?;
                return Ok(Err(wit::OpenError::Io(IoError::Unavailable)));
            }
            self.rewind_open(&mut input)?;
        }
        let (index, read_bytes) = (input.index, Arc::new(AtomicU64::new(0)));
        let source = RunSource {
            input,
            patience: self.patience.clone(),
            read_bytes: read_bytes.clone(),
        };
        let records = match Records::open(source, &layout.into(), &fields) {
            Ok(records) => records,
            Err(error) => return Ok(Err(wit::OpenError::Invalid(words::message(&error.message)))),
        };
        self.readers_open += 1;
        Ok(Ok(self.resources.push(OpenReader {
            records,
            input: index,
            read_bytes,
            counted_bytes: 0,
            ended: false,
        })?))
    }
}

impl wit::HostReader for RunState {
    fn next(
        &mut self,
        this: Resource<OpenReader>,
        max: u32,
    ) -> Result<core::result::Result<Vec<wit::Row>, IoError>> {
        self.look_at_the_clock()?;
        let reader = self.resources.get_mut(&this)?;
        if reader.ended {
            self.refused("reads after the end", u64::from(REFUSALS_MAX))?;
            return Ok(Err(IoError::Closed));
        }
        // no rows are the end, so a reader that asks for none still gets one
        let rows_max = max.clamp(1, ROWS_MAX) as usize;
        let read = reader.records.next(rows_max, ROW_TEXT_BYTES_MAX);
        let total = reader.read_bytes.load(Ordering::Relaxed);
        self.counts.input_bytes += total - std::mem::replace(&mut reader.counted_bytes, total);
        match read {
            Ok(rows) => {
                reader.ended = rows.is_empty();
                let input = reader.input;
                Ok(Ok(rows.into_iter().map(|row| row_of(input, row)).collect()))
            }
            Err(NoMore::OutOfPatience) => {
                self.look_at_the_clock()?;
                Ok(Err(IoError::Unavailable))
            }
            Err(NoMore::TooLarge) => Err(self.stop(too_large())),
            Err(NoMore::Failed(name, error)) => {
                let source = io::Error::new(error.kind(), error);
                Err(self.stop(ConvertFailure::Input { name, source }))
            }
        }
    }

    fn ending(&mut self, this: Resource<OpenReader>) -> Result<Option<wit::Ending>> {
        let ending = self.resources.get(&this)?.records.ending();
        Ok(ending.map(|ending| match ending {
            Ending::Whole => wit::Ending::Whole,
            Ending::Truncated => wit::Ending::Truncated,
            Ending::Malformed => wit::Ending::Malformed,
        }))
    }

    /// At its first byte, if it can be read again.
    fn release(&mut self, this: Resource<OpenReader>) -> Result<Resource<OpenInput>> {
        let reader = self.resources.delete(this)?;
        self.readers_open -= 1;
        let mut input = reader.records.into_source().input;
        if input.can_rewind() {
            self.rewind_open(&mut input)?;
        }
        Ok(self.resources.push(input)?)
    }

    fn drop(&mut self, this: Resource<OpenReader>) -> Result<()> {
        self.resources.delete(this)?;
        self.readers_open -= 1;
        Ok(())
    }
}

impl From<wit::Layout> for Layout {
    fn from(layout: wit::Layout) -> Self {
        match layout {
            wit::Layout::JsonArray(pointer) => Self::JsonArray(pointer),
            wit::Layout::JsonLines => Self::JsonLines,
            wit::Layout::XmlElements(name) => Self::XmlElements(name),
            wit::Layout::Csv(layout) => Self::Csv {
                delimiter: layout.delimiter,
                header: layout.header,
            },
        }
    }
}

fn row_of(input: u32, row: Row) -> wit::Row {
    let (start, end) = row.place;
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    wit::Row {
        at: Span {
            input,
            offset: bounded(start),
            length: bounded(end.saturating_sub(start)),
        },
        values: row.values,
        problem: row.problem,
    }
}
