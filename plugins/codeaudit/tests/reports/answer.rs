//! The plugin under test, and short ways to its cases.

use tamiz_codeaudit::CodeAudit;
use tamiz_sdk::memory::{MemoryHost, MemoryInput};
use tamiz_sdk::test_kit::Kit;
pub(crate) use tamiz_sdk::test_kit::{Answer, counted, place};

/// The plugin and its cases.
pub(crate) fn kit() -> Kit {
    Kit::new::<CodeAudit>(env!("CARGO_MANIFEST_DIR"))
}

/// Every report of the cases, unpacked: name and content, in order.
pub(crate) fn reports() -> Vec<(String, Vec<u8>)> {
    kit().reports()
}

/// One report of the cases.
pub(crate) fn report(name: &str) -> Vec<u8> {
    kit().report(name)
}

/// Converts one report.
pub(crate) fn convert(bytes: &[u8]) -> Answer {
    kit().convert(bytes)
}

/// Converts one input with a host.
pub(crate) fn convert_input(input: MemoryInput, host: MemoryHost) -> Answer {
    kit().convert_input(input, host)
}
