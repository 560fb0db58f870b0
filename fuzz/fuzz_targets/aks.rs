//! Any bytes through `klio_source::fuzz::aks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = klio_source::fuzz::aks(bytes);
});
