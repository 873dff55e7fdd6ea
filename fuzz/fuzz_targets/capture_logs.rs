//! Logs about traffic: Suricata and Zeek.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if tamiz_fuzz::is_json(bytes) || bytes.starts_with(b"#") {
        tamiz_fuzz::convert::<tamiz_pcap::Pcap>(bytes);
    }
});
