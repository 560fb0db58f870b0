//! All tales of a run, within bounds that no actor can use up for the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use klio_model::{Actor, Severity};

use super::tale::{Entry, Role, Tale};
use super::{ALL_EVENTS_CAP, Clue, PAUSE, Request, TALES_BYTES, TALES_CAP, Telling, place};

/// Tales of one user at one address and of one severity; what more of his sessions do belongs to the latest of them.
pub(super) const OWN_CAP: usize = 32;
/// The number of no tale.
const NONE: u32 = u32::MAX;

/// Tales, by a number that none gets twice.
#[derive(Debug, Default)]
pub(super) struct Tales {
    of: BTreeMap<u32, Tale>,
    next: u32,
    /// Bytes of all requests that are listed.
    listed: usize,
    /// By the severity that they were opened with: many small ones cannot keep a grave one out.
    classes: BTreeMap<Severity, Class>,
    /// Findings of tales that gave way to later ones.
    pub untold: u64,
}

#[derive(Debug, Default)]
struct Class {
    count: usize,
    /// Without the requests.
    bytes: usize,
    /// The tales of one user at one address, the oldest first.
    by_actor: HashMap<u64, VecDeque<u32>, RandomState>,
}

impl Tales {
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Tale)> {
        self.of.iter().map(|(number, tale)| (*number, tale))
    }

    pub(super) fn into_parts(self) -> (Vec<u32>, Vec<Tale>) {
        self.of.into_iter().unzip()
    }

    /// When its last finding was; nothing if it gave way.
    pub(super) fn last_clue(&self, number: u32) -> Option<i64> {
        self.of.get(&number).map(|tale| tale.last_clue)
    }

    /// Opens a tale for a session; or finds the one of the same actor to which it belongs, if he has many.
    pub(super) fn open(&mut self, session: u64, clue: &Clue<'_>, actor: &Actor) -> u32 {
        let own = self.classes.get(&clue.severity).and_then(|class| class.by_actor.get(&key(actor)));
        let latest = own.filter(|own| own.len() >= OWN_CAP).and_then(VecDeque::back).copied();
        let is_near = |tale: &Tale| {
            clue.time >= tale.first_clue.saturating_sub(PAUSE)
                && clue.time <= tale.last_clue.saturating_add(PAUSE)
        };
        if let Some(latest) = latest.filter(|latest| self.of.get(latest).is_some_and(is_near)) {
            self.change(latest, |tale| tale.adopt(session));
            return latest;
        }
        while self.classes.get(&clue.severity).is_some_and(|class| class.count >= TALES_CAP)
            && self.give_way(clue.severity, NONE)
        {}
        self.add(Tale::open(session, clue, actor))
    }

    /// Adds a tale, whatever is there.
    pub(super) fn add(&mut self, tale: Tale) -> u32 {
        let number = self.next;
        self.next += 1;
        let class = self.classes.entry(tale.opened_as).or_default();
        class.count += 1;
        class.bytes += tale.weight();
        class.by_actor.entry(key(&tale.actor)).or_default().push_back(number);
        self.listed += tale.listed;
        self.of.insert(number, tale);
        number
    }

    /// Tells a finding.
    pub(super) fn note(&mut self, number: u32, clue: &Clue<'_>, tell: &mut dyn FnMut() -> Telling) {
        self.change(number, |tale| tale.note(clue, tell));
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Tale)) {
        let Some(tale) = self.of.get_mut(&number) else { return };
        let before = tale.weight();
        change(tale);
        let severity = tale.opened_as;
        let class = self.classes.entry(severity).or_default();
        class.bytes = (class.bytes + tale.weight()).saturating_sub(before);
        while self.classes.get(&severity).is_some_and(|class| class.bytes > TALES_BYTES)
            && self.give_way(severity, number)
        {}
    }

    /// Tells a request.
    pub(super) fn tell(&mut self, number: u32, entry: Entry) {
        if let Some(tale) = self.of.get_mut(&number) {
            self.listed += tale.tell(entry, self.listed < ALL_EVENTS_CAP);
        }
    }

    /// Tells a request that may be there.
    pub(super) fn tell_again(&mut self, number: u32, request: &Request<'_>, role: Role) {
        if self.of.get_mut(&number).is_some_and(|tale| !tale.knows(request.request, role)) {
            self.tell(number, Entry::of(request, role));
        }
    }

    /// Removes a tale.
    pub(super) fn remove(&mut self, number: u32) -> Option<Tale> {
        let tale = self.of.remove(&number)?;
        self.listed = self.listed.saturating_sub(tale.listed);
        if let Some(class) = self.classes.get_mut(&tale.opened_as) {
            class.count -= 1;
            class.bytes = class.bytes.saturating_sub(tale.weight());
            let key = key(&tale.actor);
            if let Some(own) = class.by_actor.get_mut(&key) {
                own.retain(|other| *other != number);
                if own.is_empty() {
                    class.by_actor.remove(&key);
                }
            }
        }
        Some(tale)
    }

    /// The oldest tale of the actor who has the most of this severity gives way; never the one to be kept.
    fn give_way(&mut self, severity: Severity, keep: u32) -> bool {
        let Some(class) = self.classes.get(&severity) else { return false };
        let oldest = |own: &VecDeque<u32>| own.iter().copied().find(|number| *number != keep);
        let of_each = class.by_actor.values().filter_map(|own| Some((own.len(), Reverse(oldest(own)?))));
        let Some((_, Reverse(number))) = of_each.max() else { return false };
        let Some(tale) = self.remove(number) else { return false };
        self.untold += tale.finding_count;
        true
    }
}

/// Stands for a user at an address.
fn key(actor: &Actor) -> u64 {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    place("actors", &text(&actor.user), &text(&actor.source_ip))
}
