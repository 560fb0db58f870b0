//! Where in an object something stands: `spec.containers[name=app].image`, `metadata.labels["app.kubernetes.io/name"]`.

use serde_json::Value;

/// Longer keys are cut.
const MAX_KEY: usize = 200;

/// Adds a member.
pub(super) fn member(path: &mut String, key: &str) {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.len() <= MAX_KEY && key.chars().all(usual) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        path.push('[');
        path.push_str(&Value::from(cut(key)).to_string());
        path.push(']');
    }
}

/// Adds an item of a list by what tells it apart: `name=app`, or its index.
pub(super) fn item(path: &mut String, mark: &str) {
    path.push('[');
    path.push_str(&cut(mark));
    path.push(']');
}

/// The same place as a JSON pointer has it (RFC 6901); `-` is the end of a list.
pub(super) fn of_pointer(pointer: &str) -> String {
    let mut path = String::new();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match token.as_str() {
            "-" => item(&mut path, "+"),
            t if !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) => item(&mut path, t),
            t => member(&mut path, t),
        }
    }
    if path.is_empty() { "(all of it)".to_owned() } else { path }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_KEY) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_become_paths() {
        assert_eq!(of_pointer("/spec/containers/0/image"), "spec.containers[0].image");
        assert_eq!(of_pointer("/metadata/labels/app.io~1x"), r#"metadata.labels["app.io/x"]"#);
        assert_eq!(of_pointer("/spec/list/-"), "spec.list[+]");
        assert_eq!(of_pointer(""), "(all of it)");
    }
}
