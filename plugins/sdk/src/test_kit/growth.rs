//! Memory that does not grow with the report, shown on reports that are made while they are read.
//!
//! A case grows by repeating one of its records in place, so its shape stays the tool's own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kit::Kit;
use crate::Input;
use crate::limits::RECORD_BYTES;
use crate::memory::CountingHost;
use crate::model::{Completeness, IoError};

/// The smaller grown report: large enough that chunks, batches and buffers are all in use.
const SMALL_BYTES: usize = 2_000_000;

/// The larger one.
const LARGE_BYTES: usize = 20_000_000;

/// What ten times as much of report may cost: buffers that grow by doubling, not records.
const GROWTH_BYTES_MAX: usize = 256 * 1024;

/// Between two records stand a comma, white space, or a closing and an opening tag.
const BETWEEN_BYTES_MAX: usize = 200;

/// An allocator that counts what is in use, for a test binary that has only [`Kit::check_growth`]:
///
/// ```ignore
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
/// ```
pub struct CountingAllocator;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts for the system's"
)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A report in which `unit` is repeated, made while it is read.
struct Grown {
    bytes: Arc<[u8]>,
    record: Range<usize>,
    repetitions: usize,
    at: usize,
}

impl Grown {
    fn len(&self) -> usize {
        self.bytes.len() + self.record.len() * self.repetitions
    }

    /// The bytes from `self.at` to the end of the part that it is in.
    fn rest(&self) -> &[u8] {
        let Range { start, end } = self.record;
        let repeated = self.record.len() * self.repetitions;
        if self.at < start {
            &self.bytes[self.at..start]
        } else if self.at - start < repeated {
            &self.bytes[start + (self.at - start) % self.record.len()..end]
        } else {
            &self.bytes[self.at - repeated..]
        }
    }
}

impl Input for Grown {
    fn name(&self) -> String {
        "report".to_owned()
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn size(&self) -> Option<u32> {
        u32::try_from(self.len()).ok()
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        let mut chunk = Vec::with_capacity((max as usize).min(self.len() - self.at));
        while chunk.len() < max as usize && self.at < self.len() {
            let rest = self.rest();
            let taken = rest.len().min(max as usize - chunk.len());
            chunk.extend_from_slice(&rest[..taken]);
            self.at += taken;
        }
        Ok(chunk)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        self.at = 0;
        Ok(())
    }
}

impl Kit {
    /// A report that is ten times as large takes no more memory, for one case of each format. Formats of
    /// which no case has a record that can be repeated must be named in `fixed`, and no others; those that
    /// keep records until what stands behind them is read are named in `waiting`, and may keep as many bytes
    /// of them as one record may have.
    ///
    /// Needs [`CountingAllocator`] as the allocator of its test binary, and a binary of its own, because
    /// the count is the whole process's.
    pub fn check_growth(&self, fixed: &[&str], waiting: &[&str]) {
        let mut grown = BTreeMap::new();
        for (name, bytes) in self.reports() {
            let format = name.split('/').next().unwrap_or_default().to_owned();
            if grown.get(&format).copied().unwrap_or(false) || format == "hostile" {
                continue;
            }
            let range = self.repeatable(&bytes);
            let waits = waiting.contains(&format.as_str());
            grown.insert(format, range.is_some());
            let Some((record, records)) = range else { continue };
            let small = self.peak(&name, &bytes, &record, records, SMALL_BYTES);
            let large = self.peak(&name, &bytes, &record, records, LARGE_BYTES);
            let more = GROWTH_BYTES_MAX + if waits { RECORD_BYTES } else { 0 };
            println!("{name}: {small} and {large} bytes at once");
            assert!(
                large <= small + more,
                "{name}: {small} bytes at once for {SMALL_BYTES} of report, {large} for {LARGE_BYTES}"
            );
        }
        let left = grown.iter().filter(|(_, grown)| !**grown);
        let left: Vec<_> = left.map(|(format, _)| format.as_str()).collect();
        assert_eq!(left, fixed, "formats whose cases cannot be grown");
    }

    /// A record with what stands between it and the next one, and how many it is counted as.
    fn repeatable(&self, bytes: &[u8]) -> Option<(Range<usize>, usize)> {
        let whole = self.convert(bytes);
        let Ok(outcome) = &whole.outcome else { return None };
        if outcome.completeness == Completeness::Truncated {
            return None;
        }
        let known = outcome.records as usize;
        let mut spans = whole.origins();
        spans.dedup();
        for pair in spans.windows(2) {
            let ((start, end), (next, _)) = (pair[0], pair[1]);
            let is_beside = next >= end && next - end <= BETWEEN_BYTES_MAX && end > start;
            if !is_beside {
                continue;
            }
            let record = start..next;
            let more = |repetitions| {
                let (outcome, _) = self.grow(bytes, &record, repetitions);
                outcome.map(|records| records.saturating_sub(known))
            };
            // In the largest number, because parts of a larger record end at that record's limit.
            let often = LARGE_BYTES / record.len();
            match (more(1), more(often)) {
                (Some(one), Some(many)) if one > 0 && many == one * often => return Some((record, one)),
                _ => {}
            }
        }
        None
    }

    fn grow(&self, bytes: &[u8], record: &Range<usize>, repetitions: usize) -> (Option<usize>, usize) {
        let report = Grown {
            bytes: bytes.into(),
            record: record.clone(),
            repetitions,
            at: 0,
        };
        let mut host = CountingHost::default();
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let outcome = self.convert_made(Box::new(report), &mut host);
        let peak = PEAK.load(Ordering::Relaxed) - before;
        (outcome.ok().map(|outcome| outcome.records as usize), peak)
    }

    fn peak(
        &self,
        name: &str,
        bytes: &[u8],
        record: &Range<usize>,
        records: usize,
        report_bytes: usize,
    ) -> usize {
        let repetitions = report_bytes / record.len();
        let (seen, peak) = self.grow(bytes, record, repetitions);
        let seen = seen.unwrap_or_else(|| panic!("{name}: grown, it is not read"));
        assert!(
            seen >= records * repetitions,
            "{name}: {seen} of {repetitions} records"
        );
        peak
    }
}
