mod cases;
mod planted;
mod policies;
mod recorded;

use klio_model::Event;

use super::*;

fn redactor() -> Redactor {
    Redactor::new([7; 32], Policy::default()).unwrap()
}

#[track_caller]
fn redact(json: &str) -> String {
    let event = Event::parse(json).unwrap();
    let mut out = String::new();
    match redactor().redact(json, &event, &mut out) {
        Some(_) => out,
        None => json.to_owned(),
    }
}

#[test]
fn the_prefilter_is_there() {
    assert!(redactor().needles.is_ready());
}
