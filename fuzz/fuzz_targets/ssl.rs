//! Reports of TLS and SSH scanners.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamiz_fuzz::convert::<tamiz_ssl::Ssl>(bytes));
