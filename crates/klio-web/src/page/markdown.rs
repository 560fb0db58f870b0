//! Pages of rules and hunts, which are Markdown, as HTML.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, html};

/// Markdown as HTML. HTML within it is shown as it is written and not obeyed; links lead nowhere but to the web or into Klio; the first heading,
/// which is the page's own, and blocks of cases are left out.
pub(crate) fn html(text: &str) -> String {
    let mut title = false;
    let mut cases = false;
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    let events = parser.filter_map(|event| match event {
        Event::Start(Tag::Heading { level: pulldown_cmark::HeadingLevel::H1, .. }) => {
            title = true;
            None
        }
        Event::End(TagEnd::Heading(pulldown_cmark::HeadingLevel::H1)) => {
            title = false;
            None
        }
        _ if title => None,
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind)))
            if kind.ends_with(" fires") || kind.ends_with(" quiet") =>
        {
            cases = true;
            None
        }
        Event::End(TagEnd::CodeBlock) if cases => {
            cases = false;
            None
        }
        _ if cases => None,
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if is_safe(&dest_url) { dest_url } else { "".into() };
            Some(Event::Start(Tag::Link { link_type, dest_url, title, id }))
        }
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

/// Whether a link may be followed.
fn is_safe(to: &str) -> bool {
    to.starts_with("https://") || to.starts_with("http://") || to.starts_with('/') && !to.starts_with("//")
}

/// A page without its section of cases.
pub(crate) fn without_cases(text: &str) -> &str {
    text.split("\n## Cases\n").next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_page_is_obeyed() {
        let html = html(
            "# Title\n\nA *word* <img src=x onerror=alert(1)> [a](javascript:alert(1)) ![b](https://x.example/y)\n\n<script>1</script>\n",
        );
        assert!(
            !html.contains("<img") && !html.contains("<script") && !html.contains("javascript:"),
            "{html}"
        );
        assert!(html.contains("<em>word</em>") && !html.contains("Title"), "{html}");
    }
}
