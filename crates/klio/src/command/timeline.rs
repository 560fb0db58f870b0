//! `klio timeline`

use std::io::{BufWriter, Write, stdout};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use klio_model::filter::{Matcher, TextMatch};
use klio_model::{Field, FieldRef, Filter, Timestamp, explain};
use klio_store::{KeptVerdict, VerdictKind, Wanted};

use super::hunt::scanned_note;
use super::scan::Window;
use crate::data::Data;
use crate::failure::Failure;
use crate::output::plain;

/// Tell what one actor did, what happened to one object, or what came from one address: events and findings in the
/// order of time.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  klio timeline --actor mallory@corp.example --since 7d
  klio timeline --object secrets/payments/db-password
  klio timeline --ip 203.0.113.7 --where 'not verb:get'")]
#[group(id = "about", required = true, multiple = true)]
pub struct Timeline {
    /// Who: a user, also when impersonated. Without --object, --ip and --where his findings are told, too.
    #[arg(long, value_name = "USER", group = "about", value_parser = NonEmptyStringValueParser::new())]
    pub actor: Option<String>,
    /// What: RESOURCE/NAME, RESOURCE/NAMESPACE/NAME, or NAME.
    #[arg(long, value_name = "OBJECT", group = "about", value_parser = NonEmptyStringValueParser::new())]
    pub object: Option<String>,
    /// From where: an address.
    #[arg(long, value_name = "ADDRESS", group = "about")]
    pub ip: Option<IpAddr>,
    #[command(flatten)]
    pub window: Window,
    /// Only events that change something, or were refused.
    #[arg(long)]
    pub brief: bool,
    #[command(flatten)]
    pub data: Data,
}

impl Timeline {
    fn filter(&self) -> Result<Filter, Failure> {
        let is =
            |field, text: &str| Filter::test(FieldRef::of(field), Matcher::Text(TextMatch::literal(text)));
        let mut parts = vec![self.window.filter()?];
        if let Some(actor) = &self.actor {
            parts.push(Filter::or([is(Field::User, actor), is(Field::Impersonated, actor)]));
        }
        if let Some(object) = &self.object {
            let names: Vec<&str> = object.split('/').collect();
            match names.as_slice() {
                [name] => parts.push(is(Field::Name, name)),
                [resource, name] => parts.extend([is(Field::Resource, resource), is(Field::Name, name)]),
                [resource, namespace, name] => parts.extend([
                    is(Field::Resource, resource),
                    is(Field::Namespace, namespace),
                    is(Field::Name, name),
                ]),
                _ => {
                    return Err(Failure::usage(format!("`{object}` is no object"))
                        .hint("write NAME, RESOURCE/NAME or RESOURCE/NAMESPACE/NAME"));
                }
            }
        }
        if let Some(ip) = &self.ip {
            parts.push(is(Field::SourceIp, &ip.to_string()));
        }
        if self.brief {
            let told = Filter::parse(
                "verb:(create or update or patch or delete or deletecollection) or code >= 400",
            );
            parts.push(told.map_err(|e| Failure::usage(e.to_string()))?);
        }
        Ok(Filter::and(parts))
    }

    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let started = Instant::now();
        let (filter, range) = (self.data.asked(self.filter()?)?, self.window.range()?);
        let people = crate::people::of(self.data.config()?.people.as_deref())?;
        let mut lake = self.data.lake()?;
        // Findings know their actor and nothing else that is asked for here.
        let only_actor = self.object.is_none() && self.ip.is_none() && self.window.filter.is_none();
        let findings = match &self.actor {
            Some(actor) if only_actor => {
                let wanted = Wanted { range, actor: Some(actor), rule: "" };
                lake.verdicts(VerdictKind::Finding, wanted).map_err(Failure::world)?
            }
            _ => Vec::new(),
        };
        let mut findings = findings.into_iter().peekable();
        let mut out = BufWriter::new(stdout().lock());
        let mut failed = None;
        let scanned = lake.find(&filter, range, &mut |kept| {
            let mut print = || -> std::io::Result<()> {
                while let Some(finding) = findings.next_if(|f| f.time <= kept.time) {
                    tell(&finding, &mut out)?;
                }
                if let Some(mut event) = kept.event() {
                    event.people = Some(&people);
                    let time = kept.time.map_or_else(|| "-".to_owned(), |t: Timestamp| t.to_string());
                    writeln!(out, "{time}  {}", plain(&explain(&event)))?;
                }
                Ok(())
            };
            failed = print().err();
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        failed.map_or(Ok(()), Err)?;
        let scanned = scanned.map_err(Failure::world)?;
        for finding in findings {
            tell(&finding, &mut out)?;
        }
        out.flush()?;
        scanned_note(&scanned, started.elapsed());
        Ok(())
    }
}

fn tell(finding: &KeptVerdict, out: &mut impl Write) -> std::io::Result<()> {
    let time = finding.time.map_or_else(|| "-".to_owned(), |t| t.to_string());
    let (severity, title) = (finding.severity.to_uppercase(), plain(&finding.title));
    writeln!(out, "{time}  ! {severity}: {title} [{}]", plain(&finding.rule))
}
