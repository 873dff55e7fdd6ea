//! Reports of code scanners in JSON lines, with other lines between them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if bytes.contains(&b'\n') && !tamiz_fuzz::is_xml(bytes) {
        tamiz_fuzz::convert::<tamiz_codeaudit::CodeAudit>(bytes);
    }
});
