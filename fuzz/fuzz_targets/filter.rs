//! Any text as a filter; what parses must print as something that parses to the same.
#![no_main]

use klio_model::Filter;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(filter) = Filter::parse(text) {
        let printed = filter.to_string();
        let again = Filter::parse(&printed).map(|filter| filter.to_string());
        assert_eq!(again.ok(), Some(printed));
    }
});
