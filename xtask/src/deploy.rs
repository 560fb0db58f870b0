//! `deploy`: what lies under `deploy/` fits the program and the manual. The chart is linted and rendered where there is helm or Go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{links, run};

/// The release that is built where there is no helm.
const HELM: &str = "helm.sh/helm/v3/cmd/helm@v3.22.0";
/// Charts are rendered as for this Kubernetes: a helm that was built from its module takes itself for a very old one.
const KUBERNETES: &str = "1.36.0";
const CHART: &str = "deploy/helm/klio";
const RULES: &str = "deploy/helm/klio/templates/prometheusrule.yaml";
const DASHBOARD: &str = "deploy/helm/klio/dashboards/klio.json";
const MANUAL: &str = "docs/server.md";
/// Labels that are Prometheus's and not ours.
const FOREIGN: [&str; 5] = ["job", "instance", "namespace", "le", "version"];

/// Fails with everything that does not fit.
pub fn check() -> Result<(), String> {
    let mut wrong = Vec::new();
    let metrics = Metrics::of(&read("crates/klio/src/serve/metrics.rs")?)?;
    for file in [RULES, DASHBOARD] {
        let text = read(file)?;
        wrong.extend(metrics.unknown(&text).into_iter().map(|said| format!("{file}: {said}")));
    }
    for file in [DASHBOARD, "deploy/helm/klio/values.schema.json"] {
        if let Err(at) = json(&read(file)?) {
            wrong.push(format!("{file}: no JSON after {at} bytes"));
        }
    }
    let link = "deploy/grafana/klio.json";
    if std::fs::canonicalize(link).ok() != std::fs::canonicalize(DASHBOARD).ok() {
        wrong.push(format!("{link}: is no link to {DASHBOARD}"));
    }
    wrong.extend(alerts(&read(RULES)?, &read(MANUAL)?));
    wrong.extend(versions()?);
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    match helm() {
        Ok(helm) => chart(&helm),
        Err(why) => {
            println!("linting and rendering the chart is skipped: {why}");
            Ok(())
        }
    }
}

fn read(file: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

/// The alerts have their headings in the manual, and the headings their alerts.
fn alerts(rules: &str, manual: &str) -> Vec<String> {
    let named: BTreeSet<&str> =
        rules.split("(dict \"name\" \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let told: BTreeSet<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|h| h.starts_with("Klio"))
        .collect();
    let mut wrong = Vec::new();
    if named.is_empty() {
        wrong.push(format!("{RULES}: no alert was found in it"));
    }
    // `runbook_url` ends with the name in small letters: what a heading of the name alone is linked by.
    for alert in named.iter().filter(|alert| !told.iter().any(|h| links::anchor(h) == alert.to_lowercase())) {
        wrong.push(format!("{RULES}: {alert} has no heading in {MANUAL}"));
    }
    for heading in told.difference(&named) {
        wrong.push(format!("{MANUAL}: there is no alert {heading}"));
    }
    wrong
}

/// The chart is of this version of Klio, and the image is built with a compiler that is new enough.
fn versions() -> Result<Vec<String>, String> {
    let cargo = read("Cargo.toml")?;
    let of = |name: &str| {
        let line = cargo.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('='));
        line.map(|value| value.trim().trim_matches('"').to_owned())
            .ok_or_else(|| format!("Cargo.toml: no {name}"))
    };
    let (version, rust) = (of("version")?, of("rust-version")?);
    let mut wrong = Vec::new();
    let has = |file: &str, what: &str| read(file).map(|text| text.lines().any(|line| line.contains(what)));
    if !has(&format!("{CHART}/Chart.yaml"), &format!("appVersion: {version}"))? {
        wrong.push(format!("{CHART}/Chart.yaml: appVersion is not {version}"));
    }
    if !has("deploy/docker/Dockerfile", &format!("rust:{rust}"))? {
        wrong.push(format!("deploy/docker/Dockerfile: is not built with Rust {rust}"));
    }
    Ok(wrong)
}

/// What the server counts, as Prometheus sees it.
struct Metrics {
    names: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Metrics {
    /// Reads them from the source: each `register` with its field's type, and the structs of labels.
    fn of(source: &str) -> Result<Self, String> {
        let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
        for call in source.split("registry.register").skip(1) {
            let call = call.split(");\n").next().unwrap_or_default();
            let name = call.split('"').nth(1).ok_or("metrics.rs: a metric without a name of its own")?;
            let unit = call.split("Unit::").nth(1).map_or(String::new(), |rest| {
                format!("_{}", rest.split(',').next().unwrap_or_default().trim().to_lowercase())
            });
            let name = format!("klio_{name}{unit}");
            let field = call.rsplit("m.").next().and_then(|rest| rest.split('.').next()).unwrap_or_default();
            let kind = source.lines().find_map(|line| {
                let line = line.trim().trim_start_matches("pub ");
                line.strip_prefix(field)?.strip_prefix(": ")?.strip_suffix(',')
            });
            // As prometheus-client writes them (its `encoding/text.rs`).
            let endings: &[&str] = match kind {
                _ if call.contains("Info::new") => &["_info"],
                Some(kind) if kind.contains("Counter") => &["_total"],
                Some(kind) if kind.contains("Histogram") => &["_bucket", "_sum", "_count"],
                Some(kind) if kind.contains("Gauge") => &[""],
                _ => return Err(format!("metrics.rs: of which kind is {name}?")),
            };
            names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
        }
        for set in source.split("EncodeLabelSet)]").skip(1) {
            let body = set.split('{').nth(1).and_then(|rest| rest.split('}').next()).unwrap_or_default();
            let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
            labels.extend(fields.map(str::to_owned));
        }
        if names.is_empty() || labels.is_empty() {
            return Err("metrics.rs: no metrics were found in it".to_owned());
        }
        Ok(Self { names, labels })
    }

    /// The metrics and labels in a text that are none of ours.
    fn unknown(&self, text: &str) -> Vec<String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !is_word(c)).filter(|word| word.starts_with("klio_"));
        let mut wrong: BTreeSet<String> = words
            .filter(|word| !self.names.contains(*word))
            .map(|word| format!("there is no metric {word}"))
            .collect();
        let grouped =
            text.split("by (").skip(1).filter_map(|rest| rest.split(')').next()).flat_map(|by| by.split(','));
        let selected = ["=~", "!=", "!~", "="].into_iter().flat_map(|sign| {
            // `label="…"`, and in JSON `label=\"…\"`.
            ["\"", "\\\""].into_iter().flat_map(move |quote| {
                let sign = format!("{sign}{quote}");
                let before: Vec<&str> = text.split(&sign).collect();
                let all = before.len().saturating_sub(1);
                before.into_iter().take(all).filter_map(move |left| left.rsplit(|c| !is_word(c)).next())
            })
        });
        let labels = grouped.chain(selected).map(str::trim).filter(|label| !label.is_empty());
        wrong.extend(
            labels
                .filter(|label| !self.labels.contains(*label) && !FOREIGN.contains(label))
                .map(|label| format!("there is no label {label}")),
        );
        wrong.into_iter().collect()
    }
}

/// Whether a text is one value of JSON; if not, where it ends to be.
fn json(text: &str) -> Result<(), usize> {
    let bytes = text.as_bytes();
    let end = blanks(bytes, value(bytes, blanks(bytes, 0), 64)?);
    if end == bytes.len() { Ok(()) } else { Err(end) }
}

fn blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes.iter().skip(at).take_while(|b| b.is_ascii_whitespace()).count()
}

/// Where the value ends that begins there.
fn value(bytes: &[u8], at: usize, depth: usize) -> Result<usize, usize> {
    let begins = |word: &str| bytes.get(at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(open @ (b'{' | b'[')) if depth > 0 => {
            let close = open + 2;
            let mut at = blanks(bytes, at + 1);
            if bytes.get(at) == Some(&close) {
                return Ok(at + 1);
            }
            loop {
                if *open == b'{' {
                    at = blanks(bytes, string(bytes, at)?);
                    if bytes.get(at) != Some(&b':') {
                        return Err(at);
                    }
                    at = blanks(bytes, at + 1);
                }
                at = blanks(bytes, value(bytes, at, depth - 1)?);
                match bytes.get(at) {
                    Some(b',') => at = blanks(bytes, at + 1),
                    Some(end) if *end == close => return Ok(at + 1),
                    _ => return Err(at),
                }
            }
        }
        Some(b'-' | b'0'..=b'9') => {
            let length =
                bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
            let number = std::str::from_utf8(&bytes[at..at + length]).unwrap_or_default();
            number.parse::<f64>().map(|_| at + length).map_err(|_| at)
        }
        _ => ["true", "false", "null"]
            .into_iter()
            .find(|word| begins(word))
            .map(|word| at + word.len())
            .ok_or(at),
    }
}

fn string(bytes: &[u8], from: usize) -> Result<usize, usize> {
    if bytes.get(from) != Some(&b'"') {
        return Err(from);
    }
    let mut at = from + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(0x20..) => at += 1,
            _ => return Err(at),
        }
    }
}

/// A helm: that of the machine, or one that is built once from its module, which takes some two minutes.
fn helm() -> Result<PathBuf, String> {
    let works = |program: &Path, word: &str| {
        let ended = Command::new(program).arg(word).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.is_ok_and(|status| status.success())
    };
    let dir = run::target().join("deploy");
    let own = dir.join("helm");
    for found in [PathBuf::from("helm"), own.clone()] {
        if works(&found, "version") {
            return Ok(found);
        }
    }
    if !works(Path::new("go"), "version") {
        return Err("there is neither helm nor Go here".to_owned());
    }
    println!("building helm from its module; the first time this takes some two minutes");
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut go = Command::new("go");
    // A linter need not be fast: without optimisation and debug information it is built sooner.
    go.args(["install", "-trimpath", "-ldflags", "-s -w", "-gcflags", "all=-N -l -dwarf=false", HELM]);
    // Go takes absolute directories only, and no flags that are meant for another module.
    let dir = std::fs::canonicalize(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    go.env("CGO_ENABLED", "0").env("GOBIN", dir).env_remove("GOFLAGS");
    run::run(go)?;
    Ok(own)
}

/// Lints and renders the chart with each set of values under `ci/`, and expects that nonsense is refused.
fn chart(helm: &Path) -> Result<(), String> {
    let mut sets = vec![PathBuf::from(CHART).join("values.yaml")];
    let ci = Path::new(CHART).join("ci");
    for entry in std::fs::read_dir(&ci).map_err(|e| format!("{}: {e}", ci.display()))? {
        sets.push(entry.map_err(|e| e.to_string())?.path());
    }
    sets.sort();
    let with = |verb: &str, words: &[&str]| {
        let mut command = Command::new(helm);
        command.args([verb, "--namespace", "audit", "--kube-version", KUBERNETES]).args(words);
        command
    };
    for set in &sets {
        let mut lint = with("lint", &[CHART, "--strict", "--quiet", "--values"]);
        lint.arg(set);
        run::output(lint)?;
        let mut template = with("template", &["klio", CHART, "--values"]);
        template.arg(set);
        let rendered = run::output(template)?;
        wanted(&rendered).map_err(|said| format!("{}: {said}", set.display()))?;
    }
    for nonsense in
        ["replicas=2", "config.server.listen=0.0.0.0:1", "config.clusters.a.token=secret", "image.tagg=1"]
    {
        let mut template = with("template", &["klio", CHART, "--set", nonsense]);
        let ended =
            template.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|e| e.to_string())?;
        if ended.success() {
            return Err(format!("{CHART}: --set {nonsense} is not refused"));
        }
    }
    let restart = |set: &str| -> Result<String, String> {
        let rendered = run::output(with("template", &["klio", CHART, "--set", set]))?;
        let line = rendered.lines().find(|line| line.contains("klio.dev/restart:"));
        line.map(str::to_owned).ok_or_else(|| format!("{CHART}: no klio.dev/restart"))
    };
    let before = restart("log.level=info")?;
    if before != restart("config.clusters.a.token=env:A")? || before == restart("config.lake.keep_days=1")? {
        return Err(format!("{CHART}: a new token makes the pod new, or another retention does not"));
    }
    println!("   the chart was linted and rendered with {} sets of values", sets.len());
    Ok(())
}

/// What Pod Security `restricted` asks for stands in the pods, in all of them.
fn wanted(rendered: &str) -> Result<(), String> {
    let pods = rendered
        .split("\n---")
        .filter(|part| part.contains("\nkind: StatefulSet") || part.contains("\nkind: Pod\n"));
    let mut count = 0;
    for pod in pods {
        count += 1;
        let asked = [
            "runAsNonRoot: true",
            "type: RuntimeDefault",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "ALL",
        ];
        if let Some(missing) = asked.into_iter().find(|text| !pod.contains(text)) {
            return Err(format!("a pod without `{missing}`"));
        }
    }
    if count == 2 { Ok(()) } else { Err(format!("{count} pods and not two, the server's and the test's")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
#[derive(Clone, EncodeLabelSet)]
pub struct OfReason {
    pub reason: &'static str,
}
pub struct Metrics {
    refused: Family<OfReason, Counter>,
    flush: Histogram,
    pub open: Gauge,
}
        registry.register(\"refused\", \"Refused\", m.refused.clone());
        registry.register_with_unit(
            \"flush\",
            \"Writing\",
            Unit::Seconds,
            m.flush.clone(),
        );
        registry.register(\"open\", \"Open\", m.open.clone());
        registry.register(\"build\", \"Build\", Info::new([(\"version\", \"1\")]));
";

    #[test]
    fn metrics_are_known_as_prometheus_sees_them() {
        let metrics = Metrics::of(SOURCE).unwrap();
        let good = "rate(klio_refused_total{reason=~\\\"a\\\"}[5m]) klio_flush_seconds_bucket klio_open klio_build_info";
        assert!(metrics.unknown(good).is_empty(), "{:?}", metrics.unknown(good));
        for bad in ["klio_refused", "klio_flush_bucket", "klio_opens", "sum by (why) (up)", "up{who=\"me\"}"]
        {
            assert_eq!(metrics.unknown(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn json_is_told_from_what_looks_like_it() {
        for good in ["{}", " [1, -2.5e3, \"a\\\"b\", {\"c\": [null, true]}]\n"] {
            assert_eq!(json(good), Ok(()), "{good}");
        }
        for bad in ["", "{,}", "[1,]", "{\"a\" 1}", "[1} ", "{} x", "\"a", "[tru]"] {
            assert!(json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_alert_without_a_heading_is_told() {
        let rules = "(dict \"name\" \"KlioDown\" …) (dict \"name\" \"KlioSlow\" …)";
        assert!(alerts(rules, "### KlioDown\n### KlioSlow\n").is_empty());
        assert_eq!(alerts(rules, "### KlioDown\n").len(), 1);
        assert_eq!(alerts(rules, "### KlioDown\n### KlioSlow\n### KlioGone\n").len(), 1);
    }
}
