//! Which answers a filter can give when only some values are known.
//!
//! A part of a filter has a set of possible answers, and each of them is three: at level Metadata, at Request, and at
//! RequestResponse. A metadata test that nothing decides is true at all three or false at all three; a test of a
//! request's body is unknown at Metadata and either of both from Request on. Sets are combined by Kleene's rules,
//! member by member, as if the parts were independent: what comes out holds all that is possible, and may hold more.

use klio_model::{Level, Tri};

/// Answers at Metadata, Request and RequestResponse, each 0 for false, 1 for unknown, 2 for true.
type Answers = [u8; 3];

/// A set of possible [`Answers`]: one bit for each of the 27.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcomes(u32);

const FALSE: u8 = 0;
const UNKNOWN: u8 = 1;
const TRUE: u8 = 2;

fn digit(answer: Tri) -> u8 {
    match answer {
        Tri::False => FALSE,
        Tri::Unknown => UNKNOWN,
        Tri::True => TRUE,
    }
}

const fn bit([m, r, x]: Answers) -> u32 {
    1 << (9 * m + 3 * r + x)
}

fn members(set: u32) -> impl Iterator<Item = Answers> {
    (0..27u8).filter(move |n| set & (1 << n) != 0).map(|n| [n / 9, n / 3 % 3, n % 3])
}

impl Outcomes {
    /// One answer, whatever is recorded.
    pub const TRUE: Self = Self(bit([TRUE; 3]));
    /// One answer, whatever is recorded.
    pub const FALSE: Self = Self(bit([FALSE; 3]));
    /// Recorded at any level, and may be either.
    pub const FREE: Self = Self(Self::TRUE.0 | Self::FALSE.0);
    /// Not known at any level: the stage does not have it.
    pub const NEVER: Self = Self(bit([UNKNOWN; 3]));

    pub fn exact(answer: Tri) -> Self {
        Self::each([answer; 3])
    }

    /// One answer at each level.
    pub fn each(answers: [Tri; 3]) -> Self {
        Self(bit(answers.map(digit)))
    }

    /// Recorded from a level on, and then either.
    pub fn from(level: Level) -> Self {
        match level {
            Level::Request => Self(bit([UNKNOWN, TRUE, TRUE]) | bit([UNKNOWN, FALSE, FALSE])),
            Level::RequestResponse => Self(bit([UNKNOWN, UNKNOWN, TRUE]) | bit([UNKNOWN, UNKNOWN, FALSE])),
            Level::Unstated | Level::Metadata => Self::FREE,
        }
    }

    /// There would be a value from a level on, and there is none.
    pub fn lacking(level: Level) -> Self {
        match level {
            Level::Request => Self(bit([UNKNOWN, FALSE, FALSE])),
            Level::RequestResponse => Self(bit([UNKNOWN, UNKNOWN, FALSE])),
            Level::Unstated | Level::Metadata => Self::FALSE,
        }
    }

    /// A word anywhere in the event: the more is recorded, the more often it is there.
    pub fn word() -> Self {
        Self(Self::FREE.0 | bit([FALSE, TRUE, TRUE]) | bit([FALSE, FALSE, TRUE]))
    }

    /// As rule dialects read it: a comparison with what is not recorded is false.
    pub fn as_dialect(self) -> Self {
        let plain = |n: u8| if n == UNKNOWN { FALSE } else { n };
        Self(members(self.0).fold(0, |set, answers| set | bit(answers.map(plain))))
    }

    fn combine(self, other: Self, of: impl Fn(u8, u8) -> u8) -> Self {
        let mut set = 0;
        for a in members(self.0) {
            for b in members(other.0) {
                set |= bit([of(a[0], b[0]), of(a[1], b[1]), of(a[2], b[2])]);
            }
        }
        Self(set)
    }

    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::TRUE, x) | (x, Self::TRUE) => x,
            (Self::FALSE, _) | (_, Self::FALSE) => Self::FALSE,
            _ => self.combine(other, u8::min),
        }
    }

    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::FALSE, x) | (x, Self::FALSE) => x,
            (Self::TRUE, _) | (_, Self::TRUE) => Self::TRUE,
            _ => self.combine(other, u8::max),
        }
    }

    pub fn not(self) -> Self {
        Self(members(self.0).fold(0, |set, answers| set | bit(answers.map(|n| TRUE - n))))
    }

    /// The least level at which the answer can be true, if it can be at all when everything is recorded.
    pub fn least(self) -> Option<Level> {
        let yes: Vec<Answers> = members(self.0).filter(|a| a[2] == TRUE).collect();
        if yes.is_empty() {
            return None;
        }
        let at = |n: usize| yes.iter().any(|a| a[n] == TRUE);
        Some(if at(0) {
            Level::Metadata
        } else if at(1) {
            Level::Request
        } else {
            Level::RequestResponse
        })
    }

    /// The least level at which each answer that is true with everything recorded is true.
    pub fn full(self) -> Level {
        let at = |n: usize| members(self.0).filter(|a| a[2] == TRUE).all(|a| a[n] == TRUE);
        if at(0) {
            Level::Metadata
        } else if at(1) {
            Level::Request
        } else {
            Level::RequestResponse
        }
    }

    /// The least level at which the answer can be true, also if it would not be with everything recorded.
    pub fn guess(self) -> Option<Level> {
        let at = |n: usize| members(self.0).any(|a| a[n] == TRUE);
        [Level::Metadata, Level::Request, Level::RequestResponse]
            .into_iter()
            .enumerate()
            .find_map(|(n, level)| at(n).then_some(level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_combine_as_kleene_says() {
        let body = Outcomes::from(Level::Request);
        let check = |set: Outcomes, least: Option<Level>, full: Level| {
            assert_eq!((set.least(), set.full()), (least, full), "{set:?}");
        };
        check(Outcomes::FREE, Some(Level::Metadata), Level::Metadata);
        check(body, Some(Level::Request), Level::Request);
        // What is to be left out by its body cannot be left out without it.
        check(Outcomes::FREE.and(body.not()), Some(Level::Request), Level::Request);
        // Half of it needs the body.
        check(Outcomes::FREE.or(body), Some(Level::Metadata), Level::Request);
        check(Outcomes::FREE.and(Outcomes::FALSE), None, Level::Metadata);
        check(
            Outcomes::from(Level::RequestResponse).and(body),
            Some(Level::RequestResponse),
            Level::RequestResponse,
        );
        check(Outcomes::word(), Some(Level::Metadata), Level::RequestResponse);
        assert_eq!(Outcomes::NEVER.not().least(), None);
    }

    #[test]
    fn dialects_take_what_is_missing_for_no() {
        let body = Outcomes::from(Level::Request);
        assert_eq!(body.as_dialect().not().guess(), Some(Level::Metadata));
        assert_eq!(body.as_dialect().guess(), Some(Level::Request));
    }
}
