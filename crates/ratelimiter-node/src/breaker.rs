use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::StoreCircuit;
use ratelimiter_store::{StoreKind, slot_of};
use tokio::time::Instant;

/// Consecutive failures that open the circuit.
const FAILURES: u32 = 5;
/// Time between two probes of an open circuit.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// Circuits in front of a store cluster. A primary has neighbouring slots, and 256 of them share a
/// circuit.
const PARTS: usize = 64;
/// Slots of a store cluster.
const SLOTS: usize = 16_384;

/// The circuits of a store: one, or in a cluster one for each part of the slots. A primary that is
/// away suspends the checks of its own keys and no others.
#[derive(Debug)]
pub(crate) struct StoreCircuits {
    parts: Vec<StoreBreaker>,
}

impl StoreCircuits {
    pub(crate) fn new(kind: StoreKind) -> Self {
        let parts = if kind == StoreKind::Cluster { PARTS } else { 1 };
        Self {
            parts: (0..parts).map(|_| StoreBreaker::new()).collect(),
        }
    }

    /// The circuit of an entry of the store.
    pub(crate) fn of(&self, entry: &str) -> &StoreBreaker {
        let slot = if self.parts.len() > 1 {
            usize::from(slot_of(entry))
        } else {
            0
        };
        &self.parts[slot * self.parts.len() / SLOTS]
    }

    /// The worst state of any: open, then half-open, then closed.
    pub(crate) fn worst(&self) -> StoreCircuit {
        let has = |state| self.parts.iter().any(|part| part.circuit() == state);
        [StoreCircuit::Open, StoreCircuit::HalfOpen]
            .into_iter()
            .find(|state| has(*state))
            .unwrap_or(StoreCircuit::Closed)
    }
}

/// A circuit breaker in front of the store, after Nygard, "Release It!": once the store has failed
/// several checks in a row, further checks do not wait for it.
///
/// ```text
///            5 failures in a row            250 ms later: one check is a probe
///   Closed ------------------------> Open ----------------------------------> HalfOpen
///     ^                               ^                                          |  |
///     |                               +------------- the probe fails ------------+  |
///     +----------------------------------- the probe is answered -------------------+
/// ```
///
/// A heartbeat that the store confirms closes it too, while reads are prompt: so a pause of writes
/// ends for all checks at once.
#[derive(Debug)]
pub(crate) struct StoreBreaker {
    state: Mutex<BreakerState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed { failures: u32 },
    Open { probe_at: Instant },
    HalfOpen,
}

/// Leave to ask the store once. Dropped without a report, as when the caller went away, it leaves
/// the circuit as it was.
#[derive(Debug)]
pub(crate) struct CircuitPass<'a> {
    breaker: &'a StoreBreaker,
    probe: bool,
    reported: bool,
}

impl StoreBreaker {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(BreakerState::Closed { failures: 0 }),
        }
    }

    /// The state of the circuit.
    fn circuit(&self) -> StoreCircuit {
        match *self.state.lock() {
            BreakerState::Closed { .. } => StoreCircuit::Closed,
            BreakerState::Open { .. } => StoreCircuit::Open,
            BreakerState::HalfOpen => StoreCircuit::HalfOpen,
        }
    }

    /// The store is known to take writes promptly: checks ask it again, and one more failure opens
    /// the circuit anew.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(*state, BreakerState::Closed { .. }) {
            *state = BreakerState::Closed {
                failures: FAILURES - 1,
            };
        }
    }

    /// Leave to ask the store at `now`; none while the circuit is open, or another check probes it.
    pub(crate) fn pass(&self, now: Instant) -> Option<CircuitPass<'_>> {
        let mut state = self.state.lock();
        let probe = match *state {
            BreakerState::Closed { .. } => false,
            BreakerState::Open { probe_at } if now >= probe_at => {
                *state = BreakerState::HalfOpen;
                true
            }
            BreakerState::Open { .. } | BreakerState::HalfOpen => return None,
        };
        Some(CircuitPass {
            breaker: self,
            probe,
            reported: false,
        })
    }
}

impl CircuitPass<'_> {
    /// The store answered, or it did not, as of `now`.
    pub(crate) fn report(mut self, answered: bool, now: Instant) {
        self.reported = true;
        let mut state = self.breaker.state.lock();
        let open = BreakerState::Open {
            probe_at: now + PROBE_EVERY,
        };
        *state = match (*state, answered) {
            (BreakerState::Closed { .. }, true) => BreakerState::Closed { failures: 0 },
            (BreakerState::Closed { failures }, false) if failures + 1 < FAILURES => {
                BreakerState::Closed {
                    failures: failures + 1,
                }
            }
            (BreakerState::Closed { .. }, false) => {
                tracing::warn!(
                    "the store failed {FAILURES} checks in a row: deciding without it until a \
                     probe is answered"
                );
                open
            }
            (BreakerState::HalfOpen, true) if self.probe => {
                tracing::info!("the store answers checks again");
                BreakerState::Closed { failures: 0 }
            }
            (BreakerState::HalfOpen, false) if self.probe => open,
            // A check from before the circuit opened.
            (other, _) => other,
        };
    }
}

impl Drop for CircuitPass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.reported {
            *self.breaker.state.lock() = BreakerState::Open {
                probe_at: Instant::now(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> StoreBreaker {
        let breaker = StoreBreaker::new();
        for _ in 0..FAILURES {
            breaker.pass(now).unwrap().report(false, now);
        }
        assert_eq!(breaker.circuit(), StoreCircuit::Open);
        breaker
    }

    #[test]
    fn one_part_opens_without_the_others() {
        let (circuits, now) = (StoreCircuits::new(StoreKind::Cluster), Instant::now());
        for _ in 0..FAILURES {
            circuits.of("x{foo}").pass(now).unwrap().report(false, now);
        }
        assert!(circuits.of("y{foo}").pass(now).is_none());
        assert!(circuits.of("bar").pass(now).is_some());
        assert_eq!(circuits.worst(), StoreCircuit::Open);
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let (breaker, now) = (StoreBreaker::new(), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES {
                breaker.pass(now).unwrap().report(false, now);
            }
            breaker.pass(now).unwrap().report(true, now);
        }
        assert_eq!(breaker.circuit(), StoreCircuit::Closed);
        assert!(opened(now).pass(now).is_none());
    }

    #[test]
    fn one_check_at_a_time_probes() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + PROBE_EVERY;
        let probe = breaker.pass(later).unwrap();
        assert_eq!(breaker.circuit(), StoreCircuit::HalfOpen);
        assert!(breaker.pass(later).is_none());
        probe.report(false, later);
        assert!(breaker.pass(later).is_none(), "the next probe has to wait");
        breaker
            .pass(later + PROBE_EVERY)
            .unwrap()
            .report(true, later);
        assert_eq!(breaker.circuit(), StoreCircuit::Closed);
    }

    #[test]
    fn one_failure_reopens_it_after_an_early_close() {
        let now = Instant::now();
        let breaker = opened(now);
        breaker.close();
        breaker.pass(now).unwrap().report(false, now);
        assert_eq!(breaker.circuit(), StoreCircuit::Open);
    }

    #[test]
    fn an_abandoned_probe_is_taken_up() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(breaker.pass(now + PROBE_EVERY).unwrap());
        assert!(breaker.pass(Instant::now() + PROBE_EVERY).is_some());
    }

    #[test]
    fn late_reports_do_not_end_a_probe() {
        let now = Instant::now();
        let breaker = StoreBreaker::new();
        let late: Vec<_> = (0..3).map(|_| breaker.pass(now).unwrap()).collect();
        for _ in 0..FAILURES {
            breaker.pass(now).unwrap().report(false, now);
        }
        let _probe = breaker.pass(now + PROBE_EVERY).unwrap();
        late.into_iter().for_each(|pass| pass.report(true, now));
        assert_eq!(breaker.circuit(), StoreCircuit::HalfOpen);
    }
}
