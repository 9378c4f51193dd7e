//! One key's counter on one node.

use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::{KeyCounter, LimitEntry, MAX_LIMIT};
use tokio::time::Instant;

use super::Decision;
use crate::admissions::{Admission, AdmissionLog, OwnAdmissions, RETENTION};
use crate::clock::micros;
use crate::shared::{KeyWindow, SharedWindow};

/// Beyond this many, admissions that no limit bounds (failing open) are granted without being
/// remembered.
const MAX_REMEMBERED: usize = MAX_LIMIT as usize;

/// Time from the last check of a key for which its shared count is read at every sync. A check
/// after that reads the count itself, so that the cost of a sync follows the keys in use now,
/// however long their windows.
const WARM: Duration = Duration::from_secs(2);

/// Time between two renewals of the life of a set in the store by one node.
const RENEW: Duration = Duration::from_secs(1);

/// The counter of one key behind its own lock: one key's work never delays another's. Held for as
/// long as it takes to count, never across an `await`.
pub(crate) type CounterCell = Mutex<LocalCounter>;

/// Acts on a counter unless it was reset since.
pub(super) fn in_epoch<T>(
    counter: &CounterCell,
    epoch: u64,
    act: impl FnOnce(&mut LocalCounter) -> T,
) -> Option<T> {
    let mut counter = counter.lock();
    (counter.entry.epoch == epoch).then(|| act(&mut counter))
}

/// One key's limit, and the admissions that a node counts against it.
#[derive(Debug)]
pub(crate) struct LocalCounter {
    pub(crate) entry: LimitEntry,
    pub(super) log: AdmissionLog,
    pub(super) others: OtherAdmissions,
    shared: Option<(u64, Instant)>,
    /// Time of the last check, microseconds on the store's clock, while the key is in use.
    used_us: Option<u64>,
    /// When the life of the set in the store was renewed, microseconds on the common clock.
    renewed_us: u64,
    deleted: bool,
}

/// The state of a key until it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyActivity {
    /// Not checked within its window, and without admissions: not synced at all.
    Idle,
    /// Not checked for so long that its shared count is not read at every sync.
    Cold,
    /// As of the last sync.
    Warm,
}

/// The other nodes' admissions, as of the last refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherAdmissions {
    pub(super) count: u64,
    /// The time of the oldest of them, if it is known.
    pub(super) oldest_us: Option<u64>,
    pub(super) as_of_us: u64,
}

impl OtherAdmissions {
    const NONE: Self = Self {
        count: 0,
        oldest_us: None,
        as_of_us: 0,
    };

    /// The store's window less the node's own admissions in it.
    fn new(shared: SharedWindow, window: &KeyWindow) -> Self {
        let own = window.own.held(shared.arrived);
        let (count, oldest_us) = (shared.count.saturating_sub(own), shared.oldest_us);
        Self {
            count,
            oldest_us,
            as_of_us: window.now_us,
        }
    }

    /// Those that are still in the window at `now_us`. All were admitted by the last sync, so a
    /// window later none is left.
    pub(super) fn at(&self, now_us: u64, window_us: u64) -> Self {
        if self.as_of_us + window_us <= now_us {
            return Self::NONE;
        }
        match self.oldest_us {
            Some(oldest_us) if oldest_us + window_us <= now_us => Self {
                count: self.count.saturating_sub(1),
                oldest_us: None,
                ..*self
            },
            _ => *self,
        }
    }
}

impl LocalCounter {
    pub(super) fn new(entry: LimitEntry) -> Self {
        Self {
            entry,
            log: AdmissionLog::default(),
            others: OtherAdmissions::NONE,
            shared: None,
            used_us: None,
            renewed_us: 0,
            deleted: false,
        }
    }

    /// Takes over a changed limit. The counter goes on, unless it was reset.
    pub(crate) fn change(&mut self, entry: LimitEntry) {
        if self.entry.epoch == entry.epoch {
            self.entry = entry;
        } else {
            *self = Self {
                used_us: self.used_us,
                ..Self::new(entry)
            };
        }
    }

    /// The limit is gone: nothing of the counter is sent to the store any more.
    pub(crate) fn delete(&mut self) {
        self.deleted = true;
        self.log = AdmissionLog::default();
    }

    /// Notes a check at `now_us`.
    pub(crate) fn touch(&mut self, now_us: u64) -> KeyActivity {
        let warm = self.is_warm(now_us);
        match self.used_us.replace(now_us) {
            None => KeyActivity::Idle,
            Some(_) if !warm => KeyActivity::Cold,
            Some(_) => KeyActivity::Warm,
        }
    }

    /// Whether the key was checked so lately that its window is read at every sync.
    pub(crate) fn is_warm(&self, now_us: u64) -> bool {
        self.used_us
            .is_some_and(|used| now_us < used + micros(WARM))
    }

    /// Drops the admissions that left the window. False when the key is idle: it was not checked
    /// for a window and has no admission left, so that its sync ends.
    pub(crate) fn stays_active(&mut self, now_us: u64) -> bool {
        let start_us = now_us.saturating_sub(self.entry.limit.window_us() + micros(RETENTION));
        self.log.expire(start_us);
        let active = !self.deleted
            && (self.log.len() > 0 || self.used_us.is_some_and(|used| used > start_us));
        if !active {
            (self.used_us, self.shared, self.others) = (None, None, OtherAdmissions::NONE);
        }
        active
    }

    /// The node's own admissions in the window that ends at `now_us`.
    pub(super) fn own(&self, now_us: u64) -> OwnAdmissions {
        self.log
            .own_after(now_us.saturating_sub(self.entry.limit.window_us()))
    }

    /// Whether the life of the set in the store is to be renewed: once a second.
    pub(super) fn renews(&mut self, now_us: u64) -> bool {
        let renews = now_us >= self.renewed_us + micros(RENEW);
        if renews {
            self.renewed_us = now_us;
        }
        renews
    }

    /// The node's own admissions in the window of a decision.
    pub(super) fn own_count(&self, decision: &Decision) -> u64 {
        let start_us = decision.now_us.saturating_sub(decision.limit.window_us());
        self.log.count(start_us, u64::MAX)
    }

    /// The window that ends at `now_us`, and the admissions that the store should have in it.
    pub(crate) fn window(&self, now_us: u64) -> KeyWindow {
        KeyWindow::new(&self.entry, now_us, self.own(now_us))
    }

    /// Remembers admissions that the store holds already.
    pub(crate) fn add_synced(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        admissions.into_iter().for_each(|a| self.log.add_synced(a));
    }

    /// Remembers admissions that are still to be sent to the store.
    pub(crate) fn add_unsynced(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        let room = MAX_REMEMBERED.saturating_sub(self.log.len());
        admissions
            .into_iter()
            .take(room)
            .for_each(|a| self.log.add_unsynced(a));
    }

    /// The window, and at most `most` admissions that are to be sent to the store; `None` when
    /// there are none. Most keys in use have none at most syncs, and their windows are not counted.
    pub(crate) fn send(&mut self, now_us: u64, most: usize) -> Option<(KeyWindow, Vec<Admission>)> {
        self.log
            .has_unsynced()
            .then(|| (self.window(now_us), self.log.send(most)))
    }

    /// The clock was set: what was counted happened as long ago as before.
    pub(crate) fn shift(&mut self, by_us: i64) {
        let shifted = |us: u64| us.saturating_add_signed(by_us);
        self.log.shift(by_us);
        self.others.as_of_us = shifted(self.others.as_of_us);
        self.others.oldest_us = self.others.oldest_us.map(shifted);
        self.used_us = self.used_us.map(shifted);
    }

    /// The store has lost admissions that it had confirmed.
    pub(crate) fn doubt(&mut self) {
        self.log.doubt();
    }

    /// The window, and at most `most` admissions in it that the store has to be asked for; `None`
    /// when there are none.
    pub(crate) fn doubts(
        &mut self,
        now_us: u64,
        most: usize,
    ) -> Option<(KeyWindow, Vec<Admission>)> {
        let start_us = now_us.saturating_sub(self.entry.limit.window_us());
        let doubts = self.log.doubts(start_us, most);
        (!doubts.is_empty()).then(|| (self.window(now_us), doubts))
    }

    /// Takes the store's answer about a window. False when the store has lost admissions that it
    /// had confirmed.
    pub(crate) fn refresh(&mut self, window: &KeyWindow, shared: SharedWindow) -> bool {
        self.shared = Some((shared.count, Instant::now()));
        if shared.forgot || shared.count < window.own.confirmed {
            self.doubt();
            return false;
        }
        self.others = OtherAdmissions::new(shared, window);
        // The oldest in the store may be this node's own, whose time says nothing about the others.
        let own = |at_us: &u64| self.log.oldest_after(at_us.saturating_sub(1)) == Some(*at_us);
        self.others.oldest_us = self.others.oldest_us.filter(|at_us| !own(at_us));
        true
    }

    /// This node's admissions in the window before `at_us`.
    pub(crate) fn report(&self, at_us: u64) -> KeyCounter {
        let LimitEntry {
            key,
            limit,
            counting,
            epoch,
            ..
        } = self.entry.clone();
        let start_us = at_us.saturating_sub(limit.window_us());
        KeyCounter {
            key,
            limit,
            counting,
            epoch,
            count: self.log.count(start_us, at_us),
            unsynced: self.log.count_unsynced(start_us, at_us),
            lost: self.log.count_lost(start_us, at_us),
            shared: self.shared.map(|(count, _)| count),
            shared_age_ms: self.shared.map(|(_, at)| micros(at.elapsed()) / 1000),
            lease: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{CountingMode, Key, Limit, StoreFailurePolicy};

    use super::*;
    use crate::admissions::Arrival;

    const S: u64 = 1_000_000;
    const NOW: u64 = 100 * S;

    fn counter(limit: i64) -> LocalCounter {
        LocalCounter::new(LimitEntry {
            key: Key::new("k").unwrap(),
            limit: Limit::new(limit, 60).unwrap(),
            counting: CountingMode::Cached,
            on_store_failure: StoreFailurePolicy::Local,
            epoch: 1,
        })
    }

    fn admit(counter: &mut LocalCounter, sequences: std::ops::Range<u64>) {
        counter.add_unsynced(sequences.map(|sequence| Admission {
            at_us: NOW,
            sequence,
        }));
    }

    fn holds(count: u64) -> SharedWindow {
        SharedWindow {
            count,
            oldest_us: Some(NOW),
            forgot: false,
            arrived: Arrival::Nothing,
        }
    }

    #[test]
    fn own_and_others_admissions_fill_one_limit() {
        let mut counter = counter(10);
        admit(&mut counter, 0..4);
        let fits = |counter: &LocalCounter, cost| counter.decide(cost, NOW + S).allowed;
        counter.others = OtherAdmissions {
            count: 5,
            oldest_us: Some(NOW),
            as_of_us: NOW,
        };
        assert!(fits(&counter, 1));
        assert!(!fits(&counter, 2));
        counter.others.count = 6;
        assert!(!fits(&counter, 1));
    }

    #[test]
    fn others_admissions_leave_the_window() {
        let mut counter = counter(10);
        counter.others = OtherAdmissions {
            count: 10,
            oldest_us: Some(NOW),
            as_of_us: NOW,
        };
        assert!(!counter.decide(1, NOW + 59 * S).allowed);
        assert!(counter.decide(1, NOW + 60 * S).allowed);
    }

    /// Milliseconds from `now_us` until a check of `cost` fits.
    fn waits_ms(counter: &LocalCounter, cost: u32, now_us: u64) -> u64 {
        let decision = counter.decide(cost, now_us);
        assert!(!decision.allowed, "{decision:?}");
        (decision.frees_us - now_us).div_ceil(1000)
    }

    #[test]
    fn costly_check_waits_for_enough_quota() {
        let mut counter = counter(10);
        for second in 0..10 {
            counter.add_unsynced([Admission {
                at_us: NOW + second * S,
                sequence: second,
            }]);
        }
        let now = NOW + 30 * S;
        assert_eq!(waits_ms(&counter, 1, now), 30_000);
        assert_eq!(waits_ms(&counter, 5, now), 34_000);
        assert!(
            counter.decide(5, now + 34 * S).allowed,
            "the time given is enough"
        );
        assert!(
            !counter.decide(5, now + 34 * S - 1).allowed,
            "and no longer than needed"
        );
    }

    #[test]
    fn own_oldest_admission_frees_quota_once() {
        let mut counter = counter(10);
        admit(&mut counter, 0..1);
        let (_, batch) = counter.send(NOW, 100).unwrap();
        counter.log.confirm(&batch);
        // The oldest of the ten is this node's own; the nine others are younger.
        assert!(counter.refresh(&counter.window(NOW + 20 * S), holds(10)));
        let now = NOW + 30 * S;
        assert_eq!(waits_ms(&counter, 1, now), 30_000);
        assert_eq!(waits_ms(&counter, 2, now), 50_000);
        assert!(!counter.decide(2, NOW + 60 * S).allowed);
        assert!(counter.decide(2, now + 50 * S).allowed);
    }

    #[test]
    fn outage_denial_never_frees_at_once() {
        let mut counter = counter(10);
        counter.others = OtherAdmissions {
            count: 10,
            oldest_us: Some(NOW - 30 * S),
            as_of_us: NOW,
        };
        for second in 1..60 {
            let decision = counter.decide(2, NOW + second * S);
            assert!(
                decision.allowed || decision.frees_us > decision.now_us,
                "{second} s: {decision:?}"
            );
        }
        assert_eq!(
            waits_ms(&counter, 2, NOW + 40 * S),
            20_000,
            "all have left a window after the last sync"
        );
        assert!(counter.decide(2, NOW + 60 * S).allowed);
    }

    #[test]
    fn a_key_stays_active_for_a_window() {
        let mut counter = counter(10);
        assert_eq!(counter.touch(NOW), KeyActivity::Idle);
        assert_eq!(
            counter.touch(NOW + S),
            KeyActivity::Warm,
            "its sync has begun"
        );
        assert_eq!(
            counter.touch(NOW + 10 * S),
            KeyActivity::Cold,
            "it reads its shared count itself"
        );
        counter.touch(NOW);
        let end = NOW + 60 * S + micros(RETENTION);
        assert!(counter.stays_active(end - 1));
        assert!(!counter.stays_active(end));
        assert_eq!(counter.touch(end), KeyActivity::Idle);
    }

    #[test]
    fn own_unsynced_admissions_are_not_counted_twice() {
        let mut counter = counter(10);
        assert!(counter.refresh(&counter.window(NOW), holds(3)));
        admit(&mut counter, 0..4);
        let (_, batch) = counter.send(NOW, 100).unwrap();

        // The store took no writes yet: three of others', as before.
        assert!(counter.refresh(&counter.window(NOW), holds(3)));
        assert_eq!(counter.decide(1, NOW).count, 8);
        // It did, and the confirmation is still on its way: still three of others'.
        let arrived = |count| SharedWindow {
            arrived: Arrival::Sent,
            ..holds(count)
        };
        assert!(counter.refresh(&counter.window(NOW), arrived(7)));
        assert_eq!(counter.decide(1, NOW).count, 8);
        // Another node flushed two as well.
        assert!(counter.refresh(&counter.window(NOW), arrived(9)));
        assert_eq!(counter.decide(1, NOW).count, 10);
        counter.log.confirm(&batch);
        assert!(counter.refresh(&counter.window(NOW), holds(9)));
        assert_eq!(counter.decide(1, NOW).count, 10);
    }

    #[test]
    fn forgetful_store_gets_every_admission_again() {
        let mut counter = counter(10);
        admit(&mut counter, 0..4);
        let (_, batch) = counter.send(NOW, 100).unwrap();
        counter.log.confirm(&batch);
        assert!(counter.refresh(&counter.window(NOW), holds(4)));
        assert_eq!(counter.window(NOW).own.newest_confirmed, Some(3));
        // As many as this node's own, but of another node: only the one that is asked for tells.
        assert!(!counter.refresh(
            &counter.window(NOW),
            SharedWindow {
                forgot: true,
                ..holds(4)
            }
        ));
        assert_eq!(
            counter.window(NOW).own.unheard(Arrival::Nothing),
            4,
            "what the store has to hear of counts already"
        );
        let (_, doubts) = counter.doubts(NOW, 100).unwrap();
        assert_eq!(counter.log.settle(&doubts, &[true, false, false, false]), 3);
        assert_eq!(
            counter.send(NOW, 100).unwrap().1,
            batch[1..],
            "no more than it lost"
        );
        assert_eq!(counter.report(NOW).lost, 3);
    }

    #[test]
    fn failing_open_does_not_fill_the_memory() {
        let mut counter = counter(1);
        admit(&mut counter, 0..MAX_REMEMBERED as u64 + 5);
        assert_eq!(counter.report(NOW).count, MAX_REMEMBERED as u64);
    }
}
