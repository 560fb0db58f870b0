//! The body of a request of the audit webhook, item by item, so that one bad item costs none of the others.
//! Source: kubernetes `staging/src/k8s.io/apiserver/plugin/pkg/audit/webhook/webhook.go` posts an `EventList`.

use crate::Reason;
use crate::scan::{Elements, skip_value, skip_ws, trim};
use crate::top::Top;

/// Calls `f` with the JSON of each item of an `EventList`; a body of another form is one item.
///
/// # Errors
/// Why the body is no JSON object or array, and where.
pub fn items(body: &[u8], f: &mut dyn FnMut(&[u8])) -> Result<(), Reason> {
    let body = trim(body);
    if !matches!(body.first(), Some(b'{' | b'[')) {
        return Err(Reason::NotJson { sample: crate::decode::sample(body) });
    }
    let end = skip_value(body, 0)?;
    if skip_ws(body, end) < body.len() {
        return Err(Reason::Malformed { at: end, expected: "the end of the body" });
    }
    let list = match body.first() {
        Some(b'[') => body,
        _ => match Top::read(body)?.items {
            Some(items) if matches!(items.first(), Some(b'[' | b'n')) => items,
            _ => {
                f(body);
                return Ok(());
            }
        },
    };
    for element in Elements::new(list) {
        f(element?.1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Vec<String>, Reason> {
        let mut all = Vec::new();
        items(body.as_bytes(), &mut |item| all.push(String::from_utf8_lossy(item).into_owned()))?;
        Ok(all)
    }

    #[test]
    fn a_list_is_cut_into_its_items_whatever_they_are() {
        let list = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[{"a":1}, 7,{"b":"]"}]}"#;
        assert_eq!(of(list).unwrap(), [r#"{"a":1}"#, "7", r#"{"b":"]"}"#]);
        assert_eq!(of(r#"{"kind":"EventList","items":[]}"#).unwrap(), [""; 0]);
        assert_eq!(of(r#"{"kind":"EventList","items":null}"#).unwrap(), [""; 0]);
        assert_eq!(of(r#"{"kind":"Event","auditID":"a"}"#).unwrap().len(), 1);
        assert_eq!(of(" [{},{}]\n").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for body in ["", "hello", "\"text\"", r#"{"kind":"EventList","items":[{"#, "{}{}", "{\"a\"}"] {
            assert!(of(body).is_err(), "{body}");
        }
    }
}
