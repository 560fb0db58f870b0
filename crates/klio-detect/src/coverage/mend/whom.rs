//! Whom a rule of a policy must be about.

use std::collections::BTreeSet;

use super::super::requester::Requester;
use super::FEW;

/// Whom the gaps are about.
#[derive(Debug, Default)]
pub(super) struct Whom {
    /// All, if the rule says each of their names.
    names: BTreeSet<String>,
    unnamed: bool,
    /// The groups that few others are in, of those who have one.
    groups: BTreeSet<String>,
    /// The names of the others, if the rule says them.
    users: BTreeSet<String>,
    /// Somebody has neither.
    anybody: bool,
}

impl Whom {
    pub fn add(&mut self, who: &Requester) {
        if who.named {
            self.names.insert(who.name.clone());
        }
        self.unnamed |= !who.named;
        match who.narrow_group() {
            Some(group) => _ = self.groups.insert(group.to_owned()),
            None if who.named => _ = self.users.insert(who.name.clone()),
            None => self.anybody = true,
        }
    }

    /// Users, groups: a rule is needed for each of these, since a request must fit both selectors of one.
    pub fn selectors(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        if !self.unnamed && !self.names.is_empty() && self.names.len() <= FEW {
            return vec![(list(&self.names), Vec::new())];
        }
        if self.anybody || self.groups.len() > FEW || self.users.len() > FEW {
            return vec![Default::default()];
        }
        let both = [(list(&self.users), Vec::new()), (Vec::new(), list(&self.groups))];
        let some: Vec<_> =
            both.into_iter().filter(|(users, groups)| !users.is_empty() || !groups.is_empty()).collect();
        if some.is_empty() { vec![Default::default()] } else { some }
    }
}
