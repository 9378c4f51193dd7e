use std::sync::Arc;
use std::sync::atomic::Ordering;

use ratelimiter_api::{Key, LimitEntry};
use ratelimiter_store::StoreError;

use super::{Limiter, of_epoch};
use crate::admissions::Admission;
use crate::clock::{Adjusted, Reading};
use crate::counter::{Counter, CounterCell};
use crate::shared::{Change, KeyRefresh, Span};

/// Admissions of one counter on their way to the store, or asked for there.
#[derive(Debug)]
pub(crate) struct Batch {
    counter: Arc<CounterCell>,
    pub(crate) entry: LimitEntry,
    pub(crate) span: Span,
    pub(crate) admissions: Vec<Admission>,
}

/// A counter whose window is to be read.
#[derive(Debug)]
pub(crate) struct Watched {
    counter: Arc<CounterCell>,
    pub(crate) key: Key,
    epoch: u64,
    pub(crate) span: Span,
}

/// The exchange of admissions with the store. No lock is held for more than one key's work.
impl Limiter {
    /// Drops admissions that left their window, and ends the sync of keys that are idle.
    pub(crate) fn sweep(&self) {
        let leased = self.leases.sweep(|key| self.epoch(key));
        self.memory
            .counted(leased + self.active.sweep(self.clock.now_us()));
    }

    /// Admissions that this node remembers, over all keys.
    pub(crate) fn remembered(&self) -> usize {
        self.memory.remembered()
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
            if let Some((span, admissions)) = counter.send(now_us, room) {
                let entry = counter.entry.clone();
                drop(counter);
                room -= admissions.len();
                batches.push(Batch {
                    counter: cell,
                    entry,
                    span,
                    admissions,
                });
            }
        }
        batches
    }

    /// The store holds these, and has forgotten what it had confirmed before of those for which the
    /// answer is true. A batch that failed stays to be sent.
    pub(crate) fn confirm(&self, batches: &[Batch], forgot: &[Result<bool, StoreError>]) {
        for (batch, forgot) in batches.iter().zip(forgot) {
            let Ok(forgot) = forgot else { continue };
            of_epoch(&batch.counter, batch.entry.epoch, |counter| {
                if *forgot {
                    counter.doubt();
                }
                counter.confirm(&batch.admissions);
            });
        }
    }

    /// At most `most` admissions that the store had confirmed, and has to be asked for since it
    /// lost some.
    pub(crate) fn doubts(&self, most: usize) -> Vec<Batch> {
        let now_us = self.clock.now_us();
        let mut room = most;
        let mut batches = Vec::new();
        for cell in self.active.cells() {
            if room == 0 {
                break;
            }
            let mut counter = cell.lock();
            let admissions = counter.doubts(now_us, room);
            if !admissions.is_empty() {
                room -= admissions.len();
                let (entry, span) = (counter.entry.clone(), counter.span(now_us));
                drop(counter);
                batches.push(Batch {
                    counter: cell,
                    entry,
                    span,
                    admissions,
                });
            }
        }
        batches
    }

    /// The store holds the doubted admissions for which `held` is true, and lost the others, which
    /// are sent again. Nothing is known of a key without an answer. Returns the keys with losses,
    /// each with the number of lost admissions.
    pub(crate) fn settle(&self, batches: &[Batch], held: &[Option<Vec<bool>>]) -> Vec<(Key, u64)> {
        let mut losses = Vec::new();
        for (batch, held) in batches.iter().zip(held) {
            let Some(held) = held else { continue };
            let settle = |counter: &mut Counter| counter.settle(&batch.admissions, held);
            let lost = of_epoch(&batch.counter, batch.entry.epoch, settle).filter(|lost| *lost > 0);
            losses.extend(lost.map(|lost| (batch.entry.key.clone(), lost)));
        }
        self.lost
            .fetch_add(losses.iter().map(|(_, lost)| lost).sum(), Ordering::Relaxed);
        losses
    }

    /// Admissions that the store had confirmed and lost, since this node started.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The windows to ask the store about.
    pub(crate) fn windows(&self) -> Vec<Watched> {
        let now_us = self.clock.now_us();
        let watched = |cell: Arc<CounterCell>| {
            let counter = cell.lock();
            let LimitEntry { key, epoch, .. } = counter.entry.clone();
            let span = counter.span(now_us);
            drop(counter);
            Watched {
                counter: cell,
                key,
                epoch,
                span,
            }
        };
        self.active.due(now_us).into_iter().map(watched).collect()
    }

    /// Takes the store's answers about the windows, in the same order. Returns the limits whose
    /// copies are missing or behind, as after a failover: those of which this node had found a
    /// copy, and the others.
    pub(crate) fn refresh(
        &self,
        watched: &[Watched],
        answers: Vec<Result<KeyRefresh, StoreError>>,
    ) -> Result<[Vec<Change>; 2], StoreError> {
        let (mut known, mut unknown, mut failure) = (Vec::new(), Vec::new(), Ok(()));
        for (
            Watched {
                counter,
                key,
                epoch,
                span,
            },
            answer,
        ) in watched.iter().zip(answers)
        {
            match answer {
                Ok(KeyRefresh { window, copy }) => {
                    of_epoch(counter, *epoch, |counter: &mut Counter| {
                        counter.refresh(span, window)
                    });
                    let version = self.limits().version_of(key);
                    let Some(copy) = copy else { continue };
                    let mut counter = counter.lock();
                    let behind = if counter.note_copy(copy) {
                        &mut known
                    } else {
                        &mut unknown
                    };
                    if copy < version {
                        let entry = Some(counter.entry.clone());
                        behind.push(Change {
                            key: key.clone(),
                            version,
                            entry,
                        });
                    }
                }
                Err(error) => failure = Err(error),
            }
        }
        failure.map(|()| [known, unknown])
    }

    /// The store has lost its state: it is asked for every admission that it had confirmed.
    pub(super) fn doubt(&self) {
        self.active
            .cells()
            .iter()
            .for_each(|cell| cell.lock().doubt());
    }

    /// Takes a reading of the store's clock. Where the clock of this node was set by it, admissions
    /// move with it: they would leave their window early, or hold quota for longer.
    pub(crate) fn follow_clock(&self, reading: Reading) {
        let (adjusted, by_us) = self.clock.adjust(reading);
        match adjusted {
            Adjusted::Followed => return,
            Adjusted::Doubted => {
                return tracing::warn!(
                    by_us,
                    "the store's clock jumped; going on without it until it persists"
                );
            }
            Adjusted::Rebased => {
                tracing::warn!(
                    by_us,
                    "the store's clock jumped and stayed there; following it"
                );
            }
            Adjusted::First => {}
        }
        self.active
            .cells()
            .iter()
            .for_each(|cell| cell.lock().shift(by_us));
    }
}
