//! What can be read about the judgement: rules with their pages, what is excused, hunts. And what is excused from now on.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use klio_detect::coverage::{Coverage, Observed, Recording, assess};
use klio_detect::{About, Allow};
use klio_model::Timestamp;
use klio_web::view::{AllowView, CoverageView, HuntView, NewAllow};
use klio_web::{Library, Problem};
use tempfile::NamedTempFile;

use super::{Shared, sources};
use crate::allow::{self, Entry};
use crate::failure::Failure;
use crate::hunts::{self, Ask};
use crate::pack::{self, Rules};

/// Entries that are kept at most: each is asked of every finding of its rule.
const MOST: usize = 2_000;
/// Bytes of their file; readers take 4 MiB.
const LARGEST: usize = 3 << 20;
/// Bytes of an owner and of an end, of a reason, and of a filter.
const LONGEST: [usize; 3] = [200, 2_000, 8_192];

/// The pages and files of what judges now.
pub struct Shelf {
    shared: Arc<Shared>,
    /// As the command line has them.
    rules: Rules,
    /// Held by who writes the allow-list.
    writing: Mutex<()>,
}

impl Shelf {
    /// Of a server.
    pub fn new(shared: Arc<Shared>, rules: Rules) -> Self {
        Self { shared, rules, writing: Mutex::default() }
    }

    fn now_rules(&self) -> Rules {
        self.rules.with(&self.shared.config.load(), &self.shared.dir)
    }

    /// The file with the entries that Klio writes.
    fn kept(&self) -> PathBuf {
        self.now_rules().kept.unwrap_or_default()
    }

    /// Changes the entries that Klio writes. They count when this returns.
    fn change(&self, f: impl FnOnce(&mut Vec<Entry>) -> Result<(), Problem>) -> Result<(), Problem> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = place(&self.kept()).map_err(|e| broken(Failure::world(e)))?;
        let before = bytes(&path).map_err(|e| broken(Failure::world(e)))?;
        let mut all = allow::of_file(&path).map_err(broken)?;
        f(&mut all)?;
        let text = allow::print(&all);
        if text.len() > LARGEST {
            return Err(Problem::bad(
                "the entries take too much room: remove some, or put them into a file (--allow)",
            ));
        }
        // What stands is touched only if all rules can be read with what is to stand there.
        let new = written(&path, &text).map_err(|e| broken(Failure::world(e)))?;
        if allow::of_file(new.path()).map_err(broken)?.len() != all.len() {
            return Err(broken(Failure::world("the entries are not read as they were written")));
        }
        let rules = Rules { kept: Some(new.path().to_owned()), ..self.now_rules() };
        let (set, _) = rules.load().map_err(broken)?.told();
        keep(new, &path, before.as_deref())?;
        self.shared.pipeline.orders.reload(set);
        Ok(())
    }

    fn view(&self, entry: &Allow, kept: &[Entry]) -> AllowView {
        let same = |own: &&Entry| {
            own.rule == entry.rule
                && own.filter == entry.text
                && own.owner == entry.owner
                && own.reason == entry.reason
                && allow::end(&own.until) == Some(entry.until)
        };
        AllowView {
            id: kept.iter().find(same).map(Entry::id),
            rule: entry.rule.clone(),
            filter: entry.text.clone(),
            owner: entry.owner.clone(),
            reason: entry.reason.clone(),
            until: Some(entry.until),
            wrong: None,
            findings: self.shared.metrics.excused_by(entry.rule.as_deref(), &entry.owner, &entry.text),
        }
    }
}

/// A file cannot be read or written: said to the log, since it is about the server's disk. Nothing was changed.
#[allow(clippy::needless_pass_by_value)]
fn broken(failure: Failure) -> Problem {
    tracing::error!(error = %failure.message, "the allow-list cannot be changed");
    Problem::unavailable(
        "the allow-list cannot be changed now, and stays as it is; the server's log says why",
    )
}

/// An entry that excuses nothing, since it is not right (any more), such as one about a rule that is gone.
fn wrong(entry: &Entry, failure: Failure) -> AllowView {
    AllowView {
        id: Some(entry.id()),
        rule: entry.rule.clone(),
        filter: entry.filter.clone(),
        owner: entry.owner.clone(),
        reason: entry.reason.clone(),
        until: allow::end(&entry.until),
        wrong: Some([vec![failure.message], failure.hints].concat().join(": ")),
        findings: 0,
    }
}

/// Where a file is that is to be written, through links; itself if it is not there yet.
fn place(path: &Path) -> std::io::Result<PathBuf> {
    match path.canonicalize() {
        Err(e) if e.kind() == ErrorKind::NotFound && !path.is_symlink() => Ok(path.to_owned()),
        found => found,
    }
}

/// What a file holds; `None` if it is not there.
fn bytes(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A text in a file beside another, durable, for those who may read that one.
fn written(beside: &Path, text: &str) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(beside.parent().unwrap_or(Path::new(".")))?;
    match std::fs::metadata(beside) {
        Ok(known) => file.as_file().set_permissions(known.permissions())?,
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts the file in the place of another that holds what it held before.
fn keep(new: NamedTempFile, path: &Path, before: Option<&[u8]>) -> Result<(), Problem> {
    let failed = |error| broken(Failure::world(error));
    if bytes(path).map_err(failed)?.as_deref() != before {
        let detail = "the allow-list was changed meanwhile, perhaps by hand: look at it, and try again";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    new.persist(path).map_err(|e| failed(e.error))?;
    let dir = std::fs::File::open(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    dir.sync_all().map_err(failed)
}

impl Library for Shelf {
    fn rules(&self) -> Vec<About> {
        let set = self.shared.pipeline.orders.rules();
        let rules = set.rules.iter().map(|rule| rule.about.clone());
        let correlations = set.correlations.iter().map(|rule| rule.about.clone());
        rules.chain(correlations).chain([sources::rule()]).collect()
    }

    fn page(&self, rule: &About) -> Option<String> {
        let own = pack::page(&rule.file).map(str::to_owned);
        own.or_else(|| read(&Path::new(&rule.file).with_extension("md")))
    }

    fn source(&self, rule: &About) -> Option<String> {
        pack::source(&rule.file).map(str::to_owned).or_else(|| read(Path::new(&rule.file)))
    }

    fn allowed(&self) -> Vec<AllowView> {
        let set = self.shared.pipeline.orders.rules();
        let kept = allow::of_file(&self.kept()).unwrap_or_default();
        let right = set.allow.iter().map(|entry| self.view(entry, &kept));
        let others = kept.iter().filter_map(|entry| {
            let failure = allow::check(entry.clone(), &set).err()?;
            Some(wrong(entry, failure))
        });
        right.chain(others).collect()
    }

    fn coverage(&self, seen: &Observed) -> Vec<CoverageView> {
        let set = self.shared.pipeline.orders.rules();
        let of = |coverage: &Coverage<'_>| CoverageView {
            rule: coverage.about.id.clone(),
            title: coverage.about.title.clone(),
            verdict: coverage.verdict.name(),
            mend: coverage.mend.yaml(),
            notes: coverage.mend.notes.clone(),
        };
        assess(&set, Recording::Logs(seen)).iter().map(of).collect()
    }

    fn allow(&self, new: NewAllow) -> Result<AllowView, Problem> {
        let NewAllow { rule, filter, owner, reason, until } = new;
        let entry = Entry { rule, filter, owner, reason, until };
        let lengths = [entry.owner.len().max(entry.until.len()), entry.reason.len(), entry.filter.len()];
        if lengths.into_iter().zip(LONGEST).any(|(length, most)| length > most) {
            return Err(Problem::bad("owners have at most 200 bytes, reasons 2,000 and filters 8,192"));
        }
        let set = self.shared.pipeline.orders.rules();
        let checked = allow::check(entry.clone(), &set)
            .map_err(|failure| Problem::bad([vec![failure.message], failure.hints].concat().join(": ")))?;
        let now = Timestamp(jiff::Timestamp::now().as_microsecond());
        if checked.until <= now {
            return Err(Problem::bad("`until` has passed: the entry would excuse nothing"));
        }
        self.change(|all| {
            if all.iter().any(|known| known.id() == entry.id()) {
                return Err(Problem::bad("there is this very entry"));
            }
            if all.len() >= MOST {
                return Err(Problem::bad(format!(
                    "there are {MOST} entries: remove some, or put them into a file (--allow)"
                )));
            }
            all.push(entry.clone());
            Ok(())
        })?;
        Ok(self.view(&checked, &[entry]))
    }

    fn disallow(&self, id: &str) -> Result<(), Problem> {
        self.change(|all| {
            let before = all.len();
            all.retain(|entry| entry.id() != id);
            if all.len() < before { Ok(()) } else { Err(Problem::not_found()) }
        })
    }

    fn guide(&self, platform: &str, cluster: &str) -> Option<String> {
        crate::command::connect::of_platform(platform, cluster)
    }

    fn hunts(&self) -> Vec<HuntView> {
        let said = |text: &str| (text != "none").then(|| text.to_owned());
        let view = |hunt: hunts::Hunt| {
            let (filter, sql) = match hunt.ask {
                Ask::Filter(text) => (Some(text.to_owned()), None),
                Ask::Sql(text) => (None, Some(text.to_owned())),
            };
            HuntView {
                name: hunt.slug.to_owned(),
                title: hunt.title.to_owned(),
                tactic: said(hunt.tactic),
                technique: said(hunt.technique),
                filter,
                sql,
                page: hunt.page.to_owned(),
            }
        };
        hunts::all().into_iter().map(view).collect()
    }
}

/// A rule file of the site, or its page; nothing if it is too large to be one.
fn read(path: &Path) -> Option<String> {
    const MOST: u64 = 1 << 20;
    let length = std::fs::metadata(path).ok()?.len();
    if length > MOST { None } else { std::fs::read_to_string(path).ok() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_somebody_changed_meanwhile_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("allow.yaml");
        let put = |before: Option<&[u8]>| keep(written(&path, "new").unwrap(), &path, before);
        put(None).unwrap();
        std::fs::write(&path, "by hand").unwrap();
        for before in [None, Some(b"new".as_slice())] {
            assert_eq!(put(before).unwrap_err().status, 409);
        }
        assert_eq!(bytes(&path).unwrap().unwrap(), b"by hand");
        put(Some(b"by hand")).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(put(Some(b"new")).unwrap_err().status, 409);
        assert_eq!(bytes(&path).unwrap(), None);
    }

    #[test]
    fn links_are_followed_and_who_might_read_it_still_may() {
        let dir = tempfile::tempdir().unwrap();
        let (link, real) = (dir.path().join("allow.yaml"), dir.path().join("kept/there.yaml"));
        assert_eq!(place(&link).unwrap(), link, "it is not there yet");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(place(&link).is_err(), "a link that leads nowhere is not replaced");
        std::fs::create_dir(dir.path().join("kept")).unwrap();
        std::fs::write(&real, "old").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        let path = place(&link).unwrap();
        keep(written(&path, "new").unwrap(), &path, Some(b"old")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&link).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
