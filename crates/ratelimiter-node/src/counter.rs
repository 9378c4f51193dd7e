//! One key's counter on one node.

use std::time::Instant;

use ratelimiter_api::{KeyCounter, Limit, LimitEntry, MAX_LIMIT};

use crate::admissions::{Admission, AdmissionLog, RETENTION};
use crate::clock::micros;
use crate::counting::{self, Decision};
use crate::shared::{SharedWindow, Span};

/// Beyond this many, admissions that no limit bounds (failing open) are granted without being remembered.
const MAX_REMEMBERED: usize = MAX_LIMIT as usize;

/// What a node knows of one key.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) entry: LimitEntry,
    log: AdmissionLog,
    others: Others,
    shared: Option<(u64, Instant)>,
}

/// What the other nodes admitted, as of the last refresh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
    pub(crate) as_of_us: u64,
}

impl Others {
    const NONE: Self = Self { count: 0, oldest_us: None, as_of_us: 0 };

    /// The store's window less what it holds of this node's own.
    fn new(shared: SharedWindow, span: &Span) -> Self {
        let own = span.own.held(shared.arrived);
        let (count, oldest_us) = (shared.count.saturating_sub(own), shared.oldest_us);
        Self { count, oldest_us, as_of_us: span.now_us }
    }

    /// What is left of it: everything known had happened by the last sync, so a window later all of it is gone.
    pub(crate) fn at(&self, now_us: u64, limit: Limit) -> Self {
        if self.as_of_us + limit.window_us() > now_us { *self } else { Self::NONE }
    }
}

impl Counter {
    pub(crate) fn new(entry: LimitEntry) -> Self {
        Self { entry, log: AdmissionLog::default(), others: Others::NONE, shared: None }
    }

    /// The same counter under a limit that changed, or a new one where it was reset.
    pub(crate) fn continued(old: Option<Self>, entry: LimitEntry) -> Self {
        match old.filter(|counter| counter.entry.epoch == entry.epoch) {
            Some(counter) => Self { entry, ..counter },
            None => Self::new(entry),
        }
    }

    /// The window that ends now, and what the store should know of it.
    pub(crate) fn span(&self, now_us: u64) -> Span {
        let own = self.log.own_after(now_us.saturating_sub(self.entry.limit.window_us()));
        Span::new(&self.entry, now_us, own)
    }

    /// Decides from what the node knows. The caller remembers what it admits.
    pub(crate) fn decide(&self, cost: u32, now_us: u64) -> Decision {
        counting::cached(self.entry.limit, &self.log, &self.others, cost, now_us)
    }

    /// Remembers what the store holds already.
    pub(crate) fn add_synced(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        admissions.into_iter().for_each(|a| self.log.add_synced(a));
    }

    /// Remembers what the store has yet to hear of.
    pub(crate) fn add_unsynced(&mut self, admissions: impl IntoIterator<Item = Admission>) {
        let room = MAX_REMEMBERED.saturating_sub(self.log.len());
        admissions.into_iter().take(room).for_each(|a| self.log.add_unsynced(a));
    }

    /// Forgets what left the window, and returns at most `most` admissions for the store to hear of.
    pub(crate) fn send(&mut self, now_us: u64, most: usize) -> (Span, Vec<Admission>) {
        let span = self.span(now_us);
        self.log.expire(span.start_us().saturating_sub(micros(RETENTION)));
        (span, self.log.send(most))
    }

    pub(crate) fn confirm(&mut self, admissions: &[Admission]) {
        self.log.confirm(admissions);
    }

    /// The store has lost what it confirmed.
    pub(crate) fn unconfirm(&mut self) {
        self.log.unconfirm();
    }

    /// What the store answered about a window. False when it has lost admissions that it had confirmed.
    pub(crate) fn refresh(&mut self, span: &Span, shared: SharedWindow) -> bool {
        self.shared = Some((shared.count, Instant::now()));
        if shared.forgot || shared.count < span.own.confirmed {
            self.unconfirm();
            return false;
        }
        self.others = Others::new(shared, span);
        true
    }

    /// This node's admissions in the window before `at_us`.
    pub(crate) fn report(&self, at_us: u64) -> KeyCounter {
        let LimitEntry { key, limit, counting, epoch, .. } = self.entry.clone();
        let start_us = at_us.saturating_sub(limit.window_us());
        KeyCounter {
            key,
            limit,
            counting,
            epoch,
            count: self.log.count(start_us, at_us),
            unsynced: self.log.count_unsynced(start_us, at_us),
            shared: self.shared.map(|(count, _)| count),
            shared_age_ms: self.shared.map(|(_, at)| micros(at.elapsed()) / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{CountingMode, Key, StoreFailurePolicy};

    use super::*;
    use crate::admissions::Arrived;

    const S: u64 = 1_000_000;
    const NOW: u64 = 100 * S;

    fn counter(limit: i64) -> Counter {
        Counter::new(LimitEntry {
            key: Key::new("k").unwrap(),
            limit: Limit::new(limit, 60).unwrap(),
            counting: CountingMode::Cached,
            on_store_failure: StoreFailurePolicy::Local,
            epoch: 1,
        })
    }

    fn admit(counter: &mut Counter, sequences: std::ops::Range<u64>) {
        counter.add_unsynced(sequences.map(|sequence| Admission { at_us: NOW, sequence }));
    }

    fn holds(count: u64) -> SharedWindow {
        SharedWindow { count, oldest_us: Some(NOW), forgot: false, arrived: Arrived::Nothing }
    }

    #[test]
    fn own_admissions_on_their_way_to_the_store_are_not_taken_for_those_of_others() {
        let mut counter = counter(10);
        assert!(counter.refresh(&counter.span(NOW), holds(3)));
        admit(&mut counter, 0..4);
        let (_, batch) = counter.send(NOW, 100);

        // The store took no writes yet: three of others', as before.
        assert!(counter.refresh(&counter.span(NOW), holds(3)));
        assert_eq!(counter.decide(1, NOW).count, 8);
        // It did, and the confirmation is still on its way: still three of others'.
        let arrived = |count| SharedWindow { arrived: Arrived::Sent, ..holds(count) };
        assert!(counter.refresh(&counter.span(NOW), arrived(7)));
        assert_eq!(counter.decide(1, NOW).count, 8);
        // Another node flushed two as well.
        assert!(counter.refresh(&counter.span(NOW), arrived(9)));
        assert_eq!(counter.decide(1, NOW).count, 10);
        counter.confirm(&batch);
        assert!(counter.refresh(&counter.span(NOW), holds(9)));
        assert_eq!(counter.decide(1, NOW).count, 10);
    }

    #[test]
    fn a_store_that_forgot_is_told_again_even_if_others_were_first() {
        let mut counter = counter(10);
        admit(&mut counter, 0..4);
        let (_, batch) = counter.send(NOW, 100);
        counter.confirm(&batch);
        assert!(counter.refresh(&counter.span(NOW), holds(4)));
        assert_eq!(counter.span(NOW).own.newest_confirmed, Some(3));
        // As many as this node's own, but of another node: only the one that is asked for tells.
        assert!(!counter.refresh(&counter.span(NOW), SharedWindow { forgot: true, ..holds(4) }));
        assert_eq!(
            counter.span(NOW).own.unheard(Arrived::Nothing),
            4,
            "what the store has to hear of counts already"
        );
        assert_eq!(counter.send(NOW, 100).1, batch);
    }

    #[test]
    fn failing_open_does_not_fill_the_memory() {
        let mut counter = counter(1);
        admit(&mut counter, 0..MAX_REMEMBERED as u64 + 5);
        assert_eq!(counter.report(NOW).count, MAX_REMEMBERED as u64);
    }
}
