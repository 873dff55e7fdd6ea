//! Reports as records, in every layout.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamiz_fuzz::records::read(bytes));
