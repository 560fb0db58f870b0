//! The `fires` and `quiet` cases on a rule's page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klio_detect::engine::FalcoMatching;
use klio_detect::lookup::{Atlas, Import};
use klio_detect::{Dialect, Lookup, RuleFile, RuleSet, sigma};
use klio_model::{Filter, TimeRange};

use crate::failure::Failure;
use crate::pack;
use crate::scan;

/// One case: events as JSON lines, and whether the rules of the page must find something.
struct Case {
    fires: bool,
    line: usize,
    events: String,
}

/// Where addresses lie in cases: some networks for documentation, as `fixtures/lookup/README.md` says.
const PLACES: [&[u8]; 2] = [
    include_bytes!("../../../../../fixtures/lookup/country.mmdb"),
    include_bytes!("../../../../../fixtures/lookup/asn.mmdb"),
];

/// A rule file with its page.
struct Page {
    rule: RuleFile,
    page: Option<String>,
}

/// Runs all cases and prints what fails.
pub(super) fn test(paths: &[PathBuf]) -> Result<(), Failure> {
    let pages: Vec<Page> = if paths.is_empty() { pack::own() } else { pack::read(paths)? }
        .into_iter()
        .map(|rule| {
            let page = if paths.is_empty() {
                pack::page(&rule.name).map(str::to_owned)
            } else {
                std::fs::read_to_string(Path::new(&rule.name).with_extension("md")).ok()
            };
            Page { rule, page }
        })
        .collect();
    let mut out = std::io::stdout().lock();
    let (mut passed, mut failed) = (0, 0);
    for page in &pages {
        let (mut set, problems) = sigma::compile(std::slice::from_ref(&page.rule), Dialect::Klio);
        pack::report_problems(&problems);
        if problems.iter().any(|p| !p.warning) {
            failed += 1;
            continue;
        }
        let cases = page.page.as_deref().map(cases).unwrap_or_default();
        set.lookup = Arc::new(lookup(page.page.as_deref().unwrap_or_default())?);
        if cases.is_empty() {
            failed += 1;
            writeln!(out, "FAIL {}: its page has no cases", page.rule.name)?;
        }
        for case in cases {
            let found = run(&case, &set)?;
            if found == case.fires {
                passed += 1;
            } else {
                failed += 1;
                let should =
                    if case.fires { "should fire and is quiet" } else { "should be quiet and fires" };
                writeln!(
                    out,
                    "FAIL {}: the case at line {} of its page {should}",
                    page.rule.name, case.line
                )?;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    if failed > 0 { Err(Failure::found()) } else { Ok(()) }
}

/// Whether the rules find something in a case: the same way as a scan does.
fn run(case: &Case, set: &RuleSet) -> Result<bool, Failure> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(case.events.as_bytes())?;
    file.flush()?;
    let options = scan::Options {
        paths: vec![file.path().to_owned()],
        filter: Filter::All,
        range: TimeRange::default(),
        threads: 1,
        matching: FalcoMatching::All,
        listing: false,
        progress: false,
    };
    let report = scan::run(&options, set)?;
    if report.summary.rejected > 0 || report.summary.events == 0 {
        let why =
            report.summary.rejected_reasons.first().map_or("it holds no audit event", |t| t.reason.as_str());
        return Err(Failure::usage(format!(
            "the case at line {} of a page cannot be read: {why}",
            case.line
        )));
    }
    Ok(report.summary.finding_count() > 0)
}

/// What is looked up in the cases of a page: its fenced block `csv indicators`, and the places of all pages.
fn lookup(page: &str) -> Result<Lookup, Failure> {
    let mut atlas = Atlas::default();
    for bytes in PLACES {
        atlas.add(bytes.to_vec()).map_err(Failure::usage)?;
    }
    let mut import = Import::default();
    let block = page.split_once("```csv indicators\n").and_then(|(_, rest)| rest.split_once("```"));
    if let Some((text, _)) = block {
        let told = import.file("page", text).map_err(Failure::usage)?;
        if let Some(row) = told.refused.first() {
            return Err(Failure::usage(format!("indicators of a page, row {}: {}", row.place, row.why)));
        }
    }
    Ok(Lookup { atlas: Some(atlas), indicators: import.finish() })
}

/// Fenced blocks whose info string is `json fires` or `json quiet`.
fn cases(page: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut open: Option<Case> = None;
    for (i, line) in page.lines().enumerate() {
        match (&mut open, line.trim()) {
            (None, "```json fires") => open = Some(Case { fires: true, line: i + 1, events: String::new() }),
            (None, "```json quiet") => open = Some(Case { fires: false, line: i + 1, events: String::new() }),
            (Some(_), "```") => cases.extend(open.take()),
            (Some(case), _) => {
                case.events.push_str(line);
                case.events.push('\n');
            }
            _ => {}
        }
    }
    cases
}
