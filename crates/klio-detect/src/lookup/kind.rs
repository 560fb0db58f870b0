//! What an indicator is about, and the form in which values are compared.

use std::net::IpAddr;

use ipnet::IpNet;

use super::image;

/// Longer values are refused, in bytes; the API server cuts user agents at 1,024 characters.
const LONGEST: usize = 1024;
/// Bits of an address of version 4 written as one of version 6 that are the same for all (RFC 4291, 2.5.5.2).
const MAPPED: u8 = 96;
/// Characters in a row that a pattern needs; one that fits anything is a slip.
const LITERAL: usize = 3;

/// What an indicator is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `source.ip`: an address or a network.
    Address,
    /// `agent`, whole or with wildcards.
    Agent,
    /// The image of a container that is written.
    Image,
    /// `user` or `impersonated`, whole or with wildcards.
    User,
    /// `name`, or `namespace/name`, whole or with wildcards.
    Object,
    /// SHA-256: of an image's manifest, or of the certificate that was used.
    Hash,
    /// `credential`: `JTI=…` or `X509SHA256=…`.
    Credential,
}

impl Kind {
    /// All, with the words that lists use for them; the first is Klio's own.
    pub const ALL: [(Self, &'static [&'static str]); 7] = [
        (Self::Address, &["address", "ip", "cidr", "ipv4", "ipv6", "network"]),
        (Self::Agent, &["agent", "user-agent", "user_agent"]),
        (Self::Image, &["image"]),
        (Self::User, &["user"]),
        (Self::Object, &["object", "name"]),
        (Self::Hash, &["hash", "sha256", "sha-256"]),
        (Self::Credential, &["credential"]),
    ];

    /// The kind that a word means.
    pub fn named(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        Self::ALL.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(kind, _)| *kind)
    }

    /// What a value without a type most likely is.
    pub fn guess(value: &str) -> Option<Self> {
        if network(value).is_some() {
            return Some(Self::Address);
        }
        if hash(value).is_some() {
            return Some(Self::Hash);
        }
        if value.starts_with("JTI=") || value.starts_with("X509SHA256=") {
            return Some(Self::Credential);
        }
        if value.starts_with("system:") {
            return Some(Self::User);
        }
        if value.contains("@sha256:") {
            return Some(Self::Image);
        }
        if value.contains([' ', '(', ';']) {
            return Some(Self::Agent);
        }
        let Some((before, after)) = value.split_once('/') else {
            return value.contains('@').then_some(Self::User);
        };
        // `kube-hunter/1.0` and `kubectl/v1.36`, but `example/miner:1.0` and `registry.example/a`.
        let version = after.strip_prefix('v').unwrap_or(after).starts_with(|c: char| c.is_ascii_digit());
        let agent = value.contains('*') || (version && !after.contains(':') && !before.contains('.'));
        Some(if agent { Self::Agent } else { Self::Image })
    }

    /// Whether values may have wildcards.
    fn is_wild(self, value: &str) -> bool {
        matches!(self, Self::Agent | Self::User | Self::Object) && value.contains(['*', '?'])
    }
}

/// A value in the form in which it is compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Equal, byte for byte.
    Exact(Kind, Vec<u8>),
    /// A pattern.
    Wild(Kind, String),
}

impl Key {
    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn of(kind: Kind, value: &str) -> Result<Self, String> {
        if value.is_empty() {
            return Err("there is no value".to_owned());
        }
        if value.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
        if kind.is_wild(value) {
            let literal =
                value.split(['*', '?']).map(|piece| piece.chars().count()).max().unwrap_or_default();
            if literal < LITERAL {
                return Err(format!("`{value}` is too wide: a pattern needs {LITERAL} characters in a row"));
            }
            return Ok(Self::Wild(kind, value.to_owned()));
        }
        match kind {
            Kind::Address => network(value)
                .map(|net| Self::Exact(kind, address_key(net.addr(), net.prefix_len()).to_vec()))
                .ok_or_else(|| format!("`{value}` is neither an address nor a network such as 192.0.2.0/24")),
            Kind::Hash => hash(value)
                .map(|hash| Self::Exact(kind, hash.into_bytes()))
                .ok_or_else(|| format!("`{value}` is no SHA-256: 64 hexadecimal digits")),
            // A digest alone names whatever image has it.
            Kind::Image if hash(value).is_some() => Self::of(Kind::Hash, value),
            Kind::Image => image::Image::parse(value)
                .map(|image| Self::Exact(kind, image.key().into_bytes()))
                .ok_or_else(|| format!("`{value}` is no image such as registry.example/name:tag")),
            Kind::Credential if !value.starts_with("JTI=") && !value.starts_with("X509SHA256=") => {
                Err(format!("`{value}` is no credential: JTI=… or X509SHA256=…"))
            }
            _ => Ok(Self::Exact(kind, value.as_bytes().to_vec())),
        }
    }
}

/// An address or a network; also one that was made harmless to click on, as in `192.0.2[.]1`.
fn network(value: &str) -> Option<IpNet> {
    let plain = value.replace("[.]", ".").replace("[:]", ":");
    let one = plain.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    plain.parse::<IpNet>().or(one).ok().map(|net| net.trunc())
}

/// The digits of a SHA-256 in lower case.
fn hash(value: &str) -> Option<String> {
    let digits = value.strip_prefix("sha256:").unwrap_or(value);
    let right = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    right.then(|| digits.to_ascii_lowercase())
}

/// The network of an address with so many bits, as it is compared: 16 bytes and the bits.
pub(super) fn address_key(ip: IpAddr, bits: u8) -> [u8; 17] {
    let (number, bits) = match ip {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), bits.saturating_add(MAPPED)),
        IpAddr::V6(v6) => (v6.to_bits(), bits),
    };
    let kept = number & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    let mut key = [0; 17];
    key[..16].copy_from_slice(&kept.to_be_bytes());
    key[16] = bits;
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_a_type_is_what_it_looks_like() {
        for (value, kind) in [
            ("203.0.113.7", Some(Kind::Address)),
            ("198.51.100[.]7", Some(Kind::Address)),
            ("2001:db8::/32", Some(Kind::Address)),
            ("kube-hunter/1.0", Some(Kind::Agent)),
            ("peirates*/x", Some(Kind::Agent)),
            ("Mozilla/5.0 (X11)", Some(Kind::Agent)),
            ("example/miner:6.2", Some(Kind::Image)),
            ("registry.example/2048", Some(Kind::Image)),
            ("system:serviceaccount:shop:cart", Some(Kind::User)),
            ("mallory@example.com", Some(Kind::User)),
            ("JTI=90f3b7c9", Some(Kind::Credential)),
            (&"ab".repeat(32), Some(Kind::Hash)),
            ("miner", None),
        ] {
            assert_eq!(Kind::guess(value), kind, "{value}");
        }
    }

    #[test]
    fn values_are_compared_in_one_form() {
        let same = |kind, a: &str, b: &str| assert_eq!(Key::of(kind, a).unwrap(), Key::of(kind, b).unwrap());
        same(Kind::Address, "203.0.113.77/24", "203.0.113.0/24");
        same(Kind::Address, "::ffff:203.0.113.7", "203.0.113.7/32");
        same(Kind::Image, "miner", "docker.io/library/miner");
        same(Kind::Hash, &"AB".repeat(32), &format!("sha256:{}", "ab".repeat(32)));
        assert!(Key::of(Kind::Agent, "*a*").unwrap_err().contains("too wide"));
        assert!(Key::of(Kind::Address, "203.0.113").unwrap_err().contains("neither"));
    }
}
