//! Which crate may depend on what: the house's promises, checked with `cargo tree`.

use crate::run;

/// A crate, our crates it may use, and foreign ones it must never see.
struct Rule {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// The heavy parts that only the store may have.
const LAKE: [&str; 4] = ["arrow", "parquet", "datafusion", "deltalake"];

/// Those that have them, themselves or through the store.
const MAY_HAVE_LAKE: [&str; 3] = ["klio-sql", "klio-store", "klio"];

const RULES: [Rule; 10] = [
    Rule { name: "klio-model", ours: &[], never: &["tokio", "hyper", "reqwest"] },
    Rule { name: "klio-source", ours: &["klio-model"], never: &[] },
    Rule { name: "klio-detect", ours: &["klio-model"], never: &["tokio", "hyper", "reqwest"] },
    Rule { name: "klio-seal", ours: &[], never: &["tokio", "hyper", "reqwest"] },
    Rule { name: "klio-desk", ours: &["klio-model"], never: &["hyper", "reqwest", "aws-lc-rs"] },
    Rule { name: "klio-sql", ours: &[], never: &[] },
    Rule { name: "klio-store", ours: &["klio-model", "klio-seal", "klio-sql"], never: &[] },
    Rule { name: "klio-web", ours: &["klio-model", "klio-detect", "klio-desk"], never: &[] },
    Rule {
        name: "klio",
        ours: &[
            "klio-model",
            "klio-source",
            "klio-detect",
            "klio-seal",
            "klio-sql",
            "klio-store",
            "klio-desk",
            "klio-web",
        ],
        never: &[],
    },
    Rule { name: "xtask", ours: &[], never: &[] },
];

/// Fails with every arrow that is not allowed.
pub fn check() -> Result<(), String> {
    let mut wrong = Vec::new();
    for rule in &RULES {
        let tree = run::output(run::cargo(&[
            "tree",
            "--quiet",
            "--package",
            rule.name,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]))?;
        // The first line is the crate itself.
        for dependency in tree.lines().skip(1).filter_map(|line| line.split_whitespace().next()) {
            let ours = dependency == "klio" || dependency.starts_with("klio-");
            let foreign = rule.never.contains(&dependency)
                || !MAY_HAVE_LAKE.contains(&rule.name)
                    && LAKE
                        .iter()
                        .any(|part| dependency == *part || dependency.starts_with(&format!("{part}-")))
                || rule.name == "xtask";
            if (ours && !rule.ours.contains(&dependency)) || (foreign && !ours) {
                wrong.push(format!("{} → {dependency}", rule.name));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() { Ok(()) } else { Err(format!("forbidden dependencies: {}", wrong.join(", "))) }
}
