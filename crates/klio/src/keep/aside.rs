//! Positions of files that were rotated away from their path, which has the position of the file that is there now. They
//! may be read later, under the name that they have by then.

use super::{Keeper, Position};

/// How many are kept of a path.
const KEPT: usize = 32;

impl Keeper {
    /// Sets the position of a path aside when another file is there now, whose first line has the hash `id`.
    pub(super) fn set_aside(&mut self, own: &str, id: &str) {
        let old = self.writer.position(own).and_then(|text| serde_json::from_str::<Position>(text).ok());
        let Some(old) = old.filter(|old| old.id != id) else { return };
        let key = format!("rotated:{own}");
        let mut all = self.writer.position(&key).map(positions).unwrap_or_default();
        all.retain(|known| known.id != old.id);
        all.push(old);
        all.drain(..all.len().saturating_sub(KEPT));
        if let Ok(text) = serde_json::to_string(&all) {
            self.writer.set_position(&key, text);
        }
    }
}

/// The positions that a text holds: one, or those that were set aside.
pub(super) fn positions(text: &str) -> Vec<Position> {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(text).map(|one| vec![one]))
        .unwrap_or_default()
}
