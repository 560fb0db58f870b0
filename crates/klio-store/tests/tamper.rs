//! Whatever is done to a lake behind its writer's back, verification names it.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are not tests to the lint

#[path = "made/lake.rs"]
mod made;
#[path = "tamper/strange.rs"]
mod strange;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use klio_model::Timestamp;
use klio_store::seal::{Log, Manifest, Policy, Scheme, Signer, Statement, Verifier, Witness};
use klio_store::{CompactOptions, Lake, Trusted, Writer};
use made::{NEW, OLD, append, classes, copy, files, flush, problems, settings};

/// A lake that has seen everything, as it was in the middle and as it is.
struct Honest {
    dir: tempfile::TempDir,
    keys: Vec<Verifier>,
    /// The checkpoint that somebody wrote down.
    outside: String,
    witness: Verifier,
}

impl Honest {
    fn lake(&self) -> PathBuf {
        self.dir.path().join("lake")
    }

    fn earlier(&self) -> PathBuf {
        self.dir.path().join("earlier")
    }

    fn trusted(&self) -> Trusted {
        Trusted { keys: self.keys.clone(), ..Trusted::default() }
    }

    fn with_outside(&self) -> Trusted {
        Trusted { checkpoints: vec![self.outside.clone()], ..self.trusted() }
    }

    fn with_witness(&self) -> Trusted {
        let witnesses = Policy { witnesses: vec![self.witness.clone()], quorum: 1 };
        Trusted { witnesses, ..self.trusted() }
    }
}

fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let lake = dir.path().join("lake");
        let mut writer = Writer::open(&lake, &settings()).unwrap();
        for n in 0..3 {
            append(&mut writer, n * 10..n * 10 + 10, NEW);
            flush(&mut writer);
        }
        let options = CompactOptions { min_files: 2, grace: Duration::ZERO, ..CompactOptions::default() };
        writer.compact(&options).unwrap();
        append(&mut writer, 30..40, OLD);
        append(&mut writer, 40..50, NEW);
        flush(&mut writer);
        drop(writer);
        copy(&lake, &dir.path().join("earlier"));
        let mut writer = Writer::open(&lake, &settings()).unwrap();
        let now = Timestamp::parse(&format!("{NEW}T00:00:00Z")).unwrap();
        assert_eq!(writer.expire(now, &classes(), false).unwrap().partitions[0].files, 1);
        append(&mut writer, 50..60, NEW);
        flush(&mut writer);
        append(&mut writer, 60..70, NEW);
        append(&mut writer, 70..80, NEW);
        writer.attest_spool().unwrap();
        let keys = vec![writer.lake().public_key().unwrap()];
        let signer = Signer::generate("witness.example", Scheme::Cosignature).unwrap();
        let witness = Witness::new(&dir.path().join("witness"), signer, keys.clone()).unwrap();
        let request = writer.lake().witness_request(0).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let line = witness.cosign(&request, now.as_secs()).unwrap();
        let witness = witness.verifier().clone();
        writer.cosigned(&line, std::slice::from_ref(&witness)).unwrap();
        let outside = writer.lake().checkpoint().unwrap();
        drop(writer);
        Honest { dir, keys, outside, witness }
    })
}

/// Verification of a copy that was tampered with.
fn after(tamper: impl FnOnce(&Path)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    copy(&honest().lake(), dir.path());
    tamper(dir.path());
    problems(dir.path(), &honest().with_witness())
}

fn named(what: &str, tamper: impl FnOnce(&Path)) {
    let found = after(tamper);
    assert!(found.iter().any(|p| p.contains(what)), "expected `{what}`, found {found:#?}");
}

fn data(dir: &Path) -> Vec<PathBuf> {
    let is_data = |p: &PathBuf| p.extension().is_some_and(|e| e == "parquet");
    files(&dir.join("events")).into_iter().filter(is_data).collect()
}

fn commits(dir: &Path) -> Vec<PathBuf> {
    files(&dir.join("events/_delta_log"))
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect()
}

#[test]
fn an_honest_lake_has_no_problems() {
    let honest = honest();
    for trusted in [honest.trusted(), honest.with_outside(), honest.with_witness(), Trusted::default()] {
        assert_eq!(problems(&honest.lake(), &trusted), Vec::<String>::new());
    }
    let report = Lake::open(&honest.lake(), &settings()).unwrap();
    let report = report.verify(&honest.trusted(), klio_store::Depth::Rows).unwrap();
    assert_eq!((report.spooled, report.rows), (2, 50 + 6));
}

#[test]
fn every_file_counts() {
    let lake = honest().lake();
    let all = files(&lake);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (lake, all) = (&lake, &all);
            scope.spawn(move || all.iter().skip(half).step_by(2).for_each(|path| it_counts(lake, path)));
        }
    });
}

/// Flipped bits of a file are named, and so is its absence.
fn it_counts(lake: &Path, path: &Path) {
    let name = path.strip_prefix(lake).unwrap().to_str().unwrap();
    // Locks hold nothing, and the secret key is no part of what is proven.
    if name.ends_with("lock") || name == "seal.key" {
        return;
    }
    let length = fs::metadata(path).unwrap().len() as usize;
    let somewhere = name.bytes().fold(length, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into())) % length;
    let mut places = vec![length - 1, somewhere];
    // What older checkpoints were proven with: newer files hold the same once more.
    let older = name.contains(".p/");
    if !older {
        places.extend([0, length / 2]);
    }
    if name == "spool/cut" {
        // Two numbers with their sums; the room between them is empty.
        places = vec![0, 8, 15, 4096, 4104];
    }
    for at in places {
        let found = after(|dir| {
            let mut bytes = fs::read(dir.join(name)).unwrap();
            bytes[at] ^= 1;
            fs::write(dir.join(name), bytes).unwrap();
        });
        assert!(!found.is_empty(), "a flipped bit at {at} of {name} was not named");
    }
    let found = after(|dir| fs::remove_file(dir.join(name)).unwrap());
    assert!(older || !found.is_empty(), "{name} was removed and not missed");
}

#[test]
fn data_files() {
    for at in 0..data(&honest().lake()).len() {
        named("Missing", |dir| fs::remove_file(&data(dir)[at]).unwrap());
        named("Altered", |dir| {
            let mut bytes = fs::read(&data(dir)[at]).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(&data(dir)[at], bytes).unwrap();
        });
    }
    named("is a copy of", |dir| {
        let all = data(dir);
        let (a, b) = (fs::read(&all[0]).unwrap(), fs::read(&all[1]).unwrap());
        fs::write(&all[0], b).unwrap();
        fs::write(&all[1], a).unwrap();
    });
    named("Smuggled", |dir| {
        let one = data(dir)[0].clone();
        fs::copy(&one, one.with_file_name("smuggled.parquet")).unwrap();
    });
}

#[test]
fn the_tables_logs() {
    // A file under another name, added by a commit of the attacker's.
    named("that the log does not know", |dir| {
        let one = data(dir)[0].clone();
        fs::copy(&one, one.with_file_name("0000000000000099.parquet")).unwrap();
        let last = commits(dir).pop().unwrap();
        let text = fs::read_to_string(&last).unwrap();
        let own = fs::read_dir(one.parent().unwrap()).unwrap();
        let name = one.file_name().unwrap().to_str().unwrap().to_owned();
        drop(own);
        let all: String = commits(dir).iter().map(|p| fs::read_to_string(p).unwrap()).collect();
        let add = all.lines().find(|l| l.starts_with("{\"add\"") && l.contains(&name)).unwrap();
        let add = add.replace(&name, "0000000000000099.parquet");
        let version = commits(dir).len();
        let next = last.with_file_name(format!("{version:020}.json"));
        let info = text.lines().find(|l| l.contains("commitInfo")).unwrap();
        fs::write(next, format!("{info}\n{add}\n")).unwrap();
    });
    // The last commit, and with it the last files, are taken away.
    named("it is missing", |dir| fs::remove_file(commits(dir).pop().unwrap()).unwrap());
    // A file is taken out of a commit.
    named("does not name the file", |dir| {
        for path in commits(dir) {
            let text = fs::read_to_string(&path).unwrap();
            let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with("{\"add\"")).collect();
            fs::write(path, kept.join("\n")).unwrap();
        }
    });
    // Times that make queries pass a file over.
    named("another times", |dir| {
        for path in commits(dir) {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("2026-11-20T00:00", "2026-11-19T00:00")).unwrap();
        }
    });
    // The replaced files are put back into the table: their events would count twice.
    named("its rows count twice", |dir| {
        for path in commits(dir) {
            let text = fs::read_to_string(&path).unwrap();
            let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with("{\"remove\"")).collect();
            fs::write(path, kept.join("\n")).unwrap();
        }
    });
    // How far a source was read.
    named("was altered", |dir| {
        let last = commits(dir).pop().unwrap();
        let text = fs::read_to_string(&last).unwrap();
        assert!(text.contains("klio.positions"));
        fs::write(&last, text.replace("\"test\":\"", "\"test\":\"9")).unwrap();
    });
}

/// An event that was slipped into the table by a commit of the attacker's, on a copy with many commits.
fn long() -> &'static tempfile::TempDir {
    static LONG: OnceLock<tempfile::TempDir> = OnceLock::new();
    LONG.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), &settings()).unwrap();
        // Over a checkpoint of the table's log, which stands in for the commits before it.
        for n in 0..66 {
            append(&mut writer, n * 7 + 1..n * 7 + 3, NEW);
            flush(&mut writer);
        }
        dir
    })
}

#[test]
fn every_version_of_a_table_was_sealed() {
    let honest = long();
    assert_eq!(problems(honest.path(), &Trusted::default()), Vec::<String>::new());
    // What a writer leaves that went on after a stranger's commit, once nothing else tells of that commit: the checkpoint
    // stands in for it, and the file is gone.
    for number in [5, 64] {
        let dir = tempfile::tempdir().unwrap();
        copy(honest.path(), dir.path());
        let name = format!("events/_delta_log/{number:020}.json");
        let signer = stolen(dir.path());
        forge(dir.path(), signer, |_, manifest| match &manifest.statement {
            Statement::Note(note) if note.text == name => None,
            _ => Some(manifest),
        });
        fs::remove_file(dir.path().join(&name)).unwrap();
        let found = problems(dir.path(), &Trusted::default());
        let said = format!("commit {number} of the table was never sealed");
        assert!(found.iter().any(|p| p.contains(&said)), "{found:#?}");
    }
    // Sealed commits whose files are gone are named as before.
    let dir = tempfile::tempdir().unwrap();
    copy(honest.path(), dir.path());
    for number in 3..6 {
        fs::remove_file(dir.path().join(format!("events/_delta_log/{number:020}.json"))).unwrap();
    }
    let found = problems(dir.path(), &Trusted::default());
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found.iter().all(|p| p.contains("it is missing")), "{found:#?}");
}

#[test]
fn a_writer_does_not_go_on_from_a_strangers_commit() {
    // Made while our writer is at work: its next flush says so, and no later writer takes that flush over.
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    append(&mut writer, 1..5, NEW);
    flush(&mut writer);
    let strange = dir.path().join(format!("events/_delta_log/{:020}.json", 2));
    let said = r#"{"commitInfo":{"timestamp":1795000000000,"operation":"WRITE"}}"#;
    let app = r#"{"txn":{"appId":"somebody","version":7}}"#;
    fs::write(&strange, format!("{said}\n{app}\n")).unwrap();
    append(&mut writer, 5..9, NEW);
    let refused = writer.flush(&made::judged(&writer)).unwrap_err().to_string();
    assert!(refused.contains("somebody else made commit 2"), "{refused}");
    drop(writer);
    let refused = Writer::open(dir.path(), &settings()).unwrap_err().to_string();
    assert!(refused.contains("somebody else made commit 2"), "{refused}");
    let found = problems(dir.path(), &Trusted::default());
    assert!(found.iter().any(|p| p.contains("0002.json: the log does not know it")), "{found:#?}");
    // Both commits away, it goes on and has lost nothing: the batch is in the spool.
    fs::remove_file(&strange).unwrap();
    fs::remove_file(strange.with_file_name(format!("{:020}.json", 3))).unwrap();
    let mut writer = Writer::open(dir.path(), &settings()).unwrap();
    flush(&mut writer);
    made::holds_exactly(writer.lake(), 1..9);
    assert_eq!(problems(dir.path(), &Trusted::default()), Vec::<String>::new());
}

#[test]
fn the_spool() {
    let spool = |dir: &Path| {
        files(&dir.join("spool")).into_iter().rfind(|p| p.extension().is_some_and(|e| e == "spool"))
    };
    let cut = |dir: &Path, length: &dyn Fn(u64) -> u64| {
        let path = spool(dir).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let now = file.metadata().unwrap().len();
        file.set_len(length(now)).unwrap();
    };
    named("were acknowledged and are gone", |dir| cut(dir, &|length| length - 1));
    named("were acknowledged and are gone", |dir| cut(dir, &|length| length / 2));
    named("were acknowledged and are gone", |dir| cut(dir, &|_| 4096));
    named("Spool", |dir| fs::remove_file(spool(dir).unwrap()).unwrap());
    // An old spool: its numbers would be given again.
    named("it is an old one", |dir| {
        fs::remove_dir_all(dir.join("spool")).unwrap();
        fs::create_dir(dir.join("spool")).unwrap();
    });
    // The loss stays on record after the next writer has gone on.
    named("were acknowledged and are gone", |dir| {
        cut(dir, &|length| length / 2);
        let mut writer = Writer::open(dir, &settings()).unwrap();
        for n in 100..105 {
            append(&mut writer, n..n + 1, NEW);
        }
        flush(&mut writer);
    });
    named("were acknowledged and are gone", |dir| {
        fs::remove_dir_all(dir.join("spool")).unwrap();
        let mut writer = Writer::open(dir, &settings()).unwrap();
        append(&mut writer, 100..110, NEW);
        flush(&mut writer);
        // Nothing new was lost on top of that.
        assert_eq!(made::numbers(writer.lake()).len(), 60);
    });
}

#[test]
fn the_log() {
    let earlier = honest().earlier();
    named("Log", |dir| {
        fs::copy(earlier.join("seal/checkpoint"), dir.join("seal/checkpoint")).unwrap();
    });
    // All of the log put back: the tables know more than it.
    named("that the log does not know", |dir| {
        fs::remove_dir_all(dir.join("seal")).unwrap();
        copy(&earlier.join("seal"), &dir.join("seal"));
    });
    named("Log", |dir| fs::remove_dir_all(dir.join("seal")).unwrap());
    // Another key.
    named("not signed by the log's key", |dir| {
        let origin = honest().keys[0].name().to_owned();
        let signer = Signer::generate(&origin, Scheme::Note).unwrap();
        forge(dir, signer, |_, manifest| Some(manifest));
    });
}

/// Writes the log anew with a key, as an attacker would have it.
fn forge(dir: &Path, signer: Signer, mut change: impl FnMut(u64, Manifest) -> Option<Manifest>) {
    let old = klio_store::seal::LogReader::open(&dir.join("seal")).unwrap();
    let entries: Vec<Vec<u8>> = old
        .entries(0..old.size())
        .filter_map(|entry| {
            let (index, bytes) = entry.unwrap();
            match Manifest::decode(&bytes).unwrap() {
                klio_store::seal::Entry::Known(manifest) => change(index, manifest)?.encode().ok(),
                _ => Some(bytes),
            }
        })
        .collect();
    fs::remove_dir_all(dir.join("seal")).unwrap();
    let mut log = Log::create(&dir.join("seal"), signer).unwrap();
    for entry in entries {
        log.append(&[entry]).unwrap();
    }
}

fn stolen(dir: &Path) -> Signer {
    Signer::load(&dir.join("seal.key")).unwrap()
}

/// With the signing key: not seen from the lake alone, but with an outside checkpoint, and with a witness.
fn seen_from_outside(what: &str, perfect: bool, tamper: impl FnOnce(&Path)) {
    let (honest, dir) = (honest(), tempfile::tempdir().unwrap());
    copy(&honest.lake(), dir.path());
    tamper(dir.path());
    if perfect {
        assert_eq!(
            problems(dir.path(), &honest.trusted()),
            Vec::<String>::new(),
            "{what}: nobody could tell"
        );
    }
    for trusted in [honest.with_outside(), honest.with_witness()] {
        assert!(!problems(dir.path(), &trusted).is_empty(), "{what} was not named");
    }
    let found = problems(dir.path(), &honest.with_outside());
    assert!(found.iter().any(|p| p.contains("outside checkpoint")), "{what}: {found:#?}");
}

#[test]
fn with_the_stolen_key() {
    let earlier = honest().earlier();
    let put_back = |dir: &Path| {
        fs::remove_dir_all(dir).unwrap();
        copy(&earlier, dir);
    };
    seen_from_outside("the whole lake put back", true, put_back);
    seen_from_outside("a fork", true, |dir| {
        put_back(dir);
        let mut writer = Writer::open(dir, &settings()).unwrap();
        for n in 0..20 {
            append(&mut writer, 1000 + n..1001 + n, NEW);
            flush(&mut writer);
        }
    });
    seen_from_outside("a lake written anew, without an event", true, |dir| {
        let kept =
            ["lake.json", "seal.key", "seal.pub"].map(|name| (name, fs::read(dir.join(name)).unwrap()));
        fs::remove_dir_all(dir).unwrap();
        fs::create_dir(dir).unwrap();
        for (name, bytes) in kept {
            fs::write(dir.join(name), bytes).unwrap();
        }
        std::process::Command::new("chmod").arg("600").arg(dir.join("seal.key")).status().unwrap();
        let mut writer = Writer::open(dir, &settings()).unwrap();
        append(&mut writer, 0..7, NEW);
        append(&mut writer, 8..60, NEW);
        flush(&mut writer);
    });
    // A segment is dropped with its file: the tables' own log still names both.
    seen_from_outside("a dropped segment", false, |dir| {
        let signer = stolen(dir);
        let last = data(dir).pop().unwrap();
        let name = last.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        forge(dir, signer, |_, manifest| match &manifest.statement {
            Statement::Segment(segment) if segment.stored.file == name => None,
            _ => Some(manifest),
        });
        fs::remove_file(last).unwrap();
    });
    // All entries an hour earlier.
    seen_from_outside("a back-dated log", false, |dir| {
        let signer = stolen(dir);
        forge(dir, signer, |_, manifest| Some(Manifest { time: manifest.time - 3_600_000_000, ..manifest }));
    });
    // An altered event, its file stated as if it had always been so.
    seen_from_outside("an altered file, stated anew", true, |dir| {
        let signer = stolen(dir);
        let one = data(dir)[0].clone();
        let mut bytes = fs::read(&one).unwrap();
        // The name of the writing program: every row can still be read.
        let at = bytes.windows(5).rposition(|w| w == b"klio ").unwrap();
        bytes[at] = b'K';
        fs::write(&one, &bytes).unwrap();
        let name = one.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        forge(dir, signer, |_, mut manifest| {
            if let Statement::Compaction(klio_store::seal::Compaction { stored, .. })
            | Statement::Segment(klio_store::seal::Segment { stored, .. }) = &mut manifest.statement
            {
                if stored.file == name {
                    stored.file_hash = klio_store::seal::Hash::of(&bytes);
                }
            }
            Some(manifest)
        });
    });
}

#[test]
fn one_back_dated_entry_is_named_without_help() {
    named("back-dated", |dir| {
        let mut log = Log::open(&dir.join("seal"), stolen(dir)).unwrap();
        let hold = klio_store::seal::Hold { filter: "*".into(), owner: "o".into(), reason: "r".into() };
        let time = 1_700_000_000_000_000;
        log.state(&Manifest { time, statement: Statement::Hold(hold) }).unwrap();
    });
}

#[test]
fn what_was_removed_before_its_time() {
    let expiry = |at: i64, partition: &str| {
        let (rule, reason) = ("default: 30 days".into(), "r".into());
        let (table, partition) = ("events".into(), partition.into());
        klio_store::seal::Expiry {
            table,
            partition,
            rule,
            reason,
            at,
            removed: Vec::new(),
            files: Vec::new(),
        }
    };
    let state = |dir: &Path, expiry| {
        let mut log = Log::open(&dir.join("seal"), stolen(dir)).unwrap();
        let last = log.reader().entry(log.size() - 1).unwrap();
        let time = Manifest::decode(&last).unwrap().time().unwrap();
        log.state(&Manifest { time, statement: Statement::Expiry(expiry) }).unwrap();
    };
    // Also who has the key cannot state a removal that no rule allows.
    let at = |text: &str| Timestamp::parse(text).unwrap().micros();
    named("before the rule", |dir| state(dir, expiry(at("2020-02-03T12:00:00Z"), "short/2020-02-03")));
    named("by a clock that was ahead", |dir| {
        state(dir, expiry(at("2090-01-01T00:00:00Z"), "default/2026-11-20"))
    });
    // A lawful one takes nothing else with it.
    assert_eq!(
        after(|dir| state(dir, expiry(at("2020-03-03T00:00:00Z"), "short/2020-02-03"))),
        Vec::<String>::new()
    );
}

#[test]
fn a_writer_signs_only_its_own_commits() {
    let dir = tempfile::tempdir().unwrap();
    copy(&honest().lake(), dir.path());
    let last = commits(dir.path()).pop().unwrap();
    let size = klio_store::seal::LogReader::open(&dir.path().join("seal")).unwrap().size();
    // The last commit once more, as if a crash had kept its manifests from the log.
    let text = fs::read_to_string(&last).unwrap();
    let at = text.find("\"klio.leaf\":").unwrap() + 12;
    let end = at + text[at..].find([',', '}']).unwrap();
    let text = format!("{}{size}{}", &text[..at], &text[end..]);
    let version = commits(dir.path()).len();
    fs::write(last.with_file_name(format!("{version:020}.json")), text).unwrap();
    let refused = Writer::open(dir.path(), &settings()).unwrap_err().to_string();
    assert!(refused.contains("not made by this lake's writer"), "{refused}");
}
