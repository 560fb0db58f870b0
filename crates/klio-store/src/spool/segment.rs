//! One file of the spool, opened for reading. Trusts no byte that has not been checked.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::format::{FILE_HEAD, FileHead, RECORD_HEAD, RECORD_MAGIC, RecordHead, body_sum};

/// A readable file.
#[derive(Clone)]
pub(super) struct Segment {
    pub path: PathBuf,
    pub head: FileHead,
    /// Whether both copies of the head are whole.
    pub intact: bool,
    file: Arc<File>,
    /// What lies beyond is not looked at.
    end: u64,
}

/// What stands at an offset.
pub(super) enum Found {
    /// The file ends here.
    End,
    /// A record, whole.
    Record { head: RecordHead, header: Vec<u8>, payload: Vec<u8> },
    /// Something that is no whole record.
    Bad,
}

impl Segment {
    /// `Ok(None)` if neither copy of the head can be read.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        // A pipe in its place would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let file = File::open(path)?;
        let mut bytes = [0; FILE_HEAD as usize];
        let got = read_at_most(&file, &mut bytes, 0)?;
        Ok(FileHead::decode(&bytes[..got]).map(|(head, intact)| Self {
            path: path.to_owned(),
            head,
            intact,
            file: Arc::new(file),
            end: u64::MAX,
        }))
    }

    /// The file as it is now, whatever is written to it.
    pub fn held(mut self) -> io::Result<Self> {
        self.end = self.len()?;
        Ok(self)
    }

    /// Length at this moment.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().min(self.end))
    }

    /// Reads the record at `offset`.
    pub fn read(&self, offset: u64) -> io::Result<Found> {
        let len = self.len()?;
        if offset >= len {
            return Ok(Found::End);
        }
        let Some(head) = self.head_at(offset, len)? else { return Ok(Found::Bad) };
        // Lengths are checked by now, against the sum, the limits and the file.
        let (mut header, mut payload) = (vec![0; head.header as usize], vec![0; head.payload as usize]);
        let at = offset + RECORD_HEAD as u64;
        let whole = read_at_most(&self.file, &mut header, at)? == header.len()
            && read_at_most(&self.file, &mut payload, at + header.len() as u64)? == payload.len()
            && body_sum(self.head.salt, &header, &payload) == head.body;
        Ok(if whole { Found::Record { head, header, payload } } else { Found::Bad })
    }

    /// The head at `offset`, if it is whole and its record ends within the file.
    fn head_at(&self, offset: u64, len: u64) -> io::Result<Option<RecordHead>> {
        let mut bytes = [0; RECORD_HEAD];
        if read_at_most(&self.file, &mut bytes, offset)? < RECORD_HEAD {
            return Ok(None);
        }
        let head = RecordHead::decode(&bytes, self.head.salt);
        Ok(head.filter(|h| offset.checked_add(h.size()).is_some_and(|end| end <= len)))
    }

    /// The next whole record after a bad one at `offset` whose number is over `last`.
    pub fn resume(&self, offset: u64, last: u64) -> io::Result<Option<(u64, RecordHead)>> {
        let len = self.len()?;
        // If only the body is bad, its head says where the next record is; else look for one.
        let mut from = offset + self.head_at(offset, len)?.map_or(1, |h| h.size());
        let mut window = vec![0; 256 << 10];
        while from + RECORD_HEAD as u64 <= len {
            let got = read_at_most(&self.file, &mut window, from)?;
            let mut scanned = (got + 1).saturating_sub(RECORD_HEAD);
            for at in memchr::memmem::find_iter(&window[..got], &RECORD_MAGIC) {
                let Some(bytes) = window[at..got].first_chunk() else {
                    scanned = at;
                    break;
                };
                if let Some(head) = RecordHead::decode(bytes, self.head.salt).filter(|h| h.seq > last)
                    && let Found::Record { .. } = self.read(from + at as u64)?
                {
                    return Ok(Some((from + at as u64, head)));
                }
            }
            if scanned == 0 {
                break;
            }
            from += scanned as u64;
        }
        Ok(None)
    }

    /// Whether a record after the bad one at `offset` was written when number `seq` was known to be durable.
    pub fn was_durable(&self, offset: u64, seq: u64) -> io::Result<bool> {
        let mut from = self.resume(offset, seq.saturating_sub(1))?;
        let len = self.len()?;
        while let Some((at, head)) = from {
            if head.durable >= seq {
                return Ok(true);
            }
            let next = at + head.size();
            from = match self.head_at(next, len)? {
                Some(head) => Some((next, head)),
                None => self.resume(next, head.seq)?,
            };
        }
        Ok(false)
    }
}

/// Fills `buf` as far as the file reaches.
fn read_at_most(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
