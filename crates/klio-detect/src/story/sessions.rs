//! All sessions, and what is forgotten of them to stay within memory: the loudest actor's first.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::session::Session;

/// Memory for all sessions, bytes.
const CAP: usize = 32 << 20;
/// What is left of a session that is cut, bytes; where there is no room for that, the session is forgotten.
const LEAST: usize = 1 << 10;

#[derive(Debug)]
pub(super) struct Sessions {
    of: HashMap<u64, Session, RandomState>,
    /// The weights of all.
    bytes: usize,
    cap: usize,
    /// How often a session was cut or forgotten.
    pub forgotten: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { of: HashMap::default(), bytes: 0, cap: CAP, forgotten: 0 }
    }
}

impl Sessions {
    pub(super) fn knows(&self, key: u64) -> bool {
        self.of.contains_key(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&u64, &Session)> {
        self.of.iter()
    }

    /// Changes a session; one that is not there begins.
    pub(super) fn change(&mut self, key: u64, change: impl FnOnce(&mut Session)) {
        let (session, before) = match self.of.entry(key) {
            Entry::Occupied(known) => {
                let session = known.into_mut();
                let before = session.weight();
                (session, before)
            }
            Entry::Vacant(new) => (new.insert(Session::default()), 0),
        };
        change(session);
        self.bytes = (self.bytes + session.weight()).saturating_sub(before);
        if self.bytes > self.cap {
            self.forget();
        }
    }

    /// Keeps the sessions for which this holds.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Session) -> bool) {
        self.of.retain(|_, session| keep(session));
        self.bytes = self.of.values().map(Session::weight).sum();
    }

    /// Makes a quarter of the room free. Each actor has an equal share; who needs less leaves the rest to the others.
    fn forget(&mut self) {
        let room = self.cap / 4 * 3;
        let mut actors: HashMap<u64, usize, RandomState> = HashMap::default();
        for session in self.of.values() {
            *actors.entry(session.actor).or_default() += session.weight();
        }
        let share = level(actors.values().copied().collect(), room);
        let mut limits = Vec::new();
        if share < LEAST {
            // More actors than there is room for.
            let all = self.of.iter().map(|(key, session)| (session.last, *key, session.weight()));
            fit(all.collect(), room, &mut limits);
        } else {
            let mut loud: HashMap<u64, Vec<(i64, u64, usize)>, RandomState> = HashMap::default();
            for (key, session) in &self.of {
                if actors.get(&session.actor).is_some_and(|weight| *weight > share) {
                    let own = loud.entry(session.actor).or_default();
                    own.push((session.last, *key, session.weight()));
                }
            }
            loud.into_values().for_each(|own| fit(own, share, &mut limits));
        }
        self.forgotten += limits.len() as u64;
        for (key, limit) in limits {
            if limit == 0 {
                self.of.remove(&key);
            } else if let Some(session) = self.of.get_mut(&key) {
                session.shrink(limit);
            }
        }
        self.bytes = self.of.values().map(Session::weight).sum();
    }
}

/// To what weight sessions (last request, key, weight) are to be cut so that they fit into the room; 0 for those to be forgotten.
fn fit(mut sessions: Vec<(i64, u64, usize)>, mut room: usize, limits: &mut Vec<(u64, usize)>) {
    let share = level(sessions.iter().map(|(.., weight)| *weight).collect(), room);
    if share >= LEAST {
        let over = sessions.iter().filter(|(.., weight)| *weight > share);
        limits.extend(over.map(|(_, key, _)| (*key, share)));
        return;
    }
    sessions.sort_unstable_by_key(|(last, key, _)| (std::cmp::Reverse(*last), *key));
    for (_, key, weight) in sessions {
        let kept = weight.min(LEAST);
        if kept > room {
            room = 0;
            limits.push((key, 0));
        } else {
            room -= kept;
            limits.extend((kept < weight).then_some((key, kept)));
        }
    }
}

/// The size to which the greatest are to be cut so that all fit into the room together.
fn level(mut sizes: Vec<usize>, room: usize) -> usize {
    sizes.sort_unstable();
    let (mut left, mut others) = (room, sizes.len());
    for size in sizes {
        let share = left / others;
        if size > share {
            return share;
        }
        (left, others) = (left - size, others - 1);
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{Ending, Request};

    fn note(sessions: &mut Sessions, actor: u64, session: u64, time: i64) {
        let request = Request {
            session,
            actor,
            request: 1,
            time,
            stranger: 0,
            quiet: false,
            audit_id: "0123456789",
            stage: "ResponseComplete",
            what: "get configmaps shop/a-name-of-some-length",
            ending: Ending::default(),
        };
        sessions.change(session, |session| {
            (session.last, session.actor) = (time, actor);
            session.remember(&request);
        });
        let exact: usize = sessions.of.values().map(Session::weight).sum();
        assert_eq!(sessions.bytes, exact);
        assert!(exact <= sessions.cap);
    }

    #[test]
    fn rooms_are_shared() {
        assert_eq!(level(vec![], 10), usize::MAX);
        assert_eq!(level(vec![2, 3], 10), usize::MAX);
        assert_eq!(level(vec![2, 30, 40], 10), 4);
        assert_eq!(level(vec![1, 1], 0), 0);
    }

    #[test]
    fn whoever_is_loud_is_forgotten_first() {
        let mut sessions = Sessions { cap: 40_000, ..Sessions::default() };
        for time in 0..20 {
            note(&mut sessions, 1, 1, time);
        }
        for time in 0..2_000 {
            note(&mut sessions, 2, 2, time); // one noisy client
            note(&mut sessions, 3, 100 + time as u64, time); // an actor with a new client for each request
        }
        assert!(sessions.forgotten > 0);
        assert_eq!(sessions.of[&1].recall(0).len(), 20);
        assert!(sessions.of[&2].recall(0).len() > 20);
        assert!(sessions.knows(100 + 1_999) && !sessions.knows(100));
    }

    #[test]
    fn of_too_many_actors_the_latest_stay() {
        let mut sessions = Sessions { cap: 40_000, ..Sessions::default() };
        for actor in 0..1_000 {
            note(&mut sessions, actor, actor, actor as i64);
        }
        assert!(sessions.knows(999) && !sessions.knows(0));
    }
}
