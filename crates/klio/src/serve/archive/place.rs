//! Where a list goes on. Sealed, so that nobody writes himself a place that asks for more than a page.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use klio_model::Timestamp;
use klio_store::keys::Cipher;
use klio_web::ArchiveError;
use klio_web::archive::Position;

/// Items of one time that are told one page after the other.
const MOST: usize = 100_000;

/// Which list a place is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Events,
    Verdicts,
}

impl List {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Events => b"klio list position: events",
            Self::Verdicts => b"klio list position: verdicts",
        }
    }
}

/// The time of the last item that was told, microseconds, and how many of that time were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub time: Option<i64>,
    pub told: usize,
}

impl Place {
    pub(super) fn new(time: Option<Timestamp>, told: usize) -> Self {
        Self { time: time.map(Timestamp::micros), told }
    }

    /// The place of a position that [`Place::position`] made.
    ///
    /// # Errors
    /// When it did not, or when too many of one time were told.
    pub(super) fn read(
        key: &Cipher,
        list: List,
        position: Option<&Position>,
    ) -> Result<Option<Self>, ArchiveError> {
        let Some(Position(text)) = position else { return Ok(None) };
        let read = || {
            let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
            let mut plain = Vec::new();
            key.open(list.label(), &sealed, &mut plain).ok()?;
            let (told, time) = plain.split_first_chunk::<8>()?;
            let time = time.as_array::<8>().map(|time| i64::from_le_bytes(*time));
            Some(Self { time, told: usize::try_from(u64::from_le_bytes(*told)).ok()? })
        };
        let place = read().ok_or(ArchiveError::BadPosition)?;
        if place.told > MOST {
            return Err(ArchiveError::BadQuestion(format!(
                "more than {MOST} have the same time; narrow the question, or export"
            )));
        }
        Ok(Some(place))
    }

    /// As the reader gets it; nothing if the system has no random numbers.
    pub(super) fn position(self, key: &Cipher, list: List) -> Option<Position> {
        let mut plain = (self.told as u64).to_le_bytes().to_vec();
        plain.extend(self.time.iter().flat_map(|time| time.to_le_bytes()));
        let mut sealed = Vec::new();
        key.seal(list.label(), &plain, &mut sealed).ok()?;
        Some(Position(BASE64_URL_SAFE_NO_PAD.encode(sealed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_by_who_made_them() {
        let key = super::super::tail::key([7; 32]).unwrap();
        for place in [Place { time: Some(-5), told: 3 }, Place { time: None, told: MOST }] {
            let position = place.position(&key, List::Events).unwrap();
            assert_eq!(Place::read(&key, List::Events, Some(&position)), Ok(Some(place)));
            let other = super::super::tail::key([8; 32]).unwrap();
            for (key, list) in [(&key, List::Verdicts), (&other, List::Events)] {
                assert_eq!(Place::read(key, list, Some(&position)), Err(ArchiveError::BadPosition));
            }
        }
        // As a reader might write it.
        for text in ["", "x", "1795000000000000.1", "-.18446744073709551615"] {
            let position = Position(text.into());
            assert_eq!(Place::read(&key, List::Events, Some(&position)), Err(ArchiveError::BadPosition));
        }
        let many = Place { time: None, told: MOST + 1 }.position(&key, List::Events).unwrap();
        let refused = Place::read(&key, List::Events, Some(&many));
        assert!(matches!(refused, Err(ArchiveError::BadQuestion(_))), "{refused:?}");
        assert_eq!(Place::read(&key, List::Events, None), Ok(None));
    }
}
