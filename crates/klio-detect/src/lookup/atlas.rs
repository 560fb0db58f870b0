//! Where addresses lie, by MaxMind DB files (<https://maxmind.github.io/MaxMind-DB/>).

use std::net::IpAddr;
use std::sync::Arc;

use klio_model::Place;
use klio_model::event::SourceScope;
use maxminddb::{MaxMindDbError, PathElement, Reader};
use thiserror::Error;

/// Records of a new database that are looked at, to see whether it holds what is needed.
const TRIED: usize = 200;
/// Longer names of organisations are cut, in characters.
const NAME: usize = 120;

/// Paths to a value in the records of the makers, in the order in which they are tried: GeoIP2 and GeoLite2, which
/// DB-IP follows; then IPinfo, whose `country` is a code in older files and a name in newer ones.
type Paths = &'static [&'static [&'static str]];
const COUNTRY: Paths =
    &[&["country", "iso_code"], &["country_code"], &["country"], &["registered_country", "iso_code"]];
const ASN: Paths = &[&["autonomous_system_number"], &["asn"], &["traits", "autonomous_system_number"]];
const ORG: Paths = &[
    &["autonomous_system_organization"],
    &["as_name"],
    &["traits", "autonomous_system_organization"],
    &["organization"],
    &["name"],
];

/// Databases; of several that know an address the first counts, value by value.
#[derive(Debug, Default)]
pub struct Atlas {
    books: Vec<Reader<Vec<u8>>>,
}

/// Why a file is no database that can be used.
#[derive(Debug, Error)]
pub enum AtlasError {
    /// It cannot be read.
    #[error("no MaxMind DB file, or a damaged one: {0}")]
    Damaged(#[from] MaxMindDbError),
    /// It holds neither countries nor networks.
    #[error("a database of type `{0}` without countries and networks")]
    Other(String),
}

impl Atlas {
    /// Adds a database.
    ///
    /// # Errors
    /// [`AtlasError`] if it is damaged, or about something else.
    pub fn add(&mut self, bytes: Vec<u8>) -> Result<(), AtlasError> {
        let book = Reader::from_source(bytes)?;
        let mut useful = false;
        for found in book.networks(maxminddb::WithinOptions::default())?.take(TRIED) {
            let mut place = Place::default();
            look(&found?, &mut place);
            useful |= place.country.is_some() || place.asn.is_some();
            if useful {
                break;
            }
        }
        if !useful {
            return Err(AtlasError::Other(book.metadata().database_type.chars().take(NAME).collect()));
        }
        self.books.push(book);
        Ok(())
    }

    /// Where an address lies.
    pub fn find(&self, ip: IpAddr) -> Place {
        let ip = ip.to_canonical();
        let mut place = Place { nowhere: SourceScope::of_ip(ip) != SourceScope::Public, ..Place::default() };
        if place.nowhere {
            return place;
        }
        for book in &self.books {
            // A record that cannot be read says nothing.
            if let Ok(found) = book.lookup(ip) {
                look(&found, &mut place);
            }
        }
        place
    }
}

type Found<'b> = maxminddb::LookupResult<'b, Vec<u8>>;

/// Fills in what is not known yet.
fn look(found: &Found<'_>, place: &mut Place) {
    if place.country.is_none() {
        let country = first(COUNTRY, |path| text(found, path).filter(|code| is_code(code)));
        place.country = country.map(|code| code.to_ascii_uppercase().into());
    }
    if place.asn.is_none() {
        place.asn = first(ASN, |path| number(found, path));
        // Only beside a number: `name` alone may be of anything.
        let org = place.asn.and_then(|_| first(ORG, |path| text(found, path)));
        place.org = org.map(|org| Arc::from(org.chars().take(NAME).collect::<String>()));
    }
}

fn first<T>(paths: Paths, f: impl FnMut(&&'static [&'static str]) -> Option<T>) -> Option<T> {
    paths.iter().find_map(f)
}

fn keys(path: &[&'static str]) -> Vec<PathElement<'static>> {
    path.iter().map(|key| PathElement::Key(key)).collect()
}

fn text<'b>(found: &Found<'b>, path: &[&'static str]) -> Option<&'b str> {
    found.decode_path::<&str>(&keys(path)).ok().flatten().filter(|text| !text.is_empty())
}

/// A number of whatever type, or a text such as `AS64496`; RFC 6793 gives it 32 bits.
fn number(found: &Found<'_>, path: &[&'static str]) -> Option<i64> {
    let asn = found.decode_path::<i64>(&keys(path)).ok().flatten();
    let written = || text(found, path)?.trim_start_matches(['A', 'S', 'a', 's']).parse().ok();
    asn.or_else(written).filter(|asn| (1..=i64::from(u32::MAX)).contains(asn))
}

fn is_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())
}
