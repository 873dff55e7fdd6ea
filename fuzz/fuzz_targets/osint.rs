//! Reports about names, addresses and accounts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamiz_fuzz::convert::<tamiz_osint::Osint>(bytes));
