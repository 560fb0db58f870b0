//! Random filters over the whole registry, of values that the events have and of others.

use klio_model::field::FIELDS;
use klio_model::filter::{
    Case, Comparison, Matcher, Piece, Quantifier, RegexMatch, Test, TextMatch, TimePart,
};
use klio_model::{Event, Field, FieldRef, Filter, TimeRange, Timestamp};

use crate::random::Random;

const PATHS: &[&str] = &[
    "annotations.authorization.k8s.io/decision",
    "annotations.authorization.k8s.io/reason",
    "request.spec.containers.image",
    "request.metadata.name",
    "request.kind",
    "response.metadata.uid",
    "response.kind",
    "response.code",
    "pod.hostPID",
    "pod.metadata.labels",
    "container.image",
    "container.securityContext.privileged",
    "user.extra.authentication.kubernetes.io/credential-id",
    "groups.0",
    "uri.param.dryRun",
    "uri.param.command",
    "event.kind",
    "event.user.username",
    "event.responseStatus.code",
    "falco.ka.verb",
    "falco.ka.user.name",
    "falco.ka.target.name",
    "falco.ka.target.namespace",
    "falco.ka.target.resource",
    "falco.ka.target.subresource",
    "falco.ka.uri",
    "falco.ka.response.code",
    "falco.ka.response.reason",
    "falco.ka.useragent",
    "falco.ka.user.groups",
    "falco.ka.auth.decision",
    "falco.ka.req.pod.volumes.hostpath",
    "falco.ka.req.container.privileged",
    "falco.ka.req.pod.containers.image",
    "falco.ka.req.binding.role",
    "falco.ka.sourceips",
    "falco.ka.stage",
    "falco.ka.auditid",
    "falco.ka.impuser.name",
    "falco.ka.resp.name",
    "falco.ka.req.role.rules.verbs",
    "falco.jevt.value//verb",
];

const NETS: &[&str] = &["10.0.0.0/8", "0.0.0.0/0", "::1/128", "192.168.0.0/16", "127.0.0.0/8", "1.2.3.4/32"];

/// What the events hold, for filters that find something.
pub struct Values {
    fields: Vec<(FieldRef, Vec<String>)>,
    words: Vec<String>,
    times: Vec<i64>,
}

impl Values {
    pub fn of(events: &[String]) -> Self {
        let names = FIELDS.iter().map(|i| i.name).chain(PATHS.iter().copied());
        let mut fields: Vec<(FieldRef, Vec<String>)> =
            names.map(|n| (FieldRef::parse(n).unwrap_or_else(|e| panic!("{e}")), Vec::new())).collect();
        fields.push((FieldRef::below(Field::User, "odd"), Vec::new()));
        let (mut words, mut times) = (Vec::new(), Vec::new());
        for (number, text) in events.iter().enumerate() {
            let event = Event::parse(text).unwrap();
            times.extend(event.time().map(Timestamp::micros));
            if number % 7 == 0 {
                words.extend(
                    text.split(['"', ',', ':', '/']).filter(|w| w.len() > 2).step_by(9).map(str::to_owned),
                );
            }
            for (field, values) in &mut fields {
                if values.len() < 60 {
                    values.extend(field.values(&event).into_iter().take(3));
                }
            }
        }
        Self { fields, words, times }
    }
}

pub fn range(random: &mut Random, values: &Values) -> TimeRange {
    let side = |random: &mut Random| {
        let jitter = [0, 1, -1, 60_000_000, -3_600_000_000];
        Some(Timestamp(random.pick(&values.times) + random.pick(&jitter)))
    };
    match random.below(6) {
        0 => TimeRange { start: side(random), end: None },
        1 => TimeRange { start: None, end: side(random) },
        2 => {
            let (a, b) = (side(random), side(random));
            TimeRange { start: a.min(b), end: a.max(b) }
        }
        _ => TimeRange::default(),
    }
}

pub fn filter(random: &mut Random, values: &Values, depth: usize) -> Filter {
    let some = |random: &mut Random| {
        (0..1 + random.below(3)).map(|_| filter(random, values, depth - 1)).collect::<Vec<_>>()
    };
    match if depth == 0 { 3 + random.below(20) } else { random.below(12) } {
        0 => Filter::And(some(random)),
        1 => Filter::Or(some(random)),
        2 => Filter::Not(Box::new(filter(random, values, depth - 1))),
        3 => match random.below(9) {
            0 => Filter::All,
            1 => Filter::Nothing,
            2 => Filter::And(Vec::new()),
            3 => Filter::Or(Vec::new()),
            _ => {
                let word = random.pick(&values.words).clone();
                Filter::Keyword(text(random, &[word]))
            }
        },
        _ => test(random, values),
    }
}

fn test(random: &mut Random, values: &Values) -> Filter {
    let (field, own) = random.pick(&values.fields);
    let own: Vec<String> = if random.below(12) == 0 { values.words.clone() } else { own.clone() };
    let quantifier = if random.below(4) == 0 { Quantifier::Every } else { Quantifier::Any };
    let comparisons = [Comparison::Less, Comparison::AtMost, Comparison::Greater, Comparison::AtLeast];
    let timed = matches!(field.field(), Field::Time | Field::StageTime);
    let matcher = match if timed && random.below(3) > 0 { 8 + random.below(2) } else { random.below(12) } {
        0 => Matcher::Present,
        1 | 2 => Matcher::OneOf((0..random.below(4)).map(|_| text(random, &own)).collect::<Vec<_>>().into()),
        3 => {
            let word = own.get(random.below(own.len())).cloned().unwrap_or_default();
            let word: String = word.chars().take(6).filter(|c| c.is_alphanumeric() || *c == '-').collect();
            let source = match random.below(4) {
                0 => format!("^{word}"),
                1 => format!("{word}.*"),
                2 => format!("(?:{word}|x)$"),
                _ => String::new(),
            };
            let flags = *random.pick(&["", "i", "s"]);
            Matcher::Regex(RegexMatch::new(&source, flags).unwrap())
        }
        4 => {
            let text = format!("source.ip:cidr({})", random.pick(NETS));
            match Filter::parse(&text) {
                Ok(Filter::Test(test)) => test.matcher,
                _ => Matcher::Present,
            }
        }
        5 => Matcher::Compare(
            *random.pick(&comparisons),
            *random.pick(&[0.0, 200.0, 201.0, 399.5, 404.0, 500.0, -1.0, 1e18]),
        ),
        6 => Matcher::Same(random.pick(&values.fields).0.clone()),
        7 => {
            let (part, _) = random.pick(&TimePart::ALL);
            Matcher::TimePart(*part, random.below(60) as i64)
        }
        8 | 9 if random.below(4) > 0 => Matcher::When(
            *random.pick(&comparisons),
            Timestamp(random.pick(&values.times) + random.below(3) as i64 - 1),
        ),
        _ => Matcher::Text(text(random, &own)),
    };
    Filter::Test(Test { field: field.clone(), quantifier, matcher })
}

fn text(random: &mut Random, own: &[String]) -> TextMatch {
    let case = if random.below(4) == 0 { Case::Sensitive } else { Case::Insensitive };
    let mut word = own.get(random.below(own.len())).cloned().unwrap_or_else(|| "x".to_owned());
    match random.below(8) {
        0 => word = word.to_uppercase(),
        1 => word = word.to_lowercase(),
        _ => {}
    }
    let count = word.chars().count();
    let (from, to) = (random.below(count + 1), random.below(count + 1));
    let part = |a: usize, b: usize| Piece::Literal(word.chars().skip(a).take(b.saturating_sub(a)).collect());
    let pieces = match random.below(9) {
        0 => vec![part(0, from), Piece::Many],
        1 => vec![Piece::Many, part(from, count)],
        2 => vec![Piece::Many, part(from.min(to), from.max(to)), Piece::Many],
        3 => vec![part(0, from.min(to)), Piece::Many, part(from.max(to), count)],
        4 if count > 0 => {
            vec![part(0, from.min(count - 1)), Piece::One, part(from.min(count - 1) + 1, count)]
        }
        5 => vec![Piece::Many],
        _ => vec![part(0, count)],
    };
    TextMatch::new(pieces, case)
}
