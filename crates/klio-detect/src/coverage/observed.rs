//! Which levels were seen of which requests: the policy as the logs show it.

use std::collections::HashMap;

use klio_model::{Event, Field, Level};

use super::stages::Stages;
use super::target::Subject;

/// Different requests that are remembered. A cluster has some thousand, with those of custom resources.
const REQUESTS: usize = 20_000;
/// No part of a request that a policy can name is longer.
const LENGTH: usize = 256;

/// API group, resource (or, for a path, its beginning), subresource, verb.
type Request = [Box<str>; 4];

/// What was seen of one kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The least level.
    pub least: Level,
    /// The highest.
    pub most: Level,
    /// Stages.
    pub stages: Stages,
    /// Events.
    pub events: u64,
}

/// What was recorded of requests, in bounded memory.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    requests: HashMap<Request, Levels>,
    events: u64,
    /// Events of requests beyond those that are remembered.
    left_out: u64,
}

/// The beginning of a path, as far as policies usually tell paths apart.
fn beginning(path: &str) -> &str {
    let end = path.char_indices().skip(1).find(|(_, c)| *c == '/').map_or(path.len(), |(i, _)| i);
    &path[..end]
}

impl Observed {
    /// Takes note of an event. One that was cut, or does not state its level, says nothing.
    pub fn note(&mut self, event: &Event<'_>) {
        self.note_many(event, 1);
    }

    /// Takes note of so many events that are alike in all that a policy can name.
    pub fn note_many(&mut self, event: &Event<'_>, events: u64) {
        if event.salvaged || event.level == Level::Unstated {
            return;
        }
        let text = |field| event.text_of(field).unwrap_or_default();
        let resource = text(Field::Resource);
        let request = if resource.is_empty() {
            ["/", beginning(event.path().unwrap_or_default()), "", text(Field::Verb)]
        } else {
            [text(Field::ApiGroup), resource, text(Field::Subresource), text(Field::Verb)]
        };
        if request.iter().any(|part| part.len() > LENGTH) {
            self.left_out += events;
            return;
        }
        self.events += events;
        let seen = Levels { least: event.level, most: event.level, stages: Stages::of(event.stage), events };
        self.add(request.map(Into::into), seen);
    }

    /// Adds what another has seen.
    pub fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.left_out += other.left_out;
        for (request, seen) in other.requests {
            self.add(request, seen);
        }
    }

    fn add(&mut self, request: Request, seen: Levels) {
        if let Some(known) = self.requests.get_mut(&request) {
            known.least = known.least.min(seen.least);
            known.most = known.most.max(seen.most);
            known.stages = known.stages.union(seen.stages);
            known.events += seen.events;
        } else if self.requests.len() < REQUESTS {
            self.requests.insert(request, seen);
        } else {
            self.left_out += seen.events;
        }
    }

    /// What was seen of a kind of request.
    pub fn of(&self, subject: &Subject, verb: &str) -> Option<Levels> {
        let key: Request = match subject {
            Subject::Resource { group, resource, subresource } => {
                [&**group, &**resource, &**subresource, verb].map(Into::into)
            }
            Subject::Path(path) => ["/", beginning(path), "", verb].map(Into::into),
        };
        self.requests.get(&key).copied()
    }

    /// How many events were noted.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many events belong to requests that were too many to remember.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(level: &str, resource: &str) -> String {
        format!(
            r#"{{"level":"{level}","stage":"ResponseComplete","verb":"get","objectRef":{{"resource":"{resource}"}}}}"#
        )
    }

    fn pods() -> Subject {
        Subject::Resource { group: "".into(), resource: "pods".into(), subresource: "".into() }
    }

    #[test]
    fn notes_are_merged() {
        let (mut a, mut b) = (Observed::default(), Observed::default());
        a.note(&Event::parse(&event("Metadata", "pods")).unwrap());
        b.note(&Event::parse(&event("Request", "pods")).unwrap());
        b.note(&Event::parse(r#"{"level":"Metadata","verb":"get","requestURI":"/healthz/etcd?x"}"#).unwrap());
        b.note(&Event::parse(r#"{"verb":"get"}"#).unwrap());
        a.merge(b);
        let seen = a.of(&pods(), "get").unwrap();
        assert_eq!((seen.least, seen.most, seen.events), (Level::Metadata, Level::Request, 2));
        assert!(a.of(&Subject::Path("/healthz".into()), "get").is_some());
        assert!(a.of(&pods(), "list").is_none());
        assert_eq!(a.events(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Observed::default();
        for n in 0..REQUESTS + 10 {
            seen.note(&Event::parse(&event("Metadata", &format!("r{n}"))).unwrap());
        }
        seen.note(&Event::parse(&event("Metadata", &"x".repeat(1_000))).unwrap());
        assert_eq!((seen.requests.len(), seen.left_out()), (REQUESTS, 11));
    }
}
