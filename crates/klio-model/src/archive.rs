//! Events held in memory: the oracle that every other archive must agree with.

use crate::event::{Event, ParseError};
use crate::filter::Filter;
use crate::time::TimeRange;

/// A list of events that answers filters by asking each event.
#[derive(Default, Debug)]
pub struct MemoryArchive {
    /// Each with whether it was cut on its way.
    events: Vec<(String, bool)>,
}

impl MemoryArchive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps an event exactly as it was received; `salvaged`: it was cut on its way.
    ///
    /// # Errors
    /// When the text is not an audit event; nothing is kept then.
    pub fn keep(&mut self, json: &str, salvaged: bool) -> Result<(), ParseError> {
        Event::parse(json)?;
        self.events.push((json.to_owned(), salvaged));
        Ok(())
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The kept texts of the events of which the filter is certainly true and which lie in the range, in the
    /// order in which they were kept. An event without a time lies only in the range of all times.
    pub fn find<'m>(&'m self, filter: &'m Filter, range: TimeRange) -> impl Iterator<Item = &'m str> {
        let holds = move |(json, salvaged): &&(String, bool)| {
            Event::parse(json).is_ok_and(|mut event| {
                event.salvaged = *salvaged;
                range.holds(event.time()) && filter.matches(&event)
            })
        };
        self.events.iter().filter(holds).map(|(json, _)| json.as_str())
    }
}

#[cfg(test)]
mod tests;
