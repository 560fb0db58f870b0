//! Any text as an audit event, explained and asked about every kind of field.
#![no_main]

use klio_model::{Event, Filter};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(event) = Event::parse(text) else { return };
    for filter in ["container.image:*", "rbac.grant:*", "exec.command:*", "patch.metadata.name:*", "source.scope:*"] {
        if let Ok(filter) = Filter::parse(filter) {
            let _ = filter.matches(&event);
        }
    }
});
