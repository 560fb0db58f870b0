//! What a scan found.

use std::collections::BTreeMap;

use klio_detect::story::Story;
use klio_detect::{Allow, Rule};
use klio_model::{RuleRef, Severity, Tactic, Timestamp};
use klio_source::{Rejected, Skipped};
use serde::Serialize;

use super::spill::Stored;
use super::tally::Gap;

/// The result of a scan.
#[derive(Debug)]
pub struct Report {
    /// Numbers.
    pub summary: Summary,
    /// The gravest first.
    pub stories: Vec<Story>,
    /// Index of the story of each finding.
    pub story_of: Vec<Option<u32>>,
    /// All findings, on disk if they are many.
    pub findings: Stored,
    /// Every rule by number, with its count.
    pub rules: Vec<RuleCount>,
}

/// A rule and how often it found something.
#[derive(Clone, Debug)]
pub struct RuleCount {
    /// Which.
    pub rule: RuleRef,
    /// Its severity.
    pub severity: Severity,
    /// Its tactics.
    pub tactics: Vec<Tactic>,
    /// Findings.
    pub count: u64,
}

/// A rule by id and title.
#[derive(Clone, Debug, Serialize)]
pub struct RuleName {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
}

impl RuleName {
    /// Of a rule.
    pub fn of(rule: &Rule) -> Self {
        Self { id: rule.id.clone(), title: rule.title.clone() }
    }
}

/// When the events happened.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Span {
    /// First event.
    pub start: Option<Timestamp>,
    /// Last event.
    pub end: Option<Timestamp>,
}

impl From<Option<(Timestamp, Timestamp)>> for Span {
    fn from(range: Option<(Timestamp, Timestamp)>) -> Self {
        Self { start: range.map(|r| r.0), end: range.map(|r| r.1) }
    }
}

/// Something that was not read as an event.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    /// File.
    pub file: String,
    /// Line, from 1; 0 for the whole file.
    pub line: u64,
    /// How many records.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// How many findings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FindingCounts {
    /// By severity.
    pub by_severity: BTreeMap<Severity, u64>,
    /// By ATT&CK tactic.
    pub by_tactic: BTreeMap<Tactic, u64>,
}

/// The numbers of a scan.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Audit events judged, without duplicates.
    pub events: u64,
    /// Of these, events that tell an outcome.
    pub requests: u64,
    /// Events outside `--where`, `--since` and `--until`.
    pub filtered: u64,
    /// Events delivered again.
    pub duplicates: u64,
    /// Records that could not be read.
    pub rejected: u64,
    /// Where and why, the first of them.
    pub rejected_reasons: Vec<Trouble>,
    /// Well-formed records that are no audit events.
    pub skipped: u64,
    /// Where and why, the first of them.
    pub skipped_reasons: Vec<Trouble>,
    /// Paths that were named and cannot be read.
    #[serde(skip)]
    pub missing: Vec<String>,
    /// Events that were cut on their way and of which only the complete members could be read.
    pub salvaged: u64,
    /// Of these, requests that change something, or stream into a container: what they did is unknown.
    pub salvaged_writes: u64,
    /// Where the first of those stand.
    pub salvaged_places: Vec<String>,
    /// Files read.
    pub files: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Events by format.
    pub formats: BTreeMap<String, u64>,
    /// First and last event.
    pub time_range: Span,
    /// Events without a time.
    pub untimed: u64,
    /// Silences of five minutes or more.
    pub gaps: Vec<Gap>,
    /// Different identities.
    pub identities_seen: u64,
    /// The busiest identities.
    pub top_identities: Vec<(String, u64)>,
    /// Findings.
    pub findings: FindingCounts,
    /// Stories.
    pub stories: u64,
    /// Findings that would have opened a story beyond the 5,000 that are told of each severity.
    pub findings_untold: u64,
    /// Sessions whose earlier requests were forgotten to stay within memory: a story that they open later lacks
    /// its first minutes.
    pub sessions_forgotten: u64,
    /// Groups of correlations that were forgotten to stay within memory, while they could still have fired.
    pub correlations_forgotten: u64,
    /// What the memory forgot to stay within its budget, while it still counted.
    pub memory_forgotten: u64,
    /// What the allow-list excused: counted and not told.
    pub allowed: Vec<Allowed>,
    /// Rules and correlations that ran.
    pub rules_run: usize,
    /// Rules that could never answer: the audit policy does not record what they read.
    pub rules_blind: Vec<RuleName>,
    /// Wall time.
    pub seconds: f64,
}

/// An entry of the allow-list, and what it excused.
#[derive(Clone, Debug, Serialize)]
pub struct Allowed {
    /// The rule that it is about; all unless named.
    pub rule: Option<String>,
    /// Which events.
    #[serde(rename = "where")]
    pub filter: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// From then on it excuses nothing.
    pub until: Timestamp,
    /// Findings that it excused.
    pub findings: u64,
}

impl Allowed {
    pub(super) fn of(entry: &Allow) -> Self {
        Self {
            rule: entry.rule.clone(),
            filter: entry.text.clone(),
            owner: entry.owner.clone(),
            reason: entry.reason.clone(),
            until: entry.until,
            findings: 0,
        }
    }
}

impl Summary {
    pub(super) fn reject(&mut self, rejected: Vec<Rejected>, cap: usize) {
        for r in rejected {
            self.rejected += r.count;
            if self.rejected_reasons.len() < cap {
                let reason = r.reason.to_string();
                self.rejected_reasons.push(Trouble {
                    file: r.file.to_string(),
                    line: r.line,
                    count: r.count,
                    reason,
                });
            }
        }
    }

    pub(super) fn skip(&mut self, skipped: Vec<Skipped>, cap: usize) {
        for s in skipped {
            self.skipped += s.count;
            let reason = s.reason.to_string();
            if let Some(known) =
                self.skipped_reasons.iter_mut().find(|t| *t.file == *s.file && t.reason == reason)
            {
                known.count += s.count;
            } else if self.skipped_reasons.len() < cap {
                self.skipped_reasons.push(Trouble {
                    file: s.file.to_string(),
                    line: s.line,
                    count: s.count,
                    reason,
                });
            }
        }
    }

    /// All findings.
    pub fn finding_count(&self) -> u64 {
        self.findings.by_severity.values().sum()
    }
}
