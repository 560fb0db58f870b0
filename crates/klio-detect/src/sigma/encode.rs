//! Modifiers that turn a value into other values: Base64, UTF-16 and the dashes of command lines.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use klio_model::filter::Piece;

/// A value becomes at most so many.
pub(super) const MAX_VARIANTS: usize = 3_125;
/// The dashes that `windash` exchanges.
const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// A transformation of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    Base64,
    Base64Offset,
    Utf16Le,
    Utf16Be,
    Utf16,
    Windash,
}

/// A value while it is transformed: text with wildcards, or bytes once it has been encoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Draft {
    Text(Vec<Piece>),
    Bytes(Vec<u8>),
}

impl Encoding {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "base64" => Self::Base64,
            "base64offset" => Self::Base64Offset,
            "utf16le" | "wide" => Self::Utf16Le,
            "utf16be" => Self::Utf16Be,
            "utf16" => Self::Utf16,
            "windash" => Self::Windash,
            _ => return None,
        })
    }

    /// The values that one value becomes.
    ///
    /// # Errors
    /// Why it cannot be transformed, and what to do.
    pub(super) fn apply(self, draft: &Draft) -> Result<Vec<Draft>, (String, &'static str)> {
        if self == Self::Windash {
            return match draft {
                Draft::Text(pieces) => windash(pieces),
                Draft::Bytes(_) => {
                    Err(("`windash` comes after an encoding".into(), "write it as the first modifier"))
                }
            };
        }
        let bytes = match draft {
            Draft::Bytes(bytes) => bytes.clone(),
            Draft::Text(pieces) => literal(pieces)
                .ok_or_else(|| {
                    let message = "a value with wildcards cannot be encoded".to_owned();
                    (message, "escape `*` and `?` with a backslash, or drop them and add `|contains`")
                })?
                .into_bytes(),
        };
        let wide = |order: fn(u16) -> [u8; 2], mark: &[u8]| -> Result<Vec<Draft>, (String, &'static str)> {
            let text = String::from_utf8(bytes.clone()).map_err(|_| {
                ("UTF-16 comes after another encoding".to_owned(), "write it before base64 and only once")
            })?;
            let units = text.encode_utf16().flat_map(order);
            Ok(vec![Draft::Bytes(mark.iter().copied().chain(units).collect())])
        };
        match self {
            Self::Base64 => Ok(vec![Draft::Text(vec![Piece::Literal(STANDARD.encode(&bytes))])]),
            Self::Base64Offset => Ok(offsets(&bytes)),
            Self::Utf16Le => wide(u16::to_le_bytes, &[]),
            Self::Utf16Be => wide(u16::to_be_bytes, &[]),
            Self::Utf16 => wide(u16::to_le_bytes, &[0xFF, 0xFE]),
            Self::Windash => Ok(vec![draft.clone()]),
        }
    }
}

/// The pieces as text, if none is a wildcard.
fn literal(pieces: &[Piece]) -> Option<String> {
    pieces.iter().map(|p| if let Piece::Literal(s) = p { Some(s.as_str()) } else { None }).collect()
}

/// The part of the Base64 text that does not depend on the neighbours, for each of three positions of the
/// value in the encoded bytes: six bits a character, so a character that also holds bits of a neighbour goes.
fn offsets(bytes: &[u8]) -> Vec<Draft> {
    (0..3)
        .map(|shift| {
            let mut padded = vec![0; shift];
            padded.extend_from_slice(bytes);
            let encoded = STANDARD_NO_PAD.encode(&padded);
            let start = (shift * 8).div_ceil(6);
            let end = padded.len() * 8 / 6;
            Draft::Text(vec![Piece::Literal(encoded.get(start..end).unwrap_or_default().to_owned())])
        })
        .collect()
}

/// Each dash that begins an option, exchanged by each other one.
fn windash(pieces: &[Piece]) -> Result<Vec<Draft>, (String, &'static str)> {
    let mut variants: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in pieces {
        let Piece::Literal(text) = piece else {
            for variant in &mut variants {
                variant.push(piece.clone());
            }
            continue;
        };
        let mut texts = vec![String::new()];
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let option = DASHES.contains(&c)
                && !before.is_some_and(is_word)
                && rest.peek().is_some_and(|n| is_word(*n));
            before = Some(c);
            if !option {
                for text in &mut texts {
                    text.push(c);
                }
                continue;
            }
            if texts.len() * variants.len() * DASHES.len() > MAX_VARIANTS {
                return Err((
                    "`windash` makes too many values of this one".into(),
                    "keep at most five options in a value",
                ));
            }
            texts = texts.iter().flat_map(|t| DASHES.map(|dash| format!("{t}{dash}"))).collect();
        }
        variants = variants
            .iter()
            .flat_map(|v| texts.iter().map(move |t| [v.as_slice(), &[Piece::Literal(t.clone())]].concat()))
            .collect();
    }
    Ok(variants.into_iter().map(Draft::Text).collect())
}
