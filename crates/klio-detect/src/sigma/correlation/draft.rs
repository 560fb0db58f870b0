//! Reading one correlation document, before it is joined with the rules that it names.

use crate::correlate::{Correlation, CorrelationKind, Relation};
use crate::rule::{Dialect, RuleFile};
use crate::sigma::alias;
use crate::sigma::meta;
use crate::sigma::notes::{Notes, nearest};
use crate::sigma::yaml::{self, Document, Node};

/// Counting further needs more memory than a correlation may take.
const MAX_COUNT: f64 = 65_536.0;
/// Windows are at most a year and a day long.
const MAX_TIMESPAN: i64 = 366 * 86_400;

const TYPES: &[&str] = &[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
];
const KEYS: &[&str] = &["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];

/// A correlation whose sources are not resolved.
pub(super) struct Draft<'d> {
    pub(super) root: &'d Node,
    pub(super) correlation: Correlation,
    pub(super) notes: Notes,
    pub(super) rules: Vec<&'d Node>,
    /// Keys of `group-by` as written.
    pub(super) group: Vec<(&'d Node, String)>,
    /// Fields of the condition as written.
    pub(super) counted: Vec<(&'d Node, String)>,
    /// Alias, then rule and field.
    pub(super) aliases: Vec<(String, Vec<(String, String)>)>,
    pub(super) generate: bool,
    /// Whether it says its level.
    pub(super) levelled: bool,
}

pub(super) fn read<'d>(dialect: Dialect, file: &RuleFile, document: &'d Document<'_>) -> Draft<'d> {
    let root = &document.root;
    let mut notes = Notes::default();
    let (about, levelled) = meta::read(dialect, file, document, &mut notes);
    let correlation = Correlation {
        about,
        kind: CorrelationKind::EventCount,
        sources: Vec::new(),
        group_by: Vec::new(),
        timespan: 0,
        condition: Vec::new(),
        carries: Vec::new(),
    };
    let mut draft = Draft {
        root,
        correlation,
        notes,
        rules: Vec::new(),
        group: Vec::new(),
        counted: Vec::new(),
        aliases: Vec::new(),
        generate: false,
        levelled,
    };
    match root.get("correlation") {
        Some(section) if matches!(section.kind, yaml::Kind::Map(_)) => draft.section(section),
        Some(section) => draft.notes.error(
            section,
            "`correlation` is a map",
            "write type, rules, group-by, timespan and condition",
        ),
        None => {}
    }
    draft
}

impl<'d> Draft<'d> {
    fn section(&mut self, section: &'d Node) {
        for (key, _) in section.members() {
            let name = key.scalar().unwrap_or_default();
            if !KEYS.contains(&name.as_str()) {
                self.notes.error(
                    key,
                    format!("unknown key `{name}` in a correlation"),
                    nearest(&name, KEYS.iter().copied()),
                );
            }
        }
        self.rules(section);
        self.aliases(section);
        self.timespan(section);
        let kind = section.get("type").and_then(Node::scalar).unwrap_or_default();
        self.correlation.kind = match kind.as_str() {
            "event_count" => CorrelationKind::EventCount,
            "value_count" => CorrelationKind::ValueCount,
            "temporal" => CorrelationKind::Temporal,
            "temporal_ordered" => CorrelationKind::TemporalOrdered,
            "value_sum" => CorrelationKind::ValueSum,
            "value_avg" => CorrelationKind::ValueAvg,
            "value_percentile" => CorrelationKind::ValueShare,
            "" => {
                self.notes.error(
                    section,
                    "the correlation has no `type`",
                    format!("types are {}", TYPES.join(", ")),
                );
                return;
            }
            other => {
                let at = section.get("type").unwrap_or(section);
                self.notes.error(
                    at,
                    format!("unknown correlation type `{other}`"),
                    nearest(other, TYPES.iter().copied()),
                );
                return;
            }
        };
        self.group_by(section);
        self.condition(section);
        for node in [self.root.get("generate"), section.get("generate")].into_iter().flatten() {
            match node.kind {
                yaml::Kind::Bool(b) => self.generate |= b,
                _ => self.notes.error(node, "`generate` is true or false", "write `true` or `false`"),
            }
        }
    }

    fn rules(&mut self, section: &'d Node) {
        let Some(node) = section.get("rules") else {
            self.notes.error(
                section,
                "the correlation names no `rules`",
                "list the ids or names of the rules to watch",
            );
            return;
        };
        for item in node.items() {
            if item.scalar().is_some() {
                self.rules.push(item);
            } else {
                self.notes.error(
                    item,
                    format!("a rule's id or name is a string, not {}", item.describe()),
                    "write the id in quotes",
                );
            }
        }
        if node.items().is_empty() {
            self.notes.error(
                node,
                "the correlation names no rules",
                "list the ids or names of the rules to watch",
            );
        }
    }

    fn aliases(&mut self, section: &'d Node) {
        let Some(node) = section.get("aliases") else { return };
        for (alias, fields) in node.members() {
            let pairs: Vec<_> =
                fields.members().filter_map(|(r, f)| Some((r.scalar()?, f.scalar()?))).collect();
            if pairs.is_empty() {
                self.notes.error(alias, "an alias maps rules to fields", "write `alias: {rule_name: field}`");
            }
            self.aliases.push((alias.scalar().unwrap_or_default(), pairs));
        }
        if node.members().next().is_none() {
            self.notes.error(
                node,
                "`aliases` maps names to rules and fields",
                "write `alias: {rule_name: field}`",
            );
        }
    }

    fn timespan(&mut self, section: &'d Node) {
        let Some(node) = section.get("timespan") else {
            self.notes.error(section, "the correlation has no `timespan`", "add for example `timespan: 10m`");
            return;
        };
        let text = node.scalar().unwrap_or_default();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let seconds = match &text[digits..] {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3_600),
            "d" => Some(86_400),
            "w" => Some(7 * 86_400),
            "M" => Some(30 * 86_400),
            "y" => Some(365 * 86_400),
            _ => None,
        };
        let length = text[..digits].parse::<i64>().ok().zip(seconds).and_then(|(n, s)| n.checked_mul(s));
        match length {
            Some(seconds) if (1..=MAX_TIMESPAN).contains(&seconds) => {
                self.correlation.timespan = seconds * 1_000_000;
            }
            Some(_) => {
                self.notes.error(node, format!("`{text}` is no window Klio can keep"), "use 1s to 366d");
            }
            None => self.notes.error(
                node,
                format!("`{text}` is no timespan"),
                "write a number and a unit: s, m, h, d, w, M (30 days) or y, such as `90m`",
            ),
        }
    }

    fn group_by(&mut self, section: &'d Node) {
        let Some(node) = section.get("group-by").filter(|n| n.kind != yaml::Kind::Null) else { return };
        for item in node.items() {
            let Some(written) = item.scalar() else {
                self.notes.error(
                    item,
                    format!("`group-by` lists fields, not {}", item.describe()),
                    "write the name of a field",
                );
                continue;
            };
            let aliased = self.aliases.iter().any(|(alias, _)| *alias == written);
            // Unknown names are reported when the key is looked up for each rule.
            let label =
                if aliased { None } else { alias::resolve(&written).ok().map(|f| f.name().to_owned()) };
            self.correlation.group_by.push(label.unwrap_or_else(|| written.clone()));
            self.group.push((item, written));
        }
    }

    fn condition(&mut self, section: &'d Node) {
        let kind = self.correlation.kind;
        let temporal = matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered);
        let Some(node) = section.get("condition") else {
            if temporal {
                self.correlation.condition = vec![(Relation::Gte, self.rules.len() as f64)];
            } else {
                self.notes.error(
                    section,
                    "the correlation has no `condition`",
                    "add for example `condition: {gte: 10}`",
                );
            }
            return;
        };
        if !matches!(node.kind, yaml::Kind::Map(_)) {
            let advice = "write a map such as `gte: 10`; conditions as text are no part of Sigma 2.1";
            self.notes.error(node, format!("a condition is a map, not {}", node.describe()), advice);
            return;
        }
        let counts = temporal || matches!(kind, CorrelationKind::EventCount | CorrelationKind::ValueCount);
        for (key, value) in node.members() {
            let name = key.scalar().unwrap_or_default();
            let number = match value.kind {
                yaml::Kind::Int(n) => Some(n as f64),
                yaml::Kind::Float(bits) if !counts => Some(f64::from_bits(bits)).filter(|n| n.is_finite()),
                _ => None,
            };
            match (name.as_str(), number) {
                ("field", _) => self.fields(value),
                ("percentile", Some(p))
                    if kind == CorrelationKind::ValueShare && (0.0..=100.0).contains(&p) =>
                {
                    self.correlation.kind = CorrelationKind::ValuePercentile(p);
                }
                ("percentile", _) => self.notes.error(
                    value,
                    "`percentile` is a number from 0 to 100 of a value_percentile",
                    "write for example 95",
                ),
                (relation, number) => match (Relation::ALL.iter().find(|(n, _)| *n == relation), number) {
                    (Some((_, relation)), Some(n)) => self.correlation.condition.push((*relation, n)),
                    (Some(_), None) => self.notes.error(
                        value,
                        format!(
                            "`{name}` takes {}, not {}",
                            if counts { "a whole number" } else { "a number" },
                            value.describe()
                        ),
                        "write the number without quotes",
                    ),
                    (None, _) => {
                        let names = Relation::ALL.iter().map(|(n, _)| *n).chain(["field"]);
                        self.notes.error(
                            key,
                            format!("unknown key `{name}` in a condition"),
                            nearest(&name, names),
                        );
                    }
                },
            }
        }
        self.check(node, counts);
    }

    fn fields(&mut self, node: &'d Node) {
        for item in node.items() {
            match item.scalar() {
                Some(name) => self.counted.push((item, name)),
                None => self.notes.error(item, "`field` names a field", "write the name of a field"),
            }
        }
    }

    /// Conditions that cannot be decided by looking at events.
    fn check(&mut self, node: &'d Node, counts: bool) {
        let condition = &self.correlation.condition;
        let valued = !matches!(
            self.correlation.kind,
            CorrelationKind::EventCount | CorrelationKind::Temporal | CorrelationKind::TemporalOrdered
        );
        if condition.is_empty() {
            self.notes.error(node, "the condition compares nothing", "add one of gt, gte, lt, lte, eq, neq");
            return;
        }
        if valued && self.counted.is_empty() {
            self.notes.error(
                node,
                "the condition names no `field`",
                "add `field:` with the field whose values count",
            );
        }
        if !valued && !self.counted.is_empty() {
            self.notes.error(
                node,
                "`field` has no meaning here",
                "use value_count to count distinct values, or drop `field`",
            );
        }
        if self.counted.len() > 1 && self.correlation.kind != CorrelationKind::ValueCount {
            self.notes.error(node, "only value_count takes several fields", "name one field");
        }
        if !counts {
            return;
        }
        let most = if valued || self.correlation.kind == CorrelationKind::EventCount {
            MAX_COUNT
        } else {
            self.rules.len() as f64
        };
        let holds = |n: f64| n >= 1.0 && n <= most && condition.iter().all(|(r, t)| r.holds(n, *t));
        let near: Vec<f64> =
            condition.iter().flat_map(|(_, t)| [t - 1.0, *t, t + 1.0]).chain([1.0, 2.0]).collect();
        if !near.into_iter().any(holds) {
            let advice = "an absence has no event to report; correlate what is there, and keep counts within 1 to 65,536 (temporal: the number of rules)";
            self.notes.error(node, "no number of events from 1 on satisfies this condition", advice);
        }
        if self.correlation.kind == CorrelationKind::TemporalOrdered && !holds(self.rules.len() as f64) {
            self.notes.error(node, "an ordered correlation needs all its rules", "drop the condition");
        }
    }
}
