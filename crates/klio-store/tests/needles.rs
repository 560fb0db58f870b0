//! Texts are found through the index of texts exactly where reading every record finds them: random pieces of
//! recorded and odd events, across escapes, in other cases, shorter than a trigram, beyond ASCII.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

#[path = "oracle/lake.rs"]
#[allow(dead_code)]
mod both;
#[path = "oracle/events.rs"]
mod events;
#[path = "oracle/random.rs"]
mod random;

use std::ops::ControlFlow;

use klio_model::filter::TextMatch;
use klio_model::{Filter, TimeRange};

use both::both;
use random::Random;

/// Texts that are looked for.
const TEXTS: usize = 1_500;

/// A piece of a record, perhaps bent a little.
fn piece(random: &mut Random, record: &str) -> String {
    let chars: Vec<char> = record.chars().collect();
    let length = 1 + random.below(18);
    let from = random.below(chars.len().saturating_sub(length).max(1));
    let mut text: String = chars.iter().skip(from).take(length).collect();
    match random.below(8) {
        0 => text = text.to_uppercase(),
        1 => text = text.to_lowercase(),
        2 => text.push('7'),
        3 => text = text.replace('k', "\u{212a}"),
        4 => text.insert(text.chars().next().map_or(0, char::len_utf8), '\\'),
        _ => {}
    }
    text
}

#[test]
fn texts_are_found_where_reading_finds_them() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut both = both(&mut random);
    let events = both.events.clone();
    let (mut some, mut spared, mut all) = (0, 0, 0);
    for _ in 0..TEXTS {
        let record = random.pick(&events);
        let text = piece(&mut random, record);
        let keyword =
            if random.below(3) == 0 { TextMatch::exactly(&text) } else { TextMatch::literal(&text) };
        let filter = Filter::Keyword(keyword);
        let mut expected: Vec<&str> = both.memory.find(&filter, TimeRange::default()).collect();
        let mut found = Vec::new();
        let scanned = both.lake.find(&filter, TimeRange::default(), &mut |kept| {
            found.push(kept.raw);
            ControlFlow::Continue(())
        });
        let scanned = scanned.unwrap();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{text:?}");
        some += usize::from(!found.is_empty());
        spared += scanned.rows - scanned.records;
        all += scanned.rows;
    }
    assert!(some > TEXTS / 2, "only {some} of the texts are found");
    assert!(spared > all / 10, "the index spares {spared} of {all} records");
}
