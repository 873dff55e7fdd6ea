//! Uploaded archives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamiz_fuzz::unpack(bytes));
