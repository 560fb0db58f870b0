//! Files that are followed: every line once, whatever happens to them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use klio_source::follow::{Follower, Following, Piece};
use klio_source::{Item, Options, Reason, head};

/// A directory, a follower of a pattern in it, and what it made durable.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub patterns: Vec<String>,
    pub known: BTreeMap<String, String>,
    pub following: Following,
    follower: Follower,
}

impl World {
    pub(crate) fn new(patterns: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let patterns = patterns.iter().map(|p| dir.path().join(p).display().to_string()).collect();
        let following = Following { every: Duration::ZERO, ..Following::default() };
        let follower = Follower::new(Vec::<String>::new(), [], following.clone());
        let mut world = Self { dir, patterns, known: BTreeMap::new(), following, follower };
        world.restart();
        world
    }

    pub(crate) fn restart(&mut self) {
        self.follower = Follower::new(self.patterns.clone(), self.known.clone(), self.following.clone());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn piece(&mut self) -> Option<Piece> {
        self.follower.piece()
    }

    /// Makes a piece durable. Returns the numbers of its events.
    pub(crate) fn keep(&mut self, piece: &Piece) -> Vec<u32> {
        let mut numbers = Vec::new();
        let records = piece.decode(&mut |item| {
            if let Item::Record(record) = item {
                numbers.push(number(record.json));
            }
        });
        self.known.insert(piece.source(), piece.position(records));
        self.follower.kept(piece, records);
        numbers
    }

    /// Reads all that is there.
    pub(crate) fn drain(&mut self) -> Vec<u32> {
        let (mut all, mut quiet) = (Vec::new(), 0);
        // What is compressed is read when it was seen twice without a change.
        while quiet < 3 {
            match self.piece() {
                Some(piece) => {
                    quiet = 0;
                    all.extend(self.keep(&piece));
                }
                None => quiet += 1,
            }
        }
        all
    }

    fn trouble(&self, name: &str) -> Option<Reason> {
        let path = self.path(name).display().to_string();
        self.follower.status().into_iter().find(|f| f.path == path)?.trouble
    }
}

/// An event with this number.
pub(crate) fn line(n: u32) -> String {
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"{n}\",\"stage\":\"{}\"}}\n",
        "x".repeat((n as usize * 7919) % 150)
    )
}

pub(crate) fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(line).collect()
}

fn number(json: &str) -> u32 {
    json.split("\"auditID\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn all(numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
    numbers.into_iter().collect()
}

#[test]
fn what_is_not_kept_comes_again() {
    let mut world = World::new(&["audit.log"]);
    assert!(world.piece().is_none());
    world.append("audit.log", &lines(0..3));
    let piece = world.piece().unwrap();
    assert_eq!(world.piece().unwrap().bytes, piece.bytes);
    world.restart();
    assert_eq!(world.piece().unwrap().bytes, piece.bytes);
    assert_eq!(world.drain(), all(0..3));
    world.restart();
    assert_eq!(world.drain(), all([]));
    world.append("audit.log", &lines(3..5));
    assert_eq!(world.drain(), all(3..5));
    let status = world.follower.status();
    assert_eq!((status.len(), status[0].lag, status[0].offset), (1, 0, status[0].size));
}

#[test]
fn a_line_is_waited_for() {
    let mut world = World::new(&["audit.log"]);
    let (begin, end) = (&line(1)[..50], &line(1)[50..]);
    world.append("audit.log", begin);
    assert_eq!(world.drain(), all([]));
    world.append("audit.log", &format!("{end}{begin}"));
    assert_eq!(world.drain(), all([1]));
    assert_eq!(world.follower.status()[0].lag, 50);
    world.append("audit.log", &end.replace('1', "2"));
    assert_eq!(world.drain().len(), 1);
}

#[test]
fn what_was_renamed_is_read_to_its_end_before_what_took_its_place() {
    for (pattern, old) in [
        ("audit.log", "audit-2026-11-21T01-46-02.111.log"),
        ("audit*.log", "audit-2026-11-21T01-46-02.111.log"),
        ("audit.log", "audit.log.1"),
        ("audit.log*", "audit.log.1"),
        ("", "audit.log.1"),
    ] {
        for restart in [false, true] {
            let mut world = World::new(&[pattern]);
            world.append("audit.log", &lines(0..3));
            assert_eq!(world.drain(), all(0..3));
            world.append("audit.log", &lines(3..5));
            world.rename("audit.log", old);
            world.append("audit.log", &lines(6..8));
            world.append(old, &line(5));
            if restart {
                world.restart();
            }
            assert_eq!(world.drain(), all(3..8), "{pattern} {old} {restart}");
            world.append(old, &line(8));
            assert_eq!(world.drain(), all([8]), "{pattern} {old} {restart}");
            world.restart();
            assert_eq!(world.drain(), all([]));
        }
    }
}

#[test]
fn what_was_renamed_and_deleted_is_read_to_its_end() {
    let mut world = World::new(&["audit.log"]);
    world.append("audit.log", &lines(0..3));
    assert_eq!(world.drain(), all(0..3));
    world.append("audit.log", &lines(3..5));
    world.rename("audit.log", "gone");
    fs::remove_file(world.path("gone")).unwrap();
    world.append("audit.log", &lines(5..7));
    assert_eq!(world.drain(), all(3..7));
}

#[test]
fn what_was_compressed_is_read_further() {
    for (pattern, name) in
        [("audit.log", "audit.log.1.gz"), ("*", "audit.log.1.gz"), ("audit.log", "audit.log.1.zst")]
    {
        let mut world = World::new(&[pattern]);
        world.append("audit.log", &lines(0..30));
        world.following.piece = 1500;
        world.restart();
        let piece = world.piece().unwrap();
        let mut read = world.keep(&piece);
        assert!(read.len() < 20);
        let bytes = fs::read(world.path("audit.log")).unwrap();
        let packed = if name.ends_with("gz") { gz(&bytes) } else { zstd::encode_all(&*bytes, 1).unwrap() };
        fs::write(world.path(name), packed).unwrap();
        fs::remove_file(world.path("audit.log")).unwrap();
        world.append("audit.log", &lines(30..40));
        world.restart();
        read.extend(world.drain());
        assert_eq!(read, all(0..40), "{pattern} {name}");
        world.restart();
        assert_eq!(world.drain(), all([]));
    }
}

#[test]
fn a_copy_is_read_behind_what_was_read_of_the_original() {
    for pattern in ["audit.log", "audit.log*"] {
        for restart in [false, true] {
            let mut world = World::new(&[pattern]);
            world.append("audit.log", &lines(0..3));
            assert_eq!(world.drain(), all(0..3));
            fs::copy(world.path("audit.log"), world.path("audit.log.1")).unwrap();
            assert_eq!(world.drain(), all([]));
            if restart {
                world.restart();
                assert_eq!(world.drain(), all([]));
            }
            world.append("audit.log", &lines(3..5));
            fs::copy(world.path("audit.log"), world.path("audit.log.1")).unwrap();
            if restart {
                world.restart();
            }
            fs::write(world.path("audit.log"), lines(5..20)).unwrap();
            assert_eq!(world.drain(), all(3..20), "{pattern} {restart}");
            world.restart();
            assert_eq!(world.drain(), all([]));
        }
    }
}

#[test]
fn a_hole_is_passed_over() {
    let mut world = World::new(&["audit.log"]);
    world.append("audit.log", &lines(0..9));
    assert_eq!(world.drain(), all(0..9));
    let file = fs::OpenOptions::new().write(true).open(world.path("audit.log")).unwrap();
    let at = file.metadata().unwrap().len();
    file.set_len(0).unwrap();
    file.write_all_at(lines(9..12).as_bytes(), at + (5 << 20)).unwrap();
    assert_eq!(world.drain(), all(9..12));
    world.append("audit.log", &line(12));
    world.restart();
    assert_eq!(world.drain(), all([12]));
}

#[test]
fn a_line_that_is_too_long_is_named_and_passed_over() {
    let mut world = World::new(&["audit.log"]);
    world.following.piece = 1 << 10;
    world.following.reading = Options { record_cap: 4 << 10, ..Options::default() };
    world.restart();
    world.append("audit.log", &lines(0..2));
    world.append("audit.log", &"y".repeat(3 << 20));
    assert_eq!(world.drain(), all(0..2));
    world.append("audit.log", &format!("{}\n{}", "z".repeat(1 << 20), lines(2..4)));
    let piece = world.piece().unwrap();
    assert!(piece.bytes.is_empty());
    assert!(
        matches!(piece.rejected[..], [ref r] if r.line == 3 && matches!(r.reason, Reason::TooLong { .. }))
    );
    assert_eq!(world.drain(), all(2..4));
}

#[test]
fn garbage_stops_nobody() {
    let mut world = World::new(&["*.log"]);
    world.append("a.log", &lines(0..2));
    world.append("b.log", &lines(2..4));
    assert_eq!(world.drain(), all(0..4));
    fs::write(world.path("a.log"), [&[0x1f, 0x8b, 8, 7, 7, 0xff, b'\n'][..], &[0xfe; 2000]].concat())
        .unwrap();
    fs::write(world.path("c.log"), b"PK\x03\x04........\n").unwrap();
    world.append("b.log", &lines(4..6));
    assert_eq!(world.drain(), all(4..6));
    assert!(matches!(world.trouble("a.log"), Some(Reason::Damaged { .. })));
    assert!(matches!(world.trouble("c.log"), Some(Reason::Container { .. })));
    fs::write(world.path("a.log"), lines(6..8)).unwrap();
    assert_eq!(world.drain(), all(6..8));
    // Lines that look like anything at all.
    world.append("b.log", &format!("\u{1}\u{2}\n{}{{\"a\":\n{}", line(8), line(9)));
    let file = fs::OpenOptions::new().append(true).open(world.path("a.log")).unwrap();
    (&file).write_all(b"\x1f\x8b\x08\x00\xff\n").unwrap();
    (&file).write_all(line(10).as_bytes()).unwrap();
    let mut read = world.drain();
    read.sort_unstable();
    assert_eq!(read, all(8..11));
}

#[test]
fn files_that_begin_alike_are_told_apart() {
    let mut world = World::new(&["*.log"]);
    world.append("a.log", &lines([0, 1, 2]));
    world.append("b.log", &lines([0, 3, 4, 5]));
    let mut read = world.drain();
    read.sort_unstable();
    assert_eq!(read, [0, 0, 1, 2, 3, 4, 5]);
    world.restart();
    assert_eq!(world.drain(), all([]));
    world.append("a.log", &line(6));
    world.append("b.log", &line(7));
    world.restart();
    assert_eq!(world.drain(), all([6, 7]));
}

#[test]
fn a_compressed_file_is_read_once_when_it_is_whole() {
    let mut world = World::new(&["*.gz"]);
    let packed = gz(lines(0..500).as_bytes());
    fs::write(world.path("a.gz"), &packed[..packed.len() / 2]).unwrap();
    let mut read = world.drain();
    assert!(matches!(world.trouble("a.gz"), Some(Reason::Damaged { .. })));
    fs::write(world.path("a.gz"), packed).unwrap();
    read.extend(world.drain());
    assert_eq!(read, all(0..500));
    world.restart();
    assert_eq!(world.drain(), all([]));
    // Without a line feed at its end.
    fs::write(world.path("b.gz"), gz(lines(500..502).trim_end().as_bytes())).unwrap();
    assert_eq!(world.drain(), all(500..502));
}

#[test]
fn positions_of_ingest_are_gone_on_from() {
    let mut world = World::new(&["audit.log"]);
    world.append("audit.log", &lines(0..100));
    let source = format!("file:{}", world.path("audit.log").display());
    let id = head(line(0).as_bytes());
    world.known.insert(source.clone(), format!(r#"{{"id":"{id:016x}","events":37}}"#));
    world.following.piece = 700;
    world.restart();
    assert_eq!(world.drain(), all(37..100));
    // And the other way round.
    #[derive(serde::Deserialize)]
    struct Position {
        id: String,
        events: u64,
        #[serde(default)]
        before: Vec<(String, u64)>,
    }
    world.rename("audit.log", "audit.log.1");
    world.append("audit.log", &lines(100..103));
    assert_eq!(world.drain(), all(100..103));
    let position: Position = serde_json::from_str(&world.known[&source]).unwrap();
    assert_eq!((position.id, position.events), (format!("{:016x}", head(line(100).as_bytes())), 3));
    assert_eq!(position.before, [(format!("{id:016x}"), 100)]);
}

#[test]
fn what_cannot_be_read_is_told_and_tried_again() {
    let mut world = World::new(&["later/audit.log", "x.log"]);
    assert_eq!(world.drain(), all([]));
    assert_eq!(world.trouble("later/audit.log"), Some(Reason::Missing));
    fs::create_dir(world.path("later")).unwrap();
    world.append("later/audit.log", &lines(0..2));
    assert_eq!(world.drain(), all(0..2));
    assert_eq!(world.trouble("later/audit.log"), None);
    world.append("x.log", &line(2));
    fs::set_permissions(world.path("x.log"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(world.path("x.log")).is_ok() {
        println!("permissions are not looked at: this is root");
        return;
    }
    assert_eq!(world.drain(), all([]));
    assert!(matches!(world.trouble("x.log"), Some(Reason::Unreadable { .. })));
    fs::set_permissions(world.path("x.log"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.drain(), all([2]));
}

#[test]
fn a_link_is_no_second_file_and_rotation_is_seen_behind_it() {
    let mut world = World::new(&["links/*.log", "real/*.log"]);
    fs::create_dir(world.path("links")).unwrap();
    fs::create_dir(world.path("real")).unwrap();
    world.append("real/a.log", &lines(0..2));
    std::os::unix::fs::symlink(world.path("real/a.log"), world.path("links/a.log")).unwrap();
    assert_eq!(world.drain(), all(0..2));
    world.append("real/a.log", &line(2));
    world.rename("real/a.log", "real/a.log.1");
    world.append("real/a.log", &line(3));
    world.restart();
    assert_eq!(world.drain(), all(2..4));
}

#[test]
fn parts_of_a_line_stay_together() {
    let mut world = World::new(&["0.log"]);
    let event = line(7);
    let (a, b) = event.trim_end().split_at(60);
    let time = "2026-11-21T01:46:02.111111111Z";
    world.append("0.log", &format!("{time} stdout F I1121 hello\n{time} stdout P {a}\n"));
    assert_eq!(world.drain(), all([]));
    world.append("0.log", &format!("{time} stdout F {b}\n"));
    assert_eq!(world.drain(), all([7]));
}

#[test]
fn many_files_take_turns_with_few_of_them_open() {
    let mut world = World::new(&["*.log"]);
    world.following.open = 8;
    world.following.piece = 300;
    world.restart();
    for n in 0..300 {
        world.append(&format!("{n}.log"), &lines(n * 10..n * 10 + 3));
    }
    let mut read = Vec::new();
    let mut first = std::collections::HashSet::new();
    for _ in 0..300 {
        let piece = world.piece().unwrap();
        first.insert(piece.file.clone());
        read.extend(world.keep(&piece));
    }
    assert_eq!(first.len(), 300);
    read.extend(world.drain());
    for n in 0..300 {
        world.append(&format!("{n}.log"), &line(n * 10 + 3));
        if n % 3 == 0 {
            world.rename(&format!("{n}.log"), &format!("{n}.log.1"));
            world.append(&format!("{n}.log"), &line(n * 10 + 4));
        }
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(open < 200, "{open}");
    read.extend(world.drain());
    read.sort_unstable();
    let want = (0..300).flat_map(|n| n * 10..n * 10 + if n % 3 == 0 { 5 } else { 4 });
    assert_eq!(read, all(want));
}

#[test]
fn logrotate_loses_and_repeats_nothing() {
    if Command::new("logrotate").arg("--version").output().is_err() {
        println!("logrotate is not installed: not tested");
        return;
    }
    for (pattern, how) in [
        ("audit.log", "create"),
        ("audit.log*", "create\ncompress"),
        ("audit.log", "create\ncompress\ndelaycompress"),
        ("audit.log", "copytruncate"),
        ("*", "copytruncate\ncompress"),
    ] {
        let mut world = World::new(&[&format!("logs/{pattern}")]);
        fs::create_dir(world.path("logs")).unwrap();
        let log = world.path("logs/audit.log");
        let config = world.path("rotate.conf");
        fs::write(&config, format!("\"{}\" {{\nrotate 20\nsize 1\n{how}\n}}\n", log.display())).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
        let mut read = Vec::new();
        for round in 0..6 {
            world.append("logs/audit.log", &lines(round * 10..round * 10 + 7));
            if round % 2 == 0 {
                read.extend(world.drain());
            }
            world.append("logs/audit.log", &lines(round * 10 + 7..round * 10 + 10));
            if round % 3 == 0 {
                world.restart();
            }
            rotate(&config, &world.path("state"));
            read.extend(world.drain());
        }
        read.extend(world.drain());
        read.sort_unstable();
        assert_eq!(read, all(0..60), "{pattern} {how}");
        world.restart();
        assert_eq!(world.drain(), all([]), "{pattern} {how}");
    }
}

fn rotate(config: &Path, state: &Path) {
    let out = Command::new("logrotate").arg("-f").arg("-s").arg(state).arg(config).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
