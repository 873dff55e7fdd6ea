//! Reports of web scanners in lines and tables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if !tamiz_fuzz::is_json(bytes) && !tamiz_fuzz::is_xml(bytes) {
        tamiz_fuzz::convert::<tamiz_web::Web>(bytes);
    }
});
