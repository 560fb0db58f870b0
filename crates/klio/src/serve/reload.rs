//! Settings, credentials, certificates, rules, lists and databases are read again when their files change. What is wrong is told, and what was
//! there before stays in force.

use std::hash::Hasher;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::credentials::Credentials;
use super::vouch::People;
use super::{Shared, tls, webhook};
use crate::config::Config;
use crate::lookup::Lists;
use crate::pack::Rules;

/// How often is looked. The files are few and small, and their contents are compared: a mounted Secret changes by a link
/// (`..data`), and times say nothing on some volumes.
const EVERY: Duration = Duration::from_secs(2);
/// Files of a directory of rules that are looked at, and how deep.
const MOST: usize = 10_000;

/// Looks for changes for ever. `before` is how it was when it was read.
pub async fn watch(shared: Arc<Shared>, people: People, rules: Rules, mut before: Seen) {
    loop {
        tokio::time::sleep(EVERY).await;
        let (own, paths) = (shared.clone(), rules.clone());
        let looked =
            tokio::task::spawn_blocking(move || look(&own.settings, &own.dir, &own.config.load(), &paths));
        let Ok(now) = looked.await else { return };
        if now.settings != before.settings {
            settings(&shared, &people);
        }
        if now.rules != before.rules {
            match rules.with(&shared.config.load(), &shared.dir).load() {
                Ok(loaded) => {
                    let (set, wrong) = loaded.told();
                    tracing::info!(rules = set.rules.len(), wrong, "the rules were read again");
                    shared.pipeline.orders.reload(set);
                    people.web.forget_rules();
                }
                Err(failure) => tracing::error!(error = %failure.message, "the rules stay as they were"),
            }
        }
        let ends = shared.tls.load().ends;
        let now_s = jiff::Timestamp::now().as_second();
        if ends - now_s < tls::RENEW * 86_400 && now.settings == before.settings && shared.says("certificate")
        {
            certificate(&shared, &shared.config.load());
        }
        before = now;
    }
}

/// The contents of all files that are looked at, hashed.
#[derive(PartialEq)]
pub struct Seen {
    settings: u64,
    rules: u64,
}

/// Looks at them.
pub fn look(settings: &Path, dir: &Path, config: &Config, rules: &Rules) -> Seen {
    let mut paths = vec![settings.to_owned(), dir.join("clusters")];
    let tls = &config.server.tls;
    paths.extend(tls.certificate.iter().chain(&tls.key).chain(&tls.client_ca).cloned());
    paths.extend(config.clusters.values().filter_map(|cluster| cluster.token.as_ref()?.file()));
    let of = |paths: &[PathBuf]| {
        let mut hash = Xxh3::new();
        let mut room = MOST;
        for path in paths {
            add(path, &mut hash, &mut room);
        }
        hash.finish()
    };
    let rules = rules.with(config, dir);
    let others = rules.people.iter().chain(&rules.kept).cloned().collect();
    let files = [rules.rules.clone(), rules.falco_rules.clone(), rules.allow.clone(), others].concat();
    Seen { settings: of(&paths), rules: of(&files) ^ states(&rules.lists) }
}

/// Lists and databases may be large: which files they are, and when they were changed.
fn states(lists: &Lists) -> u64 {
    let mut hash = Xxh3::new();
    for path in lists.files() {
        hash.update(path.as_os_str().as_encoded_bytes());
        if let Ok(meta) = std::fs::metadata(path) {
            let state = [
                meta.ino() as i64,
                meta.len() as i64,
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ];
            for number in state {
                hash.update(&number.to_le_bytes());
            }
        }
    }
    hash.finish()
}

fn add(path: &Path, hash: &mut Xxh3, room: &mut usize) {
    if *room == 0 {
        return;
    }
    *room -= 1;
    hash.update(path.as_os_str().as_encoded_bytes());
    if path.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        let mut all: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        all.sort();
        for path in &all {
            add(path, hash, room);
        }
    } else if let Ok(bytes) = std::fs::read(path) {
        hash.update(&bytes);
    }
}

/// The keys that changed and that are read at the start alone.
fn fixed(old: &Config, new: &Config) -> Vec<&'static str> {
    let (a, b) = (&old.server, &new.server);
    let files = |config: &Config| {
        let all = config.clusters.iter().filter(|(_, cluster)| !cluster.files.is_empty());
        all.map(|(name, cluster)| (name.clone(), cluster.files.clone())).collect::<Vec<_>>()
    };
    // What has no equality is what it prints.
    let same = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| format!("{a:?}") == format!("{b:?}");
    let keys = [
        ("server.listen", a.listen == b.listen),
        ("server.ops", a.ops == b.ops),
        ("server.url", a.url == b.url),
        ("server.proxies", a.proxies == b.proxies),
        ("server.in_flight_bytes", a.in_flight_bytes == b.in_flight_bytes),
        ("server.connections", a.connections == b.connections),
        ("server.flush_seconds", a.flush_seconds == b.flush_seconds),
        ("lake", same(&old.lake, &new.lake)),
        ("redaction", same(&old.redaction, &new.redaction)),
        ("desk", same(&old.desk, &new.desk)),
        ("clusters.*.files", files(old) == files(new)),
    ];
    keys.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

fn settings(shared: &Shared, people: &People) {
    // A file that is being replaced is gone or empty for a moment.
    let old = shared.config.load_full();
    let is_whole = std::fs::metadata(&shared.settings).is_ok_and(|meta| meta.len() > 0);
    let config = if is_whole { Config::read(&shared.settings) } else { Ok((*old).clone()) };
    let read = config
        .and_then(|config| config.sign_in.check_files().map(|()| config))
        .and_then(|config| Credentials::read(&shared.dir, &config).map(|credentials| (config, credentials)));
    match read {
        Ok((config, credentials)) => {
            let old = shared.config.load();
            for key in fixed(&old, &config) {
                tracing::warn!(key, "counts only after a restart");
            }
            certificate(shared, &config);
            tracing::info!(clusters = credentials.clusters().len(), "the settings were read again");
            webhook::expect(&shared.pipeline.live, &credentials.clusters());
            shared.credentials.store(Arc::new(credentials));
            people.set(&config.sign_in);
            shared.config.store(Arc::new(config));
        }
        Err(failure) => tracing::error!(error = %failure.message, "the settings stay as they were"),
    }
}

fn certificate(shared: &Shared, config: &Config) {
    match tls::load(&shared.dir, &config.tls()) {
        Ok(served) => {
            shared.metrics.certificate.set(served.ends);
            shared.tls.store(Arc::new(served));
        }
        Err(failure) => tracing::error!(error = %failure.message, "the certificate stays as it was"),
    }
}
