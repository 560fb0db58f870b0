//! Secrets in the path and query of a request.

use super::Redactor;
use super::cut::Cut;
use super::name;
use super::rule::Rule;
use super::view::View;
use super::words;

/// So often may a URL stand in a parameter of a URL.
const MAX_NESTED: u8 = 3;

/// Whether a URI is more than a path with parameters that Kubernetes' own clients send all the time.
pub(super) fn is_unusual(uri: &str) -> bool {
    let Some(query) = memchr::memchr(b'?', uri.as_bytes()) else {
        return memchr::memchr3(b'%', b';', b'=', uri.as_bytes()).is_some();
    };
    uri.get(query + 1..).unwrap_or_default().split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !matches!(
            name,
            "limit"
                | "resourceVersion"
                | "resourceVersionMatch"
                | "allowWatchBookmarks"
                | "timeout"
                | "timeoutSeconds"
                | "watch"
                | "fieldSelector"
                | "labelSelector"
                | "continue"
                | "fieldManager"
                | "fieldValidation"
                | "force"
                | "pretty"
                | "dryRun"
                | "container"
                | "stdin"
                | "stdout"
                | "stderr"
                | "tty"
                | "sendInitialEvents"
                | "follow"
                | "tailLines"
                | "propagationPolicy"
                | "gracePeriodSeconds"
        ) || (value.len() > 12
            && memchr::memchr(b'%', value.as_bytes()).is_some()
            && value.contains("%3A%2F%2F"))
    }) || memchr::memchr2(b'%', b';', uri.get(..query).unwrap_or_default().as_bytes()).is_some()
}

/// What has to go.
pub(super) fn cuts(redactor: &Redactor, uri: &str) -> Vec<Cut> {
    let mut cuts = Vec::new();
    parameters(redactor, uri, 0, &mut cuts);
    let view = View::percent(uri, false);
    let before = cuts.len();
    redactor.in_url(&view.text, &mut cuts);
    lift(&mut cuts, before, &view, 0);
    cuts
}

fn lift(cuts: &mut Vec<Cut>, before: usize, view: &View<'_>, offset: usize) {
    let mine: Vec<_> = cuts.drain(before..).collect();
    cuts.extend(mine.into_iter().map(|cut| cut.outward(view, offset, false)));
}

fn parameters(redactor: &Redactor, uri: &str, nested: u8, cuts: &mut Vec<Cut>) {
    let mut command: Vec<(usize, View<'_>)> = Vec::new();
    let mut start = 0;
    for pair in uri.split(['?', '&', ';', '#']) {
        let here = start;
        start += pair.len() + 1;
        let Some((key, value)) = pair.split_once('=') else { continue };
        let offset = here + key.len() + 1;
        let key = View::percent(key, true).text.to_lowercase();
        let view = View::percent(value, true);
        if key == "command" {
            command.push((offset, view));
            continue;
        }
        let free = name::is_harmless(&view.text) || view.text.starts_with("[redacted:");
        if name::of_parameter(&key) && !free {
            let cut = redactor.cut(0..view.text.len(), view.text.as_bytes(), Rule::UrlToken, false);
            cuts.extend(cut.map(|cut| cut.outward(&view, offset, false)));
        } else if nested < MAX_NESTED && view.text.contains(['?', '&']) {
            let before = cuts.len();
            parameters(redactor, &view.text, nested + 1, cuts);
            lift(cuts, before, &view, offset);
        }
    }
    let texts: Vec<&str> = command.iter().map(|(_, view)| view.text.as_ref()).collect();
    for (i, range) in words::secrets(&texts) {
        let Some((offset, view)) = command.get(i) else { continue };
        let value = view.text.get(range.clone()).unwrap_or_default().as_bytes();
        let cut = redactor.cut(range, value, Rule::Args, false);
        cuts.extend(cut.map(|cut| cut.outward(view, *offset, false)));
    }
}
