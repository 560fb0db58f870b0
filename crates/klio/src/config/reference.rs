//! The page of all settings, which is also what holds where nothing is said: shown, and looked up by key.

/// `klio.yaml` with all defaults and what they mean.
pub const TEXT: &str = include_str!("reference.yaml");

/// What a key such as `server.tls.names` means, and its default.
pub fn explain(key: &str) -> Option<String> {
    entries().into_iter().find_map(|(own, meaning)| (own == key).then_some(meaning))
}

/// All keys that can be explained.
pub fn keys() -> Vec<String> {
    entries().into_iter().map(|(key, _)| key).collect()
}

/// Each key of the page, and what it says of it.
fn entries() -> Vec<(String, String)> {
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    for line in TEXT.lines() {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim());
        let bare = text.strip_prefix("# ").unwrap_or(text);
        let Some((name, value)) = bare.split_once(':').filter(|(name, value)| is_key(name, value)) else {
            match text.strip_prefix('#') {
                Some(words) => comment.push(words.trim()),
                None => comment.clear(),
            }
            continue;
        };
        path.retain(|(own, _)| *own < indent);
        path.push((indent, name));
        let default = match (text.starts_with('#'), value.trim()) {
            (true, "") => "not set".to_owned(),
            (true, example) => format!("not set; for example {example}"),
            (false, "") => "see the keys below it".to_owned(),
            (false, value) => format!("default: {value}"),
        };
        let key = path.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
        entries.push((key, format!("{}\n{default}\n", comment.join("\n"))));
        comment.clear();
    }
    entries
}

fn is_key(name: &str, value: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
    !name.is_empty() && name.chars().all(is_plain) && (value.is_empty() || value.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_page_says_what_holds() {
        let page = Config::parse(TEXT).unwrap();
        assert_eq!(format!("{page:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_key_is_explained() {
        let keys = keys();
        for key in
            ["lake", "lake.url", "server.listen", "server.tls.names", "server.flush_seconds", "desk.postgres"]
        {
            assert!(keys.iter().any(|own| own == key), "{key}");
        }
        for key in &keys {
            assert!(explain(key).unwrap().lines().next().is_some_and(|line| line.len() > 5), "{key}");
        }
        assert_eq!(explain("server.lisen"), None);
        assert!(explain("server.listen").unwrap().contains("default: 127.0.0.1:8443"));
    }
}
