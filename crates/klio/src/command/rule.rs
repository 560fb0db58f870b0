//! `klio rule`

mod cases;
mod coverage;

use std::io::Write;
use std::path::PathBuf;

use klio_detect::About;

use crate::failure::Failure;
use crate::output::{Grid, plain};
use crate::pack::{self, Rules};
use crate::scan::REUSE;

/// List, show, check and test detection rules.
#[derive(clap::Subcommand)]
pub enum Rule {
    /// List the rules that would run.
    #[command(after_help = "Examples:\n  klio rule list\n  klio rule list --rules ./sigma --only-rules")]
    List {
        #[command(flatten)]
        rules: Rules,
        /// jsonl: one JSON object per line.
        #[arg(short, long, value_enum, default_value = "table")]
        output: ListFormat,
    },
    /// Show a rule: what it is, why it matters, when it is harmless, what to do next, and its filter.
    #[command(
        after_help = "Examples:\n  klio rule show kubelet-command-through-node-proxy\n  klio rule show 'Attach/Exec Pod' --falco-rules k8s_audit_rules.yaml"
    )]
    Show {
        /// Id, file name or title.
        rule: String,
        #[command(flatten)]
        rules: Rules,
    },
    /// Check rule files: what a rule asks and Klio cannot do is an error with file, line and advice.
    #[command(
        after_help = "Examples:\n  klio rule lint my-rule.yml\n  klio rule lint ./sigma k8s_audit_rules.yaml"
    )]
    Lint {
        /// Rule files or directories, Sigma or Falco.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run the `fires` and `quiet` cases on the rules' pages.
    #[command(after_help = "Examples:\n  klio rule test\n  klio rule test ./my-rules")]
    Test {
        /// Directories of rules with pages; Klio's own pack if none is given.
        paths: Vec<PathBuf>,
    },
    /// Say which rules can work with what is recorded, and what the audit policy must say for the others.
    Coverage(coverage::Cover),
}

/// `-o` of list.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// A table.
    Table,
    /// One JSON object per line.
    #[value(alias = "json")]
    Jsonl,
}

impl Rule {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::List { rules, output } => list(&rules, output),
            Self::Show { rule, rules } => show(&rule, &rules),
            Self::Lint { paths } => lint(paths),
            Self::Test { paths } => cases::test(&paths),
            Self::Coverage(cover) => cover.run(),
        }
    }
}

fn list(rules: &Rules, output: ListFormat) -> Result<(), Failure> {
    let (set, wrong) = rules.load()?.told();
    let mut rows: Vec<&About> = set.abouts().filter(|a| a.reports).collect();
    rows.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.title.cmp(&b.title)));
    let mut out = std::io::stdout().lock();
    if output == ListFormat::Table {
        let mut grid = Grid::new(&["severity", "title", "techniques", "rule"]);
        for r in &rows {
            let own = r.file.strip_prefix("rules/").and_then(|f| f.strip_suffix(".yml"));
            let techniques = words(&r.techniques).join(" ");
            let rule = own.unwrap_or(r.dialect.name()).to_owned();
            grid.row(vec![r.severity.name().into(), r.title.clone(), techniques, rule]);
        }
        write!(out, "{grid}")?;
        let parts = set.abouts().count() - rows.len();
        let others =
            if parts > 0 { format!(", and {parts} that only correlations use") } else { String::new() };
        eprintln!("{} rules{others}", rows.len());
    } else {
        for r in &rows {
            let row = serde_json::json!({
                "type": "rule", "id": r.id, "title": r.title, "dialect": r.dialect.name(),
                "severity": r.severity, "techniques": words(&r.techniques), "file": r.file,
            });
            writeln!(out, "{row}")?;
        }
    }
    pack::verdict(wrong)
}

fn words(things: &[impl ToString]) -> Vec<String> {
    things.iter().map(ToString::to_string).collect()
}

/// A file's name without its ending.
fn slug(file: &str) -> &str {
    file.rsplit('/').next().and_then(|f| f.split('.').next()).unwrap_or_default()
}

fn show(name: &str, rules: &Rules) -> Result<(), Failure> {
    let (set, wrong) = rules.load()?.told();
    let is = |a: &About| a.id == name || a.title.eq_ignore_ascii_case(name) || slug(&a.file) == name;
    if name == REUSE.0 {
        let text = "Klio tells this of any audit log, without a rule: the client chooses the Audit-ID header, and a request under\n\
            an id that another request had may be meant to pass for a repeated delivery. It is not told of repeated\n\
            deliveries, of the stages of one request, nor of one request that two audit backends record.";
        writeln!(std::io::stdout(), "# {}\n\n{text}\n\nid        {}\nseverity  medium", REUSE.1, REUSE.0)?;
        return Ok(());
    }
    let Some(file) = set.abouts().find(|a| is(a)).map(|a| a.file.as_str()) else {
        let near = |n: &&str| n.to_lowercase().contains(&name.to_lowercase());
        let failure = Failure::usage(format!("no rule is called `{name}`"));
        return Err(match set.abouts().flat_map(|a| [slug(&a.file), &a.title]).find(near) {
            Some(n) => failure.hint(format!("did you mean `{n}`?")),
            None => failure.hint("`klio rule list` shows all"),
        });
    };
    let mut out = std::io::stdout().lock();
    let page = pack::page(file);
    if let Some(page) = page {
        let text = page.split("\n## Cases").next().unwrap_or(page);
        writeln!(out, "{}\n", text.trim_end())?;
    }
    let head = |about: &About, out: &mut dyn Write| {
        if page.is_none() {
            let description: Vec<String> = about.description.split('\n').map(plain).collect();
            writeln!(out, "# {}\n\n{}\n", plain(&about.title), description.join("\n"))?;
        }
        let tags = [words(&about.tactics), words(&about.techniques)].concat().join(", ");
        writeln!(out, "id        {}\nseverity  {}", plain(&about.id), about.severity)?;
        writeln!(out, "file      {}:{}\nATT&CK    {tags}", plain(&about.file), about.line)
    };
    for rule in set.rules.iter().filter(|r| is(r)) {
        head(rule, &mut out)?;
        writeln!(out, "filter    {}\n", rule.filter)?;
    }
    for correlation in set.correlations.iter().filter(|c| is(c)) {
        head(correlation, &mut out)?;
        writeln!(out, "correlation {}\n", plain(&correlation.title))?;
    }
    pack::verdict(wrong)
}

fn lint(paths: Vec<PathBuf>) -> Result<(), Failure> {
    let loaded = Rules { rules: paths, only_rules: true, ..Rules::default() }.load()?;
    pack::report_problems(&loaded.problems);
    let errors = loaded.problems.iter().filter(|p| !p.warning).count();
    let warnings = loaded.problems.len() - errors;
    let (rules, correlations) = (loaded.set.rules.len(), loaded.set.correlations.len());
    writeln!(
        std::io::stdout(),
        "{rules} rules and {correlations} correlations are right, {errors} errors, {warnings} warnings"
    )?;
    if errors > 0 { Err(Failure::found()) } else { Ok(()) }
}
