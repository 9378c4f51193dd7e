use std::sync::Arc;

use super::{Limiter, of_epoch};
use crate::admissions::Admission;
use crate::counter::{Counter, CounterCell};
use crate::shared::{SharedWindow, Span};

/// Admissions of one counter on their way to the store.
#[derive(Debug)]
pub(crate) struct Batch {
    counter: Arc<CounterCell>,
    epoch: u64,
    pub(crate) span: Span,
    pub(crate) admissions: Vec<Admission>,
}

/// A counter whose window is to be read.
#[derive(Debug)]
pub(crate) struct Watched {
    counter: Arc<CounterCell>,
    epoch: u64,
    pub(crate) span: Span,
}

/// The exchange of admissions with the store. No lock is held for more than one key's work.
impl Limiter {
    /// Drops admissions that left their window, and ends the sync of keys that are idle.
    pub(crate) fn sweep(&self) {
        self.active.sweep(self.clock.now_us());
    }

    /// Admissions that this node remembers, over all keys.
    pub(crate) fn remembered(&self) -> usize {
        self.active.remembered()
    }

    /// At most `most` admissions that are to be sent to the store.
    pub(crate) fn send(&self, most: usize) -> Vec<Batch> {
        let now_us = self.clock.now_us();
        let mut room = most;
        let mut batches = Vec::new();
        for cell in self.active.cells() {
            if room == 0 {
                break;
            }
            let mut counter = cell.lock();
            let (span, admissions) = counter.send(now_us, room);
            let epoch = counter.entry.epoch;
            drop(counter);
            if !admissions.is_empty() {
                room -= admissions.len();
                batches.push(Batch { counter: cell, epoch, span, admissions });
            }
        }
        batches
    }

    /// The store holds these, and has forgotten what it had confirmed before of those for which `forgot` is true.
    pub(crate) fn confirm(&self, batches: &[Batch], forgot: &[bool]) {
        let mut lost = 0;
        for (batch, forgot) in batches.iter().zip(forgot) {
            lost += usize::from(*forgot);
            of_epoch(&batch.counter, batch.epoch, |counter| {
                if *forgot {
                    counter.unconfirm();
                }
                counter.confirm(&batch.admissions);
            });
        }
        warn_of_loss(lost);
    }

    /// The windows to ask the store about.
    pub(crate) fn windows(&self) -> Vec<Watched> {
        let now_us = self.clock.now_us();
        let watched = |cell: Arc<CounterCell>| {
            let counter = cell.lock();
            let (epoch, span) = (counter.entry.epoch, counter.span(now_us));
            drop(counter);
            Watched { counter: cell, epoch, span }
        };
        self.active.cells().into_iter().map(watched).collect()
    }

    /// Takes the store's answers about the windows, in the same order.
    pub(crate) fn refresh(&self, watched: &[Watched], answers: Vec<SharedWindow>) {
        let mut lost = 0;
        for (Watched { counter, epoch, span }, shared) in watched.iter().zip(answers) {
            let kept = of_epoch(counter, *epoch, |counter: &mut Counter| counter.refresh(span, shared));
            lost += usize::from(kept == Some(false));
        }
        warn_of_loss(lost);
    }

    /// The clock was set back: admissions after it would hold quota for longer than a window.
    pub(crate) fn bring_back(&self) {
        let now_us = self.clock.now_us();
        self.active.cells().iter().for_each(|cell| cell.lock().bring_back(now_us));
    }
}

fn warn_of_loss(keys: usize) {
    if keys > 0 {
        tracing::warn!(keys, "the store lost admissions that it had confirmed; sending them again");
    }
}
