//! What counts as a right answer: meaning, not spelling.

use std::collections::BTreeSet;

use super::Many;

/// What is right.
#[derive(Debug)]
pub enum Answer {
    /// Any of these.
    Any(Many<String>),
    /// All of these, in any order.
    All(Vec<String>),
}

/// What is to be said of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// Of all that are asked for it names some, and perhaps others.
    Partly {
        /// How many it names.
        right: usize,
        /// How many there are.
        of: usize,
    },
    /// A number is asked for, and it has none or several.
    NoNumber,
    /// It is wrong.
    Wrong,
}

impl Answer {
    /// The answer as it is shown.
    pub fn shown(&self) -> String {
        match self {
            Self::Any(any) => any.all().first().cloned().unwrap_or_default(),
            Self::All(all) => all.join(", "),
        }
    }

    /// Judges a reply. Upper and lower case, quotes, blanks and the long name of a service account make no difference; of an
    /// audit id the first eight characters are enough.
    pub fn judge(&self, reply: &str) -> Verdict {
        match self {
            Self::Any(any) => one(any.all(), reply),
            Self::All(all) => several(all, reply),
        }
    }
}

fn one(any: &[String], reply: &str) -> Verdict {
    if any.iter().all(|right| right.parse::<u64>().is_ok()) {
        let Some(number) = number(reply) else { return Verdict::NoNumber };
        let right = any.iter().any(|right| right.parse() == Ok(number));
        return if right { Verdict::Right } else { Verdict::Wrong };
    }
    let reply = fold(reply);
    if any.iter().any(|right| same(&fold(right), &reply)) { Verdict::Right } else { Verdict::Wrong }
}

fn several(all: &[String], reply: &str) -> Verdict {
    let wanted: BTreeSet<String> = all.iter().map(|right| fold(right)).collect();
    let words = reply.split([',', ';', ' ', '\t']).map(fold);
    let named: BTreeSet<String> = words.filter(|word| !word.is_empty() && word != "and").collect();
    let right = wanted.iter().filter(|right| named.iter().any(|word| same(right, word))).count();
    match right {
        0 => Verdict::Wrong,
        _ if right == wanted.len() && named.len() == right => Verdict::Right,
        _ => Verdict::Partly { right, of: wanted.len() },
    }
}

/// Whether a folded reply means a folded answer.
fn same(right: &str, reply: &str) -> bool {
    let uuid = right.len() == 36 && right.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    right == reply || (uuid && reply.len() >= 8 && right.starts_with(reply))
}

/// The only whole number in a text, as people write them: `1,611` or `61 requests`.
fn number(text: &str) -> Option<u64> {
    let text: String = text.chars().filter(|c| !matches!(c, ',' | '\'' | '_')).collect();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let number = numbers.next()?.parse().ok()?;
    numbers.next().is_none().then_some(number)
}

/// A text without what makes no difference.
fn fold(text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '"' | '\'' | '`')).collect();
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let text = words.join(" ");
    let text = text.trim_end_matches(['.', '!', '?']);
    let text = ["the ", "a ", "an "].iter().find_map(|article| text.strip_prefix(article)).unwrap_or(text);
    text.strip_prefix("system:serviceaccount:").unwrap_or(text).replace(':', "/")
}

#[cfg(test)]
mod tests {
    use super::{Answer, Many, Verdict};

    fn any(right: &[&str]) -> Answer {
        Answer::Any(Many::Several(right.iter().map(|&right| right.to_owned()).collect()))
    }

    #[test]
    fn what_is_meant_counts() {
        let check = |right: &[&str], reply: &str, verdict: Verdict| {
            assert_eq!(any(right).judge(reply), verdict, "{right:?}: {reply}");
        };
        check(&["dave@corp.example"], " \"Dave@corp.example\". ", Verdict::Right);
        check(&["system:serviceaccount:orders:legacy-importer"], "orders/legacy-importer", Verdict::Right);
        check(&["system:serviceaccount:orders:legacy-importer"], "orders:legacy-importer", Verdict::Right);
        check(&["orders/legacy-importer"], "system:serviceaccount:orders:legacy-importer", Verdict::Right);
        check(&["system:masters"], "masters", Verdict::Wrong);
        check(&["group", "the group"], "The  Group", Verdict::Right);
        check(&["61"], "61 requests", Verdict::Right);
        check(&["1611"], "1,611", Verdict::Right);
        check(&["61"], "sixty-one", Verdict::NoNumber);
        check(&["61"], "61 or 62", Verdict::NoNumber);
        check(&["61"], "610", Verdict::Wrong);
        check(&["61"], "99999999999999999999999999", Verdict::NoNumber);
        let id = "3cbb5499-b2ec-4734-981b-78e264847716";
        check(&[id], "3CBB5499", Verdict::Right);
        check(&[id], "3cbb", Verdict::Wrong);
        check(&["no"], "", Verdict::Wrong);
    }

    #[test]
    fn of_several_all_are_asked_for() {
        let all = Answer::All(vec!["node-1".to_owned(), "node-2".to_owned()]);
        assert_eq!(all.judge("node-2 and node-1"), Verdict::Right);
        assert_eq!(all.judge("node-1,node-1"), Verdict::Partly { right: 1, of: 2 });
        assert_eq!(all.judge("node-1, node-2, node-3"), Verdict::Partly { right: 2, of: 2 });
        assert_eq!(all.judge("node-3"), Verdict::Wrong);
    }
}
