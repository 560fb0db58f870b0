//! Sessions that no finding accuses, of the one who is told of: the same intruder at the same address with another client,
//! or before he had a name.

use hashbrown::HashMap;
use klio_model::Actor;
use klio_model::event::SourceScope;

use super::tale::Tale;
use super::{AROUND, Storyteller, stranger};

/// What a story says of a place.
struct Known<'t> {
    tale: &'t Tale,
    user: Option<&'t str>,
    first: i64,
    last: i64,
}

impl Storyteller {
    /// Tales of sessions without one, where a story tells of the same stranger or of somebody at the same public address
    /// as a client without a name; and the numbers of the small findings that they bring.
    pub(super) fn besides(&self) -> Vec<(Tale, Vec<u32>)> {
        let mut known: HashMap<u64, Known<'_>> = HashMap::new();
        for (_, tale) in self.tales.iter() {
            let address = tale.actor.source_ip.as_deref().unwrap_or_default();
            if SourceScope::of(address) != Some(SourceScope::Public) {
                continue;
            }
            for user in [tale.actor.user.as_deref(), None] {
                let place = known.entry(stranger(user.unwrap_or_default(), address)).or_insert(Known {
                    tale,
                    user,
                    first: tale.first_clue,
                    last: tale.last_clue,
                });
                place.first = place.first.min(tale.first_clue);
                place.last = place.last.max(tale.last_clue);
            }
        }
        let mut found = Vec::new();
        for (key, session) in self
            .sessions
            .iter()
            .filter(|(_, s)| s.story.is_none_or(|story| self.tales.last_clue(story).is_none()))
        {
            let Some(place) = known.get(&session.stranger) else { continue };
            let (from, to) = (place.first.saturating_sub(AROUND), place.last.saturating_add(AROUND));
            let mut tale = Tale::beside(
                *key,
                place.first,
                &Actor {
                    user: place.user.map(str::to_owned),
                    source_ip: place.tale.actor.source_ip.clone(),
                    ..Actor::default()
                },
            );
            for entry in session.recall(from).into_iter().filter(|entry| entry.time <= to) {
                tale.tell(entry, true);
            }
            let mut numbers = Vec::new();
            for small in session.suspicions().iter().filter(|s| s.last() >= from && s.last() <= to) {
                numbers.extend(small.numbers());
                let (telling, clues) = small.clone().clues();
                for (clue, evidence) in clues {
                    tale.note(&clue, &mut || telling.clone());
                    for entry in evidence {
                        tale.tell(entry, true);
                    }
                }
            }
            if !tale.is_empty() {
                found.push((tale, numbers));
            }
        }
        found.sort_by_key(|(tale, _)| tale.session);
        found
    }
}
