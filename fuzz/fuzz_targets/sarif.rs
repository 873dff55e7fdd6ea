//! SARIF logs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if tamiz_fuzz::is_json(bytes) {
        tamiz_fuzz::convert::<tamiz_codeaudit::CodeAudit>(bytes);
    }
});
