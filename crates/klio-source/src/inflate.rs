//! Inflates gzip (RFC 1952, all members) and zstd (RFC 8878, all frames), chosen by magic bytes, also one inside the
//! other as Firehose does. Streaming, with a cap on the total ratio against bombs.

use std::io::{self, BufReader, Cursor, Read};

use crate::meter::{Meter, Metered};
use crate::{Options, Reason};

/// Layers of compression that are opened; more is no log.
const LAYERS: usize = 3;
/// Bytes looked at to recognise a format; a tar header is told at 257.
const HEAD: usize = 512;

/// An input's bytes after all layers of compression.
pub(crate) struct Inflated {
    reader: Box<dyn Read + Send>,
    packed: Meter,
    plain: bool,
}

/// An error that carries the reason to show.
#[derive(Debug)]
struct Stop(Reason);

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl Inflated {
    /// Opens the layers of `source`.
    pub(crate) fn open(source: Box<dyn Read + Send>, options: &Options) -> Result<Self, Reason> {
        let packed = Meter::default();
        let mut reader: Box<dyn Read + Send> = Box::new(Metered::new(source, packed.clone()));
        for layer in 0..=LAYERS {
            let (head, flaw) = head(&mut reader);
            let kind = kind(&head);
            if head.is_empty()
                && let Some(flaw) = flaw
            {
                return Err(reason(flaw));
            }
            let whole = Cursor::new(head).chain(Broken(flaw)).chain(reader);
            let guard = |format, inner| Guard {
                inner,
                format,
                packed: packed.clone(),
                at: 0,
                cap: options.ratio_cap,
                grace: options.ratio_grace,
            };
            reader = match kind {
                Kind::Plain => return Ok(Self { reader: Box::new(whole), packed, plain: layer == 0 }),
                Kind::Container(what, advice) => return Err(Reason::Container { what, advice }),
                _ if layer == LAYERS => {
                    return Err(Reason::Container {
                        what: "compressed over and over",
                        advice: "inflate it first",
                    });
                }
                Kind::Gzip => {
                    let inner =
                        flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(64 << 10, whole));
                    Box::new(guard("gzip", Box::new(inner) as Box<dyn Read + Send>))
                }
                Kind::Zstd => {
                    let inner =
                        zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(128 << 10, whole));
                    let inner =
                        inner.map_err(|e| Reason::Damaged { format: "zstd", at: 0, why: e.to_string() })?;
                    Box::new(guard("zstd", Box::new(inner) as Box<dyn Read + Send>))
                }
            };
        }
        Err(Reason::TooDeep)
    }

    /// Takes `source` as it is, whatever it looks like.
    pub(crate) fn plain(source: Box<dyn Read + Send>) -> Self {
        Self { reader: source, packed: Meter::default(), plain: true }
    }

    /// Bytes read from the source so far (compressed).
    pub(crate) fn packed(&self) -> u64 {
        self.packed.get()
    }

    /// Whether nothing was packed.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Writes up to `want` bytes into `buf` after the first `filled`, and adds them to it. `Ok(true)` at the end of the
    /// input. The buffer grows when it must and keeps its length, so that its room is cleared once only.
    pub(crate) fn fill(
        &mut self,
        buf: &mut Vec<u8>,
        filled: &mut usize,
        want: usize,
    ) -> Result<bool, Reason> {
        let end = *filled + want;
        if buf.len() < end {
            buf.resize(end, 0);
        }
        while *filled < end {
            match self.reader.read(&mut buf[*filled..end]) {
                Ok(0) => return Ok(true),
                Ok(n) => *filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(reason(e)),
            }
        }
        Ok(false)
    }
}

fn reason(e: io::Error) -> Reason {
    let why = e.to_string();
    match e.into_inner().and_then(|inner| inner.downcast::<Stop>().ok()) {
        Some(stop) => stop.0,
        None => Reason::Unreadable { why },
    }
}

/// The first bytes, and the error that came right after them, if one did.
fn head(reader: &mut dyn Read) -> (Vec<u8>, Option<io::Error>) {
    let mut head = Vec::with_capacity(HEAD);
    let flaw = reader.take(HEAD as u64).read_to_end(&mut head).err();
    (head, flaw)
}

/// Gives back an error met while looking at the head, at its place in the stream.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

enum Kind {
    Gzip,
    Zstd,
    Plain,
    Container(&'static str, &'static str),
}

fn kind(head: &[u8]) -> Kind {
    match head {
        [0x1f, 0x8b, 8, ..] => Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd, // a skippable frame may come first
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Kind::Container("an xz file", "inflate it: xz -dc FILE | klio … -")
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
            Kind::Container("a bzip2 file", "inflate it: bzip2 -dc FILE | klio … -")
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => Kind::Container("an lz4 file", "inflate it: lz4 -dc FILE | klio … -"),
        [b'P', b'K', 3, 4, ..] => Kind::Container("a zip archive", "unpack it and name the directory"),
        [b'P', b'A', b'R', b'1', ..] => Kind::Container("a Parquet file", "export it as JSON lines"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Kind::Container("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE | klio … -")
        }
        _ if head.get(257..262) == Some(b"ustar") => {
            Kind::Container("a tar archive", "unpack it and name the directory")
        }
        _ => Kind::Plain,
    }
}

/// Names the format in errors and stops bombs.
struct Guard {
    inner: Box<dyn Read + Send>,
    format: &'static str,
    packed: Meter,
    at: u64,
    cap: u64,
    grace: u64,
}

impl Read for Guard {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = match self.inner.read(buf) {
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let inner = e.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Stop>);
                if inner {
                    return Err(e);
                }
                let why = e.to_string();
                return Err(io::Error::other(Stop(Reason::Damaged {
                    format: self.format,
                    at: self.at,
                    why,
                })));
            }
        };
        self.at += got as u64;
        let packed = self.packed.get();
        if self.at > self.grace && self.at / self.cap > packed {
            let bomb = Reason::Bomb { format: self.format, limit: self.cap, packed, at: self.at };
            return Err(io::Error::other(Stop(bomb)));
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(b: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        e.write_all(b).unwrap();
        e.finish().unwrap()
    }

    fn zst(b: &[u8]) -> Vec<u8> {
        zstd::encode_all(b, 3).unwrap()
    }

    fn all(bytes: Vec<u8>) -> (Vec<u8>, Option<Reason>) {
        let mut out = Vec::new();
        let mut open = match Inflated::open(Box::new(Cursor::new(bytes)), &Options::default()) {
            Ok(open) => open,
            Err(e) => return (out, Some(e)),
        };
        let mut filled = 0;
        loop {
            let over = open.fill(&mut out, &mut filled, 1 << 20);
            if !matches!(over, Ok(false)) {
                out.truncate(filled);
                return (out, over.err());
            }
        }
    }

    #[test]
    fn members_frames_and_layers_are_all_read() {
        let two = |f: fn(&[u8]) -> Vec<u8>| [f(b"one\n"), f(b"two\n")].concat();
        for packed in [two(gz), two(zst), gz(&two(gz)), zst(&two(gz)), two(<[u8]>::to_vec)] {
            assert_eq!(all(packed), (b"one\ntwo\n".to_vec(), None));
        }
    }

    #[test]
    fn a_cut_stream_keeps_what_came_before_it() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for packed in [gz(&text), zst(&text)] {
            let (got, why) = all(packed[..packed.len() / 2].to_vec());
            assert!(!got.is_empty() && text.starts_with(&got));
            assert!(matches!(why, Some(Reason::Damaged { .. })), "{why:?}");
        }
    }

    #[test]
    fn a_bomb_stops_early() {
        let zeros = vec![0u8; 100 << 20];
        let (got, why) = all(gz(&zeros));
        assert!(matches!(why, Some(Reason::Bomb { .. })), "{why:?}");
        assert!(got.len() < 70 << 20);
        let (_, why) = all(zst(&zeros));
        assert!(matches!(why, Some(Reason::Bomb { .. })), "{why:?}");
    }

    #[test]
    fn containers_are_named() {
        for magic in [&b"PK\x03\x04...."[..], b"BZh91AY", b"\xfd7zXZ\0", b"\xff\xfe{\0"] {
            assert!(matches!(all(magic.to_vec()).1, Some(Reason::Container { .. })));
        }
    }
}
