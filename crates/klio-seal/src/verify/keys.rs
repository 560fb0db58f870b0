//! Which keys may sign at a point of the log.

use crate::{
    key::{Scheme, Verifier},
    note::{Note, NoteError},
};

/// The keys in charge and those that handed the log over.
#[derive(Debug)]
pub(super) struct Keys {
    active: Vec<Verifier>,
    retired: Vec<Verifier>,
}

/// Who signed a note.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum By {
    Active(Verifier),
    Retired(Verifier),
}

impl Keys {
    pub(super) fn new(trusted: &[Verifier]) -> Self {
        let active = trusted.iter().filter(|key| key.scheme() == Scheme::Note).cloned().collect();
        Self { active, retired: Vec::new() }
    }

    pub(super) fn signed(&self, note: &Note) -> Result<By, NoteError> {
        match note.verify(&self.active) {
            Ok(mut signed) if !signed.is_empty() => Ok(By::Active(signed.swap_remove(0).by)),
            Ok(_) | Err(NoteError::Unsigned) => match note.verify(&self.retired) {
                Ok(mut signed) if !signed.is_empty() => Ok(By::Retired(signed.swap_remove(0).by)),
                _ => Err(NoteError::Unsigned),
            },
            Err(error) => Err(error),
        }
    }

    /// `old` hands over to `new`.
    pub(super) fn rotate(&mut self, old: &Verifier, new: Verifier) {
        self.active.retain(|key| key != old && *key != new);
        self.retired.retain(|key| *key != new);
        self.retired.push(old.clone());
        self.active.push(new);
    }

    pub(super) fn into_active(self) -> Vec<Verifier> {
        self.active
    }
}
