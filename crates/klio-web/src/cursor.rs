//! Cursors: the archive's positions as clients get them, bound to the question that they belong to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TEXT;
use sha2::{Digest as _, Sha256};

use crate::archive::Position;
use crate::{Problem, Sight};

/// Longer ones are refused.
const LONGEST: usize = 4096;
/// Bytes of the question's hash.
const BOUND: usize = 8;

/// What a cursor is bound to: with it he can go on with this question, of this scope, and no other.
pub(crate) struct Thread([u8; BOUND]);

impl Thread {
    /// Of what somebody sees and all that makes his question.
    pub(crate) fn new(sight: &Sight, question: &[&str]) -> Self {
        let mut hash = Sha256::new().chain_update(sight.scope().to_string());
        for part in question {
            hash.update([0]);
            hash.update(part);
        }
        let mut bound = [0; BOUND];
        bound.copy_from_slice(&hash.finalize()[..BOUND]);
        Self(bound)
    }

    /// As the client gets it.
    pub(crate) fn cursor(&self, position: &Position) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(position.0.as_bytes());
        TEXT.encode(bytes)
    }

    /// As the client shows it.
    pub(crate) fn position(&self, cursor: Option<&str>) -> Result<Option<Position>, Problem> {
        let Some(cursor) = cursor.filter(|text| !text.is_empty()) else { return Ok(None) };
        let odd = || Problem::bad("this is no cursor; take it from `next` as it is");
        if cursor.len() > LONGEST {
            return Err(odd());
        }
        let bytes = TEXT.decode(cursor).map_err(|_| odd())?;
        let (bound, position) = bytes.split_at_checked(BOUND).ok_or_else(odd)?;
        if bound != self.0 {
            return Err(Problem::bad(
                "the cursor belongs to another question; begin anew without it when filter, time, order or scope change",
            ));
        }
        Ok(Some(Position(String::from_utf8(position.to_vec()).map_err(|_| odd())?)))
    }
}
