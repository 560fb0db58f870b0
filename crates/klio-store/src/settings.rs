//! How a lake is kept: the section `lake` of `klio.yaml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use klio_model::Filter;
use object_store::path::Path as Key;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Runtime;
use url::Url;

use crate::error::StoreError;
use crate::place::Place;
use crate::vault::{Encryption, Vault};

/// Settings of a lake.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the tables lie: nothing for the data directory, or `s3://…`, `gs://…`, `az://…`.
    pub url: Option<String>,
    /// Options of the object store, as its library names them (`aws_region`, …).
    pub options: BTreeMap<String, String>,
    /// Bytes of records in memory before they are written as a file.
    pub flush_bytes: u64,
    /// Bytes that the spool may take.
    pub spool_bytes: u64,
    /// What is kept how long; the first rule that fits an event counts.
    pub retention: Vec<Retention>,
    /// What no rule fits is kept so many days.
    pub keep_days: u32,
    /// Who keeps the keys that the lake is encrypted with; nothing for a lake that is not.
    pub encryption: Option<Encryption>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            options: BTreeMap::new(),
            flush_bytes: 64 << 20,
            spool_bytes: 4 << 30,
            retention: Vec::new(),
            keep_days: 400,
            encryption: None,
        }
    }
}

/// One rule of retention.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Its name, which is a part of paths: small letters, digits and `-`.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,40}$"))]
    pub class: String,
    /// Which events, in Klio's predicate language.
    #[serde(rename = "where", default = "all")]
    pub filter: String,
    /// Only of these clusters.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Only of these sources.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Only events with a finding at or above this.
    #[serde(default)]
    #[schemars(extend("enum" = ["info", "informational", "low", "medium", "high", "critical", null]))]
    pub severity: Option<String>,
    /// Days from the event to its removal.
    #[schemars(range(min = 1))]
    pub keep_days: u32,
}

fn all() -> String {
    "*".into()
}

impl Settings {
    pub(crate) fn place(&self, dir: &Path, runtime: &Arc<Runtime>) -> Result<Place, StoreError> {
        let Some(text) = &self.url else { return Ok(Place::Local(dir.to_owned())) };
        let wrong = |said: String| StoreError::Setting { place: format!("lake.url {text}"), said };
        let url = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
        let (store, prefix) =
            object_store::parse_url_opts(&url, &self.options).map_err(|e| wrong(e.to_string()))?;
        Ok(Place::Remote {
            store: store.into(),
            url,
            prefix: Key::from(prefix.as_ref()),
            runtime: runtime.clone(),
        })
    }

    pub(crate) fn vault(&self, dir: &Path) -> Result<Option<Arc<Vault>>, StoreError> {
        if let Some(encryption) = &self.encryption {
            return Vault::open(dir, encryption).map(Some);
        }
        if dir.join("keys").is_dir() {
            let said = "this lake is encrypted, and klio.yaml does not say with which key".into();
            return Err(StoreError::Setting { place: "lake.encryption".into(), said });
        }
        Ok(None)
    }
}

/// The retention rules, ready to be asked.
#[derive(Debug)]
pub struct Classes {
    rules: Vec<(Retention, Filter, Option<klio_model::Severity>)>,
    default_days: u32,
}

/// The class of events that no rule fits.
pub const DEFAULT_CLASS: &str = "default";

impl Classes {
    /// Compiles the rules.
    ///
    /// # Errors
    /// [`StoreError::Setting`] naming the rule that cannot be read.
    pub fn of(settings: &Settings) -> Result<Self, StoreError> {
        let mut rules: Vec<(Retention, Filter, Option<klio_model::Severity>)> = Vec::new();
        for (number, rule) in settings.retention.iter().enumerate() {
            let wrong = |said: String| StoreError::Setting {
                place: format!("lake.retention, rule {} (`{}`)", number + 1, rule.class),
                said,
            };
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if rule.class.is_empty() || rule.class.len() > 40 || !rule.class.chars().all(is_plain) {
                return Err(wrong("a class is 1 to 40 small letters, digits and `-`".into()));
            }
            if rule.keep_days == 0 {
                return Err(wrong("`keep_days` must be at least 1".into()));
            }
            if let Some((other, ..)) = rules.iter().find(|(r, ..)| r.class == rule.class) {
                if other.keep_days != rule.keep_days {
                    return Err(wrong("another rule gives this class other days".into()));
                }
            }
            let filter = Filter::parse(&rule.filter).map_err(|e| wrong(format!("`where`: {e}")))?;
            let severity = rule.severity.as_deref().map(str::parse).transpose();
            let severity =
                severity.map_err(|_| wrong("`severity` is info, low, medium, high or critical".into()))?;
            rules.push((rule.clone(), filter, severity));
        }
        Ok(Self { rules, default_days: settings.keep_days.max(1) })
    }

    /// The class of an event.
    pub fn class(
        &self,
        event: &klio_model::Event<'_>,
        cluster: &str,
        source: &str,
        severity: Option<klio_model::Severity>,
    ) -> &str {
        let named = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
        let fits = |(rule, filter, least): &&(Retention, Filter, Option<klio_model::Severity>)| {
            named(&rule.clusters, cluster)
                && named(&rule.sources, source)
                && least.is_none_or(|least| severity.is_some_and(|s| s >= least))
                && filter.matches(event)
        };
        self.rules.iter().find(fits).map_or(DEFAULT_CLASS, |(rule, ..)| &rule.class)
    }

    /// The names of all classes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|(rule, ..)| rule.class.as_str()).chain([DEFAULT_CLASS])
    }

    /// Days that a class is kept: one that no rule names any more is kept as the default says.
    pub fn days(&self, class: &str) -> u32 {
        self.rules
            .iter()
            .find(|(rule, ..)| rule.class == class)
            .map_or(self.default_days, |(r, ..)| r.keep_days)
    }
}
