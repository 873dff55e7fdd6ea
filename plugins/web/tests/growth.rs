//! Memory does not grow with the report.
//!
//! One test in a binary of its own, because the count is the whole process's.

use tamiz_sdk::test_kit::{CountingAllocator, Kit};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn memory_does_not_grow_with_the_report() {
    Kit::new::<tamiz_web::Web>(env!("CARGO_MANIFEST_DIR")).check_growth(&["arjun"], &[]);
}
