//! The numbers by which events, requests and sessions are told apart.

use std::hash::BuildHasher as _;

use klio_detect::story::stranger;
use klio_model::event::{SourceScope, UserKind};
use klio_model::{Event, Field};
use xxhash_rust::xxh3::xxh3_64;

/// Mixes two hashes (the finalizer of SplitMix64, Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A key for hashing contents, new in each run: whoever writes events cannot know it.
pub(super) fn secret() -> Box<[u8; 192]> {
    let random = foldhash::quality::RandomState::default();
    let mut secret = Box::new([0; 192]);
    for (i, word) in secret.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = random.hash_one(i).to_le_bytes();
    }
    secret
}

/// Makes ids of findings differ from cluster to cluster, so that none can hide another's. The cluster that is not named adds
/// nothing.
pub(super) fn salt(cluster: Option<&str>) -> u64 {
    cluster.map_or(0, |cluster| xxh3_64(cluster.as_bytes()) ^ xxh3_64(b"default"))
}

/// Stands for a text.
#[cfg(feature = "lake")]
pub(super) fn text(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Stands for a request: its audit id and the time it was received.
pub(super) fn request_key(audit_id_hash: u64, time: i64) -> u64 {
    mix(audit_id_hash, time as u64)
}

/// Who acts and from where.
pub(super) fn actor(event: &Event<'_>) -> u64 {
    let hash = |field: Field| event.text_of(field).map_or(1, |t| xxh3_64(t.as_bytes()));
    mix(hash(Field::User), hash(Field::SourceIp))
}

/// With which credential and client [`actor`] acts. The raw text of `user.extra` stands for the credential: it holds the
/// credential's id and the pod it is bound to.
pub(super) fn session(event: &Event<'_>, kind: UserKind, actor: u64) -> u64 {
    let mut key = actor;
    if kind != UserKind::Anonymous {
        // `kubectl/v1.32.4 (linux/amd64) kubernetes/8985ff5`: the product tells clients apart, its build does not.
        let agent = event.text_of(Field::UserAgent).unwrap_or_default();
        let agent = agent.as_bytes();
        let product = &agent[..memchr::memchr(b' ', agent).unwrap_or(agent.len())];
        key = mix(key, xxh3_64(product));
    }
    mix(key, event.user.extra.text().map_or(2, |t| xxh3_64(t.as_bytes())))
}

/// Stands for a person, an account or a client without a name at a public address; 0 for everybody else.
pub(super) fn place_of(event: &Event<'_>, kind: UserKind) -> u64 {
    let address = event.text_of(Field::SourceIp).unwrap_or_default();
    if SourceScope::of(address) != Some(SourceScope::Public) {
        return 0;
    }
    match kind {
        UserKind::Human | UserKind::ServiceAccount => {
            stranger(event.text_of(Field::User).unwrap_or_default(), address)
        }
        UserKind::Anonymous | UserKind::Unauthenticated => stranger("", address),
        _ => 0,
    }
}

/// Requests that live long have a ResponseStarted event as well as a ResponseComplete event.
pub(super) fn is_long(event: &Event<'_>) -> bool {
    event.code == Some(101)
        || event.text_of(Field::Verb) == Some("watch")
        || matches!(
            event.text_of(Field::Subresource),
            Some("exec" | "attach" | "portforward" | "proxy" | "log")
        )
}
