//! Writes distinct Sigma rules of realistic mix, to see what many rules cost.
//!
//! The mix follows what rule collections hold: mostly a verb and a resource with one more condition, some on
//! bodies, some with wildcards over names or addresses, a few regular expressions, few without a verb.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::Error;
use crate::rng::Rng;

const RESOURCES: [&str; 16] = [
    "pods",
    "secrets",
    "configmaps",
    "deployments",
    "daemonsets",
    "cronjobs",
    "jobs",
    "roles",
    "clusterroles",
    "rolebindings",
    "clusterrolebindings",
    "serviceaccounts",
    "services",
    "nodes",
    "networkpolicies",
    "ingresses",
];
const VERBS: [&str; 8] = ["create", "update", "patch", "delete", "deletecollection", "get", "list", "watch"];

/// Writes `count` rules into `folder`, one file each.
pub fn write(folder: &Path, count: usize, seed: u64) -> Result<(), Error> {
    std::fs::create_dir_all(folder)?;
    let mut rng = Rng::new(seed);
    for number in 0..count {
        std::fs::write(folder.join(format!("generated-{number:04}.yml")), rule(&mut rng, number))?;
    }
    Ok(())
}

fn rule(rng: &mut Rng, number: usize) -> String {
    let resource = rng.pick(&RESOURCES);
    let verb = rng.pick(&VERBS);
    let write_verb = rng.pick(&VERBS[..3]);
    let mut selection = String::new();
    let mut condition = "selection";
    let mut filter = String::new();
    let line = |text: &mut String, what: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "    {what}");
    };
    match rng.below(10) {
        0..=3 => {
            line(&mut selection, format_args!("verb: {verb}"));
            line(&mut selection, format_args!("objectRef.resource: {resource}"));
            line(&mut selection, format_args!("objectRef.name|startswith: 'app-{number}-'"));
        }
        4 | 5 => {
            line(&mut selection, format_args!("verb: {write_verb}"));
            line(&mut selection, format_args!("objectRef.resource: {resource}"));
            line(&mut selection, format_args!("requestObject.metadata.labels.team: 'team-{number}'"));
        }
        6 => {
            line(&mut selection, format_args!("verb: [{write_verb}, {verb}]"));
            line(&mut selection, format_args!("user.username|endswith: '.{number}@corp.example'"));
            condition = "selection and not known";
            line(&mut filter, format_args!("userAgent|contains: 'terraform/{number}'"));
        }
        7 => {
            line(&mut selection, format_args!("objectRef.resource: {resource}"));
            line(
                &mut selection,
                format_args!("responseStatus.code: {}", rng.pick(&["403", "404", "409", "500"])),
            );
            line(&mut selection, format_args!("objectRef.namespace: 'tenant-{number}'"));
        }
        8 => {
            line(&mut selection, format_args!("verb: {write_verb}"));
            line(&mut selection, format_args!("objectRef.resource: pods"));
            line(
                &mut selection,
                format_args!(
                    "requestObject.spec.containers.image|re: '^registry{number}\\.example/[a-z]+:.*$'"
                ),
            );
        }
        _ => {
            line(&mut selection, format_args!("sourceIPs|cidr: '192.0.{}.0/24'", number % 256));
            line(&mut selection, format_args!("userAgent|contains: 'probe-{number}'"));
        }
    }
    let known = if filter.is_empty() { String::new() } else { format!("  known:\n{filter}") };
    let level = rng.pick(&["low", "medium", "high"]);
    format!(
        "title: Generated {number}\nid: 00000000-0000-4000-8000-{number:012}\nstatus: test\n\
         logsource:\n  product: kubernetes\n  service: audit\ndetection:\n  selection:\n{selection}{known}  \
         condition: {condition}\nlevel: {level}\n"
    )
}
