//! Memory does not grow with the report: the allocator of this test counts.
//!
//! One test in a binary of its own, because the count is the whole process's.

#![expect(clippy::expect_used, reason = "a test's own code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamiz_sdk::memory::CountingHost;
use tamiz_sdk::model::IoError;

/// What a conversion may have at once. Measured: 1.0 MB for semgrep JSON, 1.1 MB for SARIF; it is
/// one chunk, one record, one batch and the rules.
const PEAK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How large the made report is.
const REPORT_BYTES: usize = 50_000_000;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; this one only counts for the system's"
)]
unsafe impl GlobalAlloc for Counting {
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

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A report that is made while it is read: head, records until it is large enough, tail.
struct MadeReport {
    head: &'static str,
    record: fn(usize, &mut String),
    tail: &'static str,
    made: usize,
    records: usize,
    ended: bool,
}

impl tamiz_sdk::Input for MadeReport {
    fn name(&self) -> String {
        "report".to_owned()
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn size(&self) -> Option<u32> {
        None
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        const RECORD_BYTES_MAX: usize = 4096;
        let mut chunk = String::with_capacity(max as usize);
        if self.made == 0 {
            chunk.push_str(self.head);
        }
        while chunk.len() + RECORD_BYTES_MAX < max as usize && self.made + chunk.len() < REPORT_BYTES {
            if self.records > 0 {
                chunk.push(',');
            }
            (self.record)(self.records, &mut chunk);
            self.records += 1;
        }
        if self.made + chunk.len() >= REPORT_BYTES && !std::mem::replace(&mut self.ended, true) {
            chunk.push_str(self.tail);
        }
        self.made += chunk.len();
        Ok(chunk.into_bytes())
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        (self.made, self.records, self.ended) = (0, 0, false);
        Ok(())
    }
}

fn semgrep_record(number: usize, text: &mut String) {
    let _ = write!(
        text,
        r#"{{"check_id":"rules.demo-{rule}","path":"src/file{file}.py","start":{{"line":{number},"col":1}},"end":{{"line":{number},"col":9}},"extra":{{"message":"{filler}","severity":"ERROR","metadata":{{"cwe":["CWE-89: SQL Injection"]}},"lines":"requires login","fingerprint":"requires login"}}}}"#,
        rule = number % 50,
        file = number % 1000,
        number = number + 1,
        filler = "A message of some length. ".repeat(30),
    );
}

fn sarif_record(number: usize, text: &mut String) {
    let _ = write!(
        text,
        r#"{{"ruleId":"R1","message":{{"text":"{filler}"}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"src/{number}.py"}},"region":{{"startLine":{line}}}}}}}]}}"#,
        line = number + 1,
        filler = "A message of some length. ".repeat(30),
    );
}

#[track_caller]
fn check(head: &'static str, record: fn(usize, &mut String), tail: &'static str) {
    let report = MadeReport {
        head,
        record,
        tail,
        made: 0,
        records: 0,
        ended: false,
    };
    let mut host = CountingHost::default();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let outcome = tamiz_codeaudit::convert(vec![Box::new(report)], "{}", &mut host).expect("a sound report");
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert!(
        outcome.findings > 30_000 && host.findings == outcome.findings as usize,
        "{outcome:?}"
    );
    assert!(
        peak < PEAK_BYTES_MAX,
        "{peak} bytes at once for {} findings",
        outcome.findings
    );
    println!(
        "{}: {peak} bytes at once for {} findings",
        outcome.format, outcome.findings
    );
}

#[test]
fn fifty_megabytes_are_converted_in_a_few() {
    check(
        r#"{"version":"1.182.0","results":["#,
        semgrep_record,
        r#"],"errors":[],"paths":{"scanned":["a"]}}"#,
    );
    check(
        r#"{"version":"2.1.0","runs":[{"results":["#,
        sarif_record,
        r#"],"tool":{"driver":{"name":"demo","rules":[{"id":"R1","defaultConfiguration":{"level":"error"}}]}}}]}"#,
    );
}
