//! Runs a program and tells what it cost.
//!
//! The kernel's account of finished children (`getrusage(RUSAGE_CHILDREN)`, getrusage(2)) holds the sum of
//! their CPU time and the largest of their peak memories; one helper process per program keeps them apart.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What one run cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cost {
    /// User and system time together, in seconds.
    pub cpu: f64,
    /// Seconds on the clock.
    pub wall: f64,
    /// Peak resident memory in bytes.
    pub peak: u64,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
}

/// Runs `command` here and now; meant for a process that runs nothing else.
pub fn run(command: &[String], stdout: Option<&Path>) -> Result<Cost, Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::Io(std::io::Error::other("no program named")));
    };
    let sink = match stdout {
        Some(path) => Stdio::from(File::create(path)?),
        None => Stdio::null(),
    };
    let begun = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(sink)
        .status()
        .map_err(|source| Error::Open { path: program.into(), source })?;
    let wall = begun.elapsed().as_secs_f64();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(std::io::Error::from)?;
    let cpu = (used.user_time().num_microseconds() + used.system_time().num_microseconds()) as f64 / 1e6;
    // Linux counts ru_maxrss in kilobytes.
    let peak = u64::try_from(used.max_rss()).unwrap_or(0) * 1024;
    Ok(Cost { cpu, wall, peak, code: status.code().unwrap_or(-1) })
}

/// Runs `command` under a helper process of its own and returns what the command cost.
pub fn apart(command: &[String], stdout: Option<&Path>) -> Result<Cost, Error> {
    let mut helper = Command::new(std::env::current_exe()?);
    helper.arg("measure");
    if let Some(path) = stdout {
        helper.arg("--stdout").arg(path);
    }
    let output = helper.arg("--").args(command).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = |status: String| Error::Child {
        program: command.join(" "),
        status,
        stderr: said.lines().rev().take(5).collect::<Vec<_>>().join(" | "),
    };
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let cost: Cost = serde_json::from_slice(&output.stdout).map_err(|e| Error::Json("measure".into(), e))?;
    // 1 means findings at or above --fail-on; 0 done. Anything else measured something else.
    if !matches!(cost.code, 0 | 1) {
        return Err(failed(format!("exit code {}", cost.code)));
    }
    Ok(cost)
}

/// The middle value; 0 of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
