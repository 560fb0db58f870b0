//! A recorded event cut at the bytes that vary; everything between the cuts is copied as it was.

use std::collections::HashMap;

use memchr::memmem;
use sonic_rs::Deserialize;

use super::clock::{self, Stamp};
use crate::rng::Rng;

/// One recorded event, ready to be written with new values.
#[derive(Debug)]
pub struct Template {
    raw: Vec<u8>,
    cuts: Vec<Cut>,
    /// 0 Metadata, 1 Request, 2 RequestResponse.
    pub level: usize,
    /// Microseconds from the request's arrival to this stage.
    pub stage_after: i64,
}

/// The recorded stages of one request.
#[derive(Debug)]
pub struct Request {
    /// The recorded audit id, replaced in everything written.
    pub audit_id: String,
    /// Its stages, as recorded.
    pub events: Vec<Template>,
}

/// What differs from one copy of a request to the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variation {
    id: [u64; 2],
    tenant: u64,
    person: u64,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    start: usize,
    end: usize,
    put: Put,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    AuditId,
    Received,
    Stage,
    /// After the name of an application's namespace: `-7`.
    Tenant,
    /// Inside a person's name, before the `@`: `.7`.
    Person,
}

impl Variation {
    /// The variation of the `round`th copy; round 0 keeps names as they were recorded.
    pub const fn new(rng: &mut Rng, round: u64) -> Self {
        let id = [rng.next(), rng.next()];
        let (tenant, person) = if round == 0 { (0, 0) } else { (rng.below(40), rng.below(25)) };
        Self { id, tenant, person }
    }
}

/// The scalars that decide how an event is cut.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    level: &'a str,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    request_received_timestamp: &'a str,
    stage_timestamp: &'a str,
    #[serde(default)]
    object_ref: Option<Object<'a>>,
}

#[derive(Deserialize, Default)]
struct Object<'a> {
    #[serde(default)]
    namespace: Option<&'a str>,
}

/// Groups the events of a log by audit id in order of first appearance, keeping those that `wanted`
/// accepts by level and length.
pub fn requests(lines: &[Vec<u8>], wanted: impl Fn(usize, usize) -> bool) -> Vec<Request> {
    let mut found: Vec<Request> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for line in lines {
        let Ok(head) = sonic_rs::from_slice::<Head<'_>>(line) else { continue };
        let level = match head.level {
            "Metadata" => 0,
            "Request" => 1,
            "RequestResponse" => 2,
            _ => continue,
        };
        let Some(template) = Template::cut(line, level, &head) else { continue };
        if !wanted(level, line.len()) {
            continue;
        }
        let at = *by_id.entry(head.audit_id.to_owned()).or_insert_with(|| {
            found.push(Request { audit_id: head.audit_id.to_owned(), events: Vec::new() });
            found.len() - 1
        });
        found[at].events.push(template);
    }
    found
}

impl Template {
    fn cut(line: &[u8], level: usize, head: &Head<'_>) -> Option<Self> {
        let received = clock::parse(head.request_received_timestamp)?;
        let stage = clock::parse(head.stage_timestamp)?;
        let mut cuts = Vec::new();
        for (key, value, put) in [
            ("auditID", head.audit_id, Put::AuditId),
            ("requestReceivedTimestamp", head.request_received_timestamp, Put::Received),
            ("stageTimestamp", head.stage_timestamp, Put::Stage),
        ] {
            // The last occurrence for times: bodies come before them.
            let needle = format!("\"{key}\":\"{value}\"");
            let at = if put == Put::AuditId {
                memmem::find(line, needle.as_bytes())?
            } else {
                memmem::rfind(line, needle.as_bytes())?
            };
            let end = at + needle.len() - 1;
            cuts.push(Cut { start: end - value.len(), end, put });
        }
        let namespace = head.object_ref.as_ref().and_then(|o| o.namespace).unwrap_or_default();
        if !namespace.is_empty() && !namespace.starts_with("kube-") && namespace != "default" {
            for at in memmem::find_iter(line, namespace.as_bytes()) {
                let end = at + namespace.len();
                if !in_word(line, at.wrapping_sub(1)) && !in_word(line, end) {
                    cuts.push(Cut { start: end, end, put: Put::Tenant });
                }
            }
        }
        for at in memmem::find_iter(line, b"@corp.example") {
            cuts.push(Cut { start: at, end: at, put: Put::Person });
        }
        cuts.sort_by_key(|cut| (cut.start, cut.end));
        // A cut inside an earlier one (a namespace named within an id) would write bytes twice.
        let mut upto = 0;
        cuts.retain(|cut| {
            let keep = cut.start >= upto;
            upto = upto.max(cut.end);
            keep
        });
        Some(Self { raw: line.to_vec(), cuts, level, stage_after: (stage - received).max(0) })
    }

    /// Bytes as recorded, without the line end.
    pub const fn len(&self) -> usize {
        self.raw.len()
    }

    /// Appends one copy as a line.
    pub fn write(&self, vary: &Variation, received: i64, stage: i64, stamp: &mut Stamp, out: &mut Vec<u8>) {
        let mut from = 0;
        for cut in &self.cuts {
            out.extend_from_slice(&self.raw[from..cut.start]);
            match cut.put {
                Put::AuditId => uuid(vary.id, out),
                Put::Received => stamp.write(received, out),
                Put::Stage => stamp.write(stage, out),
                Put::Tenant => number(b'-', vary.tenant, out),
                Put::Person => number(b'.', vary.person, out),
            }
            from = cut.end;
        }
        out.extend_from_slice(&self.raw[from..]);
        out.push(b'\n');
    }
}

/// Whether the byte at `at` continues a DNS label (RFC 1123), which namespaces are.
fn in_word(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// Appends nothing for 0, else the separator and the number.
fn number(separator: u8, value: u64, out: &mut Vec<u8>) {
    if value > 0 {
        out.push(separator);
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

/// Appends a random UUID (RFC 9562, version 4), the form the apiserver gives audit ids.
fn uuid(bits: [u64; 2], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = (bits[0] & !0xF000) | 0x4000;
    let low = (bits[1] & !(0b11 << 62)) | (0b10 << 62);
    for (place, shift) in (0..32).map(|nibble| (nibble, 60 - (nibble % 16) * 4)) {
        if matches!(place, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        let word = if place < 16 { high } else { low };
        out.push(HEX[((word >> shift) & 0xF) as usize]);
    }
}
