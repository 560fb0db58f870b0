//! Dead letters: what was delivered as an event and is none.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::address::Address;
use super::frame::{About, Asked, Frame, Nothing, Screen};
use super::{draw, words};
use crate::api::dead;
use crate::route;
use crate::view::{DeadLetterPage, DeadLetterView};
use crate::visitor::Visitor;
use crate::{Problem, Web, input};

/// Letters of a page.
const ROWS: usize = 50;
/// Bytes of a letter that are drawn; the API has all of them.
const DRAWN: usize = 16 << 10;

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "letters.html")]
struct Letters {
    frame: Frame,
    view: DeadLetterPage,
    older: Option<String>,
}

/// The list.
pub(crate) async fn list(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(Wanted { cursor }): Asked<Wanted>,
) -> Result<Response, Problem> {
    let asked = dead::Listing { limit: Some(ROWS), cursor };
    let view = dead::list(State(web.clone()), visitor.clone(), input::Asked(asked)).await?.0;
    let older = |cursor: &String| Address::new("/sources/dead-letters").with("cursor", cursor).to_string();
    let older = view.next.as_ref().map(older);
    let about = About {
        title: "Dead letters".to_owned(),
        place: "/sources",
        command: Some("klio dead-letters list".to_owned()),
    };
    screen.show(&web, &visitor, about, view, |frame, view| Letters { frame, view, older })
}

#[derive(Template)]
#[template(path = "letter.html")]
struct Letter {
    frame: Frame,
    view: DeadLetterView,
    /// Its bytes as text, with what cannot be printed written out; or in hexadecimal.
    content: String,
    is_text: bool,
    /// Bytes that are not drawn.
    rest: u64,
    /// Why it cannot be read again, or removed.
    no_replay: Option<String>,
    no_removal: Option<String>,
}

/// One of them.
pub(crate) async fn letter(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Path(number): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let view = dead::get(State(web.clone()), visitor.clone(), Path(number)).await?.0;
    let about = About {
        title: format!("Dead letter {}", view.number),
        place: "/sources",
        command: Some(format!("klio dead-letters show {}", view.number)),
    };
    let bytes = view.bytes.as_deref().unwrap_or_default();
    let (is_text, content) = drawn(bytes.get(..DRAWN).unwrap_or(bytes));
    let rest = bytes.len().saturating_sub(DRAWN) as u64;
    let path = "/api/v1/dead-letters/{number}";
    let no_replay = route::why_not(&visitor, "POST", "/api/v1/dead-letters/{number}/replay");
    let no_removal = route::why_not(&visitor, "DELETE", path);
    screen.show(&web, &visitor, about, view, |frame, view| Letter {
        frame,
        view,
        content,
        is_text,
        rest,
        no_replay,
        no_removal,
    })
}

/// Bytes as they can be looked at: text, if they are, else in hexadecimal. The end may be cut within a character.
fn drawn(bytes: &[u8]) -> (bool, String) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).and_then(|bytes| std::str::from_utf8(bytes).ok())
        }
        Err(_) => None,
    };
    if let Some(text) = text {
        return (true, text.chars().map(shown).collect());
    }
    (false, bytes.chunks(16).enumerate().map(|(at, line)| hex(at * 16, line)).collect())
}

/// A character; those that are not seen, or turn the text around, by their number.
fn shown(character: char) -> String {
    let turns = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let plain = matches!(character, '\n' | '\t') || !(character.is_control() || turns);
    if plain { character.to_string() } else { character.escape_unicode().to_string() }
}

/// A line of a dump: where, the bytes, and what of them is ASCII.
fn hex(at: usize, bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut line = format!("{at:08x} ");
    for slot in 0..16 {
        let _ = match bytes.get(slot) {
            Some(byte) => write!(line, " {byte:02x}"),
            None => write!(line, "   "),
        };
    }
    line.push_str("  ");
    let plain = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
    line.extend(bytes.iter().map(plain));
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_drawn_so_that_nothing_hides() {
        assert_eq!(drawn(b"{\"kind\":\n1}"), (true, "{\"kind\":\n1}".to_owned()));
        assert_eq!(drawn("a\u{202e}b\u{1b}[2J".as_bytes()).1, "a\\u{202e}b\\u{1b}[2J");
        // Cut within a character.
        assert_eq!(drawn(&"aé".as_bytes()[..2]), (true, "a".to_owned()));
        let (is_text, dump) = drawn(b"\xff\x00kind");
        assert!(
            !is_text && dump.starts_with("00000000  ff 00 6b 69") && dump.ends_with("  ..kind\n"),
            "{dump}"
        );
    }
}
