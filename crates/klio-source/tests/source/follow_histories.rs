//! Random lives of a log: whatever the writer, the rotation and the follower do, every line is delivered once.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::follow::{World, gz, line};

/// A source of choices: splitmix64, by Sebastiano Vigna in the public domain.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Writes the log and rotates it.
struct Writer {
    file: File,
    next: u32,
    /// What is to come of the line that was begun.
    rest: String,
    rotated: Vec<PathBuf>,
    rotations: u32,
}

/// One history; what happened is told if it goes wrong.
fn live(seed: u64) {
    let mut dice = Dice(seed);
    let pattern = ["audit.log", "audit*", "*", ""][dice.roll(4) as usize];
    let mut world = World::new(&[pattern]);
    world.following.piece = [200, 1000, 1 << 20][dice.roll(3) as usize];
    world.following.open = [1, 3, 100][dice.roll(3) as usize];
    world.restart();
    let log = world.path("audit.log");
    let open = |log: &PathBuf| OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut writer =
        Writer { file: open(&log), next: 0, rest: String::new(), rotated: Vec::new(), rotations: 0 };
    let (mut read, mut story): (Vec<u32>, Vec<String>) = (Vec::new(), vec![format!("{seed}: {pattern:?}")]);
    if pattern == "audit.log" {
        // What lies beside it is meant once something of the log is known.
        writer.next = 1;
        writer.file.write_all(line(0).as_bytes()).unwrap();
        read.extend(world.drain());
    }
    for _ in 0..dice.roll(60) {
        match dice.roll(12) {
            0..=2 => {
                let mut text = std::mem::take(&mut writer.rest);
                for _ in 0..dice.roll(8) {
                    text.push_str(&line(writer.next));
                    writer.next += 1;
                }
                writer.file.write_all(text.as_bytes()).unwrap();
                story.push(format!("append up to {}", writer.next));
            }
            3 if writer.rest.is_empty() => {
                let mut text = line(writer.next);
                let at = 1 + dice.roll(text.len() as u64 - 1) as usize;
                writer.rest = text.split_off(at);
                writer.file.write_all(text.as_bytes()).unwrap();
                writer.next += 1;
                story.push(format!("begin {}", writer.next - 1));
            }
            4 => {
                // The writer goes on in the renamed file until it notices, at the end of a line.
                writer.rotations += 1;
                let name = if dice.roll(2) == 0 {
                    format!("audit-2026-11-{:02}T01-46-02.111.log", writer.rotations)
                } else {
                    format!("audit.log-202611{:02}", writer.rotations)
                };
                fs::rename(&log, world.path(&name)).unwrap();
                writer.rotated.push(world.path(&name));
                story.push(format!("rename to {name}"));
                if dice.roll(2) == 0 {
                    story.push("and look".into());
                    step(&mut world, &mut dice, &mut read, &mut story);
                }
                let rest = std::mem::take(&mut writer.rest);
                writer.file.write_all(rest.as_bytes()).unwrap();
                writer.file = open(&log);
            }
            5 if writer.rest.is_empty() => {
                writer.rotations += 1;
                let copy = world.path(&format!("audit.log-202611{:02}", writer.rotations));
                fs::copy(&log, &copy).unwrap();
                story.push(format!("copy to {}", copy.display()));
                if dice.roll(2) == 0 {
                    story.push("and look".into());
                    step(&mut world, &mut dice, &mut read, &mut story);
                }
                writer.file.set_len(0).unwrap();
                writer.rotated.push(copy);
            }
            6 if !writer.rotated.is_empty() => {
                let of = dice.roll(writer.rotated.len() as u64) as usize;
                let plain = writer.rotated.remove(of);
                let bytes = fs::read(&plain).unwrap();
                let (name, packed) = if dice.roll(2) == 0 {
                    (format!("{}.gz", plain.display()), gz(&bytes))
                } else {
                    (format!("{}.zst", plain.display()), zstd::encode_all(&*bytes, 1).unwrap())
                };
                story.push(format!("compress to {name}"));
                fs::write(&name, &packed[..dice.roll(packed.len() as u64) as usize]).unwrap();
                if dice.roll(2) == 0 {
                    story.push("and look".into());
                    step(&mut world, &mut dice, &mut read, &mut story);
                }
                fs::write(&name, &packed).unwrap();
                if dice.roll(2) == 0 {
                    story.push("and look".into());
                    step(&mut world, &mut dice, &mut read, &mut story);
                }
                fs::remove_file(plain).unwrap();
            }
            7 => {
                story.push("restart".into());
                world.restart();
            }
            _ => step(&mut world, &mut dice, &mut read, &mut story),
        }
    }
    writer.file.write_all(writer.rest.as_bytes()).unwrap();
    if dice.roll(2) == 0 {
        world.restart();
    }
    read.extend(world.drain());
    read.sort_unstable();
    assert_eq!(read, (0..writer.next).collect::<Vec<_>>(), "{story:#?}");
    world.restart();
    assert_eq!(world.drain(), [] as [u32; 0], "{story:#?}");
}

/// The follower reads some pieces, and may lose the last.
fn step(world: &mut World, dice: &mut Dice, read: &mut Vec<u32>, story: &mut Vec<String>) {
    for _ in 0..=dice.roll(4) {
        let Some(piece) = world.piece() else { return };
        if dice.roll(4) == 0 {
            story.push(format!("lose a piece of {}", piece.file));
            return;
        }
        let numbers = world.keep(&piece);
        story.push(format!("keep {numbers:?} of {}", piece.file));
        read.extend(numbers);
    }
}

#[test]
fn every_line_is_delivered_once() {
    let seed = std::env::var("KLIO_SEED").ok().and_then(|s| s.parse().ok());
    let count = std::env::var("KLIO_HISTORIES").ok().and_then(|s| s.parse().ok()).unwrap_or(1000);
    for seed in seed.map_or(0..count, |seed| seed..seed + 1) {
        live(seed);
    }
}
