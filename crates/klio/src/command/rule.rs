//! `klio rule`

mod cases;

use std::io::Write;
use std::path::PathBuf;

use klio_detect::{Dialect, Rule as Compiled};
use klio_model::Severity;

use crate::failure::Failure;
use crate::pack::{self, Rules};

/// List, show, check and test detection rules.
#[derive(clap::Subcommand)]
pub enum Rule {
    /// List the rules that would run.
    #[command(after_help = "Examples:\n  klio rule list\n  klio rule list --rules ./sigma --only-rules")]
    List {
        #[command(flatten)]
        rules: Rules,
        /// json prints one object per line.
        #[arg(short, long, value_enum, default_value = "table")]
        output: ListFormat,
    },
    /// Show a rule: what it is, why it matters, when it is harmless, what to do next, and its filter.
    #[command(
        after_help = "Examples:\n  klio rule show node-proxy-kubelet\n  klio rule show 'Attach/Exec Pod' --falco-rules k8s_audit_rules.yaml"
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
}

/// `-o` of list.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// A table.
    Table,
    /// One JSON object per line.
    Json,
    /// The same.
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
        }
    }
}

/// What lists show of a rule or correlation.
struct Row<'r> {
    id: &'r str,
    title: &'r str,
    dialect: Dialect,
    severity: Severity,
    techniques: String,
    file: &'r str,
}

fn list(rules: &Rules, output: ListFormat) -> Result<(), Failure> {
    let (set, wrong) = rules.load()?.told();
    let join = |t: &[klio_model::Technique]| t.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let plain = set.rules.iter().filter(|r| r.reports).map(|r| Row {
        id: &r.id,
        title: &r.title,
        dialect: r.dialect,
        severity: r.severity,
        techniques: join(&r.techniques),
        file: &r.file,
    });
    let correlated = set.correlations.iter().filter(|c| c.reports).map(|c| Row {
        id: &c.id,
        title: &c.title,
        dialect: c.dialect,
        severity: c.severity,
        techniques: join(&c.techniques),
        file: &c.file,
    });
    let mut rows: Vec<Row<'_>> = plain.chain(correlated).collect();
    rows.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.title.cmp(b.title)));
    let mut out = std::io::stdout().lock();
    if output == ListFormat::Table {
        let mut table = comfy_table::Table::new();
        *table.style_mut() = comfy_table::presets::NOTHING;
        table.set_header(["SEVERITY", "TITLE", "TECHNIQUES", "RULE"]);
        for r in &rows {
            let short = r
                .file
                .strip_prefix("rules/")
                .and_then(|f| f.strip_suffix(".yml"))
                .unwrap_or(r.dialect.name());
            table.add_row([r.severity.name(), r.title, &r.techniques, short]);
        }
        writeln!(out, "{table}")?;
        eprintln!("{} rules", rows.len());
    } else {
        for r in &rows {
            let row = serde_json::json!({
                "type": "rule", "id": r.id, "title": r.title, "dialect": r.dialect.name(),
                "severity": r.severity, "techniques": r.techniques.split(' ').filter(|t| !t.is_empty()).collect::<Vec<_>>(), "file": r.file,
            });
            writeln!(out, "{row}")?;
        }
    }
    pack::verdict(wrong)
}

fn show(name: &str, rules: &Rules) -> Result<(), Failure> {
    let (set, wrong) = rules.load()?.told();
    let slug =
        |file: &str| file.rsplit('/').next().and_then(|f| f.split('.').next()).unwrap_or_default().to_owned();
    let is = |id: &str, title: &str, file: &str| {
        id == name || title.eq_ignore_ascii_case(name) || slug(file) == name
    };
    let mut out = std::io::stdout().lock();
    let wanted: Vec<&Compiled> = set.rules.iter().filter(|r| is(&r.id, &r.title, &r.file)).collect();
    let correlations: Vec<_> = set.correlations.iter().filter(|c| is(&c.id, &c.title, &c.file)).collect();
    let Some(file) =
        wanted.first().map(|r| r.file.as_str()).or_else(|| correlations.first().map(|c| c.file.as_str()))
    else {
        let nearest = set
            .rules
            .iter()
            .flat_map(|r| [slug(&r.file), r.title.clone()])
            .find(|n| n.to_lowercase().contains(&name.to_lowercase()));
        let failure = Failure::usage(format!("no rule is called `{name}`"));
        return Err(match nearest {
            Some(n) => failure.hint(format!("did you mean `{n}`?")),
            None => failure.hint("`klio rule list` shows all"),
        });
    };
    if let Some(page) = pack::page(file) {
        let text = page.split("\n## Cases").next().unwrap_or(page);
        writeln!(out, "{}\n", text.trim_end())?;
    }
    for rule in wanted {
        if pack::page(file).is_none() {
            writeln!(out, "# {}\n\n{}\n", rule.title, rule.description.trim())?;
        }
        writeln!(
            out,
            "id        {}\nseverity  {}\nfile      {}:{}",
            rule.id, rule.severity, rule.file, rule.line
        )?;
        let tags: Vec<String> = rule
            .tactics
            .iter()
            .map(ToString::to_string)
            .chain(rule.techniques.iter().map(ToString::to_string))
            .collect();
        writeln!(out, "ATT&CK    {}\nfilter    {}\n", tags.join(", "), rule.filter)?;
    }
    for c in correlations {
        writeln!(
            out,
            "id        {}\nseverity  {}\nfile      {}:{}\ncorrelation {}\n",
            c.id, c.severity, c.file, c.line, c.title
        )?;
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
