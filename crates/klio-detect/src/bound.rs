//! Texts that clients choose, cut where they are kept for long: what is kept is then bounded in bytes.

use klio_model::Actor;

/// Bytes of a name, a user agent or a value.
const TEXT: usize = 512;
/// Groups of an actor.
const GROUPS: usize = 64;

/// The text's beginning, at most so many bytes.
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Cuts a text in place, and shows it.
pub(crate) fn shorten(text: &mut String, most: usize) {
    let kept = cut(text, most).len();
    if kept < text.len() {
        text.truncate(kept);
        text.push('…');
        text.shrink_to_fit();
    }
}

/// Cuts a text that may be missing.
pub(crate) fn option(text: &mut Option<String>) {
    if let Some(text) = text {
        shorten(text, TEXT);
    }
}

/// Cuts the texts of an actor.
pub(crate) fn actor(actor: &mut Actor) {
    actor.groups.truncate(GROUPS);
    actor.groups.iter_mut().for_each(|group| shorten(group, TEXT));
    for text in [
        &mut actor.user,
        &mut actor.impersonated,
        &mut actor.source_ip,
        &mut actor.source_org,
        &mut actor.user_agent,
        &mut actor.credential,
    ] {
        option(text);
    }
}

/// About how many bytes an actor takes beside its own size.
pub(crate) fn bytes_of(actor: &Actor) -> usize {
    let texts = [
        &actor.user,
        &actor.impersonated,
        &actor.source_ip,
        &actor.source_country,
        &actor.source_org,
        &actor.user_agent,
        &actor.credential,
    ];
    let groups = actor.groups.iter().map(|group| size_of::<String>() + group.len());
    texts.into_iter().flatten().map(String::len).chain(groups).sum()
}
