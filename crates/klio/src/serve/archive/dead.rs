//! Dead letters, as the API sees them.

use klio_model::Timestamp;
use klio_store::{DeadLetter, DeadLetters};
use klio_web::archive::{Page, Position, Slice};
use klio_web::view::{DeadLetterView, ReplayView};
use klio_web::{ArchiveError, Sight};

use super::{Memory, wrong};

impl Memory {
    fn all(&self) -> Result<Vec<(u64, DeadLetter)>, ArchiveError> {
        let letters = DeadLetters::read(&self.dir, &self.settings, self.secret, 0).map_err(wrong)?;
        letters.collect::<Result<_, _>>().map_err(wrong)
    }

    pub(super) fn letters(&self, sight: &Sight, slice: &Slice) -> Result<Page<DeadLetterView>, ArchiveError> {
        let below = match &slice.after {
            Some(Position(text)) => text.parse().map_err(|_| ArchiveError::BadPosition)?,
            None => u64::MAX,
        };
        let mut all = self.all()?;
        all.retain(|(number, letter)| *number < below && sight.sees_whole(&letter.cluster));
        all.reverse();
        let more = all.len() > slice.most;
        all.truncate(slice.most);
        let next = all.last().filter(|_| more).map(|(number, _)| Position(number.to_string()));
        let items = all.into_iter().map(|(number, letter)| view(number, letter, false)).collect();
        Ok(Page { items, next })
    }

    fn find(&self, sight: &Sight, number: u64) -> Result<DeadLetter, ArchiveError> {
        let found =
            self.all()?.into_iter().find(|(own, letter)| *own == number && sight.sees_whole(&letter.cluster));
        found.map(|(_, letter)| letter).ok_or(ArchiveError::NotFound)
    }

    pub(super) fn letter(&self, sight: &Sight, number: u64) -> Result<DeadLetterView, ArchiveError> {
        Ok(view(number, self.find(sight, number)?, true))
    }

    pub(super) fn replay(&self, sight: &Sight, number: u64) -> Result<ReplayView, ArchiveError> {
        let letter = self.find(sight, number)?;
        let intake = &self.pipeline.intake;
        let (receipt, reason) = intake.replay(&letter).map_err(wrong)?;
        if reason.is_none() {
            intake.dead().forget(number).map_err(wrong)?;
        }
        Ok(ReplayView { events: receipt.kept + receipt.known, reason })
    }
}

fn view(number: u64, letter: DeadLetter, whole: bool) -> DeadLetterView {
    let DeadLetter { cluster, source, received, reason, bytes } = letter;
    let size = bytes.len() as u64;
    let bytes = whole.then_some(bytes);
    DeadLetterView { number, cluster, source, received: Timestamp(received), reason, size, bytes }
}
