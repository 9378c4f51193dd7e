use std::sync::Arc;
use std::sync::atomic::Ordering;

use ratelimiter_api::{Key, LimitEntry};
use ratelimiter_store::StoreError;

use super::Limiter;
use super::counter::{CounterCell, LocalCounter, in_epoch};
use crate::admissions::Admission;
use crate::clock::{ClockChange, ClockReading};
use crate::shared::{AdmissionBatch, KeyRefresh, KeyWindow, LimitChange};

/// Admissions of one counter on their way to the store, or asked for there.
pub(crate) type CounterBatch = AdmissionBatch<Arc<CounterCell>>;

/// The keys that a refresh found in need of more.
#[derive(Debug, Default)]
pub(crate) struct RefreshedKeys {
    /// Limits whose copies are missing or behind.
    pub(crate) behind: Vec<LimitChange>,
    /// Limits of counters whose entries have a wrong type.
    pub(crate) wrong_type: Vec<LimitEntry>,
}

/// A counter whose window is to be read.
#[derive(Debug)]
pub(crate) struct WatchedKey {
    counter: Arc<CounterCell>,
    pub(crate) key: Key,
    epoch: u64,
    pub(crate) window: KeyWindow,
}

/// The exchange of admissions with the store. No lock is held for more than one key's work.
impl Limiter {
    /// Drops admissions that left their window, and ends the sync of keys that are idle.
    pub(crate) fn sweep(&self) {
        let leased = self
            .leases
            .sweep(|key| self.limits().get(key).map(|c| c.lock().entry.epoch));
        let others = self.active.sweep(self.context.clock.now_us());
        self.context
            .remembered
            .store(leased + others, Ordering::Relaxed);
    }

    /// Admissions that this node remembers, over all keys.
    pub(crate) fn remembered(&self) -> usize {
        self.context.remembered.load(Ordering::Relaxed)
    }

    /// Steps of the store's clock so far.
    pub(crate) fn clock_steps(&self) -> u64 {
        self.context.clock.steps()
    }

    /// At most `most` admissions that are to be sent to the store.
    pub(crate) fn unsynced(&self, most: usize) -> Vec<CounterBatch> {
        self.batches(most, LocalCounter::send)
    }

    /// At most `most` admissions that the store had confirmed, and has to be asked for since it
    /// lost some.
    pub(crate) fn doubts(&self, most: usize) -> Vec<CounterBatch> {
        self.batches(most, LocalCounter::doubts)
    }

    /// At most `most` admissions, of as many counters as that takes.
    fn batches(
        &self,
        most: usize,
        pick: impl Fn(&mut LocalCounter, u64, usize) -> Option<(KeyWindow, Vec<Admission>)>,
    ) -> Vec<CounterBatch> {
        let now_us = self.context.clock.now_us();
        let mut room = most;
        let mut batches = Vec::new();
        for owner in self.active.cells() {
            if room == 0 {
                break;
            }
            let mut counter = owner.lock();
            if let Some((window, admissions)) = pick(&mut counter, now_us, room) {
                let entry = counter.entry.clone();
                drop(counter);
                room -= admissions.len();
                batches.push(AdmissionBatch {
                    owner,
                    entry,
                    window,
                    admissions,
                });
            }
        }
        batches
    }

    /// The store has these, and has forgotten admissions that it had confirmed before of those for
    /// which the answer is true. A batch that failed stays to be sent.
    pub(crate) fn confirm(&self, batches: &[CounterBatch], forgot: &[Result<bool, StoreError>]) {
        for (batch, forgot) in batches.iter().zip(forgot) {
            let Ok(forgot) = forgot else { continue };
            in_epoch(&batch.owner, batch.entry.epoch, |counter| {
                if *forgot {
                    counter.doubt();
                }
                counter.log.confirm(&batch.admissions);
            });
        }
    }

    /// The store has the doubted admissions for which `held` is true, and lost the others, which
    /// are sent again. Nothing is known of a key without an answer. Returns the keys with losses,
    /// each with the number of lost admissions.
    pub(crate) fn settle(
        &self,
        batches: &[CounterBatch],
        held: &[Option<Vec<bool>>],
    ) -> Vec<(Key, u64)> {
        let mut losses = Vec::new();
        for (batch, held) in batches.iter().zip(held) {
            let Some(held) = held else { continue };
            let settle = |counter: &mut LocalCounter| counter.log.settle(&batch.admissions, held);
            let lost = in_epoch(&batch.owner, batch.entry.epoch, settle).filter(|lost| *lost > 0);
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
    pub(crate) fn windows(&self) -> Vec<WatchedKey> {
        let now_us = self.context.clock.now_us();
        let watched = |cell: Arc<CounterCell>| {
            let counter = cell.lock();
            let LimitEntry { key, epoch, .. } = counter.entry.clone();
            let window = counter.window(now_us);
            drop(counter);
            WatchedKey {
                counter: cell,
                key,
                epoch,
                window,
            }
        };
        self.active.due(now_us).into_iter().map(watched).collect()
    }

    /// Takes the store's answers about the windows, in the same order. Returns the limits whose
    /// copies are missing or behind, as after a failover, and those whose entries have a wrong
    /// type.
    pub(crate) fn refresh(
        &self,
        watched: &[WatchedKey],
        answers: Vec<Result<Option<KeyRefresh>, StoreError>>,
    ) -> Result<RefreshedKeys, StoreError> {
        let (mut keys, mut failure) = (RefreshedKeys::default(), Ok(()));
        for (watched, answer) in watched.iter().zip(answers) {
            let KeyRefresh { shared, copy } = match answer {
                Ok(Some(refresh)) => refresh,
                Ok(None) => {
                    keys.wrong_type.push(watched.counter.lock().entry.clone());
                    continue;
                }
                Err(error) => {
                    failure = Err(error);
                    continue;
                }
            };
            in_epoch(&watched.counter, watched.epoch, |counter| {
                counter.refresh(&watched.window, shared)
            });
            let Some(copy) = copy else { continue };
            let version = self.limits().version_of(&watched.key);
            if copy < version {
                let entry = watched.counter.lock().entry.clone();
                keys.behind.push(LimitChange::set(version, entry));
            }
        }
        failure.map(|()| keys)
    }

    /// The store has lost its state: it is asked for every admission that it had confirmed.
    pub(super) fn doubt(&self) {
        self.active
            .cells()
            .iter()
            .for_each(|cell| cell.lock().doubt());
    }

    /// Takes a reading of the store's clock. The first sets the clock of this node, and what it
    /// admitted before moves with it.
    pub(crate) fn follow_clock(&self, reading: ClockReading) {
        match self.context.clock.adjust(reading) {
            ClockChange::Wait | ClockChange::Slew => {}
            ClockChange::Step(by_us) => tracing::warn!(
                by_us,
                "the store's clock stepped; the common clock goes on without the step"
            ),
            ClockChange::First(by_us) => self
                .active
                .cells()
                .iter()
                .for_each(|cell| cell.lock().shift(by_us)),
        }
    }
}
