//! One line per finding, RFC 4180.

use std::io::{self, Write};

use super::view::View;
use super::{json, plain};
use crate::scan::Report;

const COLUMNS: [(&str, &str); 18] = [
    ("id", "/id"),
    ("time", "/time"),
    ("severity", "/severity"),
    ("proof", "/proof"),
    ("rule", "/rule/title"),
    ("dialect", "/rule/dialect"),
    ("user", "/actor/user"),
    ("impersonated", "/actor/impersonated"),
    ("source_ip", "/actor/source_ip"),
    ("resource", "/object/resource"),
    ("subresource", "/object/subresource"),
    ("namespace", "/object/namespace"),
    ("name", "/object/name"),
    ("audit_id", "/evidence/0/audit_id"),
    ("file", "/evidence/0/file"),
    ("line", "/evidence/0/line"),
    ("person", "/actor/person/name"),
    ("attribution", "/attribution/said"),
];

pub(super) fn print(report: &mut Report, view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
    for (name, _) in COLUMNS {
        write!(out, "{name},")?;
    }
    write!(out, "story,message\r\n")?;
    json::findings(report, view, &mut |finding, story| {
        for (_, pointer) in COLUMNS {
            let value = finding.pointer(pointer);
            let text = value.and_then(|v| v.as_str()).map_or_else(
                || value.filter(|v| !v.is_null()).map(ToString::to_string).unwrap_or_default(),
                str::to_owned,
            );
            write!(out, "{},", cell(&text))?;
        }
        let message = finding["message"].as_str().unwrap_or_default();
        write!(out, "{},{}\r\n", cell(story.unwrap_or_default()), cell(message))
    })
}

/// Quotes where necessary. A text that a spreadsheet would run as a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let mut text = plain(text);
    if text.trim_start().starts_with(['=', '+', '-', '@']) {
        text.insert(0, '\'');
    }
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_quoted_and_formulas_disarmed() {
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(cell("=cmd()"), "'=cmd()");
        assert_eq!(cell("\t=cmd()"), "' =cmd()");
        assert_eq!(cell("plain"), "plain");
    }

    #[test]
    fn cells_hold_no_controls() {
        assert_eq!(cell("a\u{1b}[2Jb\r\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd} c\u{fffd}d");
    }
}
