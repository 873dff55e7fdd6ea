//! What goes into a conversion: named streams of bytes, and the flag that stops it.

use std::fmt;
use std::io::{Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A reader that can go back to its first byte.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// One named stream of bytes for a plugin: a report, an upload, a tool's stdout.
///
/// Reads happen on the thread that runs the guest and are not interrupted by the deadline: a reader
/// must be bounded in time (a local file is).
pub struct Input {
    pub(crate) name: String,
    pub(crate) media_type: Option<String>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) reader: Source,
}

pub(crate) enum Source {
    Once(Box<dyn Read + Send>),
    Again(Box<dyn ReadSeek>),
}

impl Input {
    /// An input that the plugin may read twice; SARIF needs that, its rules stand at its end.
    pub fn seekable(name: impl Into<String>, reader: impl ReadSeek + 'static) -> Self {
        Self::new(name.into(), Source::Again(Box::new(reader)))
    }

    /// An input that can be read once; the plugin's `rewind` is answered with `unavailable`.
    pub fn once(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        Self::new(name.into(), Source::Once(Box::new(reader)))
    }

    fn new(name: String, reader: Source) -> Self {
        Self {
            name,
            media_type: None,
            size_bytes: None,
            reader,
        }
    }

    /// With the media type that the uploader or the tool declared; a hint, never a proof.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// With its size; more than 4 GiB is refused before the plugin sees it.
    #[must_use]
    pub fn with_size_bytes(mut self, size_bytes: u64) -> Self {
        self.size_bytes = Some(size_bytes);
        self
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Input")
            .field("name", &self.name)
            .field("media_type", &self.media_type)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

/// Stops a run from another thread, within about 20 ms of guest time. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
