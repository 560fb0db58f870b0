//! The machine: the data directory, the disk below it, open files, the clock's keeper.

use std::io::Write;
use std::path::Path;

use klio_store::own_place;
use rustix::fs::{Access, access, statfs, statvfs};
use rustix::process::{Resource, getrlimit};

use super::chart::{Chart, size};
use crate::config::Config;
use crate::data::refused;

/// File systems on which "it is on disk" may not be true (linux/magic.h), and why.
const DOUBTFUL: [(u32, &str, &str); 8] = [
    (0x6969, "NFS", "the server must sync what it is told to, and locks must work"),
    (0xFF53_4D42, "CIFS", "a share may acknowledge what is not on disk"),
    (0xFE53_4D42, "SMB", "a share may acknowledge what is not on disk"),
    (0x794C_7630, "overlay", "it goes away with the container"),
    (0x0102_1994, "tmpfs", "it is memory, and goes away with the machine"),
    (0x8584_58F6, "ramfs", "it is memory, and goes away with the machine"),
    (0x6573_5546, "FUSE", "what a sync means there depends on who made it"),
    (0x0102_1997, "9p", "what a sync means there depends on the host"),
];
/// Free inodes below which somebody should know.
const INODES: u64 = 10_000;
/// Open files beside connections: the lake's, the spool's, followed logs, the ops port.
const BESIDE: u64 = 1_024;
/// Where systemd-timesyncd says whether the clock is right.
const TIMESYNC: &str = "/run/systemd/timesync";

/// Looks at it.
pub fn look(dir: &Path, config: &Config, chart: &mut Chart) {
    directory(dir, chart);
    // Where it will be, if it is not there yet.
    let Some(there) = dir.ancestors().find(|path| path.is_dir()) else { return };
    disk(there, dir, config, chart);
    files(config.server.connections as u64, chart);
    let keeper = Path::new(TIMESYNC);
    if keeper.is_dir() && !keeper.join("synchronized").exists() {
        chart.warn("clock", "systemd-timesyncd has not set it", "`timedatectl timesync-status` says why");
    }
}

fn directory(dir: &Path, chart: &mut Chart) {
    let (check, shown) = ("data directory", dir.display());
    if let Err(e) = own_place(dir) {
        return chart.failed(check, &refused(e), "");
    }
    if !dir.exists() {
        let can = dir
            .ancestors()
            .find(|path| path.exists())
            .is_some_and(|path| path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok());
        return if can {
            chart.ok(check, format!("{shown} is made with the first start"));
        } else {
            chart.fail(
                check,
                format!("{shown} cannot be made"),
                "make it, for the user that the server runs as",
            );
        };
    }
    let kept = tempfile::NamedTempFile::new_in(dir)
        .and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.as_file().sync_all()));
    match kept {
        Ok(()) => chart.ok(check, format!("{shown} can be written")),
        Err(e) => {
            let advice = "run the server as its owner, or chown it; if the disk is full, make room";
            chart.fail(check, format!("{shown} cannot be written: {e}"), advice);
        }
    }
}

fn disk(there: &Path, dir: &Path, config: &Config, chart: &mut Chart) {
    if let Ok(stat) = statvfs(there) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let spooled: u64 = std::fs::read_dir(dir.join("spool"))
            .map_or(0, |entries| entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum());
        let due = config.lake.spool_bytes.saturating_sub(spooled);
        let found = format!("{} are free", size(free));
        if free < config.lake.flush_bytes {
            let said = format!("{found}, less than one file of the lake (lake.flush_bytes)");
            chart.fail("disk", said, "make room, or put the data directory on a larger disk");
        } else if free < due {
            let said = format!("{found}, and the spool may take {} more", size(due));
            chart.warn("disk", said, "make room, or lower lake.spool_bytes: a full disk refuses events too");
        } else {
            chart.ok("disk", found);
        }
        if stat.f_files > 0 && stat.f_favail < INODES {
            chart.warn(
                "inodes",
                format!("{} are free", stat.f_favail),
                "remove small files, or make the file system anew with more",
            );
        }
    }
    if let Ok(stat) = statfs(there) {
        let kind = stat.f_type as u32;
        match DOUBTFUL.iter().find(|(own, ..)| *own == kind) {
            Some((_, name, why)) => {
                let advice = format!("{why}; put the data directory on a disk of the machine (ext4, xfs)");
                chart.warn("file system", format!("{} is on {name}", there.display()), advice);
            }
            None => chart.ok("file system", "a sync is a sync"),
        }
    }
}

fn files(connections: u64, chart: &mut Chart) {
    let due = connections + BESIDE;
    match getrlimit(Resource::Nofile).maximum.filter(|most| *most < due) {
        Some(most) => {
            let advice = "raise LimitNOFILE (systemd) or ulimit -n, or lower server.connections";
            chart.warn("open files", format!("{most} at most, and server.connections needs {due}"), advice);
        }
        None => chart.ok("open files", format!("{due} are allowed")),
    }
}
