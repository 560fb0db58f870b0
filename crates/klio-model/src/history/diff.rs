//! What differs between two states of an object, field by field.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::{keys, path};

/// A value whose JSON text is longer is cut.
const MAX_VALUE: usize = 4 << 10;
/// A list of plain values whose text is longer is told item by item.
const SHORT: usize = 200;

/// How a field differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It has another value.
    Changed,
    /// It was asked to be this; what it was is not known.
    Set,
    /// It was asked to become a copy of `before`, which is a path.
    Copied,
    /// It was asked to be moved here from `before`, which is a path.
    Moved,
}

/// One field that differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// Where: `spec.containers[name=app].image`. Items of lists go by what tells them apart, else by their index.
    pub path: String,
    /// How.
    pub how: How,
    /// What it was; cut at 4 KiB of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it became; cut at 4 KiB of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Changes up to a number; the rest is counted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// The first of them.
    pub list: Vec<Change>,
    /// How many more there are.
    pub more: u64,
    most: usize,
}

impl Changes {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.more == 0
    }

    pub(super) fn add(&mut self, path: &str, how: How, before: Option<&Value>, after: Option<&Value>) {
        if self.list.len() < self.most {
            let path = if path.is_empty() { "(all of it)" } else { path }.to_owned();
            self.list.push(Change { path, how, before: before.map(cut), after: after.map(cut) });
        } else {
            self.more += 1;
        }
    }

    /// Compares two values; a member that is null counts as absent, as the API server has it.
    pub(super) fn compare(&mut self, before: &Value, after: &Value) {
        self.values(&mut String::new(), "", before, after);
    }

    /// Tells the members of a value that came into being, each where it stands.
    pub(super) fn grown(&mut self, value: &Value) {
        self.leaves(&mut String::new(), "", value, How::Added);
    }

    fn values(&mut self, path: &mut String, field: &str, before: &Value, after: &Value) {
        if before == after {
            return;
        }
        match (before, after) {
            (Value::Object(old), Value::Object(new)) => {
                let here = path.len();
                let none = &Value::Null;
                let gone = old.keys().filter(|key| !new.contains_key(*key));
                for key in new.keys().chain(gone) {
                    path::member(path, key);
                    self.values(path, key, old.get(key).unwrap_or(none), new.get(key).unwrap_or(none));
                    path.truncate(here);
                }
            }
            (Value::Array(old), Value::Array(new)) => self.lists(path, field, old, new),
            (Value::Null, after) => self.add(path, How::Added, None, Some(after)),
            (before, Value::Null) => self.add(path, How::Removed, Some(before), None),
            (before, after) => self.add(path, How::Changed, Some(before), Some(after)),
        }
    }

    fn lists(&mut self, path: &mut String, field: &str, old: &[Value], new: &[Value]) {
        let here = path.len();
        let marked = keys::telling(field).iter().find_map(|keys| {
            Some((keys::marks(old, keys)?, keys::marks(new, keys)?))
                .filter(|_| !old.is_empty() && !new.is_empty())
        });
        if let Some((old_marks, new_marks)) = marked {
            let before: HashMap<&String, &Value> = old_marks.iter().zip(old).collect();
            let after: HashMap<&String, &Value> = new_marks.iter().zip(new).collect();
            let gone = old_marks.iter().filter(|mark| !after.contains_key(*mark));
            for mark in new_marks.iter().chain(gone) {
                path::item(path, mark);
                let side = |of: &HashMap<&String, &Value>| of.get(mark).map_or(Value::Null, |v| (*v).clone());
                self.values(path, "", &side(&before), &side(&after));
                path.truncate(here);
            }
            // What is only in another order is a change too: the first init container runs first.
            let order = |marks: &[String], of: &HashMap<&String, &Value>| -> Vec<Value> {
                marks
                    .iter()
                    .filter(|mark| of.contains_key(mark))
                    .map(|mark| Value::from(mark.as_str()))
                    .collect()
            };
            let (was, is) = (order(&old_marks, &after), order(&new_marks, &before));
            if was != is {
                path.push_str(" (order)");
                self.add(path, How::Changed, Some(&Value::from(was)), Some(&Value::from(is)));
                path.truncate(here);
            }
            return;
        }
        let plain = |items: &[Value]| items.iter().all(|item| !item.is_object() && !item.is_array());
        let short =
            |items: &[Value]| items.len() < SHORT && text(&Value::from(items.to_vec())).len() <= SHORT;
        if plain(old) && plain(new) && short(old) && short(new) {
            let (old, new) = (Value::from(old.to_vec()), Value::from(new.to_vec()));
            return self.add(path, How::Changed, Some(&old), Some(&new));
        }
        let (gone, came) = unmatched(old, new);
        if gone.is_empty() && came.is_empty() {
            let (old, new) = (Value::from(old.to_vec()), Value::from(new.to_vec()));
            path.push_str(" (order)");
            self.add(path, How::Changed, Some(&old), Some(&new));
            path.truncate(here);
        }
        let pairs = gone.len().min(came.len());
        let paired = if gone.len() == came.len() { pairs } else { 0 };
        for (was, is) in gone.iter().zip(&came).take(paired) {
            path::item(path, &is.to_string());
            self.values(path, "", &old[*was], &new[*is]);
            path.truncate(here);
        }
        for is in came.iter().skip(paired) {
            path::item(path, &is.to_string());
            self.add(path, How::Added, None, new.get(*is));
            path.truncate(here);
        }
        for was in gone.iter().skip(paired) {
            path::item(path, &was.to_string());
            self.add(path, How::Removed, old.get(*was), None);
            path.truncate(here);
        }
    }

    pub(super) fn leaves(&mut self, path: &mut String, field: &str, value: &Value, how: How) {
        let here = path.len();
        match value {
            Value::Null => {}
            Value::Object(members) if !members.is_empty() => {
                for (key, value) in members {
                    path::member(path, key);
                    self.leaves(path, key, value, how);
                    path.truncate(here);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let marks =
                    keys::telling(field).iter().find_map(|keys| Some((keys, keys::marks(items, keys)?)));
                for (i, item) in items.iter().enumerate() {
                    let mark = marks.as_ref().and_then(|(_, marks)| marks.get(i).cloned());
                    path::item(path, &mark.unwrap_or_else(|| i.to_string()));
                    // What the mark says need not be said again, unless there is nothing else.
                    let said = marks.as_ref().map_or(&[][..], |(keys, _)| keys);
                    let rest = item.as_object().filter(|members| members.len() > said.len()).map(|members| {
                        let kept = members.iter().filter(|(key, _)| !said.contains(&key.as_str()));
                        Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
                    });
                    self.leaves(path, "", rest.as_ref().unwrap_or(item), how);
                    path.truncate(here);
                }
            }
            value => self.add(path, how, None, Some(value)),
        }
    }
}

/// The indexes of what is in one list and not in the other, each item counted as often as it stands there.
fn unmatched(old: &[Value], new: &[Value]) -> (Vec<usize>, Vec<usize>) {
    let mut before: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, item) in old.iter().enumerate().rev() {
        before.entry(sorted(item)).or_default().push(i);
    }
    let mut came = Vec::new();
    for (i, item) in new.iter().enumerate() {
        if before.get_mut(&sorted(item)).and_then(Vec::pop).is_none() {
            came.push(i);
        }
    }
    let mut gone: Vec<usize> = before.into_values().flatten().collect();
    gone.sort_unstable();
    (gone, came)
}

/// A text that equal values share, whatever the order of their members.
fn sorted(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(key, _)| *key);
                out.push('{');
                for (key, value) in members {
                    out.push_str(&Value::from(key.as_str()).to_string());
                    write(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for item in items {
                    write(item, out);
                    out.push(',');
                }
                out.push(']');
            }
            plain => out.push_str(&plain.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Compact JSON.
fn text(value: &Value) -> String {
    value.to_string()
}

fn cut(value: &Value) -> Value {
    let long = match value {
        Value::String(s) => s.len() > MAX_VALUE,
        Value::Object(_) | Value::Array(_) => text(value).len() > MAX_VALUE,
        _ => false,
    };
    if !long {
        return value.clone();
    }
    let whole = value.as_str().map_or_else(|| text(value), str::to_owned);
    let end = whole.char_indices().map(|(i, _)| i).take_while(|i| *i <= MAX_VALUE).last().unwrap_or(0);
    Value::from(format!("{}… ({} bytes)", &whole[..end], whole.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, want: &[&str]) {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let mut changes = Changes::new(50);
        changes.compare(&value(before), &value(after));
        let side = |v: &Option<Value>| v.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
        let got: Vec<String> = changes
            .list
            .iter()
            .map(|c| format!("{} {} {}", c.path, side(&c.before), side(&c.after)))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn an_inserted_item_leaves_the_others_alone() {
        check(
            r#"{"spec":{"containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y:1"}]}}"#,
            r#"{"spec":{"containers":[{"name":"new","image":"z"},{"name":"a","image":"x:2"},{"name":"b","image":"y:1"}]}}"#,
            &[
                r#"spec.containers[name=new] - {"name":"new","image":"z"}"#,
                r#"spec.containers[name=a].image "x:1" "x:2""#,
            ],
        );
        check(
            r#"{"subjects":[{"kind":"User","name":"a"}]}"#,
            r#"{"subjects":[{"kind":"Group","name":"a"},{"kind":"User","name":"a"}]}"#,
            &[r#"subjects[kind=Group,name=a] - {"kind":"Group","name":"a"}"#],
        );
        check(
            r#"{"ports":[{"containerPort":80,"protocol":"TCP"}]}"#,
            r#"{"ports":[{"containerPort":53,"protocol":"UDP"},{"containerPort":80,"protocol":"TCP"}]}"#,
            &[r#"ports[containerPort=53,protocol=UDP] - {"containerPort":53,"protocol":"UDP"}"#],
        );
    }

    #[test]
    fn items_without_a_name_go_by_what_they_are() {
        let one = r#"{"verbs":["get"],"resources":["pods"]}"#;
        let two = r#"{"verbs":["*"],"resources":["*"]}"#;
        check(
            &format!(r#"{{"rules":[{one}]}}"#),
            &format!(r#"{{"rules":[{two},{one}]}}"#),
            &[&format!("rules[0] - {two}")],
        );
        check(
            &format!(r#"{{"rules":[{one},{two}]}}"#),
            r#"{"rules":[{"verbs":["get","list"],"resources":["pods"]},{"verbs":["*"],"resources":["*"]}]}"#,
            &[r#"rules[0].verbs ["get"] ["get","list"]"#],
        );
    }

    #[test]
    fn order_and_absence() {
        check(r#"{"a":["x","y"]}"#, r#"{"a":["y","x"]}"#, &[r#"a ["x","y"] ["y","x"]"#]);
        check(
            r#"{"c":[{"name":"a"},{"name":"b"}]}"#,
            r#"{"c":[{"name":"b"},{"name":"a"}]}"#,
            &[r#"c (order) ["name=a","name=b"] ["name=b","name=a"]"#],
        );
        check(r#"{"a":null,"b":1}"#, r#"{"b":2,"c":null}"#, &["b 1 2"]);
        check(r#"{"a":{}}"#, "{}", &["a {} -"]);
        check(r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, &[r#"a {"b":1} [1]"#]);
    }

    #[test]
    fn long_values_and_many_changes_are_cut() {
        let long = Value::from("ä".repeat(10_000));
        let mut changes = Changes::new(2);
        let after: serde_json::Map<_, _> = (0..10).map(|i| (format!("k{i}"), long.clone())).collect();
        changes.compare(&serde_json::json!({}), &Value::Object(after));
        assert_eq!((changes.list.len(), changes.more), (2, 8));
        let told = changes.list[0].after.as_ref().unwrap().as_str().unwrap();
        assert!(told.len() < MAX_VALUE + 100 && told.ends_with("(20000 bytes)"), "{}", told.len());
    }

    fn json() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("(name|env|containers|ports|a)", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn without_nulls(value: &Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .filter(|(_, v)| !v.is_null())
                    .map(|(k, v)| (k.clone(), without_nulls(v)))
                    .collect(),
            ),
            Value::Array(items) => items.iter().map(without_nulls).collect(),
            other => other.clone(),
        }
    }

    proptest::proptest! {
        /// Nothing is told of what is equal, and something of what is not.
        #[test]
        fn differences_are_told_and_nothing_else(a in json(), b in json()) {
            let told = |a: &Value, b: &Value| {
                let mut changes = Changes::new(1000);
                changes.compare(a, b);
                changes
            };
            proptest::prop_assert!(told(&a, &a).is_empty());
            let (a, b) = (without_nulls(&a), without_nulls(&b));
            proptest::prop_assert_eq!(told(&a, &b).is_empty(), a == b);
        }
    }
}
