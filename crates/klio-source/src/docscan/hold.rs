//! What happens where the bytes end inside a value: at the end of the input, and at the end of a buffer.

use super::{DocScan, Flow};
use crate::Reason;
use crate::split::{Limits, Pieces};

impl DocScan {
    /// The input ends inside the value.
    pub(super) fn finish(&mut self, buf: &[u8], out: &mut Pieces) -> Flow {
        let line = self.line + self.newlines;
        if self.list.as_ref().is_some_and(|l| l.first.is_some()) {
            self.flush(buf, out);
        }
        let item = self.list.as_ref().and_then(|l| l.item.as_ref());
        match item {
            Some(item) if item.discard => {}
            Some(item) => out.reject(item.line, Reason::Truncated),
            None if self.discard => {}
            None => out.reject(self.line, Reason::Truncated),
        }
        Flow::Lines { at: buf.len(), line }
    }

    /// The buffer ends inside the value: which bytes must stay?
    pub(super) fn hold(&mut self, buf: &[u8], limits: Limits, out: &mut Pieces) -> Flow {
        let list_started = self.list.as_ref().is_some_and(|l| l.first.is_some());
        if list_started && !self.discard && buf.len() - self.kept().min(buf.len()) >= limits.chunk {
            self.flush(buf, out);
        }
        let mut keep = self.kept();
        if buf.len().saturating_sub(keep) > limits.record_cap {
            let too_long = Reason::TooLong { cap: limits.record_cap as u64 };
            if let Some(item) = self.list.as_mut().and_then(|l| l.item.as_mut()) {
                item.discard = true;
                out.reject(item.line, too_long);
            } else {
                self.discard = true;
                out.reject(self.line, too_long);
            }
            keep = self.at;
        }
        self.shift(keep);
        Flow::Need { keep }
    }

    /// First byte still needed.
    fn kept(&self) -> usize {
        if self.discard {
            return self.at;
        }
        let streamed = self.list.as_ref().filter(|l| l.head.is_some());
        let Some(list) = streamed else { return self.start };
        let item = list.item.as_ref().filter(|i| !i.discard).map(|i| i.start);
        let run = list.run.map(|(start, ..)| start);
        run.or(item).unwrap_or(self.at).min(self.at)
    }

    fn shift(&mut self, by: usize) {
        let less = |at: &mut usize| *at = at.saturating_sub(by);
        less(&mut self.start);
        less(&mut self.at);
        less(&mut self.key.0);
        less(&mut self.key.1);
        if let Some(list) = &mut self.list {
            if let Some((start, end, _)) = &mut list.run {
                less(start);
                less(end);
            }
            if let Some(item) = &mut list.item {
                less(&mut item.start);
            }
            if let Some(first) = &mut list.first {
                less(first);
            }
        }
    }
}
