//! Any text as a Falco rule file.
#![no_main]

use klio_detect::{RuleFile, falco};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = falco::compile(&[RuleFile { name: "fuzz.yaml".into(), text: text.into() }]);
});
