//! Findings and incidents: those in the lake, and those that are on their way into it.

use std::collections::HashSet;

use klio_model::{Severity, Timestamp};
use klio_store::{KeptVerdict, VerdictKind as Kind, Wanted as Asked};
use klio_web::archive::{Patience, Verdict, VerdictKind, Wanted};
use klio_web::{ArchiveError, Sight};

use super::{Memory, seen};

/// A verdict with its time.
type Told = (Option<Timestamp>, Verdict);

impl Memory {
    /// Calls `f` with each verdict that is wanted.
    pub(super) fn each_verdict(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        wanted: &Wanted,
        f: &mut dyn FnMut(KeptVerdict),
    ) -> Result<(), ArchiveError> {
        let severity = |v: &KeptVerdict| v.severity.parse::<Severity>().ok();
        let is_wanted = |v: &KeptVerdict| {
            wanted.range.holds(v.time)
                && wanted.severity.is_none_or(|least| severity(v).is_some_and(|own| own >= least))
                && wanted.rule.as_ref().is_none_or(|rule| *rule == v.rule)
                && wanted.actor.as_ref().is_none_or(|actor| *actor == v.actor)
        };
        // Those on their way first: what is written meanwhile is then told once, and not never.
        let fresh = if kind == VerdictKind::Finding { self.pipeline.live.findings() } else { Vec::new() };
        let own = match kind {
            VerdictKind::Finding => Kind::Finding,
            VerdictKind::Story => Kind::Incident,
        };
        let asked = Asked { range: wanted.range, actor: None, rule: "" };
        let (kept, fresh) = self.ask(seen(sight, &wanted.clusters), patience, |lake| {
            let kept = lake.verdicts(own, asked)?;
            let visible = fresh.into_iter().filter(|v| lake.shows(own, v));
            Ok((kept, visible.collect::<Vec<_>>()))
        })?;
        let mut told = HashSet::new();
        for verdict in kept.into_iter().chain(fresh) {
            patience.check()?;
            if is_wanted(&verdict) && told.insert((verdict.cluster.clone(), verdict.id.clone())) {
                f(verdict);
            }
        }
        Ok(())
    }

    /// All verdicts that are wanted, the newest first.
    pub(super) fn all_verdicts(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        wanted: &Wanted,
    ) -> Result<Vec<Told>, ArchiveError> {
        let mut all = Vec::new();
        self.each_verdict(sight, patience, kind, wanted, &mut |v| all.push(v))?;
        all.sort_by(|a, b| (b.time, &a.cluster, &a.id).cmp(&(a.time, &b.cluster, &b.id)));
        Ok(all.into_iter().map(|v| (v.time, Verdict { cluster: v.cluster, json: v.json })).collect())
    }

    /// The verdict with an id.
    pub(super) fn one_verdict(
        &self,
        sight: &Sight,
        patience: &Patience,
        kind: VerdictKind,
        id: &str,
    ) -> Result<Verdict, ArchiveError> {
        let mut found = None;
        self.each_verdict(sight, patience, kind, &Wanted::default(), &mut |v| {
            if v.id == id {
                found = Some(Verdict { cluster: v.cluster, json: v.json });
            }
        })?;
        found.ok_or(ArchiveError::NotFound)
    }
}
