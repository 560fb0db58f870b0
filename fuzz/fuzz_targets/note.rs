//! Any text as a signed note, a checkpoint and a public key.
#![no_main]

use klio_seal::{Checkpoint, Note, Verifier};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Note::parse(text);
    let _ = Checkpoint::parse(text);
    let _ = text.parse::<Verifier>();
});
