//! stub
/// stub
pub fn explain(e: &crate::Event<'_>) -> String { format!("{:?} {:?}", e.text_of(crate::Field::User), e.text_of(crate::Field::Verb)) }
