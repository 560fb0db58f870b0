//! Any text as a Sigma rule file.
#![no_main]

use klio_detect::{Dialect, RuleFile, sigma};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = sigma::compile(&[RuleFile { name: "fuzz.yml".into(), text: text.into() }], Dialect::Sigma);
});
