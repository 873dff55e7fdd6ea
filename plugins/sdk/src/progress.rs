//! How far a conversion has come, told every few megabytes.

use crate::host::Host;
use crate::limits::PROGRESS_BYTES;

/// Bytes read of bytes in all, throttled.
#[derive(Debug)]
pub struct Progress {
    total: Option<u32>,
    told: u64,
}

impl Progress {
    /// For inputs of so many bytes altogether, when known.
    pub fn new(total: Option<u32>) -> Self {
        Self { total, told: 0 }
    }

    /// Tells the platform when enough has happened since the last time.
    pub fn advance(&mut self, done: u64, host: &mut dyn Host) {
        if done >= self.told.saturating_add(PROGRESS_BYTES) {
            self.told = done;
            host.progress(u32::try_from(done).unwrap_or(u32::MAX), self.total);
        }
    }

    /// Tells the platform in any case: the end.
    pub fn finish(&mut self, done: u64, host: &mut dyn Host) {
        host.progress(u32::try_from(done).unwrap_or(u32::MAX), self.total);
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use crate::limits::PROGRESS_BYTES;
    use crate::memory::MemoryHost;

    #[test]
    fn progress_is_told_rarely_and_at_the_end() {
        let mut host = MemoryHost::default();
        let mut progress = Progress::new(Some(10_000_000));
        for done in (0..10_000_000_u64).step_by(1000) {
            progress.advance(done, &mut host);
        }
        progress.finish(10_000_000, &mut host);
        assert_eq!(host.progress.len() as u64, 10_000_000 / PROGRESS_BYTES + 1);
        assert_eq!(host.progress.last(), Some(&(10_000_000, Some(10_000_000))));
    }
}
