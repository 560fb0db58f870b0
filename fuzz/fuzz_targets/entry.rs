//! Any bytes as an entry of the signed log.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = klio_seal::Manifest::decode(bytes);
});
