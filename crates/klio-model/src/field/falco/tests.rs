use super::*;
use crate::event::Event;

#[test]
fn placeholder() {
    assert!(Event::parse("{}").is_ok());
}
