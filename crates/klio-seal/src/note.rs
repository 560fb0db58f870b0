//! Signed notes (C2SP signed-note) and the checkpoints written in them (C2SP tlog-checkpoint).

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    hash::Hash,
    key::{Signer, Verifier},
};

/// A text that ends in a newline, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub id: u32,
    /// What the key's scheme makes of the text.
    pub bytes: Vec<u8>,
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Which of the known keys signed.
    pub by: Verifier,
    /// The time of a cosignature, in seconds since 1970.
    pub time: Option<u64>,
}

/// The state of a log: so many leaves under such a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The unique name of the log.
    pub origin: String,
    /// How many leaves there are.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Lines that other logs add after the root; Klio's have none.
    pub extensions: Vec<String>,
}

/// A note or checkpoint cannot be read or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text has not the form of a signed note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// The note's text has not the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// A known key's name and id stand beside bytes that the key never signed.
    #[error("the signature of {name}+{id:08x} is wrong")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id.
        id: u32,
    },
    /// None of the known keys signed.
    #[error("signed by none of the known keys")]
    Unsigned,
}

/// Longest note that is read: room for 100 post-quantum cosignatures.
pub const MAX_NOTE: usize = 1 << 20;
/// Most signature lines that are read.
const MAX_SIGNATURES: usize = 100;
/// An em dash and a space begin each signature line.
const DASH: &str = "\u{2014} ";

impl Note {
    /// Signs a text.
    pub fn sign(text: &str, signer: &Signer, time: u64) -> Result<Self, NoteError> {
        check_text(text)?;
        let mut note = Self { text: text.to_owned(), signatures: Vec::new() };
        note.add(signer, time);
        Ok(note)
    }

    /// Adds a signature; replaces an older one of the same key.
    pub fn add(&mut self, signer: &Signer, time: u64) {
        let (name, id) = (signer.verifier().name().to_owned(), signer.verifier().id());
        self.push(NoteSignature { name, id, bytes: signer.sign(&self.text, time) });
    }

    /// Adds a signature line that was made elsewhere, as a witness answers it.
    pub fn add_line(&mut self, line: &str) -> Result<(), NoteError> {
        self.push(signature(line)?);
        Ok(())
    }

    fn push(&mut self, new: NoteSignature) {
        self.signatures.retain(|old| old.name != new.name || old.id != new.id);
        self.signatures.push(new);
    }

    /// Reads a note. Nothing is verified yet.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        if note.len() > MAX_NOTE {
            return Err(malformed("longer than a mebibyte"));
        }
        // The text ends at the last empty line.
        let (text, lines) =
            note.rsplit_once("\n\n").ok_or(malformed("no empty line before the signatures"))?;
        let text = &note[..=text.len()];
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(malformed("does not end with a newline"))?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(malformed("more than 100 signatures"));
        }
        let signatures = lines.split('\n').map(signature).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// What was signed, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Which of the known keys signed. As C2SP signed-note demands, lines of unknown keys are ignored and a
    /// wrong signature of a known key refuses the note.
    pub fn verify(&self, known: &[Verifier]) -> Result<Vec<Signed>, NoteError> {
        let mut signed: Vec<Signed> = Vec::new();
        for line in &self.signatures {
            let Some(key) = known.iter().find(|key| key.name() == line.name && key.id() == line.id) else {
                continue;
            };
            let Some(time) = key.verify(&self.text, &line.bytes) else {
                return Err(NoteError::BadSignature { name: line.name.clone(), id: line.id });
            };
            if signed.iter().all(|earlier| earlier.by != *key) {
                signed.push(Signed { by: key.clone(), time });
            }
        }
        if signed.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed) }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [&self.id.to_be_bytes()[..], &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("the text does not end with a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("control characters in the text"));
    }
    Ok(())
}

fn signature(line: &str) -> Result<NoteSignature, NoteError> {
    let malformed = || NoteError::Malformed("a signature line is not: em dash, name, base64");
    let (name, base64) =
        line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or_else(malformed)?;
    let bytes = STANDARD.decode(base64).map_err(|_| malformed())?;
    let (id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
    let bad_name = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    if bad_name || bytes.is_empty() {
        return Err(malformed());
    }
    Ok(NoteSignature { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
}

impl Checkpoint {
    /// The note's text: origin, size, root, each on its line (C2SP tlog-checkpoint, "Note text").
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64());
        for line in &self.extensions {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// Reads a note's text.
    pub fn parse_text(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Checkpoint;
        let body = text.strip_suffix('\n').ok_or(malformed("does not end with a newline"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(digits), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("expected origin, size and root on three lines"));
        };
        let size: u64 = digits.parse().map_err(|_| malformed("the size is no number"))?;
        if size.to_string() != digits {
            return Err(malformed("the size is written with a sign or leading zeroes"));
        }
        let root = Hash::from_base64(root).map_err(|_| malformed("the root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return Err(malformed("an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }

    /// Reads a signed checkpoint. Nothing is verified yet.
    pub fn parse(note: &str) -> Result<(Self, Note), NoteError> {
        let note = Note::parse(note)?;
        Ok((Self::parse_text(note.text())?, note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Scheme;

    /// The example of C2SP signed-note.
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const FOO: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn the_example_of_the_specification() {
        let note = Note::parse(NOTE).unwrap();
        let foo: Verifier = FOO.parse().unwrap();
        assert_eq!(note.verify(&[foo]).unwrap().len(), 1);
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(note.verify(&[]), Err(NoteError::Unsigned));
    }

    #[test]
    fn every_flip_is_refused() {
        let foo: Verifier = FOO.parse().unwrap();
        for at in 0..NOTE.len() {
            for bit in 0..8 {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                let refused =
                    Note::parse(&text).and_then(|note| note.verify(std::slice::from_ref(&foo))).is_err();
                assert!(refused, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn checkpoints() {
        let signer = Signer::generate("example.org/log", Scheme::Note).unwrap();
        let witness = Signer::generate("example.org/witness", Scheme::Cosignature).unwrap();
        let checkpoint = Checkpoint {
            origin: "example.org/log".into(),
            size: 10,
            root: Hash::empty(),
            extensions: Vec::new(),
        };
        let mut note = Note::sign(&checkpoint.to_text(), &signer, 0).unwrap();
        note.add(&witness, 1_700_000_000);
        let (read, note) = Checkpoint::parse(&note.to_string()).unwrap();
        assert_eq!(read, checkpoint);
        let signed = note.verify(&[signer.verifier().clone(), witness.verifier().clone()]).unwrap();
        assert_eq!(signed[1].time, Some(1_700_000_000));
        for bad in ["a\n010\n", "a\n+1\n", "\n1\n", "a\n1\n"] {
            assert!(Checkpoint::parse_text(&format!("{bad}{}x\n", Hash::empty().to_base64())).is_err());
        }
    }
}
