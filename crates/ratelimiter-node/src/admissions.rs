use std::collections::VecDeque;
use std::time::Duration;

/// Admissions are kept this much longer than their window, so that an observer who asks a moment later still gets the
/// whole window it asks about.
pub(crate) const RETENTION: Duration = Duration::from_secs(2);

/// One admission of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// When, microseconds on the store's clock.
    pub(crate) at_us: u64,
    /// Which, unique in this life of the node.
    pub(crate) sequence: u64,
}

/// A node's own admissions in a window, by what the store should know of them. Admissions are named by their sequence.
///
/// Three questions to the store settle what the node cannot know by itself. Whether it knows the newest that it confirmed:
/// one that does not has lost its state, and since it is asked whenever something is to be confirmed, nothing that is
/// confirmed after a loss hides what was confirmed before it. And whether it knows the last that it was sent, or the
/// newest there is, which may be sent before the question arrives: a batch arrives in one step and in order, so
/// whoever is there was preceded by all the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) confirmed: u64,
    pub(crate) newest_confirmed: Option<u64>,
    /// Sent to the store, which has not confirmed them.
    pub(crate) sent: u64,
    pub(crate) last_sent: Option<u64>,
    /// Those, and what was not sent yet.
    pub(crate) unconfirmed: u64,
    pub(crate) newest: Option<u64>,
}

/// How much of what was not confirmed is in the store all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    Nothing,
    Sent,
    Everything,
}

impl Own {
    fn arrived(&self, how_much: Arrived) -> u64 {
        match how_much {
            Arrived::Nothing => 0,
            Arrived::Sent => self.sent,
            Arrived::Everything => self.unconfirmed,
        }
    }

    /// How many the store holds.
    pub(crate) fn held(&self, arrived: Arrived) -> u64 {
        self.confirmed + self.arrived(arrived)
    }

    /// How many the store has yet to hear of.
    pub(crate) fn unheard(&self, arrived: Arrived) -> u64 {
        self.unconfirmed - self.arrived(arrived)
    }
}

/// A node's own admissions of one key, in order of time: those the store has confirmed, and those it has not.
#[derive(Debug, Default)]
pub(crate) struct AdmissionLog {
    synced: VecDeque<Admission>,
    unsynced: VecDeque<Admission>,
    /// Up to here the store may hold what it has not confirmed: it was sent, and nobody knows whether it arrived.
    sent: Option<Admission>,
}

impl AdmissionLog {
    /// Adds an admission that the store holds already.
    pub(crate) fn add_synced(&mut self, admission: Admission) {
        insert(&mut self.synced, admission);
    }

    /// Adds an admission that the store has yet to hear of.
    pub(crate) fn add_unsynced(&mut self, admission: Admission) {
        insert(&mut self.unsynced, admission);
    }

    /// Forgets what is at or before `until_us`, even if the store never heard of it: it is outside every window.
    pub(crate) fn expire(&mut self, until_us: u64) {
        for side in [&mut self.synced, &mut self.unsynced] {
            let gone = at_or_before(side, until_us);
            side.drain(..gone);
            if side.is_empty() && side.capacity() > 64 {
                side.shrink_to(0);
            }
        }
    }

    /// Admissions in the span `(from_us, until_us]`.
    pub(crate) fn count(&self, from_us: u64, until_us: u64) -> u64 {
        count(&self.synced, from_us, until_us) + self.count_unsynced(from_us, until_us)
    }

    /// Unconfirmed admissions in the span `(from_us, until_us]`.
    pub(crate) fn count_unsynced(&self, from_us: u64, until_us: u64) -> u64 {
        count(&self.unsynced, from_us, until_us)
    }

    /// What the store should hold, and what it cannot know, of the admissions after `from_us`.
    pub(crate) fn own_after(&self, from_us: u64) -> Own {
        let old = at_or_before(&self.unsynced, from_us);
        let sent = self.sent.map_or(old, |last| up_to(&self.unsynced, &last).max(old));
        Own {
            confirmed: count(&self.synced, from_us, u64::MAX),
            newest_confirmed: self.synced.back().filter(|a| a.at_us > from_us).map(|a| a.sequence),
            sent: (sent - old) as u64,
            last_sent: (sent > old).then(|| self.unsynced[sent - 1].sequence),
            unconfirmed: (self.unsynced.len() - old) as u64,
            newest: self.unsynced.back().filter(|a| a.at_us > from_us).map(|a| a.sequence),
        }
    }

    /// When the oldest admission after `from_us` was.
    pub(crate) fn oldest_after(&self, from_us: u64) -> Option<u64> {
        [&self.synced, &self.unsynced]
            .into_iter()
            .filter_map(|side| side.get(at_or_before(side, from_us)))
            .map(|a| a.at_us)
            .min()
    }

    /// The oldest unconfirmed admissions, at most `most` of them, to be sent to the store.
    pub(crate) fn send(&mut self, most: usize) -> Vec<Admission> {
        let batch: Vec<_> = self.unsynced.iter().take(most).copied().collect();
        self.note_sent(batch.last().copied());
        batch
    }

    /// The store has confirmed these, in the order in which [`send`](Self::send) gave them.
    pub(crate) fn confirm(&mut self, confirmed: &[Admission]) {
        let Some(last) = confirmed.last() else { return };
        let mut confirmed = confirmed.iter().peekable();
        let mut still = Vec::new();
        let until = up_to(&self.unsynced, last);
        for admission in self.unsynced.drain(..until) {
            // What expired while the store was busy is no longer here to be confirmed.
            while confirmed.next_if(|c| order(c) < order(&admission)).is_some() {}
            if confirmed.next_if(|c| **c == admission).is_some() {
                insert(&mut self.synced, admission);
            } else {
                still.push(admission);
            }
        }
        for admission in still.into_iter().rev() {
            self.unsynced.push_front(admission);
        }
    }

    /// The store has lost what it confirmed, all of it or some: it has to be told again.
    pub(crate) fn unconfirm(&mut self) {
        self.note_sent(self.synced.back().copied());
        for admission in std::mem::take(&mut self.synced) {
            insert(&mut self.unsynced, admission);
        }
    }

    fn note_sent(&mut self, last: Option<Admission>) {
        self.sent = self.sent.into_iter().chain(last).max_by_key(order);
    }

    /// How many admissions are kept.
    pub(crate) fn len(&self) -> usize {
        self.synced.len() + self.unsynced.len()
    }
}

fn order(admission: &Admission) -> (u64, u64) {
    (admission.at_us, admission.sequence)
}

/// Nearly always at the end; the store's own time stamps may be a little older than the last one of this node.
fn insert(side: &mut VecDeque<Admission>, admission: Admission) {
    match side.back() {
        Some(last) if order(last) > order(&admission) => {
            let place = side.partition_point(|a| order(a) <= order(&admission));
            side.insert(place, admission);
        }
        _ => side.push_back(admission),
    }
}

fn up_to(side: &VecDeque<Admission>, last: &Admission) -> usize {
    side.partition_point(|a| order(a) <= order(last))
}

fn at_or_before(side: &VecDeque<Admission>, us: u64) -> usize {
    side.partition_point(|a| a.at_us <= us)
}

fn count(side: &VecDeque<Admission>, from_us: u64, until_us: u64) -> u64 {
    (at_or_before(side, until_us).saturating_sub(at_or_before(side, from_us))) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(times: &[u64]) -> AdmissionLog {
        let mut log = AdmissionLog::default();
        for (sequence, &at_us) in times.iter().enumerate() {
            log.add_unsynced(Admission { at_us, sequence: sequence as u64 });
        }
        log
    }

    #[test]
    fn spans_exclude_their_start_and_include_their_end() {
        let log = log(&[10, 20, 30]);
        assert_eq!(log.count(10, 30), 2);
        assert_eq!(log.count(9, 29), 2);
        assert_eq!(log.oldest_after(10), Some(20));
    }

    #[test]
    fn what_expired_during_a_flush_is_confirmed_without_harm() {
        let mut log = log(&[10, 20, 30]);
        let batch = log.send(2);
        log.expire(10);
        log.add_unsynced(Admission { at_us: 40, sequence: 9 });
        log.confirm(&batch);
        assert_eq!(log.count_unsynced(0, 100), 2);
        assert_eq!(log.own_after(0).confirmed, 1);
    }

    #[test]
    fn one_that_slipped_in_before_what_was_sent_is_not_confirmed_with_it() {
        let mut log = log(&[10, 30]);
        let batch = log.send(2);
        log.add_unsynced(Admission { at_us: 20, sequence: 9 });
        log.confirm(&batch);
        assert_eq!(log.send(5), [Admission { at_us: 20, sequence: 9 }]);
    }

    #[test]
    fn it_is_known_what_the_store_should_know() {
        let own = |log: &AdmissionLog, from_us| {
            let own = log.own_after(from_us);
            (own.confirmed, own.newest_confirmed, own.sent, own.last_sent, own.unconfirmed, own.newest)
        };
        let mut log = log(&[10, 20, 30]);
        assert_eq!(own(&log, 0), (0, None, 0, None, 3, Some(2)));
        let batch = log.send(2);
        assert_eq!(own(&log, 0), (0, None, 2, Some(1), 3, Some(2)));
        assert_eq!(own(&log, 10), (0, None, 1, Some(1), 2, Some(2)));
        assert_eq!(own(&log, 20), (0, None, 0, None, 1, Some(2)));
        log.confirm(&batch);
        assert_eq!(own(&log, 0), (2, Some(1), 0, None, 1, Some(2)));
        assert_eq!(own(&log, 20), (0, None, 0, None, 1, Some(2)));
        assert_eq!(own(&log, 30), (0, None, 0, None, 0, None));
        log.unconfirm();
        assert_eq!(own(&log, 0), (0, None, 2, Some(1), 3, Some(2)));
    }

    proptest! {
        /// Whatever is flushed, lost and flushed again: no admission appears or disappears.
        #[test]
        fn admissions_are_conserved(
            times in proptest::collection::vec(0_u64..50, 0..40),
            steps in proptest::collection::vec((any::<bool>(), 0_usize..10), 0..20),
        ) {
            let mut log = log(&times);
            for (lost, most) in steps {
                if lost { log.unconfirm() } else { let batch = log.send(most); log.confirm(&batch) }
                prop_assert_eq!(log.len(), times.len());
                for cut in [0, 10, 25] {
                    let expected = times.iter().filter(|t| **t > cut && **t <= 40).count() as u64;
                    prop_assert_eq!(log.count(cut, 40), expected);
                }
            }
        }
    }
}
