//! Which rules run: Klio's own pack, and what the user gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use klio_detect::{Dialect, Problem, Rule, RuleFile, RuleSet, falco, sigma};

use crate::failure::Failure;
use crate::lookup::Lists;

/// Klio's own rules with their pages, as they are in the repository.
static PACK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../rules");

/// The allow-list that Klio writes, in its data directory.
#[cfg(feature = "lake")]
const KEPT: &str = "allow.yaml";

/// A rule file larger than this is refused.
const FILE_CAP: u64 = 16 << 20;

/// Which rules a command uses.
#[derive(clap::Args, Default, Clone)]
pub struct Rules {
    /// Sigma rule file or directory to add; may be repeated.
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub rules: Vec<PathBuf>,
    /// Falco rule file (source k8s_audit) to add; later files override earlier ones.
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub falco_rules: Vec<PathBuf>,
    /// File of what is known to be right: findings that it excuses are counted and not told. May be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub allow: Vec<PathBuf>,
    /// File that says which person uses which accounts; findings and stories name him.
    #[arg(long, value_name = "FILE", help_heading = "Rules")]
    pub people: Option<PathBuf>,
    /// Leave out Klio's own rules.
    #[arg(long, help_heading = "Rules")]
    pub only_rules: bool,
    #[command(flatten)]
    pub lists: Lists,
    /// The allow-list that Klio writes into its data directory.
    #[arg(skip)]
    pub kept: Option<PathBuf>,
}

/// Loaded rules and what was wrong with some of them.
pub struct Loaded {
    /// What runs.
    pub set: RuleSet,
    /// What does not, and warnings.
    pub problems: Vec<Problem>,
}

impl Rules {
    /// With what the settings say (more lists, and people where the command line names none) and the allow-list of the data directory.
    #[cfg(feature = "lake")]
    #[must_use]
    pub fn with(&self, config: &crate::config::Config, dir: &Path) -> Self {
        Self {
            kept: Some(dir.join(KEPT)),
            lists: self.lists.and(&config.lookup),
            people: self.people.clone().or_else(|| config.people.clone()),
            ..self.clone()
        }
    }

    /// Reads and compiles the rules.
    pub fn load(&self) -> Result<Loaded, Failure> {
        // A directory may hold both dialects: a Falco file is a list of rules, macros and lists.
        let (falco_files, sigma_files): (Vec<_>, Vec<_>) =
            read(&self.rules)?.into_iter().partition(|f| looks_like_falco(&f.text));
        // Compiled together, so that a user's filters and correlations reach Klio's own rules.
        let pack = if self.only_rules { Vec::new() } else { own() };
        let all: Vec<(Dialect, &RuleFile)> = pack
            .iter()
            .map(|f| (Dialect::Klio, f))
            .chain(sigma_files.iter().map(|f| (Dialect::Sigma, f)))
            .collect();
        let (mut set, mut problems) = sigma::compile_all(&all);
        let falco_all = [falco_files, read(&self.falco_rules)?].concat();
        if !falco_all.is_empty() {
            let (given, wrong) = falco::compile(&falco_all);
            set.rules.extend(given.rules);
            problems.extend(wrong);
        }
        for path in &self.allow {
            set.allow.extend(crate::allow::read(path, &set)?);
        }
        if let Some(path) = &self.kept {
            let mut wrong = |entry: &crate::allow::Entry, failure: Failure| {
                eprintln!("warning: {}: entry of {}: {}", path.display(), entry.owner, failure.message);
            };
            // A server that does not start since somebody's hand slipped in this file would judge nothing at all.
            match crate::allow::kept(path, &set, &mut wrong) {
                Ok(right) => set.allow.extend(right),
                Err(failure) => eprintln!("warning: {}: none of its entries counts", failure.message),
            }
        }
        set.lookup = Arc::new(self.lists.load()?);
        set.people = crate::people::of(self.people.as_deref())?;
        Ok(Loaded { set, problems })
    }
}

impl Loaded {
    /// Prints what is wrong to stderr. Rules that are right run all the same: see [`verdict`].
    pub fn told(self) -> (RuleSet, usize) {
        report_problems(&self.problems);
        let errors = self.problems.iter().filter(|p| !p.warning).count();
        (self.set, errors)
    }
}

/// Fails if a rule could not run: said after the work, which went on without it.
pub fn verdict(errors: usize) -> Result<(), Failure> {
    match errors {
        0 => Ok(()),
        n => Err(Failure::usage(format!(
            "{n} problem{} in the rules: those rules did not run",
            if n == 1 { "" } else { "s" }
        ))
        .hint("`klio rule lint FILE` shows them with advice")),
    }
}

/// Prints problems with their excerpts.
pub fn report_problems(problems: &[Problem]) {
    for problem in problems {
        if problem.warning {
            eprintln!("warning: {}:{}: {}", problem.file, problem.line, problem.message);
            continue;
        }
        let mut text = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
        if handler.render_report(&mut text, problem).is_err() {
            text.clone_from(&problem.message);
        }
        eprintln!("{}:{}: error: {}\n{text}", problem.file, problem.line, problem.message);
    }
}

/// Klio's own rule files.
pub fn own() -> Vec<RuleFile> {
    let mut files = Vec::new();
    gather(&PACK, &mut files);
    files.sort_by(|a: &RuleFile, b| a.name.cmp(&b.name));
    files
}

fn gather(dir: &Dir<'_>, out: &mut Vec<RuleFile>) {
    for file in dir.files().filter(|f| f.path().extension().is_some_and(|e| e == "yml")) {
        if let Some(text) = file.contents_utf8() {
            out.push(RuleFile { name: format!("rules/{}", file.path().display()), text: text.into() });
        }
    }
    dir.dirs().for_each(|d| gather(d, out));
}

/// The page of one of Klio's own rules.
pub fn page(rule_file: &str) -> Option<&'static str> {
    let path = rule_file.strip_prefix("rules/")?.strip_suffix(".yml")?;
    PACK.get_file(format!("{path}.md"))?.contents_utf8()
}

/// One of Klio's own rules as it is written.
#[cfg(feature = "lake")]
pub fn source(rule_file: &str) -> Option<&'static str> {
    PACK.get_file(rule_file.strip_prefix("rules/")?)?.contents_utf8()
}

/// A section of a rule's page, by its heading.
pub fn section(page: &'static str, heading: &str) -> Option<&'static str> {
    let start = page.find(&format!("\n## {heading}\n"))? + heading.len() + 5;
    let rest = &page[start..];
    Some(rest.split("\n## ").next().unwrap_or(rest).trim())
}

/// What to do next about a rule's finding, in a line or two.
pub fn next_step(rule: &Rule) -> Option<String> {
    let text = section(page(&rule.file)?, "What to do next")?;
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let lines = paragraph.lines().map(str::trim).take_while(|l| !l.starts_with("2."));
    let first = lines.collect::<Vec<_>>().join(" ");
    Some(first.trim_start_matches(['-', '*', '1', '.', ' ']).to_owned())
}

fn looks_like_falco(text: &str) -> bool {
    text.lines().any(|l| {
        let l = l.trim_start();
        ["- rule:", "- macro:", "- list:", "- required_engine_version:"].iter().any(|k| l.starts_with(k))
    })
}

/// Reads rule files, and all of directories.
pub fn read(paths: &[PathBuf]) -> Result<Vec<RuleFile>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    Ok(files)
}

/// Reads a rule file, or all of a directory.
fn collect(path: &Path, out: &mut Vec<RuleFile>) -> Result<(), Failure> {
    let meta = std::fs::metadata(path).map_err(|e| {
        Failure::usage(format!("cannot read rules from {}: {e}", path.display()))
            .hint("give a .yml file or a directory")
    })?;
    if meta.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path)?.filter_map(|e| Some(e.ok()?.path())).collect();
        entries.sort();
        for entry in entries {
            let yaml = entry.extension().is_some_and(|e| e == "yml" || e == "yaml");
            let own_link = entry.is_symlink() && entry.is_dir();
            if (entry.is_dir() && !own_link) || (yaml && entry.is_file()) {
                collect(&entry, out)?;
            }
        }
        return Ok(());
    }
    if meta.len() > FILE_CAP {
        return Err(Failure::usage(format!(
            "{} is larger than {} MiB: not a rule file",
            path.display(),
            FILE_CAP >> 20
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        Failure::usage(format!("{}: not UTF-8 after byte {}", path.display(), e.utf8_error().valid_up_to()))
    })?;
    out.push(RuleFile { name: path.display().to_string(), text: text.into() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Which rules say that they cover a detection, by the tags in their files.
    fn covers() -> BTreeMap<String, BTreeSet<String>> {
        let mut covers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in own() {
            let tags = file.text.lines().filter_map(|line| line.trim().strip_prefix("- klio."));
            for id in tags {
                let slug = file.name.trim_start_matches("rules/").trim_end_matches(".yml");
                covers.entry(id.trim().to_uppercase()).or_default().insert(slug.to_owned());
            }
        }
        covers
    }

    #[test]
    fn the_table_of_detections_is_what_the_rules_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detections.md");
        let table = std::fs::read_to_string(path).unwrap();
        let covers = covers();
        let mut told = BTreeSet::new();
        for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id ")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (id, rules) = (cells[1], cells[3]);
            let named: BTreeSet<String> = rules.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            if rules.starts_with('*') {
                assert!(!covers.contains_key(id), "{id}: there is a rule by now");
            } else {
                assert_eq!(Some(&named), covers.get(id), "{id}");
            }
            told.insert(id.to_owned());
        }
        assert_eq!(told.len(), 156);
        assert!(covers.keys().all(|id| told.contains(id)), "{covers:?}");
    }
}
