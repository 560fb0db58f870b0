//! What would have to be recorded for more to be seen.

use super::{History, Why};

impl History {
    /// Why changes could not be seen, and what to do about it: a paragraph each.
    pub fn advice(&self) -> Vec<String> {
        self.unseen.iter().map(|(why, count)| self.advise(*why, *count)).collect()
    }

    fn advise(&self, why: Why, count: u32) -> String {
        let resource = &self.target.resource;
        let what = match count {
            1 => "1 change cannot be seen".to_owned(),
            n => format!("{n} changes cannot be seen"),
        };
        match why {
            Why::Level if matches!(resource.as_str(), "secrets" | "configmaps") => format!(
                "{what}: no bodies were recorded. That is as it should be: those of {resource} hold secrets, which do not belong \
                 into an audit log. Who changed it and when is all that an audit can tell."
            ),
            Why::Level => format!(
                "{what}: the audit policy recorded no bodies. This, above the rule that decides now, lets them be seen from then on:\n\
                 - level: RequestResponse\n  verbs: [create, update, patch, delete, deletecollection]\n  resources:\n  - group: \"{}\"\n    resources: [\"{resource}\"]",
                self.group
            ),
            Why::Truncated => format!(
                "{what}: the API server cut the events. --audit-log-truncate-max-event-size or --audit-webhook-truncate-max-event-size \
                 sets from what size on."
            ),
            Why::Salvaged => {
                format!("{what}: the records were cut on their way here, by a log shipper with a limit.")
            }
            Why::Unreadable => format!("{what}: the bodies are too large, nested too deeply, or no JSON."),
            Why::Absent => format!("{what}: the records say a level that has bodies, and have none."),
        }
    }
}
