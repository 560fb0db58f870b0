//! A progress bar on stderr for long work: bytes, rate and time left.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use klio_source::InputId;

use super::lock;

/// A bar over the bytes of all inputs; silent when not wanted.
pub(super) struct Bar {
    bar: ProgressBar,
    read: Mutex<std::collections::BTreeMap<InputId, u64>>,
}

impl Bar {
    pub(super) fn new(wanted: bool, total: Option<u64>) -> Self {
        let bar = match (wanted, total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => ProgressBar::new(total).with_style(style(
                "{spinner} {bytes}/{total_bytes} {bar:30} {percent}%  {bytes_per_sec}  {eta} left",
            )),
            (true, None) => {
                ProgressBar::new_spinner().with_style(style("{spinner} {bytes} read  {bytes_per_sec}"))
            }
        };
        if wanted {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, read: Mutex::default() }
    }

    /// So many bytes of an input have been read.
    pub(super) fn at(&self, input: InputId, consumed: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let mut read = lock(&self.read);
        let known = read.entry(input).or_default();
        *known = consumed.max(*known);
        self.bar.set_position(read.values().sum());
    }

    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
