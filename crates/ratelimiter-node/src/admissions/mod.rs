mod detection;
mod runs;

use std::time::Duration;

use ratelimiter_api::NodeId;
use runs::AdmissionRuns;

pub(crate) use detection::{Arrival, OwnAdmissions};

/// Admissions are kept this much longer than their window, so that an observer who asks a moment
/// later still gets the whole window it asks about.
pub(crate) const RETENTION: Duration = Duration::from_secs(2);

/// One admission of this node. Ordered by time, and by sequence where times are equal. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Admission {
    /// Time, microseconds on the store's clock.
    pub(crate) at_us: u64,
    /// Number, unique in this process.
    pub(crate) sequence: u64,
}

impl Admission {
    /// The end of time.
    const LAST: Self = Self::last_at(u64::MAX);

    /// Not before any admission at this time.
    const fn last_at(at_us: u64) -> Self {
        Self {
            at_us,
            sequence: u64::MAX,
        }
    }
}

/// The names of this process's admissions in the store, `node:boot:sequence`: no two admissions
/// ever share one.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionNames {
    boot: String,
    prefix: String,
}

impl AdmissionNames {
    /// Names of a node's process, which has this random number.
    pub(crate) fn new(node: &NodeId, random: u64) -> Self {
        let boot = format!("{:012x}", random >> 16);
        let prefix = format!("{node}:{boot}:");
        Self { boot, prefix }
    }

    /// Random id of this process.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    pub(crate) fn name(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.prefix)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// A node's own admissions of one key: those that the store has confirmed, and those that it has
/// not.
///
/// No operation takes longer for a longer window, except [`shift`](Self::shift), which visits every
/// admission.
#[derive(Debug, Default)]
pub(crate) struct AdmissionLog {
    synced: AdmissionRuns,
    unsynced: AdmissionRuns,
    /// The last unconfirmed admission that was sent. The store may hold those up to here.
    sent: Option<Admission>,
    /// Confirmed before the store was found to have lost some: each is asked for by its name.
    doubted: AdmissionRuns,
    /// Found to be lost. They are unsynced or confirmed again as well.
    lost: AdmissionRuns,
}

impl AdmissionLog {
    /// Adds an admission that the store holds already.
    pub(crate) fn add_synced(&mut self, admission: Admission) {
        self.synced.add(admission);
    }

    /// Adds an admission that is still to be sent to the store.
    pub(crate) fn add_unsynced(&mut self, admission: Admission) {
        self.unsynced.add(admission);
    }

    /// Drops what is at or before `until_us`, sent or not: it is outside every window.
    pub(crate) fn expire(&mut self, until_us: u64) {
        for timeline in [
            &mut self.synced,
            &mut self.unsynced,
            &mut self.doubted,
            &mut self.lost,
        ] {
            timeline.expire(until_us);
        }
    }

    /// Admissions in the span `(from_us, until_us]`.
    pub(crate) fn count(&self, from_us: u64, until_us: u64) -> u64 {
        let last = Admission::last_at(until_us);
        self.kept()
            .iter()
            .map(|timeline| timeline.count(from_us, last))
            .sum()
    }

    /// Unconfirmed admissions in the span `(from_us, until_us]`.
    pub(crate) fn count_unsynced(&self, from_us: u64, until_us: u64) -> u64 {
        let last = Admission::last_at(until_us);
        self.unsynced.count(from_us, last) + self.doubted.count(from_us, last)
    }

    /// Admissions in the span `(from_us, until_us]` that the store had confirmed and lost.
    pub(crate) fn count_lost(&self, from_us: u64, until_us: u64) -> u64 {
        self.lost.count(from_us, Admission::last_at(until_us))
    }

    /// Every admission is in one of these.
    fn kept(&self) -> [&AdmissionRuns; 3] {
        [&self.synced, &self.unsynced, &self.doubted]
    }

    /// The time of the oldest admission after `from_us`.
    pub(crate) fn oldest_after(&self, from_us: u64) -> Option<u64> {
        self.kept()
            .iter()
            .filter_map(|timeline| timeline.oldest(from_us))
            .min()
            .map(|a| a.at_us)
    }

    /// The time of the `nth` oldest admission after `from_us`, counted from 1; none when there are
    /// fewer.
    pub(crate) fn nth_after(&self, from_us: u64, nth: u64) -> Option<u64> {
        let oldest = self.oldest_after(from_us)?;
        if nth <= 1 {
            return Some(oldest);
        }
        let newest = self
            .kept()
            .iter()
            .filter_map(|timeline| timeline.newest(from_us, Admission::LAST))
            .max()?
            .at_us;
        if self.count(from_us, newest) < nth {
            return None;
        }
        let (mut too_few, mut enough) = (oldest - 1, newest);
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            if self.count(from_us, middle) < nth {
                too_few = middle;
            } else {
                enough = middle;
            }
        }
        Some(enough)
    }

    /// Whether some are still to be sent.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.unsynced.len() > 0
    }

    /// Everything is to be sent again, although the store holds it.
    fn send_again(&mut self) {
        for timeline in [&mut self.synced, &mut self.doubted] {
            self.unsynced.absorb(std::mem::take(timeline));
        }
    }

    /// Moves every admission by so much, as its clock was; all are then to be sent again.
    pub(crate) fn shift(&mut self, by_us: i64) {
        self.send_again();
        self.unsynced.shift(by_us);
        self.lost.shift(by_us);
        self.sent = None;
    }

    /// Admissions that the store has not confirmed.
    pub(crate) fn unconfirmed(&self) -> u64 {
        (self.unsynced.len() + self.doubted.len()) as u64
    }

    /// The number of admissions kept.
    pub(crate) fn len(&self) -> usize {
        self.kept().iter().map(|timeline| timeline.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(times: &[u64]) -> AdmissionLog {
        let mut log = AdmissionLog::default();
        for (sequence, &at_us) in times.iter().enumerate() {
            log.add_unsynced(Admission {
                at_us,
                sequence: sequence as u64,
            });
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
    fn expiry_during_a_flush_is_harmless() {
        let mut log = log(&[10, 20, 30]);
        let batch = log.send(2);
        log.expire(10);
        log.add_unsynced(Admission {
            at_us: 40,
            sequence: 9,
        });
        log.confirm(&batch);
        assert_eq!(log.count_unsynced(0, 100), 2);
        assert_eq!(log.own_after(0).confirmed, 1);
    }

    #[test]
    fn late_insertion_is_not_confirmed_with_a_batch() {
        let mut log = log(&[10, 30]);
        let batch = log.send(2);
        log.add_unsynced(Admission {
            at_us: 20,
            sequence: 9,
        });
        log.confirm(&batch);
        assert_eq!(
            log.send(5),
            [Admission {
                at_us: 20,
                sequence: 9
            }]
        );
    }

    #[test]
    fn it_is_known_what_the_store_should_know() {
        let own = |log: &AdmissionLog, from_us| {
            let own = log.own_after(from_us);
            (
                own.confirmed,
                own.newest_confirmed,
                own.sent,
                own.last_sent,
                own.unconfirmed,
                own.newest,
            )
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
        log.doubt();
        assert_eq!(own(&log, 0), (0, None, 0, None, 3, Some(2)));
        assert_eq!(
            log.own_after(0).unheard(Arrival::Everything),
            2,
            "what is doubted may be lost"
        );
        let doubts = log.doubts(0, 5);
        assert_eq!(log.settle(&doubts, &[true, false]), 1);
        assert_eq!(own(&log, 0), (1, Some(0), 1, Some(1), 2, Some(2)));
        assert_eq!((log.count_lost(0, 100), log.count(0, 100)), (1, 3));
    }

    #[test]
    fn doubts_outside_the_window_are_not_asked_for() {
        let mut log = log(&[10, 20, 30]);
        let batch = log.send(3);
        log.confirm(&batch);
        log.doubt();
        assert_eq!(
            log.doubts(20, 1),
            [Admission {
                at_us: 30,
                sequence: 2
            }]
        );
        assert_eq!(
            (log.own_after(0).confirmed, log.own_after(0).doubted),
            (2, 1)
        );
    }

    /// A store that restarted empty: the window before is sent again while the one after is
    /// confirmed.
    #[test]
    fn a_million_lost_admissions_are_confirmed_again() {
        const HALF: u64 = 500_000;
        let mut log = AdmissionLog::default();
        (0..HALF).for_each(|sequence| {
            log.add_synced(Admission {
                at_us: 10 + sequence,
                sequence,
            });
        });
        log.doubt();
        (HALF..2 * HALF).for_each(|sequence| {
            log.add_synced(Admission {
                at_us: 10 + sequence,
                sequence,
            });
        });
        log.doubt();
        (2 * HALF..3 * HALF).for_each(|sequence| {
            log.add_synced(Admission {
                at_us: 10 + sequence,
                sequence,
            });
        });
        let mut longest = Duration::ZERO;
        while log.own_after(0).doubted > 0 {
            let started = std::time::Instant::now();
            let doubts = log.doubts(0, 1000);
            log.settle(&doubts, &vec![false; doubts.len()]);
            longest = longest.max(started.elapsed());
        }
        assert_eq!(log.count_lost(0, u64::MAX), 2 * HALF);
        while log.count_unsynced(0, u64::MAX) > 0 {
            let batch = log.send(1000);
            let started = std::time::Instant::now();
            log.confirm(&batch);
            longest = longest.max(started.elapsed());
        }
        assert_eq!(log.own_after(0).confirmed, 3 * HALF);
        assert_eq!(log.nth_after(9, HALF + 7), Some(HALF + 16));
        // Microseconds, where moving what follows took tens of milliseconds: a bound with room for
        // a stalled machine.
        assert!(longest < Duration::from_secs(1), "{longest:?}");
    }

    #[test]
    fn admissions_follow_their_clock_and_are_sent_again() {
        let mut log = log(&[510, 520, 900, 800]);
        let batch = log.send(4);
        log.confirm(&batch);
        log.shift(-500);
        assert_eq!((log.count(10, 400), log.count_unsynced(0, 400)), (3, 4));
        assert_eq!(
            log.send(9).iter().map(|a| a.at_us).collect::<Vec<_>>(),
            [10, 20, 300, 400]
        );
        log.shift(25);
        assert_eq!(log.nth_after(0, 4), Some(425));
    }

    proptest! {
        /// Whatever is flushed, lost and flushed again: no admission appears or disappears.
        #[test]
        fn admissions_are_conserved(
            times in proptest::collection::vec(0_u64..50, 0..40),
            steps in proptest::collection::vec((0..3_u8, 0_usize..10), 0..20),
        ) {
            let mut log = log(&times);
            for (step, most) in steps {
                match step {
                    0 => log.doubt(),
                    1 => {
                        let doubts = log.doubts(10, most);
                        let held: Vec<_> = doubts.iter().map(|a| a.sequence % 2 == 0).collect();
                        log.settle(&doubts, &held);
                    }
                    _ => {
                        let batch = log.send(most);
                        log.confirm(&batch);
                    }
                }
                prop_assert_eq!(log.len(), times.len());
                for cut in [0, 10, 25] {
                    let expected = times.iter().filter(|t| **t > cut && **t <= 40).count() as u64;
                    prop_assert_eq!(log.count(cut, 40), expected);
                    let mut later: Vec<_> = times.iter().copied().filter(|t| *t > cut).collect();
                    later.sort_unstable();
                    for nth in [1, 2, 5, 40] {
                        let expected = later.get(nth - 1).copied();
                        prop_assert_eq!(log.nth_after(cut, nth as u64), expected);
                    }
                }
            }
        }
    }
}
