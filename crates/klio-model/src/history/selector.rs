//! Whether a request about many objects meets one of them.

use serde_json::Value;

/// What a selector says of an object; `None` if that cannot be told.
pub(super) fn labels_match(selector: &str, labels: Option<&Value>) -> Option<bool> {
    // `in (a,b)` and its like need a parser; who deletes by them is told as somebody who may have meant it.
    if selector.contains('(') {
        return None;
    }
    let labels = labels?;
    let value = |key: &str| labels.get(key.trim()).and_then(Value::as_str);
    let mut terms = selector.split(',').map(str::trim).filter(|term| !term.is_empty());
    Some(terms.all(|term| {
        if let Some((key, other)) = term.split_once("!=") {
            value(key) != Some(other.trim())
        } else if let Some((key, same)) = term.split_once("==").or_else(|| term.split_once('=')) {
            value(key) == Some(same.trim())
        } else if let Some(key) = term.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(term).is_some()
        }
    }))
}

/// The same of a field selector; only names can be told.
pub(super) fn fields_match(selector: &str, name: &str) -> Option<bool> {
    let mut all = true;
    for term in selector.split(',').filter(|term| !term.is_empty()) {
        let (is, named) = if let Some((field, value)) = term.split_once("!=") {
            (field == "metadata.name", value != name)
        } else {
            let (field, value) = term.split_once('=')?;
            (field == "metadata.name", value.trim_start_matches('=') == name)
        };
        if !is {
            return None;
        }
        all &= named;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels = serde_json::json!({"app": "cart", "tier": "web"});
        let check =
            |selector: &str, want| assert_eq!(labels_match(selector, Some(&labels)), want, "{selector}");
        check("app=cart", Some(true));
        check("app==cart,tier!=db", Some(true));
        check("app=cart,tier=db", Some(false));
        check("!gone,app", Some(true));
        check("app in (a,b)", None);
        assert_eq!(labels_match("app=cart", None), None);
        assert_eq!(fields_match("metadata.name=a", "a"), Some(true));
        assert_eq!(fields_match("metadata.name!=a", "a"), Some(false));
        assert_eq!(fields_match("status.phase=Failed", "a"), None);
    }
}
