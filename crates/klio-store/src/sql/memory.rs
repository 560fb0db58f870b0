//! What a question takes beside the memory that its engine counts: texts that functions put together are not counted,
//! and a text that is put together with itself a few times over is larger than any machine.

use crate::error::StoreError;

use super::Limits;

/// Bytes that may come on top of what is counted: pages, columns and batches on their way.
const BESIDE: u64 = 512 << 20;

/// How much memory the program took when the question began, and how much more it may take.
pub(super) struct Growth {
    before: Option<u64>,
    limit: u64,
}

impl Growth {
    pub(super) fn start(limits: &Limits) -> Self {
        Self { before: resident(), limit: (limits.memory_bytes as u64).saturating_add(BESIDE) }
    }

    /// Refuses to go on when the program has grown too much since.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let (Some(before), Some(now)) = (self.before, resident()) else { return Ok(()) };
        if now.saturating_sub(before) <= self.limit {
            return Ok(());
        }
        Err(StoreError::Stopped(format!(
            "it took more than {} MB of memory; ask for less time or shorter texts, or raise the limit",
            self.limit >> 20
        )))
    }
}

/// Bytes of memory that the program has, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
