//! A rule of a policy as it is written in its file.

use std::fmt::Write;

use klio_model::Level;

use super::super::policy::PolicyRule;

impl PolicyRule {
    /// The rule as YAML, indented to stand below `rules:`.
    pub fn yaml(&self) -> String {
        let level = match self.level {
            None | Some(Level::Unstated) => "None",
            Some(Level::Metadata) => "Metadata",
            Some(Level::Request) => "Request",
            Some(Level::RequestResponse) => "RequestResponse",
        };
        let mut out = format!("  - level: {level}\n");
        let mut list = |key: &str, values: &[String]| {
            if !values.is_empty() {
                let _ = writeln!(out, "    {key}: {}", flow(values));
            }
        };
        list("users", &self.users);
        list("userGroups", &self.user_groups);
        list("verbs", &self.verbs);
        list("namespaces", &self.namespaces);
        list("nonResourceURLs", &self.non_resource_urls);
        if !self.resources.is_empty() {
            out.push_str("    resources:\n");
        }
        for group in &self.resources {
            let _ = writeln!(out, "      - group: {}", quoted(&group.group));
            for (key, values) in [("resources", &group.resources), ("resourceNames", &group.resource_names)] {
                if !values.is_empty() {
                    let _ = writeln!(out, "        {key}: {}", flow(values));
                }
            }
        }
        let stages: Vec<String> = self.omit_stages.iter().map(|s| s.name().to_owned()).collect();
        if !stages.is_empty() {
            let _ = writeln!(out, "    omitStages: {}", flow(&stages));
        }
        if let Some(flag) = self.omit_managed_fields {
            let _ = writeln!(out, "    omitManagedFields: {flag}");
        }
        out
    }
}

fn flow(values: &[String]) -> String {
    let all: Vec<String> = values.iter().map(|v| quoted(v)).collect();
    format!("[{}]", all.join(", "))
}

/// Plain where YAML cannot take it for something else; rules may name anything.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() || klio_model::filter::text::is_unprintable(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
